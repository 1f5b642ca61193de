"""Signing in with a provider that we did not write (oidc-provider), from the console's button in a real browser."""

import json
import subprocess

import pytest

from console import READY, person
from palisade import HOST, Palisade, binary, free_port, run
from test_console_people import good
from test_email import authority

CLIENT, SECRET = "palisade", "a-secret-that-is-in-no-log"
PASSWORD = "umbrella seven giraffe kelp"

pytestmark = READY


class Provider:
    """oidc-provider in a process of its own."""

    def __init__(self, folder, server, is_terse):
        self.folder, self.port = folder, free_port()
        self.issuer = f"https://{HOST}:{self.port}"
        self.people = folder / "people.json"
        authority(folder, "provider")
        self.task = {
            "issuer": self.issuer, "port": self.port, "client": CLIENT, "secret": SECRET, "isTerse": is_terse,
            "redirect": f"https://{HOST}:{server.people}/api/v1/session/oidc/corp/callback",
            "people": str(self.people), "key": str(folder / "provider.key"),
            "certificate": str(folder / "provider.pem"),
        }

    def __enter__(self):
        self.knows({})
        script = __file__.replace("test_oidc.py", "oidc.cjs")
        self.process = subprocess.Popen(["node", script, json.dumps(self.task)], stdout=subprocess.PIPE,
                                        stderr=open(self.folder / "provider.log", "wb"), stdin=subprocess.DEVNULL)
        for line in self.process.stdout:
            if line.strip() == b"listens":
                return self
        raise AssertionError((self.folder / "provider.log").read_text())

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=10)

    def knows(self, people):
        """Who people are: `{login: claims}`."""
        self.people.write_text(json.dumps(people))


def configure(server, provider):
    server.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = server.data / "corp.secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    (server.data / "palisade.toml").write_text(f"""
[[accounts.oidc]]
name = "corp"
label = "Corp"
issuer = "{provider.issuer}"
client_id = "{CLIENT}"
client_secret_file = "corp.secret"
ca = "{provider.folder / 'provider-ca.pem'}"
scopes = ["profile", "groups"]
roles = {{ "fleet-operators" = ["operator"], "fleet-auditors" = ["auditor"] }}
""")


@pytest.fixture(scope="module", params=[True, False], ids=["terse", "full"])
def fleet_of(request, tmp_path_factory):
    """A server and the provider that it knows, which says groups at userinfo or in the ID token."""
    folder = tmp_path_factory.mktemp("oidc")
    server = Palisade(folder / "palisade", LOG__LEVEL="debug")
    with Provider(folder, server, request.param) as provider:
        configure(server, provider)
        with server.running():
            yield server, provider
        # Not even where all that happens is told: the client's secret, sessions, states, what browsers keep, codes.
        for secret in (SECRET, "pss_", "pos_", "pob_", "poc_", "code="):
            assert secret not in server.log(), f"{secret} is in the log"


def test_an_operator_signs_in_with_the_button_and_loses_the_role_with_the_claim(fleet_of):
    server, provider = fleet_of
    olga = {"preferred_username": "olga", "groups": ["fleet-operators"]}
    provider.knows({"olga": olga})
    seen = person(server, "provider", login="olga", people=str(provider.people),
                  later=[{**olga, "groups": ["fleet-auditors"]}, {**olga, "groups": ["nothing"]}])
    good(seen["looks"])
    assert seen["place"] == "/devices?label=site%3Dberlin", "on where they were on the way to"
    first, then = seen["who"]
    assert (first["name"], first["roles"], first["first"]) == ("olga", ["operator"], None)
    assert then["roles"] == ["auditor"]
    assert "nothing that stands for a role" in seen["refused"], seen["refused"]
    assert seen["after"] == 401, "who is refused has no session"
    assert seen["address"] == "/", "the address keeps nothing of it"
    assert seen["kept"] == [0, 0, ""], "a script can read the session, or something was kept"
    acts = [(event["act"], event["target"]) for event in server.events(kind="administrative")]
    assert ("account.create", "olga") in acts and acts.count(("account.set_roles", "olga")) == 2


def test_somebody_without_a_role_is_told_so_and_has_no_account(fleet_of):
    server, provider = fleet_of
    provider.knows({"mallory": {"preferred_username": "mallory", "groups": ["everybody"]}})
    seen = person(server, "outsider", login="mallory")
    assert "nothing that stands for a role" in seen["refused"], seen["refused"]
    assert seen["after"] == 401
    assert "mallory" not in [one["name"] for one in server.get("/accounts")["items"]]
    refused = [event for event in server.events(kind="administrative") if event["outcome"] == "refused"]
    assert any(event["actor"]["id"] == "corp:mallory" for event in refused), refused


def test_a_second_factor_of_ours_is_asked_for_after_the_provider(fleet_of):
    server, provider = fleet_of
    provider.knows({"petra": {"preferred_username": "petra", "groups": ["fleet-operators"]}})
    seen = person(server, "owing", login="petra")
    good(seen["looks"])
    assert seen["before"] == 401, "a session before the code"
    assert "second factor" in seen["wrong"] and seen["name"] == "petra"


def test_an_account_that_was_there_before_is_linked_by_its_own_person_alone(fleet_of):
    server, provider = fleet_of
    name = f"anna-{provider.port}"
    server.post("/accounts", {"name": name, "roles": ["technician"], "password": PASSWORD})
    provider.knows({"a7": {"preferred_username": name, "groups": ["fleet-operators"]}})
    seen = person(server, "linking", login="a7", account=name, password=PASSWORD, next="tanzbar loewe kiste fenster")
    good(seen["looks"])
    assert "has the name that the provider gives you" in seen["refused"], seen["refused"]
    assert seen["linked"] == ["Corp"]
    assert (seen["who"]["name"], seen["who"]["roles"]) == (name, ["technician"]), "a link gives no role"


def test_the_configuration_is_shown_without_the_secret_and_refused_with_what_was_meant(fleet_of, tmp_path):
    server, _ = fleet_of
    shown = run(binary("palisade"), "config", "show", "--data", server.data, env=server.environment())
    assert b"corp.secret" in shown.stdout and SECRET.encode() not in shown.stdout
    text = (server.data / "palisade.toml").read_text()
    wrong = tmp_path / "palisade.toml"
    for broken, why in [
        (text.replace("client_id", "clientid"), "client_id"),
        (text.replace("https://", "http://"), "issuer"),
        (text.replace('"operator"', '"Operator!"'), "role"),
    ]:
        wrong.write_text(broken)
        done = run(binary("palisade"), "config", "check", "--config", wrong, check=False, env=server.environment())
        assert done.returncode != 0 and why in done.stderr.decode(), done.stderr
