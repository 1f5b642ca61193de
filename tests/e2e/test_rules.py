"""Sigma rules: a real client scans topics and is found; rules are changed while the server runs."""

import json
import pathlib

import pytest

import mosquitto
from fleet import Fleet
from palisade import Palisade, run, wait_for, binary

SHIPPED = pathlib.Path(__file__).parents[2] / "rules"
MINE = """title: A device says hello
id: 3b1f1d52-0b9e-4a3b-9d7e-2f6a5a3c7e11
logsource:
  product: palisade
  category: mqtt
detection:
  selection:
    kind: admitted
  condition: selection
level: {level}
"""


@pytest.fixture()
def ruled(tmp_path):
    """A server with a folder of own rules, and that folder."""
    folder = tmp_path / "own-rules"
    folder.mkdir()
    with Palisade(tmp_path / "palisade", DETECT__RULES_DIR=str(folder)).running() as server:
        server.login()
        yield server, folder


def found(palisade, rule, subject):
    """The findings of a rule about somebody."""
    answer = palisade.get(f"/findings?detector=rule/{rule}&subject={subject}")
    return answer["items"]


def test_a_client_that_scans_topics_is_found_within_seconds(palisade, fleet):
    device = fleet.device()
    topics = [f"devices/somebody-{number}/#" for number in range(12)]
    scanner = mosquitto.Subscriber(palisade, device, *topics)
    try:
        subject = f"device/{device.name}"
        wait_for(lambda: found(palisade, "mqtt-topic-scan", subject), "the scan is found", 10)
    finally:
        scanner.end()
    finding = found(palisade, "mqtt-topic-scan", subject)[0]
    assert finding["severity"] == "high"
    assert finding["device"] == device.name
    assert "attack.t0846" in finding["techniques"]
    events = palisade.events(kind="found", principal=subject)
    detectors = [event["detector"]["id"] for event in events]
    assert "mqtt-topic-scan" in detectors, events
    shown = palisade.get(f"/findings/{finding['id']}")
    assert {item["event"]["kind"] for item in shown["events"]} == {"denied"}
    assert palisade.get("/rules/mqtt-topic-scan")["fired"] >= 1


def test_a_rule_is_hot_and_a_bad_one_refuses_the_whole_new_set(ruled):
    server, folder = ruled
    fleet = Fleet(server)
    (folder / "hello.yaml").write_text(MINE.format(level="low"))
    wait_for(lambda: any(rule["id"] == "hello" for rule in server.cli_json("rules", "list")["items"]), "it is in force")
    device = fleet.device()
    mosquitto.publish(server, device, f"devices/{device.name}/t", "1", "-q", "1")
    wait_for(lambda: found(server, "hello", f"device/{device.name}"), "it is found")

    (folder / "hello.yaml").write_text(MINE.format(level="critical"))
    (folder / "worse.yaml").write_text(MINE.format(level="low").replace("kind:", "knid:"))
    refused = server.cli("rules", "reload", check=False)
    assert refused.returncode == 1
    said = refused.stderr.decode()
    assert "worse.yaml:8" in said and "did you mean" in said, said
    assert server.cli_json("rules", "show", "hello")["severity"] == "low"
    assert server.get("/rules/status")["problem"]["line"] == 8

    (folder / "worse.yaml").unlink()
    wait_for(lambda: server.cli_json("rules", "show", "hello")["severity"] == "critical", "it is in force")
    assert server.get("/rules/status")["problem"] is None


def test_a_rule_that_is_switched_off_stays_off_after_a_restart(own_palisade):
    server = own_palisade
    server.login()
    server.cli("rules", "disable", "mqtt-topic-scan")
    server.stop()
    server.start()
    assert server.cli_json("rules", "show", "mqtt-topic-scan")["enabled"] is False
    server.cli("rules", "enable", "mqtt-topic-scan")
    fleet = Fleet(server)
    device = fleet.device()
    scanner = mosquitto.Subscriber(server, device, *[f"devices/x-{number}/#" for number in range(12)])
    try:
        wait_for(lambda: found(server, "mqtt-topic-scan", f"device/{device.name}"), "it is found")
    finally:
        scanner.end()


def test_a_replay_says_what_a_new_rule_would_have_found(palisade, fleet, tmp_path):
    palisade.login()
    device = fleet.device()
    mosquitto.publish(palisade, device, f"devices/{device.name}/t", "1", "-q", "1")
    wait_for(lambda: palisade.events(kind="admitted", principal=f"device/{device.name}"), "it is written down")
    rule = tmp_path / "hello.yaml"
    rule.write_text(MINE.format(level="low"))
    report = palisade.cli_json("rules", "replay", "--rule", str(rule))
    assert report["state"] == "done"
    subjects = {line["subject"]: line["count"] for line in report["found"]}
    assert subjects[f"device/{device.name}"] >= 1
    assert not found(palisade, "posted", f"device/{device.name}")


def test_rules_are_checked_and_tested_without_a_server(tmp_path):
    palisade = binary("palisade")
    tested = json.loads(run(palisade, "--json", "rules", "test", str(SHIPPED)).stdout)
    assert tested["files"] >= 40 and tested["samples"] >= 80 and tested["failures"] == []
    checked = json.loads(run(palisade, "--json", "rules", "check", str(SHIPPED)).stdout)
    assert checked["valid"] and len(checked["rules"]) == tested["files"]

    bad = tmp_path / "bad.yaml"
    bad.write_text(MINE.format(level="low").replace("admitted", "'admitted"))
    refused = run(palisade, "rules", "check", str(bad), check=False)
    assert refused.returncode == 1
    assert f"{bad}:" in refused.stderr.decode(), refused.stderr
    alone = tmp_path / "alone.yaml"
    alone.write_text(MINE.format(level="low"))
    untested = run(palisade, "rules", "test", str(alone), check=False)
    assert untested.returncode == 1 and b"no samples" in untested.stdout, untested
