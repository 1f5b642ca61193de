"""Drills: attacks against a real server, found and ended by what ships."""

import json

import pytest

from palisade import Palisade

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
