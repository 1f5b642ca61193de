"""Enrolment over EST (RFC 7030) with curl and openssl."""

import base64

import pytest

from fleet import Identity, curl, enrol, key_and_request, save_certificate, simple_enroll
from palisade import Palisade, run

EST = "/.well-known/est"


def certificate_text(identity):
    return run("openssl", "x509", "-in", identity.certificate, "-noout", "-text").stdout.decode()


@pytest.fixture()
def newcomer(palisade, fleet):
    """A device that is known and has no certificate."""
    name = fleet.register()
    return Identity(name, fleet.new_folder(name), palisade.ca)


def test_cacerts_gives_the_root_and_the_issuer_without_credentials(palisade):
    answer = curl(palisade, f"{EST}/cacerts")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/pkcs7-mime")
    pem = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", input=base64.b64decode(answer.body)).stdout
    assert pem.count(b"BEGIN CERTIFICATE") == 2
    root = run("openssl", "x509", "-in", palisade.ca, "-noout", "-subject").stdout.split(b"=", 1)[1].strip()
    assert root in pem


def test_csrattrs_answers_with_der(palisade):
    answer = curl(palisade, f"{EST}/csrattrs")
    assert answer.status in (200, 204)
    if answer.status == 200:
        run("openssl", "asn1parse", "-inform", "DER", input=base64.b64decode(answer.body))


def test_a_label_between_est_and_the_operation_is_taken(palisade):
    assert curl(palisade, f"{EST}/factory-7/cacerts").status == 200


def test_a_device_enrols_with_its_token_and_gets_a_certificate_that_verifies(palisade, fleet, newcomer):
    answer = enrol(palisade, newcomer, fleet.token(device=newcomer.name)["secret"])
    assert answer.status == 200, answer
    assert "certs-only" in answer.headers["content-type"]
    issuer = newcomer.folder / "issuer.pem"
    cacerts = base64.b64decode(curl(palisade, f"{EST}/cacerts").body)
    issuer.write_bytes(run("openssl", "pkcs7", "-inform", "DER", "-print_certs", input=cacerts).stdout)
    run("openssl", "verify", "-purpose", "sslclient", "-CAfile", palisade.ca, "-untrusted", issuer,
        newcomer.certificate)
    text = certificate_text(newcomer)
    assert f"/device/{newcomer.name}" in text and "URI:spiffe://" in text
    assert f"CN = {newcomer.name}" in text
    assert "TLS Web Client Authentication" in text and "TLS Web Server Authentication" not in text
    assert "CA:TRUE" not in text
    assert len(newcomer.serial()) >= 36
    device = palisade.get(f"/devices/{newcomer.name}")
    assert device["posture"]["lifecycle"] == "active"


def test_no_credentials_are_asked_for_and_wrong_ones_refused(palisade, fleet, newcomer):
    request = key_and_request(newcomer)
    none = simple_enroll(palisade, request)
    assert none.status == 401 and none.headers["www-authenticate"].lower().startswith("basic")
    for wrong in ("pet_" + "A" * 43, "", "x" * 5000, "pet_\N{SNOWMAN}"):
        assert simple_enroll(palisade, request, "-u", f"device:{wrong}").status == 401, wrong
    assert simple_enroll(palisade, request, "-H", "Authorization: Basic !!!").status in (400, 401)


def test_a_token_is_spent_with_its_last_use(palisade, fleet, newcomer):
    secret = fleet.token(device=newcomer.name)["secret"]
    assert enrol(palisade, newcomer, secret).status == 200
    replayed = enrol(palisade, newcomer, secret)
    assert replayed.status in (401, 403), replayed


def test_a_token_for_one_device_enrols_no_other(palisade, fleet, newcomer):
    other = fleet.register()
    refused = enrol(palisade, newcomer, fleet.token(device=other)["secret"])
    assert refused.status == 403, refused


def test_a_token_for_a_product_enrols_as_many_devices_as_it_says(palisade, fleet):
    secret = fleet.token(product=fleet.product(), uses=2)["secret"]
    statuses = []
    for _ in range(3):
        name = fleet.new_name("batch")
        statuses.append(enrol(palisade, Identity(name, fleet.new_folder(name), palisade.ca), secret).status)
    assert statuses[:2] == [200, 200] and statuses[2] in (401, 403)


def test_where_only_the_inventory_enrols_a_stranger_is_refused(palisade, fleet):
    product = fleet.product(inventory_only=True)
    secret = fleet.token(product=product, uses=2)["secret"]
    stranger = fleet.new_name("stranger")
    assert enrol(palisade, Identity(stranger, fleet.new_folder(stranger), palisade.ca), secret).status == 403
    known = fleet.register(product)
    assert enrol(palisade, Identity(known, fleet.new_folder(known), palisade.ca), secret).status == 200


def test_a_revoked_token_enrols_nobody(palisade, fleet, newcomer):
    made = fleet.token(device=newcomer.name)
    palisade.rest("DELETE", f"/enrolment-tokens/{made['id']}", expect=(200, 204))
    assert enrol(palisade, newcomer, made["secret"]).status in (401, 403)


@pytest.mark.parametrize("what, key", [
    ("a small RSA key", ("-newkey", "rsa:1024")),
    ("a curve nobody uses", ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1")),
])
def test_a_weak_or_unusual_key_is_refused(palisade, fleet, newcomer, what, key):
    secret = fleet.token(device=newcomer.name)["secret"]
    refused = simple_enroll(palisade, key_and_request(newcomer, None, key=key), "-u", f"x:{secret}")
    assert refused.status == 400, (what, refused)


@pytest.mark.parametrize("extension", [
    "subjectAltName=URI:spiffe://palisade/device/somebody-else", "subjectAltName=DNS:localhost",
    "basicConstraints=critical,CA:TRUE", "extendedKeyUsage=serverAuth", "keyUsage=keyCertSign",
])
def test_a_smuggled_extension_is_refused_or_left_out(palisade, fleet, newcomer, extension):
    secret = fleet.token(device=newcomer.name)["secret"]
    request = key_and_request(newcomer, None, "-addext", extension)
    answer = simple_enroll(palisade, request, "-u", f"x:{secret}")
    assert answer.status in (200, 400), answer
    if answer.status == 200:
        save_certificate(answer, newcomer)
        text = certificate_text(newcomer)
        for smuggled in ("somebody-else", "DNS:localhost", "CA:TRUE", "Server Authentication", "Certificate Sign"):
            assert smuggled not in text, text


def test_a_request_for_another_name_than_the_tokens_is_refused(palisade, fleet, newcomer):
    secret = fleet.token(device=newcomer.name)["secret"]
    for subject in ("/CN=somebody-else", "/CN=..\\/..\\/etc", f"/CN={newcomer.name}/CN=two"):
        refused = simple_enroll(palisade, key_and_request(newcomer, subject), "-u", f"x:{secret}")
        assert refused.status in (400, 403), (subject, refused)


def test_a_request_without_a_name_gets_the_tokens(palisade, fleet, newcomer):
    secret = fleet.token(device=newcomer.name)["secret"]
    answer = simple_enroll(palisade, key_and_request(newcomer, "/O=maker"), "-u", f"x:{secret}")
    assert answer.status == 200, answer
    save_certificate(answer, newcomer)
    assert f"Subject: CN = {newcomer.name}\n" in certificate_text(newcomer)


def test_a_request_without_proof_of_possession_is_refused(palisade, fleet, newcomer):
    secret = fleet.token(device=newcomer.name)["secret"]
    request = bytearray(key_and_request(newcomer))
    request[-1] ^= 1
    assert simple_enroll(palisade, bytes(request), "-u", f"x:{secret}").status == 400


@pytest.mark.parametrize("body", [b"", b"!", b"\0" * 100, b"MIIB", b"0\x82\xff\xff" + b"0" * 100, b"A" * 23_000])
def test_garbage_in_place_of_a_request_is_refused(palisade, fleet, newcomer, body):
    secret = fleet.token(device=newcomer.name)["secret"]
    answer = curl(palisade, f"{EST}/simpleenroll", "-u", f"x:{secret}", "-H",
                  "Content-Type: application/pkcs10", body=body)
    assert answer.status == 400, answer
    assert enrol(palisade, newcomer, secret).status == 200, "the token was spent by garbage"


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("size", [25_000, 60_000, 5_000_000])
def test_a_request_that_is_too_large_is_refused(palisade, fleet, newcomer, size, version):
    secret = fleet.token(device=newcomer.name)["secret"]
    answer = curl(palisade, f"{EST}/simpleenroll", "-u", f"x:{secret}", version, body=b"A" * size)
    assert answer.status == 413, answer
    assert enrol(palisade, newcomer, secret).status == 200


def test_who_fails_too_often_waits(tmp_path):
    with Palisade(tmp_path, DEVICES__FAILURES_PER_MINUTE="3").running() as server:
        identity = Identity("guesser", tmp_path, server.ca)
        request = key_and_request(identity)
        statuses = [simple_enroll(server, request, "-u", "x:pet_guess").status for _ in range(6)]
        assert statuses[0] == 401 and statuses[-1] == 429, statuses


def renew(palisade, identity, holder, subject=None):
    request = key_and_request(identity, subject)
    return simple_enroll(palisade, request, *holder.curl(), path=f"{EST}/simplereenroll")


def test_a_device_renews_with_its_certificate(palisade, fleet):
    device = fleet.device()
    renewed = Identity(device.name, fleet.new_folder(f"renewed-{device.name}"), palisade.ca)
    answer = renew(palisade, renewed, device)
    assert answer.status == 200, answer
    save_certificate(answer, renewed)
    assert renewed.serial() != device.serial()
    assert renew(palisade, Identity(device.name, fleet.new_folder(f"again-{device.name}"), palisade.ca),
                 renewed).status == 200


def test_nobody_renews_for_another_or_without_a_certificate(palisade, fleet):
    device, other = fleet.device(), fleet.device()
    fresh = Identity(device.name, fleet.new_folder(f"fresh-{device.name}"), palisade.ca)
    assert renew(palisade, fresh, device, subject=f"/CN={other.name}").status in (400, 403)
    bare = simple_enroll(palisade, key_and_request(fresh), path=f"{EST}/simplereenroll")
    assert bare.status in (401, 403), bare
    token = fleet.token(device=device.name)["secret"]
    bare = simple_enroll(palisade, key_and_request(fresh), "-u", f"x:{token}", path=f"{EST}/simplereenroll")
    assert bare.status in (401, 403), bare


def test_a_forged_certificate_does_not_renew(palisade, fleet):
    device = fleet.device()
    fresh = Identity(device.name, fleet.new_folder(f"fresh-{device.name}"), palisade.ca)
    refused = renew(palisade, fresh, fleet.forge(device))
    assert refused.status in (0, 401, 403), refused


def test_a_device_enrols_with_the_certificate_of_its_maker(palisade, fleet):
    product = fleet.product()
    maker, name = fleet.maker(product), fleet.new_name("made")
    born = maker.device(name)
    own = Identity(name, fleet.new_folder(f"own-{name}"), palisade.ca)
    answer = simple_enroll(palisade, key_and_request(own), *born.curl())
    assert answer.status == 200, answer
    assert palisade.get(f"/devices/{name}")["product"] == product
    refused = simple_enroll(palisade, key_and_request(own, "/CN=somebody-else"), *born.curl())
    assert refused.status in (400, 403), refused
