"""Who may what, at the console in a real browser: roles, teams, second persons, the log of access and its reviews."""

import pytest

from console import READY, person
from palisade import Palisade
from test_console_people import good
from test_people import PASSWORD, account, call, code

ROLE = '''// Reads devices and quarantines them.
@id("contains")
permit (
  principal in Role::"night-watch",
  action in [Action::"devices:read", Action::"device.quarantine"],
  resource
);
'''

pytestmark = READY


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Palisade(tmp_path_factory.mktemp("roles")).running() as server:
        # Before there are two owners: then what is about great roles waits for the second.
        for name, role in (("tina", "technician"), ("toni", "technician"), ("sam", "security-analyst")):
            account(server, name, role)
        yield server


def owner(server, name):
    """An owner with a second factor, and the recovery codes that they sign in with."""
    session = account(server, name, "owner")
    secret = call(server, "POST", "/account/totp", session=session).json()["secret"]
    confirmed = call(server, "POST", "/account/totp/confirm", {"code": code(secret)}, session=session)
    assert confirmed.status == 200, confirmed.body
    return name, confirmed.json()["recovery_codes"]


def who(owner):
    name, codes = owner
    return {"account": name, "password": PASSWORD, "code": codes.pop()}


def test_a_role_is_written_with_its_mistakes_at_their_lines_and_given_for_a_site_and_to_a_team(server):
    wrong = ROLE.replace("device.quarantine", "device.quarantain")
    seen = person(server, "roles", account="tina", role="night-watch", wrong=wrong, right=ROLE)
    good(seen["looks"])
    assert {"permit", "principal", "in"} <= set(seen["coloured"]), seen["coloured"]
    assert 'Role::"night-watch"' in seen["copied"] and 'Role::"operator"' not in seen["copied"]
    assert seen["wrong"]["number"] == 5 and "quarantain" in seen["wrong"]["text"], seen["wrong"]
    assert "quarantain" in seen["picked"]
    made = server.get("/roles/night-watch")
    assert made["cedar"] == ROLE and "device.quarantine" in made["actions"]
    tina = {one["name"]: one for one in server.get("/accounts")["items"]}["tina"]
    bound = tina["assignments"][0]
    assert bound["role"] == "night-watch" and bound["bounds"] == {"label": {"key": "site", "value": "berlin"}}
    assert bound["until"].startswith("2099-01-31") and tina["roles"] == ["technician"] and tina["teams"] == ["berlin"]


@pytest.fixture(scope="module")
def owners(server):
    return owner(server, "anna"), owner(server, "otto")


def test_an_act_that_waits_for_a_second_person_goes_on_when_they_have_approved_it(server, owners):
    before = server.get("/policy")["version"]
    seen = person(server, "eyes", one=who(owners[0]), two=who(owners[1]), mark="seen by two")
    good(seen["looks"])
    assert "seen by two" in seen["shown"] and "a mark" in seen["shown"], seen["shown"]
    after = server.get("/policy")
    assert after["version"] == before + 1 and "// seen by two" in after["text"] and after["author"] == "anna"
    acts = [(event["act"], event["actor"]["id"]) for event in server.events(kind="administrative")
            if event["outcome"] == "done" and event["act"] in ("approval.approve", "policy.apply")]
    assert acts[-2:] == [("approval.approve", "otto"), ("policy.apply", "anna")], acts


def test_a_role_for_a_time_is_asked_for_and_given_by_somebody_else(server, owners):
    seen = person(server, "ask", who={"account": "toni", "password": PASSWORD}, two=who(owners[1]))
    good(seen["looks"])
    assert seen["offered"] == ["Overview", "Devices", "Requests", "Your account", "Settings"]
    given = server.get("/elevations")["items"][0]
    assert (given["account"], given["role"], given["state"], given["minutes"]) == ("toni", "operator", "approved", 15)


def test_an_analyst_looks_at_who_did_what_and_signs_who_may_what(server):
    rita = account(server, "rita", "auditor")
    refused = call(server, "POST", "/roles", {"name": "x", "cedar": ROLE}, session=rita)
    assert refused.status == 403, refused.body
    ci = server.post("/api-tokens", {"name": "ci", "scopes": ["devices:read", "ledger:read", "events:read"]})["secret"]
    assert server.rest("GET", "/devices", token=ci)[0] == 200
    seen = person(server, "review", who={"account": "sam", "password": PASSWORD}, seen="rita")
    good(seen["looks"])
    assert seen["tabs"] == ["Access log", "Access review"], "what needs another right is not offered"
    of_token = seen["ofToken"]
    assert of_token.startswith("ci: used 1 of 3 scopes") and "device.list" in of_token, of_token
    unused = of_token.partition("did nothing:")[2].partition("What it did:")[0]
    assert "ledger:read" in unused and "events:read" in unused and "devices:read" not in unused, of_token
    assert "Denied" in seen["denied"] and "auditor" in seen["denied"], seen["denied"]
    signed = server.get("/access/reviews")["items"]
    assert [(one["reviewer"], one["note"]) for one in signed] == [("sam", "third quarter")]
