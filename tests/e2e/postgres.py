"""Databases of a PostgreSQL server: one that the test run has, or one of a test's own that can be ended."""

import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import urllib.parse

from palisade import free_port, run

TOOL = pathlib.Path(__file__).parent.parent / "tools" / "postgres.sh"


class Server:
    """A server of a test's own, reached over loopback too. Its user must be able to enter its folder, and the path of a socket
    is short: it is not among the files of the test."""

    def __init__(self, **settings):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pg-"))
        self.root.chmod(0o755)
        self.folder, self.port = self.root / "s", free_port()
        self.settings = {"PORT": str(self.port), **settings}

    def _tool(self, what, **settings):
        environment = {**os.environ, **self.settings, **settings}
        done = subprocess.run([str(TOOL), what, str(self.folder)], env=environment, check=True, timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def start(self):
        self.url = self._tool("start")
        return self

    def stop(self, mode="fast"):
        """`immediate` is what a power cut would be: nothing is written in good order."""
        self._tool("stop", MODE=mode)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop("immediate")
        shutil.rmtree(self.root)


def create(server, name=None):
    """Makes a database and returns its address."""
    name = name or f"e2e_{random.getrandbits(64):016x}"
    sql(server, f"CREATE DATABASE {name}")
    return urllib.parse.urlsplit(server)._replace(path=f"/{name}").geturl()


def sql(url, statement):
    """What a statement prints: a line a row, its columns between `|`."""
    done = run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement)
    return done.stdout.decode().strip()
