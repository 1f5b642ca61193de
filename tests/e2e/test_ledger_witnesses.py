"""Witnesses: others who see each checkpoint and sign that the log only grew. The one here is a few lines upon
golang.org/x/mod/sumdb."""

import contextlib
import os
import pathlib
import shutil
import subprocess

import pytest

from palisade import Palisade, run, wait_for

HERE = pathlib.Path(__file__).parent
ORIGIN = "log.example/witnessed"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    built = tmp_path_factory.mktemp("witness") / "witness"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                   "GOCACHE": str(built.parent / "cache"), "HOME": str(built.parent)}
    run("go", "build", "-o", built, HERE / "witness" / "main.go", env=environment, timeout=300)
    return built


@contextlib.contextmanager
def witness(program, name, log_key):
    """A witness of a log: its key and its address."""
    process = subprocess.Popen([program, name, log_key], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()
    finally:
        process.kill()
        process.wait(timeout=10)


@pytest.fixture()
def server(tmp_path):
    """A log that witnesses can be told the key of, before it has any."""
    with Palisade(tmp_path / "palisade", LEDGER__CHECKPOINT_EVERY_S="1",
                  LEDGER__ORIGIN=ORIGIN).running() as server:
        yield server


def key_of(server):
    (key,) = server.get("/ledger/log")["keys"]
    return key


def restart(server, required, *witnesses):
    """The same server, with witnesses."""
    server.stop()
    tables = [f'{{ url = "{url}", key = "{key}" }}' for key, url in witnesses]
    server.settings["LEDGER__WITNESSES"] = f"[{', '.join(tables)}]"
    server.settings["LEDGER__WITNESSES_REQUIRED"] = str(required)
    server.start()


def published(server, at_least):
    found = server.get("/ledger/log")["checkpoint"]
    return found if found and found["entries"] >= at_least else None


def grow(server, name, entries=3):
    for number in range(entries):
        server.put(f"/products/{name}-{number}", {"description": "an entry"})
    return server.get("/ledger/head")["entries"]


def test_a_checkpoint_carries_the_signatures_of_its_witnesses_and_a_reader_can_demand_them(server, program, tmp_path):
    log_key = key_of(server)
    with witness(program, "w.example/1", log_key) as one, witness(program, "w.example/2", log_key) as two:
        restart(server, 2, one, two)
        for name in ("first", "second"):
            entries = grow(server, name)
            note = wait_for(lambda: published(server, entries), "a published checkpoint")["note"]
            assert "w.example/1 " in note and "w.example/2 " in note, note
        server.login()
        proof = tmp_path / "proof"
        server.cli("ledger", "prove", "5", "--out", proof)
        keys = ["--key", log_key, "--witness", one[0], "--witness", two[0]]
        said = server.cli("ledger", "verify", "--proof", proof, *keys).stdout.decode()
        assert "seen by w.example/1 and w.example/2" in said, said
        with witness(program, "w.example/3", log_key) as third:
            done = server.cli("ledger", "verify", "--proof", proof, *keys, "--witness", third[0], check=False)
            assert done.returncode == 6 and b"2 of the witnesses" in done.stderr, done


def test_without_enough_witnesses_nothing_new_is_published_and_status_says_who_is_missing(server, program):
    log_key = key_of(server)
    with witness(program, "w.example/1", log_key) as one:
        with witness(program, "w.example/2", log_key) as two:
            restart(server, 2, one, two)
            before = grow(server, "seen")
            wait_for(lambda: published(server, before), "a published checkpoint")
        # The second is gone.
        entries = grow(server, "unseen")
        missing = wait_for(lambda: [w for w in server.get("/ledger/log")["witnesses"] if w["error"]], "it is missed")
        assert [w["name"] for w in missing] == ["w.example/2"] and "cannot be reached" in missing[0]["error"]
        assert published(server, entries) is None
        status, body = server.rest("GET", f"/ledger/proofs/{entries}")
        assert status == 409 and "1 of 2 witnesses" in body["detail"], body
        server.login()
        assert b"cannot be reached" in server.cli("ledger", "status").stdout
        doctor = server.cli("doctor", "--data", server.data, check=False).stdout.decode()
        assert "witnesses" in doctor, doctor
        # What was published before is proved as before.
        assert server.rest("GET", f"/ledger/proofs/{before}")[0] == 200


def test_a_witness_finds_a_server_that_was_rolled_back_and_one_whose_entries_are_others(server, program, tmp_path):
    log_key = key_of(server)
    with witness(program, "w.example/1", log_key) as one:
        server.stop()
        shutil.copytree(server.data, tmp_path / "monday")
        server.start()
        restart(server, 1, one)
        entries = grow(server, "tuesday", 20)
        wait_for(lambda: published(server, entries), "a published checkpoint")
        server.stop()
        shutil.rmtree(server.data)
        shutil.copytree(tmp_path / "monday", server.data)
        server.start()
        grow(server, "instead", 1)

        def refused():
            (found,) = server.get("/ledger/log")["witnesses"]
            return found["error"]
        assert "rolled back" in wait_for(refused, "the witness says so")
        entries = grow(server, "instead", 40)
        wait_for(lambda: "another copy" in (refused() or "") and "rolled back" not in refused(), "it is another log")
        assert published(server, entries) is None


def test_a_witness_that_signs_with_another_key_counts_for_nothing(server, program):
    log_key = key_of(server)
    with witness(program, "w.example/1", log_key) as one, witness(program, "w.example/1", log_key) as thief:
        # The address of one, the key of another.
        restart(server, 1, (one[0], thief[1]))
        entries = grow(server, "entry")
        error = wait_for(lambda: server.get("/ledger/log")["witnesses"][0]["error"], "it is refused")
        assert "no signature in it is by w.example/1" in error
        assert published(server, entries) is None


@pytest.mark.parametrize("table, why", [
    ('{ url = "http://witness.example", key = "KEY" }', b"no address of a witness"),
    ('{ url = "https://witness.example", key = "nonsense" }', b"a key is written"),
])
def test_a_witness_that_cannot_be_is_refused_at_the_start(tmp_path, table, why):
    server = Palisade(tmp_path / "palisade", LEDGER__WITNESSES=f"[{table}]")
    done = server.cli("serve", "--data", server.data, check=False)
    assert done.returncode == 1 and why in done.stderr, done
