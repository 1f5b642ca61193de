"""The REST door: authentication, scopes, problems, paging, idempotency."""

import json
import pathlib
import urllib.request
import uuid

import pytest

import mosquitto
from fleet import curl
from palisade import SETUP_TOKEN


def test_the_set_up_token_works_once(palisade):
    spent = SETUP_TOKEN.search(palisade.log())[0]
    status, problem = palisade.rest("POST", "/setup", {"token": spent, "name": "again"}, token="")
    assert status in (401, 403, 409) and problem["status"] == status


@pytest.mark.parametrize("token", ["", "pat_wrong", "pat_" + "A" * 43, "x" * 5000])
def test_without_a_valid_token_nothing_is_said(palisade, token):
    status, problem = palisade.rest("GET", "/devices", token=token or " ")
    assert status == 401 and problem["type"]


def test_a_token_does_what_its_scopes_say_and_no_more(palisade, fleet):
    device = fleet.register()
    reader = palisade.post("/api-tokens", {"name": "reader", "scopes": ["devices:read"]})
    assert palisade.rest("GET", f"/devices/{device}", token=reader["secret"])[0] == 200
    for method, path, body in (("POST", f"/devices/{device}/quarantine", {"reason": "x"}),
                               ("POST", "/api-tokens", {"name": "more", "scopes": ["*"]}),
                               ("GET", "/ledger", None), ("GET", "/policy", None)):
        status, problem = palisade.rest(method, path, body, token=reader["secret"])
        assert status == 403, (path, problem)
    palisade.rest("DELETE", f"/api-tokens/{reader['id']}", expect=(200, 204))
    assert palisade.rest("GET", f"/devices/{device}", token=reader["secret"])[0] == 401


def test_problems_are_problem_json(palisade):
    status, problem = palisade.rest("GET", "/devices/no-such")
    assert status == 404
    assert {"type", "title", "status"} <= problem.keys()
    for path in ("/nowhere", "/devices/%ff", "/devices/a%2Fb"):
        status, problem = palisade.rest("GET", path)
        assert status in (400, 404, 422) and "title" in problem, path
    status, problem = palisade.rest("POST", "/devices", raw=b"{not json")
    assert status in (400, 422) and "title" in problem


def test_lists_come_in_pages_and_miss_nothing(palisade, fleet):
    product = fleet.product()
    made = {fleet.register(product) for _ in range(7)}
    seen, after = [], ""
    while True:
        page = palisade.get(f"/devices?product={product}&limit=3" + (f"&after={after}" if after else ""))
        assert len(page["items"]) <= 3
        seen += [device["id"] for device in page["items"]]
        after = page.get("next")
        if not after:
            break
    assert sorted(seen) == sorted(made)


def test_a_write_with_the_same_idempotency_key_happens_once(palisade, fleet):
    product, key = fleet.product(), {"Idempotency-Key": str(uuid.uuid4())}
    body = {"product": product, "uses": 1, "ttl_s": 60, "note": "once"}
    first, second = (palisade.rest("POST", "/enrolment-tokens", body, headers=dict(key)) for _ in range(2))
    assert first == second
    status, _ = palisade.rest("POST", "/enrolment-tokens", {**body, "uses": 2}, headers=dict(key))
    assert status in (409, 422)


def test_an_import_with_a_bad_line_changes_nothing_and_names_every_bad_line(palisade, fleet):
    product, names = fleet.product(), [fleet.new_name("imported") for _ in range(3)]
    lines = ["id,product,labels", f"{names[0]},{product},site=berlin", f"bad id,{product},", f"{names[1]},{product},x",
             f"{names[2]},no-such-product,"]
    status, problem = import_csv(palisade, lines)
    assert status in (400, 422), problem
    assert sorted(error["line"] for error in problem["errors"]) == [3, 4, 5]
    assert palisade.rest("GET", f"/devices/{names[0]}")[0] == 404


def test_an_import_registers_all(palisade, fleet):
    product, names = fleet.product(), [fleet.new_name("imported") for _ in range(50)]
    lines = ["id,product,labels", *(f"{name},{product},site=berlin;floor=2" for name in names)]
    assert import_csv(palisade, lines, "?dry_run=true")[0] == 200
    assert palisade.rest("GET", f"/devices/{names[0]}")[0] == 404
    assert import_csv(palisade, lines)[0] in (200, 201)
    assert palisade.get(f"/devices/{names[-1]}")["labels"] == {"site": "berlin", "floor": "2"}


def import_csv(palisade, lines, query=""):
    return palisade.rest("POST", f"/devices/import{query}", raw="\n".join(lines).encode(),
                         headers={"Content-Type": "text/csv"})


def test_a_message_sent_by_rest_arrives_and_one_without_a_grant_does_not(palisade, fleet):
    device, service = fleet.device(), fleet.service("fleet/rest")
    token = palisade.post("/api-tokens", {"name": "sender", "scopes": ["messages:write"], "service": service.name})
    with mosquitto.Subscriber(palisade, device, "fleet/rest") as heard:
        status, answer = palisade.rest("POST", "/messages", {
            "topic": "fleet/rest", "payload": "by rest", "qos": 1}, token=token["secret"])
        assert status == 202 and answer["receivers"] == 1
        assert heard.message() == ("fleet/rest", "by rest", 1, False)
    status, _ = palisade.rest("POST", "/messages", {"topic": "fleet/other", "payload": "x", "qos": 1},
                              token=token["secret"])
    assert status == 403


def test_policy_is_checked_before_it_is_applied(palisade):
    for bad in ("permit (", "permit (principal, action, resource) when { principal.shoe_size > 3 };"):
        status, problem = palisade.rest("POST", "/policy/apply", {"text": bad, "reason": "test"})
        assert status in (400, 409, 422), problem
    checked = palisade.post("/policy/check", {"text": "permit (principal, action, resource) when { nonsense };"})
    assert checked


def test_the_openapi_document_is_served_without_a_token_and_is_the_reviewed_one(palisade):
    served = curl(palisade, "/api/openapi.json", port=palisade.people).json()
    assert served["openapi"].startswith("3.1")
    reviewed = next(pathlib.Path("openapi").glob("*.json"))
    assert served == json.loads(reviewed.read_text())


def test_metrics_and_health_are_for_operators(palisade):
    for path, word in (("metrics", b"palisade_"), ("healthz", b""), ("readyz", b"")):
        with urllib.request.urlopen(f"http://127.0.0.1:{palisade.operators}/{path}") as answer:
            assert answer.status == 200 and word in answer.read()


def test_what_was_refused_is_recorded_with_who_tried(palisade, fleet):
    device = fleet.register()
    reader = palisade.post("/api-tokens", {"name": fleet.new_name("curious"), "scopes": ["devices:read"]})
    palisade.rest("POST", f"/devices/{device}/revoke", {"reason": "x"}, token=reader["secret"], expect=403)
    acts = [event for event in palisade.events(kind="administrative") if reader["name"] in str(event["actor"])]
    assert any(event["outcome"] == "refused" for event in acts), acts
