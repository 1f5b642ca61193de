"""What the standard asks of a server in MQTT 5 alone, on a socket of our own."""

import time

import pytest

from wire import CONNACK, DISCONNECT, PUBACK, PUBCOMP, Client, Closed, Silent

NO_LOCAL, AS_PUBLISHED = 0x04, 0x08
RETAIN_IF_NEW, RETAIN_NEVER = 0x10, 0x20


@pytest.fixture()
def connect(broker):
    clients = []

    def one(client_id="", **options):
        clients.append(Client(broker, client_id, **options))
        return clients[-1]

    yield one
    for client in clients:
        client.drop()


def nothing_before(client, end):
    """Publishes to `end`, which the client hears, and returns what came before it."""
    client.publish(end, b"", 1)
    return client.messages_until(end)


# --- session ---

def test_a_session_without_expiry_ends_with_its_connection(connect, topic):
    connect(topic, session_expiry=0).disconnect()
    assert not connect(topic, clean=False).connack.session_present


def test_a_session_lives_until_its_expiry_and_no_longer(connect, topic):
    connect(topic, session_expiry=300).disconnect()
    back = connect(topic, clean=False, session_expiry=1)
    assert back.connack.session_present
    back.disconnect()
    with pytest.raises(Silent):
        connect().read(timeout=2)
    assert not connect(topic, clean=False).connack.session_present


def test_disconnect_may_change_the_session_expiry(connect, topic):
    connect(topic, session_expiry=1).disconnect(session_expiry=300)
    with pytest.raises(Silent):
        connect().read(timeout=1.5)
    back = connect(topic, clean=False, session_expiry=300)
    assert back.connack.session_present
    back.disconnect(session_expiry=0)
    assert not connect(topic, clean=False).connack.session_present


def test_disconnect_may_not_bring_an_expiry_where_connect_had_none(connect):
    client = connect()
    client.send(b"\xe0\x07\x00\x05\x11\x00\x00\x01\x00")
    assert [(p.kind, p.code) for p in client.wait_closed()] in ([(DISCONNECT, 0x82)], [])


def test_a_client_without_a_name_is_told_the_one_it_got(connect):
    first, second = (connect().connack.properties["assigned_client_id"] for _ in range(2))
    assert first and second and first != second


def test_a_client_that_asks_for_a_longer_keep_alive_is_told_the_servers(connect, is_palisade):
    if not is_palisade:
        pytest.skip("needs max_keep_alive_s = 60")
    for asked in (120, 0):
        assert connect(keep_alive=asked).connack.properties["server_keep_alive"] == 60
    assert "server_keep_alive" not in connect(keep_alive=30).connack.properties


# --- will ---

def test_a_will_carries_its_properties(connect, topic):
    watcher = connect()
    watcher.subscribe(topic)
    will = {"user": [("a", "2"), ("c", "3")], "content_type": "text/plain", "payload_format": 1,
            "response_topic": "back", "correlation_data": b"7"}
    connect(will={"topic": topic, "payload": b"gone", "properties": will}).drop()
    assert watcher.message().properties == will


def test_a_will_waits_for_its_delay(connect, topic):
    watcher = connect()
    watcher.subscribe(topic)
    device = connect(topic, session_expiry=300, will={
        "topic": topic, "payload": b"gone", "properties": {"will_delay": 1}})
    device.drop()
    began = time.monotonic()
    assert watcher.message().payload == b"gone"
    assert 0.8 < time.monotonic() - began < 4


def test_the_end_of_the_session_cuts_the_delay_of_the_will_short(connect, topic):
    watcher = connect()
    watcher.subscribe(topic)
    connect(topic, session_expiry=1, will={
        "topic": topic, "payload": b"gone", "properties": {"will_delay": 60}}).drop()
    assert watcher.message(timeout=5).payload == b"gone"


def test_a_will_is_not_sent_when_the_client_is_back_within_its_delay(connect, topic):
    watcher = connect()
    watcher.subscribe(f"{topic}/#")
    will = {"topic": f"{topic}/will", "payload": b"gone", "properties": {"will_delay": 1}}
    connect(topic, session_expiry=300, will=will).drop()
    connect(topic, clean=False, session_expiry=300)
    with pytest.raises(Silent):
        watcher.message(timeout=2)


def test_disconnect_with_will_sends_the_will(connect, topic):
    watcher = connect()
    watcher.subscribe(topic)
    connect(will={"topic": topic, "payload": b"said"}).disconnect(code=4)
    assert watcher.message().payload == b"said"


# --- properties of messages ---

def test_the_properties_of_a_message_reach_the_subscriber_unchanged(connect, topic):
    client = connect()
    client.subscribe(topic)
    sent = {"user": [("a", "2"), ("c", "3"), ("a", "4")], "payload_format": 1, "content_type": "My name",
            "response_topic": "back/here", "correlation_data": b"\0\1\2"}
    for qos in (0, 1, 2):
        client.publish(topic, b"text", qos, **sent)
        got = client.message()
        assert (got.qos, got.properties) == (qos, sent)


def test_a_retained_message_keeps_its_properties(connect, topic):
    client = connect()
    client.publish(topic, b"kept", 1, retain=True, user=[("a", "2"), ("c", "3")])
    client.subscribe(topic)
    assert client.message().properties["user"] == [("a", "2"), ("c", "3")]
    client.publish(topic, b"", 1, retain=True)


def test_an_expired_message_is_not_delivered_and_a_younger_one_says_what_is_left(connect, topic):
    away = connect(topic, session_expiry=300)
    away.subscribe(topic)
    away.disconnect()
    publisher = connect()
    for qos in (1, 2):
        publisher.publish(topic, b"short", qos, message_expiry=1)
        publisher.publish(topic, b"long", qos, message_expiry=60)
    with pytest.raises(Silent):
        publisher.read(timeout=1.5)
    back = connect(topic, clean=False)
    got = back.messages(2)
    assert [m.payload for m in got] == [b"long", b"long"]
    assert all(0 < m.properties["message_expiry"] < 60 for m in got)
    assert nothing_before(back, topic) == []


# --- subscription options ---

def test_no_local_keeps_own_messages_away(connect, topic):
    first, second = connect(), connect()
    for client in (first, second):
        client.subscribe((f"{topic}/a", 2 | NO_LOCAL), f"{topic}/end")
    first.publish(f"{topic}/a", b"from first", 1)
    assert second.message().payload == b"from first"
    assert nothing_before(first, f"{topic}/end") == []


def test_retain_as_published_keeps_the_flag(connect, topic):
    client = connect()
    client.subscribe((topic, 2 | AS_PUBLISHED))
    client.publish(topic, b"no", 1)
    client.publish(topic, b"yes", 1, retain=True)
    assert [m.retain for m in client.messages(2)] == [False, True]
    client.publish(topic, b"", 1, retain=True)


def test_retain_handling_says_when_retained_messages_come(connect, topic):
    client = connect()
    client.publish(f"{topic}/kept/a", b"kept", 1, retain=True)
    end = f"{topic}/end"
    for options, first, second in ((0, 1, 1), (RETAIN_IF_NEW, 1, 0), (RETAIN_NEVER, 0, 0)):
        subscriber = connect()
        subscriber.subscribe(end)
        for wanted in (first, second):
            subscriber.subscribe((f"{topic}/kept/+", 2 | options))
            assert len(nothing_before(subscriber, end)) == wanted, (options, wanted)
        subscriber.disconnect()
    client.publish(f"{topic}/kept/a", b"", 1, retain=True)


def test_each_message_names_the_subscriptions_that_it_matches(connect, topic):
    client = connect()
    client.subscribe(topic, subscription_id=2)
    client.subscribe(f"{topic}/#", subscription_id=268_435_455)
    client.publish(topic, b"", 1)
    client.publish(f"{topic}/end", b"", 1)
    got = client.messages_until(f"{topic}/end")
    assert sorted(n for m in got for n in m.properties["subscription_id"]) == [2, 268_435_455]


def test_a_subscription_id_of_0_is_a_protocol_error(connect, topic):
    client = connect()
    with pytest.raises(Closed):
        client.subscribe(topic, subscription_id=0)


def test_no_local_on_a_shared_subscription_is_a_protocol_error(connect, topic):
    client = connect()
    with pytest.raises(Closed):
        client.subscribe((f"$share/g/{topic}", 2 | NO_LOCAL))


def test_unsubscribe_says_whether_there_was_a_subscription(connect, topic):
    client = connect()
    client.subscribe(topic)
    assert client.unsubscribe(topic, topic + "/x").codes == [0x00, 0x11]


# --- request and response ---

def test_a_response_finds_its_way(connect, topic):
    asker, server = connect(), connect()
    asker.subscribe(f"{topic}/answers")
    server.subscribe(f"{topic}/questions")
    asker.publish(f"{topic}/questions", b"?", 1, response_topic=f"{topic}/answers", correlation_data=b"334")
    question = server.message().properties
    server.publish(question["response_topic"], b"!", 1, correlation_data=question["correlation_data"])
    answer = asker.message()
    assert (answer.payload, answer.properties["correlation_data"]) == (b"!", b"334")


# --- topic aliases ---

def test_an_alias_stands_for_its_topic_until_the_connection_ends(connect, topic):
    client = connect(topic, session_expiry=300)
    assert client.connack.properties["topic_alias_maximum"] > 0
    client.subscribe(topic)
    client.publish(topic, b"one", 1, topic_alias=1)
    client.publish("", b"two", 1, topic_alias=1)
    got = client.messages(2)
    assert [(m.topic, m.payload) for m in got] == [(topic, b"one"), (topic, b"two")]
    client.disconnect()
    again = connect(topic, clean=False)
    again.send_publish("", b"three", 1, topic_alias=1)
    again.wait_closed()


@pytest.mark.parametrize("alias", [0, 65535])
def test_an_alias_of_0_or_above_the_maximum_is_refused(connect, topic, alias):
    client = connect()
    assert client.connack.properties.get("topic_alias_maximum", 0) < 65535
    client.send_publish(topic, b"", 1, topic_alias=alias)
    last = client.wait_closed()[-1]
    assert (last.kind, last.code) == (DISCONNECT, 0x94)


def test_an_empty_topic_without_an_alias_is_a_protocol_error(connect):
    client = connect()
    client.send_publish("", b"", 1)
    assert client.wait_closed()[-1].code in (0x81, 0x82, 0x90, 0x94)


def test_the_server_uses_aliases_towards_a_client_that_takes_them(connect, topic, is_palisade):
    if not is_palisade:
        pytest.skip("a server need not")
    client = connect(topic_alias_maximum=1)
    client.subscribe(topic)
    for qos in (0, 1, 2):
        client.publish(topic, b"", qos)
    got = client.messages(3)
    assert [(m.topic, m.properties.get("topic_alias")) for m in got] == [(topic, 1), ("", 1), ("", 1)]


def test_the_server_uses_no_alias_towards_a_client_that_takes_none(connect, topic):
    for options in ({}, {"topic_alias_maximum": 0}):
        client = connect(**options)
        client.subscribe(topic)
        for qos in (0, 1, 2):
            client.publish(topic, b"", qos)
        assert all(m.topic == topic and "topic_alias" not in m.properties for m in client.messages(3))
        client.disconnect()


# --- flow control and size ---

def test_a_message_that_is_larger_than_the_client_takes_is_left_out(connect, topic):
    client, publisher = connect(maximum_packet_size=200), connect()
    client.subscribe(topic)
    for payload in (b"." * 40, b"." * 300, b"end"):
        publisher.publish(topic, payload, 1)
    assert [m.payload for m in client.messages(2)] == [b"." * 40, b"end"]


def test_no_more_messages_are_in_flight_than_the_client_takes(connect, topic):
    client = connect(receive_maximum=2, acknowledge=False)
    client.subscribe(topic)
    publisher = connect()
    for n in range(4):
        publisher.publish(topic, str(n), 1)
    first, second = client.messages(2)
    with pytest.raises(Silent):
        client.message(timeout=0.5)
    client.send_ack(PUBACK, first.packet_id)
    third = client.message()
    with pytest.raises(Silent):
        client.message(timeout=0.3)
    client.send_ack(PUBACK, second.packet_id)
    client.send_ack(PUBACK, third.packet_id)
    fourth = client.message()
    assert [m.payload for m in (first, second, third, fourth)] == [b"0", b"1", b"2", b"3"]


def test_a_client_that_has_more_in_flight_than_the_server_takes_is_disconnected(connect, topic):
    client = connect()
    limit = client.connack.properties.get("receive_maximum", 65535)
    for n in range(limit + 1):
        client.send_publish(topic, b"", 2)
    last = client.wait_closed()[-1]
    assert (last.kind, last.code) == (DISCONNECT, 0x93)


def test_a_packet_above_the_servers_maximum_is_refused(connect, topic, is_palisade):
    if not is_palisade:
        pytest.skip("needs a maximum packet size")
    client = connect()
    largest = client.connack.properties["maximum_packet_size"]
    client.send(b"\x30" + b"\xff\xff\xff\x7f")
    last = client.wait_closed()[-1]
    assert (last.kind, last.code) == (DISCONNECT, 0x95)
    assert largest < 268_435_455


# --- shared subscriptions ---

def test_a_shared_subscription_delivers_each_message_to_one_member(connect, topic):
    members = [connect() for _ in range(3)]
    for member in members:
        member.subscribe(f"$share/group/{topic}/work", f"{topic}/end")
    publisher = connect()
    for n in range(30):
        publisher.publish(f"{topic}/work", str(n), 1)
    publisher.publish(f"{topic}/end", b"", 1)
    shares = [member.messages_until(f"{topic}/end") for member in members]
    assert sorted(int(m.payload) for share in shares for m in share) == list(range(30))
    assert all(shares), "one member got nothing"


def test_two_groups_each_get_the_message(connect, topic):
    one, two = connect(), connect()
    one.subscribe(f"$share/one/{topic}")
    two.subscribe(f"$share/two/{topic}")
    connect().publish(topic, b"both", 1)
    assert [one.message().payload, two.message().payload] == [b"both", b"both"]


def test_retained_messages_do_not_come_to_a_shared_subscription(connect, topic):
    client = connect()
    client.publish(topic, b"kept", 1, retain=True)
    client.subscribe(f"$share/group/{topic}", f"{topic}/end")
    assert nothing_before(client, f"{topic}/end") == []
    client.publish(topic, b"", 1, retain=True)


@pytest.mark.parametrize("bad", ["$share/group", "$share//a", "$share/gr+up/a", "$share/group/"])
def test_a_shared_subscription_of_wrong_form_is_refused(connect, bad):
    client = connect()
    try:
        assert client.subscribe(bad).code >= 0x80
    except Closed:
        pass


# --- reason codes ---

def test_publish_to_nobody_says_so_or_success(connect, topic):
    assert connect().publish(topic + "/nobody", b"", 1) in (0x00, 0x10)


def test_a_publish_that_is_denied_is_answered_with_its_reason(connect, is_palisade):
    if not is_palisade:
        pytest.skip("needs a topic that is not granted")
    client = connect()
    for qos in (1, 2):
        assert client.publish("$not/granted", b"", qos) == 0x87
    client.publish("$not/granted", b"", 0)
    client.ping()


def test_an_unknown_packet_id_in_pubrel_is_answered_with_its_reason(connect):
    client = connect()
    client.send_ack(6, 4711)
    assert client.answer(PUBCOMP, 4711).code == 0x92


def test_auth_without_a_method_is_refused(connect):
    client = connect(open=False)
    client.send(client.connect_packet(auth_method="nothing"))
    answers = client.wait_closed()
    assert [(a.kind, a.code) for a in answers] == [(CONNACK, 0x8C)]


def test_a_property_that_is_sent_twice_is_a_protocol_error(connect):
    client = connect(open=False)
    good = client.connect_packet(session_expiry=1, receive_maximum=5)
    # The receive maximum again, in place of the session expiry.
    bad = good.replace(b"\x11\0\0\0\1\x21\0\5", b"\x21\0\5\x21\0\5\x01\0")
    assert bad != good
    client.send(bad)
    answers = client.wait_closed()
    assert not answers or answers[0].code in (0x81, 0x82)


def test_the_server_says_what_it_can(connect):
    properties = connect().connack.properties
    assert properties.get("maximum_qos", 2) == 2
    for feature in ("retain_available", "wildcard_available", "subscription_id_available", "shared_available"):
        assert properties.get(feature, 1) == 1
