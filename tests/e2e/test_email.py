"""Notification by e-mail, taken by aiosmtpd: over STARTTLS with credentials and over TLS from the first byte; and
servers that hang, fail, are not who they should be, or do not offer TLS."""

import email
import email.policy
import socket
import ssl

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

import mosquitto
from fleet import Fleet
from palisade import Palisade, free_port, run, wait_for

PASSWORD = "a-password-that-is-in-no-log"
DESTINATIONS = ["mute", "fails", "stripped", "stranger", "starttls", "implicit"]


class Server:
    """A mail server, and what it took."""

    def __init__(self, **options):
        self.taken, self.tries, self.credentials, self.answer = [], 0, [], None
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port(), authenticator=self.authenticate,
                                     **options)
        self.port = self.controller.port

    def authenticate(self, server, session, envelope, mechanism, data):
        self.credentials.append((data.login, data.password))
        return AuthResult(success=data.password == PASSWORD.encode())

    async def handle_MAIL(self, server, session, envelope, address, options):
        self.tries += 1
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.answer:
            return self.answer
        self.taken.append((envelope.rcpt_tos, envelope.content))
        return "250 OK"


def authority(folder, name):
    """An authority, and a certificate of `localhost` under it."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *key, "-days", "2", "-keyout", folder / f"{name}-ca.key", "-out",
        folder / f"{name}-ca.pem", "-subj", f"/CN={name}")
    run("openssl", "req", *key, "-subj", "/CN=localhost", "-keyout", folder / f"{name}.key", "-out",
        folder / f"{name}.csr")
    (folder / "san").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
    run("openssl", "x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{name}-ca.pem", "-CAkey",
        folder / f"{name}-ca.key", "-CAcreateserial", "-days", "2", "-extfile", folder / "san", "-out",
        folder / f"{name}.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def destination(name, port, tls, ca, to='["Ann <ann@example.org>"]', credentials=True):
    lines = [f"[respond.emails.{name}]", 'server = "localhost"', f"port = {port}", f'tls = "{tls}"',
             'from = "Palisade <palisade@example.org>"', f"to = {to}", f'ca = "{ca}"', "timeout_s = 3"]
    if credentials:
        lines += ['username = "palisade"', 'password_file = "mail-password"']
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def post(tmp_path_factory):
    """The mail servers, by name."""
    folder = tmp_path_factory.mktemp("post")
    own, _ = authority(folder, "own"), authority(folder, "other")
    mute = socket.create_server(("127.0.0.1", 0))
    servers = {
        "starttls": Server(tls_context=own, require_starttls=True, auth_required=True),
        "implicit": Server(ssl_context=own),
        "fails": Server(),
        "stripped": Server(auth_require_tls=False),
    }
    for server in servers.values():
        server.controller.start()
    yield {**servers, "mute": mute, "folder": folder}
    for server in servers.values():
        server.controller.stop()
    mute.close()


@pytest.fixture(scope="module")
def writing(tmp_path_factory, post):
    """A server that writes to all of them."""
    server = Palisade(tmp_path_factory.mktemp("writing"))
    server.data.mkdir(mode=0o700)
    playbooks = server.data / "playbooks"
    playbooks.mkdir()
    steps = "".join(f"  - {{ action: email, parameters: {{ to: {name} }}, mode: auto }}\n" for name in DESTINATIONS)
    (playbooks / "own.yaml").write_text(
        "name: scanning-or-flooding-device\ndescription: for the tests\n"
        'trigger: { detectors: ["rule/mqtt-topic-scan"], min_severity: low }\nactions:\n' + steps +
        "  - { action: quarantine, mode: auto, ttl: 1h }\n")
    (server.data / "mail-password").write_text(PASSWORD + "\n")
    (server.data / "mail-password").chmod(0o600)
    for name in ["own", "other"]:
        (server.data / f"{name}.pem").write_bytes((post["folder"] / f"{name}-ca.pem").read_bytes())
    several = '["gone@example.org", "Ann <ann@example.org>", "ben@example.org"]'
    (server.data / "palisade.toml").write_text(
        '[respond]\nplaybooks_dir = "playbooks"\n[respond.caps]\nshare_percent = 100\n'
        + destination("starttls", post["starttls"].port, "starttls", "own.pem", several)
        + destination("implicit", post["implicit"].port, "implicit", "own.pem", credentials=False)
        + destination("stranger", post["implicit"].port, "implicit", "other.pem")
        + destination("stripped", post["stripped"].port, "starttls", "own.pem")
        + destination("mute", post["mute"].getsockname()[1], "starttls", "own.pem")
        + destination("fails", post["fails"].port, "insecure_loopback", "own.pem", credentials=False))
    with server.running():
        yield server


def test_people_are_told_by_e_mail_and_a_server_that_fails_or_hangs_holds_up_nobody(writing, post):
    palisade, device = writing, Fleet(writing).device()
    post["fails"].answer = "451 later"

    def of(name):
        found = palisade.get(f"/actions?target=device/{device.name}&action=email")["items"]
        return next((one for one in found if one["parameters"]["to"] == name), None)

    for number in range(30):
        if mosquitto.publish(palisade, device, f"devices/other-{number}/telemetry", "x", "-q", "0", "--repeat", "2",
                             client_id=f"{device.name}:scan", check=False).returncode != 0:
            break
    wait_for(lambda: palisade.get(f"/devices/{device.name}")["posture"]["lifecycle"] == "quarantined",
             "it is contained, whatever the mail servers do")
    wait_for(lambda: post["starttls"].taken and post["implicit"].taken, "people are told")
    recipients, content = post["starttls"].taken[0]
    assert recipients == ["ann@example.org", "ben@example.org"], "one who is gone keeps nobody from being told"
    assert post["starttls"].credentials == [(b"palisade", PASSWORD.encode())]
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message["subject"].startswith(f"[high] device/{device.name}: "), message["subject"]
    assert message["auto-submitted"] == "auto-generated"
    body = message.get_content()
    case = palisade.get(f"/cases?subject=device/{device.name}")["items"][0]["id"]
    assert f"target: device/{device.name}" in body and f"palisade case show {case}" in body, body
    wait_for(lambda: of("starttls")["state"] == of("implicit")["state"] == "done", "both are done")

    wait_for(lambda: "too long" in of("mute")["why"], "one that hangs is given up for now")
    wait_for(lambda: "answered 451" in of("fails")["why"], "a 4xx is told to people")
    post["fails"].answer = "554 no"
    wait_for(lambda: "answered 554" in of("fails")["why"], "a 5xx is tried again too", 40)
    post["fails"].answer = None
    wait_for(lambda: post["fails"].taken, "it is told at last", 60)
    wait_for(lambda: of("fails")["state"] == "done", "the action is done")
    assert post["fails"].tries >= 3 and len(post["fails"].taken) == 1
    (_, first), again = post["fails"].taken[0], of("fails")["id"]
    assert email.message_from_bytes(first)["message-id"] == f"<{again}@example.org>"

    # Who is not who they should be, or cannot keep a secret, hears nothing: not even the password.
    wait_for(lambda: of("stranger")["why"] and of("stripped")["why"], "they are tried")
    wait_for(lambda: "STARTTLS" in of("stripped")["why"], "no TLS, no mail")
    wait_for(lambda: "certificate" in of("stranger")["why"].lower(), "another's certificate is refused")
    assert not post["stripped"].taken and not post["stripped"].credentials
    assert not post["implicit"].credentials and len(post["implicit"].taken) == 1
    written = [path for path in palisade.root.rglob("*") if path.is_file() and path.name != "mail-password"]
    assert not [path for path in written if PASSWORD.encode() in path.read_bytes()], "the password is nowhere else"
