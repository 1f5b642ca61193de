"""`palisade login --account`: a person at the command line, from the set-up token to a session and its end."""

import json
import re
import shutil
import subprocess

import pytest

from palisade import HOST, SETUP_TOKEN, Palisade, binary
from test_people import OTHER, PASSWORD, code


@pytest.fixture
def fresh(tmp_path):
    """A server that nobody has set up."""
    palisade = Palisade(tmp_path / "palisade")
    try:
        palisade.start()
        shutil.copy(palisade.data / "root.pem", palisade.ca)
        yield palisade
        palisade.stop()
    finally:
        if palisade.process and palisade.process.poll() is None:
            palisade.kill()


class LogIn:
    """`palisade login --account`, answered line by line."""

    def __init__(self, palisade, account, *options, **environment):
        self.process = subprocess.Popen(
            [binary("palisade"), "login", "--account", account, "--ca", palisade.data / "root.pem",
             "--server", f"https://{HOST}:{palisade.people}", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**palisade.environment(), **environment})

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def secret(self):
        for line in self.process.stderr:
            if found := re.search(rb"secret ([A-Z2-7]+)", line):
                return found[1].decode()
        raise AssertionError("no secret of a second factor was shown")

    def end(self, status=0):
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == status, (out, err)
        return out.decode(), err.decode()


def test_the_first_owner_goes_from_the_setup_token_to_work_and_out(fresh):
    token = SETUP_TOKEN.search(fresh.log())[0]
    first = LogIn(fresh, "olga", PALISADE_SETUP_TOKEN=token)
    first.say(PASSWORD)
    secret = first.secret()
    first.say(code(secret))
    out, _ = first.end()
    assert "Logged in" in out and len(re.findall(r"^  \S+$", out, re.MULTILINE)) == 10, out
    recovery = re.search(r"^  (\S+)$", out, re.MULTILINE)[1]
    kept = fresh.home / ".config" / "palisade" / "client.toml"
    assert kept.stat().st_mode & 0o077 == 0 and PASSWORD not in kept.read_text()
    # As that person: reads, writes, and follows.
    assert fresh.cli_json("whoami")["name"] == "olga"
    fresh.cli("product", "put", "lamp")
    made = [event for event in fresh.cli_json("events", "--kind", "administrative")["items"]
            if event["event"]["act"] == "product.put"]
    assert made[0]["event"]["actor"] == {"type": "account", "id": "olga"}
    session = re.search(r"pss_[\w-]+", kept.read_text())[0]
    fresh.cli("logout")
    again = subprocess.run([binary("palisade"), "status", "--server", f"https://{HOST}:{fresh.people}", "--ca",
                            fresh.data / "root.pem"], capture_output=True,
                           env={**fresh.environment(), "PALISADE_TOKEN": session})
    assert again.returncode == 3 and b"has ended" in again.stderr, again
    # By a recovery code, as JSON; no secret but the codes is printed.
    second = LogIn(fresh, "olga", "--json")
    second.say(PASSWORD)
    second.say(recovery)
    out, _ = second.end()
    assert json.loads(out)["session"]["roles"] == ["owner"] and "pss_" not in out


def test_who_was_given_a_password_chooses_another(fresh):
    token = SETUP_TOKEN.search(fresh.log())[0]
    fresh.token = fresh.rest("POST", "/setup", {"token": token, "name": "tests"}, expect=201)[1]["secret"]
    fresh.post("/accounts", {"name": "anna", "roles": ["operator"], "password": OTHER})
    wrong = LogIn(fresh, "anna")
    wrong.say(PASSWORD)
    _, err = wrong.end(3)
    assert "not right" in err
    first = LogIn(fresh, "anna")
    first.say(OTHER)
    first.say(PASSWORD)
    out, _ = first.end()
    assert "Logged in" in out
    refused = fresh.cli("ca", "renew-issuer", check=False)
    assert refused.returncode == 3, refused
    again = LogIn(fresh, "anna")
    again.say(OTHER)
    again.end(3)
