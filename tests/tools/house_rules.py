#!/usr/bin/env python3
"""Checks what no lint does: which crate may depend on which, and how large a room may grow."""

import pathlib
import sys
import tomllib

# A crate may depend on crates of a lower floor only, so that capabilities never import each other.
FLOORS = {
    "core": 0,
    "store": 1,
    "keys": 1,
    "tlog": 1,
    "envelope": 1,
    "proxied": 1,
    "backup": 1,
    "test-store": 2,
    "bus": 2,
    "mail": 2,
    "oidc": 2,
    "ledger": 3,
    "identity": 3,
    "people": 3,
    "policy": 3,
    "detect": 3,
    "respond": 3,
    "vault": 3,
    "agent": 3,
    "gateway": 4,
    "export": 4,
    "api": 5,
    "palisade": 6,
}
MAX_LINES = 600


def main():
    problems = []
    root = pathlib.Path(".")
    for manifest in sorted(root.glob("crates/*/Cargo.toml")):
        crate = manifest.parent.name
        if crate not in FLOORS:
            problems.append(f"crates/{crate} has no floor: give it one in {__file__}")
            continue
        dependencies = tomllib.loads(manifest.read_text()).get("dependencies", {})
        for name in dependencies:
            lower = name.removeprefix("palisade-")
            if name != lower and FLOORS.get(lower, 99) >= FLOORS[crate]:
                problems.append(f"crates/{crate} must not depend on {name}: it is not on a lower floor")
    for source in sorted(root.glob("crates/*/src/**/*.rs")):
        lines = len(source.read_text().splitlines())
        if lines > MAX_LINES:
            problems.append(f"{source} has {lines} lines, at most {MAX_LINES} are allowed: look for the seam")
        if source.name == "mod.rs":
            problems.append(f"{source}: use {source.parent.name}.rs beside the folder, not mod.rs")
    for problem in problems:
        print(f"house rules: {problem}", file=sys.stderr)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
