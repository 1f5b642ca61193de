"""Configuration: what is wrong is said, with the key and a way out; what is right is shown."""

import json

import pytest

from palisade import Palisade, binary, run


@pytest.fixture()
def stranger(tmp_path):
    return Palisade(tmp_path)


def serve(server, text=None, **environment):
    """`serve` with a configuration that is refused; what it said."""
    options = []
    if text is not None:
        path = server.root / "palisade.toml"
        path.write_text(text)
        options = ["--config", path]
    environment = {**server.environment(), **environment}
    done = run(binary("palisade"), "serve", "--data", server.data, *options, check=False, env=environment)
    assert done.returncode not in (0, 101), done
    return (done.stdout + done.stderr).decode()


def test_an_unknown_key_is_refused_and_the_right_one_suggested(stranger):
    said = serve(stranger, "[gateway]\nmax_packet_sise = 5\n")
    assert "max_packet_sise" in said and "max_packet_size" in said


def test_an_unknown_section_is_refused_and_the_right_one_suggested(stranger):
    said = serve(stranger, "[gatewya]\n")
    assert "gatewya" in said and "gateway" in said


def test_an_unknown_key_in_the_environment_is_refused_too(stranger):
    said = serve(stranger, PALISADE_GATEWAY__MAX_PACKET_SISE="5")
    assert "max_packet_size" in said


def test_an_address_without_a_port_is_answered_with_one_that_has_it(stranger):
    done = run(binary("palisade"), "serve", "--data", stranger.data, "--set", "gateway.listen=127.0.0.1",
               check=False, env=stranger.environment())
    assert done.returncode not in (0, 101) and b"IP:PORT" in done.stderr, done


@pytest.mark.parametrize("text, names", [
    ("[gateway]\nmax_packet_size = 'large'\n", "palisade.toml:2"),
    ("[gateway]\nmax_packet_size = 1\n", "max_packet_size"),
    ("[gateway\n", "palisade.toml"),
    ("[gateway]\nlisten = ['somewhere']\n", "palisade.toml:2"),
    ("[gateway]\nlisten = ['127.0.0.1']\n", "127.0.0.1:8883"),
])
def test_a_value_that_cannot_be_is_refused_with_its_key_or_line(stranger, text, names):
    assert names in serve(stranger, text)


def test_the_plaintext_listener_is_refused_beyond_loopback(stranger):
    said = serve(stranger, PALISADE_GATEWAY__INSECURE_LOOPBACK="0.0.0.0:1883",
                 PALISADE_GATEWAY__INSECURE_PRINCIPAL="suite")
    assert "loopback" in said


def test_a_port_that_is_taken_is_named(stranger, palisade):
    said = serve(stranger, PALISADE_GATEWAY__LISTEN=f"127.0.0.1:{palisade.mqtt}")
    assert str(palisade.mqtt) in said


def test_a_file_that_does_not_exist_is_named(stranger):
    done = run(binary("palisade"), "serve", "--data", stranger.data, "--config", stranger.root / "no.toml",
               check=False, env=stranger.environment())
    assert done.returncode not in (0, 101) and b"no.toml" in done.stdout + done.stderr


def test_the_defaults_are_shown_with_what_each_key_means(stranger):
    shown = stranger.cli("config", "show", "--defaults").stdout.decode()
    for key in ("[gateway]", "max_packet_size", "[identity]", "[people]", "#"):
        assert key in shown


def test_what_is_shown_as_defaults_is_taken_as_a_configuration(stranger):
    shown = stranger.cli("config", "show", "--defaults").stdout
    path = stranger.root / "palisade.toml"
    path.write_bytes(shown)
    stranger.cli("config", "show", "--config", path)


def test_doctor_finds_what_is_wrong(stranger):
    done = stranger.cli("doctor", "--data", stranger.data, check=False)
    assert done.returncode != 101 and done.stdout


def test_a_bad_rule_or_playbook_keeps_no_server_from_starting(tmp_path):
    server = Palisade(tmp_path, DETECT__RULES_DIR="rules", RESPOND__PLAYBOOKS_DIR="playbooks")
    for folder in ("rules", "playbooks"):
        (server.data / folder).mkdir(parents=True)
        (server.data / folder / "own.yaml").write_text("name: own\nnmae: own\n")
    server.data.chmod(0o700)
    with server.running():
        server.login()
        assert "playbooks/own.yaml:2" in server.cli_json("response", "status")["playbook_problem"]
        assert "rules/own.yaml:" in server.log() and "playbooks/own.yaml:2" in server.log()
        done = server.cli("doctor", "--data", server.data, check=False)
        said = done.stdout.decode()
        assert done.returncode == 1, said
        assert "playbooks/own.yaml:2" in said and "palisade playbook check" in said
        assert "rules/own.yaml:" in said and "palisade rules check" in said


def test_doctor_vouches_for_no_other_server(own_palisade, palisade):
    def doctor(*options):
        done = own_palisade.cli("doctor", "--data", own_palisade.data, "--json", *options, check=False)
        findings = json.loads(done.stdout)["findings"]
        return done.returncode, {one["check"]: one for one in findings if one["check"].startswith("door")}

    code, doors = doctor()
    assert code == 0 and {one["level"] for one in doors.values()} == {"ok"}, doors
    for section, door, port in (("gateway", "MQTT", palisade.mqtt), ("devices", "devices", palisade.devices),
                                ("people", "people", palisade.people),
                                ("operators", "operators", palisade.operators)):
        code, doors = doctor("--set", f"{section}.listen=127.0.0.1:{port}")
        found = doors[f"door for {door}"]
        assert code == 1 and found["level"] == "fail" and "root" in found["detail"] and found["mend"], found
