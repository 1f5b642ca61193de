"""The demo: a device turns bad and is contained, in figures."""

import json
import os
import re
import signal
import subprocess

import pytest

from palisade import binary, run, wait_for


def test_the_demo_contains_its_bad_device_and_leaves_nothing_behind(tmp_path):
    done = run(binary("palisade"), "demo", "--json", "--devices", 10, timeout=120,
               env={**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)})
    story = json.loads(done.stdout)
    assert story["ok"] and all(step["happened"] for step in story["timeline"])
    steps = [step["step"] for step in story["timeline"]]
    for wanted in ("session_closed", "reconnect_refused", "found", "quarantined", "certificate_on_crl"):
        assert wanted in steps
    assert list(tmp_path.iterdir()) == []


def start(tmp_path, *options, **popen):
    # Whoever ran the tests may have told them to outlive their terminal, and the demo keeps to that.
    def hear_the_terminal():
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    return subprocess.Popen([binary("palisade"), "demo", "--devices", "3", *options], stdin=subprocess.DEVNULL,
                            preexec_fn=hear_the_terminal,
                            stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(tmp_path),
                                                            "HOME": str(tmp_path)}, **popen)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_demo_leaves_nothing_behind_when_it_is_told_to_end(tmp_path, name):
    demo = start(tmp_path, stdout=subprocess.DEVNULL)
    try:
        # In the middle of it: the server is up, and devices enrol.
        wait_for(lambda: list(tmp_path.glob("*/data/root.pem")), "a server")
        demo.send_signal(getattr(signal, name))
        assert demo.wait(timeout=60) == 1
    finally:
        demo.kill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_demo_that_is_held_leaves_nothing_behind_when_it_is_told_to_end(tmp_path, name):
    demo = start(tmp_path, "--hold", stdout=subprocess.PIPE)
    try:
        assert any(b"PALISADE_TOKEN" in line for line in demo.stdout)
        assert list(tmp_path.iterdir()) != []
        demo.send_signal(getattr(signal, name))
        assert demo.wait(timeout=60) == 0
    finally:
        demo.kill()
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_is_held_has_an_owner_who_must_choose_a_password(tmp_path):
    demo = start(tmp_path, "--hold", stdout=subprocess.PIPE)
    try:
        told = b""
        for line in demo.stdout:
            told += line
            if b"metrics" in line:
                break
        told = told.decode()
        console = re.search(r"https://localhost:\d+(?=/\n)", told)[0]
        name, password = re.search(r"sign in as\s+(\S+) with the password (\S+)", told).groups()
        root = next(tmp_path.glob("*/data/root.pem"))
        answer = run("curl", "-sS", "--cacert", root, f"{console}/api/v1/session", "-H", "Content-Type: application/json",
                     "-d", "@-", input=json.dumps({"account": name, "password": password}).encode())
        assert b"password" in answer.stdout and b"owner" in answer.stdout, answer.stdout
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(timeout=60) == 0
    finally:
        demo.kill()


def test_the_demo_leaves_nothing_behind_when_nobody_reads_it_any_longer(tmp_path):
    demo = start(tmp_path, "--hold", stdout=subprocess.PIPE)
    demo.stdout.close()
    try:
        assert demo.wait(timeout=120) == 0
    finally:
        demo.kill()
    assert list(tmp_path.iterdir()) == []
