"""The demo: a device turns bad and is contained, in figures."""

import json
import os

from palisade import binary, run


def test_the_demo_contains_its_bad_device_and_leaves_nothing_behind(tmp_path):
    done = run(binary("palisade"), "demo", "--json", "--devices", 10, timeout=120,
               env={**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)})
    story = json.loads(done.stdout)
    assert story["ok"] and all(step["happened"] for step in story["timeline"])
    steps = [step["step"] for step in story["timeline"]]
    for wanted in ("session_closed", "reconnect_refused", "found", "quarantined", "certificate_on_crl"):
        assert wanted in steps
    assert list(tmp_path.iterdir()) == []
