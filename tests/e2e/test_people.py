"""People at the real server, as curl sees it: log-in, second factor, sessions, and what attackers try."""

import base64
import hashlib
import hmac
import json
import struct
import time

import pytest

from fleet import curl


PASSWORD = "tanzbar loewe kiste fenster"
OTHER = "umbrella seven giraffe kelp"
COOKIE = "__Host-palisade"
# A session belongs to who first used it.
BROWSER = "a browser of the tests"


def call(palisade, method, path, body=None, *options, session=None, ours=True):
    """One request; with a session, as a page of the server would send it."""
    more = ["-X", method]
    if session:
        more += ["-A", BROWSER, "-H", f"Cookie: {COOKIE}={session}"]
        more += ["-H", "Palisade-Request: 1", "-H", "Sec-Fetch-Site: same-origin"] if ours else []
    if body is not None:
        more += ["-H", "Content-Type: application/json"]
    body = json.dumps(body).encode() if body is not None else None
    return curl(palisade, "/api/v1" + path, *more, *options, port=palisade.people, body=body)


def log_in(palisade, account, password=PASSWORD, *options, **more):
    """The answer, and the secret of the session."""
    answer = call(palisade, "POST", "/session", {"account": account, "password": password, **more}, *options)
    cookie = answer.headers.get("set-cookie", "")
    if answer.status == 200:
        assert cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Strict"), cookie
    return answer, cookie.split(";")[0].removeprefix(COOKIE + "=")


def account(palisade, name, role):
    """An account whose person has chosen its password; a session of it."""
    palisade.post("/accounts", {"name": name, "roles": [role], "password": OTHER})
    _, first = log_in(palisade, name, OTHER)
    changed = call(palisade, "PUT", "/account/password", {"current": OTHER, "password": PASSWORD}, session=first)
    assert changed.status == 204, changed.body
    answer, session = log_in(palisade, name)
    assert answer.status == 200, answer.body
    return session


def code(secret, ahead=0):
    """TOTP by RFC 6238, by none of the server's code."""
    step = int(time.time()) // 30 + ahead
    mac = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[offset:offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def test_an_owner_enrols_a_second_factor_and_a_code_counts_once(own_palisade):
    session = account(own_palisade, "olga", "owner")
    assert call(own_palisade, "GET", "/devices", session=session).status == 403
    secret = call(own_palisade, "POST", "/account/totp", session=session).json()["secret"]
    confirmed = call(own_palisade, "POST", "/account/totp/confirm", {"code": code(secret)}, session=session)
    assert confirmed.status == 200 and len(confirmed.json()["recovery_codes"]) == 10
    assert call(own_palisade, "GET", "/session", session=session).status == 401
    session = confirmed.headers["set-cookie"].split(";")[0].removeprefix(COOKIE + "=")
    assert call(own_palisade, "GET", "/devices", session=session).status == 200
    wanted, _ = log_in(own_palisade, "olga")
    assert wanted.status == 401 and wanted.json()["second_factor"] == ["totp", "recovery"]
    # A step ahead is within the drift, and has not been used.
    ahead = code(secret, ahead=1)
    assert log_in(own_palisade, "olga", code=ahead)[0].status == 200
    assert log_in(own_palisade, "olga", code=ahead)[0].status == 401
    recovery = confirmed.json()["recovery_codes"][0]
    assert log_in(own_palisade, "olga", code=recovery)[0].status == 200
    assert log_in(own_palisade, "olga", code=recovery)[0].status == 401


def test_a_session_that_somebody_planted_is_not_the_one_that_log_in_makes(own_palisade):
    account(own_palisade, "anna", "auditor")
    planted = "pss_" + "A" * 43
    answer, session = log_in(own_palisade, "anna", PASSWORD, "-H", f"Cookie: {COOKIE}={planted}")
    assert answer.status == 200 and session != planted
    assert call(own_palisade, "GET", "/session", session=planted).status == 401
    assert call(own_palisade, "GET", f"/session?{COOKIE}={session}").status in (400, 401)
    ended = call(own_palisade, "DELETE", "/session", session=session)
    assert ended.status == 204 and "Max-Age=0" in ended.headers["set-cookie"]
    assert call(own_palisade, "GET", "/session", session=session).status == 401


@pytest.mark.parametrize("headers", [
    [], ["Palisade-Request: 1", "Sec-Fetch-Site: cross-site"], ["Palisade-Request: 1", "Origin: https://evil.test"],
    ["Palisade-Request: 1", "Origin: null"], ["Sec-Fetch-Site: same-origin"]])
def test_what_another_page_makes_a_browser_send_is_refused(palisade, headers):
    name = f"csrf-{time.monotonic_ns()}"
    session = account(palisade, name, "operator")
    more = [part for header in headers for part in ("-H", header)]
    forged = call(palisade, "PUT", "/products/forged", {"description": "x"}, *more, session=session, ours=False)
    assert forged.status == 403
    assert palisade.rest("GET", "/products/forged")[0] in (404, 405)


def test_spraying_one_password_over_many_accounts_is_slowed_and_tells_nothing(own_palisade):
    account(own_palisade, "anna", "auditor")
    known, _ = log_in(own_palisade, "anna", "wrong")
    unknown, _ = log_in(own_palisade, "nobody", "wrong")
    assert known.status == unknown.status == 401 and known.body == unknown.body
    answers = [log_in(own_palisade, f"person-{number}", "wrong")[0] for number in range(60)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) > 20
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    # Who is in stays in.
    assert own_palisade.rest("GET", "/session")[0] == 200


def test_a_disabled_account_s_session_ends_at_the_next_request(palisade):
    session = account(palisade, "carl", "operator")
    assert call(palisade, "GET", "/devices", session=session).status == 200
    palisade.login()
    palisade.cli("account", "disable", "carl", "--yes")
    assert call(palisade, "GET", "/devices", session=session).status == 401
    assert log_in(palisade, "carl")[0].status == 401


def test_the_command_line_makes_and_lists_accounts_and_judges_passwords(palisade):
    palisade.login()
    palisade.cli("account", "create", "dora", "--role", "auditor", input=OTHER.encode())
    listed = palisade.cli_json("account", "list")["items"]
    assert [one["roles"] for one in listed if one["name"] == "dora"] == [["auditor"]]
    _, session = log_in(palisade, "dora", OTHER)
    sessions = palisade.cli_json("account", "sessions", "dora")["items"]
    assert len(sessions) == 1 and session not in json.dumps(sessions)
    weak = palisade.cli("password", "check", "--json", check=False, input=b"palisade123\n")
    assert weak.returncode == 6 and not json.loads(weak.stdout)["acceptable"]
    good = palisade.cli("password", "check", "--json", input=PASSWORD.encode())
    assert json.loads(good.stdout) == {"acceptable": True, "strength": 4, "failing": []}
    assert PASSWORD not in palisade.log() and OTHER not in palisade.log()
