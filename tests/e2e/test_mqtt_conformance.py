"""What the standard asks of a server in both versions of MQTT, on a socket of our own."""

import pytest

from wire import (CONNACK, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Client, Closed, Silent, packet)

KEEP = {4: {}, 5: {"session_expiry": 300}}


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def version(request):
    return request.param


@pytest.fixture()
def connect(broker, version):
    """Connects clients, and drops those that the test leaves open."""
    clients = []

    def one(client_id="", **options):
        clients.append(Client(broker, client_id, version=version, **options))
        return clients[-1]

    yield one
    for client in clients:
        client.drop()


def test_a_message_of_each_qos_comes_back_with_its_qos_and_payload(connect, topic):
    client = connect()
    client.subscribe(topic)
    for qos in (0, 1, 2):
        assert client.publish(topic, f"qos {qos}", qos) in (0, 0x10)
    got = client.messages(3)
    assert [(m.topic, m.payload, m.qos, m.retain) for m in got] == [
        (topic, b"qos 0", 0, False), (topic, b"qos 1", 1, False), (topic, b"qos 2", 2, False)]


def test_delivery_has_the_lower_of_both_qos(connect, topic):
    client = connect()
    for granted in (0, 1, 2):
        suback = client.subscribe((f"{topic}/{granted}", granted))
        assert suback.codes == [granted]
        for qos in (0, 1, 2):
            client.publish(f"{topic}/{granted}", b"", qos)
        assert [m.qos for m in client.messages(3)] == [min(granted, qos) for qos in (0, 1, 2)]


def test_a_second_connect_on_one_connection_ends_it(connect):
    client = connect()
    client.send(client.connect_packet())
    client.wait_closed()


def test_another_protocol_name_or_version_is_refused(connect):
    good = connect("x", open=False).connect_packet()
    for bad in (good.replace(b"MQTT", b"MQTA"), good.replace(b"MQTT\x04", b"MQTT\x09").replace(
            b"MQTT\x05", b"MQTT\x09")):
        client = connect(open=False)
        client.send(bad)
        for answer in client.wait_closed():
            assert answer.kind in (CONNACK, DISCONNECT) and answer.code != 0


def test_anything_before_connect_ends_the_connection(connect):
    for first in (packet(PUBLISH, 0, b"\0\1a"), packet(12), packet(8, 2, b"\0\1\0\1a\0")):
        client = connect(open=False)
        client.send(first)
        assert not [answer for answer in client.wait_closed() if answer.code == 0]


def test_retained_messages_come_to_a_new_subscription_and_an_empty_one_clears(connect, topic):
    client = connect()
    for qos in (0, 1, 2):
        client.publish(f"{topic}/{qos}", f"kept {qos}", qos, retain=True)
    client.subscribe(f"{topic}/+")
    kept = sorted((m.payload, m.qos, m.retain) for m in client.messages(3))
    assert kept == [(b"kept 0", 0, True), (b"kept 1", 1, True), (b"kept 2", 2, True)]
    for qos in (0, 1, 2):
        client.publish(f"{topic}/{qos}", b"", qos, retain=True)
    client.messages(3)
    other = connect()
    other.subscribe(f"{topic}/+")
    other.publish(f"{topic}/end", b"", 1)
    assert other.messages_until(f"{topic}/end") == []


def test_a_retained_message_is_live_to_those_who_subscribed_before(connect, topic):
    client = connect()
    client.subscribe(topic)
    client.publish(topic, b"live", 1, retain=True)
    assert client.message().retain is False
    client.publish(topic, b"", 1, retain=True)


def test_a_new_retained_message_takes_the_place_of_the_old_one(connect, topic):
    client = connect()
    for payload in (b"old", b"new"):
        client.publish(topic, payload, 1, retain=True)
    client.subscribe(topic)
    assert client.message().payload == b"new"
    client.publish(topic, b"", 1, retain=True)


def test_the_will_is_sent_when_the_connection_breaks(connect, topic):
    watcher = connect()
    watcher.subscribe(topic)
    connect(will={"topic": topic, "payload": b"gone", "qos": 1}).drop()
    will = watcher.message()
    assert (will.payload, will.qos, will.retain) == (b"gone", 1, False)


def test_a_retained_will_is_retained(connect, topic):
    watcher = connect()
    watcher.subscribe(topic)
    connect(will={"topic": topic, "payload": b"gone", "qos": 1, "retain": True}).drop()
    assert watcher.message().payload == b"gone"
    late = connect()
    late.subscribe(topic)
    assert late.message().retain is True
    late.publish(topic, b"", 1, retain=True)


def test_the_will_is_not_sent_after_disconnect(connect, topic):
    watcher = connect()
    watcher.subscribe(f"{topic}/#")
    connect(will={"topic": f"{topic}/will", "payload": b"gone"}).disconnect()
    watcher.publish(f"{topic}/end", b"", 1)
    assert watcher.messages_until(f"{topic}/end") == []


def test_silence_of_one_and_a_half_keep_alives_ends_the_connection_and_sends_the_will(connect, topic):
    watcher = connect()
    watcher.subscribe(topic)
    silent = connect(keep_alive=1, will={"topic": topic, "payload": b"silent"})
    assert watcher.message().payload == b"silent"
    silent.wait_closed()


def test_pings_keep_the_connection(connect):
    client = connect(keep_alive=1)
    for _ in range(3):
        with pytest.raises(Silent):
            client.read(timeout=0.8)
        client.ping()


def test_an_empty_client_id_gets_a_name(connect):
    connect("").ping()


def test_messages_for_a_client_that_is_away_wait_for_it(connect, topic, version):
    away = connect(topic, clean=True, **KEEP[version])
    away.disconnect()
    away = connect(topic, clean=False, **KEEP[version])
    away.subscribe(f"{topic}/+")
    away.disconnect()
    publisher = connect()
    for qos in (1, 2):
        publisher.publish(f"{topic}/{qos}", f"qos {qos}", qos)
    back = connect(topic, clean=False, **KEEP[version])
    assert back.connack.session_present
    assert [(m.payload, m.qos) for m in back.messages(2)] == [(b"qos 1", 1), (b"qos 2", 2)]
    back.unsubscribe(f"{topic}/+")


def test_a_clean_start_forgets_the_session(connect, topic, version):
    connect(topic, clean=False, **KEEP[version]).disconnect()
    assert connect(topic, clean=True).connack.session_present is False

def test_overlapping_subscriptions_deliver_the_message_with_the_highest_qos(connect, topic):
    client = connect()
    client.subscribe((f"{topic}/#", 1), (f"{topic}/+", 2))
    client.publish(f"{topic}/a", b"once", 2)
    client.publish(f"{topic}/end", b"", 0)
    got = client.messages_until(f"{topic}/end")
    assert len(got) in (1, 2)
    assert max(m.qos for m in got) == 2


def test_what_was_not_acknowledged_comes_again_in_order_with_dup(connect, topic, version):
    client = connect(topic, clean=False, acknowledge=False, **KEEP[version])
    client.subscribe(f"{topic}/+")
    client.publish(f"{topic}/1", b"one", 1)
    client.publish(f"{topic}/2", b"two", 2)
    first = client.messages(2)
    client.drop()
    again = connect(topic, clean=False, **KEEP[version])
    second = again.messages(2)
    assert [(m.payload, m.packet_id) for m in second] == [(m.payload, m.packet_id) for m in first]
    assert all(m.dup for m in second)
    assert again.ping()


def test_a_qos_2_message_that_was_received_is_released_and_not_sent_again(connect, topic, version):
    client = connect(topic, clean=False, acknowledge=False, **KEEP[version])
    client.subscribe(topic)
    client.publish(topic, b"once", 2)
    got = client.message()
    client.send_ack(PUBREC, got.packet_id)
    client.answer(PUBREL, got.packet_id)
    client.drop()
    again = connect(topic, clean=False, acknowledge=False, **KEEP[version])
    assert again.answer(PUBREL).packet_id == got.packet_id
    again.send_ack(PUBCOMP, got.packet_id)
    again.ping()
    assert not again.inbox


def test_a_qos_2_publish_that_is_sent_twice_is_delivered_once(connect, topic):
    client = connect()
    client.subscribe(f"{topic}/+")
    packet_id = client.send_publish(f"{topic}/a", b"once", 2)
    client.answer(PUBREC, packet_id)
    client.send_publish(f"{topic}/a", b"once", 2, dup=True, packet_id=packet_id)
    client.answer(PUBREC, packet_id)
    client.send_ack(PUBREL, packet_id)
    client.answer(PUBCOMP, packet_id)
    client.publish(f"{topic}/end", b"", 1)
    assert [m.payload for m in client.messages_until(f"{topic}/end")] == [b"once"]


def test_the_same_client_id_again_takes_the_session_over(connect, topic, version):
    first = connect(topic)
    second = connect(topic)
    before = first.wait_closed()
    if version == 5:
        assert [(p.kind, p.code) for p in before] == [(DISCONNECT, 0x8E)]
    second.ping()


def test_a_wildcard_at_the_front_does_not_match_dollar_topics(connect, topic):
    client = connect()
    client.subscribe("+/" + topic)
    client.publish("$x/" + topic, b"hidden", 1)
    client.publish("end/" + topic, b"", 1)
    assert client.messages_until("end/" + topic) == []


def test_after_unsubscribe_nothing_comes_and_the_rest_stays(connect, topic):
    client = connect()
    client.subscribe(*(f"{topic}/{n}" for n in range(3)))
    client.unsubscribe(f"{topic}/0")
    other = connect()
    for n in range(3):
        other.publish(f"{topic}/{n}", b"", 1)
    assert [m.topic for m in client.messages(2)] == [f"{topic}/1", f"{topic}/2"]


def test_a_subscription_that_is_not_allowed_fails_and_the_others_of_its_packet_do_not(connect, topic, is_palisade):
    if not is_palisade:
        pytest.skip("needs the policy that forbids test/nosubscribe")
    suback = connect().subscribe(("test/nosubscribe", 2), (topic, 1))
    assert suback.codes[0] >= 0x80
    assert suback.codes[1] == 1


def test_messages_of_one_publisher_stay_in_order(connect, topic):
    subscriber, publisher = connect(), connect()
    subscriber.subscribe(topic)
    for n in range(300):
        publisher.send_publish(topic, str(n), qos=1)
    assert [m.payload for m in subscriber.messages(300)] == [str(n).encode() for n in range(300)]
    for _ in range(300):
        publisher.answer(PUBACK)


def test_a_packet_id_is_free_again_after_its_exchange(connect, topic):
    client = connect()
    client.subscribe(topic)
    for n in range(3):
        packet_id = client.send_publish(topic, str(n), qos=1, packet_id=7)
        client.answer(PUBACK, packet_id)
    assert [m.payload for m in client.messages(3)] == [b"0", b"1", b"2"]


def test_a_large_message_arrives_whole(connect, topic):
    client, payload = connect(), bytes(range(256)) * 2000
    client.subscribe(topic)
    client.publish(topic, payload, 1)
    assert client.message().payload == payload


def test_topic_levels_may_be_empty_and_are_levels(connect, topic):
    client = connect()
    client.subscribe(f"{topic}/+/a")
    client.publish(f"{topic}/a", b"no", 1)
    client.publish(f"{topic}//a", b"yes", 1)
    assert client.message().topic == f"{topic}//a"


def test_a_hash_matches_the_level_above_it(connect, topic):
    client = connect()
    client.subscribe(f"{topic}/#")
    client.publish(topic, b"parent", 1)
    assert client.message().payload == b"parent"


def test_an_unknown_packet_id_in_an_acknowledgement_is_harmless(connect, version):
    client = connect()
    client.send_ack(PUBACK, 4711)
    client.send_ack(PUBCOMP, 4711)
    try:
        client.ping()
    except Closed:
        # A server may also take it for a protocol error.
        pass
