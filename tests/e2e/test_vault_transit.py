"""The root key of the vault in a Transit engine, by the documented API of HashiCorp Vault and OpenBao."""

import json
import sqlite3
import threading

import pytest

from palisade import Palisade, wait_for
from test_email import authority
from test_vault import files, keeping, payloads
from test_vault_objects import doctor
from test_vault_root import CHECK, publish, root_kinds, rotate, sealed_bytes, server_of, share, use
from transit import TOKEN, Engine


@pytest.fixture()
def engine(tmp_path):
    with Engine(authority(tmp_path, "engine")) as engine:
        yield engine


def settings(engine, server, tmp_path, **more):
    server.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = server.data / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    values = {"KIND": "transit", "TRANSIT__URL": engine.url, "TRANSIT__TOKEN_FILE": "token",
              "TRANSIT__CA": str(tmp_path / "engine-ca.pem"), "TRANSIT__TIMEOUT_S": "2", **more}
    return {f"PALISADE_VAULT__ROOT__{key}": value for key, value in values.items()}


def ends(server):
    """A start that does not come to be, and what it says."""
    done = server.cli("serve", "--data", server.data, check=False, timeout=30)
    assert done.returncode != 0
    text = (done.stdout + done.stderr).decode()
    assert TOKEN not in text
    return text


def the_key(engine):
    """The only one there, whose name says of which installation it is."""
    (name, key), = engine.keys.items()
    assert name.startswith("palisade-vault-")
    return key


def test_two_servers_of_one_engine_and_one_configuration_leave_each_other_alone(engine, tmp_path):
    servers = [Palisade(tmp_path / name, VAULT__ROLL_AFTER_S="3600") for name in ("one", "other")]
    share(servers, [settings(engine, server, tmp_path) for server in servers])
    assert len(engine.keys) == 2


def test_the_root_key_stays_in_the_engine_and_is_replaced_there(engine, tmp_path):
    server = server_of(tmp_path)
    use(server, settings(engine, server, tmp_path))
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        rotate(server)
        assert root_kinds(server) == {2}
        publish(server, device, "two")
        server.kill()
        server.start()
        before = sealed_bytes(server)
        rotate(server)
        assert list(the_key(engine)["versions"]) == [3], "the older ones are destroyed"
        assert payloads(server, device) == ["one", "two"]
        assert before.items() <= sealed_bytes(server).items(), "nothing is sealed anew"
        found = doctor(server)[CHECK]
        assert found["level"] == "ok" and "version 3" in found["detail"], found
        server.stop()
        server.start()
        assert payloads(server, device) == ["one", "two"]
    assert TOKEN not in server.log()


def test_a_root_moves_to_the_engine_and_back_and_nothing_is_sealed_anew(engine, tmp_path):
    server = server_of(tmp_path)
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        rotate(server)
        publish(server, device, "two")
        before = sealed_bytes(server)
        server.kill()
        use(server, settings(engine, server, tmp_path))
        server.start()
        rotate(server)
        assert root_kinds(server) == {2} and payloads(server, device) == ["one", "two"]
        assert before and before.items() <= sealed_bytes(server).items(), "nothing is sealed anew"
        server.stop()
        use(server, {})
        assert "[vault.root.transit] is not set" in ends(server)
        use(server, settings(engine, server, tmp_path, KIND="keystore"))
        server.start()
        rotate(server)
        assert root_kinds(server) == {0}
        server.stop()
        use(server, {})
        server.start()
        assert payloads(server, device) == ["one", "two"]


def test_what_is_wrong_with_an_engine_is_named_and_costs_nothing(engine, tmp_path):
    authority(tmp_path, "other")
    server = server_of(tmp_path)
    use(server, settings(engine, server, tmp_path))
    elsewhere = []

    def redirect(request):
        request.answer(307, headers=[("Location", f"https://localhost:{engine.port}/elsewhere")])
        return True

    def leads_away(request):
        if request.path == "/elsewhere":
            elsewhere.append(request.headers.get("X-Vault-Token"))
        return redirect(request)

    def says(status, value):
        def answer(request):
            request.answer(status, value)
            return True
        return answer

    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        server.kill()
        for name, misbehave, said in (
            ("hangs", engine.hang, "timeout"),
            ("sealed", says(503, {"errors": ["Vault is sealed"]}), "Vault is sealed"),
            ("no json", says(200, b"<html>"), "not one of Transit"),
            ("other json", says(200, {"data": {"type": "rsa-4096", "latest_version": 1}}), "aes256-gcm96"),
            ("exportable", says(200, {"data": {"type": "aes256-gcm96", "latest_version": 1, "exportable": True}}), "exported"),
            ("huge", says(200, b"x" * 1_000_000), ""),
            ("leads away", leads_away, "status 307"),
        ):
            engine.misbehave = misbehave
            assert said in ends(server), name
            found = doctor(server, check=False)[CHECK]
            assert found["level"] == "fail" and said in found["detail"] and TOKEN not in json.dumps(found), (name, found)
            engine.misbehave = None
        assert not elsewhere, "the token goes nowhere else"
        engine.tokens.clear()
        assert "token is refused" in ends(server)
        engine.tokens.add(TOKEN)
        use(server, settings(engine, server, tmp_path, TRANSIT__CA=str(tmp_path / "other-ca.pem")))
        assert "certificate" in ends(server).lower()
        engine.ignores = True
        use(server, settings(engine, server, tmp_path))
        assert "binds nothing to its context" in ends(server)
        engine.ignores = False
        # Another key of the same name: nothing is taken for damaged.
        (name, kept), = engine.keys.items()
        engine.keys.clear()
        use(server, settings(engine, server, tmp_path))
        assert "was changed, or belongs elsewhere" in ends(server)
        engine.keys[name] = kept
        assert not [path for path in files(server.data / "vault") if path.name.endswith(".damaged")]
        server.start()
        assert payloads(server, device) == ["one"]


def test_an_engine_that_is_away_stops_no_device(engine, tmp_path):
    server = Palisade(tmp_path / "server", VAULT__ROLL_AFTER_S="2")
    use(server, settings(engine, server, tmp_path))
    with server.running():
        _, device = keeping(server)
        publish(server, device, "before")
        engine.misbehave = engine.hang
        expected = ["before"]
        for number in range(4):
            publish(server, device, f"away {number}")
            expected.append(f"away {number}")
        wait_for(lambda: "stays open" in server.log(), "the log says so", 30)
        publish(server, device, "later")
        expected.append("later")
        assert payloads(server, device) == expected, "what is open stays so"
        assert rotate(server, check=False).returncode != 0
        engine.misbehave = None
        wait_for(lambda: server.get("/telemetry")["sealed_messages"] == len(expected), "all is rolled", 40)
        assert payloads(server, device) == expected


def test_a_key_that_was_changed_or_moved_in_the_database_is_refused(engine, tmp_path):
    server = server_of(tmp_path)
    use(server, settings(engine, server, tmp_path))
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        rotate(server)
        server.stop()

        def put(wrapped, segment):
            with sqlite3.connect(server.data / "palisade.db") as database:
                database.execute("UPDATE vault_keys SET wrapped = ?, segment = ?", (wrapped, segment))

        with sqlite3.connect(server.data / "palisade.db") as database:
            wrapped, = database.execute("SELECT wrapped FROM vault_keys").fetchone()
        put(wrapped[:-2] + (b"AA" if wrapped[-2:] != b"AA" else b"BB"), "default")
        assert "was changed, or belongs elsewhere" in ends(server)
        put(wrapped, "other")
        assert "was changed, or belongs elsewhere" in ends(server), "it is bound to its segment"
        put(wrapped, "default")
        server.start()
        assert payloads(server, device) == ["one"]


@pytest.mark.parametrize("point", ["/rotate", "/encrypt/", "/config", "/trim"])
def test_a_power_cut_in_the_middle_of_a_rotation_loses_nothing(engine, tmp_path, point):
    server = server_of(tmp_path)
    use(server, settings(engine, server, tmp_path, TRANSIT__TIMEOUT_S="30"))
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        rotate(server)
        publish(server, device, "two")
        reached = threading.Event()

        def cut(request):
            """The engine does what it was asked, and nobody hears so."""
            if point in request.path:
                engine.serve(request.command, request.path, request.headers.get("X-Vault-Token"), request.body)
                reached.set()
                return engine.hang(request)
            return False

        engine.misbehave = cut
        asked = threading.Thread(target=lambda: rotate(server, check=False), daemon=True)
        asked.start()
        assert reached.wait(30), point
        server.kill()
        engine.misbehave = None
        server.start()
        publish(server, device, "three")
        assert payloads(server, device) == ["one", "two", "three"]
        rotate(server)
        assert payloads(server, device) == ["one", "two", "three"]
        assert len(the_key(engine)["versions"]) == 1, "the older ones are destroyed"
        server.kill()
        server.start()
        assert payloads(server, device) == ["one", "two", "three"]
