"""The memory of the server: no core dump, and no page in swap where the system allows it."""

import os
import pathlib
import re
import signal
import subprocess

import pytest

from palisade import Palisade, binary

UNLIMITED = ("prlimit", "--memlock=unlimited:unlimited")
# Root without the capability that lifts the limit is as any other user.
LIMITED = ("prlimit", "--memlock=65536:65536", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock")


def of_process(server, file):
    return pathlib.Path(f"/proc/{server.process.pid}/{file}").read_text()


def locked_kib(server):
    return int(re.search(r"VmLck:\s+(\d+) kB", of_process(server, "status"))[1])


def judged(server):
    findings = server.cli_json("doctor")["findings"]
    return next(one for one in findings if one["check"] == "memory")


def leaves_a_dump(server):
    """Ends the server as a fault does; what the kernel says of its memory, wherever it would have put it."""
    os.kill(server.process.pid, signal.SIGABRT)
    _, status = os.waitpid(server.process.pid, 0)
    server.process.returncode = os.waitstatus_to_exitcode(status)
    assert server.process.returncode == -signal.SIGABRT
    return os.WCOREDUMP(status)


@pytest.mark.skipif(os.geteuid() != 0, reason="limits are raised, and capabilities dropped, by root alone")
def test_the_memory_is_locked_where_nothing_limits_it(tmp_path):
    with Palisade(tmp_path, under=UNLIMITED).running() as server:
        assert locked_kib(server) > 10_000, "its pages are locked"
        assert judged(server)["level"] == "ok"
        # The wait of a later start: what is touched is locked, not what is only reserved.
        size = int(re.search(r"VmSize:\s+(\d+) kB", of_process(server, "status"))[1])
        assert locked_kib(server) < size


@pytest.mark.skipif(os.geteuid() != 0, reason="limits are raised, and capabilities dropped, by root alone")
def test_a_limit_leaves_it_unlocked_and_always_refuses_to_start(tmp_path):
    with Palisade(tmp_path / "auto", under=LIMITED).running() as server:
        assert locked_kib(server) == 0
        found = judged(server)
        has_swap = len(pathlib.Path("/proc/swaps").read_text().splitlines()) > 1
        assert found["level"] == ("warn" if has_swap else "ok"), found
    always = Palisade(tmp_path / "always", under=LIMITED, MEMORY__LOCK="always")
    done = subprocess.run([*LIMITED, binary("palisade"), "serve", "--data", str(always.data)],
                          capture_output=True, env=always.environment(), timeout=60)
    assert done.returncode == 1
    error = done.stderr.decode()
    assert "memory.lock" in error and "LimitMEMLOCK=infinity" in error, error
    assert not (always.data / "palisade.db").exists(), "nothing was begun"


def test_a_fault_leaves_no_core_dump_but_where_somebody_asked_for_one(tmp_path):
    # The limit is lifted, and the working directory is ours: where this system dumps at all, it does.
    under = ("prlimit", "--core=unlimited", "env", f"--chdir={tmp_path}")
    server = Palisade(tmp_path / "server", under=under)
    with server.running():
        limits = of_process(server, "limits")
        assert re.search(r"Max core file size\s+0\s+0\s", limits), limits
        assert judged(server)["level"] == "ok"
        assert not leaves_a_dump(server)
        server.settings["MEMORY__CORE_DUMPS"] = "true"
        server.start()
        assert judged(server)["level"] == "warn"
        may_dump = re.search(r"Max core file size\s+unlimited", of_process(server, "limits"))
        assert may_dump, "it was asked for"
        leaves_a_dump(server)
        del server.settings["MEMORY__CORE_DUMPS"]
        server.start()
