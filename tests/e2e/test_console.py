"""The console in a real browser (Chromium), against the real server that carries it."""

import http.client
import json
import re
import ssl

import pytest

import mosquitto
from console import READY, person
from fleet import Fleet
from palisade import HOST, Palisade, wait_for
from test_baselines import QUICK, publisher, teach

FIRST_LOAD = 180_000

pytestmark = READY


# What a device may call itself, and what would happen if a page believed it.
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of the console's own: it shows all that there is, which other tests would make a lot of. What it
    would do by itself waits for a person."""
    with Palisade(tmp_path_factory.mktemp("console"), RESPOND__MAX_MODE="approve").running() as server:
        yield server


@pytest.fixture(scope="module")
def fleet(server):
    return Fleet(server)


@pytest.fixture(scope="module")
def case(server, fleet):
    """The case of a device that asks for what is not its own; its containment waits for a person."""
    device = fleet.device()
    for number in range(30):
        mosquitto.publish(server, device, f"devices/other-{number}/{HOSTILE}", "x", "-q", "0", check=False)
    found = wait_for(lambda: server.get("/actions?state=waiting")["items"], "an action waits", 30)
    return found[0]["case"]


def fetch(server, path, method="GET", **headers):
    """One request as a browser makes it: status, headers, body as it came."""
    context = ssl.create_default_context(cafile=server.ca)
    connection = http.client.HTTPSConnection(HOST, server.people, context=context, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def test_a_device_is_found_and_quarantined_by_keyboard_and_its_session_is_seen_to_close(server, fleet):
    device = fleet.device()
    with mosquitto.Subscriber(server, device, f"devices/{device.name}/x", options=["-k", "60"]) as session:
        seen = person(server, "quarantine", device=device.name)
        wait_for(session.has_lost, "the session is closed", 5)
    assert seen["closed"] < 5_000
    acts = [event for event in server.events(kind="administrative", principal=f"device/{device.name}")]
    done = {event["act"]: event["reason"] for event in acts}
    assert done["device.quarantine"] == "speaks for other devices" and "device.release" in done, acts
    assert server.get(f"/devices/{device.name}")["posture"]["lifecycle"] == "active"


def test_every_place_is_for_everybody_light_and_dark_wide_and_narrow(server, fleet, case):
    device = fleet.register(labels={"site": HOSTILE, "floor": "3"})
    scanner = server.get(f"/cases/{case}")["subject"].removeprefix("device/")
    with mosquitto.Subscriber(server, fleet.device(), "fleet/x").ready():
        seen = person(server, "places", places={
            "overview": "/", "devices": "/devices", "no-devices": "/devices?search=nobody",
            "device-registered": f"/devices/{device}", "device": f"/devices/{scanner}",
            "device-timeline": f"/devices/{scanner}?tab=timeline",
            "device-certificates": f"/devices/{scanner}?tab=certificates",
            "device-baseline": f"/devices/{scanner}?tab=baseline", "device-access": f"/devices/{scanner}?tab=access", "no-device": "/devices/nobody", "cases": "/cases",
            "cases-rules": "/cases?tab=rules", "cases-playbooks": "/cases?tab=playbooks", "cases-drills": "/cases?tab=drills",
            "case": f"/cases/{case}", "activity": "/activity", "activity-search": "/activity?tab=search",
            "activity-ledger": "/activity?tab=ledger", "policy": "/policy", "policy-grants": "/policy?tab=grants",
            "policy-shadow": "/policy?tab=shadow", "policy-versions": "/policy?tab=versions", "settings": "/settings",
            "nowhere": "/nowhere"})
    bad = {place: found for place, found in seen["found"].items() if found["violations"] or found["overflow"]}
    assert not bad, json.dumps(bad, indent=1)
    assert seen["stored"][:3] == [0, 0, ""], "the token is kept where it outlives the page"
    assert server.token not in seen["stored"][3]


def test_many_devices_are_quarantined_after_a_preview_and_a_filter_is_kept_as_a_view(server, fleet):
    devices = [str(fleet.register(labels={"batch": "b7"})) for _ in range(5)]
    seen = person(server, "bulk", label="batch=b7", count=5, picked=devices[2])
    bad = {name: found for looked in seen["looks"].values() for name, found in looked.items()
           if found["violations"] or found["overflow"]}
    assert not bad, json.dumps(bad, indent=1)
    assert len(seen["outcomes"]) == 5 and all("Done" in outcome for outcome in seen["outcomes"]), seen["outcomes"]
    states = {device: server.get(f"/devices/{device}")["posture"]["lifecycle"] for device in devices}
    assert [device for device in devices if states[device] != "quarantined"] == [devices[2]], states
    acts = [event for event in server.events(kind="administrative") if event["act"] == "device.quarantine"]
    assert sum(event["reason"] == "a bad batch" for event in acts) == 5, "each device's act is in the ledger"
    assert "b7" in seen["stored"] and server.token not in seen["stored"]


def test_what_is_usual_for_a_device_is_drawn_as_a_band_with_a_table_beside(tmp_path):
    with Palisade(tmp_path / "palisade", **QUICK).running() as server:
        server.login()
        fleet = Fleet(server)
        device = fleet.device()
        with publisher(server, device) as lines:
            teach(server, device, lines)
            seen = person(server, "baseline", device=device.name)
    bad = {name: found for name, found in seen["looks"]["chart"].items() if found["violations"] or found["overflow"]}
    assert not bad, json.dumps(bad, indent=1)
    assert seen["rows"] > 2 and " to " in seen["usual"], seen


def test_a_waiting_action_is_approved_and_the_case_is_judged_and_closed(server, case):
    person(server, "case", case=case)
    found = server.get(f"/cases/{case}")
    assert (found["state"], found["verdict"]) == ("closed", "true_positive"), found


def test_a_dialog_is_there_from_the_first_frame_whatever_the_hand_that_opens_it(server):
    """A library that waits for a keyboard on the screen keeps dialogs hidden where none will come."""
    seen = person(server, "dialogs")["seen"]
    assert set(seen) == {"mouse", "lower", "touch"}
    hidden = {how: dialogs for how, dialogs in seen.items() if not all(all(frames) for frames in dialogs)}
    assert not hidden, hidden


def test_the_settings_say_how_the_server_and_its_keys_are_and_what_to_do(tmp_path):
    with Palisade(tmp_path / "palisade").running() as server:
        server.login()
        seen = person(server, "health", reason="an exercise")
        done = server.cli("doctor", "--json")
    bad = {name: found for looked in seen["looks"].values() for name, found in looked.items()
           if found["violations"] or found["overflow"]}
    assert not bad, json.dumps(bad, indent=1)
    assert len(seen["good"]) > 12 and all(check.startswith("Good") for check in seen["good"]), seen["good"]
    assert [key.split("\n")[0] for key in seen["keys"]] == ["Root", "Issuer", "Doors", "Key-encryption key"]
    assert seen["worst"].startswith("Look at it") and "an exercise" in seen["worst"], seen["worst"]
    # The command line asks the same server, and says the same.
    found = {one["check"]: one["level"] for one in json.loads(done.stdout)["findings"]}
    assert found["automatic response"] == "warn" and found["database"] == "ok", found


def test_a_token_that_is_none_is_refused_in_words(server):
    says = person(server, "refused")["says"]
    assert "Copy the whole token" in says, says


def test_a_server_that_is_away_is_said_to_be_away_and_found_again(server):
    person(server, "away", process=server.process.pid)


def test_the_page_is_small_strict_and_kept_by_the_browser(server):
    status, headers, page = fetch(server, "/", accept="text/html", accept_encoding="br, gzip")
    assert status == 200 and headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';") and "unsafe" not in policy
    for name, value in {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
                        "cross-origin-opener-policy": "same-origin"}.items():
        assert headers[name] == value
    assert "max-age=" in headers["strict-transport-security"] and "permissions-policy" in headers
    _, _, page = fetch(server, "/", accept="text/html")
    files = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.decode())
    assert any(name.endswith(".js") for name in files) and any(name.endswith(".css") for name in files)
    assert b"<style" not in page and b"<script>" not in page
    total = len(page)
    for name in files:
        status, headers, body = fetch(server, name, accept_encoding="br")
        assert status == 200 and headers["content-encoding"] == "br" and "immutable" in headers["cache-control"]
        assert fetch(server, name, accept_encoding="br", if_none_match=headers["etag"])[0] == 304
        total += len(body)
    assert total < FIRST_LOAD, f"the first load is {total} bytes"


def test_the_api_answers_as_before(server):
    status, headers, body = fetch(server, "/api/v1/nothing", accept="text/html")
    assert status == 404 and headers["content-type"] == "application/problem+json", body
    assert fetch(server, "/devices", accept="application/json")[0] == 404
    assert fetch(server, "/devices", accept="text/html")[0] == 200
    assert fetch(server, "/", method="POST")[0] == 404
    assert fetch(server, "/assets/../index.html.br", accept="text/html")[0] == 404
