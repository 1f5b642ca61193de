"""schemathesis: every operation of the REST door against what its OpenAPI document says.

Nothing is left out: the server is the test's own, for the run revokes, imports and applies at random.
"""

import os
import pathlib
import sys

import pytest

from fleet import curl
from palisade import HOST, run

TESTS = pathlib.Path(__file__).parent.parent
CONFIG = TESTS / "schemathesis.toml"
HOOKS = TESTS / "schemathesis_hooks.py"


@pytest.fixture()
def token(own_palisade):
    """A token that may do everything and speaks for a service, as messages need it; and what it acts on."""
    schemas = curl(own_palisade, "/api/openapi.json", port=own_palisade.people).json()["components"]["schemas"]
    product, device, service = (schemas[name]["examples"][0] for name in ("ProductId", "DeviceId", "ServiceId"))
    own_palisade.put(f"/products/{product}", {"description": "example"})
    own_palisade.post("/devices", {"id": device, "product": product})
    own_palisade.put(f"/services/{service}", {"description": "example"})
    own_palisade.post("/grants", {"scope": {"type": "service", "id": service}, "pattern": "#",
                                  "actions": {"publish": True, "retain": True}})
    return own_palisade.post("/api-tokens", {"name": "schemathesis", "scopes": ["*"], "service": service})["secret"]


def test_the_rest_door_does_what_its_document_says(own_palisade, token, tmp_path):
    schemathesis = pathlib.Path(sys.executable).with_name("schemathesis")
    # One worker: CPython 3.11 fails now and then when two threads compile at the same time.
    done = run(
        schemathesis, f"--config-file={CONFIG}", "run", f"https://{HOST}:{own_palisade.people}/api/openapi.json",
        "--tls-verify", own_palisade.ca, "--header", f"Authorization:Bearer {token}", "--checks", "all",
        "--max-examples", 15, "--seed", 1, "--request-timeout", 10, "--no-color", "--workers", 1,
        "--phases", "examples,coverage,fuzzing", "--continue-on-failure",
        check=False, timeout=420, cwd=tmp_path, env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)})
    assert own_palisade.is_ready()
    assert done.returncode == 0, done.stdout.decode(errors="replace").replace("\b", "")[-20_000:]
