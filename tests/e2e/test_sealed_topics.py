"""Messages sealed from device to reader: the server keeps and routes what it cannot read. An independent HPKE (pyhpke, on
pyca/cryptography) opens what our agent sealed, and seals what our command line opens."""

import base64
import hashlib
import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

import mosquitto
from fleet import Fleet
from palisade import Palisade, binary, run, wait_for
from test_agent import Agent
from test_vault import files

SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
INFO = b"palisade sealed message 1"
SECRET = b"secret measurement 21.5"


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def key_id(public):
    return hashlib.sha256(public).digest()[:8]


def open_(sealed, secret, topic):
    """As docs/vault.md describes the form, by none of our code."""
    assert sealed[:4] == b"PSE1"
    key = X25519PrivateKey.from_private_bytes(secret)
    own, at, message_key = key_id(key.public_key().public_bytes_raw()), 5, None
    for _ in range(sealed[4]):
        name, enc, wrapped = sealed[at:at + 8], sealed[at + 8:at + 40], sealed[at + 40:at + 88]
        if name == own:
            context = SUITE.create_recipient_context(enc, KEMKey.from_pyca_cryptography_key(key), info=INFO)
            message_key = context.open(wrapped, aad=topic.encode())
        at += 88
    return AESGCM(message_key).decrypt(bytes(12), sealed[at:], sealed[:at] + topic.encode())


def seal(message, public, topic):
    key = KEMKey.from_pyca_cryptography_key(X25519PublicKey.from_public_bytes(public))
    enc, context = SUITE.create_sender_context(key, info=INFO)
    message_key = os.urandom(32)
    head = b"PSE1\x01" + key_id(public) + enc + context.seal(message_key, aad=topic.encode())
    return head + AESGCM(message_key).encrypt(bytes(12), message, head + topic.encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Palisade(tmp_path_factory.mktemp("sealed") / "server", VAULT__ROLL_AFTER_S="1").running() as server:
        server.login()
        server.cli("grant", "add", "private/{device}/#", "--fleet", "--allow", "publish", "--keep-days", "30", "--sealed")
        yield server


@pytest.fixture()
def reader(tmp_path):
    """A reader's file of keys, its public key, and the bytes of its secret one."""
    path = tmp_path / "reader.key"
    public = run(binary("palisade"), "reader", "key", "--out", path).stdout.decode().strip()
    assert path.stat().st_mode & 0o077 == 0
    assert run(binary("palisade"), "reader", "key", "--out", path, check=False).returncode != 0, "no key is written over"
    assert run(binary("palisade"), "reader", "public", "--identity", path).stdout.decode().strip() == public
    secret = path.read_text().splitlines()[1].removeprefix("prs_")
    return path, public, unpadded(secret)


def read(server, device, *options):
    done = server.cli("vault", "read", "--device", device, "--purpose", "a test", "--json", *options)
    return json.loads(done.stdout)["items"]


def test_what_the_agent_seals_the_reader_opens_and_the_server_never_sees(server, reader, tmp_path):
    path, public, secret = reader
    other = tmp_path / "other.key"
    other_public = run(binary("palisade"), "reader", "key", "--out", other).stdout.decode().strip()
    fleet = Fleet(server)
    agent = Agent(server, fleet)
    backend = fleet.service("private/#")
    topic = f"private/{agent.name}/t"
    try:
        agent.enrol()
        agent.start()
        with mosquitto.Subscriber(server, backend, topic, options=["-F", "%t %x %q %r"]) as heard:
            heard.ready()
            agent.publish(topic, SECRET, "--seal-for", public, "--wait")
            routed = bytes.fromhex(heard.message()[1])
        refused = agent.command("publish", topic, "--wait", input=SECRET, check=False)
        assert refused.returncode == 3 and b"0x99" in refused.stderr, refused
        for_a_secret = agent.command("publish", topic, "--seal-for", "prs_" + "A" * 43, input=SECRET, check=False)
        assert for_a_secret.returncode == 2 and b"public one" in for_a_secret.stderr, for_a_secret
        assert b"AAAA" not in for_a_secret.stderr
    finally:
        agent.stop()
    assert open_(routed, secret, topic) == SECRET
    [item] = read(server, agent.name)
    assert base64.b64decode(item["payload_base64"]) == routed and "payload" not in item
    assert b"sealed for its readers" in server.cli("vault", "read", "--device", agent.name, "--purpose", "a test").stdout
    [opened] = read(server, agent.name, "--identity", path)
    assert opened["payload"].encode() == SECRET and opened["opened"] is True
    [unopened] = read(server, agent.name, "--identity", other)
    assert unopened["opened"] is False and "not sealed for this key" in unopened["why"]
    assert other_public != public
    # Not in the log, not in a sealed file, not in the database, not in what it says.
    wait_for(lambda: server.get("/telemetry")["sealed_messages"] == 1, "it is in a sealed file", 30)
    for file in files(server.root):
        assert SECRET not in file.read_bytes(), file


def test_what_another_hpke_seals_the_command_line_opens(reader):
    path, public, _ = reader
    sealed = seal(SECRET, unpadded(public.removeprefix("prk_")), "private/x/t")

    def opened(message, topic="private/x/t"):
        return run(binary("palisade"), "reader", "open", "--identity", path, "--topic", topic, input=message, check=False)

    assert opened(sealed).stdout == SECRET
    assert opened(sealed, "private/y/t").returncode != 0, "it is bound to its topic"
    for at in range(0, len(sealed), 11):
        changed = bytearray(sealed)
        changed[at] ^= 1
        done = opened(bytes(changed))
        assert done.returncode != 0 and done.stdout == b"", at
    assert b"no sealed message" in opened(b"21.5").stderr


def test_a_client_that_we_did_not_write_is_refused_in_the_open_and_taken_sealed(server, reader):
    _, public, _ = reader
    device = Fleet(server).device()
    topic = f"private/{device.name}/t"
    done = mosquitto.publish(server, device, topic, "21.5", "-q", "1", "-d", check=False)
    assert b"153" in done.stdout + done.stderr or b"ayload format" in done.stdout + done.stderr, done
    assert read(server, device.name) == []
    events = server.events(kind="denied", principal=f"device/{device.name}")
    assert events[0]["reason"]["code"] == "not_sealed", events


def test_a_file_of_keys_that_others_may_read_is_refused(reader):
    path, _, _ = reader
    path.chmod(0o644)
    done = run(binary("palisade"), "reader", "public", "--identity", path, check=False)
    assert done.returncode != 0 and b"chmod 600" in done.stderr
