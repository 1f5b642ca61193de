"""Bad input on bare sockets: whatever comes, the server stays up and serves the next client."""

import pathlib
import random
import re

import pytest

from wire import (CONNACK, DISCONNECT, PINGREQ, PUBLISH, SUBACK, SUBSCRIBE, UNSUBSCRIBE, Client, Closed, Silent,
                  binary, packet, properties)


@pytest.fixture()
def connect(broker):
    clients = []

    def one(client_id="", **options):
        clients.append(Client(broker, client_id, **options))
        return clients[-1]

    yield one
    for client in clients:
        client.drop()


@pytest.fixture()
def witness(broker):
    """A good client that was there before and must be served after."""
    with Client(broker, "witness", keep_alive=0) as client:
        yield client
        client.ping()


def samples(version):
    """One good packet of each kind that a client may send, CONNECT first."""
    values = {"user": [("k", "v")], "content_type": "text/plain", "message_expiry": 60, "topic_alias": 1}
    head = properties({}) if version == 5 else b""
    connect = Client.__new__(Client)
    connect.version, connect.client_id = version, "mutant"
    yield connect.connect_packet(will={"topic": "w/t", "payload": b"w", "qos": 1,
                                       "properties": {"will_delay": 1, "content_type": "x"}},
                                 user="u", password="p", **({"session_expiry": 10, "receive_maximum": 5}))
    body = binary("mutant/t") + b"\0\7" + (properties(values) if version == 5 else b"") + b"payload"
    yield packet(PUBLISH, 2, body)
    yield packet(PUBLISH, 5, body)
    for kind in (4, 5, 7):
        yield packet(kind, 0, b"\0\7" + (b"\0" + properties({"reason": "r"}) if version == 5 else b""))
    yield packet(6, 2, b"\0\7")
    yield packet(SUBSCRIBE, 2, b"\0\1" + head + binary("mutant/#") + b"\1" + binary("$share/g/mutant/+") + b"\0")
    yield packet(UNSUBSCRIBE, 2, b"\0\2" + head + binary("mutant/#"))
    yield packet(PINGREQ)
    yield packet(DISCONNECT, 0, b"\0" + properties({"session_expiry": 0, "reason": "r"}) if version == 5 else b"")


def mutate(rng, data):
    """The packet with a few of its bytes changed, cut, doubled or put elsewhere."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data)) if data else 0
        act = rng.randrange(6)
        if act == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif act == 1 and data:
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif act == 2:
            del data[at:at + rng.randint(1, 4)]
        elif act == 3:
            data[at:at] = rng.randbytes(rng.randint(1, 4))
        elif act == 4:
            del data[at:]
        else:
            data += data[at:at + 8]
    return bytes(data)


def read_all(client, seconds):
    """Takes whatever the server says until it closes or falls silent."""
    try:
        while True:
            client.read(timeout=seconds)
    except (Closed, Silent):
        pass


@pytest.mark.parametrize("version", [4, 5])
def test_thousands_of_mutated_packets_leave_the_server_up(broker, witness, version):
    rng = random.Random(version)
    good = list(samples(version))
    for number in range(3000):
        with Client(broker, "mutant", version=version, open=False) as client:
            chosen = rng.choice(good)
            try:
                if chosen is not good[0]:
                    client.send(good[0])
                client.send(mutate(rng, chosen))
                if rng.random() < 0.05:
                    read_all(client, 0.05)
            except Closed:
                pass
        if number % 500 == 0:
            witness.ping()


@pytest.mark.parametrize("version", [4, 5])
def test_packets_cut_at_every_byte_leave_the_server_up(broker, witness, version):
    good = list(samples(version))
    for sample in good:
        for at in range(len(sample)):
            with Client(broker, "cut", version=version, open=False) as client:
                try:
                    if sample is not good[0]:
                        client.send(good[0])
                    client.send(sample[:at])
                except Closed:
                    pass
    witness.ping()


def test_a_packet_that_comes_byte_by_byte_is_read(connect, topic):
    client = connect(open=False)
    for byte in client.connect_packet():
        client.send(bytes([byte]))
    assert client.answer(CONNACK).code == 0
    client.subscribe(topic)
    for byte in packet(PUBLISH, 0, binary(topic) + properties({}) + b"slow"):
        client.send(bytes([byte]))
    assert client.message().payload == b"slow"


def test_many_packets_in_one_write_are_read(connect, topic):
    client = connect()
    client.subscribe(topic)
    client.send(b"".join(packet(PUBLISH, 0, binary(topic) + properties({}) + str(n).encode()) for n in range(200)))
    assert [m.payload for m in client.messages(200)] == [str(n).encode() for n in range(200)]


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"a\0b", b"\xf4\x90\x80\x80"],
                         ids=["ff", "bad-continuation", "surrogate", "nul", "beyond-unicode"])
def test_text_that_is_not_utf_8_is_refused(connect, witness, text):
    client = connect()
    client.send(packet(PUBLISH, 0, binary(text) + properties({}) + b"x"))
    assert [(p.kind, p.code) for p in client.wait_closed()] == [(DISCONNECT, 0x81)]
    client = connect()
    client.send(packet(SUBSCRIBE, 2, b"\0\1" + properties({}) + binary(text) + b"\0"))
    client.wait_closed()
    client = connect(open=False)
    client.client_id = text
    client.send(client.connect_packet())
    assert all(p.code != 0 for p in client.wait_closed())


@pytest.mark.parametrize("topic_filter", ["a#", "#/a", "a+/b", "+a", "a/#/b", "a/b#", "", "++", "#/#"])
def test_wildcards_in_odd_places_are_refused(connect, witness, topic_filter):
    client = connect()
    try:
        assert client.subscribe(topic_filter).code >= 0x80
    except Closed:
        pass


@pytest.mark.parametrize("name", ["a/+", "#", "a/#", "+"])
def test_wildcards_in_a_topic_to_publish_to_are_refused(connect, witness, name):
    client = connect()
    client.send_publish(name, b"", 1)
    try:
        assert client.read().code >= 0x80
    except Closed:
        pass


@pytest.mark.parametrize("levels", [128, 129, 1000, 30_000])
def test_deep_topics_are_served_or_refused(connect, witness, topic, levels):
    client, name = connect(), "/".join([topic] + [""] * (levels - 1))
    try:
        code = client.subscribe(name).code
        if code < 0x80:
            client.publish(name, b"deep", 1)
            assert client.message().payload == b"deep"
    except Closed:
        assert levels > 128


def test_a_million_topics_are_served_and_none_is_kept(plaintext, connect, witness):
    client, head = connect(timeout=120), properties({})
    before = resident(plaintext)
    for start in range(0, 1_000_000, 10_000):
        numbers = range(start, start + 10_000)
        client.send(b"".join(packet(PUBLISH, 0, binary(f"many/{n}/{n % 7}") + head + b"x") for n in numbers))
    client.ping()
    assert resident(plaintext) - before < 64 * 1024 * 1024


def resident(server):
    """The memory of a server that is resident, in bytes."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])


def test_a_packet_that_says_it_is_huge_is_refused_at_once(connect, witness):
    for first in (b"\x30\xff\xff\xff\x7f", b"\x82\xff\xff\xff\x7f", b"\x10\xff\xff\xff\x7f"):
        client = connect(open=first[0] != 0x10)
        client.send(first)
        client.wait_closed()


def test_a_length_that_never_ends_is_refused(connect, witness):
    client = connect()
    client.send(b"\x30\xff\xff\xff\xff\xff")
    client.wait_closed()


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 64,
                                   b"\xff" * 64, b"\x10\0", b"\xf0\0"])
def test_what_is_not_mqtt_is_refused(connect, witness, first):
    client = connect(open=False)
    client.send(first)
    read_all(client, 1)


def test_a_storm_of_the_same_client_id_ends_with_the_last_one(broker, witness):
    clients = [Client(broker, "twin") for _ in range(50)]
    clients[-1].ping()
    for client in clients[:-1]:
        client.wait_closed()


def test_unacknowledged_messages_do_not_grow_without_end(connect, witness, topic):
    """A subscriber that reads nothing costs what its queue may hold, and others are served."""
    deaf, publisher = connect(receive_maximum=1, acknowledge=False), connect()
    deaf.subscribe((topic, 1))
    for _ in range(2000):
        publisher.publish(topic, b"x" * 1000, 1)
    publisher.ping()


def test_suback_has_a_code_for_each_filter(connect, topic):
    suback = connect().subscribe(*((f"{topic}/{n}", n % 3) for n in range(50)))
    assert suback.kind == SUBACK and suback.codes == [n % 3 for n in range(50)]
