"""An object store that we did not write (moto's server, which checks signatures and permissions), and a proxy before
it that does what stores do on a bad day."""

import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import botocore.config

from palisade import free_port, wait_for

BUCKET, PREFIX = "telemetry", "palisade/one"
# What docs/vault.md says is needed, and nothing else.
NEEDED = {
    "bucket": ["s3:ListBucket", "s3:GetBucketVersioning", "s3:ListBucketVersions"],
    "object": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
}


class Moto:
    """One store with a bucket, and a user who may do what is needed."""

    def __init__(self, folder, tls=None, needed=None):
        self.folder, self.port, self.tls = pathlib.Path(folder), free_port(), tls
        self.needed = needed or NEEDED

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def __enter__(self):
        command = [str(pathlib.Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]
        if self.tls:
            ca, certificate, key = self.tls
            command += ["-c", str(certificate), "-k", str(key)]
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "root", "AWS_SECRET_ACCESS_KEY": "root"}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment,
                                        stdout=open(self.folder / "moto.log", "wb"), stderr=subprocess.STDOUT)
        try:
            wait_for(self._answers, "moto", 30)
            self._prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)

    def client(self, service, key=("root", "root")):
        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id=key[0],
            aws_secret_access_key=key[1], verify=str(self.tls[0]) if self.tls else None,
            config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}))

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "moto.log").read_text()
        try:
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=1).connect()
            return True
        except OSError:
            return False

    def _prepare(self):
        self.client("s3").create_bucket(Bucket=BUCKET)
        iam = self.client("iam")
        arn = f"arn:aws:s3:::{BUCKET}"
        self.admin = self._user(iam, "admin", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
        self.key = self._user(iam, "palisade", [
            {"Effect": "Allow", "Action": self.needed["bucket"], "Resource": arn},
            {"Effect": "Allow", "Action": self.needed["object"], "Resource": f"{arn}/{PREFIX}/*"},
        ])
        # From now on who asks has to be one of the two, and allowed to.
        request = urllib.request.Request(f"{self.url}/moto-api/reset-auth", data=b"0", method="POST",
                                         headers={"Content-Type": "text/plain"})
        context = ssl.create_default_context(cafile=str(self.tls[0])) if self.tls else None
        urllib.request.urlopen(request, timeout=10, context=context).read()
        self.s3 = self.client("s3", self.admin)

    @staticmethod
    def _user(iam, name, statements):
        iam.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="what", PolicyDocument=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    def keep_versions(self):
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def keys(self):
        """The objects that there are."""
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def versions(self):
        """Every version and mark of deletion that there is."""
        found = self.s3.list_object_versions(Bucket=BUCKET)
        return [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in found.get(kind, [])]

    def read(self, key):
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def settings(self, data, endpoint=None, **more):
        """The configuration of a server with this data directory, as the environment spells it."""
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = data / "s3.secret"
        secret.write_text(self.key[1])
        secret.chmod(0o600)
        settings = {"URL": f"s3://{BUCKET}/{PREFIX}", "ENDPOINT": endpoint or self.url,
                    "ACCESS_KEY_ID": self.key[0], "SECRET_KEY_FILE": "s3.secret", "TIMEOUT_S": "3", "RETRIES": "1"}
        if self.tls:
            settings["CA"] = str(self.tls[0])
        settings.update(more)
        return {f"VAULT__OBJECTS__{key}": value for key, value in settings.items()}


class Proxy:
    """Passes requests on to a store, until `misbehave` says what to do with them instead: a function of the request
    that answers it, or says `False` where it is to be passed on."""

    def __init__(self, store):
        self.store, self.port = store, free_port()
        self.misbehave, self.released, self.asked = None, threading.Event(), []

    @property
    def url(self):
        return f"http://localhost:{self.port}"

    def __enter__(self):
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                length = int(self.headers.get("Content-Length") or 0)
                self.body = self.rfile.read(length)
                proxy.asked.append((self.command, self.path))
                misbehave = proxy.misbehave
                try:
                    if misbehave is None or misbehave(self) is False:
                        status, headers, body = self.forward()
                        self.answer(status, headers, body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one

            def forward(self):
                onward = http.client.HTTPConnection("127.0.0.1", proxy.store.port, timeout=30)
                onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    onward.putheader(name, value)
                onward.endheaders(self.body)
                answer = onward.getresponse()
                return answer.status, answer.getheaders(), answer.read()

            def answer(self, status, headers=(), body=b"", length=None):
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                    elif name.lower() == "content-length" and self.command == "HEAD":
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
                    self.wfile.flush()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def hang(self):
        """Gives no answer, and passes nothing on."""
        self.released.wait(60)
        return True

    def behave(self):
        self.misbehave = None


def is_object(request, method):
    return request.command == method and request.path.split("?")[0].endswith(".parquet")
