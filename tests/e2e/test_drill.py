"""Drills: attacks against a real server, found and ended by what ships."""

import json
import time

import pytest

from palisade import Palisade, wait_for

SCENARIOS = ["topic-scan", "flood", "stolen-certificate"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Palisade(tmp_path_factory.mktemp("drill")).running() as server:
        server.login()
        yield server


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_attack_is_found_and_ended_with_nobody_at_the_wheel(server, scenario):
    done = server.cli("drill", "run", scenario, "--devices", f"https://localhost:{server.devices}",
                      "--mqtt", f"localhost:{server.mqtt}", "--patience", "60s", "--json", check=False)
    report = json.loads(done.stdout)["items"][0]
    assert done.returncode == 0 and report["passed"], report
    assert report["detected_by"] and report["contained_after_ms"] is not None
    device = server.cli_json("device", "show", report["subject"].removeprefix("device/"))
    assert device["posture"]["lifecycle"] == "retired", "the attacker is taken out of service"


def test_a_drill_is_kept_and_on_the_ledger(server):
    history = server.cli_json("drill", "history", "--scenario", "topic-scan")["items"]
    assert history and all(one["report"]["scenario"] == "topic-scan" for one in history)
    acts = server.rest("GET", "/events?kind=administrative&order=newest&limit=200")[1]["items"]
    assert any(one["event"]["act"] == "drill.record" for one in acts)


def test_the_server_rehearses_by_itself_and_counts_what_it_missed(tmp_path):
    server = Palisade(tmp_path / "scheduled", DRILLS__EVERY_S="6", DRILLS__SCENARIOS='["topic-scan"]')
    with server.running():
        server.login()
        history = wait_for(lambda: server.cli_json("drill", "history")["items"], "a drill was recorded", 90)
        assert history[0]["recorded_by"] == "drill-schedule" and history[0]["report"]["scenario"] == "topic-scan", history
        schedule = wait_for(lambda: (lambda one: one if one["last_outcome"] else None)(server.get("/drill-schedule")),
                            "it is written down what it came to", 60)
        assert schedule["last_outcome"] == "passed" and schedule["missed"] == 0, schedule
        tokens = [one for one in server.get("/api-tokens")["items"] if one["name"] == "drill-schedule"]
        assert tokens and all(one["revoked"] for one in tokens if one["id"] != tokens[0]["id"]), tokens
        wait_for(lambda: not server.get("/drill-schedule")["running_since"], "none runs", 60)
        server.kill()
        due = time.monotonic() + 8
        wait_for(lambda: time.monotonic() > due, "its turn has passed", 20)
        server.start()
        assert server.get("/drill-schedule")["missed"] >= 1
