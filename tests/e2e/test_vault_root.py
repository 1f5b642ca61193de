"""The root key of the vault in a token that we did not write (SoftHSM), through PKCS#11."""

import json
import os
import pathlib
import shutil

import pytest

import mosquitto
from palisade import Palisade, run, wait_for
from test_vault import files, keeping, payloads
from test_vault_objects import doctor

PIN = "a-pin-that-is-in-no-log"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so")
CHECK = "root key of the vault"


class Token:
    """A token of SoftHSM, in a folder of its own."""

    def __init__(self, folder, label="palisade"):
        self.folder, self.label = folder / f"tokens-{label}", label
        self.folder.mkdir()
        self.configuration = folder / f"softhsm-{label}.conf"
        self.configuration.write_text(f"directories.tokendir = {self.folder}\nobjectstore.backend = file\n")
        self.environment = {**os.environ, "SOFTHSM2_CONF": str(self.configuration)}
        run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PIN,
            env=self.environment)
        self.module = next(path for path in MODULES if pathlib.Path(path).exists())

    def settings(self, data, pin=PIN):
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data / "pin").write_text(pin)
        (data / "pin").chmod(0o600)
        return {"SOFTHSM2_CONF": str(self.configuration), "PALISADE_VAULT__ROOT__KIND": "pkcs11",
                "PALISADE_VAULT__ROOT__PKCS11__MODULE": self.module,
                "PALISADE_VAULT__ROOT__PKCS11__TOKEN": self.label,
                "PALISADE_VAULT__ROOT__PKCS11__PIN_FILE": "pin"}

    def hide(self):
        self.folder.rename(self.folder.with_name("away"))

    def bring_back(self):
        self.folder.with_name("away").rename(self.folder)


def use(server, settings):
    """Lets the server run with more variables of the environment."""
    environment = type(server).environment
    server.environment = lambda: {**environment(server), **settings}


@pytest.fixture()
def token(tmp_path):
    return Token(tmp_path)


def server_of(folder, **settings):
    # Messages stay in the log unless a test has them rolled: its files are under the root key itself.
    return Palisade(folder / "server", VAULT__ROLL_AFTER_S="3600", **settings)


def publish(server, device, *messages):
    for message in messages:
        mosquitto.publish(server, device, f"kept/{device.name}/a", message, "-q", "1")


def rotate(server, check=True):
    return server.cli("vault", "rotate-keys", check=check)


def root_kinds(server):
    """What root wrapped the keys of segments: the first byte says."""
    import sqlite3
    with sqlite3.connect(f"file:{server.data / 'palisade.db'}?mode=ro", uri=True) as database:
        return {bytes(row[0])[0] for row in database.execute("SELECT wrapped FROM vault_keys")}


def sealed_bytes(server):
    return {path.name: path.read_bytes() for path in files(server.data / "vault" / "objects")}


def ends(server):
    """A start that does not come to be, and what it says."""
    done = server.cli("serve", "--data", server.data, check=False, timeout=30)
    assert done.returncode != 0
    text = (done.stdout + done.stderr).decode()
    assert PIN not in text
    return text


def test_the_root_key_stays_in_the_token_and_is_replaced_there(token, tmp_path):
    server = server_of(tmp_path)
    use(server, token.settings(server.data))
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        assert payloads(server, device) == ["one"]
        rotate(server)
        assert root_kinds(server) == {1}
        publish(server, device, "two")
        server.kill()
        server.start()
        before = sealed_bytes(server)
        rotate(server)
        assert payloads(server, device) == ["one", "two"]
        assert before.items() <= sealed_bytes(server).items(), "nothing is sealed anew"
        found = doctor(server)[CHECK]
        assert found["level"] == "ok" and "version 3" in found["detail"], found
        server.stop()
        # Only the newest is left, and the token gives it to nobody.
        listed = run("pkcs11-tool", "--module", token.module, "--token-label", token.label, "--login", "--pin", PIN,
                     "-O", "--type", "secrkey", env=token.environment).stdout.decode() if shutil.which("pkcs11-tool") else None
        if listed is not None:
            assert listed.count("palisade-vault") == 1 and "never extractable" in listed, listed
        server.start()
        assert payloads(server, device) == ["one", "two"]
    assert PIN not in server.log()


def share(servers, key_settings):
    """Two servers of one root key's place, with one configuration: what each does to its keys concerns it alone."""
    one, other = servers
    for server, settings in zip(servers, key_settings):
        use(server, settings)
    with one.running():
        _, first = keeping(one)
        publish(one, first, "of one")
        rotate(one)
        one.stop()
        with other.running():
            _, second = keeping(other)
            publish(other, second, "of other")
            rotate(other)
            rotate(other)
            assert payloads(other, second) == ["of other"]
            one.start()
            assert payloads(one, first) == ["of one"]
            found = doctor(one)[CHECK]
            assert found["level"] == "ok" and "version 2" in found["detail"], found


def test_two_servers_of_one_token_and_one_configuration_leave_each_other_alone(token, tmp_path):
    servers = [Palisade(tmp_path / name, VAULT__ROLL_AFTER_S="3600") for name in ("one", "other")]
    share(servers, [token.settings(server.data) for server in servers])


def test_a_root_moves_to_the_token_and_back_and_nothing_is_sealed_anew(token, tmp_path):
    server = server_of(tmp_path)
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        rotate(server)
        publish(server, device, "two")
        assert root_kinds(server) == {0}
        before = sealed_bytes(server)
        server.kill()
        use(server, token.settings(server.data))
        server.start()
        assert payloads(server, device) == ["one", "two"], "the old root still opens"
        rotate(server)
        publish(server, device, "three")
        assert root_kinds(server) == {1}
        assert before and before.items() <= sealed_bytes(server).items(), "nothing is sealed anew"
        assert payloads(server, device) == ["one", "two", "three"]
        server.stop()
        # Without the token the keystore alone opens nothing any more.
        use(server, {})
        assert "[vault.root.pkcs11] is not set" in ends(server)
        use(server, {**token.settings(server.data), "PALISADE_VAULT__ROOT__KIND": "keystore"})
        server.start()
        rotate(server)
        assert root_kinds(server) == {0} and payloads(server, device) == ["one", "two", "three"]
        server.stop()
        use(server, {})
        server.start()
        assert payloads(server, device) == ["one", "two", "three"]


def test_what_is_wrong_with_a_token_is_named_and_costs_nothing(token, tmp_path):
    server = server_of(tmp_path)
    settings = token.settings(server.data)
    use(server, settings)
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one", "two")
        server.kill()
        name = "PALISADE_VAULT__ROOT__PKCS11__"
        for change, said in (
            ({f"{name}MODULE": "/nowhere/token.so"}, "/nowhere/token.so"),
            ({f"{name}TOKEN": "another"}, "there is no such token"),
            ({f"{name}PIN_FILE": "wrong"}, "PIN is not taken"),
            ({f"{name}KEY": "other-key"}, ""),
            ({f"{name}PIN_ENV": "PIN"}, "keep one of"),
        ):
            (server.data / "wrong").write_text("not-the-pin")
            (server.data / "wrong").chmod(0o600)
            use(server, {**settings, **change})
            if said:
                assert said in ends(server), change
            found = doctor(server, check=False)
            assert "not-the-pin" not in json.dumps(found)
            if said and CHECK in found:
                assert found[CHECK]["level"] == "fail" and said in found[CHECK]["detail"], found[CHECK]
        # Another token of the same label, where the keys are not: nothing is taken for damaged.
        token.hide()
        token.folder.mkdir()
        run("softhsm2-util", "--init-token", "--free", "--label", token.label, "--pin", PIN, "--so-pin", PIN,
            env=token.environment)
        use(server, settings)
        assert "it has no version 1 of the key" in ends(server), "another token"
        shutil.rmtree(token.folder)
        token.bring_back()
        assert not [path for path in files(server.data / "vault") if path.name.endswith(".damaged")]
        server.start()
        assert payloads(server, device) == ["one", "two"]


def test_a_token_that_is_gone_stops_no_device(token, tmp_path):
    server = Palisade(tmp_path / "server", VAULT__ROLL_AFTER_S="2")
    use(server, token.settings(server.data))
    with server.running():
        _, device = keeping(server)
        publish(server, device, "before")
        token.hide()
        for number in range(4):
            publish(server, device, f"away {number}")
        wait_for(lambda: "stays open" in server.log(), "the log says so", 30)
        told = wait_for(lambda: [one for one in server.get("/doctor")["findings"]
                                 if one["check"] == "vault" and one["level"] == "warn"], "the doctor says so", 20)
        assert "token" in told[0]["detail"], told
        expected = ["before", *(f"away {number}" for number in range(4))]
        publish(server, device, "later")
        expected.append("later")
        assert payloads(server, device) == expected, "what is open stays so"
        assert rotate(server, check=False).returncode != 0
        done = server.cli("vault", "erase", device.name, "--reason", "a test", "--yes", check=False)
        assert done.returncode != 0, "what cannot be rolled cannot be erased"
        token.bring_back()
        wait_for(lambda: server.get("/telemetry")["sealed_messages"] == len(expected), "all is rolled", 40)
        assert payloads(server, device) == expected
        rotate(server)
        assert payloads(server, device) == expected


def test_a_key_that_was_changed_in_the_database_is_refused(token, tmp_path):
    import sqlite3
    server = server_of(tmp_path)
    use(server, token.settings(server.data))
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        rotate(server)
        server.stop()
        with sqlite3.connect(server.data / "palisade.db") as database:
            wrapped = bytearray(database.execute("SELECT wrapped FROM vault_keys").fetchone()[0])
            wrapped[-1] ^= 1
            database.execute("UPDATE vault_keys SET wrapped = ?", (bytes(wrapped),))
        assert "was changed, or belongs elsewhere" in ends(server)
        wrapped[-1] ^= 1
        with sqlite3.connect(server.data / "palisade.db") as database:
            database.execute("UPDATE vault_keys SET wrapped = ?, segment = 'other'", (bytes(wrapped),))
        assert "was changed, or belongs elsewhere" in ends(server), "it is bound to its segment"
        with sqlite3.connect(server.data / "palisade.db") as database:
            database.execute("UPDATE vault_keys SET segment = 'default'")
        server.start()
        assert payloads(server, device) == ["one"]
