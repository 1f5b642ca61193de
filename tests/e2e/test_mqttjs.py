"""mqtt.js (Node) over mutual TLS."""

import json
import pathlib
import shutil

import pytest

from palisade import HOST, run

SCRIPT = pathlib.Path(__file__).with_name("mqttjs.cjs")


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
@pytest.mark.parametrize("version", ["4", "5"])
def test_mqttjs_speaks_to_itself_through_the_server(palisade, fleet, version):
    device = fleet.device()
    topic = f"devices/{device.name}/js"
    done = run("node", SCRIPT, f"mqtts://{HOST}:{palisade.mqtt}", palisade.ca, device.certificate, device.key,
               device.name, version, topic)
    user = {"site": "berlin"} if version == "5" else {}
    assert json.loads(done.stdout) == [
        {"topic": topic, "payload": f"qos {qos}", "qos": qos, "user": user} for qos in (0, 1, 2)]


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_mqttjs_is_told_that_it_may_not(palisade, fleet):
    device = fleet.device()
    done = run("node", SCRIPT, f"mqtts://{HOST}:{palisade.mqtt}", palisade.ca, device.certificate, device.key,
               device.name, "5", "devices/another/js", check=False)
    assert done.returncode != 0 and b"ot authorized" in done.stderr, done
