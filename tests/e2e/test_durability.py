"""What was acknowledged is there after a power cut."""

import threading

import pytest

from fleet import Fleet
from palisade import Palisade, binary, run, wait_for
from wire import Client, Closed


@pytest.fixture()
def server(tmp_path):
    with Palisade(tmp_path, plaintext=True).running() as server:
        yield server


def address(server):
    return "127.0.0.1", server.plaintext


def test_every_acknowledged_message_arrives_after_kill_9_under_load(server):
    subscriber = Client(address(server), "keeper", session_expiry=3000)
    subscriber.subscribe("load/#")
    subscriber.disconnect()
    acknowledged, failures = [set() for _ in range(4)], []

    def load(number):
        try:
            client = Client(address(server), f"load-{number}")
            for n in range(100_000):
                if client.publish(f"load/{number}", str(n), 1) < 0x80:
                    acknowledged[number].add(n)
        except Closed:
            return
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: sum(map(len, acknowledged)) > 400, f"messages are acknowledged {failures}")
    server.kill()
    for thread in threads:
        thread.join()
    assert not failures
    server.start()
    back = Client(address(server), "keeper", clean=False, session_expiry=3000)
    assert back.connack.session_present
    back.publish("load/end", b"", 1)
    heard = [[] for _ in range(4)]
    for message in back.messages_until("load/end"):
        heard[int(message.topic.removeprefix("load/"))].append(int(message.payload))
    for number in range(4):
        missing = acknowledged[number] - set(heard[number])
        assert not missing, f"{len(missing)} of {len(acknowledged[number])} acknowledged messages are lost"
        assert heard[number] == sorted(set(heard[number])), "out of order, or delivered twice"


def test_retained_messages_and_sessions_survive_kill_9(server):
    client = Client(address(server), "away", session_expiry=3000)
    client.subscribe(("away/#", 1), ("other/+", 2), subscription_id=7)
    client.publish("kept/a", b"kept", 1, retain=True, user=[("k", "v")])
    client.disconnect()
    publisher = Client(address(server))
    for n in range(50):
        publisher.publish("away/x", str(n), 2, correlation_data=b"c")
    server.kill()
    server.start()
    back = Client(address(server), "away", clean=False, session_expiry=3000)
    assert back.connack.session_present
    queued = back.messages(50)
    assert [(m.payload, m.qos) for m in queued] == [(str(n).encode(), 1) for n in range(50)]
    assert queued[0].properties == {"correlation_data": b"c", "subscription_id": [7]}
    back.publish("other/live", b"live", 2)
    assert back.message().payload == b"live"
    back.subscribe("kept/+")
    kept = back.message()
    assert (kept.payload, kept.retain, kept.properties["user"]) == (b"kept", True, [("k", "v")])


def test_a_qos_2_exchange_goes_on_after_kill_9_and_delivers_once(server):
    subscriber = Client(address(server), "once", session_expiry=3000)
    subscriber.subscribe("once/#")
    subscriber.disconnect()
    publisher = Client(address(server), "sender", session_expiry=3000)
    packet_id = publisher.send_publish("once/a", b"once", 2)
    publisher.answer(5, packet_id)
    server.kill()
    server.start()
    again = Client(address(server), "sender", clean=False, session_expiry=3000)
    assert again.connack.session_present
    again.send_publish("once/a", b"once", 2, dup=True, packet_id=packet_id)
    again.answer(5, packet_id)
    again.send_ack(6, packet_id)
    again.answer(7, packet_id)
    again.publish("once/end", b"", 1)
    back = Client(address(server), "once", clean=False)
    assert [m.payload for m in back.messages_until("once/end")] == [b"once"]


def test_what_was_administered_survives_kill_9(own_palisade):
    fleet = Fleet(own_palisade)
    device = fleet.device()
    own_palisade.post(f"/devices/{device.name}/quarantine", {"reason": "before the cut"})
    head = own_palisade.get("/ledger/head")
    own_palisade.kill()
    own_palisade.start()
    assert own_palisade.get(f"/devices/{device.name}")["posture"]["lifecycle"] == "quarantined"
    assert own_palisade.get("/ledger/head")["entries"] >= head["entries"]
    assert not own_palisade.post("/ledger/verify").get("fault")


def test_a_second_server_on_the_same_data_is_refused_with_a_clear_message(own_palisade):
    second = Palisade(own_palisade.root / "second")
    done = run(binary("palisade"), "serve", "--data", own_palisade.data, check=False, env=second.environment())
    message = (done.stdout + done.stderr).decode()
    assert done.returncode != 0
    assert "in use" in message or "another" in message, message
    assert own_palisade.is_ready()


def test_a_clean_stop_keeps_sessions_and_says_goodbye(server):
    client = Client(address(server), "away", session_expiry=3000)
    client.subscribe("away/#")
    server.stop()
    goodbye = client.wait_closed()
    assert [p.code for p in goodbye] == [0x8B], "MQTT 5 clients are told that the server shuts down"
    server.start()
    assert Client(address(server), "away", clean=False).connack.session_present
