"""Second persons at the command line: acts that wait for one, and roles for a time on request."""

import json

import pytest

from palisade import Palisade, binary, run
from test_people import OTHER, PASSWORD, account, call, code, log_in


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Palisade(tmp_path_factory.mktemp("eyes")).running() as server:
        server.login()
        yield server


class Person:
    """Somebody at the command line."""

    def __init__(self, server, name, role):
        self.server = server
        session = account(server, name, role)
        if role == "owner":
            secret = call(server, "POST", "/account/totp", session=session).json()["secret"]
            answer = call(server, "POST", "/account/totp/confirm", {"code": code(secret)}, session=session)
        else:
            answer, _ = log_in(server, name)
        # Nobody used it yet: it belongs to the command line.
        self.session = answer.headers["set-cookie"].split(";")[0].split("=", 1)[1]

    def say(self, *arguments, status=0, **options):
        environment = {**self.server.environment(), "PALISADE_TOKEN": self.session}
        done = run(binary("palisade"), *arguments, check=False, env=environment, **options)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def json(self, *arguments):
        return json.loads(self.say(*arguments, "--json")[0])


@pytest.fixture(scope="module")
def people(server):
    """Technician, then two owners: with the second, great acts wait."""
    return [Person(server, *one) for one in (("tina", "technician"), ("anna", "owner"), ("otto", "owner"))]


def test_an_act_that_waits_is_shown_approved_and_done_once(people):
    tina, anna, otto = people
    create = ("account", "create", "olaf", "--role", "owner")
    _, said = anna.say(*create, status=3, input=OTHER.encode())
    waiting = otto.json("approval", "list", "--state", "waiting")["items"]
    assert [one["act"] for one in waiting] == ["account.create"]
    name = waiting[0]["id"]
    assert f"palisade approval approve {name}" in said and f"--approval {name}" in said, said
    shown, _ = otto.say("approval", "show", name)
    assert '"name": "olaf"' in shown and "(hidden)" in shown and OTHER not in shown, shown
    # Not yet, not by who asked, not by who may not do it, and no other act by its name.
    anna.say(*create, "--approval", name, status=3, input=OTHER.encode())
    _, why = anna.say("approval", "approve", name, "--yes", status=3)
    assert "nobody decides what they asked for themselves" in why
    tina.say("approval", "approve", name, "--yes", status=4)
    tina.say("approval", "show", name, status=4)
    assert tina.json("approval", "list")["items"] == []
    said, _ = otto.say("approval", "approve", name, "--yes")
    assert f"with `--approval {name}`" in said
    anna.say("account", "create", "other", "--role", "owner", "--approval", name, status=3, input=OTHER.encode())
    said, _ = anna.say(*create, "--approval", name, input=OTHER.encode())
    assert "olaf is made" in said
    anna.say("account", "create", "olaf", "--role", "owner", "--approval", name, status=3, input=OTHER.encode())
    assert anna.json("approval", "show", name)["state"] == "used"
    # Refused is refused.
    anna.say("account", "create", "nina", "--role", "owner", status=3, input=OTHER.encode())
    name = otto.json("approval", "list", "--state", "waiting")["items"][0]["id"]
    otto.say("approval", "refuse", name)
    anna.say("account", "create", "nina", "--role", "owner", "--approval", name, status=3, input=OTHER.encode())
    otto.say("approval", "reject", name, status=1)


def test_a_role_is_asked_for_given_and_ended(server, people):
    tina, anna, otto = people
    tina.say("ledger", "head", status=3)
    assert "auditor" in [one["name"] for one in tina.json("elevation", "roles")["items"]]
    for wrong in ("30s", "2d", "90s"):
        tina.say("elevation", "ask", "auditor", "--for", wrong, "--reason", "x", status=2)
    said, _ = tina.say("elevation", "ask", "auditor", "--for", "30m", "--reason", "looking for case 7")
    waiting = anna.json("elevation", "list", "--state", "waiting")["items"]
    name = waiting[0]["id"]
    assert name in said and (waiting[0]["reason"], waiting[0]["minutes"]) == ("looking for case 7", 30)
    tina.say("elevation", "approve", name, "--yes", status=4)
    shown, _ = anna.say("elevation", "show", name)
    assert "looking for case 7" in shown
    anna.say("elevation", "approve", name, "--yes")
    tina.say("ledger", "head")
    # Whoever could not have given it does not end it; whoever has it does.
    peter = Person(server, "peter", "technician")
    peter.say("elevation", "end", name, status=4)
    said, _ = tina.say("elevation", "end", name)
    assert said.strip() == "tina is auditor no longer."
    tina.say("ledger", "head", status=3)
    tina.say("elevation", "end", name, status=1)
    acts = [event["act"] for event in server.events(kind="administrative") if event["outcome"] == "done"]
    assert [act for act in acts if act.startswith("elevation.")] == \
        ["elevation.ask", "elevation.approve", "elevation.end"]
    # By who could have given it, and refused.
    tina.say("elevation", "ask", "auditor", "--reason", "again")
    name = anna.json("elevation", "list", "--state", "waiting")["items"][0]["id"]
    tina.say("elevation", "end", name, status=1)
    otto.say("elevation", "refuse", name)
    assert otto.json("elevation", "show", name)["state"] == "rejected"
    tina.say("elevation", "ask", "auditor", "--reason", "again")
    name = anna.json("elevation", "list", "--state", "waiting")["items"][0]["id"]
    anna.say("elevation", "approve", name, "--yes")
    otto.say("elevation", "end", name)
    tina.say("ledger", "head", status=3)
