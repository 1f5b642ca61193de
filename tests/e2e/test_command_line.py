"""The command line: what it prints for people and for programs, and how it refuses."""

import json

import pytest

import mosquitto
from fleet import Fleet
from palisade import HOST, Palisade, binary, run, wait_for

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


def test_a_device_that_is_held_is_shown_with_why_and_by_whom(logged_in, fleet):
    device = fleet.device()
    logged_in.cli("device", "quarantine", device.name, "--reason", "talks to strangers")
    shown = logged_in.cli("device", "show", device.name).stdout.decode()
    assert "talks to strangers (since 2" in shown and "by token/tests)" in shown, shown


def test_a_device_that_policy_shuts_out_for_its_trust_is_shown_as_contained(own_palisade):
    own_palisade.login()
    # Else a playbook would quarantine it before its trust is gone.
    own_palisade.cli("response", "stop", "--reason", "test")
    fleet = Fleet(own_palisade)
    trusted, untrusted = fleet.device(), fleet.device()
    lower_trust(own_palisade, untrusted)
    shown = own_palisade.cli("device", "show", untrusted.name).stdout.decode()
    assert "active (contained: trust " in shown, shown
    assert "contained" not in own_palisade.cli("device", "show", trusted.name).stdout.decode()
    listed = own_palisade.cli("device", "list", "--trust-below", "100").stdout.decode()
    assert untrusted.name in listed and "contained: trust" in listed and trusted.name not in listed, listed
    status = own_palisade.cli("status").stdout.decode()
    assert status.startswith("Devices: 2 active, 1 contained by trust, 0 quarantined; "), status
    assert "all well" not in status and "decisions" not in status
    assert "decisions" in own_palisade.cli("status", "--verbose").stdout.decode()


def lower_trust(palisade, device):
    """Lets a device be denied until its trust is gone."""
    def is_shut_out():
        mosquitto.publish(palisade, device, "devices/another/x", "x", "-q", "0", "--repeat", "50", check=False)
        return palisade.get(f"/devices/{device.name}")["posture"]["trust"] < 40

    wait_for(is_shut_out, "trust is gone", 60)


@pytest.mark.parametrize("arguments, says", [
    (["grant", "add", "a/#", "--product", "nosuch", "--allow", "publish"], "`palisade product put nosuch`"),
    (["grant", "add", "a/#", "--service", "nosuch", "--allow", "publish"], "`palisade service put nosuch`"),
    (["grant", "add", "a/#", "--device", "nosuch", "--allow", "publish"], "`palisade device add`"),
    (["token", "create", "--product", "nosuch"], "`palisade product put nosuch`"),
    (["policy", "explain", "device/x", "publish"], "--topic"),
    (["events", "--kind", "foo"], "posture_changed"),
    (["message", "publish", "a/b", "x"], "palisade api-token create"),
])
def test_a_refusal_names_the_way_out(logged_in, arguments, says):
    done = logged_in.cli(*arguments, check=False)
    said = done.stderr.decode()
    assert done.returncode not in (0, 101) and says in said and "PUT /api" not in said, said


def test_what_is_wrong_with_a_pattern_is_said_once(logged_in):
    done = logged_in.cli("grant", "add", "a/#/b", "--fleet", "--allow", "publish", check=False)
    said = done.stderr.decode()
    assert "line 1" not in said and said.count("not a topic filter") == 1, said


def test_a_wrong_token_is_named_by_where_it_came_from(palisade, tmp_path):
    environment = {**palisade.environment(), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    server = ["--server", f"https://{HOST}:{palisade.people}", "--ca", palisade.ca]
    for variable, command, says in [("PALISADE_SETUP_TOKEN", "login", b"palisade serve"),
                                    ("PALISADE_TOKEN", "whoami", b"PALISADE_TOKEN")]:
        done = run(binary("palisade"), command, *server, check=False,
                   env={**environment, variable: "pset_" + "x" * 43})
        assert done.returncode == 3 and says in done.stderr, done


def test_going_back_to_the_version_in_force_changes_nothing(own_palisade):
    own_palisade.login()
    before = own_palisade.get("/policy/versions")["items"]
    said = own_palisade.cli("policy", "rollback", str(before[0]["version"])).stdout
    assert b"nothing changed" in said, said
    assert own_palisade.get("/policy/versions")["items"] == before


def test_who_logs_out_with_the_last_token_is_told(own_palisade):
    own_palisade.login()
    own_palisade.post("/api-tokens", {"name": "second", "scopes": ["*"]})
    assert b"last" not in own_palisade.cli("logout").stderr
    own_palisade.login()
    for token in own_palisade.get("/api-tokens")["items"]:
        if token["name"] == "second":
            own_palisade.rest("DELETE", f"/api-tokens/{token['id']}", expect=(200, 204))
    asked = own_palisade.cli("logout", check=False)
    assert asked.returncode == 2 and b"--yes" in asked.stderr
    assert b"palisade recover" in own_palisade.cli("logout", "--yes").stderr


def test_what_cannot_be_undone_is_not_done_where_nobody_can_be_asked(logged_in, fleet):
    device = fleet.device()
    for act in ("revoke", "retire"):
        # An answer that nobody was asked for is none.
        for answer in (b"", b"n\n", b"y\n"):
            refused = logged_in.cli("device", act, device.name, check=False, input=answer)
            assert refused.returncode == 2 and b"--yes" in refused.stderr, refused
    assert logged_in.cli_json("device", "show", device.name)["posture"]["lifecycle"] == "active"
    logged_in.cli("device", "retire", device.name, "--yes")


def test_a_database_that_is_gone_is_not_a_first_start(own_palisade):
    root = (own_palisade.data / "root.pem").read_bytes()
    own_palisade.stop()
    kept = own_palisade.root / "kept"
    kept.mkdir()
    for file in own_palisade.data.glob("palisade.db*"):
        file.rename(kept / file.name)
    for command in ("serve", "init", "recover"):
        refused = own_palisade.cli(command, "--data", own_palisade.data, check=False)
        assert refused.returncode == 1 and b"palisade.db is missing" in refused.stderr, refused
    assert own_palisade.cli("doctor", "--data", own_palisade.data, check=False).returncode == 1
    assert (own_palisade.data / "root.pem").read_bytes() == root
    assert not list(own_palisade.data.glob("palisade.db*"))
    for file in kept.iterdir():
        file.rename(own_palisade.data / file.name)
    own_palisade.start()


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
