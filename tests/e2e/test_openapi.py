"""schemathesis: every operation of the REST door against what its OpenAPI document says."""

import pathlib
import sys

from palisade import HOST, run

# Nothing is left out. The server is the test's own, for the run revokes, imports and applies at random.


def test_the_rest_door_does_what_its_document_says(own_palisade, tmp_path):
    schemathesis = pathlib.Path(sys.executable).with_name("schemathesis")
    done = run(
        schemathesis, "run", f"https://{HOST}:{own_palisade.people}/api/openapi.json",
        "--tls-verify", own_palisade.ca, "--header", f"Authorization:Bearer {own_palisade.token}",
        "--checks", "all", "--max-examples", 20, "--seed", 1, "--request-timeout", 10, "--no-color",
        "--phases", "examples,coverage,fuzzing", "--workers", 2, "--continue-on-failure",
        check=False, timeout=420, cwd=tmp_path)
    assert own_palisade.is_ready()
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-20_000:]
