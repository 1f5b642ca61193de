"""Events out: to rsyslog over TLS and to an HTTP collector, over crashes of either side; nothing is lost."""

import http.server
import json
import re
import shutil
import ssl
import subprocess
import threading
import time

import pytest

from palisade import Palisade, free_port, run, wait_for

MESSAGE = re.compile(r"^(\S+) (\S+) (\S+) (\{.*\})$")


@pytest.fixture()
def pki(tmp_path):
    """An authority and a certificate of `localhost` under it."""
    folder = tmp_path / "pki"
    folder.mkdir()
    subject = ["-subj", "/CN=collectors"]
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-keyout", folder / "ca.key", "-out", folder / "ca.pem", *subject)
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
        "-keyout", folder / "own.key", "-out", folder / "own.csr")
    (folder / "san").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
    run("openssl", "x509", "-req", "-in", folder / "own.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
        "-CAcreateserial", "-days", "2", "-extfile", folder / "san", "-out", folder / "own.pem")
    return folder


@pytest.fixture()
def exporting(tmp_path):
    """Makes a server with exports; it never outlives the test."""
    made = []

    def make(toml):
        server = Palisade(tmp_path / "palisade")
        server.data.mkdir(mode=0o700)
        (server.data / "palisade.toml").write_text(toml)
        made.append(server)
        server.start()
        server.set_up()
        return server

    yield make
    for server in made:
        if server.process and server.process.poll() is None:
            server.stop()


class Rsyslog:
    """Debian's rsyslog, which writes one line a message."""

    def __init__(self, folder, pki):
        self.folder, self.port, self.process = folder, free_port(), None
        self.out = folder / "messages"
        folder.mkdir()
        (folder / "conf").write_text(f"""
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
       defaultNetstreamDriverCAFile="{pki}/ca.pem" defaultNetstreamDriverCertFile="{pki}/own.pem"
       defaultNetstreamDriverKeyFile="{pki}/own.key")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="{self.port}")
template(name="line" type="string" string="%app-name% %msgid% %syslogfacility-text%.%syslogseverity-text% %msg%\\n")
action(type="omfile" file="{self.out}" template="line" asyncWriting="off")
""")

    def start(self):
        self.process = subprocess.Popen(
            ["rsyslogd", "-n", "-f", self.folder / "conf", "-i", self.folder / "pid"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)

    def records(self):
        """Every message: facility and severity, name of the kind, and the event."""
        if not self.out.exists():
            return []
        found = [MESSAGE.match(line.replace("  {", " {")) for line in self.out.read_text().splitlines()]
        assert all(found), self.out.read_text()[-2000:]
        assert all(one[1] == "palisade" for one in found)
        return [(one[3], one[2], json.loads(one[4])) for one in found]


class Collector(http.server.ThreadingHTTPServer):
    """An HTTP collector over TLS that takes, fails or hangs."""

    daemon_threads = True

    def __init__(self, pki, token):
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "own.pem", pki / "own.key")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.token, self.mood, self.taken, self.requests = token, 200, [], 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A server that is killed breaks its connections."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests += 1
        status = self.server.mood
        if status == "hang":
            time.sleep(5)
            status = 500
        if self.headers["Authorization"] != f"Bearer {self.server.token}":
            status = 401
        if status == 200:
            assert self.headers["Content-Type"] == "application/x-ndjson"
            self.server.taken += [json.loads(line) for line in body.decode().splitlines()]
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nobody reads it."""


def say(server, *numbers):
    for number in numbers:
        server.put(f"/segments/s{number}", {"description": "an event"})


def uids(server):
    """The events of the stream, in order, that the tests made."""
    page = server.get("/events?kind=administrative&limit=1000")
    return [item["event"]["id"] for item in page["items"]]


def firsts(taken):
    """Each event where it came first."""
    return list(dict.fromkeys(event["metadata"]["uid"] for event in taken))


def export(server, name):
    return next(one for one in server.get("/exports")["items"] if one["name"] == name)


@pytest.mark.skipif(not shutil.which("rsyslogd"), reason="rsyslog is not installed")
def test_rsyslog_gets_every_event_over_tls_whoever_crashes(exporting, pki, tmp_path):
    rsyslog = Rsyslog(tmp_path / "rsyslog", pki)
    server = exporting(f"""
[exports.siem]
kind = "syslog"
address = "localhost:{rsyslog.port}"
ca_file = "{pki}/ca.pem"
kinds = ["administrative", "refused"]
""")
    say(server, *range(10))
    wait_for(lambda: export(server, "siem")["state"] == "retrying", "nobody listens yet")
    rsyslog.start()
    try:
        wait_for(lambda: len(rsyslog.records()) >= 10, "the first events", 60)
        server.kill()
        server.start()
        say(server, *range(10, 20))
        rsyslog.stop()
        say(server, *range(20, 30))
        rsyslog.start()
        wait_for(lambda: set(uids(server)) <= set(firsts(event for *_, event in rsyslog.records())),
                 "every event", 90)
        server.rest("GET", "/devices", token="pat_nobody", expect=401)
        wait_for(lambda: any(kind == "refused" for _, kind, _ in rsyslog.records()), "the refusal")
    finally:
        rsyslog.stop()
    levels = {(level, kind) for level, kind, _ in rsyslog.records()}
    assert ("13.info", "administrative") in levels or ("audit.info", "administrative") in levels, levels
    for _, kind, event in rsyslog.records():
        assert event["class_uid"] in (6003, 3002) and event["unmapped"]["kind"] == kind


def test_a_collector_that_hangs_and_fails_gets_every_event_in_order(exporting, pki, tmp_path):
    collector = Collector(pki, "s3cret")
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    server = exporting(f"""
[exports.siem]
kind = "http"
url = "https://localhost:{collector.server_address[1]}/in"
ca_file = "{pki}/ca.pem"
token_file = "{token}"
kinds = ["administrative"]
timeout_s = 1

[exports.archive]
kind = "file"
path = "archive.ndjson"
format = "native"
""")
    collector.mood = "hang"
    say(server, *range(10))
    wait_for(lambda: export(server, "siem")["failures"] > 0, "it hangs", 30)
    # One that is stuck holds up no other.
    wait_for(lambda: export(server, "archive")["lag"] == 0, "the archive has all")
    collector.mood = 500
    say(server, *range(10, 20))
    wait_for(lambda: "500" in (export(server, "siem")["last_error"] or ""), "it fails", 30)
    server.kill()
    collector.mood = 200
    server.start()
    say(server, *range(20, 30))
    wait_for(lambda: set(uids(server)) <= set(firsts(collector.taken)), "every event", 60)
    wanted = uids(server)
    assert [uid for uid in firsts(collector.taken) if uid in set(wanted)] == wanted
    archived = [json.loads(line)["id"] for line in (server.data / "archive.ndjson").read_text().splitlines()]
    assert set(wanted) <= set(archived)
    assert (server.data / "archive.ndjson").stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in server.log()
    metrics = run("curl", "-sS", f"http://127.0.0.1:{server.operators}/metrics").stdout.decode()
    assert 'palisade_export_sent_total{export="siem"}' in metrics


def test_exports_are_checked_without_a_server_and_listed_with_one(exporting, pki, tmp_path):
    collector = Collector(pki, "s3cret")
    (tmp_path / "token").write_text("s3cret\n")
    server = exporting(f"""
[exports.siem]
kind = "http"
url = "https://localhost:{collector.server_address[1]}/in"
ca_file = "{pki}/ca.pem"
token_file = "{tmp_path}/token"
""")
    server.login()
    wait_for(lambda: server.cli_json("export", "list")["items"][0]["state"] == "running", "it runs")
    server.cli("export", "check", "--data", server.data)
    assert any(event["api"]["operation"] == "export.test" for event in collector.taken if "api" in event)
    (tmp_path / "token").write_text("other\n")
    refused = server.cli("export", "check", "siem", "--data", server.data, check=False)
    assert refused.returncode == 1 and b"401" in refused.stdout
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[exports.siem]\nkind = "syslog"\naddress = "siem.example:514"\ntls = false\n')
    refused = server.cli("export", "check", "--offline", "--config", wrong, check=False)
    assert refused.returncode != 0 and b"loopback" in refused.stderr
    say(server, *range(3))
    newest = server.cli_json("events", "--newest", "2")["items"]
    assert [item["event"]["target"] for item in newest] == ["s1", "s2"]
    lines = server.cli("events", "--since", "1h", "--format", "ocsf").stdout.decode().splitlines()
    assert all(json.loads(line)["metadata"]["version"] == "1.3.0" for line in lines) and lines
