"""Audits: a real server is audited, what is found is mended in one step, and the finding ends."""

import json

import pytest

from palisade import wait_for

NOT_COMPLIANT = 6


@pytest.fixture()
def audited(own_palisade):
    own_palisade.login()
    return own_palisade


def audit(palisade, *checks):
    """Runs checks by the command line; returns its exit code and the report."""
    named = [word for check in checks for word in ("--check", check)]
    done = palisade.cli("audit", "run", *named, "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def open_findings(palisade, check):
    return palisade.get(f"/findings?detector=audit/{check}&state=open")["items"]


def test_what_an_audit_finds_is_mended_in_one_step_and_its_finding_ends(audited):
    palisade = audited
    code, report = audit(palisade, "permissive-grant")
    assert code == 0 and report["results"][0]["state"] == "compliant", report
    grant = palisade.cli_json("grant", "add", "#", "--fleet", "--allow", "publish")

    code, report = audit(palisade, "permissive-grant")
    assert code == NOT_COMPLIANT, report
    assert report["resources"][0]["items"][0]["resource"] == f"grant/{grant['id']}"
    found = wait_for(lambda: open_findings(palisade, "permissive-grant"), "there is a finding")
    assert found[0]["severity"] == "high" and found[0]["subject"] == "fleet"

    text = palisade.cli("audit", "report", check=False)
    assert text.returncode == NOT_COMPLIANT
    said = text.stdout if isinstance(text.stdout, str) else text.stdout.decode()
    assert f"grant/{grant['id']}" in said and "palisade audit mitigate permissive-grant --all" in said

    mended = palisade.cli_json("audit", "mitigate", "permissive-grant", f"grant/{grant['id']}", "--yes",
                               "--reason", "a test")
    assert mended["done"] == 1, mended
    code, _ = audit(palisade, "permissive-grant")
    assert code == 0
    wait_for(lambda: not open_findings(palisade, "permissive-grant"), "the finding is cleared")
    cleared = palisade.get("/findings?detector=audit/permissive-grant")["items"]
    assert [one["state"] for one in cleared] == ["cleared"]
    acts = [event["act"] for event in palisade.events(kind="administrative")]
    assert "audit.run" in acts and "audit.mitigate" in acts


def test_a_whole_audit_of_a_new_server_finds_the_administrators_token_and_little_else(audited):
    code, report = audit(audited)
    results = {result["check"]: result["state"] for result in report["results"]}
    assert len(results) == 21
    assert code == NOT_COMPLIANT
    assert [check for check, state in results.items() if state != "compliant"] == ["broad-api-token"], results
    checks = audited.cli_json("audit", "list")["items"]
    assert {check["check"]: check["last"]["state"] for check in checks} == results


def test_a_verdict_and_a_suppression_are_taken_on_the_command_line(audited):
    palisade = audited
    audit(palisade, "broad-api-token")
    found = wait_for(lambda: open_findings(palisade, "broad-api-token"), "there is a finding")
    judged = palisade.cli_json("finding", "verdict", found[0]["id"], "benign-expected", "--note", "the first token")
    assert judged["verdict"] == "benign_expected" and judged["verdict_by"] == "tests"
    audit(palisade, "broad-api-token")
    listed = palisade.cli_json("finding", "list", "--detector", "audit/broad-api-token")["items"]
    assert len(listed) == 1, "what is expected is not said again"
    made = palisade.cli_json("suppression", "add", "--detector", "audit/broad-api-token", "--subject", "*",
                             "--for", "30d", "--reason", "reviewed")
    assert [one["id"] for one in palisade.cli_json("suppression", "list")["items"]] == [made["id"]]
