"""Fixtures: a real `palisade serve` in a temporary directory, and what clients need to reach it."""

import re

import pytest

from fleet import Fleet
from palisade import Palisade


def pytest_addoption(parser):
    parser.addoption("--broker", help="host:port of another broker: runs the conformance tests against it, "
                     "to see whether a test asks for more than the standard does")


@pytest.fixture(scope="session")
def palisade(tmp_path_factory):
    """One server for the whole run."""
    server = Palisade(tmp_path_factory.mktemp("palisade"))
    server.start()
    server.set_up()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def fleet(palisade):
    """Devices and services of that server."""
    return Fleet(palisade)


@pytest.fixture()
def own_palisade(tmp_path):
    """A server of the test's own, to be killed and restarted."""
    server = Palisade(tmp_path / "palisade")
    server.start()
    server.set_up()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def plaintext(tmp_path_factory):
    """One server with the plaintext listener, whose clients may use every topic but one."""
    server = Palisade(tmp_path_factory.mktemp("plaintext"), plaintext=True)
    server.start()
    server.set_up()
    server.open_plaintext()
    yield server
    server.stop()


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
