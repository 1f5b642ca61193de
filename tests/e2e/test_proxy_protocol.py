"""The PROXY protocol: HAProxy in front of the doors hands clients on, and everybody else is who they are."""

import socket
import ssl
import struct
import subprocess

import mosquitto
import pytest
from balancer import BALANCER, Balancer
from fleet import Fleet
from palisade import HOST, Palisade, free_port, run, wait_for
from test_response import case_of, scan

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FROM = f'["{BALANCER}/32"]'


def header(client, command=1):
    """What a balancer says of a client."""
    addresses = socket.inet_aton(client) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 40_000, 8883)
    return SIGNATURE + bytes([0x20 | command, 0x11]) + struct.pack(">H", len(addresses)) + addresses


@pytest.fixture(scope="module")
def balanced(tmp_path_factory):
    """A server that has one balancer, and the balancer."""
    root = tmp_path_factory.mktemp("balanced")
    server = Palisade(root / "server", GATEWAY__PROXY_PROTOCOL_FROM=FROM, DEVICES__PROXY_PROTOCOL_FROM=FROM,
                      PEOPLE__PROXY_PROTOCOL_FROM=FROM, GATEWAY__NEVER_BLOCK="[]",
                      GATEWAY__SOURCE__MAX_CONNECTIONS="3", GATEWAY__HANDSHAKE_TIMEOUT_S="2",
                      DEVICES__FAILURES_PER_MINUTE="3", RESPOND__MAX_MODE="dry-run")
    with server.running(), Balancer(server, root) as balancer:
        yield server, balancer


@pytest.fixture(scope="module")
def device(balanced):
    return Fleet(balanced[0]).device()


def own(device):
    return f"devices/{device.name}/x"


def sources(server, device, kind):
    return [event.get("source") for event in server.events(kind=kind)
            if (event.get("principal") or {}).get("id") == device.name]


def refusals(server):
    """Why connections were refused, and whose."""
    return [(event["source"], event["reason"]) for event in server.events(kind="refused")]


def wait_refused(server, source, words):
    return wait_for(lambda: [why for who, why in refusals(server) if who == source and words in why],
                    f"{source} is refused: {words}: {refusals(server)}")


def ends(stream):
    """Whether the other side closes, without a word or with a TLS alert."""
    stream.settimeout(10)
    try:
        while stream.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def knock(port, said, source):
    """Says something to a door and waits until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0)) as stream:
        stream.sendall(said)
        return ends(stream)


def test_the_audit_log_and_the_sessions_see_the_client_behind_the_balancer(balanced, device):
    server, balancer = balanced
    mosquitto.publish(balancer, device, own(device), "x", "-q", "1", "-A", "127.0.0.21")
    mosquitto.publish(server, device, own(device), "x", "-q", "1", "-A", "127.0.0.22")
    wait_for(lambda: {"127.0.0.21", "127.0.0.22"} <= set(sources(server, device, "admitted")),
             "both clients are in the log")
    assert BALANCER not in sources(server, device, "admitted")
    with mosquitto.Subscriber(balancer, device, own(device), options=["-A", "127.0.0.23"]):
        session = wait_for(lambda: [one for one in server.get("/sessions")["items"]
                                    if one.get("source") == "127.0.0.23"], "the session is shown")
        assert session[0]["principal"]["id"] == device.name, session


def test_a_policy_sees_the_client_behind_the_balancer(balanced, device):
    server, balancer = balanced
    before = server.get("/policy")["text"]
    forbid = ('@id("not-from-31") forbid (principal, action, resource) '
              'when { context.source.isInRange(ip("127.0.0.31/32")) };')
    server.post("/policy/apply", {"text": before + forbid, "reason": "test"})
    try:
        refused = mosquitto.publish(balancer, device, own(device), "x", "-q", "1", "-A", "127.0.0.31", check=False)
        assert refused.returncode != 0
        mosquitto.publish(balancer, device, own(device), "x", "-q", "1", "-A", "127.0.0.32")
    finally:
        server.post("/policy/apply", {"text": before, "reason": "test over"})


def test_a_limit_of_an_address_is_the_clients_and_not_the_balancers(balanced, device):
    server, balancer = balanced

    def fourth_is_refused():
        """They are held as long as a handshake may take; on a busy machine that may be over before the fourth comes."""
        held = [socket.create_connection(("127.0.0.1", balancer.mqtt), timeout=10, source_address=("127.0.0.41", 0))
                for _ in range(3)]
        try:
            refused = mosquitto.publish(balancer, device, own(device), "x", "-A", "127.0.0.41", check=False)
            mosquitto.publish(balancer, device, own(device), "x", "-q", "1", "-A", "127.0.0.42")
            return refused.returncode != 0
        finally:
            for stream in held:
                stream.close()

    wait_for(fourth_is_refused, "the fourth is refused", 30)
    wait_refused(server, "127.0.0.41", "too many connections")


def test_an_address_that_is_blocked_is_the_clients(balanced, device):
    server, balancer = balanced
    suspect = Fleet(server).device()
    scan(server, suspect)
    case = wait_for(lambda: case_of(server, suspect), "there is a case")["id"]
    ordered = server.post(f"/cases/{case}/actions", {
        "action": "block-address", "target": "address/127.0.0.51", "reason": "test", "ttl_s": 3600})
    wait_for(lambda: server.get("/blocked-addresses")["items"], "it is listed")
    ask = ["curl", "-sS", "--cacert", server.ca, f"https://{HOST}:{balancer.devices}/ca/root.pem"]
    try:
        refused = mosquitto.publish(balancer, device, own(device), "x", "-A", "127.0.0.51", check=False)
        assert refused.returncode != 0
        assert run(*ask, "--interface", "127.0.0.51", check=False).returncode != 0
        assert run(*ask, "--interface", "127.0.0.52").returncode == 0
        mosquitto.publish(balancer, device, own(device), "x", "-q", "1", "-A", "127.0.0.52")
        wait_refused(server, "127.0.0.51", "is blocked")
    finally:
        server.post(f"/actions/{ordered['id']}/undo", {"reason": "test over"})


def test_the_doors_of_https_see_the_client_behind_the_balancer(balanced):
    server, balancer = balanced
    for source, read in (("127.0.0.61", "devices"), ("127.0.0.62", "products")):
        ask = ["curl", "-sS", "--fail", "--cacert", server.ca, "--interface", source, "-H",
               f"Authorization: Bearer {server.token}"]
        address = f"https://{HOST}:{balancer.people}/api/v1"
        run(*ask, f"{address}/{read}")
        run(*ask, "-H", "Content-Type: application/json", "-X", "PUT", "-d", '{"description": "x"}',
            f"{address}/products/of-{source.replace('.', '-')}")
    acts = {event.get("source") for event in server.events(kind="administrative") if event["act"] == "product.put"}
    assert {"127.0.0.61", "127.0.0.62"} <= acts and BALANCER not in acts, acts
    for source, action in (("127.0.0.61", "device.list"), ("127.0.0.62", "product.list")):
        entries = server.get(f"/access?action={action}")["items"]
        assert source in {entry.get("source") for entry in entries}, entries


def test_failed_enrolments_are_counted_for_the_client(balanced):
    server, balancer = balanced

    def status(source):
        return run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", server.ca, "--interface", source,
                   "-u", "x:ptok_wrong", "-H", "Content-Type: application/pkcs10", "--data-binary", "x",
                   f"https://{HOST}:{balancer.devices}/.well-known/est/simpleenroll").stdout

    assert [status("127.0.0.71") for _ in range(4)][-1] == b"429"
    assert status("127.0.0.72") != b"429"


def test_a_forged_header_of_a_stranger_is_broken_tls_and_stands_in_the_log_as_the_strangers(balanced):
    server, _ = balanced
    for door in (server.mqtt, server.devices, server.people):
        assert knock(door, header("127.0.0.81") + b"\x16", "127.0.0.82")
    wait_refused(server, "127.0.0.82", "tls")
    assert "127.0.0.81" not in [source for source, _ in refusals(server)]


def test_a_balancer_without_a_header_is_refused_and_told_why_in_the_log(balanced, device):
    server, _ = balanced
    assert mosquitto.publish(server, device, own(device), "x", "-A", BALANCER, check=False).returncode != 0
    wait_refused(server, BALANCER, "must begin with a PROXY protocol v2 header, and this one begins with TLS")
    assert run("curl", "-sS", "--cacert", server.ca, "--interface", BALANCER,
               f"https://{HOST}:{server.people}/healthz", check=False).returncode != 0
    assert BALANCER not in sources(server, device, "admitted")


def test_headers_that_are_slow_cut_or_without_a_client_are_refused(balanced):
    server, _ = balanced
    with socket.create_connection(("127.0.0.1", server.mqtt), timeout=10, source_address=(BALANCER, 0)) as stream:
        stream.sendall(SIGNATURE)
        assert ends(stream)
    wait_refused(server, BALANCER, "did not come in time")
    assert knock(server.mqtt, SIGNATURE + b"\x21\x00\x00\x00", BALANCER)
    wait_refused(server, BALANCER, "names no TCP client")
    assert knock(server.mqtt, SIGNATURE + b"\x21\x11\xff\xff", BALANCER)
    wait_refused(server, BALANCER, "has 65551 bytes")


def test_a_balancers_own_health_check_reaches_the_door(balanced):
    server, _ = balanced
    for door in (server.devices, server.people):
        stream = socket.create_connection(("127.0.0.1", door), timeout=10, source_address=(BALANCER, 0))
        stream.sendall(SIGNATURE + b"\x20\0\0\0")
        with ssl.create_default_context(cafile=server.ca).wrap_socket(stream, server_hostname=HOST) as tls:
            assert tls.version() in ("TLSv1.2", "TLSv1.3")


def test_version_1_as_nginx_writes_it_is_refused_and_told_why_in_the_log(balanced, device, tmp_path):
    server, _ = balanced
    port = free_port()
    (tmp_path / "nginx.conf").write_text(f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/nginx.log;
events {{}}
stream {{ server {{ listen 127.0.0.1:{port}; proxy_bind {BALANCER}; proxy_protocol on; proxy_pass 127.0.0.1:{server.mqtt}; }} }}
""")
    nginx = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
                             stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (tmp_path / "nginx.pid").exists(), "nginx has started")
        refused = run("mosquitto_pub", "-h", HOST, "-p", port, "--cafile", server.ca, "--cert", device.certificate,
                      "--key", device.key, "-t", own(device), "-m", "x", check=False)
        assert refused.returncode != 0
        wait_refused(server, BALANCER, "is of version 1, and version 2 alone is read")
    finally:
        nginx.terminate()
        nginx.wait(10)
    said = [line for line in server.log().splitlines() if "a load balancer's connection is refused" in line]
    assert said and BALANCER in said[0], server.log()[-3000:]


def test_the_doctor_looks_at_doors_that_take_this_machine_for_a_balancer(tmp_path):
    only_balancers = '["127.0.0.0/8"]'
    server = Palisade(tmp_path / "server", GATEWAY__PROXY_PROTOCOL_FROM=only_balancers)
    with server.running():
        found = server.cli("doctor", "--data", server.data, "--set", f"gateway.proxy_protocol_from={only_balancers}",
                           check=False).stdout.decode()
        door = [line for line in found.splitlines() if "door for MQTT" in line]
        assert door and "in use, as it should be" in door[0], found
