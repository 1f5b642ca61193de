"""schemathesis with a session of each shipped role: nothing above its rights answers, and nothing makes the server fail.

Each operation is made once by schemathesis from the OpenAPI document, and sent by everybody. Who may do what is read from
the server's own list of roles, which `roles/` is; what a role permits on some devices alone is not among those that ship.
"""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from fleet import curl
from palisade import HOST, Palisade
from test_people import BROWSER, COOKIE, account, call, code

ROLES = ("technician", "auditor", "release-manager", "operator", "security-analyst", "owner")


def example(operation):
    """One request that the document allows."""
    made = []

    @seed(1)
    @settings(max_examples=1, phases=[Phase.generate], database=None, deadline=None,
              suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy())
    def draw(case):
        made.append(case)

    draw()
    return made[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own: what its roles permit is really done."""
    with Palisade(tmp_path_factory.mktemp("roles")).running() as server:
        yield server


@pytest.fixture(scope="module")
def document(server):
    """Each operation with its action, its scope and one request."""
    schema = schemathesis.openapi.from_dict(curl(server, "/api/openapi.json", port=server.people).json())
    found = []
    for result in schema.get_all_operations():
        operation = result.ok()
        raw = operation.definition.raw
        if raw.get("x-palisade-scope"):
            found.append((raw["x-palisade-action"], raw["x-palisade-scope"], example(operation)))
    assert len(found) > 150, len(found)
    return found


def person(palisade, role):
    """A session of somebody who has the role and nothing else, with a second factor where it needs one."""
    session = account(palisade, f"a-{role}", role)
    if role != "owner":
        return session
    secret = call(palisade, "POST", "/account/totp", session=session).json()["secret"]
    confirmed = call(palisade, "POST", "/account/totp/confirm", {"code": code(secret)}, session=session)
    return confirmed.headers["set-cookie"].split(";")[0].removeprefix(COOKIE + "=")


def ask(palisade, browser, case, session):
    sent = case.as_transport_kwargs(base_url=f"https://{HOST}:{palisade.people}")
    headers = {name: value for name, value in sent["headers"].items() if name not in ("Authorization", "Cookie", "User-Agent")}
    headers |= {"Cookie": f"{COOKIE}={session}", "Palisade-Request": "1", "Sec-Fetch-Site": "same-origin",
                "User-Agent": BROWSER}
    sent = {**sent, "headers": headers, "cookies": None}
    with browser.request(**sent, timeout=30, stream=True, allow_redirects=False) as answer:
        # A stream of events has no end: its head is what is looked at. What was read whole leaves its connection open.
        if "event-stream" not in answer.headers.get("Content-Type", ""):
            _ = answer.content
        return answer.status_code


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_answered_what_it_permits_and_nothing_else(server, document, role):
    permitted = set(server.get(f"/roles/{role}")["actions"])
    session = person(server, role)
    browser = requests.Session()
    # The CA is the server's own, whatever the environment says.
    browser.trust_env, browser.verify = False, str(server.ca)
    above, failed, answered, refused = [], [], 0, 0
    for action, scope, case in document:
        # It would end what asks; what else there is to end has other names.
        if action == "session.end":
            continue
        status = ask(server, browser, case, session)
        if status >= 500 and status != 503:
            failed.append((action, status))
        if scope != "any" and action not in permitted:
            refused += 1
            if status != 403:
                above.append((action, status))
        elif 200 <= status < 300:
            answered += 1
    assert not failed, failed
    assert not above, above
    # Otherwise nothing was asked of it at all.
    assert call(server, "GET", "/session", session=session).json()["roles"] == [role]
    assert answered > 5 and (refused > 20 or role == "owner"), (answered, refused)
