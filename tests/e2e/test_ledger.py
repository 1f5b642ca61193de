"""The ledger: what it holds, and that a changed entry is found and named."""

import json
import re
import sqlite3

from fleet import Fleet


def flip(path, sequence):
    """Flips one bit in the stored body of an entry."""
    with sqlite3.connect(path) as database:
        (body,) = database.execute("SELECT body FROM ledger WHERE seq = ?", (sequence,)).fetchone()
        at = len(body) // 2
        changed = body[:at] + chr(ord(body[at]) ^ 1) + body[at + 1:]
        database.execute("UPDATE ledger SET body = ? WHERE seq = ?", (changed, sequence))


def test_verify_names_the_entry_in_which_a_bit_was_flipped_while_the_server_was_down(own_palisade):
    Fleet(own_palisade).device()
    assert not own_palisade.post("/ledger/verify").get("fault")
    own_palisade.stop()
    (path,) = [path for path in own_palisade.data.rglob("*") if path.is_file() and
               path.read_bytes()[:15] == b"SQLite format 3"]
    flip(path, 5)
    own_palisade.start()
    fault = own_palisade.post("/ledger/verify")["fault"]
    assert re.search(r"\b5\b", json.dumps(fault)), fault
    own_palisade.login()
    done = own_palisade.cli("ledger", "verify", "--json", check=False)
    assert done.returncode != 0
    assert re.search(r"\b5\b", (done.stdout + done.stderr).decode()), done


def test_every_admission_denial_and_administrative_act_is_an_entry(palisade, fleet):
    device = fleet.device()
    palisade.post(f"/devices/{device.name}/quarantine", {"reason": "an entry, please"})
    exported = palisade.get("/ledger/export?format=native").decode().splitlines()
    mine = [line for line in exported if device.name in line]
    kinds = {json.loads(line).get("event", json.loads(line)).get("kind") for line in mine}
    assert {"enrolled", "posture_changed", "administrative"} <= kinds, kinds


def test_export_is_ocsf_by_lines(palisade, fleet):
    fleet.device()
    lines = palisade.get("/ledger/export?format=ocsf").decode().splitlines()
    assert len(lines) > 5
    for line in lines:
        event = json.loads(line)
        for field in ("class_uid", "category_uid", "activity_id", "type_uid", "severity_id", "time", "metadata"):
            assert field in event, line
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["metadata"]["product"]["name"] == "Palisade"


def test_export_goes_on_where_it_was_left(palisade, fleet):
    fleet.device()
    whole = palisade.get("/ledger/export?format=native").decode().splitlines()
    head = palisade.get("/ledger/head")
    assert head["entries"] >= len(whole)
    rest = palisade.get(f"/ledger/export?format=native&after={len(whole) - 2}").decode().splitlines()
    assert rest[:1] == whole[-1:] or rest[0] == whole[-2], "the export does not begin after the given entry"


def test_no_secret_is_in_the_ledger_the_events_or_the_log(palisade, fleet):
    secret = fleet.token(product=fleet.product())["secret"]
    made = palisade.post("/api-tokens", {"name": "short-lived", "scopes": ["devices:read"]})
    everything = palisade.get("/ledger/export?format=native") + palisade.log().encode()
    everything += json.dumps(palisade.events()).encode()
    for hidden in (secret, made["secret"], palisade.token):
        assert hidden.encode() not in everything


