"""paho-mqtt (Python) over mutual TLS: what an application uses of MQTT 5."""

import queue
import threading

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from palisade import HOST


class Client:
    """One paho client whose callbacks are queues."""

    def __init__(self, palisade, identity, client_id=None, version=paho.MQTTv5, clean=True, **connect):
        self.heard, self.answers, self.ended = queue.Queue(), queue.Queue(), queue.Queue()
        self.connected = threading.Event()
        options = {} if version == paho.MQTTv5 else {"clean_session": clean}
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id or identity.name,
                                protocol=version, reconnect_on_failure=False, **options)
        self.paho.tls_set(ca_certs=identity.ca, certfile=identity.certificate, keyfile=identity.key)
        self.paho.on_message = lambda client, data, message: self.heard.put(message)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = lambda client, data, flags, reason, values: self.ended.put(reason)
        self.paho.on_subscribe = lambda client, data, number, reasons, values: self.answers.put(reasons)
        self.paho.on_publish = lambda client, data, number, reason, values: self.answers.put(reason)
        if version == paho.MQTTv5:
            connect = {"clean_start": clean, "properties": properties(PacketTypes.CONNECT, **connect)}
        self.paho.connect(HOST, palisade.mqtt, **connect)
        self.paho.loop_start()
        assert self.connected.wait(10), "no CONNACK"

    def _on_connect(self, client, data, flags, reason, values):
        self.flags, self.reason, self.values = flags, reason, values
        self.connected.set()

    def subscribe(self, topic, options=None, **values):
        options = options or SubscribeOptions(qos=2)
        self.paho.subscribe(topic, options=options, properties=properties(PacketTypes.SUBSCRIBE, **values))
        return [reason.value for reason in self.answers.get(timeout=10)]

    def publish(self, topic, payload=b"", qos=1, retain=False, **values):
        self.paho.publish(topic, payload, qos, retain, properties(PacketTypes.PUBLISH, **values))
        return self.answers.get(timeout=10).value

    def message(self):
        return self.heard.get(timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.paho.disconnect()
        self.paho.loop_stop()


def properties(kind, **values):
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.fixture(scope="module")
def device(fleet):
    return fleet.device()


@pytest.fixture(scope="module")
def backend(fleet):
    return fleet.service("devices/#", "work/#")


@pytest.fixture()
def place(device, topic):
    """A topic that is the device's own and no other test's."""
    return f"devices/{device.name}/{topic}"


def test_properties_travel_with_the_message(palisade, device, place):
    with Client(palisade, device) as client:
        assert client.subscribe(place, SubscriptionIdentifier=9) == [2]
        client.publish(place, b"{}", 2, UserProperty=[("a", "1"), ("b", "2")], ContentType="application/json",
                       PayloadFormatIndicator=1, MessageExpiryInterval=100)
        got = client.message()
        assert got.properties.UserProperty == [("a", "1"), ("b", "2")]
        assert got.properties.ContentType == "application/json"
        assert got.properties.SubscriptionIdentifier == [9]
        assert 0 < got.properties.MessageExpiryInterval <= 100


def test_a_request_is_answered(palisade, device, backend, place):
    with Client(palisade, device) as server, Client(palisade, backend) as asker:
        server.subscribe(f"{place}/request")
        asker.subscribe(f"{place}/response")
        asker.publish(f"{place}/request", b"?", ResponseTopic=f"{place}/response", CorrelationData=b"\0\1")
        request = server.message().properties
        server.publish(request.ResponseTopic, b"!", CorrelationData=request.CorrelationData)
        assert asker.message().properties.CorrelationData == b"\0\1"


def test_shared_subscriptions_share_the_work(palisade, backend):
    with (Client(palisade, backend, f"{backend.name}:1") as one, Client(palisade, backend, f"{backend.name}:2") as two,
          Client(palisade, backend, f"{backend.name}:3") as publisher):
        for worker in (one, two):
            assert worker.subscribe("$share/workers/work/paho") == [2]
        for n in range(20):
            publisher.publish("work/paho", str(n))
        heard = []
        while len(heard) < 20:
            for worker in (one, two):
                while not worker.heard.empty():
                    heard.append(int(worker.heard.get().payload))
        assert sorted(heard) == list(range(20))


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5"])
def test_a_session_resumes_with_what_waited(palisade, device, backend, place, version):
    keep = {"SessionExpiryInterval": 300} if version == paho.MQTTv5 else {}
    name = f"{device.name}:resume{version}"
    with Client(palisade, device, name, version, clean=False, **keep) as client:
        client.paho.subscribe(place, 1)
        client.answers.get(timeout=10)
    with Client(palisade, backend) as publisher:
        for n in range(10):
            publisher.publish(place, str(n))
    with Client(palisade, device, name, version, clean=False, **keep) as client:
        assert client.flags.session_present
        assert [client.message().payload for _ in range(10)] == [str(n).encode() for n in range(10)]


def test_a_large_burst_of_each_qos_arrives_in_order(palisade, device, backend, place):
    with Client(palisade, device) as client, Client(palisade, backend) as publisher:
        client.subscribe(place)
        for n in range(300):
            publisher.paho.publish(place, str(n), 1 + n % 2)
        heard = [int(client.message().payload) for _ in range(300)]
        for qos in (0, 1):
            assert [n for n in heard if n % 2 == qos] == list(range(qos, 300, 2))


def test_what_is_denied_says_not_authorized(palisade, device):
    with Client(palisade, device) as client:
        assert client.subscribe("#") == [0x87]
        assert client.publish("devices/another/x") == 0x87
    

def test_the_server_says_why_it_closes(palisade, fleet):
    device = fleet.device()
    with Client(palisade, device) as client:
        palisade.post(f"/devices/{device.name}/quarantine", {"reason": "test"})
        assert client.ended.get(timeout=2).value == 0x87


def test_a_will_of_a_quarantined_device_is_not_sent(palisade, fleet, backend):
    device = fleet.device()
    will = f"devices/{device.name}/will"
    with Client(palisade, backend, f"{backend.name}:will") as watcher:
        watcher.subscribe(will)
        made = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=device.name, protocol=paho.MQTTv5,
                           reconnect_on_failure=False)
        made.tls_set(ca_certs=device.ca, certfile=device.certificate, keyfile=device.key)
        made.will_set(will, b"gone", 1)
        closed, opened = threading.Event(), threading.Event()
        made.on_connect = lambda *_: opened.set()
        made.on_disconnect = lambda *_: closed.set()
        made.connect(HOST, palisade.mqtt)
        made.loop_start()
        assert opened.wait(10)
        palisade.post(f"/devices/{device.name}/quarantine", {"reason": "test"})
        assert closed.wait(5)
        made.loop_stop()
        watcher.publish(will, b"end")
        assert watcher.message().payload == b"end"
