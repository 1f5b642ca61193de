"""Logging in through a provider of identities: npm's oidc-provider, and a browser's cookies and redirects."""

import http.cookiejar
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from palisade import HOST, Palisade, free_port, run, wait_for

SCRIPT = pathlib.Path(__file__).with_name("oidc.cjs")
SECRET = "the-secret-of-palisade-at-the-provider"

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Browser:
    """Keeps cookies, and goes where it is sent, one step at a time."""

    def __init__(self, *roots):
        context = ssl.create_default_context()
        for root in roots:
            context.load_verify_locations(root)
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            NoRedirects, urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(self.jar))

    def step(self, url, form=None):
        body = urllib.parse.urlencode(form).encode() if form else None
        try:
            answer = self.opener.open(urllib.request.Request(url, data=body), timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        place = answer.headers.get("location")
        return answer.status, place and urllib.parse.urljoin(url, place), answer.read().decode()

    def log_in(self, palisade, login):
        """Goes to the provider and logs in there; the address that it is sent back to."""
        status, place, body = self.step(f"https://{HOST}:{palisade.people}/api/v1/session/oidc/corp")
        assert status == 303, body
        while f":{palisade.people}/" not in place:
            status, following, body = self.step(place)
            if following is None:
                form = re.search(r'action="([^"]+)"', body)
                assert form, body
                form = urllib.parse.urljoin(place, form[1])
                status, following, body = self.step(
                    form, {"prompt": "login", "login": login, "password": "any"})
            assert following, (status, body)
            place = following
        return place

    def who(self, palisade):
        status, _, body = self.step(f"https://{HOST}:{palisade.people}/api/v1/session")
        return status, json.loads(body)


@pytest.fixture()
def world(tmp_path):
    """A provider, and a server that lets people in through it."""
    ca, key = tmp_path / "provider.pem", tmp_path / "provider.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE",
        "-keyout", key, "-out", ca)
    secret = tmp_path / "client-secret"
    secret.write_text(SECRET)
    port = free_port()
    server = Palisade(tmp_path / "palisade", **{
        "ACCOUNTS__OIDC__CORP__TITLE": "Corp",
        "ACCOUNTS__OIDC__CORP__ISSUER": f"https://localhost:{port}",
        "ACCOUNTS__OIDC__CORP__CLIENT_ID": "palisade",
        "ACCOUNTS__OIDC__CORP__CLIENT_SECRET_FILE": str(secret),
        "ACCOUNTS__OIDC__CORP__CA_FILE": str(ca),
        "ACCOUNTS__OIDC__CORP__MAKE_ACCOUNTS": "true",
        "ACCOUNTS__OIDC__CORP__ROLES__STAFF": '["auditor"]',
    })
    redirect = f"https://localhost:{server.people}/api/v1/session/oidc/corp/callback"
    with open(tmp_path / "provider.log", "wb") as log:
        provider = subprocess.Popen(["node", SCRIPT, str(port), key, ca, SECRET, redirect],
                                    stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ))
    try:
        with server.running():
            browser = Browser(ca)

            def is_ready():
                assert provider.poll() is None, (tmp_path / "provider.log").read_text()
                try:
                    return browser.step(f"https://localhost:{port}/.well-known/openid-configuration")[0] == 200
                except (urllib.error.URLError, ConnectionError):
                    return False

            wait_for(is_ready, "the provider", 30)
            yield server, ca
    finally:
        provider.kill()
        provider.wait()


def test_somebody_logs_in_through_a_provider_once_and_in_their_own_browser(world):
    palisade, ca = world
    browser = Browser(ca, palisade.ca)
    back = browser.log_in(palisade, "anna.staff")
    # Somebody else's browser is sent there first: what it carries is not its own.
    status, _, body = Browser(ca, palisade.ca).step(back)
    assert status == 401, body
    status, _, body = browser.step(back)
    assert status == 401, "a state that was tried counts no more"

    back = browser.log_in(palisade, "anna.staff")
    status, place, body = browser.step(back)
    assert status == 303 and urllib.parse.urlsplit(place).path == "/", body
    status, view = browser.who(palisade)
    assert (status, view["name"], view["roles"]) == (200, "anna", ["auditor"]), view
    status, _, _ = browser.step(back)
    assert status == 401, "neither state nor code count twice"

    nobody = Browser(ca, palisade.ca)
    status, _, body = nobody.step(nobody.log_in(palisade, "mallory.owner"))
    assert status == 403, body
    assert nobody.who(palisade)[0] == 401
    log = palisade.log()
    assert SECRET not in log and "code=" not in log
