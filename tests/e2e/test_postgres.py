"""The system of record on PostgreSQL: what a user meets who names one, who moves to one, and whose server goes away."""

import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

import postgres
from fleet import Fleet
from palisade import Palisade, binary, run, wait_for
from wire import Client, Closed


@pytest.fixture(scope="module")
def database_server():
    """A PostgreSQL server of these tests' own. What it says it wrote is on the disk: it is ended as a power cut would."""
    with postgres.Server(FSYNC="on") as server:
        yield server


def on(database, root, **settings):
    """A Palisade whose system of record is there."""
    server = Palisade(root, **settings)
    server.database = database
    return server


def on_sqlite(root, **settings):
    return on(None, root, **settings)


def readiness(server):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.operators}/readyz", timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def publish(server, device, topic, message):
    """One message at QoS 1 by a client that is not ours; it ends well when it was acknowledged."""
    run("mosquitto_pub", "-h", "localhost", "-p", server.mqtt, "--cafile", server.ca, "--cert", device.certificate,
        "--key", device.key, "-i", device.name, "-q", "1", "-t", topic, "-m", message, "--tls-version", "tlsv1.3")


def failure(server, *arguments):
    """What a command that fails says."""
    done = server.cli(*arguments, check=False, timeout=60)
    assert done.returncode != 0, done.stdout
    return done.stderr.decode()


def test_a_device_connects_and_is_contained_and_all_of_it_is_there_after_kill_9(database_server, tmp_path):
    server = on(postgres.create(database_server.url), tmp_path / "p")
    with server.running():
        fleet = Fleet(server)
        device = fleet.device(fleet.product())
        publish(server, device, f"devices/{device.name}/up", "hello")
        server.post(f"/devices/{device.name}/quarantine", {"reason": "test"})
        before = server.get("/ledger/head")["entries"]
        server.kill()
        server.start()
        assert server.get(f"/devices/{device.name}")["posture"]["lifecycle"] == "quarantined"
        assert server.get("/ledger/head")["entries"] >= before
        assert not (server.data / "palisade.db").exists()
        assert postgres.sql(server.database, f"SELECT lifecycle FROM devices WHERE id = '{device.name}'") == "quarantined"
        server.login()
        server.cli("ledger", "verify")


def test_a_second_server_is_refused_while_the_first_one_lives(database_server, tmp_path):
    server = on(postgres.create(database_server.url), tmp_path / "p")
    with server.running():
        other = on(server.database, tmp_path / "other")
        said = failure(other, "serve", "--data", other.data)
        assert "in use by another palisade process" in said, said
        said = failure(server, "backup", "create", "--data", server.data, "--out", tmp_path / "backup")
        assert "pg_dump" in said, said
        # The same holds of a command that would write.
        said = failure(server, "recover", "--data", server.data)
        assert "in use by another palisade process" in said, said


def test_a_database_that_is_away_is_said_at_the_door_and_used_again_when_it_is_back(tmp_path):
    with postgres.Server(FSYNC="on") as database:
        server = on(postgres.create(database.url), tmp_path / "p")
        with server.running():
            fleet = Fleet(server)
            device = fleet.device(fleet.product())
            database.stop("immediate")
            wait_for(lambda: readiness(server) == 503, "the server says that it is not ready", 60)
            assert server.process.poll() is None, "a server whose database is away waits for it"
            database.start()
            wait_for(lambda: readiness(server) == 200, "the server is ready again", 60)
            publish(server, device, f"devices/{device.name}/up", "hello")
            server.put("/products/after", {"description": "after", "default_segment": "default"})
            assert server.get(f"/devices/{device.name}")["id"] == device.name
            # And nobody else has slipped in.
            other = on(server.database, tmp_path / "other")
            assert "in use by another" in failure(other, "serve", "--data", other.data)


def test_no_acknowledged_message_is_lost_when_the_database_dies_under_load(tmp_path):
    with postgres.Server(FSYNC="on") as database:
        server = on(postgres.create(database.url), tmp_path / "p", plaintext=True)
        with server.running():
            address = "127.0.0.1", server.plaintext
            keeper = Client(address, "keeper", session_expiry=3000)
            keeper.subscribe("load/#")
            keeper.disconnect()
            acknowledged, failures, enough = [[] for _ in range(3)], [], threading.Event()

            def load(number):
                try:
                    client = Client(address, f"load-{number}")
                    for n in range(1_000_000):
                        if client.publish(f"load/{number}", str(n), 1) < 0x80:
                            acknowledged[number].append(n)
                        if enough.is_set():
                            return
                except Closed:
                    return
                except Exception as error:
                    failures.append(error)

            threads = [threading.Thread(target=load, args=(number,)) for number in range(3)]
            for thread in threads:
                thread.start()
            count = lambda: sum(map(len, acknowledged))
            for _ in range(2):
                wait_for(lambda before=count(): count() > before + 300, f"messages are acknowledged {failures}")
                database.stop("immediate")
                time.sleep(1)
                database.start()
            wait_for(lambda before=count(): count() > before + 300, f"messages are acknowledged again {failures}", 60)
            enough.set()
            for thread in threads:
                thread.join()
            assert not failures
            back = Client(address, "keeper", clean=False, session_expiry=3000)
            assert back.connack.session_present
            back.publish("load/end", b"", 1)
            heard = [[] for _ in range(3)]
            for message in back.messages_until("load/end"):
                heard[int(message.topic.removeprefix("load/"))].append(int(message.payload))
            for number in range(3):
                missing = set(acknowledged[number]) - set(heard[number])
                assert not missing, f"{len(missing)} of {len(acknowledged[number])} acknowledged messages are lost"
                assert heard[number] == sorted(set(heard[number])), "out of order, or delivered twice"


def test_who_lost_the_database_to_another_ends(database_server, tmp_path):
    server = on(postgres.create(database_server.url), tmp_path / "p")
    with server.running():
        # Its claim is taken from it, and another is faster. Nothing but that is held in this database as a lock for long.
        rival = subprocess.Popen(["psql", "-X", "-q", "-d", server.database], stdin=subprocess.PIPE, text=True)
        rival.stdin.write(
            "DO $$ DECLARE o int; c int; p int; BEGIN SELECT classid::int, objid::int, pid INTO c, o, p FROM pg_locks "
            "WHERE locktype = 'advisory' AND granted AND objid::int < -1 AND database = (SELECT oid FROM pg_database "
            "WHERE datname = current_database()); PERFORM pg_terminate_backend(p, 5000); PERFORM pg_advisory_lock(c, o); "
            "END $$;\n")
        rival.stdin.flush()
        try:
            status = server.process.wait(timeout=60)
        finally:
            rival.stdin.close()
            rival.wait(timeout=10)
        assert status != 0
        assert "in use by another palisade process" in server.log()


def test_a_password_comes_from_a_file_and_stands_nowhere_else(tmp_path):
    with postgres.Server(FSYNC="on") as database:
        name = postgres.create(database.url)
        postgres.sql(database.url, "CREATE ROLE guarded LOGIN PASSWORD 'long and secret' SUPERUSER")
        rules = database.folder / "data" / "pg_hba.conf"
        rules.write_text("local all all trust\nhost all guarded all scram-sha-256\n")
        postgres.sql(database.url, "SELECT pg_reload_conf()")
        guarded = f"postgres://guarded@127.0.0.1:{database.port}{urllib.parse.urlsplit(name).path}"
        server = on(guarded, tmp_path / "p", DATABASE__PASSWORD_FILE="db-password")
        server.data.mkdir(mode=0o700)
        secret = server.data / "db-password"
        secret.write_text("long and secret\n")
        secret.chmod(0o644)
        assert "others can read" in failure(server, "serve", "--data", server.data)
        secret.chmod(0o600)
        with server.running():
            server.put("/products/camera", {"description": "x", "default_segment": "default"})
            server.login()
            said = server.cli("doctor", "--data", server.data, check=False).stdout.decode()
            assert "PostgreSQL, schema" in said, said
        assert "long and secret" not in server.log()
        secret.write_text("wrong\n")
        said = failure(server, "serve", "--data", server.data)
        assert "password authentication failed" in said and "wrong" not in said, said
        held = failure(server, "serve", "--data", server.data, "--database", guarded.replace("guarded@", "guarded:x@"))
        assert "holds a password" in held, held


def test_another_machine_is_reached_over_tls_and_checked(tmp_path):
    with postgres.Server() as database:
        name = postgres.create(database.url)
        keys = database.folder / "data"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=db.test", "-addext", "subjectAltName=DNS:db.test,DNS:localhost",
            "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", keys / "server.key",
            "-out", keys / "server.crt")
        (keys / "server.key").chmod(0o600)
        if os.getuid() == 0:
            run("chown", "postgres", keys / "server.key", keys / "server.crt")
        (keys / "pg_hba.conf").write_text("local all all trust\nhostssl all all all trust\n")
        postgres.sql(database.url, "ALTER SYSTEM SET ssl = on")
        database.stop()
        database.start()
        root = tmp_path / "db-ca.pem"
        root.write_bytes((keys / "server.crt").read_bytes())
        address = f"postgres://palisade@localhost:{database.port}{urllib.parse.urlsplit(name).path}?sslmode=verify-full"
        server = on(address, tmp_path / "p")
        assert "certificate" in failure(server, "serve", "--data", server.data).lower()
        plain = on(address.replace("verify-full", "disable"), tmp_path / "p")
        assert "no pg_hba.conf entry" in failure(plain, "serve", "--data", plain.data)
        # The right root, and a name that the certificate does not have.
        misnamed = on(f"{address}&sslrootcert={root}".replace("localhost", "127.0.0.1"), tmp_path / "p")
        assert "certificate" in failure(misnamed, "serve", "--data", misnamed.data).lower()
        server = on(f"{address}&sslrootcert={root}", tmp_path / "p")
        with server.running():
            used = postgres.sql(database.url, "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                                "WHERE application_name LIKE 'palisade %'")
            assert used == "t", used


def test_an_installation_moves_while_it_works_and_is_whole_where_it_arrives(database_server, tmp_path):
    old = on_sqlite(tmp_path / "p")
    new = postgres.create(database_server.url)
    with old.running():
        fleet = Fleet(old)
        product = fleet.product()
        device = fleet.device(product)
        lines = ["id,product,labels", *(f"bulk-{n:05},{product},floor={n % 7}" for n in range(3000))]
        old.rest("POST", "/devices/import", raw="\n".join(lines).encode(), headers={"Content-Type": "text/csv"},
                 expect=(200, 201))
        old.login()
        kept = tmp_path / "checkpoint"
        kept.write_bytes(old.cli("ledger", "checkpoint").stdout)
        first = json.loads(old.cli("migrate", "--data", old.data, "--database", new, "--json", timeout=120).stdout)
        assert first["complete"] is False and first["copied"] > 3000, first
        # Nobody starts on half of an installation.
        half = on(new, tmp_path / "half")
        assert "in the middle of a migration" in failure(half, "serve", "--data", half.data)
        later = fleet.device(product)
    sizes = {path.name: path.read_bytes() for path in old.data.glob("palisade.db")}
    command = [binary("palisade"), "migrate", "--data", old.data, "--database", new]
    # Killed at many points, it goes on where it was.
    for delay in (0.05, 0.15, 0.3, 0.6):
        running = subprocess.Popen(list(map(str, command)), env=old.environment(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(delay)
        running.kill()
        running.wait(timeout=10)
    done = old.cli(*command[1:], "--json", check=False, timeout=120)
    moved = old.data / "database-moved"
    if done.returncode == 0:
        second = json.loads(done.stdout)
        assert second["complete"] is True and len(second["sha256"]) == 64, second
    else:
        # The last of those that were killed had come to its end.
        assert "holds an installation of its own" in done.stderr.decode(), done.stderr
    assert moved.exists()
    assert {path.name: path.read_bytes() for path in old.data.glob("palisade.db")} == sizes
    assert "was moved to" in failure(old, "serve", "--data", old.data)
    server = on(new, tmp_path / "p")
    server.mqtt, server.devices, server.people, server.operators = old.mqtt, old.devices, old.people, old.operators
    server.token = old.token
    try:
        server.start()
        for one in (device, later):
            publish(server, one, f"devices/{one.name}/up", "hello")
        assert server.get("/devices/bulk-02999")["product"] == product
        # The ledger goes on from what was kept elsewhere, and the move is an entry of it.
        server.cli("ledger", "verify", "--checkpoint", kept)
        assert "database.migrate" in json.dumps(server.events(kind="administrative"))
        server.stop()
    finally:
        if server.process and server.process.poll() is None:
            server.kill()


def test_an_empty_database_beside_an_installation_is_not_a_first_start(database_server, tmp_path):
    old = on_sqlite(tmp_path / "p")
    with old.running():
        pass
    server = on(postgres.create(database_server.url), tmp_path / "p")
    said = failure(server, "serve", "--data", server.data)
    assert "is empty, and" in said and "palisade migrate" in said, said


def test_a_database_without_its_keys_is_refused(database_server, tmp_path):
    server = on(postgres.create(database_server.url), tmp_path / "p")
    with server.running():
        pass
    stranger = on(server.database, tmp_path / "stranger")
    said = failure(stranger, "serve", "--data", stranger.data)
    assert "whose keys are not in" in said, said
