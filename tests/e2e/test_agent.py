"""palisade-agent: enrols, speaks, keeps what cannot be sent yet, and keeps its key to itself."""

import json
import pathlib
import subprocess
import tempfile

import pytest

import mosquitto
from fleet import Fleet
from palisade import HOST, binary, run, wait_for


class Agent:
    """One device's agent, with its state directory."""

    def __init__(self, palisade, fleet):
        self.palisade, self.name = palisade, fleet.register()
        # The agent's socket is in its state directory, and the path of a socket has at most 107 bytes.
        self.folder = tempfile.TemporaryDirectory(prefix="agent-")
        self.state = pathlib.Path(self.folder.name) / "state"
        self.secret = fleet.token(device=self.name)["secret"]
        self.process = None

    def command(self, *arguments, **options):
        return run(binary("palisade-agent"), "--state", self.state, *arguments, **options)

    def enrol(self, **options):
        return self.command(
            "enroll", "--server", f"https://{HOST}:{self.palisade.devices}", "--gateway",
            f"{HOST}:{self.palisade.mqtt}", "--root", self.palisade.ca, "--id", self.name, "--token-file", "-",
            input=self.secret.encode(), **options)

    def start(self):
        with open(self.state.parent / "agent.log", "ab") as log:
            self.process = subprocess.Popen([binary("palisade-agent"), "--state", str(self.state), "run"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for((self.state / "agent.sock").exists, "the agent answers")
        wait_for(lambda: (self.status()["connection"] or {}).get("connected"), "the agent is connected")

    def status(self):
        return json.loads(self.command("--json", "status").stdout)

    def publish(self, topic, payload, *options):
        return self.command("publish", topic, *options, input=payload)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                assert self.process.wait(10) == 0
            finally:
                self.process.kill()
        self.folder.cleanup()


@pytest.fixture()
def agent(palisade, fleet):
    agent = Agent(palisade, fleet)
    yield agent
    agent.stop()


@pytest.fixture(scope="module")
def backend(fleet):
    return fleet.service("devices/#")


def test_it_enrols_with_a_token_and_keeps_its_key_to_itself(palisade, agent):
    agent.enrol()
    assert palisade.get(f"/devices/{agent.name}")["posture"]["lifecycle"] == "active"
    for path in agent.state.rglob("*"):
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes():
            assert path.stat().st_mode & 0o077 == 0, path
    assert agent.enrol(check=False).returncode == 5, "it enrolled twice"


def test_a_spent_token_is_refused_with_a_reason(agent):
    agent.enrol()
    agent.state = agent.state.with_name("second")
    refused = agent.enrol(check=False)
    assert refused.returncode == 3 and b"token" in refused.stderr, refused


def test_what_it_publishes_arrives(palisade, agent, backend):
    agent.enrol()
    agent.start()
    topic = f"devices/{agent.name}/telemetry"
    with mosquitto.Subscriber(palisade, backend, topic, client_id=f"{backend.name}:{agent.name}") as heard:
        agent.publish(topic, b"21.5", "--wait")
        assert heard.message() == (topic, "21.5", 1, False)


def test_what_the_server_refuses_is_seen(agent):
    agent.enrol()
    agent.start()
    refused = agent.command("publish", "devices/another/telemetry", input=b"99", check=False)
    assert refused.returncode == 3 and b"refused" in refused.stderr and b"0x87" in refused.stderr, refused
    agent.publish("devices/another/telemetry", b"99", "--no-wait")
    wait_for(lambda: agent.status()["connection"]["refused"] == 2, "both are counted")
    assert b"2 refused by the server" in agent.command("status").stdout
    log = agent.state.parent / "agent.log"
    wait_for(lambda: log.read_text().count("refused a message") == 2, "both are in the log")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_printed(shell):
    assert b"palisade-agent" in run(binary("palisade-agent"), "completions", shell).stdout


def test_what_is_published_while_it_is_not_running_waits_and_arrives_in_order(palisade, agent, backend):
    agent.enrol()
    topic = f"devices/{agent.name}/telemetry"
    for n in range(5):
        agent.publish(topic, str(n).encode())
    assert agent.status()["queue"]["messages"] == 5
    with mosquitto.Subscriber(palisade, backend, topic, client_id=f"{backend.name}:{agent.name}") as heard:
        agent.start()
        assert [payload for _, payload, _, _ in heard.messages(5)] == ["0", "1", "2", "3", "4"]


def test_it_reports_facts_of_its_device(palisade, agent):
    agent.enrol()
    agent.start()
    report = wait_for(lambda: palisade.events(kind="agent_report", principal=f"device/{agent.name}"), "a report")
    assert report[0]["version"] and report[0]["facts"]


def test_it_comes_back_after_a_restart_of_the_server(own_palisade):
    agent = Agent(own_palisade, Fleet(own_palisade))
    agent.enrol()
    agent.start()
    try:
        own_palisade.stop()
        agent.publish(f"devices/{agent.name}/x", b"queued")
        own_palisade.start()
        wait_for(lambda: agent.status()["queue"]["messages"] == 0, "the queue is empty again", 60)
    finally:
        agent.stop()
