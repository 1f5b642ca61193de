"""The ledger as a transparency log, checked by golang.org/x/mod/sumdb, which nobody of Palisade wrote."""

import os
import pathlib
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest

from fleet import Fleet
from palisade import HOST, Palisade, run, wait_for

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def verifier(tmp_path_factory):
    """Our few lines around that library, from Debian's package of it."""
    program = tmp_path_factory.mktemp("tlog") / "tlog"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                   "GOCACHE": str(program.parent / "cache"), "HOME": str(program.parent)}
    run("go", "build", "-o", program, HERE / "tlog" / "main.go", env=environment, timeout=300)
    return program


def fetch(server, path, token=None):
    """One resource under `/ledger/`: its status and bytes."""
    request = urllib.request.Request(f"https://{HOST}:{server.people}/ledger/{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=server.ca)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def checkpoint(server, token=None):
    """The newest checkpoint, and over how many entries it is. One is made if the last is not over all of them."""
    entries = server.get("/ledger/head")["entries"]

    def newest():
        status, note = fetch(server, "checkpoint", token or server.token)
        return note if status == 200 and int(note.split(b"\n")[1]) >= entries else None
    note = wait_for(newest, f"a checkpoint over {entries} entries", 30)
    return note, int(note.split(b"\n")[1])


def download(server, folder, size):
    """All tiles of a tree, and all entries."""
    paths, level, count = [], 0, size
    while count:
        for index in range(0, count, 256):
            width = min(256, count - index)
            name = f"{index // 256:03}" + (f".p/{width}" if width < 256 else "")
            paths.append(f"{level}/{name}")
            if level == 0:
                paths.append(f"entries/{name}")
        level, count = level + 1, count // 256
    for path in paths:
        status, data = fetch(server, f"tile/{path}", server.token)
        assert status == 200, (path, data)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def grow(server, entries):
    """Writes entries: refusals and acts of an administrator."""
    for number in range(entries):
        server.put(f"/products/made-{number}", {"description": "an entry"})


def check(verifier, *arguments):
    return subprocess.run([verifier, "check", *map(str, arguments)], capture_output=True, timeout=60)


@pytest.fixture()
def server(tmp_path):
    with Palisade(tmp_path / "palisade", LEDGER__CHECKPOINT_EVERY_S="1",
                  LEDGER__ORIGIN="log.example/palisade").running() as server:
        yield server


def test_another_program_proves_every_entry_and_that_the_log_only_grew(server, tmp_path, verifier):
    Fleet(server).device()
    old, _ = checkpoint(server)
    grow(server, 300)
    note, size = checkpoint(server)
    assert size > 300
    (key,) = server.get("/ledger/log")["keys"]
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "new").write_bytes(note)
    tiles = tmp_path / "tiles"
    download(server, tiles, size)
    done = check(verifier, key, tmp_path / "new", tiles, tmp_path / "old")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{size} entries are proved\n".encode()
    # It would have seen: another entry, another hash, another signature.
    for path in ("entries/000", "0/000"):
        bytes_ = (tiles / path).read_bytes()
        at = bytes_.index(b"registered") if path.startswith("entries") else 40
        (tiles / path).write_bytes(bytes_[:at] + bytes([bytes_[at] ^ 1]) + bytes_[at + 1:])
        assert check(verifier, key, tmp_path / "new", tiles).returncode == 1, path
        (tiles / path).write_bytes(bytes_)
    (tmp_path / "forged").write_bytes(note.replace(f"\n{size}\n".encode(), f"\n{size - 1}\n".encode()))
    assert check(verifier, key, tmp_path / "forged", tiles).returncode == 1


def test_nobody_reads_the_log_without_a_token_unless_hashes_are_published(server, tmp_path):
    note, size = checkpoint(server)
    secret = {path: fetch(server, path)[0] for path in
              ("checkpoint", f"tile/0/000.p/{size}", f"tile/entries/000.p/{size}")}
    assert set(secret.values()) == {401}
    narrow = server.post("/api-tokens", {"name": "narrow", "scopes": ["devices:read"]})["secret"]
    assert fetch(server, "checkpoint", narrow)[0] == 403
    with Palisade(tmp_path / "public", LEDGER__CHECKPOINT_EVERY_S="1",
                  LEDGER__PUBLISH_HASHES="true").running() as public:
        _, size = checkpoint(public)
        assert fetch(public, "checkpoint")[0] == 200
        status, hashes = fetch(public, f"tile/0/000.p/{size}")
        assert (status, len(hashes)) == (200, 32 * size)
        # Entries have content, and stay behind the token.
        assert fetch(public, f"tile/entries/000.p/{size}")[0] == 401


def test_a_tile_that_is_not_there_is_refused_with_a_reason(server):
    _, size = checkpoint(server)
    for path in (f"tile/0/000.p/{size + 50}", "tile/0/000", "tile/9/000", "tile/0/0", "tile/0/..%2f", "tile/entries/001",
                 "tile/0/x999/x999/x999/x999/x999/999", "tile/0/000.p/0"):
        status, body = fetch(server, path, server.token)
        assert status == 404 and b"tile" in body, (path, status, body)
