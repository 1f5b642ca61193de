"""People at the console in a real browser: the first administrator, second factors, sessions, accounts."""

import base64
import hashlib
import json
import ssl

import pytest

from console import READY, person
from palisade import Palisade, SETUP_TOKEN, run

PASSWORD = "tanzbar loewe kiste fenster"
OTHER = "umbrella seven giraffe kelp"

pytestmark = READY


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose set-up token nobody has spent."""
    server = Palisade(tmp_path_factory.mktemp("people"))
    try:
        server.start()
        run("curl", "-sS", "--fail", "-k", "-o", server.ca, f"https://localhost:{server.devices}/ca/root.pem")
        yield server
        server.stop()
    finally:
        if server.process and server.process.poll() is None:
            server.kill()


def good(looks):
    """Whether axe finds nothing on these pages, and none is wider than its window."""
    bad = {name: found for looked in looks.values() for name, found in looked.items()
           if found["violations"] or found["overflow"]}
    assert not bad, json.dumps(bad, indent=1)


@pytest.fixture(scope="module")
def first(server):
    """The first administrator, made at the console; what was seen."""
    setup = SETUP_TOKEN.search(server.log())[0]
    seen = person(server, "first", setup=setup, account="anna", password=PASSWORD)
    server.token = seen["token"]
    return seen


def test_the_first_administrator_comes_from_the_set_up_token_to_the_overview_by_keyboard(server, first):
    good(first["looks"])
    assert "set the clocks" in first["wrong"]
    assert len(first["codes"]) == 10 and all(code in first["kept"] for code in first["codes"])
    assert first["cookie"] == [0, 0, ""], "a script can read the session, or something was kept"
    assert PASSWORD not in server.log() and first["secret"].replace(" ", "") not in server.log()


def test_somebody_new_chooses_a_password_and_goes_on_where_they_were_after_their_session_was_ended(server, first):
    server.post("/accounts", {"name": "tina", "roles": ["technician"], "password": OTHER})
    seen = person(server, "ended", account="tina", password=OTHER, next=PASSWORD)
    good(seen["looks"])
    assert "characters" in seen["refused"], seen["refused"]
    assert seen["offered"] == ["Overview", "Devices", "Requests", "Your account", "Settings"], "what a technician cannot read is not offered"


def spki(server):
    """The key of the server's certificate, as Chromium is told to trust it."""
    pem = ssl.get_server_certificate(("localhost", server.people)).encode()
    key = run("openssl", "x509", "-pubkey", "-noout", input=pem).stdout
    der = run("openssl", "pkey", "-pubin", "-outform", "der", input=key).stdout
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def test_a_passkey_signs_in_alone_at_this_origin_alone_and_not_when_it_is_removed(server, first):
    server.post("/accounts", {"name": "olga", "roles": ["owner"], "password": OTHER})
    seen = person(server, "passkey", account="olga", password=OTHER, next=PASSWORD, spki=spki(server),
                  elsewhere=f"https://localhost:{server.devices}/")
    good(seen["looks"])
    assert seen["codes"] == 10
    assert "already has a passkey" in seen["twice"], seen["twice"]
    assert "second factor" in seen["last"], seen["last"]
    assert seen["elsewhere"] == 401, "a passkey that was shown to another origin signs in here"
    assert "not known here" in seen["removed"], seen["removed"]
    assert "127.0.0.1" in seen["foreign"], seen["foreign"]


def test_an_account_is_made_changed_disabled_and_its_session_ended(server, first):
    seen = person(server, "people", account="nina")
    good(seen["looks"])
    assert seen["status"] == 200, "the first password signs in"
    made = {one["name"]: one for one in server.get("/accounts")["items"]}["nina"]
    assert made["roles"] == ["auditor"] and not made["disabled"]
    assert seen["password"] not in server.log()


def test_wrong_passwords_are_slowed_and_the_page_counts_down(server, first):
    seen = person(server, "slowed")
    assert "Check both" in seen["says"][0] and "Try again in" in seen["says"][-1], seen["says"]
    assert seen["isHeld"], "the button waits as well"
