"""People are told by e-mail what happens to their accounts, taken by aiosmtpd: attacks, log-ins from new places and
changes. Nobody waits for a mail server, a power cut loses nothing, and an attacker cannot fill a mailbox."""

import email
import email.policy
import socket

import pytest

from palisade import Palisade, wait_for
from test_email import Server
from test_people import OTHER, PASSWORD, account, call, code, log_in


THIRD = "harbour violin cactus sledge"


def sections(port):
    return ('[accounts.mail]\nserver = "127.0.0.1"\n' f"port = {port}\n" 'tls = "insecure_loopback"\n'
            'from = "Palisade <palisade@example.org>"\ntimeout_s = 3\n')


class Post:
    """A mail server, and the letters that it took."""

    def __init__(self):
        self.server = Server()
        self.server.controller.start()

    def letters(self, to):
        """The subjects and texts of what somebody got, in order."""
        taken = [email.message_from_bytes(content, policy=email.policy.default)
                 for recipients, content in list(self.server.taken) if f"{to}@example.org" in recipients]
        for one in taken:
            assert one["auto-submitted"] == "auto-generated" and one["to"] == f"{to}@example.org"
        return [(one["subject"], one.get_content()) for one in taken]

    def text(self, to):
        return "\n".join(text for _, text in self.letters(to))

    def wait(self, to, *parts, seconds=40):
        """Waits until all of it stands in the letters that somebody got."""
        wait_for(lambda: all(part in self.text(to) for part in parts), f"{to} is told of {parts}", seconds)


@pytest.fixture(scope="module")
def post():
    post = Post()
    yield post
    post.server.controller.stop()


def server(folder, port):
    server = Palisade(folder)
    server.data.mkdir(mode=0o700)
    (server.data / "palisade.toml").write_text(sections(port))
    return server


@pytest.fixture(scope="module")
def telling(tmp_path_factory, post):
    with server(tmp_path_factory.mktemp("telling"), post.server.port).running() as palisade:
        yield palisade


def told(palisade, name, role="operator"):
    """An account whose person is told; a session of it."""
    session = account(palisade, name, role)
    view = palisade.put(f"/accounts/{name}/email", {"email": f"{name}@example.org"})
    assert view == {"email": f"{name}@example.org", "tells": True}
    return session


def test_people_are_told_of_changes_by_whomever_and_of_new_places(telling, post):
    anna, bert, carl = told(telling, "anna"), told(telling, "bert"), told(telling, "carl", "owner")
    post.wait("anna", "from now on its person is told at anna@example.org", "tests")

    changed = call(telling, "PUT", "/account/password", {"current": PASSWORD, "password": THIRD}, session=anna)
    assert changed.status == 204, changed.body
    telling.put("/accounts/bert/password", {"password": THIRD})
    telling.rest("PATCH", "/accounts/bert", {"roles": ["auditor"]}, expect=200)
    secret = call(telling, "POST", "/account/totp", session=carl).json()["secret"]
    confirmed = call(telling, "POST", "/account/totp/confirm", {"code": code(secret)}, session=carl)
    carl = confirmed.headers["set-cookie"].split(";")[0].split("=", 1)[1]
    hostile = "ci Bcc: thief@example.net"
    made = call(telling, "POST", "/api-tokens", {"name": hostile, "scopes": ["devices:read"]}, session=carl)
    assert made.status == 201, made.body
    # Another browser than before, and then another network.
    assert log_in(telling, "anna", THIRD, "-A", "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0")[0].status == 200
    assert log_in(telling, "anna", THIRD, "--interface", "127.0.9.9")[0].status == 200

    post.wait("anna", "the password was changed", "Firefox on Windows", "the network 127.0.9.0/24")
    post.wait("bert", "tests (an API token) set a new password", "tests (an API token) changed what the account may do")
    post.wait("carl", "an authenticator app was enrolled", f"an API token was made: ({hostile}): devices:read")
    assert all(subject == "Palisade: changes to the account carl" for subject, _ in post.letters("carl"))
    # Where somebody was before is no news.
    log_in(telling, "anna", THIRD, "--interface", "127.0.9.9")
    call(telling, "PUT", "/account/email", {"email": None}, session=log_in(telling, "anna", THIRD)[1])
    post.wait("anna", "its person is told no longer what happens to it", seconds=90)
    assert post.text("anna").count("127.0.9.0/24") == 1

    everything = "".join(post.text(name) for name in ("anna", "bert", "carl")) + telling.log()
    secrets = [PASSWORD, OTHER, THIRD, secret, made.json()["secret"], anna, carl, *confirmed.json()["recovery_codes"]]
    assert not [one for one in secrets if one in everything], "no secret is in a letter or a log"
    assert "http" not in post.text("anna"), "there is nothing to click on"


def test_an_address_that_is_changed_is_told_at_the_old_one_and_must_be_one(telling, post):
    session = told(telling, "dora")
    for bad in ["dora", "Dora <dora@example.org>", "a@example.org, b@example.org", "d@example.org\r\nRCPT TO:<x@y.z>",
                "\u00fc@example.org", "x" * 300 + "@example.org"]:
        assert telling.rest("PUT", "/accounts/dora/email", {"email": bad})[0] in (400, 422), bad
        answer = call(telling, "PUT", "/account/email", {"email": bad}, session=session)
        assert answer.status in (400, 422), bad
    assert call(telling, "PUT", "/account/email", {"email": "thief@example.org"}, session=session).status == 200
    post.wait("dora", "from now on its person is told at thief@example.org")
    post.wait("thief", "from now on its person is told at thief@example.org")
    telling.login()
    said = telling.cli("account", "email", "dora").stdout.decode()
    assert "thief@example.org" in said
    telling.cli("account", "email", "dora", "dora@example.org")
    assert telling.cli_json("account", "email", "dora")["email"] == "dora@example.org"
    assert call(telling, "GET", "/account/email", session=session).json()["email"] == "dora@example.org"
    auditor = account(telling, "frida", "auditor")
    refused = call(telling, "PUT", "/accounts/dora/email", {"email": "frida@example.org"}, session=auditor)
    assert refused.status == 403, "only who administers works on the address of another"


def test_who_attacks_an_account_fills_no_mailbox(telling, post):
    told(telling, "emil")
    post.wait("emil", "from now on")
    tried = 0
    for number in range(120):
        name = "emil" if number % 2 else f"nobody-{number}"
        # From another address each time: the account alone holds them back.
        answer, _ = log_in(telling, name, f"wrong-{number}", "--interface", f"127.0.{number}.3")
        assert answer.status in (401, 429)
        tried += name == "emil"
    post.wait("emil", "attempts to log in that were not right")
    attacks = [text for subject, text in post.letters("emil") if "attempts" in subject]
    assert len(attacks) == 1 and "wrong-" not in attacks[0]
    # What is tried now waits for the next letter, and a change does not wait behind it.
    for number in range(20):
        log_in(telling, "emil", "wrong", "--interface", f"127.1.{number}.3")
    telling.put("/accounts/emil/password", {"password": THIRD})
    post.wait("emil", "set a new password")
    assert len([1 for subject, _ in post.letters("emil") if "attempts" in subject]) == 1
    assert "nobody-" not in "".join(text for text in attacks)


def test_whose_session_is_used_from_elsewhere_is_told(telling, post):
    session = told(telling, "ines")
    assert call(telling, "GET", "/session", session=session).status == 200
    stolen = call(telling, "GET", "/session", None, "-H", "Cookie: __Host-palisade=" + session, "-A", "a thief's")
    assert stolen.status == 401
    post.wait("ines", "a session came from another browser than the one it is bound to")
    assert session not in post.text("ines")


def test_nobody_waits_for_a_mail_server_and_a_power_cut_loses_nothing(tmp_path_factory, post):
    mute = socket.create_server(("127.0.0.1", 0))
    palisade = server(tmp_path_factory.mktemp("waiting"), mute.getsockname()[1])
    try:
        palisade.start()
        palisade.set_up()
        session = told(palisade, "fred")
        connection, _ = mute.accept()
        # The server is asked and says nothing; log-ins and changes go on.
        for number in range(5):
            assert log_in(palisade, "fred")[0].status == 200
            telling = {"name": f"token-{number}", "scopes": ["devices:read"]}
            assert call(palisade, "POST", "/api-tokens", telling, session=session).status in (201, 403)
        palisade.put("/accounts/fred/password", {"password": THIRD})
        palisade.rest("PATCH", "/accounts/fred", {"roles": ["auditor"]}, expect=200)
        palisade.kill()
        connection.close()
        (palisade.data / "palisade.toml").write_text(sections(post.server.port))
        post.server.answer = "554 not this one"
        palisade.start()
        wait_for(lambda: "was not taken" in palisade.log(), "it is tried again")
        post.server.answer = None
        post.wait("fred", "from now on its person is told", "set a new password", "changed what the account may do",
                  seconds=90)
        assert len(post.letters("fred")) == 1, "what happened meanwhile is one letter"
        palisade.stop()
    finally:
        if palisade.process and palisade.process.poll() is None:
            palisade.kill()
        mute.close()


def test_a_server_without_mail_tells_nobody_and_says_so(own_palisade):
    account(own_palisade, "greta", "auditor")
    own_palisade.login()
    said = own_palisade.cli("account", "email", "greta", "greta@example.org").stdout.decode()
    assert "no [accounts.mail]" in said
    assert own_palisade.get("/accounts/greta/email") == {"email": "greta@example.org", "tells": False}
    created = own_palisade.post("/accounts", {"name": "hugo", "roles": ["auditor"], "password": OTHER,
                                              "email": "hugo@example.org"})
    assert created["email"] == "hugo@example.org"
    bad = own_palisade.rest("POST", "/accounts", {"name": "ida", "roles": ["auditor"], "password": OTHER,
                                                  "email": "ida"})
    assert bad[0] in (400, 422)
    assert own_palisade.rest("GET", "/accounts/ida/email")[0] == 404, "nothing half done"
