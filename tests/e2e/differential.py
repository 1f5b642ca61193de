"""Random MQTT sessions, and a player that drives a broker through one and notes who heard what.

A session is a list of steps that depends on its seed alone. After each step every connected client is
brought up to date by a message of its own, so that what it heard belongs to that step.
"""

import dataclasses
import random

from wire import Client

CLIENTS = {"three": 4, "three-too": 4, "five": 5, "five-too": 5}
LEVELS = ["a", "b", ""]


@dataclasses.dataclass
class Step:
    act: str
    client: str
    options: dict


def topic(rng):
    return "/".join(rng.choice(LEVELS) for _ in range(rng.randint(1, 3)))


def topic_filter(rng):
    levels = [rng.choice([*LEVELS, "+", "+"]) for _ in range(rng.randint(1, 3))]
    return "/".join(levels[:-1] + ["#"] if rng.random() < 0.4 else levels)


def message(rng, version):
    values = {"qos": rng.randrange(3), "retain": rng.random() < 0.2}
    if version == 5 and rng.random() < 0.5:
        values["properties"] = {"user": [("k", str(rng.randrange(9)))], "content_type": "text/plain",
                                "response_topic": "back", "correlation_data": b"\x00\xff"}
        if rng.random() < 0.3:
            values["properties"]["message_expiry"] = 5000
    return values


def subscription(rng, version):
    """A filter and its options: QoS, and in version 5 no-local, retain as published, retain handling."""
    name, options = topic_filter(rng), rng.randrange(3)
    if version == 5:
        if rng.random() < 0.2:
            return "$share", name, options
        # mosquitto 2.0 keeps no-local and retain-as-published of the first subscription when a client
        # subscribes to the same filter again, so here these two depend on the filter alone.
        own = random.Random(name)
        options |= own.choice([0, 0, 4]) | own.choice([0, 8]) | rng.choice([0, 0, 0x10, 0x20])
    return "", name, options


def script(seed, length=60):
    """The steps of a session."""
    rng = random.Random(seed)
    steps, online, wills = [], set(), {}
    for _ in range(length):
        client = rng.choice(list(CLIENTS))
        version, add = CLIENTS[client], lambda act, **options: steps.append(Step(act, client, options))
        if client not in online:
            will = None
            if rng.random() < 0.3:
                will = dict(message(rng, version), topic=topic(rng))
            add("connect", clean=rng.random() < 0.3, will=will)
            online.add(client)
            wills[client] = will
            continue
        act = rng.choices(["publish", "subscribe", "unsubscribe", "disconnect", "drop", "takeover"],
                          [50, 20, 6, 6, 4, 2])[0]
        if act == "publish":
            add("publish", topic=topic(rng), **message(rng, version))
        elif act == "subscribe":
            add("subscribe", filters=[subscription(rng, version) for _ in range(rng.randint(1, 2))],
                id=rng.randint(1, 5) if version == 5 and rng.random() < 0.4 else None)
        elif act == "unsubscribe":
            add("unsubscribe", filter=topic_filter(rng))
        elif act == "takeover":
            # Brokers differ in whether a taken over session's will is sent, so these have none.
            if not wills[client]:
                add("connect", clean=False, will=None)
        else:
            add(act, will=wills[client])
            online.discard(client)
    return steps


def matches(topic_filter, topic):
    """Whether a filter matches a topic (no `$` topics here)."""
    levels, wanted = topic.split("/"), topic_filter.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[:len(wanted)]
    return len(levels) == len(wanted) and all(w in ("+", level) for w, level in zip(wanted, levels))


class Player:
    """Drives one broker through a script."""

    def __init__(self, address, seed):
        self.address, self.prefix = address, f"d{seed}/"
        self.online, self.heard = {}, []
        self.watcher = self.helper("watcher")
        self.watcher.subscribe((self.prefix + "#", 0))
        self.conductor = self.helper("conductor")

    def helper(self, name):
        return Client(self.address, self.prefix.strip("/") + name)

    def play(self, steps):
        """What each client heard in each step, as `{client: [message, ...]}` a step."""
        for number, step in enumerate(steps):
            getattr(self, step.act)(f"{number}", step.client, **step.options)
            self.heard.append({name: self.settle(name, number) for name in list(self.online)})
        self.clear()
        return self.heard

    def settle(self, name, number):
        """All that came to the client up to now."""
        end = f"sync-{self.prefix}{name}"
        self.conductor.publish(end, str(number), 1)
        return [note(message, self.prefix) for message in self.online[name].messages_until(end)]

    def clear(self):
        """Removes what the script left: sessions, and then retained messages."""
        for name, client in self.online.items():
            client.drop()
        for name, version in CLIENTS.items():
            Client(self.address, self.prefix.strip("/") + name, version=version).disconnect()
        self.conductor.subscribe((self.prefix + "#", 0))
        end = f"sync-{self.prefix}conductor"
        self.conductor.subscribe(end)
        self.conductor.publish(end, b"", 1)
        for kept in self.conductor.messages_until(end):
            if kept.retain:
                self.conductor.publish(kept.topic, b"", 1, retain=True)
        for client in (self.watcher, self.conductor):
            client.disconnect()

    # --- steps ---

    def connect(self, number, name, clean, will):
        version, values = CLIENTS[name], {}
        if name in self.online:
            old = self.online.pop(name)
        else:
            old = None
        if version == 5:
            values = {"session_expiry": 3000}
        if will:
            values["will"] = {"topic": self.prefix + will["topic"], "payload": f"will {number} {name}",
                              "qos": will["qos"], "retain": will["retain"],
                              "properties": will.get("properties")}
            self.will = values["will"]["payload"]
        client = Client(self.address, self.prefix.strip("/") + name, version=version, clean=clean, **values)
        client.will = values.get("will", {}).get("payload")
        if old:
            old.wait_closed()
        self.online[name] = client
        client.subscribe((f"sync-{self.prefix}{name}", 1))

    def publish(self, number, name, topic, qos, retain, properties=None):
        client = self.online[name]
        client.publish(self.prefix + topic, f"{number} {name}", qos, retain, **(properties or {}))
        client.ping()

    def subscribe(self, number, name, filters, id):
        client = self.online[name]
        asked = []
        for share, topic_filter, options in filters:
            head = f"$share/{self.prefix.strip('/')}{name}/" if share else ""
            asked.append((head + self.prefix + topic_filter, options))
        client.subscribe(*asked, **({"subscription_id": id} if id else {}))

    def unsubscribe(self, number, name, filter):
        self.online[name].unsubscribe(self.prefix + filter)

    def disconnect(self, number, name, will):
        self.online.pop(name).disconnect()

    def drop(self, number, name, will):
        client = self.online.pop(name)
        client.drop()
        while client.will and self.watcher.message().payload.decode() != client.will:
            pass


def note(message, prefix):
    """What is compared of a message."""
    properties = dict(message.properties)
    properties.pop("topic_alias", None)
    if "message_expiry" in properties:
        properties["message_expiry"] = "some"
    if "subscription_id" in properties:
        properties["subscription_id"] = tuple(sorted(properties["subscription_id"]))
    if "user" in properties:
        properties["user"] = tuple(properties["user"])
    return (message.topic.removeprefix(prefix), message.payload.decode(), message.qos, message.retain,
            tuple(sorted(properties.items())))
