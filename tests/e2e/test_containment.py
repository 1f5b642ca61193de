"""Containment: what becomes of a device, at every door and at once, when it is no longer trusted."""

import base64
import time

import pytest

import mosquitto
from fleet import Fleet, Identity, curl, key_and_request, simple_enroll
from palisade import run, wait_for


@pytest.fixture()
def device(fleet):
    return fleet.device()


def own(device):
    return f"devices/{device.name}/x"


def crl(palisade, device):
    """The CRL of the device's issuer, as openssl prints it."""
    issuer = palisade.get("/ca")["issuers"][-1]
    answer = curl(palisade, f"/crl/{issuer}.crl")
    assert answer.status == 200 and answer.headers["content-type"] == "application/pkix-crl", answer
    text = run("openssl", "crl", "-inform", "DER", "-noout", "-text", input=answer.body).stdout.decode()
    return text.lower().replace("serial number: 0", "serial number: ")


def renewal(palisade, fleet, device):
    fresh = Identity(device.name, fleet.new_folder(fleet.new_name("fresh")), palisade.ca)
    return simple_enroll(palisade, key_and_request(fresh), *device.curl(), path="/.well-known/est/simplereenroll")


def test_quarantine_closes_the_live_session_within_a_second_and_refuses_the_next(palisade, fleet, device):
    with mosquitto.Subscriber(palisade, device, own(device), options=["-k", "60"]) as session:
        began = time.monotonic()
        answer = palisade.post(f"/devices/{device.name}/quarantine", {"reason": "test"})
        wait_for(session.has_lost, "the session is closed", 1)
        assert time.monotonic() - began < 1
        assert answer["posture"]["lifecycle"] == "quarantined"
        assert answer["closed_sessions"] == 1
    assert mosquitto.publish(palisade, device, own(device), "x", check=False).returncode != 0
    assert renewal(palisade, fleet, device).status == 403
    palisade.post(f"/devices/{device.name}/release", {"reason": "test over"})
    mosquitto.publish(palisade, device, own(device), "x", "-q", "1")
    assert renewal(palisade, fleet, device).status == 200


def test_revocation_puts_the_certificate_on_the_crl_and_refuses_it_at_every_door(palisade, fleet, device):
    assert device.serial() not in crl(palisade, device)
    with mosquitto.Subscriber(palisade, device, own(device)) as session:
        palisade.post(f"/devices/{device.name}/revoke", {"reason": "test", "certificate_reason": "keyCompromise"})
        text = crl(palisade, device)
        assert device.serial() in text and "key compromise" in text
        wait_for(session.has_lost, "the session is closed", 1)
    assert mosquitto.publish(palisade, device, own(device), "x", check=False).returncode != 0
    assert renewal(palisade, fleet, device).status in (0, 401, 403)
    token = fleet.token(device=device.name)["secret"]
    fresh = Identity(device.name, fleet.new_folder(fleet.new_name("fresh")), palisade.ca)
    request = key_and_request(fresh)
    assert simple_enroll(palisade, request, "-u", f"x:{token}").status == 403
    palisade.post(f"/devices/{device.name}/reinstate", {"reason": "new key"})
    assert simple_enroll(palisade, request, "-u", f"x:{token}").status == 200
    assert mosquitto.publish(palisade, device, own(device), "x", check=False).returncode != 0, \
        "the revoked certificate is back"


def test_the_crl_verifies_under_the_issuer(palisade, tmp_path):
    issuer = palisade.get("/ca")["issuers"][-1]
    answer = curl(palisade, f"/crl/{issuer}.crl")
    cacerts = base64.b64decode(curl(palisade, "/.well-known/est/cacerts").body)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(run("openssl", "pkcs7", "-inform", "DER", "-print_certs", input=cacerts).stdout)
    done = run("openssl", "crl", "-inform", "DER", "-noout", "-CAfile", chain, input=answer.body)
    assert b"verify OK" in done.stderr + done.stdout


def test_a_device_that_misbehaves_loses_trust_and_contains_itself(palisade, fleet, device):
    session = mosquitto.Subscriber(palisade, device, own(device)).ready()
    with session:
        for _ in range(200):
            mosquitto.publish(palisade, device, "devices/another/telemetry", "forged", "-q", "0", "--repeat", "50",
                              client_id=f"{device.name}:bad", check=False)
            if palisade.get(f"/devices/{device.name}")["posture"]["trust"] < 40:
                break
        posture = palisade.get(f"/devices/{device.name}")["posture"]
        assert posture["trust"] < 40, posture
        assert "denials" in [reason["evidence"] for reason in posture["reasons"]]
        wait_for(session.has_lost, "its good session is closed too", 5)
    assert mosquitto.publish(palisade, device, own(device), "x", check=False).returncode != 0
    explanation = palisade.post("/policy/explain", {
        "principal": {"type": "device", "id": device.name}, "action": "connect"})
    assert "trust-floor" in str(explanation)
    for act in ("quarantine", "release"):
        palisade.post(f"/devices/{device.name}/{act}", {"reason": "mended"})
    mosquitto.publish(palisade, device, own(device), "x", "-q", "1")


def test_a_flood_of_denials_is_few_ledger_entries(palisade, fleet, device):
    before = palisade.get("/ledger/head")
    mosquitto.publish(palisade, device, "devices/another/telemetry", "x", "-q", "0", "--repeat", "2000", check=False)
    denied = lambda: palisade.events(kind="denied", principal=f"device/{device.name}")
    wait_for(lambda: any(event["count"] > 1 for event in denied()), "many denials are one event")
    after = palisade.get("/ledger/head")
    assert after["entries"] - before["entries"] < 200


def test_an_operator_may_close_sessions_without_containing(palisade, fleet, device):
    with mosquitto.Subscriber(palisade, device, own(device)) as session:
        assert wait_for(lambda: palisade.get(f"/devices/{device.name}/sessions")["items"], "the session is listed")
        palisade.post(f"/devices/{device.name}/disconnect", {"reason": "test"})
        wait_for(session.has_lost, "the session is closed", 1)
    mosquitto.publish(palisade, device, own(device), "x", "-q", "1")


def test_a_grant_that_is_taken_away_ends_what_it_allowed_in_live_sessions(palisade, fleet):
    product = fleet.product()
    device, publisher = fleet.device(product), fleet.service("extra/#")
    grant = fleet.grant({"type": "product", "id": product}, "extra/#", "subscribe", "receive")
    with mosquitto.Subscriber(palisade, device, "extra/a", own(device)) as heard:
        mosquitto.publish(palisade, publisher, "extra/a", "one", "-q", "1")
        assert heard.message()[1] == "one"
        palisade.rest("DELETE", f"/grants/{grant['id']}", expect=(200, 204))
        mosquitto.publish(palisade, publisher, "extra/a", "two", "-q", "1")
        mosquitto.publish(palisade, device, own(device), "end", "-q", "1", client_id=f"{device.name}:2")
        assert heard.message()[1] == "end"


def test_a_policy_decides_over_live_sessions_from_the_moment_it_is_applied(own_palisade):
    palisade, fleet = own_palisade, Fleet(own_palisade)
    device = fleet.device()
    with mosquitto.Subscriber(palisade, device, own(device)) as heard:
        mosquitto.publish(palisade, device, own(device), "one", "-q", "1", client_id=f"{device.name}:2")
        assert heard.message()[1] == "one"
        text = palisade.get("/policy")["text"]
        forbid = ('@id("no-x") forbid (principal is Device, action == Action::"publish", resource) '
                  'when { context.qos == 1 };')
        palisade.post("/policy/apply", {"text": text + forbid, "tests": "", "reason": "test"})
        mosquitto.publish(palisade, device, own(device), "two", "-q", "1", client_id=f"{device.name}:2", check=False)
        mosquitto.publish(palisade, device, own(device), "three", "-q", "2", client_id=f"{device.name}:2")
        assert heard.message()[1] == "three"
        palisade.post("/policy/rollback", {"version": 1, "reason": "test over"})
        mosquitto.publish(palisade, device, own(device), "four", "-q", "1", client_id=f"{device.name}:2")
        assert heard.message()[1] == "four"
