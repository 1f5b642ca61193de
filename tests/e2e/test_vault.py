"""What devices send is kept sealed: sent by software that we did not write, read back by whom policy allows."""

import csv
import json
import secrets
import subprocess
from pathlib import Path

import pytest

import mosquitto
from fleet import Fleet
from palisade import Palisade, wait_for


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture()
def server(tmp_path):
    with Palisade(tmp_path / "vault").running() as server:
        yield server


def keeping(server, days=30):
    """A fleet whose telemetry is kept, and one of its devices."""
    fleet = Fleet(server)
    device = fleet.device()
    server.login()
    server.cli("grant", "add", "kept/{device}/#", "--fleet", "--allow", "publish", "--keep-days", days)
    return fleet, device


def read(server, device, *options):
    done = server.cli("vault", "read", "--device", device.name, "--purpose", "a test", "--json", *options)
    return json.loads(done.stdout)["items"]


def payloads(server, device, *options):
    return [item["payload"] for item in read(server, device, *options)]


def test_what_was_acknowledged_survives_a_power_cut_and_nobody_reads_it_on_the_disk(server):
    _, device = keeping(server)
    topic = f"kept/{device.name}/secret-topic"
    for number in range(5):
        mosquitto.publish(server, device, topic, f"secret measurement {number}", "-q", number % 2 + 1)
    server.kill()
    server.start()
    assert payloads(server, device) == [f"secret measurement {number}" for number in range(5)]
    for path in files(server.data / "vault"):
        assert b"secret" not in path.read_bytes(), path


def test_each_reading_has_a_purpose_a_place_in_the_ledger_and_somebody_who_may(server, tmp_path):
    _, device = keeping(server)
    topic = f"kept/{device.name}/a"
    mosquitto.publish(server, device, topic, "=1+1", "-q", "1")
    mosquitto.publish(server, device, f"kept/{device.name}/b", "two", "-q", "1")
    path = f"/devices/{device.name}/telemetry"
    assert server.rest("POST", path, {})[0] == 422, "no purpose"
    analyst = server.post("/api-tokens", {"name": "analyst", "scopes": ["telemetry:read"]})["secret"]
    other = server.post("/api-tokens", {"name": "other", "scopes": ["devices:read", "status:read"]})["secret"]
    status, found = server.rest("POST", path, {"purpose": "case 7", "topics": f"kept/+/a"}, token=analyst)
    assert status == 200 and [item["payload"] for item in found["items"]] == ["=1+1"]
    assert server.rest("POST", path, {"purpose": "curiosity"}, token=other)[0] == 403
    out = tmp_path / "out.csv"
    server.cli("vault", "export", "--device", device.name, "--purpose", "a data request", "--format", "csv",
               "--out", out)
    rows = list(csv.DictReader(out.open()))
    assert [row["topic"] for row in rows] == [topic, f"kept/{device.name}/b"]
    assert out.stat().st_mode & 0o077 == 0
    acts = [entry["entry"] for entry in server.get("/ledger?limit=1000")["items"]
            if entry["entry"].get("act") in ("telemetry.read", "telemetry.export")]
    told = [(act["outcome"], act.get("reason")) for act in acts]
    assert ("done", "case 7") in told and ("done", "a data request") in told, told
    assert any(outcome == "refused" for outcome, _ in told), told
    assert all("=1+1" not in json.dumps(act) for act in acts)


def test_the_log_is_rolled_into_sealed_files_and_read_from_there(tmp_path):
    server = Palisade(tmp_path / "rolling", VAULT__ROLL_AFTER_S="1")
    with server.running():
        _, device = keeping(server)
        for number in range(3):
            mosquitto.publish(server, device, f"kept/{device.name}/a", str(number), "-q", "1")
        wait_for(lambda: server.get("/telemetry")["sealed_messages"] == 3, "all is in sealed files", 30)
        assert payloads(server, device) == ["0", "1", "2"]
        sealed = files(server.data / "vault" / "objects")
        assert sealed and all(path.read_bytes()[:4] == b"PARE" for path in sealed), "an encrypted footer"
        # One byte of the messages is enough, and no part is given for the whole.
        damaged = bytearray(sealed[0].read_bytes())
        damaged[40] ^= 1
        sealed[0].write_bytes(damaged)
        status, problem = server.rest("POST", f"/devices/{device.name}/telemetry", {"purpose": "a test"})
        assert status == 500 and "0" not in json.dumps(problem.get("items", "")), problem


# A file system of its own for the sealed files, of which most is taken.
SMALL = '''umask 077 && mkdir -p "$0" && mount -t tmpfs -o size=256k,mode=700 tmpfs "$0" &&
head -c 256000 /dev/zero > "$0/filler" && exec "$@"'''


def test_a_full_disk_keeps_what_is_to_be_rolled_in_the_log_and_goes_on_once_there_is_room(tmp_path):
    if subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    objects = tmp_path / "vault" / "data" / "vault" / "objects"
    under = ("unshare", "--map-root-user", "--mount", "sh", "-c", SMALL, str(objects))
    with Palisade(tmp_path / "vault", under=under, VAULT__ROLL_AFTER_S="1").running() as server:
        _, device = keeping(server)
        sent = [secrets.token_hex(20_000) for _ in range(4)]
        for payload in sent:
            mosquitto.publish(server, device, f"kept/{device.name}/a", payload, "-q", "1")

        def vault():
            findings = {finding["check"]: finding for finding in server.get("/doctor")["findings"]}
            return findings["vault"]

        wait_for(lambda: "cannot be rolled" in vault()["detail"], "the doctor says that there is no room", 30)
        assert "No space left" in vault()["detail"]
        assert payloads(server, device) == sent
        inside = Path(f"/proc/{server.process.pid}/root{objects}")
        (inside / "filler").unlink()
        wait_for(lambda: server.get("/telemetry")["sealed_messages"] == 4, "all is in sealed files", 60)
        wait_for(lambda: "cannot be rolled" not in vault()["detail"], "the doctor says that there is room", 30)
        assert payloads(server, device) == sent
        assert all(path.suffix == ".parquet" for path in files(inside)), "an attempt left something"
