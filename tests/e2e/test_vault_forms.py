"""What the vault gives out, read by software that we did not write: pyarrow, and age of Debian."""

import base64
import csv
import io
import json

import pyarrow
import pyarrow.parquet
import pyarrow.parquet.encryption
import pytest

import mosquitto
from palisade import Palisade, binary, run, wait_for
from test_people import account
from test_vault import files, keeping

MESSAGES = [b'{"gps":{"lat":52.516274}}', b"two", b"three"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("forms")
    with Palisade(root / "server", VAULT__ROLL_AFTER_S="1").running() as server:
        _, server.device = keeping(server)
        for message in MESSAGES:
            mosquitto.publish(server, server.device, f"kept/{server.device.name}/a", message.decode(), "-q", "1")
        wait_for(lambda: server.get("/telemetry")["sealed_messages"] == 3, "all is in sealed files", 30)
        yield server


def export(server, out, form, *options):
    done = server.cli("vault", "export", "--device", server.device.name, "--purpose", "a data request",
                      "--format", form, "--out", out, "--json", *options)
    assert json.loads(done.stdout)["messages"] == 3
    assert [path.name for path in out.parent.iterdir() if ".part" in path.name] == []
    return out


def payloads(table):
    return [value.as_py() for value in table["payload"]]


def test_pyarrow_reads_an_export_as_parquet_and_as_an_arrow_stream(server, tmp_path):
    parquet = pyarrow.parquet.read_table(export(server, tmp_path / "out.parquet", "parquet"))
    with pyarrow.ipc.open_stream(export(server, tmp_path / "out.arrow", "arrow").read_bytes()) as stream:
        arrow = stream.read_all()
    for table in (parquet, arrow):
        assert payloads(table) == MESSAGES
        assert table["device"].to_pylist() == [server.device.name] * 3
        assert str(table.schema.field("at").type) == "timestamp[ns, tz=UTC]"
    assert parquet.equals(arrow)


def test_an_export_for_a_recipient_leaves_the_server_sealed_and_age_opens_it(server, tmp_path):
    secret = tmp_path / "key"
    run("age-keygen", "-o", secret)
    public = run("age-keygen", "-y", secret).stdout.decode().strip()
    for form in ("csv", "parquet"):
        out = export(server, tmp_path / f"out.{form}.age", form, "--recipient", public)
        assert out.stat().st_mode & 0o077 == 0
        assert b"three" not in out.read_bytes() and b"PAR1" not in out.read_bytes()
        opened = run("age", "-d", "-i", secret, out).stdout
        if form == "csv":
            rows = csv.DictReader(io.StringIO(opened.decode()))
            assert [base64.b64decode(row["payload_base64"]) for row in rows] == MESSAGES
        else:
            assert payloads(pyarrow.parquet.read_table(io.BytesIO(opened))) == MESSAGES
        run("age-keygen", "-o", tmp_path / f"other-{form}")
        assert run("age", "-d", "-i", tmp_path / f"other-{form}", out, check=False).returncode != 0
        out.write_bytes(out.read_bytes()[:-1])
        assert run("age", "-d", "-i", secret, out, check=False).returncode != 0, "its end is cut off"
    told = [entry["entry"] for entry in server.get("/ledger?limit=1000")["items"]]
    sealed = [entry for entry in told if entry.get("act") == "telemetry.export" and public in entry["target"]]
    assert len(sealed) == 2 and all(entry["reason"] == "a data request" for entry in sealed)


def test_pyarrow_reads_a_sealed_file_with_its_key_and_neither_without_nor_changed(server, tmp_path):
    objects = server.data / "vault" / "objects"
    paths = [path for path in files(objects)]
    seen = []
    for number, path in enumerate(paths):
        out = tmp_path / f"key-{number}.json"
        server.cli("vault", "key", path.relative_to(objects), "--reason", "for the expert", "--out", out)
        assert out.stat().st_mode & 0o077 == 0
        told = json.loads(out.read_text())
        key, prefix = base64.b64decode(told["key_base64"]), told["aad_prefix"].encode()

        def read(bytes_, key=key, prefix=prefix):
            opened = pyarrow.parquet.encryption.create_decryption_properties(key, aad_prefix=prefix)
            return pyarrow.parquet.read_table(io.BytesIO(bytes_), decryption_properties=opened)

        sealed = path.read_bytes()
        table = read(sealed)
        assert table.num_rows == told["messages"]
        seen += payloads(table)
        for message in MESSAGES:
            assert message not in sealed
        with pytest.raises(OSError):
            pyarrow.parquet.read_table(io.BytesIO(sealed))
        with pytest.raises(OSError):
            read(sealed, key=bytes(32))
        with pytest.raises(OSError):
            read(sealed, prefix=prefix + b"x")
        # A changed byte is refused, or is of a part that pyarrow does not look at (indexes of pages): never is
        # anything read that was not written.
        refused = 0
        tried = range(4, len(sealed) - 8, 7)
        for at in tried:
            changed = bytearray(sealed)
            changed[at] ^= 1
            try:
                assert read(bytes(changed)).equals(table), at
            except (OSError, pyarrow.ArrowException):
                refused += 1
        assert refused > len(tried) / 2
        changed = bytearray(sealed)
        changed[40] ^= 1
        with pytest.raises(OSError):
            read(bytes(changed))
    assert sorted(seen) == sorted(MESSAGES)
    acts = [entry["entry"] for entry in server.get("/ledger?limit=1000")["items"]
            if entry["entry"].get("act") == "telemetry.open_file_key"]
    assert len(acts) == len(paths) and acts[0]["reason"] == "for the expert"
    assert all(told["key_base64"] not in json.dumps(act) for act in acts)
    reader = server.post("/api-tokens", {"name": "reader", "scopes": ["telemetry:read", "telemetry:write"]})["secret"]
    body = {"file": str(paths[0].relative_to(objects)), "reason": "curiosity"}
    assert server.rest("POST", "/telemetry/file-key", body, token=reader)[0] == 403


def test_a_role_with_a_mask_gets_rounded_places_in_each_form_at_the_command_line(server, tmp_path):
    cedar = ("@id(\"reads\")\n@mask(\"payload.gps.lat:round(1)\")\npermit (principal in Role::\"support\", "
             "action in [Action::\"telemetry:read\"], resource);")
    wrong = tmp_path / "wrong.cedar"
    wrong.write_text(cedar.replace("round(1)", "blur"))
    refused = server.cli("role", "create", "support", wrong, "--description", "support", check=False)
    assert refused.returncode != 0 and b"line 2" in refused.stderr and b"round(2)" in refused.stderr, refused.stderr
    server.post("/roles", {"name": "support", "description": "support", "cedar": cedar})
    session = account(server, "sam", "support")
    environment = {**server.environment(), "PALISADE_TOKEN": session}

    def cli(*arguments):
        return run(binary("palisade"), "vault", *arguments, "--device", server.device.name, "--purpose", "a ticket",
                   env=environment)

    out = json.loads(cli("read", "--json").stdout)
    assert json.loads(out["items"][0]["payload"]) == {"gps": {"lat": 52.5}}
    # "two" and "three" are no JSON: what cannot be looked into is withheld.
    assert out["withheld"] == 2 and all("payload" not in item for item in out["items"][1:])
    assert b"withheld" in cli("read").stdout
    masked = [b'{"gps":{"lat":52.5}}', None, None]
    for form in ("parquet", "arrow", "csv", "ndjson"):
        path = tmp_path / f"out.{form}"
        done = json.loads(cli("export", "--format", form, "--out", path, "--json").stdout)
        assert (done["messages"], done["withheld"]) == (3, 2)
        content = path.read_bytes()
        assert b"52.516" not in content and base64.b64encode(MESSAGES[0]) not in content
        if form == "parquet":
            table = pyarrow.parquet.read_table(path)
            assert payloads(table) == masked and table["withheld"].to_pylist() == [False, True, True]
        elif form == "arrow":
            with pyarrow.ipc.open_stream(content) as stream:
                assert payloads(stream.read_all()) == masked
        elif form == "csv":
            rows = list(csv.DictReader(io.StringIO(content.decode())))
            assert base64.b64decode(rows[0]["payload_base64"]) == masked[0] and rows[1]["payload_base64"] == ""
    # The key of the files would get around the mask: it is another right.
    objects = server.data / "vault" / "objects"
    refused = run(binary("palisade"), "vault", "key", files(objects)[0].relative_to(objects), "--reason", "curiosity",
                  "--out", tmp_path / "key.json", env=environment, check=False)
    assert refused.returncode != 0 and not (tmp_path / "key.json").exists()


def test_what_was_there_stays_where_an_export_is_refused(server, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("of yesterday")
    done = server.cli("vault", "export", "--device", server.device.name, "--purpose", "a data request",
                      "--recipient", "AGE-SECRET-KEY-1QQQQ", "--out", out, check=False)
    assert done.returncode != 0 and b"public key" in done.stderr and b"QQQQ" not in done.stderr
    assert out.read_text() == "of yesterday" and list(tmp_path.iterdir()) == [out]
