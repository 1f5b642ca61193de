"""The console in a real browser (Chromium), against the real server that carries it."""

import http.client
import json
import pathlib
import re
import shutil
import ssl

import pytest

from palisade import HOST, Palisade, run

SCRIPT = pathlib.Path(__file__).with_name("console.cjs")
# Screenshots of the last run; git ignores them.
SHOTS = pathlib.Path(__file__).parents[2] / "artefacts" / "console"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FIRST_LOAD = 180_000

pytestmark = pytest.mark.skipif(not CHROMIUM or not shutil.which("node"), reason="chromium or node is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of the console's own: it shows all that there is, which other tests would make a lot of."""
    with Palisade(tmp_path_factory.mktemp("console")).running() as server:
        yield server


def person(server, scenario, **task):
    """What a person sees who does this at the console."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    task = {"scenario": scenario, "url": f"https://{HOST}:{server.people}/", "token": server.token,
            "chromium": CHROMIUM, "shots": str(SHOTS), **task}
    done = run("node", SCRIPT, input=json.dumps(task).encode(), timeout=180)
    seen = json.loads(done.stdout)
    assert seen["complaints"] == [], "the browser complains: of an error, or of what the policy forbids"
    return seen


def fetch(server, path, method="GET", **headers):
    """One request as a browser makes it: status, headers, body as it came."""
    context = ssl.create_default_context(cafile=server.ca)
    connection = http.client.HTTPSConnection(HOST, server.people, context=context, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def test_every_place_is_for_everybody_light_and_dark_wide_and_narrow(server):
    seen = person(server, "places", places={"overview": "/"})
    assert {place: found for place, found in seen["found"].items() if found["violations"] or found["overflow"]} == {}
    assert seen["stored"][:3] == [0, 0, ""], "the token is kept where it outlives the page"
    assert server.token not in seen["stored"][3]


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
