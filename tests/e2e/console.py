"""A person at the console: drives Chromium by `console.cjs`."""

import json
import os
import pathlib
import shutil

import pytest

from palisade import HOST, run

SCRIPT = pathlib.Path(__file__).with_name("console.cjs")
# Screenshots of the last run; git ignores them.
SHOTS = pathlib.Path(__file__).parents[2] / "artefacts" / "console"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
READY = pytest.mark.skipif(not CHROMIUM or not shutil.which("node"), reason="chromium or node is not installed")


def person(server, scenario, **task):
    """What a person sees who does this at the console. `CONSOLE_DIST` names a console to use in place of the one
    in the server."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    task = {"scenario": scenario, "url": f"https://{HOST}:{server.people}/", "token": server.token,
            "chromium": CHROMIUM, "shots": str(SHOTS), "dist": os.environ.get("CONSOLE_DIST"), **task}
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(server.ca)}
    done = run("node", SCRIPT, input=json.dumps(task).encode(), timeout=300, env=environment)
    seen = json.loads(done.stdout)
    assert seen["complaints"] == [], "the browser complains: of an error, or of what the policy forbids"
    return seen
