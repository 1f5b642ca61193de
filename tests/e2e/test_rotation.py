"""A device is asked for a new key: its agent makes one, and the old certificate ends."""

import base64
import json
import re

import pytest

from fleet import Fleet, Identity, curl, run
from palisade import Palisade, wait_for
from test_agent import Agent

# The shipped playbook, which waits for a person, with less patience.
PLAYBOOK = """
name: weak-or-shared-key
description: for the tests
trigger: { detectors: ["audit/shared-key"], min_severity: medium }
conditions: { subjects: [device] }
actions:
  - action: rotate-credential
    parameters: { within_s: %s, if_late: %s }
    mode: approve
"""


@pytest.fixture()
def server(tmp_path):
    palisade = Palisade(tmp_path / "rotation", RESPOND__PLAYBOOKS_DIR="playbooks")
    (palisade.data / "playbooks").mkdir(mode=0o700, parents=True)
    palisade.data.chmod(0o700)
    with palisade.running():
        yield palisade


def playbook(palisade, within_s=86_400, if_late="ask"):
    (palisade.data / "playbooks" / "own.yaml").write_text(PLAYBOOK % (within_s, if_late))
    wait_for(lambda: "for the tests" in palisade.get("/playbooks/weak-or-shared-key")["description"],
             "the playbook is read")


@pytest.fixture()
def agent(server):
    agent = Agent(server, Fleet(server))
    agent.enrol()
    yield agent
    agent.stop()


def request_for(name, key):
    der = run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-outform", "DER").stdout
    return base64.b64encode(der)


def twin(palisade, agent):
    """Another device with a certificate for the agent's key: a clone of its image, as an audit finds it."""
    fleet = Fleet(palisade)
    name = fleet.register()
    secret = fleet.token(device=name)["secret"]
    identity = Identity(name, fleet.new_folder(name), palisade.ca)
    text = (agent.state / "identity.pem").read_text()
    identity.key.write_text(re.search(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n", text, re.S)[0])
    answer = curl(palisade, "/.well-known/est/simpleenroll", "-u", f"{name}:{secret}", "-H",
                  "content-type: application/pkcs10", body=request_for(name, identity.key))
    assert answer.status == 200, answer
    chain = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", input=base64.b64decode(answer.body)).stdout
    identity.certificate.write_bytes(chain)
    return identity


def reenrol(palisade, identity, key=None):
    return curl(palisade, "/.well-known/est/simplereenroll", *identity.curl(), "-H",
                "content-type: application/pkcs10", body=request_for(identity.name, key or identity.key))


def rotation(palisade, name):
    items = palisade.get(f"/actions?target=device/{name}&action=rotate-credential")["items"]
    return items[0] if items else None


def find_and_approve(palisade, *names):
    palisade.post("/audits/run", {"checks": ["shared-key"]})
    for name in names:
        waiting = wait_for(lambda: rotation(palisade, name), f"{name} is to get a new key")
        assert waiting["state"] == "waiting" and waiting["playbook"] == "weak-or-shared-key", waiting
        palisade.post(f"/actions/{waiting['id']}/approve", {"reason": "a test"})


def certificates(palisade, name):
    return palisade.get(f"/devices/{name}/certificates")["items"]


def is_over(palisade, name):
    action = rotation(palisade, name)
    return action["state"] == "done" and action["ended_at"] and "new key" in action["why"]


def timeline(palisade, name):
    case = palisade.get(f"/actions/{rotation(palisade, name)['id']}")["case"]
    return json.dumps(palisade.get(f"/cases/{case}")["timeline"])


def test_the_agent_makes_a_new_key_and_the_old_certificate_ends(server, agent):
    twin(server, agent)
    agent.start()
    before = (agent.state / "identity.pem").read_text()
    find_and_approve(server, agent.name)
    wait_for(lambda: (agent.state / "identity.pem").read_text() != before, "it has another key and certificate")
    wait_for(lambda: is_over(server, agent.name), "the action is over", 40)
    old, new = sorted(certificates(server, agent.name), key=lambda one: one["issued_at"])
    assert old["revocation"]["reason"] == "superseded" and not new.get("revocation"), (old, new)
    key = re.search(r"-----BEGIN PRIVATE KEY-----.*?-----END", before, re.S)[0]
    assert key not in (agent.state / "identity.pem").read_text()
    wait_for(lambda: agent.status()["connection"]["connected"], "it is connected")
    action = rotation(server, agent.name)
    status, answer = server.rest("POST", f"/actions/{action['id']}/undo", {"reason": "a test"}, expect=(409,))
    assert "undone" in json.dumps(answer), answer
    told = [event for event in server.events(kind="responded") if event["response"] == action["id"]]
    assert any("new key" in event["reason"] for event in told), told
    server.login()
    assert server.cli("ledger", "verify").returncode == 0


def test_a_device_that_was_away_follows_when_it_comes_even_after_kill_9(server, agent):
    twin(server, agent)
    find_and_approve(server, agent.name)
    wait_for(lambda: rotation(server, agent.name)["state"] == "done", "it is asked")
    server.kill()
    server.start()
    before = (agent.state / "identity.pem").read_text()
    agent.start()
    wait_for(lambda: is_over(server, agent.name), "the action is over", 40)
    assert (agent.state / "identity.pem").read_text() != before


def test_the_door_takes_no_old_key_and_a_device_that_does_not_follow_waits_for_a_person(server, agent):
    playbook(server, within_s=2)
    clone = twin(server, agent)
    assert reenrol(server, clone).status == 200
    find_and_approve(server, clone.name)
    wait_for(lambda: rotation(server, clone.name)["state"] == "done", "it is asked")
    refused = reenrol(server, clone)
    assert refused.status == 400 and b"new key" in refused.body, refused
    wait_for(lambda: "did not follow" in rotation(server, clone.name)["why"], "it is overdue")
    assert "did not follow" in timeline(server, clone.name)
    # It is not locked out: it follows late, by hand.
    key = clone.folder / "new.pem"
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", key)
    assert reenrol(server, clone, key).status == 200
    # Who asked may still take it back: both stay good.
    server.post(f"/actions/{rotation(server, clone.name)['id']}/undo", {"reason": "a test"})
    wait_for(lambda: rotation(server, clone.name)["state"] == "undone", "it is cancelled")
    assert not any(one.get("revocation") for one in certificates(server, clone.name))
    assert reenrol(server, clone).status == 200, "the old key is good again"


def test_what_is_ordered_about_a_late_device_goes_through_the_guard_rails(server, agent):
    playbook(server, within_s=1, if_late="revoke-certificate")
    clone = twin(server, agent)
    find_and_approve(server, clone.name)
    def revocation():
        return server.get(f"/actions?target=device/{clone.name}&action=revoke-certificate")["items"]
    waiting = wait_for(revocation, "a revocation is ordered")
    assert [one["state"] for one in waiting] == ["waiting"], waiting
    assert waiting[0]["playbook"] == "weak-or-shared-key"


def test_a_person_asks_for_a_new_key_without_a_case(server, agent):
    agent.start()
    server.login()
    before = (agent.state / "identity.pem").read_text()
    asked = server.cli("device", "rotate", agent.name, "--within", "1h", "--reason", "the image was cloned")
    assert asked.returncode == 0 and b"is asked for a new key" in asked.stdout, asked
    wait_for(lambda: (agent.state / "identity.pem").read_text() != before, "it has another key and certificate")
    wait_for(lambda: server.get(f"/devices/{agent.name}/rotation")["state"] == "done", "it is done", 40)
    old, new = sorted(certificates(server, agent.name), key=lambda one: one["issued_at"])
    assert old["revocation"]["reason"] == "superseded" and not new.get("revocation"), (old, new)
    shown = server.cli("device", "rotation", agent.name, "--json")
    assert json.loads(shown.stdout)["serial"] == new["serial"], shown
    late = server.cli("device", "rotation", agent.name, "--stop", check=False)
    assert late.returncode != 0 and b"revoked already" in late.stderr, late
