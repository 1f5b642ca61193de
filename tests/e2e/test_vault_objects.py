"""Sealed files in an object store that we did not write, and one that does not do what it should."""

import json
import pathlib
import platform
import sqlite3
import threading

import pytest

import mosquitto
from palisade import Palisade, wait_for
from s3 import BUCKET, NEEDED, PREFIX, Moto, Proxy, is_object
from test_email import authority
from test_vault import files, keeping, payloads

# What makes a process take another day for today (libfaketime).
FAKETIME = "/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1"


@pytest.fixture()
def store(tmp_path):
    with Moto(tmp_path) as store:
        yield store


@pytest.fixture()
def proxy(store):
    with Proxy(store) as proxy:
        yield proxy


def server_with(store, folder, endpoint=None, **settings):
    server = Palisade(folder / "server", VAULT__ROLL_AFTER_S="1", **settings)
    server.settings.update(store.settings(server.data, endpoint))
    return server


def publish(server, device, *messages):
    for message in messages:
        mosquitto.publish(server, device, f"kept/{device.name}/a", message, "-q", "1")


def sealed(server):
    return server.get("/telemetry")["sealed_messages"]


def is_sealed(server, count):
    wait_for(lambda: sealed(server) == count, f"{count} messages are in sealed files", 40)


def doctor(server, *options, check=True):
    done = server.cli("doctor", "--data", server.data, "--json", *options, check=check)
    return {one["check"]: one for one in json.loads(done.stdout)["findings"]}


def test_messages_are_rolled_into_a_store_and_read_from_there(store, tmp_path):
    server = server_with(store, tmp_path)
    with server.running():
        _, device = keeping(server)
        publish(server, device, "secret one", "secret two")
        is_sealed(server, 2)
        publish(server, device, "secret three")
        assert payloads(server, device) == ["secret one", "secret two", "secret three"]
        assert not files(server.data / "vault" / "objects"), "nothing is in the folder"
        found = doctor(server)["sealed files"]
        assert found["level"] == "ok" and f"s3://{BUCKET}/{PREFIX}" in found["detail"], found
        objects = store.keys()
        assert objects and all(key.startswith(f"{PREFIX}/") for key in objects), "the doctor left nothing"
        for key in objects:
            body = store.read(key)
            assert body[:4] == b"PARE" and b"secret" not in body and device.name.encode() not in body
        server.kill()
        server.start()
        assert payloads(server, device) == ["secret one", "secret two", "secret three"]
        assert store.key[1] not in server.log()


def test_tls_and_an_authority_of_its_own(tmp_path):
    authority(tmp_path, "store")
    authority(tmp_path, "other")
    with Moto(tmp_path, tls=[tmp_path / name for name in ("store-ca.pem", "store.pem", "store.key")]) as store:
        server = server_with(store, tmp_path)
        with server.running():
            _, device = keeping(server)
            publish(server, device, "one")
            is_sealed(server, 1)
            assert payloads(server, device) == ["one"]
            # Who is not vouched for by that authority is no store of ours.
            server.settings["VAULT__OBJECTS__CA"] = str(tmp_path / "other-ca.pem")
            found = doctor(server, check=False)["sealed files"]
            assert found["level"] == "fail", found


def test_a_bucket_that_keeps_versions_keeps_nothing_that_was_erased(store, tmp_path):
    store.keep_versions()
    server = server_with(store, tmp_path)
    with server.running():
        fleet, device = keeping(server)
        other = fleet.device()
        publish(server, device, "gone")
        publish(server, other, "stays")
        is_sealed(server, 2)
        before = set(store.keys())
        # As an older copy of an object stays where a client overwrites it.
        for key in before:
            store.s3.put_object(Bucket=BUCKET, Key=key, Body=store.read(key))
        found = doctor(server)["sealed files"]
        assert found["level"] == "ok" and "keeps versions" in found["detail"], found
        server.cli("vault", "erase", device.name, "--reason", "a test", "--yes")
        assert payloads(server, device) == [] and payloads(server, other) == ["stays"]
        holding = store.versions()
        assert holding == store.keys(), "no version and no mark of what is erased"
        assert not any("doctor" in key for key in holding)


def test_what_the_store_does_not_allow_is_named(tmp_path):
    needed = {**NEEDED, "bucket": ["s3:ListBucket"]}
    with Moto(tmp_path, needed=needed) as store:
        server = server_with(store, tmp_path)
        with server.running():
            found = doctor(server, check=False)["sealed files"]
            assert found["level"] == "fail" and "s3:ListBucketVersions" in found["detail"], found
            (server.data / "s3.secret").write_text("wrong")
            found = doctor(server, check=False)["sealed files"]
            assert found["level"] == "fail", found
            assert store.key[1] not in json.dumps(found) and "wrong" not in json.dumps(found)
            (server.data / "s3.secret").chmod(0o644)
            found = doctor(server, check=False)["sealed files"]
            assert found["level"] == "fail" and "chmod 600" in found["detail"], found


def test_a_store_that_is_away_loses_nothing_and_stops_nobody(store, proxy, tmp_path):
    server = server_with(store, tmp_path, proxy.url)
    with server.running():
        _, device = keeping(server)
        publish(server, device, "before")
        is_sealed(server, 1)
        answers = {
            "hangs": lambda _: proxy.hang(),
            "500": lambda request: request.answer(500),
            "503": lambda request: request.answer(503, body=b"<Error><Code>SlowDown</Code></Error>"),
        }
        expected = ["before"]
        for name, answer in answers.items():
            proxy.misbehave = answer
            publish(server, device, name)
            expected.append(name)
            wait_for(lambda: any("rolled" in one["detail"] for one in server.get("/doctor")["findings"]),
                     f"{name}: the doctor says so", 60)
            assert server.get("/telemetry")["log_files"] > 0, "the log is kept"
            status, problem = server.rest("POST", f"/devices/{device.name}/telemetry", {"purpose": "a test"})
            assert status == 503 and "items" not in problem, problem
            publish(server, device, f"{name} still")
            expected.append(f"{name} still")
            # A start with the store away: devices are served all the same.
            server.kill()
            server.start()
            publish(server, device, f"{name} after a start")
            expected.append(f"{name} after a start")
            proxy.behave()
            is_sealed(server, len(expected))
            assert payloads(server, device) == expected
    rows = len(store.keys())
    assert rows == server_objects(server), "what failed attempts left is taken away"


def server_objects(server):
    """How many sealed files the database knows, whatever their state."""
    with sqlite3.connect(f"file:{server.data / 'palisade.db'}?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM vault_objects").fetchone()[0]


def test_a_store_that_lies_is_not_believed(store, proxy, tmp_path):
    server = server_with(store, tmp_path, proxy.url)
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        is_sealed(server, 1)

        def swallow(request):
            """Says that it took what it did not."""
            return request.answer(200) if is_object(request, "PUT") else False

        def cut(request):
            """Takes half of it."""
            if not is_object(request, "GET"):
                return False
            status, headers, body = request.forward()
            return request.answer(status, headers, body[: len(body) // 2])

        for lie in (swallow, cut):
            proxy.misbehave = lie
            publish(server, device, lie.__name__)
            told = len([one for one in proxy.asked if one[0] == "PUT"])
            wait_for(lambda: len([one for one in proxy.asked if one[0] == "PUT"]) > told, "it was tried", 40)
            wait_for(lambda: any("rolled" in one["detail"] for one in server.get("/doctor")["findings"]),
                     "the doctor says so", 60)
            assert server.get("/telemetry")["log_files"] > 0, "the log is kept until an object is certain"
            server.kill()
            proxy.behave()
            server.start()
            wait_for(lambda: server.get("/telemetry")["log_files"] == 0, "all is rolled", 60)
        assert payloads(server, device) == ["one", "swallow", "cut"]


def test_what_a_store_gives_back_changed_is_given_to_nobody(store, proxy, tmp_path):
    server = server_with(store, tmp_path, proxy.url)
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        is_sealed(server, 1)
        first = store.keys()[0]
        old = store.read(first)
        publish(server, device, "two")
        is_sealed(server, 2)
        assert payloads(server, device) == ["one", "two"]

        def part(request):
            """The connection ends in the middle."""
            if not is_object(request, "GET"):
                return False
            status, headers, body = request.forward()
            request.answer(status, headers, body[: len(body) // 2], length=len(body))
            request.close_connection = True

        def short(request):
            """Fewer bytes than were asked for, and no word of it."""
            if not is_object(request, "GET"):
                return False
            status, headers, body = request.forward()
            return request.answer(status, headers, body[: len(body) // 2])

        def flip(request):
            """One bit is another."""
            if not is_object(request, "GET"):
                return False
            status, headers, body = request.forward()
            return request.answer(status, headers, bytes([body[0] ^ 1]) + body[1:])

        def older(request):
            """Each object as it was, or another was, at another time."""
            if not is_object(request, "GET"):
                return False
            asked = request.headers.get("Range")
            status, headers, body = request.forward()
            begin = int(asked.split("=")[1].split("-")[0]) if asked else 0
            body = (old * 2)[begin: begin + len(body)] if first not in request.path else body[::-1]
            return request.answer(status, headers, body)

        def nothing(request):
            """As before it was written."""
            return request.answer(404, body=b"<Error><Code>NoSuchKey</Code></Error>") if is_object(request, "GET") else False

        for lie in (part, short, flip, older, nothing):
            proxy.misbehave = lie
            status, problem = server.rest("POST", f"/devices/{device.name}/telemetry", {"purpose": "a test"})
            assert status in (500, 503) and "items" not in problem, (lie.__name__, status, problem)
            publish(server, device, lie.__name__)
            proxy.behave()
        expected = ["one", "two", "part", "short", "flip", "older", "nothing"]
        assert payloads(server, device) == expected


def test_a_power_cut_in_the_middle_of_a_roll_loses_nothing_and_doubles_nothing(store, proxy, tmp_path):
    server = server_with(store, tmp_path, proxy.url)
    with server.running():
        _, device = keeping(server)
        expected = []

        def before(request):
            """The object never came."""
            return proxy.hang() if is_object(request, "PUT") else False

        def after(request):
            """The object came, and nobody heard so."""
            if not is_object(request, "PUT"):
                return False
            request.forward()
            return proxy.hang()

        def read_back(request):
            """The object came, and was not read back yet."""
            return proxy.hang() if is_object(request, "GET") else False

        for cut in (before, after, read_back):
            proxy.asked.clear()
            proxy.misbehave = cut
            publish(server, device, cut.__name__)
            expected.append(cut.__name__)
            method = "GET" if cut is read_back else "PUT"
            wait_for(lambda: any(one[0] == method and ".parquet" in one[1] for one in proxy.asked), "it is at that point", 30)
            server.kill()
            proxy.behave()
            server.start()
            is_sealed(server, len(expected))
            assert payloads(server, device) == expected
        wait_for(lambda: len(store.keys()) == server_objects(server), "nothing that does not count is left", 30)


def test_files_of_a_day_are_merged_and_go_when_their_time_is_over(store, tmp_path):
    server = server_with(store, tmp_path)
    with server.running():
        _, device = keeping(server, days=5)
        for number in range(3):
            publish(server, device, str(number))
            is_sealed(server, number + 1)
        assert len(store.keys()) == 3
        server.stop()
        start_on_day(server, 2)
        wait_for(lambda: server.get("/telemetry")["sealed_files"] == 1, "they are one", 60)
        assert payloads(server, device) == ["0", "1", "2"]
        server.stop()
        start_on_day(server, 2)
        wait_for(lambda: len(store.versions()) == 1, "those that were merged are gone", 60)
        server.stop()
        start_on_day(server, 8)
        wait_for(lambda: server.get("/telemetry")["sealed_files"] == 0, "their time is over", 60)
        assert payloads(server, device) == []
        server.stop()
        start_on_day(server, 8)
        wait_for(lambda: not store.versions(), "they are gone", 60)


@pytest.mark.parametrize("point", ["before", "after", "old ones"])
def test_a_power_cut_in_the_middle_of_a_merger_loses_nothing_and_doubles_nothing(store, proxy, tmp_path, point):
    server = server_with(store, tmp_path, proxy.url)
    with server.running():
        _, device = keeping(server)
        for number in range(3):
            publish(server, device, str(number))
            is_sealed(server, number + 1)
        server.stop()
        reached = threading.Event()

        def cut(request):
            """The new file never came, or came and nobody heard so, or an old one is being taken away."""
            if not is_object(request, "DELETE" if point == "old ones" else "PUT"):
                return False
            if point != "before":
                request.forward()
            reached.set()
            return proxy.hang()

        proxy.misbehave = cut
        start_on_day(server, 2)
        if point == "old ones":
            # They are taken away at the next look: a start is one.
            wait_for(lambda: server.get("/telemetry")["sealed_files"] == 1, "they are one", 60)
            server.kill()
            start_on_day(server, 2)
        assert reached.wait(60), point
        server.kill()
        proxy.behave()
        start_on_day(server, 2)
        wait_for(lambda: server.get("/telemetry")["sealed_files"] == 1, "they are one", 60)
        assert payloads(server, device) == ["0", "1", "2"]
        server.kill()
        start_on_day(server, 2)
        wait_for(lambda: len(store.keys()) == server_objects(server) == 1, "nothing that does not count is left", 60)
        assert payloads(server, device) == ["0", "1", "2"]


def start_on_day(server, days):
    library = FAKETIME.format(platform.machine())
    assert pathlib.Path(library).exists(), "libfaketime is missing"
    environment = server.environment
    server.environment = lambda: {**environment(), "LD_PRELOAD": library, "FAKETIME": f"+{days}d",
                                  "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    server.start()
    server.environment = environment


def test_sealed_files_that_are_elsewhere_stop_the_start_with_what_to_do(store, tmp_path):
    server = Palisade(tmp_path / "server", VAULT__ROLL_AFTER_S="1")
    with server.running():
        _, device = keeping(server)
        publish(server, device, "one")
        is_sealed(server, 1)
        server.stop()
        server.settings.update(store.settings(server.data))
        done = server.cli("serve", "--data", server.data, check=False)
        assert done.returncode != 0 and b"copy all files there" in done.stderr, done.stderr
        # Names are what a file is bound to: a copy of the folder is as good.
        folder = server.data / "vault" / "objects"
        for path in files(folder):
            store.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{path.relative_to(folder)}", Body=path.read_bytes())
            path.unlink()
        server.start()
        assert payloads(server, device) == ["one"]
