"""Persons in the ledger: entries commit to what is about them, and an erased person leaves a tree that is whole."""

import json
import sqlite3

import pytest

from palisade import Palisade

# Names that no other byte on the disk is likely to have.
ANNA, BERT = "anna.zwiebelfeld", "bert.quarkstrudel"


@pytest.fixture()
def server(tmp_path):
    with Palisade(tmp_path / "palisade", LEDGER__CHECKPOINT_EVERY_S="1").running() as server:
        server.login()
        yield server


def person(server, name):
    server.post("/accounts", {"name": name, "roles": ["operator"], "password": "Kx7!vmQ2-zephyr-Lodge"})


def on_disk(server, word):
    """The files of the data directory in which a word stands."""
    found = []
    for path in server.data.rglob("*"):
        if path.is_file() and word.encode() in path.read_bytes():
            found.append(path.name)
    return found


def entries_of(server, word):
    exported = server.get("/ledger/export?format=native").decode().splitlines()
    return [json.loads(line)["id"] for line in exported if word in line]


def erase(server, name):
    server.cli("account", "disable", name, "--yes")
    return json.loads(server.cli("account", "erase", name, "--yes", "--json").stdout)


def test_an_erased_person_is_in_no_file_and_every_proof_goes_on_to_verify(server, tmp_path):
    person(server, ANNA)
    person(server, BERT)
    assert server.rest("POST", "/erasures", {"account": ANNA})[0] == 409, "it was not disabled"
    server.cli("ledger", "checkpoint")
    kept, proof, bundle = (tmp_path / name for name in ("kept", "proof", "bundle"))
    kept.write_bytes(server.cli("ledger", "checkpoint").stdout)
    key = server.cli("ledger", "key").stdout.decode().strip()
    ids = entries_of(server, ANNA)
    assert ids and on_disk(server, ANNA)
    with sqlite3.connect(server.data / "palisade.db") as database:
        bodies = dict(database.execute("SELECT SUBSTR(body, 1), seq FROM ledger"))
    assert not [body for body in bodies if ANNA in body], "an entry itself has the name"
    seq = next(item["seq"] for item in server.get("/ledger?limit=1000")["items"] if item["entry"]["id"] == ids[0])
    assert ANNA in json.dumps(server.get(f"/ledger/proofs/{seq}")["personal"])
    server.cli("ledger", "prove", seq, "--out", proof)
    server.cli("ledger", "export", "--from", "1", "--out", bundle)

    done = erase(server, ANNA)
    assert done["values"] >= 2 and done["account_removed"] and done["compacted"], done
    # Her name is gone from what is read; the entries are there.
    assert entries_of(server, ANNA) == []
    events = {line["id"]: line for line in map(json.loads, server.get("/ledger/export?format=native").decode().splitlines())}
    assert all(events[one]["target"] == "erased" for one in ids), [events[one] for one in ids]
    assert ANNA not in json.dumps(server.events())
    assert ANNA not in json.dumps(server.get("/accounts"))
    # The tree is whole, and goes on from what was kept; what was handed out before verifies too.
    verified = server.post("/ledger/verify")
    assert verified["fault"] is None, verified
    server.cli("ledger", "verify", "--checkpoint", kept)
    assert server.get(f"/ledger/proofs/{seq}")["personal"] == []
    for file in ("proof", "bundle"):
        server.cli("ledger", "verify", f"--{file}", tmp_path / file, "--key", key)
    after = tmp_path / "after"
    server.cli("ledger", "export", "--from", "1", "--out", after)
    server.cli("ledger", "verify", "--bundle", after, "--key", key)
    assert ANNA not in after.read_text() and BERT in after.read_text()
    # Not one byte of her, and Bert is there still.
    assert on_disk(server, ANNA) == []
    assert entries_of(server, BERT)
    server.stop()
    assert on_disk(server, ANNA) == []
    server.start()
    assert server.post("/ledger/verify")["fault"] is None


def test_a_bundle_can_leave_persons_out_and_verifies_all_the_same(server, tmp_path):
    person(server, ANNA)
    key = server.cli("ledger", "key").stdout.decode().strip()
    bundle = tmp_path / "bundle"
    server.cli("ledger", "export", "--from", "1", "--without-persons", "--out", bundle)
    assert ANNA not in bundle.read_text()
    server.cli("ledger", "verify", "--bundle", bundle, "--key", key)
    server.cli("ledger", "export", "--from", "1", "--out", bundle)
    changed = bundle.read_text().replace(ANNA, BERT)
    assert changed != bundle.read_text()
    bundle.write_text(changed)
    done = server.cli("ledger", "verify", "--bundle", bundle, "--key", key, check=False)
    assert done.returncode == 6 and b"committed to" in done.stderr, done


@pytest.mark.parametrize("sql, why", [
    (f"UPDATE ledger_personal SET value = '{BERT}' WHERE value LIKE '{ANNA}%'", "not what the entry committed to"),
    (f"DELETE FROM ledger_personal WHERE value LIKE '{ANNA}%'", "somebody removed others"),
])
def test_a_name_that_was_changed_or_removed_behind_our_back_is_found(server, sql, why):
    person(server, ANNA)
    assert server.post("/ledger/verify")["fault"] is None
    server.stop()
    with sqlite3.connect(server.data / "palisade.db") as database:
        assert database.execute(sql).rowcount > 0
    server.start()
    assert why in server.post("/ledger/verify")["fault"]
