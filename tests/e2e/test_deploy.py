"""What deploy/ ships is read by the programs that it is for."""

import json
import pathlib
import re
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

from palisade import Palisade, binary, run, wait_for

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "palisade"
HELM = pathlib.Path(sys.executable).parent / "helm"
# Of Kubernetes; the oldest that the chart takes, and a new one.
VERSIONS = ("1.27", "1.35")
# What systemd-analyze gives at most: 0 is shut off from everything, 10 from nothing.
MAX_EXPOSURE = 1.2


def unit(tmp_path):
    """The unit, with a program that is here: systemd looks whether it can be started."""
    copy = tmp_path / "palisade.service"
    text = (DEPLOY / "palisade.service").read_text()
    copy.write_text(text.replace("/usr/local/bin/palisade", binary("palisade")))
    return copy


def test_systemd_reads_the_unit_without_a_word_and_finds_little_exposed(tmp_path):
    verified = run("systemd-analyze", "verify", "--man=no", unit(tmp_path), check=False)
    assert verified.returncode == 0 and verified.stderr == b"", verified
    judged = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit(tmp_path)).stdout.decode()
    exposure = float(re.search(r"exposure level for palisade.service: ([\d.]+)", judged)[1])
    assert exposure <= MAX_EXPOSURE, judged


def test_the_unit_gives_a_drain_its_time():
    text = (DEPLOY / "palisade.service").read_text()
    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) >= 45


def render(tmp_path, **values):
    """The chart with these values, as Kubernetes gets it."""
    chosen = tmp_path / "values.yaml"
    chosen.write_text(yaml.safe_dump(values))
    text = run(HELM, "template", "fleet", CHART, "--namespace", "iot", "-f", chosen).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def one(documents, kind, name="fleet"):
    found = [each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, (kind, [each["metadata"]["name"] for each in documents])
    return found[0]


FULL = {
    "config": {
        "identity": {"trust_domain": "fleet.example", "server_names": ["palisade.fleet.example"]},
        "gateway": {"proxy_protocol_from": ["10.0.0.0/8"], "drain_to": "mqtt-2.fleet.example:8883",
                    "device": {"messages_per_second": 50}},
        "log": {"level": "debug"}, "telemetry": {"sample_ratio": 0.25},
        "exports": {"archive": {"kind": "file", "path": "/var/lib/palisade/archive"}},
    },
    "drain": {"noticeSeconds": 7, "spreadSeconds": 90},
    "persistence": {"size": "5Gi", "storageClass": "fast", "accessModes": ["ReadWriteOncePod"]},
    "service": {"type": "ClusterIP", "annotations": {"example.com/x": "seen"},
                "ports": {"mqtt": 8883, "devices": 8444, "people": 443}},
    "metrics": {"enabled": True},
    "networkPolicy": {"enabled": True, "peopleFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
                      "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
                      "egress": [{"to": [{"ipBlock": {"cidr": "198.51.100.7/32"}}], "ports": [{"port": 6514}]}]},
    "imagePullSecrets": [{"name": "registry"}], "tolerations": [{"key": "iot", "operator": "Exists"}],
    "nodeSelector": {"disk": "ssd"}, "podLabels": {"team": "iot"}, "podAnnotations": {"note": "seen"},
    "affinity": {"nodeAffinity": {}}, "extraEnv": [{"name": "TZ", "value": "UTC"}],
}


def test_helm_lints_the_chart_strictly():
    run(HELM, "lint", "--strict", CHART)


@pytest.mark.parametrize("values", [{}, FULL], ids=["defaults", "everything"])
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_what_the_chart_renders(tmp_path, values, version):
    documents = render(tmp_path, **values)
    assert {each["kind"] for each in documents} == {
        "ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount", "StatefulSet"}
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("values", [{}, FULL], ids=["defaults", "everything"])
def test_palisade_takes_the_configuration_that_the_chart_renders(tmp_path, values):
    documents = render(tmp_path, **values)
    config = tmp_path / "palisade.toml"
    config.write_text(one(documents, "ConfigMap")["data"]["palisade.toml"])
    run(binary("palisade"), "config", "check", "--config", config)
    shown = run(binary("palisade"), "config", "show", "--config", config).stdout.decode()
    drain = values.get("drain", {"noticeSeconds": 5, "spreadSeconds": 20})
    assert f"drain_notice_s = {drain['noticeSeconds']}\n" in shown and f"drain_spread_s = {drain['spreadSeconds']}\n" in shown
    assert 'credential = "palisade.key"' in shown
    if values:
        assert "messages_per_second = 50\n" in shown and "sample_ratio = 0.25\n" in shown and "/var/lib/palisade/archive" in shown
        assert 'proxy_protocol_from = ["10.0.0.0/8"]' in shown
    listen = '"0.0.0.0:9464"' if values else '"127.0.0.1:9464"'
    assert f"listen = [{listen}]" in shown, "operators stay on loopback unless metrics are wanted"


def test_the_pod_may_nothing_that_it_does_not_need_and_has_its_time_to_drain(tmp_path):
    documents = render(tmp_path, **FULL)
    pod = one(documents, "StatefulSet")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 7 + 90 + 45
    assert pod["automountServiceAccountToken"] is False and "hostNetwork" not in pod
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    container = pod["containers"][0]["securityContext"]
    assert container == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                         "capabilities": {"drop": ["ALL"]}}
    policy = one(documents, "NetworkPolicy")["spec"]
    ports = {port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]}
    assert ports["mqtt"] is None and ports["people"] and ports["metrics"] and len(policy["egress"]) == 2
    secret = next(volume["secret"] for volume in pod["volumes"] if volume["name"] == "key")
    assert secret["secretName"] == "palisade-key" and secret["defaultMode"] == 0o440
    without = one(render(tmp_path), "NetworkPolicy")["spec"]["ingress"]
    assert "metrics" not in {port["port"] for rule in without for port in rule["ports"]}


@pytest.mark.parametrize("values", [
    {"replicas": 3}, {"drain": {"noticeSeconds": -1, "spreadSeconds": 0}}, {"config": {"keys": {"file": "x"}}},
    {"service": {"type": "Magic", "ports": {"mqtt": 1, "devices": 2, "people": 3}}}, {"keySecret": ""},
    {"podDisruptionBudget": {"maxUnavailable": 2}},
], ids=json.dumps)
def test_values_that_cannot_work_are_refused(tmp_path, values):
    chosen = tmp_path / "values.yaml"
    chosen.write_text(yaml.safe_dump(values))
    refused = run(HELM, "template", "fleet", CHART, "-f", chosen, check=False)
    assert refused.returncode != 0 and b"schema" in refused.stderr, refused


def test_a_server_starts_with_what_pod_and_container_give_it(tmp_path):
    """The configuration of the chart, its key, its command: without a cluster, but with the real program."""
    documents = render(tmp_path)
    container = one(documents, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    server = Palisade(tmp_path / "server")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "palisade.key").write_bytes(bytes(range(32)))
    (credentials / "palisade.key").chmod(0o440)
    config = tmp_path / "palisade.toml"
    config.write_text(one(documents, "ConfigMap")["data"]["palisade.toml"])
    places = {"/var/lib/palisade/data": str(server.data), "/etc/palisade/palisade.toml": str(config)}
    arguments = [places.get(one, one) for one in container["args"]]
    environment = {**server.environment(), "CREDENTIALS_DIRECTORY": str(credentials),
                   "PALISADE_OPERATORS__DRAIN_NOTICE_S": "0", "PALISADE_GATEWAY__DRAIN_SPREAD_S": "0"}
    with open(server.root / "serve.log", "wb") as log:
        server.process = subprocess.Popen([binary("palisade"), *arguments], env=environment, stdout=log, stderr=log,
                                          stdin=subprocess.DEVNULL)
    probe = container["readinessProbe"]["exec"]["command"]
    assert container["livenessProbe"]["exec"]["command"] == [*probe, "--live"] and probe[0] == "palisade"

    def ready(*more):
        return run(binary("palisade"), *probe[1:], *more, "--address", f"127.0.0.1:{server.operators}", check=False)

    try:
        wait_for(lambda: ready("--live").returncode == 0, "it lives", 60)
        wait_for(lambda: ready().returncode == 0, "it is ready", 60)
        assert json.loads(ready("--json").stdout)["ready"] is True
        assert not (server.data / "key-encryption.key").exists(), "the key is the secret's"
        server.stop()
        gone = ready()
        assert gone.returncode == 5 and b"cannot be reached" in gone.stderr, gone
    finally:
        if server.process.poll() is None:
            server.kill()


def test_the_container_file_runs_as_nobody_and_asks_the_real_probe():
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    stage = [line.split(" ", 1) for line in lines[last:] if line and not line.startswith("#")]
    by_word = {word: rest for word, rest in stage}
    assert by_word["USER"] == "65532:65532" and "nonroot" in by_word["FROM"]
    probe = json.loads(by_word["HEALTHCHECK"][by_word["HEALTHCHECK"].index("["):])
    assert run(binary("palisade"), *probe[1:], "--help").returncode == 0
    for line in lines:
        copied = re.match(r"COPY (?!--from)(.+) \S+$", line)
        for source in copied[1].split() if copied else ():
            assert (DEPLOY.parent / source).exists(), line


def test_compose_is_read_and_says_what_the_container_needs():
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["palisade"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["user"] == "65532:65532"
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()


def test_haproxy_reads_its_configuration():
    run("haproxy", "-c", "-f", DEPLOY / "haproxy.cfg")
