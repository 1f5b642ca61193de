"""mosquitto_pub and mosquitto_sub over mutual TLS: what a device may do, and what it may not."""

import pytest

import mosquitto
from palisade import run

VERSIONS = pytest.mark.parametrize("version", ["mqttv311", "5"])


@pytest.fixture(scope="module")
def backend(fleet):
    """An application that hears all devices and may tell them."""
    return fleet.service("devices/#", "fleet/#")


@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_device_speaks_and_the_application_hears_it(palisade, fleet, backend, version, qos):
    device = fleet.device()
    topic = f"devices/{device.name}/telemetry"
    with mosquitto.Subscriber(palisade, backend, topic, version=version, client_id=f"{backend.name}:{device.name}") as heard:
        mosquitto.publish(palisade, device, topic, "21.5", "-q", qos, version=version)
        assert heard.message() == (topic, "21.5", qos, False)


@VERSIONS
def test_the_application_speaks_and_every_device_hears_it(palisade, fleet, backend, version):
    product = fleet.product()
    devices = [fleet.device(product) for _ in range(2)]
    subscribers = [mosquitto.Subscriber(palisade, device, "fleet/+", version=version) for device in devices]
    with subscribers[0], subscribers[1]:
        mosquitto.publish(palisade, backend, "fleet/news", "hello", "-q", "1", version=version)
        for subscriber in subscribers:
            assert subscriber.message() == ("fleet/news", "hello", 1, False)


@VERSIONS
def test_a_retained_message_waits_for_the_next_subscriber(palisade, fleet, version):
    device = fleet.device()
    topic = f"devices/{device.name}/state"
    mosquitto.publish(palisade, device, topic, "on", "-q", "1", "-r", version=version)
    with mosquitto.Subscriber(palisade, device, topic, version=version) as heard:
        assert heard.message() == (topic, "on", 1, True)


@VERSIONS
def test_a_killed_device_leaves_its_will(palisade, fleet, backend, version):
    device = fleet.device()
    will = f"devices/{device.name}/gone"
    with mosquitto.Subscriber(palisade, backend, will, client_id=f"{backend.name}:{will.replace('/', '-')}") as heard:
        with mosquitto.Subscriber(palisade, device, f"devices/{device.name}/x", version=version, options=[
                "--will-topic", will, "--will-payload", "lost", "--will-qos", "1"]):
            pass
        assert heard.message() == (will, "lost", 1, False)


def test_a_publish_to_the_topic_of_another_device_is_denied_and_not_delivered(palisade, fleet, backend):
    product = fleet.product()
    device, other = fleet.device(product), fleet.device(product)
    topic = f"devices/{other.name}/telemetry"
    with mosquitto.Subscriber(palisade, backend, topic, client_id=f"{backend.name}:{other.name}") as heard:
        denied = mosquitto.publish(palisade, device, topic, "forged", "-q", "1", "-d", check=False)
        assert b"Not authorized" in denied.stderr + denied.stdout, denied
        mosquitto.publish(palisade, other, topic, "true", "-q", "1")
        assert heard.message()[1] == "true"


@pytest.mark.parametrize("topic_filter", ["#", "+/+/telemetry", "devices/#", "devices/+/telemetry", "$share/all/#"])
@VERSIONS
def test_a_subscription_wider_than_the_grant_is_denied(palisade, fleet, version, topic_filter):
    device = fleet.device()
    subscriber = mosquitto.Subscriber(palisade, device, topic_filter, version=version)
    try:
        subscriber.wait_ended()
    finally:
        subscriber.end()
    assert any("denied" in line.lower() or "not authorized" in line.lower() for line in subscriber.log), subscriber.log


@pytest.mark.parametrize("client_id", ["someone-else", "other:1", "#", "a+b", "{device}x"])
def test_a_client_id_that_is_not_the_certificates_is_refused(palisade, fleet, client_id):
    device = fleet.device()
    client_id = client_id.replace("{device}", device.name)
    for version in ("mqttv311", "5"):
        refused = mosquitto.publish(palisade, device, f"devices/{device.name}/x", "x",
                                    version=version, client_id=client_id, check=False)
        assert refused.returncode != 0, refused


def test_a_device_may_have_several_sessions_by_a_suffix(palisade, fleet):
    device = fleet.device()
    topic = f"devices/{device.name}/x"
    with mosquitto.Subscriber(palisade, device, topic, client_id=f"{device.name}:reader") as heard:
        mosquitto.publish(palisade, device, topic, "hi", client_id=f"{device.name}:writer")
        assert heard.message()[1] == "hi"


def test_a_will_on_a_foreign_topic_is_refused_at_connect(palisade, fleet):
    device = fleet.device()
    refused = mosquitto.publish(palisade, device, f"devices/{device.name}/x", "x", "--will-topic",
                                "devices/another/gone", "--will-payload", "x", check=False)
    assert refused.returncode != 0, refused


def test_without_a_client_certificate_no_one_connects(palisade):
    refused = run("mosquitto_pub", "-h", "localhost", "-p", palisade.mqtt, "--cafile", palisade.ca,
                  "-t", "x", "-m", "x", check=False)
    assert refused.returncode != 0


def test_a_certificate_of_another_ca_with_the_same_names_is_refused(palisade, fleet):
    device = fleet.device()
    forged = fleet.forge(device)
    refused = mosquitto.publish(palisade, forged, f"devices/{device.name}/x", "x", check=False)
    assert refused.returncode != 0
    mosquitto.publish(palisade, device, f"devices/{device.name}/x", "x", "-q", "1")
