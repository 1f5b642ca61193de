"""The same random MQTT sessions against mosquitto and Palisade: whoever hears something else says why."""

import pytest

from differential import Player, script
from mosquitto import Broker

SEEDS = 150


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield "127.0.0.1", broker.port


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_palisade_and_mosquitto_deliver_the_same(peer, broker, first):
    for seed in range(first, first + 10):
        steps = script(seed)
        expected, found = Player(peer, seed).play(steps), Player(broker, seed).play(steps)
        for number, step in enumerate(steps):
            for client in expected[number]:
                theirs, ours = expected[number][client], found[number][client]
                assert alike(theirs) == alike(ours), (
                    f"seed {seed}, step {number}: {step}\n{client} heard\n"
                    f"from mosquitto {theirs}\nfrom palisade  {ours}")


def alike(heard):
    """What is compared: retained messages come in any order."""
    return sorted(m for m in heard if m[3]), [m for m in heard if not m[3]]
