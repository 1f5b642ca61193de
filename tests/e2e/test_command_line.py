"""The command line: what it prints for people and for programs, and how it refuses."""

import json

import pytest

from palisade import Palisade, binary, run

NOUNS = ["device", "product", "token", "policy", "grant", "ledger", "ca"]


@pytest.fixture(scope="module")
def logged_in(palisade):
    """The administrator's client, which keeps its token in a file of its own."""
    palisade.login()
    return palisade


def test_version_and_help_are_there():
    assert run(binary("palisade"), "--version").stdout.startswith(b"palisade ")
    helped = run(binary("palisade"), "--help").stdout.decode()
    for noun in ["serve", "init", "doctor", "login", *NOUNS]:
        assert noun in helped, noun


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_explains_itself_with_an_example(noun):
    assert b"palisade " in run(binary("palisade"), noun, "--help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_printed(shell, tmp_path):
    script = run(binary("palisade"), "completions", shell).stdout
    assert b"palisade" in script
    if shell == "bash":
        (tmp_path / "completions").write_bytes(script)
        run("bash", "-n", tmp_path / "completions")


def test_the_token_is_kept_where_no_one_else_reads_it(logged_in):
    kept = logged_in.home / ".config" / "palisade" / "client.toml"
    assert kept.stat().st_mode & 0o077 == 0


def test_json_is_json(logged_in, fleet):
    device = fleet.device()
    assert device.name in json.dumps(logged_in.cli_json("device", "show", device.name))
    for arguments in (["device", "list"], ["product", "list"], ["token", "list"], ["grant", "list"],
                      ["ledger", "verify"], ["policy", "show"], ["ca", "show"]):
        logged_in.cli_json(*arguments)


def test_a_device_is_registered_quarantined_and_released(logged_in, fleet):
    device = fleet.device()
    logged_in.cli("device", "quarantine", device.name, "--reason", "test")
    shown = logged_in.cli_json("device", "show", device.name)
    assert shown["posture"]["lifecycle"] == "quarantined"
    logged_in.cli("device", "release", device.name, "--reason", "test over")
    assert "active" in logged_in.cli("device", "show", device.name).stdout.decode()


def test_what_does_not_exist_is_said_and_the_exit_code_is_not_0(logged_in):
    done = logged_in.cli("device", "show", "no-such-device", check=False)
    assert done.returncode not in (0, 101) and b"no-such-device" in done.stderr


def test_wrong_usage_exits_with_2():
    for arguments in (["device", "shwo"], ["--no-such-option"], []):
        done = run(binary("palisade"), *arguments, check=False)
        assert done.returncode == 2, (arguments, done)


def test_without_a_login_the_answer_says_how(tmp_path):
    stranger = Palisade(tmp_path)
    done = stranger.cli("device", "list", check=False)
    assert done.returncode not in (0, 101) and b"palisade login" in done.stderr, done


def test_explain_says_why(logged_in, fleet):
    device = fleet.device()
    said = logged_in.cli("policy", "explain", f"device/{device.name}", "publish", "--topic", "devices/another/x",
                         check=False)
    assert b"no grant covers it" in said.stdout, said


def test_who_lost_all_tokens_recovers_with_the_servers_disk(tmp_path):
    server = Palisade(tmp_path)
    with server.running():
        refused = run(binary("palisade"), "recover", "--data", server.data, check=False)
        assert refused.returncode != 0 and b"pset_" not in refused.stdout, "the server runs"
        server.stop()
        token = json.loads(run(binary("palisade"), "recover", "--data", server.data, "--json").stdout)
        server.start()
        _, made = server.rest("POST", "/setup", {"token": token["setup_token"], "name": "recovered"}, token="",
                              expect=(200, 201))
        acts = server.rest("GET", "/events?kind=administrative&limit=1000", token=made["secret"])[1]
        assert any(one["event"]["act"] == "setup.recover" for one in acts["items"])
