"""A small MQTT client on a bare socket, 3.1.1 and 5, that shows every packet and can break any rule.

It has no threads: it reads when it is asked to, so a test decides what is acknowledged and when.
"""

import collections
import dataclasses
import socket
import struct
import time

(CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK,
 PINGREQ, PINGRESP, DISCONNECT, AUTH) = range(1, 16)

# Section 2.2.2.2 of MQTT 5: identifier, name here, type.
PROPERTIES = {
    0x01: ("payload_format", "byte"), 0x02: ("message_expiry", "u32"), 0x03: ("content_type", "text"),
    0x08: ("response_topic", "text"), 0x09: ("correlation_data", "bytes"),
    0x0B: ("subscription_id", "varint"), 0x11: ("session_expiry", "u32"), 0x12: ("assigned_client_id", "text"),
    0x13: ("server_keep_alive", "u16"), 0x15: ("auth_method", "text"), 0x16: ("auth_data", "bytes"),
    0x17: ("request_problem", "byte"), 0x18: ("will_delay", "u32"), 0x19: ("request_response", "byte"),
    0x1A: ("response_information", "text"), 0x1C: ("server_reference", "text"), 0x1F: ("reason", "text"),
    0x21: ("receive_maximum", "u16"), 0x22: ("topic_alias_maximum", "u16"), 0x23: ("topic_alias", "u16"),
    0x24: ("maximum_qos", "byte"), 0x25: ("retain_available", "byte"), 0x26: ("user", "pair"),
    0x27: ("maximum_packet_size", "u32"), 0x28: ("wildcard_available", "byte"),
    0x29: ("subscription_id_available", "byte"), 0x2A: ("shared_available", "byte"),
}
PROPERTY_IDS = {name: (number, kind) for number, (name, kind) in PROPERTIES.items()}
REPEATED = {"user", "subscription_id"}
FIXED = {"byte": ">B", "u16": ">H", "u32": ">I"}


class Closed(Exception):
    """The other side closed the connection."""


class Silent(Exception):
    """Nothing came in time."""


def varint(number):
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def binary(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">H", len(data)) + data


def properties(values):
    out = b""
    for name, value in (values or {}).items():
        number, kind = PROPERTY_IDS[name]
        for one in value if name in REPEATED and isinstance(value, list) else [value]:
            out += bytes([number])
            if kind in FIXED:
                out += struct.pack(FIXED[kind], one)
            elif kind == "varint":
                out += varint(one)
            elif kind == "pair":
                out += binary(one[0]) + binary(one[1])
            else:
                out += binary(one)
    return varint(len(out)) + out


def packet(kind, flags=0, body=b""):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


class Reader:
    """Reads the fields of one packet."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), "the server sent a packet that ends too early"
        self.at += count
        return self.data[self.at - count:self.at]

    def rest(self):
        return self.take(len(self.data) - self.at)

    def more(self):
        return self.at < len(self.data)

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def binary(self):
        return self.take(self.number(">H"))

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.number(">B")
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
            shift += 7

    def properties(self):
        inner, found = Reader(self.take(self.varint())), {}
        while inner.more():
            name, kind = PROPERTIES[inner.varint()]
            if kind in FIXED:
                value = inner.number(FIXED[kind])
            elif kind == "varint":
                value = inner.varint()
            elif kind == "pair":
                value = (inner.binary().decode(), inner.binary().decode())
            else:
                value = inner.binary() if kind == "bytes" else inner.binary().decode()
            if name in REPEATED:
                found.setdefault(name, []).append(value)
            else:
                assert name not in found, f"the server sent {name} twice"
                found[name] = value
        return found


@dataclasses.dataclass
class Received:
    """One packet from the server; fields that its kind does not have are empty."""

    kind: int
    flags: int = 0
    packet_id: int = 0
    codes: list = dataclasses.field(default_factory=list)
    properties: dict = dataclasses.field(default_factory=dict)
    topic: str = ""
    payload: bytes = b""
    session_present: bool = False

    @property
    def code(self):
        return self.codes[0] if self.codes else 0

    @property
    def qos(self):
        return self.flags >> 1 & 3

    @property
    def retain(self):
        return bool(self.flags & 1)

    @property
    def dup(self):
        return bool(self.flags & 8)


def decode(kind, flags, body, version):
    """Reads a packet as a client of that version must be able to."""
    got, reader = Received(kind, flags), Reader(body)
    if kind == CONNACK:
        got.session_present = bool(reader.number(">B") & 1)
        got.codes = [reader.number(">B")]
    elif kind == PUBLISH:
        got.topic = reader.binary().decode()
        got.packet_id = reader.number(">H") if got.qos else 0
    elif kind not in (PINGRESP, DISCONNECT, AUTH):
        got.packet_id = reader.number(">H")
    if kind in (PUBACK, PUBREC, PUBREL, PUBCOMP, DISCONNECT, AUTH) and reader.more():
        got.codes = [reader.number(">B")]
    if version == 5 and reader.more():
        got.properties = reader.properties()
    if kind == PUBLISH:
        got.payload = reader.rest()
    elif kind in (SUBACK, UNSUBACK):
        got.codes = list(reader.rest())
    assert not reader.more(), f"bytes after the end of packet {kind}: {body!r}"
    return got


class Client:
    """One connection. `Client(address, ...)` connects; `open=False` leaves CONNECT to the test."""

    def __init__(self, address, client_id="", version=5, open=True, timeout=10, acknowledge=True, **connect):
        self.version, self.timeout, self.acknowledge = version, timeout, acknowledge
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.next_id = b"", 0
        self.inbox, self.others = collections.deque(), []
        self.client_id = client_id
        self.connack = self.connect(**connect) if open else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    # --- sending ---

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed from error

    def connect_packet(self, clean=True, keep_alive=60, will=None, user=None, password=None, **values):
        flags, payload = 0x02 if clean else 0, binary(self.client_id)
        if will:
            flags |= 0x04 | will.get("qos", 0) << 3 | (0x20 if will.get("retain") else 0)
            if self.version == 5:
                payload += properties(will.get("properties"))
            payload += binary(will["topic"]) + binary(will.get("payload", b""))
        for bit, field in ((0x80, user), (0x40, password)):
            if field is not None:
                flags, payload = flags | bit, payload + binary(field)
        head = binary("MQTT") + bytes([self.version, flags]) + struct.pack(">H", keep_alive)
        return packet(CONNECT, 0, head + (properties(values) if self.version == 5 else b"") + payload)

    def connect(self, expect=0, **options):
        self.send(self.connect_packet(**options))
        connack = self.answer(CONNACK)
        assert connack.code == expect, f"CONNACK says {connack.code:#x} {connack.properties}"
        return connack

    def fresh_id(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def send_publish(self, topic, payload=b"", qos=0, retain=False, dup=False, packet_id=None, **values):
        packet_id = packet_id or (self.fresh_id() if qos else 0)
        body = binary(topic) + (struct.pack(">H", packet_id) if qos else b"")
        body += properties(values) if self.version == 5 else b""
        payload = payload.encode() if isinstance(payload, str) else payload
        self.send(packet(PUBLISH, dup << 3 | qos << 1 | retain, body + payload))
        return packet_id

    def publish(self, topic, payload=b"", qos=0, retain=False, **values):
        """Publishes, completes the exchange, and returns the reason code."""
        packet_id = self.send_publish(topic, payload, qos, retain, **values)
        if qos == 0:
            return 0
        code = self.answer(PUBACK if qos == 1 else PUBREC, packet_id).code
        if qos == 2 and code < 0x80:
            self.send_ack(PUBREL, packet_id)
            self.answer(PUBCOMP, packet_id)
        return code

    def send_ack(self, kind, packet_id, code=None):
        body = struct.pack(">H", packet_id) + (bytes([code]) if code is not None else b"")
        self.send(packet(kind, 2 if kind == PUBREL else 0, body))

    def subscribe(self, *filters, **values):
        """Subscribes to `"filter"` (QoS 2) or `("filter", options)`; returns the SUBACK."""
        packet_id, body = self.fresh_id(), b""
        for one in filters:
            name, options = (one, 2) if isinstance(one, str) else one
            body += binary(name) + bytes([options])
        head = struct.pack(">H", packet_id) + (properties(values) if self.version == 5 else b"")
        self.send(packet(SUBSCRIBE, 2, head + body))
        return self.answer(SUBACK, packet_id)

    def unsubscribe(self, *filters):
        packet_id = self.fresh_id()
        head = struct.pack(">H", packet_id) + (properties({}) if self.version == 5 else b"")
        self.send(packet(UNSUBSCRIBE, 2, head + b"".join(binary(name) for name in filters)))
        return self.answer(UNSUBACK, packet_id)

    def ping(self):
        self.send(packet(PINGREQ))
        return self.answer(PINGRESP)

    def disconnect(self, code=0, **values):
        body = bytes([code]) + properties(values) if self.version == 5 and (code or values) else b""
        self.send(packet(DISCONNECT, 0, body))
        self.wait_closed()

    def drop(self):
        """Ends the connection without DISCONNECT, as a device that lost its power."""
        self.socket.close()

    # --- receiving ---

    def read(self, timeout=None):
        """The next packet, whatever it is."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            frame = self._cut()
            if frame is not None:
                return frame
            left = deadline - time.monotonic()
            if left <= 0:
                raise Silent
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise Silent from None
            except OSError as error:
                raise Closed from error
            if not data:
                raise Closed
            self.buffer += data

    def _cut(self):
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(self.buffer):
                return None
            byte = self.buffer[at]
            length, shift, at = length | (byte & 0x7F) << shift, shift + 7, at + 1
            if not byte & 0x80:
                break
        if len(self.buffer) < at + length:
            return None
        first, body, self.buffer = self.buffer[0], self.buffer[at:at + length], self.buffer[at + length:]
        return decode(first >> 4, first & 15, body, self.version)

    def _pump(self, timeout):
        got = self.read(timeout)
        if got.kind == PUBLISH:
            self.inbox.append(got)
            if self.acknowledge and got.qos:
                self.send_ack(PUBACK if got.qos == 1 else PUBREC, got.packet_id)
        elif got.kind == PUBREL and self.acknowledge:
            self.send_ack(PUBCOMP, got.packet_id)
        else:
            self.others.append(got)

    def answer(self, kind, packet_id=None, timeout=None):
        """The next packet of this kind; messages that come first are kept for `message`."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            for one in self.others:
                if one.kind == kind and packet_id in (None, one.packet_id):
                    self.others.remove(one)
                    return one
            self._pump(max(deadline - time.monotonic(), 0))

    def message(self, timeout=None):
        """The next message, acknowledged."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not self.inbox:
            self._pump(max(deadline - time.monotonic(), 0))
        return self.inbox.popleft()

    def messages(self, count, timeout=None):
        return [self.message(timeout) for _ in range(count)]

    def messages_until(self, topic):
        """The messages before the next one on `topic`, which is taken too."""
        found = []
        while (got := self.message()).topic != topic:
            found.append(got)
        return found

    def wait_closed(self, timeout=None):
        """Waits until the server closes; returns the packets that came before."""
        before = []
        try:
            while True:
                before.append(self.read(timeout))
        except Closed:
            self.socket.close()
            return before
