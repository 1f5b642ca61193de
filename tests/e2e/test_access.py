"""Who did, tried and read what, and reviews of it: at the command line and as curl sees it."""

import re
import urllib.request

import pytest

from palisade import wait_for
from test_account_login import LogIn
from test_people import PASSWORD, account, call


@pytest.fixture
def rita(own_palisade):
    """An auditor's session; the command line is the administrator's."""
    own_palisade.login()
    return account(own_palisade, "rita", "auditor")


def metric(palisade, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{palisade.operators}/metrics", timeout=10) as answer:
        found = re.search(rf"^palisade_{name} (\d+)$", answer.read().decode(), re.MULTILINE)
    return int(found[1])


def test_what_was_read_and_tried_is_in_the_log_and_survives_a_restart(own_palisade, rita):
    for _ in range(5):
        assert call(own_palisade, "GET", "/devices", session=rita).status == 200
    tried = call(own_palisade, "PUT", "/products/x", {"description": "x"}, session=rita)
    assert tried.status == 403, tried.body
    read = own_palisade.cli_json("access", "log", "--subject", "rita", "--action", "device.list")["items"]
    assert [entry["times"] for entry in read] == [5] and read[0]["source"] == "127.0.0.1", read
    denied = own_palisade.cli_json("access", "log", "--subject", "rita", "--outcome", "denied")["items"]
    assert [entry["action"] for entry in denied] == ["product.put"], denied
    assert "auditor" in denied[0]["reason"]
    table = own_palisade.cli("access", "log", "--subject", "rita", "--outcome", "denied").stdout.decode()
    assert "product.put" in table and "OUTCOME" in table, table
    # What was noted and not yet written is written when the server stops.
    call(own_palisade, "GET", "/policy", session=rita)
    own_palisade.stop()
    own_palisade.start()
    kept = own_palisade.cli_json("access", "log", "--subject", "rita")["items"]
    assert {"policy.read", "device.list", "product.put"} <= {entry["action"] for entry in kept}, kept
    wait_for(lambda: metric(own_palisade, "access_log_requests_total") > 0, "requests are counted")
    assert metric(own_palisade, "access_log_lost_total") == 0


def test_an_analyst_signs_a_review_at_the_command_line_and_an_auditor_cannot(own_palisade, rita):
    account(own_palisade, "sam", "security-analyst")
    review = own_palisade.cli_json("access", "review", "--days", "7")
    assert [one["name"] for one in review["items"]] == ["rita", "sam"]
    assert review["suggestions"] > 0 and len(review["digest"]) == 64
    shown = own_palisade.cli("access", "review", "--account", "rita").stdout.decode()
    assert "no second factor" in shown and "Not used of auditor" in shown and review["digest"] in shown, shown
    for name, status in (("rita", 3), ("sam", 0)):
        person = LogIn(own_palisade, name)
        person.say(PASSWORD)
        person.end()
        signed = own_palisade.cli("access", "sign-off", "--days", "7", "--note", "looked at", "--yes",
                                  check=False)
        assert signed.returncode == status, (name, signed)
        if status == 0:
            said = signed.stdout.decode()
            assert "sam signed" in said and review["digest"] in said
            # The signature proves itself to somebody who has the proof alone.
            entry = re.search(r"`palisade ledger prove (\d+)`", said)[1]
            proof = own_palisade.cli("ledger", "prove", entry).stdout.decode()
            assert proof.startswith("c2sp.org/tlog-proof"), proof
    stale = own_palisade.cli("access", "sign-off", "--digest", "0" * 64, "--yes", check=False)
    assert stale.returncode == 1 and b"has changed since you looked" in stale.stderr, stale
    own_palisade.login()
    history = own_palisade.cli_json("access", "reviews")["items"]
    assert [(one["reviewer"], one["note"]) for one in history] == [("sam", "looked at")]
    act = [event["event"] for event in own_palisade.cli_json("events", "--kind", "administrative")["items"]
           if event["event"]["act"] == "access.sign_off"]
    assert {one["outcome"] for one in act} == {"done", "refused"}, act
