"""What a device says and hears, watched live: by a program, and in a browser; the device is a real client."""

import http.client
import json
import ssl
import subprocess
import threading
import urllib.request

import pytest

import mosquitto
from console import READY, SHOTS, person
from fleet import Fleet
from palisade import HOST, Palisade, binary, wait_for
from test_console_people import good
from test_people import BROWSER, COOKIE, PASSWORD, account, call


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Palisade(tmp_path_factory.mktemp("messages")).running() as server:
        yield server


@pytest.fixture(scope="module")
def fleet(server):
    return Fleet(server)


class Stream:
    """Server-sent events, by somebody who logged in."""

    def __init__(self, server, path, session):
        context = ssl.create_default_context(cafile=server.ca)
        self.connection = http.client.HTTPSConnection(HOST, server.people, context=context, timeout=20)
        headers = {"Accept": "text/event-stream", "Cookie": f"{COOKIE}={session}", "User-Agent": BROWSER}
        self.connection.request("GET", f"/api/v1{path}", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()

    def next(self):
        """The next event: its name and its data; nothing at the end."""
        name = None
        while line := self.answer.readline():
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                return name, json.loads(value)
        return None


def acts(server, act, device):
    events = server.events(kind="administrative", principal=f"device/{device}")
    return [event for event in events if event["act"] == act]


def watchers(server):
    page = urllib.request.urlopen(f"http://{HOST}:{server.operators}/metrics", timeout=10).read().decode()
    return next(line.split()[-1] for line in page.splitlines() if line.startswith("palisade_message_watchers "))


def test_a_program_watches_a_real_client_until_its_role_is_taken_away(server, fleet):
    device, other = fleet.device(), fleet.device()
    session = account(server, "sam", "security-analyst")
    stream = Stream(server, f"/devices/{device.name}/messages/payloads", session)
    assert stream.next()[0] == "watching"
    mosquitto.publish(server, other, f"devices/{other.name}/x", "not watched", "-q", "1")
    mosquitto.publish(server, device, f"devices/{other.name}/x", "denied", "-q", "0")
    topic = f"devices/{device.name}"
    suite = fleet.service("devices/#")
    with mosquitto.Subscriber(server, device, f"{topic}/in"):
        mosquitto.publish(server, suite, f"{topic}/in", "hello", "-q", "1")
        passed = [stream.next()]
    mosquitto.publish(server, device, f"{topic}/out", "there", "-q", "2")
    passed.append(stream.next())
    seen = [(data["way"], data["topic"], data["qos"], data["size"], data["payload_base64"]) for _, data in passed]
    assert seen == [("delivered", f"{topic}/in", 1, 5, "aGVsbG8="), ("published", f"{topic}/out", 2, 5, "dGhlcmU=")], passed
    assert watchers(server) == "1"
    assert [act["actor"]["id"] for act in acts(server, "message.read", device.name)] == ["sam"]
    server.put("/accounts/sam/roles", {"assignments": [{"role": "auditor"}]})
    mosquitto.publish(server, device, f"devices/{device.name}/x", "a secret", "-q", "1")
    assert stream.next()[0] == "end" and stream.next() is None
    wait_for(lambda: watchers(server) == "0", "nobody watches", 5)
    refused = call(server, "GET", f"/devices/{device.name}/messages/payloads", session=session)
    assert refused.status in (401, 403), refused.body


def test_without_a_stream_an_answer_holds_what_passed_in_some_seconds(server, fleet):
    device = fleet.device()

    def talk():
        wait_for(lambda: acts(server, "message.watch", device.name), "it is watched")
        mosquitto.publish(server, device, f"devices/{device.name}/x", "hello", "-q", "1", "-r")

    speaker = threading.Thread(target=talk)
    speaker.start()
    found = server.get(f"/devices/{device.name}/messages?seconds=5")
    speaker.join()
    said = [(one["way"], one["topic"], one["retain"], one["size"], one["payload_base64"]) for one in found["items"]]
    assert said == [("published", f"devices/{device.name}/x", True, 5, None)], found


def test_the_command_line_shows_messages_as_they_pass(server, fleet):
    device = fleet.device()
    server.login()
    command = [binary("palisade"), "device", "messages", device.name, "--read", "--json"]
    watching = subprocess.Popen(command, env=server.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        wait_for(lambda: acts(server, "message.read", device.name), "it is read")
        mosquitto.publish(server, device, f"devices/{device.name}/x", "hello", "-q", "1")
        lines = [json.loads(watching.stdout.readline()) for _ in range(2)]
    finally:
        watching.kill()
        watching.wait()
    assert lines[0]["payloads"] is True and lines[1]["topic"] == f"devices/{device.name}/x", lines
    assert lines[1]["payload_base64"] == "aGVsbG8="


HOSTILE = "<b>bold</b><img src=x onerror=alert(1)>\u202etxt.exe"


@READY
def test_a_person_reads_the_messages_of_a_device_safely_and_only_with_the_right_to(server, fleet):
    device = fleet.device()
    account(server, "olga", "operator")
    topic = f"devices/{device.name}"

    def talk():
        wait_for(lambda: acts(server, "message.read", device.name), "it is read", 120)
        # The empty page is looked at first.
        wait_for(lambda: (SHOTS / "messages-empty-dark-360.png").exists(), "it was looked at", 120)
        mosquitto.publish(server, device, f"{topic}/json", json.dumps({"t": 21.5, "unit": "C"}), "-q", "1")
        mosquitto.publish(server, device, f"{topic}/html", HOSTILE, "-q", "1")
        raw = fleet.folder / "raw"
        raw.write_bytes(bytes(range(256)) * 40)
        mosquitto.run("mosquitto_pub", *mosquitto.arguments(server, device), "-t", f"{topic}/raw", "-f", raw, "-q", "1")
        mosquitto.publish(server, device, f"{topic}/last", "that was all", "-q", "1")
        wait_for(lambda: acts(server, "message.watch", device.name), "it is watched", 120)
        mosquitto.publish(server, device, f"{topic}/x", "a secret", "-q", "1")

    for shot in SHOTS.glob("messages-*.png"):
        shot.unlink(missing_ok=True)
    speaker = threading.Thread(target=talk)
    speaker.start()
    seen = person(server, "messages", device=device.name, last="that was all", account="olga", password=PASSWORD)
    speaker.join()
    good(seen["looks"])
    assert len(seen["read"]) == 5 and f"{topic}/last" in seen["read"][1], "the newest is first"
    last, raw, html, data = seen["payloads"]
    assert last == "text\nthat was all" or "that was all" in last
    assert raw.startswith("hex, the beginning") and "00 01 02 03" in raw and len(raw) < 20_000
    assert "<b>bold</b><img src=x onerror=alert(1)>\\u202etxt.exe" in html and seen["bold"] == 0, html
    assert data.startswith("JSON") and '"t": 21.5' in data
    assert seen["mayRead"] == 0, "an operator may not read what is in messages"
    assert len(seen["watched"]) == 2 and "Payload" not in seen["watched"][0], seen["watched"]
    wait_for(lambda: watchers(server) == "0", "nobody watches", 10)
    assert [act["actor"]["id"] for act in acts(server, "message.watch", device.name)] == ["olga"]
