"""Response: what the server does by itself about a device that misbehaves, and how people keep it in hand."""

import contextlib
import hashlib
import hmac
import http.server
import json
import threading
import time

import pytest

import mosquitto
from fleet import Fleet
from palisade import Palisade, run, wait_for

SECRET = "a secret of at least sixteen bytes"
PLAYBOOK = """
name: scanning-or-flooding-device
description: for the tests
trigger: { detectors: ["rule/mqtt-topic-scan"], min_severity: low }
actions:
  - action: quarantine
    mode: auto
    ttl: 8s
  - action: notify
    parameters: { to: pager }
    mode: auto
"""


class Receiver:
    """A destination of webhooks that answers with what the test says; None hangs."""

    def __init__(self):
        self.status, self.taken, self.tries = 500, [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.tries += 1
                body = self.rfile.read(int(self.headers["content-length"]))
                if outer.status is None:
                    time.sleep(15)
                    return
                if outer.status == 200:
                    outer.taken.append((dict(self.headers), body))
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()


@pytest.fixture(scope="module")
def receiver():
    with Receiver().running() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def responding(tmp_path_factory, receiver):
    """A server with a playbook of its own and a webhook."""
    server = Palisade(tmp_path_factory.mktemp("responding"))
    server.data.mkdir(mode=0o700)
    playbooks = server.data / "playbooks"
    playbooks.mkdir()
    (playbooks / "own.yaml").write_text(PLAYBOOK)
    (server.data / "secret").write_text(SECRET + "\n")
    (server.data / "secret").chmod(0o600)
    (server.data / "palisade.toml").write_text(
        '[respond]\nplaybooks_dir = "playbooks"\n'
        f'[respond.webhooks.pager]\nurl = "{receiver.url}"\nsecret_file = "secret"\n'
        '[respond.caps]\nshare_percent = 100\n'
        '[respond.never_touch]\nlabels = { life-safety = "yes" }\n')
    with server.running():
        yield server


@pytest.fixture()
def fleet(responding):
    return Fleet(responding)


def own(device):
    return f"devices/{device.name}/x"


def scan(palisade, device, topics=30):
    """Asks for topics that are not the device's own, until it is shut out or has asked for all."""
    for number in range(topics):
        done = mosquitto.publish(palisade, device, f"devices/other-{number}/telemetry", "x", "-q", "0", "--repeat", "2",
                                 client_id=f"{device.name}:scan", check=False)
        if done.returncode != 0:
            return


def lifecycle(palisade, device):
    return palisade.get(f"/devices/{device.name}")["posture"]["lifecycle"]


def actions(palisade, device, action="quarantine"):
    found = palisade.get(f"/actions?target=device/{device.name}&action={action}")
    return found["items"]


def case_of(palisade, device):
    found = palisade.get(f"/cases?subject=device/{device.name}")["items"]
    return found[0] if found else None


def test_a_scanning_device_is_contained_with_no_person_and_released_when_the_time_is_over(responding, fleet, receiver):
    palisade, device = responding, fleet.device()
    receiver.status = 500
    with mosquitto.Subscriber(palisade, device, own(device), options=["-k", "60"]) as session:
        scan(palisade, device)
        wait_for(lambda: lifecycle(palisade, device) == "quarantined", "it is contained")
        wait_for(session.has_lost, "its good session is closed too", 5)
    done = wait_for(lambda: [one for one in actions(palisade, device) if one["state"] == "done"], "the action is done")
    assert done[0]["playbook"] == "scanning-or-flooding-device" and done[0]["until"]
    wait_for(lambda: case_of(palisade, device)["state"] == "contained", "its case is contained", 5)
    case = case_of(palisade, device)
    assert case["severity"] == "high", case
    file = palisade.get(f"/cases/{case['id']}")
    assert {"finding", "action", "opened"} <= {entry["kind"] for entry in file["timeline"]}
    # The receiver fails: it is told again, until it takes it.
    wait_for(lambda: receiver.tries >= 2, "the notification is tried again")
    receiver.status = 200
    wait_for(lambda: receiver.taken, "the notification arrives", 40)
    headers, body = receiver.taken[-1]
    stamp, mac = headers["palisade-signature"].removeprefix("t=").split(",v1=")
    assert abs(int(stamp) - time.time()) < 60
    assert hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest() == mac
    told = json.loads(body)
    assert told["case"] == case["id"] and told["target"] == f"device/{device.name}", told
    wait_for(lambda: lifecycle(palisade, device) == "active", "it is released by itself", 40)
    wait_for(lambda: actions(palisade, device)[0]["state"] == "undone", "the action is undone")
    mosquitto.publish(palisade, device, own(device), "x", "-q", "1")
    states = [event["event"]["state"] for event in palisade.get("/events?kind=responded&limit=1000")["items"]
              if event["event"]["response"] == done[0]["id"]]
    assert states == ["running", "done", "undoing", "undone"], states


def test_what_is_never_touched_stays_in_service(responding, fleet):
    palisade, device = responding, fleet.device()
    palisade.rest("PATCH", f"/devices/{device.name}", {"labels": {"life-safety": "yes"}}, expect=(200, 204))
    scan(palisade, device)
    rejected = wait_for(lambda: [one for one in actions(palisade, device) if one["state"] == "rejected"],
                        "the action is rejected")
    assert "life-safety" in rejected[0]["why"]
    assert lifecycle(palisade, device) == "active"


def test_the_switch_lets_it_wait_and_another_person_decides(responding, fleet):
    palisade, device = responding, fleet.device()
    palisade.login()
    palisade.cli("response", "stop", "--reason", "a test")
    try:
        scan(palisade, device)
        waiting = wait_for(lambda: [one for one in actions(palisade, device) if one["state"] == "waiting"],
                           "the action waits")
        assert "stopped by tests: a test" in waiting[0]["why"], waiting
        assert lifecycle(palisade, device) == "active"
        assert palisade.get("/response")["kill_switch"]["stopped"]
        palisade.cli("action", "approve", waiting[0]["id"])
        wait_for(lambda: lifecycle(palisade, device) == "quarantined", "it is contained once a person says so")
        palisade.cli("action", "undo", waiting[0]["id"], "--reason", "a mistake")
        wait_for(lambda: lifecycle(palisade, device) == "active", "a person takes it back")
    finally:
        palisade.cli("response", "start")


def test_a_case_is_worked_on_from_the_command_line(responding, fleet):
    palisade, device = responding, fleet.device()
    palisade.login()
    palisade.cli("response", "stop")
    try:
        scan(palisade, device)
        case = wait_for(lambda: case_of(palisade, device), "there is a case")["id"]
    finally:
        palisade.cli("response", "start")
    palisade.cli("case", "assign", case, "--to", "ann")
    palisade.cli("case", "note", case, "looked at it")
    ordered = palisade.cli_json("action", "order", "revoke-certificate", f"device/{device.name}", "--case", case)
    assert ordered["state"] == "waiting", "what cannot be undone waits"
    refused = palisade.cli("action", "approve", ordered["id"], check=False)
    assert refused.returncode != 0 and b"ask somebody else" in refused.stderr, refused
    shown = palisade.cli("case", "show", case).stdout.decode()
    assert "looked at it" in shown and "revoke-certificate" in shown and "ann" in shown
    palisade.cli("case", "close", case, "--verdict", "false-positive", "--reason", "our own scan")
    assert palisade.get(f"/cases/{case}")["state"] == "closed"
    # What was found after the case was closed has no verdict yet.
    findings = palisade.get(f"/findings?device={device.name}")["items"]
    assert any(finding["verdict"] == "false_positive" for finding in findings), "the detector hears of it"


def test_actions_survive_a_power_cut(responding, fleet):
    palisade, device = responding, fleet.device()
    scan(palisade, device)
    wait_for(lambda: lifecycle(palisade, device) == "quarantined", "it is contained")
    palisade.kill()
    palisade.start()
    wait_for(lambda: lifecycle(palisade, device) == "active", "it is released on time all the same", 40)
    assert actions(palisade, device)[0]["state"] in ("undoing", "undone")


def test_a_bad_playbook_is_refused_with_its_line_and_the_old_one_goes_on(responding, fleet, tmp_path):
    palisade = responding
    palisade.login()
    own_file = palisade.data / "playbooks" / "own.yaml"
    bad = PLAYBOOK.replace("ttl", "tll")
    (tmp_path / "bad.yaml").write_text(bad)
    offline = palisade.cli("playbook", "check", tmp_path / "bad.yaml", check=False)
    assert offline.returncode == 1 and b"bad.yaml:8" in offline.stderr and b"tll" in offline.stderr, offline
    own_file.write_text(bad)
    try:
        problem = wait_for(lambda: palisade.get("/response")["playbook_problem"], "the problem is shown")
        assert "own.yaml:8" in problem
        assert palisade.get("/playbooks/scanning-or-flooding-device")["actions"][0]["ttl"] == "8s"
    finally:
        own_file.write_text(PLAYBOOK)
    wait_for(lambda: not palisade.get("/response")["playbook_problem"], "the good file is read")
    palisade.cli("playbook", "check", own_file)
    palisade.cli("playbook", "disable", "identity-theft")
    assert not palisade.get("/playbooks/identity-theft")["enabled"]
    palisade.cli("playbook", "enable", "identity-theft")


def test_a_blocked_address_is_refused_before_tls_until_the_action_is_undone(tmp_path):
    server = Palisade(tmp_path / "blocking", GATEWAY__NEVER_BLOCK="[]")
    with server.running():
        fleet = Fleet(server)
        device = fleet.device()
        scan(server, device)
        case = wait_for(lambda: case_of(server, device), "there is a case")["id"]
        server.post(f"/devices/{device.name}/release", {"reason": "test"})
        with mosquitto.Subscriber(server, device, own(device), options=["-k", "60"]) as session:
            ordered = server.post(f"/cases/{case}/actions", {
                "action": "block-address", "target": "address/127.0.0.1", "reason": "test", "ttl_s": 3600})
            wait_for(session.has_lost, "the open session is closed", 5)
        wait_for(lambda: server.get("/blocked-addresses")["items"], "it is listed")
        assert mosquitto.publish(server, device, own(device), "x", check=False).returncode != 0
        server.kill()
        server.start()
        assert mosquitto.publish(server, device, own(device), "x", check=False).returncode != 0, "after a restart"
        wait_for(lambda: server.get(f"/actions/{ordered['id']}")["state"] == "done", "the action is done")
        server.post(f"/actions/{ordered['id']}/undo", {"reason": "test over"})
        wait_for(lambda: not server.get("/blocked-addresses")["items"], "it is let in")
        mosquitto.publish(server, device, own(device), "x", "-q", "1")


def of(device, events):
    return [event for event in events if (event.get("principal") or {}).get("id") == device.name]


def test_large_messages_on_one_connection_after_the_other_are_no_identity_theft(responding, fleet, tmp_path):
    palisade, device = responding, fleet.device()
    (tmp_path / "picture").write_bytes(b"x" * 500_000)
    for _ in range(10):
        run("mosquitto_pub", *mosquitto.arguments(palisade, device), "-t", own(device), "-f", tmp_path / "picture")
    ends = wait_for(lambda: [all for all in [of(device, palisade.events(kind="disconnected"))] if len(all) >= 10],
                    "all sessions have ended", 60)[0]
    assert {event["end"] for event in ends} <= {"client", "replaced"}, ends
    assert of(device, palisade.events(kind="limit_exceeded")), "it was not even slowed down"
    assert lifecycle(palisade, device) == "active" and case_of(palisade, device) is None


def test_a_backlog_that_is_acknowledged_is_no_flood_and_one_that_is_not_is(own_palisade):
    palisade, device = own_palisade, Fleet(own_palisade).device()

    def send(qos, check):
        readings = "".join(f"{n}\n" for n in range(4_000)).encode()
        run("mosquitto_pub", *mosquitto.arguments(palisade, device), "-t", own(device), "-l", "-q", qos,
            input=readings, check=check, timeout=120)

    send("1", check=True)
    limits = wait_for(lambda: {event["limit"] for event in of(device, palisade.events(kind="limit_exceeded"))},
                      "it was slowed down")
    assert limits == {"publish_rate_paced"}
    assert lifecycle(palisade, device) == "active" and case_of(palisade, device) is None
    send("0", check=False)
    wait_for(lambda: lifecycle(palisade, device) == "quarantined", "a flood is contained")
    assert actions(palisade, device)[0]["playbook"] == "scanning-or-flooding-device"
