"""HAProxy with the configuration that deploy/ ships, in front of a server."""

import os
import pathlib
import socket
import subprocess

from palisade import free_port, wait_for

CONFIG = pathlib.Path(__file__).parents[2] / "deploy" / "haproxy.cfg"
# The address that HAProxy speaks from; the server believes headers of it alone.
BALANCER = "127.0.0.9"


class Balancer:
    """HAProxy on ports of its own. It has the server's attributes that clients ask for, so that they go through it."""

    def __init__(self, palisade, folder):
        self.server, self.folder = palisade, pathlib.Path(folder)
        self.mqtt, self.devices, self.people = (free_port() for _ in range(3))
        self.ca = palisade.ca

    def __enter__(self):
        environment = {
            "PALISADE_FRONT": "127.0.0.1", "PALISADE_BALANCER": BALANCER, "PALISADE_SERVER": "127.0.0.1",
            "PALISADE_FRONT_MQTT": self.mqtt, "PALISADE_FRONT_DEVICES": self.devices,
            "PALISADE_FRONT_PEOPLE": self.people, "PALISADE_MQTT": self.server.mqtt,
            "PALISADE_DEVICES": self.server.devices, "PALISADE_PEOPLE": self.server.people,
            "PALISADE_OPERATORS": self.server.operators,
        }
        with open(self.folder / "haproxy.log", "wb") as log:
            self.process = subprocess.Popen(
                ["haproxy", "-db", "-f", str(CONFIG)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **{key: str(value) for key, value in environment.items()}})
        try:
            wait_for(self._listens, f"haproxy (see {self.folder}/haproxy.log)", 10)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def _listens(self):
        assert self.process.poll() is None, self.log()
        try:
            socket.create_connection(("127.0.0.1", self.mqtt), timeout=1).close()
            return True
        except OSError:
            return False

    def log(self):
        return (self.folder / "haproxy.log").read_text(errors="replace")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
