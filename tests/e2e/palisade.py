"""Runs Palisade and speaks to its REST door: a server's life, its ports, its administrator."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

HOST = "localhost"
SETUP_TOKEN = re.compile(r"pset_[A-Za-z0-9_-]+")


def binary(name):
    return str(pathlib.Path(os.environ["PALISADE_BIN"]) / name)


def own_ports():
    """The ports of this process among those that run the tests side by side: what one has found free and not
    yet taken is not found by another."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = 22_000 // count
    return range(10_000 + worker * share, 10_000 + (worker + 1) * share)


def free_port(given=set()):
    """A free port below those that the system gives to outgoing connections: one of these would be taken
    by a client of another test before the server that it is for has started. None is given twice: it may be free
    because its server has not started yet."""
    for _ in range(1000):
        port = random.choice(own_ports())
        if port in given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            given.add(port)
            return port
    raise AssertionError(f"no free port in {own_ports()}")


def database_of(root):
    """The PostgreSQL database of what runs below a folder, where the tests run on PostgreSQL: the suite as a whole does
    where PALISADE_TEST_POSTGRES names a server."""
    server = os.environ.get("PALISADE_TEST_POSTGRES")
    if not server:
        return None
    import postgres
    note = root / "test-database"
    if not note.exists():
        note.write_text(postgres.create(server))
    return note.read_text()


def wait_for(condition, what, seconds=20):
    """Waits until the condition holds and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def run(*command, check=True, **options):
    """Runs a program to its end; its output is in the error when it fails."""
    options.setdefault("timeout", 60)
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([str(part) for part in command], capture_output=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(map(str, command))}\nexit {done.returncode}\n"
            f"{done.stdout.decode(errors='replace')}\n{done.stderr.decode(errors='replace')}"
        )
    return done


class Palisade:
    """One server and its data directory."""

    def __init__(self, root, plaintext=False, under=(), **settings):
        """`settings` are configuration keys as the environment spells them (`GATEWAY__...`); `under` is a command
        that the server is run by."""
        self.root = pathlib.Path(root)
        self.data, self.home = self.root / "data", self.root / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.mqtt, self.devices, self.people, self.operators = (free_port() for _ in range(4))
        self.plaintext = free_port() if plaintext else None
        self.settings, self.process, self.token = settings, None, None
        self.under = under
        self.database = database_of(self.root)

    def environment(self):
        values = {
            "GATEWAY__LISTEN": f"127.0.0.1:{self.mqtt}",
            "DEVICES__LISTEN": f"127.0.0.1:{self.devices}",
            "PEOPLE__LISTEN": f"127.0.0.1:{self.people}",
            "OPERATORS__LISTEN": f"127.0.0.1:{self.operators}",
            # The tests fail to enrol on purpose, and all from one address.
            "DEVICES__FAILURES_PER_MINUTE": "100000",
        }
        if self.plaintext:
            values["GATEWAY__INSECURE_LOOPBACK"] = f"127.0.0.1:{self.plaintext}"
            values["GATEWAY__INSECURE_PRINCIPAL"] = "suite"
            values["GATEWAY__MAX_KEEP_ALIVE_S"] = "60"
            # All clients of that listener are one principal at one address: it connects often.
            for limit in ("SERVICE__CONNECTS_PER_MINUTE", "SERVICE__MAX_SESSIONS",
                          "SOURCE__CONNECTIONS_PER_SECOND", "SOURCE__CONNECTION_BURST"):
                values[f"GATEWAY__{limit}"] = "1000000"
        if self.database:
            values["DATABASE__URL"] = self.database
        values.update(self.settings)
        own = {f"PALISADE_{key}": value for key, value in values.items()}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PALISADE_")}
        return {**inherited, "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / ".config"), **own}

    # --- life ---

    def start(self):
        with open(self.root / "serve.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.under, binary("palisade"), "serve", "--data", str(self.data)],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self.environment(),
            )
        wait_for(self.is_ready, f"palisade ready (see {self.root}/serve.log)", 60)

    @contextlib.contextmanager
    def running(self):
        """The server from its first start to its clean stop; it never outlives this."""
        try:
            self.start()
            self.set_up()
            if self.plaintext:
                self.open_plaintext()
            yield self
            self.stop()
        finally:
            if self.process and self.process.poll() is None:
                self.kill()

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("palisade ended:\n" + self.log()[-3000:])
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.operators}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def set_up(self):
        """Spends the set-up token for the administrator's, and fetches the root certificate."""
        run("curl", "-sS", "--fail", "-k", "-o", self.ca, f"https://{HOST}:{self.devices}/ca/root.pem")
        secret = SETUP_TOKEN.search(self.log())
        assert secret, f"no set-up token in {self.root}/serve.log"
        _, made = self.rest("POST", "/setup", {"token": secret[0], "name": "tests"}, token="", expect=(200, 201))
        self.token = made["secret"]

    def open_plaintext(self):
        """Lets clients of the plaintext listener use every topic, but not subscribe to `test/nosubscribe`."""
        self.put("/services/suite", {"description": "clients without certificates"})
        for pattern in ("#", "$x/#"):
            self.post("/grants", {"scope": {"type": "service", "id": "suite"}, "pattern": pattern, "actions": {
                action: True for action in ("publish", "subscribe", "receive", "retain")}})
        forbid = ('@id("nosubscribe") forbid (principal is Service, action == Action::"subscribe", resource) '
                  'when { context.topic == "test/nosubscribe" };')
        self.post("/policy/apply", {"text": self.get("/policy")["text"] + forbid, "reason": "for the suites"})

    def kill(self):
        """As a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                status = self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("palisade does not end on SIGTERM:\n" + self.log()[-3000:]) from None
            assert status == 0, self.log()[-3000:]

    def log(self):
        return (self.root / "serve.log").read_text(errors="replace")

    # --- people ---

    @property
    def ca(self):
        return self.root / "root.pem"

    def login(self):
        """Makes the command line the administrator's."""
        run(binary("palisade"), "login", "--server", f"https://{HOST}:{self.people}", "--ca", self.ca,
            env={**self.environment(), "PALISADE_TOKEN": self.token})

    def cli(self, *arguments, check=True, **options):
        return run(binary("palisade"), *arguments, check=check, env=self.environment(), **options)

    def cli_json(self, *arguments):
        return json.loads(self.cli(*arguments, "--json").stdout)

    def rest(self, method, path, body=None, token=None, headers=None, raw=None, expect=None):
        """One request under `/api/v1`: the status and the decoded body."""
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        request = urllib.request.Request(
            f"https://{HOST}:{self.people}/api/v1{path}", method=method, data=data, headers=headers or {})
        if data is not None and not request.has_header("Content-type"):
            request.add_header("Content-Type", "application/json")
        token = self.token if token is None else token
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        context = ssl.create_default_context(cafile=self.ca)
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                status, content, kind = answer.status, answer.read(), answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            status, content, kind = error.code, error.read(), error.headers.get_content_type()
        is_json = kind == "application/json" or kind.endswith("+json")
        value = json.loads(content) if is_json and content else content
        if expect is not None:
            wanted = expect if isinstance(expect, tuple) else (expect,)
            assert status in wanted, f"{method} {path}: {status} {value}"
        return status, value

    def get(self, path, **options):
        return self.rest("GET", path, expect=200, **options)[1]

    def post(self, path, body=None, **options):
        return self.rest("POST", path, body if body is not None else {}, expect=(200, 201, 202, 204),
                         **options)[1]

    def put(self, path, body, **options):
        return self.rest("PUT", path, body, expect=(200, 201, 204), **options)[1]

    def events(self, **query):
        """The newest events, oldest first."""
        events, after = [], None
        while True:
            page = self.get("/events?" + urllib.parse.urlencode(
                {**query, "limit": 500, **({"after": after} if after else {})}))
            events += [item["event"] for item in page["items"]]
            after = page.get("next")
            if not after or not page["items"]:
                return events
