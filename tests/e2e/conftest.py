"""Fixtures: a real `palisade serve` in a temporary directory, and what clients need to reach it."""

import re
import signal
import sys

import pytest

from fleet import Fleet
from palisade import Palisade


def pytest_configure():
    """Ends in good order when it is told to end, so that no server is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def pytest_unconfigure(config):
    """The closing line."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        count = {what: len(reporter.stats.get(what, [])) for what in ("passed", "failed", "error")}
        print(f"{count['passed']} passed, {count['failed'] + count['error']} failed")


def pytest_addoption(parser):
    parser.addoption("--broker", help="host:port of another broker: runs the conformance tests against it, "
                     "to see whether a test asks for more than the standard does")


@pytest.fixture(scope="session")
def palisade(tmp_path_factory):
    """One server for the whole run. Its tests misbehave on purpose, and contain by themselves what they want
    contained: what the server would do by itself is for the tests of response."""
    with Palisade(tmp_path_factory.mktemp("palisade"), RESPOND__MAX_MODE="dry-run").running() as server:
        yield server


@pytest.fixture(scope="session")
def fleet(palisade):
    """Devices and services of that server."""
    return Fleet(palisade)


@pytest.fixture()
def own_palisade(tmp_path):
    """A server of the test's own, to be killed and restarted."""
    with Palisade(tmp_path / "palisade").running() as server:
        yield server


@pytest.fixture(scope="session")
def plaintext(tmp_path_factory):
    """One server with the plaintext listener, whose clients may use every topic but one."""
    with Palisade(tmp_path_factory.mktemp("plaintext"), plaintext=True).running() as server:
        yield server


@pytest.fixture(scope="session")
def is_palisade(request):
    """Whether the conformance tests run against Palisade."""
    return not request.config.getoption("--broker")


@pytest.fixture(scope="session")
def broker(request):
    """Where MQTT is spoken without TLS."""
    other = request.config.getoption("--broker")
    if other:
        host, port = other.rsplit(":", 1)
        return host, int(port)
    return "127.0.0.1", request.getfixturevalue("plaintext").plaintext


@pytest.fixture()
def topic(request):
    """A topic of the test's own; it serves as a client id too."""
    return "t-" + re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)
