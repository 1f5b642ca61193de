"""What TLS each door speaks: openssl s_client, and a client that offers X25519MLKEM768."""

import socket

import pytest
from tlslite.api import HandshakeSettings, TLSConnection

from palisade import HOST, run


def s_client(port, *options, send=b""):
    done = run("openssl", "s_client", "-connect", f"{HOST}:{port}", "-servername", HOST, *options,
               input=send, check=False)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def test_the_mqtt_door_speaks_tls_1_3_alone(palisade, fleet):
    device = fleet.device()
    identity = ["-CAfile", palisade.ca, "-verify_return_error", "-cert", device.certificate, "-key", device.key]
    status, text = s_client(palisade.mqtt, *identity)
    assert status == 0 and "TLSv1.3" in text and "Verify return code: 0 (ok)" in text, text
    for version in ("-tls1_2", "-tls1_1"):
        status, text = s_client(palisade.mqtt, *identity, version)
        assert status != 0 and "Cipher is TLS" not in text, text


@pytest.mark.parametrize("door", ["mqtt", "devices", "people"])
def test_a_client_without_post_quantum_key_exchange_falls_back_to_x25519(palisade, fleet, door):
    device = fleet.device()
    status, text = s_client(getattr(palisade, door), "-CAfile", palisade.ca, "-tls1_3", "-groups", "X25519:P-256",
                            "-cert", device.certificate, "-key", device.key)
    assert status == 0 and "Server Temp Key: X25519" in text, text


def test_the_device_door_speaks_tls_1_2_for_clients_that_have_no_other(palisade):
    status, text = s_client(palisade.devices, "-CAfile", palisade.ca, "-verify_return_error", "-tls1_2")
    assert status == 0 and "TLSv1.2" in text, text
    status, _ = s_client(palisade.devices, "-CAfile", palisade.ca, "-tls1_1")
    assert status != 0


def test_the_mqtt_door_has_no_session_tickets(palisade, fleet):
    device = fleet.device()
    _, text = s_client(palisade.mqtt, "-CAfile", palisade.ca, "-cert", device.certificate, "-key", device.key,
                       "-ign_eof", "-msg", send=b"not mqtt, so that the server closes")
    assert "Finished" in text and "NewSessionTicket" not in text


@pytest.mark.parametrize("door", ["devices", "people"])
def test_a_client_that_offers_x25519mlkem768_gets_it(palisade, door):
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = (3, 4)
    settings.keyShares = ["x25519mlkem768"]
    with socket.create_connection((HOST, getattr(palisade, door)), timeout=10) as raw:
        connection = TLSConnection(raw)
        connection.handshakeClientCert(settings=settings, serverName=HOST)
        assert connection.ecdhCurve is not None, "the key exchange is not known"
        assert "mlkem768" in group_name(connection).lower()
        connection.close()


def group_name(connection):
    from tlslite.constants import GroupName
    return GroupName.toStr(connection.ecdhCurve)


def test_the_mqtt_door_refuses_a_client_without_a_certificate(palisade):
    status, text = s_client(palisade.mqtt, "-CAfile", palisade.ca, "-ign_eof")
    assert "certificate required" in text.lower() or status != 0, text
