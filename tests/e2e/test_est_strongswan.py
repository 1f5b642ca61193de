"""Enrolment over EST with strongSwan's `pki`, which speaks TLS 1.2 by default and takes base64 on one line only."""

import pytest

from fleet import Identity
from palisade import HOST, run


@pytest.fixture(scope="module")
def url(palisade):
    return f"https://{HOST}:{palisade.devices}"


@pytest.fixture(scope="module")
def authorities(palisade, url, tmp_path_factory):
    """The files that `pki --estca` writes."""
    folder = tmp_path_factory.mktemp("estca")
    run("pki", "--estca", "--url", url, "--cacert", palisade.ca, "--caout", folder / "ca.pem",
        "--outform", "pem", "--force")
    return sorted(folder.iterdir())


def enrol(palisade, url, authorities, fleet):
    name = fleet.register()
    identity = Identity(name, fleet.new_folder(f"swan-{name}"), palisade.ca)
    key, request = identity.folder / "key.der", identity.folder / "request.der"
    key.write_bytes(run("pki", "--gen", "--type", "ecdsa", "--size", "256").stdout)
    request.write_bytes(run("pki", "--req", "--in", key, "--type", "priv", "--dn", f"CN={name}").stdout)
    trusted = [part for path in authorities for part in ("--cacert", path)]
    secret = fleet.token(device=name)["secret"]
    identity.certificate.write_bytes(run(
        "pki", "--est", "--url", url, "--in", request, *trusted, "--userpass", f"device:{secret}",
        "--outform", "pem").stdout)
    run("openssl", "ec", "-inform", "DER", "-in", key, "-out", identity.key)
    return identity


def test_estca_gives_the_root_and_the_issuer(authorities):
    assert len(authorities) == 2
    for path in authorities:
        assert b"CA:TRUE" in run("openssl", "x509", "-in", path, "-noout", "-text").stdout


def test_est_enrols_with_a_token_and_renews_with_the_certificate(palisade, url, authorities, fleet):
    identity = enrol(palisade, url, authorities, fleet)
    subject = run("openssl", "x509", "-in", identity.certificate, "-noout", "-subject").stdout.decode()
    assert identity.name in subject
    key, request = identity.folder / "key.der", identity.folder / "again.der"
    request.write_bytes(run("pki", "--req", "--in", key, "--type", "priv", "--dn", f"CN={identity.name}").stdout)
    trusted = [part for path in authorities for part in ("--cacert", path)]
    renewed = run("pki", "--est", "--url", url, "--in", request, *trusted, "--cert", identity.certificate,
                  "--key", key, "--outform", "pem").stdout
    assert b"BEGIN CERTIFICATE" in renewed and renewed != identity.certificate.read_bytes()
