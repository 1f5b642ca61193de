"""`palisade top`: the overview in a terminal, seen as a terminal shows it."""

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios

import pyte
import pytest

from fleet import Fleet
from palisade import binary, run, wait_for

COLUMNS, LINES = 120, 40


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, environment, *command):
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.ours, self.theirs = ours, theirs
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs,
                                        env={**environment, "TERM": "xterm-256color"}, start_new_session=True)

    def text(self):
        while select.select([self.ours], [], [], 0.05)[0]:
            read = os.read(self.ours, 65536)
            self.written += read
            self.stream.feed(read)
        return "\n".join(self.screen.display)

    def shows(self, *wanted):
        try:
            wait_for(lambda: all(word in self.text() for word in wanted), f"{wanted} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.text()}") from None

    def press(self, keys):
        os.write(self.ours, keys)

    def end(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def top(own_palisade):
    own_palisade.login()
    opened = []

    def start(*arguments):
        opened.append(Terminal(own_palisade.environment(), binary("palisade"), "top", *arguments))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.end()


def test_the_fleet_is_watched_as_it_changes_and_the_terminal_is_given_back(own_palisade, top):
    fleet = Fleet(own_palisade)
    device = fleet.device()
    terminal = top("--every", "1")
    terminal.shows("Palisade", "live", "devices: 1", "1 active", "0 quarantined", "open cases: ", "enrolled")
    own_palisade.cli("device", "quarantine", device.name, "--reason", "talks to strangers")
    terminal.shows("1 quarantined", "device.quarantine", "talks to strangers")
    # Held still, it shows what was; let go, what is.
    terminal.press(b" ")
    terminal.shows("held still")
    own_palisade.cli("device", "release", device.name, "--reason", "test over")
    fleet.register()
    terminal.press(b" ")
    terminal.shows("devices: 2", "0 quarantined", "device.release")
    terminal.press(b"q")
    assert terminal.process.wait(10) == 0
    terminal.text()
    assert terminal.written.rstrip().endswith(b"\x1b[?1049l")
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_a_server_that_goes_away_is_said_and_one_that_comes_back_is_seen(own_palisade, top):
    terminal = top("--every", "1")
    terminal.shows("live")
    own_palisade.kill()
    terminal.shows("NOT REACHED for")
    own_palisade.start()
    terminal.shows("live")
    terminal.press(b"\x03")
    assert terminal.process.wait(10) == 0


def test_without_a_terminal_there_is_text_and_json(own_palisade):
    own_palisade.login()
    Fleet(own_palisade).register()
    text = own_palisade.cli("top", "--once").stdout.decode()
    assert "devices: 1" in text and "1 registered" in text and "\x1b" not in text
    shown = own_palisade.cli_json("top", "--once")
    assert shown["status"]["devices"]["registered"] == 1 and isinstance(shown["cases"], list)
    refused = own_palisade.cli("top", check=False)
    assert refused.returncode == 2 and b"--once" in refused.stderr
    away = run(binary("palisade"), "top", "--json", "--once", "--server", "https://localhost:1", check=False,
               env=own_palisade.environment())
    assert away.returncode == 5 and away.stdout == b""


def test_who_may_not_see_cases_sees_the_rest_and_why(own_palisade):
    made = own_palisade.post("/api-tokens", {"name": "narrow", "scopes": ["status:read"], "ttl_s": 600})
    narrow = {**own_palisade.environment(), "PALISADE_TOKEN": made["secret"]}
    own_palisade.login()
    text = run(binary("palisade"), "top", "--once", env=narrow).stdout.decode()
    assert "devices: 0" in text and "respond:read" in text and "events:read" in text, text
    shown = json.loads(run(binary("palisade"), "top", "--once", "--json", env=narrow).stdout)
    assert "respond:read" in shown["cases"]["error"]
