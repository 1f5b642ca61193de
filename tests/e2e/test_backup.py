"""A backup of a server that runs, and the rehearsal of bringing it back."""

import json
import shutil
import subprocess
import tarfile
import threading

import pytest

import mosquitto
from palisade import Palisade, binary, run, wait_for
from test_ledger_log import checkpoint
from test_vault import keeping, payloads


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One whose vault rolls its log all the time."""
    with Palisade(tmp_path_factory.mktemp("backup"), VAULT__ROLL_AFTER_S="1", LEDGER__CHECKPOINT_EVERY_S="1",
                  GATEWAY__DEVICE__CONNECTS_PER_MINUTE="100000"
                  ).running() as server:
        yield server


def create(server, out, *options, check=True):
    return server.cli("backup", "create", "--data", server.data, "--out", out, *options, "--json", check=check)


def restored(server, backup, folder, *options):
    """A server in place of `server`, in a directory of its own, with the key that is not in the backup."""
    other = Palisade(folder)
    other.cli("backup", "restore", backup, "--data", other.data, *options)
    shutil.copy(server.data / "key-encryption.key", other.data)
    shutil.copy(server.ca, other.ca)
    other.token = server.token
    return other


def test_a_server_is_brought_back_with_its_ledger_its_devices_and_what_they_sent(server, tmp_path):
    _, device = keeping(server)
    topic = f"kept/{device.name}/x"
    for number in range(3):
        mosquitto.publish(server, device, topic, f"sealed {number}", "-q", "1")
    wait_for(lambda: list((server.data / "vault" / "objects").rglob("*.parquet")), "the log is rolled", 60)
    mosquitto.publish(server, device, topic, "in the log", "-q", "1")
    note, size = checkpoint(server)
    (tmp_path / "checkpoint").write_bytes(note if isinstance(note, bytes) else note.encode())
    backup = tmp_path / "palisade.backup"
    said = json.loads(create(server, backup).stdout)
    assert said["about"]["ledger_entries"] >= size and "key-encryption.key" in said["about"]["left_out"], said
    assert backup.stat().st_mode & 0o777 == 0o600
    # The server goes on, and what it does from here on is not in the backup.
    mosquitto.publish(server, device, topic, "after the backup", "-q", "1")
    verified = json.loads(server.cli("backup", "verify", backup, "--json").stdout)
    assert verified["files"] == said["files"]
    with tarfile.open(backup) as tar:
        names = tar.getnames()
        assert names[-1] == "MANIFEST.json" and "palisade.db" in names and "keys.json" in names, names
        assert not [name for name in names if "key-encryption" in name]
        content = b"".join(tar.extractfile(member).read() for member in tar)
    assert (server.data / "key-encryption.key").read_bytes() not in content
    for secret in (b"sealed 0", b"in the log", server.token.encode()):
        assert secret not in content, secret
    other = restored(server, backup, tmp_path / "restored")
    try:
        other.start()
        assert payloads_of(other, device) == ["sealed 0", "sealed 1", "sealed 2", "in the log"]
        mosquitto.publish(other, device, topic, "after the restore", "-q", "1")
        assert payloads_of(other, device)[-1] == "after the restore"
        other.login()
        other.cli("ledger", "verify", "--checkpoint", tmp_path / "checkpoint")
        assert "fail" not in {one["level"] for one in other.get("/doctor")["findings"]}, other.get("/doctor")
    finally:
        other.stop()


def payloads_of(server, device):
    server.login()
    return payloads(server, device)


def test_a_backup_under_load_has_all_that_was_acknowledged_before(server, tmp_path):
    _, device = keeping(server)
    topic, sent, stop = f"kept/{device.name}/x", [], threading.Event()

    def send():
        while not stop.is_set():
            mosquitto.publish(server, device, topic, str(len(sent)), "-q", "1")
            sent.append(len(sent))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for number in range(4):
            wait_for(lambda: len(sent) > 3 * number, "messages are sent")
            acknowledged = len(sent)
            backup = tmp_path / f"{number}.backup"
            create(server, backup)
            other = restored(server, backup, tmp_path / f"restored-{number}")
            try:
                other.start()
                found = payloads_of(other, device)
                assert found == [str(one) for one in range(len(found))] and len(found) >= acknowledged, found
                assert other.get("/doctor")["worst"] != "fail"
            finally:
                other.stop()
    finally:
        stop.set()
        sender.join()


def test_a_sealed_backup_opens_for_its_recipient_and_for_age(server, tmp_path):
    secret, other = tmp_path / "key.txt", tmp_path / "other.txt"
    for key in (secret, other):
        run("age-keygen", "-o", key)
    public = run("age-keygen", "-y", secret).stdout.decode().strip()
    backup = tmp_path / "palisade.backup.age"
    create(server, backup, "--recipient", public)
    assert b"palisade.db" not in backup.read_bytes()
    assert b"is sealed" in server.cli("backup", "verify", backup, check=False).stderr
    assert server.cli("backup", "verify", backup, "--identity", other, check=False).returncode == 1
    server.cli("backup", "verify", backup, "--identity", secret)
    plain = run("age", "-d", "-i", secret, backup).stdout
    (tmp_path / "plain").write_bytes(plain)
    assert "palisade.db" in tarfile.open(tmp_path / "plain").getnames()
    again = restored(server, backup, tmp_path / "restored", "--identity", secret)
    again.start()
    again.stop()
    wrong = create(server, tmp_path / "wrong", "--recipient", secret.read_text().splitlines()[-1], check=False)
    assert wrong.returncode == 2 and b"secret" in wrong.stderr and not (tmp_path / "wrong").exists()


def test_what_is_damaged_is_refused_and_leaves_nothing_behind(server, tmp_path):
    backup = tmp_path / "palisade.backup"
    create(server, backup)
    whole = backup.read_bytes()
    at = whole.index(b"SQLite format 3") + 5_000
    for name, content in (("bit", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]), ("cut", whole[:-20_000]),
                          ("other", b"not a backup"), ("empty", b"")):
        bad = tmp_path / name
        bad.write_bytes(content)
        verified = server.cli("backup", "verify", bad, check=False)
        assert verified.returncode == 6, (name, verified)
        target = tmp_path / f"restored-{name}"
        refused = server.cli("backup", "restore", bad, "--data", target, check=False)
        assert refused.returncode == 6 and list(target.iterdir()) == [], (name, refused)


def test_nothing_is_written_over(server, tmp_path):
    backup = tmp_path / "palisade.backup"
    create(server, backup)
    before = backup.read_bytes()
    again = create(server, backup, check=False)
    assert again.returncode == 2 and b"no backup is written over" in again.stderr and backup.read_bytes() == before
    within = create(server, server.data / "palisade.backup", check=False)
    assert within.returncode == 2 and b"goes with it" in within.stderr
    for target in (server.data, tmp_path):
        refused = server.cli("backup", "restore", backup, "--data", target, check=False)
        assert refused.returncode == 2 and b"is not empty" in refused.stderr, refused
    assert sorted(path.name for path in tmp_path.iterdir()) == ["palisade.backup"], "nothing is left beside it"


def test_a_backup_on_a_full_disk_fails_and_leaves_nothing(server, tmp_path):
    options = next((one for one in ("-m", "-rm") if run("unshare", one, "true", check=False).returncode == 0), None)
    if not options:
        pytest.skip("no mount namespaces here")
    small = tmp_path / "small"
    small.mkdir()
    script = f'mount -t tmpfs -o size=256k none {small}; "$@"; status=$?; ls -A {small}; exit $status'
    done = subprocess.run(["unshare", options, "sh", "-c", script, "sh", binary("palisade"), "backup", "create", "--data",
                           str(server.data), "--out", str(small / "x")], env=server.environment(), capture_output=True,
                          check=False, timeout=60)
    assert done.returncode == 1 and b"No space left" in done.stderr and done.stdout == b"", done
