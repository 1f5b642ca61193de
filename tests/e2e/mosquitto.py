"""mosquitto: its clients over mutual TLS, and its broker as a peer to compare with."""

import pathlib
import queue
import socket
import subprocess
import threading

from palisade import HOST, free_port, run, wait_for


def arguments(palisade, identity, version="5", client_id=None):
    return ["-h", HOST, "-p", str(palisade.mqtt), "-V", version, "--tls-version", "tlsv1.3",
            "--cafile", str(palisade.ca), "--cert", str(identity.certificate), "--key", str(identity.key),
            "-i", client_id or identity.name]


def publish(palisade, identity, topic, payload, *options, version="5", client_id=None, check=True):
    """mosquitto_pub, to its end. With QoS 1 and 2 it ends when the server has acknowledged."""
    return run("mosquitto_pub", *arguments(palisade, identity, version, client_id), "-t", topic,
               "-m", payload, *options, check=check)


class Subscriber:
    """mosquitto_sub in the background; its lines are topic, payload, QoS and retain flag."""

    def __init__(self, palisade, identity, *topics, version="5", client_id=None, options=(), qos=2):
        asked = [part for topic in topics for part in ("-t", topic)]
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", *arguments(palisade, identity, version, client_id), "-q", str(qos), *asked,
             "-F", "%t %p %q %r", *map(str, options), "-d"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.lines, self.log = queue.Queue(), []
        self.subscribed = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            line = line.rstrip("\n")
            self.log.append(line)
            if line.startswith("Subscribed ("):
                self.subscribed.set()
            elif not line.startswith(("Client ", "Connection", "Warning", "Error", "Subscribe", "All ")):
                self.lines.put(line)

    def ready(self):
        """Waits until the server has answered the subscription."""
        if not self.subscribed.wait(10):
            self.end()
            raise AssertionError(f"not subscribed in 10 s: {self.log}")
        return self

    def message(self, timeout=10):
        try:
            topic, rest = self.lines.get(timeout=timeout).split(" ", 1)
        except queue.Empty:
            raise AssertionError(f"no message in {timeout} s: {self.log[-20:]}") from None
        payload, qos, retain = rest.rsplit(" ", 2)
        return topic, payload, int(qos), retain == "1"

    def messages(self, count):
        return [self.message() for _ in range(count)]

    def wait_ended(self, timeout=10):
        """The exit status, once the client has given up."""
        status = self.process.wait(timeout)
        self.reader.join(timeout)
        return status

    def has_lost(self):
        """Whether its session was closed, once it was ready; mosquitto_sub then connects again."""
        at = next(number for number, line in enumerate(self.log) if line.startswith("Subscribed ("))
        return self.process.poll() is not None or any(
            "DISCONNECT" in line or "CONNECT" in line or "Error" in line for line in self.log[at:])

    def __enter__(self):
        return self.ready()

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Broker:
    """mosquitto itself, on a plaintext port of this machine, open to all."""

    def __init__(self, folder):
        self.folder, self.port = pathlib.Path(folder), free_port()

    def __enter__(self):
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
                          "set_tcp_nodelay true\nmax_queued_messages 10000\n")
        with open(self.folder / "mosquitto.log", "wb") as log:
            self.process = subprocess.Popen(["mosquitto", "-c", str(config)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        try:
            wait_for(self._answers, "mosquitto", 10)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
