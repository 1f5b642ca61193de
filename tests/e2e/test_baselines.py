"""Baselines: a real device is learned, floods, is found, and a person's verdict tunes what alarms."""

import contextlib
import subprocess
import time

import pytest

import mosquitto
from fleet import Fleet
from palisade import Palisade, wait_for

QUICK = {
    "GATEWAY__STATISTICS_INTERVAL_S": "1",
    "GATEWAY__DEVICE__MESSAGES_PER_SECOND": "1000",
    "DETECT__BASELINE__INTERVAL_S": "2",
    "DETECT__BASELINE__LEARN_DATAPOINTS": "8",
}


@pytest.fixture()
def learned(tmp_path):
    """A server that learns within seconds, and a device of it that it has learned."""
    with Palisade(tmp_path / "palisade", **QUICK).running() as palisade:
        palisade.login()
        fleet = Fleet(palisade)
        product = fleet.product()
        device = fleet.device(product)
        device.product = product
        with publisher(palisade, device) as lines:
            teach(palisade, device, lines)
            yield palisade, device, lines


@contextlib.contextmanager
def publisher(palisade, device):
    """A connection of the device that publishes a message for each line."""
    command = ["mosquitto_pub", *mosquitto.arguments(palisade, device), "-l", "-t", f"devices/{device.name}/x"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, bufsize=1)
    try:
        yield process.stdin
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(10)


def metric(palisade, device, name="messages_sent"):
    status, view = palisade.rest("GET", f"/baselines/devices/{device.name}")
    if status == 404:
        return None
    assert status == 200, view
    return next(one for one in view["metrics"] if one["metric"] == name)


def teach(palisade, device, lines):
    """Publishes ten messages a second until it is known that this is usual."""
    def is_known():
        lines.write("usual\n")
        time.sleep(0.08)
        seen = metric(palisade, device)
        return seen and seen["learned"] >= 20 and seen["state"] == "watching"

    wait_for(is_known, "the device is learned", 90)


def findings(palisade, device):
    return palisade.get(f"/findings?detector=baseline/messages_sent&device={device.name}")["items"]


def flood(palisade, device, lines):
    def is_found():
        for _ in range(60):
            lines.write("flood\n")
        return [one for one in findings(palisade, device) if one["severity"] in ("medium", "high")]

    return wait_for(is_found, "the flood is found", 30)[0]


def test_a_flood_is_found_ends_and_a_false_alarm_raises_the_threshold(learned):
    palisade, device, lines = learned
    found = flood(palisade, device, lines)
    assert "messages sent within 2 seconds" in found["detail"], found
    assert found["evidence"], found
    assert metric(palisade, device)["state"] == "alarming"
    table = palisade.cli("baseline", "show", device.name).stdout.decode()
    assert "alarming" in table and "messages_sent" in table, table

    palisade.cli("finding", "verdict", found["id"], "false-positive", "--note", "a test of ours")
    wait_for(lambda: metric(palisade, device)["threshold_factor"] > 1.4, "the threshold is raised")


def test_what_was_learned_survives_a_restart_and_settings_do_too(learned):
    palisade, device, lines = learned
    palisade.cli("baseline", "set", device.product, "--threshold", "bytes_out>5000000", "--duration", "600")
    palisade.cli("baseline", "learn", "--product", device.product, "--for", "1h")
    before = metric(palisade, device)
    lines.close()
    palisade.stop()
    palisade.start()
    after = metric(palisade, device)
    assert after["learned"] >= before["learned"] and after["seen"], (before, after)
    products = {one["product"]: one for one in palisade.cli_json("baseline", "list")["items"]}
    product = products[device.product]
    assert product["mode"] == "learning", product
    assert [one["metric"] for one in product["thresholds"]] == ["bytes_out"]
    palisade.cli("baseline", "learn", "--product", device.product, "--stop")
    assert palisade.get(f"/baselines/products/{device.product}")["mode"] == "watching"
