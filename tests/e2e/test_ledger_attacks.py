"""What somebody does who has the whole data directory, and what a checkpoint shows that was kept elsewhere."""

import hashlib
import json
import shutil
import sqlite3

import pytest

from palisade import Palisade, wait_for


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha(b"\x01", root(leaves[:split]), root(leaves[split:]))


def rewrite(server, sequence):
    """Rewrites an entry, and makes every hash after it anew: the chain, the tree, and nothing is left of before."""
    with sqlite3.connect(server.data / "palisade.db") as database:
        (body,) = database.execute("SELECT body FROM ledger WHERE seq = ?", (sequence,)).fetchone()
        changed = json.loads(body)
        changed["time"] = "2001-01-01T00:00:00Z"
        database.execute("UPDATE ledger SET body = ? WHERE seq = ?", (json.dumps(changed), sequence))
        chain, leaves = bytes(32), []
        for seq, body in database.execute("SELECT seq, body FROM ledger ORDER BY seq").fetchall():
            leaf = sha(b"\x00", body.encode())
            chain = sha(b"\x02", chain, seq.to_bytes(8, "big"), leaf)
            leaves.append(leaf)
            database.execute("UPDATE ledger SET leaf = ?, chain = ? WHERE seq = ?", (leaf, chain, seq))
        for index in range(len(leaves) // 256):
            database.execute("UPDATE ledger_nodes SET hash = ? WHERE level = 1 AND idx = ?",
                             (root(leaves[index * 256:index * 256 + 256]), index))
        database.execute("DELETE FROM ledger_checkpoints")


def serve(folder):
    return Palisade(folder, LEDGER__CHECKPOINT_EVERY_S="1")


def grow(server, name, entries=5):
    for number in range(entries):
        server.put(f"/products/{name}-{number}", {"description": "an entry"})


def keep(server, file):
    """Keeps a checkpoint over all entries elsewhere."""
    server.login()
    entries = server.get("/ledger/head")["entries"]
    def newest():
        found = server.get("/ledger/log")["checkpoint"]
        return found and found["entries"] >= entries and found
    file.write_text(wait_for(newest, f"a checkpoint over {entries} entries", 30)["note"])
    return file


def verify(server, file, *more):
    server.login()
    done = server.cli("ledger", "verify", "--checkpoint", file, *more, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.fixture()
def server(tmp_path):
    with serve(tmp_path / "palisade").running() as server:
        yield server


def test_a_checkpoint_that_was_kept_shows_that_nothing_was_rewritten(server, tmp_path):
    grow(server, "before")
    kept = keep(server, tmp_path / "kept")
    grow(server, "after")
    status, said = verify(server, kept)
    assert status == 0 and "goes on from the checkpoint" in said, said


def test_an_entry_that_was_rewritten_with_all_hashes_is_caught_by_the_checkpoint_and_by_nothing_else(server, tmp_path):
    grow(server, "before")
    kept = keep(server, tmp_path / "kept")
    server.stop()
    rewrite(server, 3)
    server.start()
    grow(server, "after")
    # Every hash is right again, and the server has signed what it found: it has nothing else to go by.
    assert server.post("/ledger/verify")["fault"] is None
    status, said = verify(server, kept)
    assert status == 6 and "rewritten" in said, said


def test_a_server_that_was_rolled_back_is_caught_at_once_and_after_it_grew_again(server, tmp_path):
    grow(server, "monday")
    server.stop()
    shutil.copytree(server.data, tmp_path / "monday")
    server.start()
    grow(server, "tuesday")
    kept = keep(server, tmp_path / "kept")
    server.stop()
    shutil.rmtree(server.data)
    shutil.copytree(tmp_path / "monday", server.data)
    server.start()
    assert server.post("/ledger/verify")["fault"] is None
    status, said = verify(server, kept)
    assert status == 6 and "rolled back" in said, said
    grow(server, "instead", 20)
    status, said = verify(server, kept)
    assert status == 6 and "another copy" in said, said


def test_a_ledger_whose_end_was_cut_off_signs_nothing_more_and_says_so(server, tmp_path):
    grow(server, "before")
    kept = keep(server, tmp_path / "kept")
    server.stop()
    with sqlite3.connect(server.data / "palisade.db") as database:
        database.execute("DELETE FROM ledger WHERE seq > 4")
    server.start()
    status, said = verify(server, kept)
    assert status == 6 and "cut off" in said, said
    assert "cut off" in server.get("/ledger/log")["withheld"]
    # The server goes on, and does not sign over the loss.
    grow(server, "after", 20)
    assert "rewritten" in server.get("/ledger/log")["withheld"] or "cut off" in server.get("/ledger/log")["withheld"]
    assert server.rest("GET", "/ledger/proofs/20")[0] == 409


def test_two_servers_that_go_on_from_one_log_cannot_both_be_it(server, tmp_path):
    grow(server, "common")
    common = keep(server, tmp_path / "common")
    server.stop()
    other = serve(tmp_path / "other")
    shutil.copytree(server.data, other.data)
    shutil.copy(server.ca, other.ca)
    other.token = server.token
    server.start()
    try:
        other.start()
        grow(server, "here", 3)
        grow(other, "there", 3)
        here, there = keep(server, tmp_path / "here"), keep(other, tmp_path / "there")
        # Both go on from what they had in common, under one key; neither from the other.
        assert verify(server, common)[0] == verify(other, common)[0] == 0
        for one, kept in ((server, there), (other, here)):
            status, said = verify(one, kept)
            assert status == 6 and "another copy" in said, said
    finally:
        other.kill()


def test_a_checkpoint_of_another_log_or_under_another_key_is_not_believed(server, tmp_path):
    kept = keep(server, tmp_path / "kept")
    (key,) = server.get("/ledger/log")["keys"]
    with serve(tmp_path / "other").running() as other:
        grow(other, "more")
        foreign = keep(other, tmp_path / "foreign")
        (foreign_key,) = other.get("/ledger/log")["keys"]
    status, said = verify(server, foreign)
    assert status == 6 and "another log" in said, said
    status, said = verify(server, kept, "--key", foreign_key)
    assert status == 6 and "no key that is trusted" in said, said
    # The root hash of one log under the name of the other.
    text = kept.read_text().splitlines()
    forged = foreign.read_text().splitlines()
    (tmp_path / "forged").write_text("\n".join([text[0], *forged[1:]]) + "\n")
    status, said = verify(server, tmp_path / "forged")
    assert status == 6, said
    assert verify(server, kept, "--key", key)[0] == 0


def test_a_proof_and_a_bundle_verify_without_a_server_and_whatever_is_changed_is_found(server, tmp_path):
    grow(server, "entry", 12)
    server.login()
    key = server.cli("ledger", "key").stdout.decode().strip()
    proof, bundle = tmp_path / "7.tlog-proof", tmp_path / "evidence.ndjson"
    server.cli("ledger", "prove", "7", "--out", proof)
    server.cli("ledger", "export", "--from", "5", "--to", "9", "--out", bundle)
    server.stop()

    def offline(kind, file, with_key=key):
        done = server.cli("ledger", "verify", f"--{kind}", file, "--key", with_key, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()

    for home in server.home.rglob("*"):
        if home.is_file():
            home.unlink()  # not logged in to anything
    assert offline("proof", proof)[0] == 0
    status, said = offline("bundle", bundle)
    assert status == 0 and "Entries 5 to 9" in said, said
    changed = tmp_path / "changed"
    lines = bundle.read_text().splitlines(keepends=True)
    for bad in ("".join(lines[:3] + lines[4:]), "".join(lines[:-1]), bundle.read_text().replace("entry-", "other-")):
        assert bad != bundle.read_text()
        changed.write_text(bad)
        assert offline("bundle", changed)[0] == 6, bad
    text = proof.read_text()
    changed.write_text(text.replace("index 6", "index 5"))
    assert offline("proof", changed)[0] == 6
    with serve(tmp_path / "other").running() as other:
        (foreign,) = other.get("/ledger/log")["keys"]
    assert offline("proof", proof, foreign)[0] == 6
    assert offline("bundle", bundle, foreign)[0] == 6
    assert offline("bundle", bundle, "no key")[0] == 2
