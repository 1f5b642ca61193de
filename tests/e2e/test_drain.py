"""How a server ends: its balancer hears it first, newcomers are sent elsewhere, sessions are closed one after the other."""

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import mosquitto
import paho.mqtt.client as paho
import pytest
import wire
from fleet import Fleet
from palisade import HOST, Palisade, binary, run, wait_for

ELSEWHERE = "mqtt-2.fleet.example:8883"


def readiness(server):
    """The status of /readyz and what it says."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.operators}/readyz", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def failed(server):
    status, said = readiness(server)
    named = [(check["check"], check["detail"]) for check in said["checks"] if check["level"] == "fail"]
    assert (status == 200) == said["ready"] == (not named), (status, said)
    return named


@pytest.fixture
def draining(tmp_path):
    """A server that takes its time to end, with the plaintext listener."""
    server = Palisade(tmp_path / "server", plaintext=True, OPERATORS__DRAIN_NOTICE_S="2", GATEWAY__DRAIN_SPREAD_S="6",
                      GATEWAY__DRAIN_TO=ELSEWHERE)
    with server.running():
        yield server


def connect(server, name, **options):
    return wire.Client(("127.0.0.1", server.plaintext), name, **options)


def refusal(server, name, **options):
    """What CONNACK tells a newcomer."""
    client = connect(server, name, open=False, **options)
    client.send(client.connect_packet())
    return client.answer(wire.CONNACK)


def goodbye(client):
    """The DISCONNECT that a client is sent, if it was sent one by now."""
    try:
        packet = client.read(timeout=0.05)
    except wire.Silent:
        return None
    return packet


def test_a_balancer_hears_first_and_then_sessions_are_closed_one_after_the_other(draining):
    server = draining
    assert failed(server) == []
    clients = [connect(server, f"c{number}") for number in range(6)]
    away = connect(server, "away", clean=False, session_expiry=600)
    away.subscribe(("kept/#", 1))
    away.disconnect()
    server.process.send_signal(signal.SIGTERM)
    # The notice: whoever asks is told, and nothing else has changed.
    assert wait_for(lambda: failed(server), "it says so") == [("server", "it was told to end, and drains")]
    clients.append(connect(server, "late"))
    # The spread: some are gone while others are served.
    gone = {}
    wait_for(lambda: gone.update({one: said for one in clients if one not in gone and (said := goodbye(one))}) or gone,
             "the first is sent away")
    left = [one for one in clients if one not in gone]
    assert left, "all were sent away at once"
    assert left[-1].publish("kept/x", "last words", qos=1) == 0
    # Newcomers are answered, and sent elsewhere.
    answer = refusal(server, "new")
    assert (answer.code, answer.properties["server_reference"]) == (0x9C, ELSEWHERE), answer
    assert refusal(server, "old", version=4).code == 3, "3.1.1: server unavailable"
    assert failed(server) == [("server", "it was told to end, and drains")]
    wait_for(lambda: gone.update({one: said for one in clients if one not in gone and (said := goodbye(one))})
             or len(gone) == len(clients), "all are sent away")
    assert {(said.kind, said.code, said.properties["server_reference"]) for said in gone.values()} == {
        (wire.DISCONNECT, 0x9C, ELSEWHERE)}
    assert server.process.wait(timeout=30) == 0, server.log()[-3000:]
    # Nothing that was acknowledged is lost.
    server.settings.update(OPERATORS__DRAIN_NOTICE_S="0", GATEWAY__DRAIN_SPREAD_S="0")
    server.start()
    back = connect(server, "away", clean=False, session_expiry=600)
    assert back.connack.session_present and back.read().payload == b"last words"


def test_real_clients_hear_that_the_server_ends(tmp_path):
    server = Palisade(tmp_path / "server", GATEWAY__DRAIN_SPREAD_S="2")
    with server.running():
        fleet = Fleet(server)
        device, other = fleet.device(), fleet.device()
        heard = []
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=other.name, protocol=paho.MQTTv5)
        client.tls_set(str(server.ca), str(other.certificate), str(other.key))
        client.on_disconnect = lambda *said: heard.append(said[3])
        client.connect(HOST, server.mqtt)
        client.loop_start()
        wait_for(client.is_connected, "paho is connected")
        with mosquitto.Subscriber(server, device, f"devices/{device.name}/x") as subscriber:
            server.process.send_signal(signal.SIGTERM)
            wait_for(subscriber.has_lost, "mosquitto_sub has lost its session")
            wait_for(lambda: heard, "paho has lost its session")
            client.loop_stop()
        assert heard[0].value == 0x8B, heard
        assert server.process.wait(timeout=30) == 0


def test_a_second_signal_ends_a_drain_at_once(draining):
    connect(draining, "c")
    draining.process.send_signal(signal.SIGTERM)
    wait_for(lambda: failed(draining), "it drains")
    draining.process.send_signal(signal.SIGTERM)
    assert draining.process.wait(timeout=10) == 130
    draining.start()


def test_a_disk_without_room_is_not_ready_and_said(tmp_path):
    """On a file system of the test's own, in a mount namespace of its own."""
    options = next((one for one in ("-m", "-rm") if run("unshare", one, "true", check=False).returncode == 0), None)
    if not options:
        pytest.skip("no mount namespaces here")
    data = tmp_path / "server" / "data"
    data.mkdir(parents=True)
    server = Palisade(tmp_path / "server", under=("unshare", options, "sh", "-c",
                                                  f'mount -t tmpfs -o size=32m,mode=700 none {data} && exec "$@"', "sh"))
    with open(server.root / "serve.log", "ab") as log:
        server.process = subprocess.Popen(
            [*server.under, binary("palisade"), "serve", "--data", str(server.data)], stdout=log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=server.environment())
    try:
        wait_for(lambda: answers(server), "the door for operators is open", 60)
        wait_for(lambda: [check for check, _ in failed(server)] == ["disk"], "all but the disk is ready")
    finally:
        server.kill()


def answers(server):
    assert server.process.poll() is None, server.log()[-3000:]
    try:
        socket.create_connection(("127.0.0.1", server.operators), timeout=1).close()
        return True
    except OSError:
        return False
