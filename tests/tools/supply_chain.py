#!/usr/bin/env python3
"""Checks every linked crate against deny.toml: licence, bans, source.

The same lists drive `cargo deny check licenses bans sources`; this needs nothing installed. What it
does not do is ask for advisories: that needs the advisory database, which `cargo deny check
advisories` fetches.
"""

import json
import re
import subprocess
import sys
import tomllib

TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]


def tokens(expression):
    return re.findall(r"\(|\)|[A-Za-z0-9.+-]+", expression.replace("/", " OR "))


def is_allowed(expression, allowed):
    """Evaluates an SPDX expression: OR, AND, WITH, parentheses."""
    items = tokens(expression)

    def parse_or():
        value = parse_and()
        while items and items[0] == "OR":
            items.pop(0)
            value = parse_and() or value
        return value

    def parse_and():
        value = parse_atom()
        while items and items[0] == "AND":
            items.pop(0)
            value = parse_atom() and value
        return value

    def parse_atom():
        if items[0] == "(":
            items.pop(0)
            value = parse_or()
            items.pop(0)
            return value
        name = items.pop(0)
        if items and items[0] == "WITH":
            items.pop(0)
            name = f"{name} WITH {items.pop(0)}"
        return name in allowed

    return parse_or()


def linked_packages(target):
    """The packages that are really linked for a target, tests included."""
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target],
            check=True,
            capture_output=True,
        ).stdout
    )
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--workspace", "--target", target, "--prefix", "none",
         "--edges", "normal,build,dev", "--format", "{p}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    used = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    return [p for p in metadata["packages"] if (p["name"], "v" + p["version"]) in used]


def direct_users(crate, target):
    """The packages that a crate is a dependency of, by name."""
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--workspace", "--target", target, "--prefix", "depth", "--depth", "1",
         "--edges", "normal,build,dev", "--format", " {p}", "--invert", crate],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {line.split()[1] for line in tree.splitlines() if line.startswith("1 ")}


def main():
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    allowed = set(rules["licenses"]["allow"])
    exceptions = {rule["crate"]: set(rule["allow"]) for rule in rules["licenses"].get("exceptions", [])}
    banned = {ban["crate"]: ban for ban in rules["bans"]["deny"]}
    sources = {f"registry+{url}" for url in rules["sources"]["allow-registry"]}
    problems, seen = [], set()
    for target in TARGETS:
        for package in linked_packages(target):
            name = f"{package['name']} {package['version']}"
            if name in seen:
                continue
            seen.add(name)
            ban = banned.get(package["name"])
            if ban and direct_users(package["name"], target) - set(ban.get("wrappers", [])):
                problems.append(f"{name} is banned: {ban['reason']}")
            if not package["license"]:
                problems.append(f"{name} names no licence")
            elif not is_allowed(package["license"], allowed | exceptions.get(package["name"], set())):
                problems.append(f"{name} has licence {package['license']}, which deny.toml does not allow")
            if package["source"] and package["source"] not in sources:
                problems.append(f"{name} comes from {package['source']}, which deny.toml does not allow")
    for problem in problems:
        print(f"supply chain: {problem}", file=sys.stderr)
    print(f"{len(seen)} crates, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    assert is_allowed("MIT OR GPL-3.0", {"MIT"}) and not is_allowed("MIT AND GPL-3.0", {"MIT"})
    assert is_allowed("(MIT OR X) AND Y", {"MIT", "Y"}) and not is_allowed("X WITH E", {"X"})
    sys.exit(main())
