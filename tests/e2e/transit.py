"""The Transit engine of HashiCorp Vault and OpenBao as its documented HTTP API says (encrypt, decrypt, keys, rotate,
config, trim): no server of theirs is in the registries that the tests install from. It seals with AES-256-GCM as the
engine does, refuses in its words, and can have a bad day."""

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from palisade import free_port

TOKEN = "hvs.a-token-that-is-in-no-log"


class Refused(Exception):
    def __init__(self, status, *errors):
        super().__init__(status, errors)
        self.status, self.errors = status, list(errors)


class Engine:
    """One engine, mounted at `transit/`."""

    def __init__(self, tls, port=None):
        self.tls, self.port = tls, port or free_port()
        self.tokens, self.keys = {TOKEN}, {}
        self.ignores = False
        self.misbehave, self.released = None, threading.Event()
        self.asked = []

    @property
    def url(self):
        return f"https://localhost:{self.port}"

    def __enter__(self):
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                self.body = body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                engine.asked.append((self.command, self.path))
                try:
                    if engine.misbehave and engine.misbehave(self):
                        self.close_connection = True
                        return
                    self.answer(*engine.serve(self.command, self.path, self.headers.get("X-Vault-Token"), body))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_POST = do_PUT = handle_one

            def answer(self, status, value=None, headers=()):
                content = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response_only(status)
                for name, text in headers:
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def hang(self, _):
        self.released.wait(60)
        return True

    def serve(self, method, path, token, body):
        try:
            if token not in self.tokens:
                raise Refused(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
            parts = path.split("/")
            if parts[:3] != ["", "v1", "transit"]:
                raise Refused(404, f"no handler for route \"{path}\". route entry not found.")
            value = json.loads(body) if body else {}
            answer = self.act(method, parts[3], parts[4], parts[5] if len(parts) > 5 else None, value)
            return (204, None) if answer is None else (200, {"request_id": "x", "data": answer})
        except Refused as refused:
            return refused.status, {"errors": refused.errors}

    def act(self, method, what, name, more, value):
        key = self.keys.get(name)
        if what == "keys" and method == "GET":
            if key is None:
                raise Refused(404)
            return {"type": key["type"], "derived": False, "exportable": key["exportable"], "name": name,
                    "latest_version": max(key["versions"]), "min_available_version": key["available"],
                    "min_decryption_version": key["decryption"], "min_encryption_version": key["encryption"],
                    "keys": {str(version): 1442851412 for version in key["versions"]}}
        if what == "keys" and more is None:
            self.keys.setdefault(name, {"type": value.get("type", "aes256-gcm96"), "versions": {1: os.urandom(32)},
                                        "exportable": value.get("exportable", False),
                                        "available": 0, "decryption": 1, "encryption": 0})
            return None
        if key is None:
            raise Refused(400, "encryption key not found")
        if what == "keys":
            return getattr(self, f"_{more}")(key, value)
        return getattr(self, f"_{what}")(key, value)

    @staticmethod
    def _rotate(key, _):
        key["versions"][max(key["versions"]) + 1] = os.urandom(32)

    @staticmethod
    def _config(key, value):
        for short in ("decryption", "encryption"):
            wanted = value.get(f"min_{short}_version", key[short])
            if wanted > max(key["versions"]):
                raise Refused(400, f"cannot set min {short} version of {wanted}, latest key version is lower")
            key[short] = wanted

    @staticmethod
    def _trim(key, value):
        least = value["min_available_version"]
        if not key["encryption"] or not key["decryption"]:
            raise Refused(400, "minimum available version cannot be set when minimum encryption version is not set")
        if least > min(key["encryption"], key["decryption"]):
            raise Refused(400, "minimum available version cannot be higher than minimum decryption version")
        key["available"] = least
        for version in [version for version in key["versions"] if version < least]:
            del key["versions"][version]

    def _data(self, value):
        """What is to be authenticated besides; an engine of before knows nothing of it."""
        return b"" if self.ignores else base64.b64decode(value.get("associated_data", ""))

    def _encrypt(self, key, value):
        version, nonce = max(key["versions"]), os.urandom(12)
        sealed = AESGCM(key["versions"][version]).encrypt(
            nonce, base64.b64decode(value["plaintext"]), self._data(value))
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(nonce + sealed).decode()}", "key_version": version}

    def _decrypt(self, key, value):
        prefix, _, text = value["ciphertext"].rpartition(":")
        version = int(prefix.removeprefix("vault:v"))
        if version < key["decryption"] or version not in key["versions"]:
            raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            sealed = base64.b64decode(text, validate=True)
            opened = AESGCM(key["versions"][version]).decrypt(
                sealed[:12], sealed[12:], self._data(value))
        except (InvalidTag, ValueError):
            raise Refused(400, "cipher: message authentication failed") from None
        return {"plaintext": base64.b64encode(opened).decode()}
