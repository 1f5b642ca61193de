"""Clients that take their time: they lose their connection, and keep nobody out."""

import socket
import ssl

import pytest

import mosquitto
from fleet import Fleet
from palisade import HOST, Palisade


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A server that waits 2 s for a handshake and as long for CONNECT."""
    folder = tmp_path_factory.mktemp("impatient")
    with Palisade(folder, GATEWAY__HANDSHAKE_TIMEOUT_S="2", GATEWAY__CONNECT_TIMEOUT_S="2",
                  DEVICES__LIMITS__HANDSHAKE_TIMEOUT_S="2", DEVICES__LIMITS__HEAD_TIMEOUT_S="2").running() as server:
        yield server


@pytest.fixture(scope="module")
def device(impatient):
    return Fleet(impatient).device()


def closed(connection):
    """Whether the server closes; what it says before is of no interest."""
    connection.settimeout(20)
    try:
        while connection.recv(1000):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("door", ["mqtt", "devices"])
def test_half_open_handshakes_do_not_keep_a_device_out(impatient, device, door):
    hanging = []
    try:
        for number in range(300):
            half = socket.create_connection((HOST, getattr(impatient, door)), timeout=10)
            half.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[:number % 7])
            hanging.append(half)
        mosquitto.publish(impatient, device, f"devices/{device.name}/x", "through", "-q", "1")
        assert Fleet(impatient).device()
        assert all(closed(half) for half in hanging)
    finally:
        for half in hanging:
            half.close()


def test_a_handshake_without_connect_is_ended(impatient, device):
    context = ssl.create_default_context(cafile=impatient.ca)
    context.load_cert_chain(device.certificate, device.key)
    with socket.create_connection((HOST, impatient.mqtt), timeout=20) as raw:
        with context.wrap_socket(raw, server_hostname=HOST) as tls:
            assert closed(tls)


def test_a_request_that_never_ends_its_head_is_ended(impatient):
    context = ssl.create_default_context(cafile=impatient.ca)
    with socket.create_connection((HOST, impatient.devices), timeout=20) as raw:
        with context.wrap_socket(raw, server_hostname=HOST) as tls:
            tls.sendall(b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            assert closed(tls)
