"""The same random MQTT sessions against mosquitto and Palisade: whoever hears something else says why."""

import pytest

from differential import Player, matches, script
from mosquitto import Broker

SEEDS = 100


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield "127.0.0.1", broker.port


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_palisade_and_mosquitto_deliver_the_same(peer, broker, first):
    for seed in range(first, first + 10):
        steps = script(seed)
        expected, found = Player(peer, seed).play(steps), Player(broker, seed).play(steps)
        filters = {}
        for number, step in enumerate(steps):
            follow(filters, step)
            for client in expected[number]:
                theirs, ours = expected[number][client], found[number][client]
                held = filters[client]
                assert compared(client, theirs, step, held) == compared(client, ours, step, held), (
                    f"seed {seed}, step {number}: {step}\n{client} holds {held} and heard\n"
                    f"from mosquitto {theirs}\nfrom palisade  {ours}")


def follow(filters, step):
    """Keeps the filters that each client holds, as `{client: {(share, filter)}}`."""
    held = filters.setdefault(step.client, set())
    if step.act == "connect" and step.options["clean"]:
        held.clear()
    elif step.act == "subscribe":
        held.update((share, name) for share, name, _ in step.options["filters"])
    elif step.act == "unsubscribe":
        held.discard(("", step.options["filter"]))


def compared(client, heard, step, held):
    """What is compared of what a client heard in a step. The accepted differences:

    - Retained messages that come with a subscription have no order among them.
    - mosquitto sends retained messages to a new shared subscription; section 4.8.2 of MQTT 5 says that
      there are none.
    - Where several subscriptions of a client match, section 3.3.4 lets a server send one message for all
      of them (Palisade) or one for each (mosquitto), so these are taken together. mosquitto sends just
      one in 3.1.1, but with the QoS of the first subscription that it finds and not the highest of all
      [MQTT-3.3.5-1], so that QoS is not compared here (the conformance tests look at it); nor is the
      retain flag, for the subscriptions may differ in retain-as-published.
    - mosquitto forgets the subscription identifiers of messages that wait for a client that is away.
    - Whether a client's own Will counts as its own message for no-local is not said in the standard:
      mosquitto keeps it from a client that is back, Palisade does not.
    """
    shared = [name for share, name, _ in step.options.get("filters", []) if share]
    retained, live = [], {}
    for topic, payload, qos, retain, properties in heard:
        if retain and any(matches(name, topic) for name in shared):
            continue
        if payload.startswith("will ") and payload.endswith(f" {client}"):
            continue
        values = dict(properties)
        ids = values.pop("subscription_id", ())
        if step.act == "connect":
            ids = ()
        key = (topic, payload, tuple(sorted(values.items())))
        if step.act == "subscribe":
            retained.append((key, qos, retain, ids))
        elif sum(matches(name, topic) for _, name in held) > 1:
            live.setdefault(key, set()).update(ids)
        else:
            live[key] = (qos, retain, ids)
    return sorted(retained, key=repr), list(live.items())
