"""Devices and services with keys and certificates of their own, as an operator and a device get them."""

import base64
import itertools
import json
import pathlib
import tempfile

from palisade import HOST, run

ALL = ("publish", "subscribe", "receive", "retain")
NUMBERS = itertools.count(1)


class Identity:
    """A key and a certificate chain, as files."""

    def __init__(self, name, folder, ca):
        self.name, self.folder, self.ca = name, pathlib.Path(folder), ca
        self.key, self.certificate = self.folder / "key.pem", self.folder / "certificate.pem"

    def serial(self):
        """As openssl prints it, in lower case without leading zeros."""
        out = run("openssl", "x509", "-in", self.certificate, "-noout", "-serial").stdout.decode()
        return out.strip().split("=")[1].lower().lstrip("0")

    def curl(self):
        """What curl needs to show the certificate."""
        return ["--cert", self.certificate, "--key", self.key]


class Fleet:
    """What an operator makes on one server; names are new with each call."""

    def __init__(self, palisade):
        self.palisade = palisade
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=palisade.root))

    def new_name(self, kind):
        return f"{kind}-{next(NUMBERS)}"

    def product(self, inventory_only=False):
        """A product whose devices own `devices/{device}/#` and hear `fleet/#`."""
        name = self.new_name("product")
        self.palisade.put(f"/products/{name}", {"description": "for tests", "default_segment": "default",
                                                "inventory_only": inventory_only})
        scope = {"type": "product", "id": name}
        self.grant(scope, "devices/{device}/#", *ALL)
        self.grant(scope, "fleet/#", "subscribe", "receive")
        return name

    def grant(self, scope, pattern, *actions):
        return self.palisade.post("/grants", {
            "scope": scope, "pattern": pattern, "actions": {action: True for action in actions}})

    def token(self, uses=1, ttl_s=3600, **scope):
        """An enrolment token, for `device=` or `product=`."""
        return self.palisade.post("/enrolment-tokens", {"uses": uses, "ttl_s": ttl_s, "note": "test", **scope})

    def register(self, product=None, **more):
        """A device that is known and not enrolled."""
        name = self.new_name("device")
        self.palisade.post("/devices", {"id": name, "product": product or self.product(), **more})
        return name

    def device(self, product=None):
        """A device that is enrolled."""
        name = self.register(product)
        secret = self.token(device=name)["secret"]
        identity = Identity(name, self.new_folder(name), self.palisade.ca)
        answer = enrol(self.palisade, identity, secret)
        assert answer.status == 200, answer
        return identity

    def service(self, *patterns):
        """An application that may do all on the topics of these patterns."""
        name = self.new_name("service")
        self.palisade.put(f"/services/{name}", {"description": "for tests"})
        for pattern in patterns:
            self.grant({"type": "service", "id": name}, pattern, *ALL)
        made = self.palisade.post(f"/services/{name}/certificate")
        identity = Identity(name, self.new_folder(name), self.palisade.ca)
        identity.key.write_text(made["private_key"])
        chain = made["chain"] if isinstance(made["chain"], list) else [made["chain"]]
        identity.certificate.write_text("\n".join([made["certificate"], *chain]))
        return identity

    def maker(self, product):
        """A maker's CA whose certificates the server takes for enrolment of that product."""
        maker = Maker(self, self.new_name("maker"))
        self.palisade.put(f"/ca/makers/{maker.name}", {"certificate": maker.ca.read_text(), "product": product})
        return maker

    def forge(self, identity):
        """A certificate with the names of `identity` by a CA with the names of ours: not ours."""
        forged = Identity(identity.name, self.new_folder(f"forged-{identity.name}"), self.palisade.ca)
        ca, ca_key = forged.folder / "ca.pem", forged.folder / "ca-key.pem"
        text = run("openssl", "x509", "-in", identity.certificate, "-noout", "-issuer", "-nameopt",
                   "RFC2253").stdout.decode()
        issuer = "/" + "/".join(reversed(text.strip().removeprefix("issuer=").split(",")))
        ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        run("openssl", "req", "-x509", *ec, "-keyout", ca_key, "-out", ca, "-subj", issuer, "-days", "30")
        request = key_and_request(forged)
        names = run("openssl", "x509", "-in", identity.certificate, "-noout", "-ext",
                    "subjectAltName").stdout.decode().split("\n", 1)[1].strip()
        extensions = forged.folder / "extensions"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=clientAuth\n")
        certificate = run("openssl", "x509", "-req", "-inform", "DER", "-CA", ca, "-CAkey", ca_key,
                          "-CAcreateserial", "-days", "30", "-extfile", extensions, input=request).stdout
        forged.certificate.write_bytes(certificate + ca.read_bytes())
        return forged

    def new_folder(self, name):
        folder = self.folder / name
        folder.mkdir()
        return folder


class Maker:
    """The CA of a device maker."""

    def __init__(self, fleet, name):
        self.fleet, self.name = fleet, name
        self.folder = fleet.new_folder(name)
        self.ca, self.key = self.folder / "ca.pem", self.folder / "ca-key.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", self.key, "-out", self.ca, "-subj", f"/CN={name}", "-days", "30",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def device(self, name, begins="20200101000000Z", ends="20400101000000Z"):
        """The certificate that a device of this maker is born with."""
        born = Identity(name, self.fleet.new_folder(self.fleet.new_name(f"born-{name}")), self.fleet.palisade.ca)
        request = born.folder / "request.pem"
        request.write_bytes(run("openssl", "req", "-inform", "DER", input=key_and_request(born)).stdout)
        config = born.folder / "ca.conf"
        config.write_text(
            f"[ca]\ndefault_ca=maker\n[maker]\ndatabase={born.folder}/index\nnew_certs_dir={born.folder}\n"
            "rand_serial=yes\ndefault_md=sha256\npolicy=any\nx509_extensions=device\n"
            "[any]\ncommonName=supplied\n"
            "[device]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n")
        (born.folder / "index").touch()
        run("openssl", "ca", "-batch", "-config", config, "-cert", self.ca, "-keyfile", self.key, "-notext",
            "-in", request, "-out", born.certificate, "-startdate", begins, "-enddate", ends)
        return born


# --- EST, with curl and openssl ---

class Answer:
    """An HTTP answer that curl got: status 0 is no answer at all."""

    def __init__(self, status, body, headers, error):
        self.status, self.body, self.headers, self.error = status, body, headers, error

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r} {self.error}"

    def json(self):
        return json.loads(self.body)


def curl(palisade, path, *options, port=None, body=None):
    """One request with curl that trusts the root alone."""
    with tempfile.TemporaryDirectory() as folder:
        head, out = pathlib.Path(folder, "head"), pathlib.Path(folder, "out")
        done = run("curl", "-sS", "--max-time", 20, "--cacert", palisade.ca, "-D", head, "-o", out,
                   "-w", "%{http_code}", *(["--data-binary", "@-"] if body is not None else []), *options,
                   f"https://{HOST}:{port or palisade.devices}{path}", check=False,
                   **({"input": body} if body is not None else {}))
        lines = head.read_text(errors="replace").splitlines() if head.exists() else []
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(int(done.stdout or 0), out.read_bytes() if out.exists() else b"", headers,
                      done.stderr.decode(errors="replace"))


def key_and_request(identity, subject=None, *options, key=("-newkey", "ec", "-pkeyopt",
                                                           "ec_paramgen_curve:prime256v1")):
    """A new key and a request (DER) for it."""
    return run("openssl", "req", "-new", *key, "-nodes", "-keyout", identity.key,
               "-subj", subject or f"/CN={identity.name}", "-outform", "DER", *options).stdout


def simple_enroll(palisade, request, *options, path="/.well-known/est/simpleenroll"):
    """Sends a request (DER) as RFC 7030 says."""
    return curl(palisade, path, "-H", "Content-Type: application/pkcs10",
                "-H", "Content-Transfer-Encoding: base64", *options, body=base64.encodebytes(request))


def save_certificate(answer, identity):
    """Writes the certificates of an EST answer to the identity's file, the device's own first."""
    der = base64.b64decode(answer.body)
    pem = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", input=der).stdout
    identity.certificate.write_bytes(pem)


def enrol(palisade, identity, secret):
    """A device's whole enrolment with a token."""
    answer = simple_enroll(palisade, key_and_request(identity), "-u", f"{identity.name}:{secret}")
    if answer.status == 200:
        save_certificate(answer, identity)
    return answer
