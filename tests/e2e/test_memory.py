"""The memory of the server: no core dump, and no page in swap where the system allows it."""

import os
import pathlib
import re
import signal
import subprocess

import pytest

from palisade import Palisade, binary

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
def test_the_memory_is_locked_where_it_is_to_be(tmp_path):
    # Root may lock whatever the limit says.
    with Palisade(tmp_path, MEMORY__LOCK="always").running() as server:
        server.login()
        assert locked_kib(server) > 10_000, "its pages are locked"
        found = judged(server)
        assert found["level"] == "ok" and "locked" in found["detail"], found
        size = int(re.search(r"VmSize:\s+(\d+) kB", of_process(server, "status"))[1])
        assert locked_kib(server) < size


@pytest.mark.skipif(os.geteuid() != 0, reason="limits are raised, and capabilities dropped, by root alone")
def test_a_limit_leaves_it_unlocked_and_always_refuses_to_start(tmp_path):
    with Palisade(tmp_path / "auto", under=LIMITED).running() as server:
        server.login()
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
    # The limit is lifted as far as it goes, and the working directory is ours: where this system dumps at all, it does.
    under = ("sh", "-c", 'ulimit -S -c "$(ulimit -H -c)"; cd "$0"; exec "$@"', str(tmp_path))
    server = Palisade(tmp_path / "server", under=under)
    with server.running():
        server.login()
        limits = of_process(server, "limits")
        assert re.search(r"Max core file size\s+0\s+0\s", limits), limits
        assert judged(server)["level"] == "ok"
        assert not leaves_a_dump(server)
        # The control: the same fault of a server that may.
        server.settings["MEMORY__CORE_DUMPS"] = "true"
        server.start()
        assert judged(server)["level"] == "warn"
        raised = not re.search(r"Max core file size\s+0\s", of_process(server, "limits"))
        dumped = leaves_a_dump(server)
        piped = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().startswith("|")
        assert dumped or piped or not raised, "where nothing forbids it, the kernel says that it dumped"
        del server.settings["MEMORY__CORE_DUMPS"]
        server.start()
