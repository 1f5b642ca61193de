//! Audits over REST: what is found, and the one step that mends it.

use std::time::{Duration, Instant};

use axum::http::Method;
use palisade_core::{
    Clock, DeviceId, Grant, GrantActions, GrantId, GrantScope, Lifecycle, TopicPattern,
};
use palisade_detect::audit::Check;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::house::{House, house};

/// A house whose detection runs.
pub struct Audited {
    pub house: House,
    cancel: CancellationToken,
}

impl Drop for Audited {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

pub async fn audited() -> Audited {
    let house = house().await;
    let cancel = CancellationToken::new();
    tokio::spawn(house.detect.clone().run(cancel.clone()));
    Audited { house, cancel }
}

pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Audited {
    /// Runs checks to their end and returns the report.
    pub async fn run(&self, checks: &[&str]) -> Value {
        let body = json!({ "checks": checks });
        let begun = self
            .house
            .post("/api/v1/audits/run", body)
            .expect(202)
            .await;
        let id = begun["id"].as_str().expect("an id").to_owned();
        let path = format!("/api/v1/audits/runs/{id}");
        let mut report = Value::Null;
        until("the run has ended", async || {
            report = self.house.get(&path).expect(200).await;
            !report["ended_at"].is_null()
        })
        .await;
        report
    }

    /// What a check finds now: resource and detail of each.
    pub async fn found(&self, check: &str) -> Vec<(String, String)> {
        let report = self.run(&[check]).await;
        let result = &report["results"][0];
        assert_ne!(result["state"], "failed", "{result}");
        let id = report["id"].as_str().expect("an id");
        let path = format!("/api/v1/audits/runs/{id}/resources?check={check}&limit=1000");
        let page = self.house.get(&path).expect(200).await;
        let items = page["items"].as_array().expect("items");
        assert_eq!(result["non_compliant"], items.len());
        let text = |item: &Value, name: &str| item[name].as_str().expect("text").to_owned();
        items
            .iter()
            .map(|item| (text(item, "resource"), text(item, "detail")))
            .collect()
    }

    /// Mends what a check found last, and returns the answer.
    pub async fn mitigate(&self, check: &str, body: Value) -> Value {
        let runs = self
            .house
            .get("/api/v1/audits/runs?limit=1")
            .expect(200)
            .await;
        let id = runs["items"][0]["id"].as_str().expect("an id").to_owned();
        let mut body = body;
        body["check"] = json!(check);
        let path = format!("/api/v1/audits/runs/{id}/mitigate");
        self.house.post(&path, body).expect(200).await
    }

    /// The findings of a check that are open.
    pub async fn open_findings(&self, check: &str) -> usize {
        let path = format!("/api/v1/findings?detector=audit/{check}&state=open");
        let page = self.house.get(&path).expect(200).await;
        page["items"].as_array().expect("items").len()
    }

    pub async fn grant(&self, scope: GrantScope, pattern: &str) -> GrantId {
        let grant = Grant {
            id: GrantId::generate(),
            scope,
            pattern: TopicPattern::parse(pattern).expect("a pattern"),
            actions: GrantActions {
                publish: true,
                ..GrantActions::default()
            },
            created_at: self.house.clock.now(),
        };
        let id = grant.id;
        self.house.pdp.add_grant(grant).await.expect("adds");
        id
    }
}

pub fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).expect("valid")
}

#[tokio::test]
async fn what_an_audit_finds_is_a_finding_that_ends_when_it_is_mended() {
    let all = audited().await;
    let grant = all.grant(GrantScope::Fleet, "#").await;
    let report = all.run(&["permissive-grant"]).await;
    assert_eq!(report["started_by"], "admin");
    assert_eq!(report["non_compliant_checks"], 1);
    assert_eq!(report["results"][0]["state"], "non_compliant");
    until("there is a finding", async || {
        all.open_findings("permissive-grant").await == 1
    })
    .await;

    let body = json!({ "resources": [format!("grant/{grant}")], "reason": "nobody needs it" });
    let mended = all.mitigate("permissive-grant", body).await;
    assert_eq!(mended["done"], 1, "{mended}");
    assert!(all.house.pdp.grants().is_empty());
    let entries = all.house.entries().await;
    let entry = entries.last().expect("an entry");
    assert_eq!(entry["act"], "audit.mitigate");
    assert_eq!(entry["actor"]["id"], "admin");
    assert_eq!(entry["reason"], "nobody needs it");
    let id = report["id"].as_str().expect("an id");
    let path = format!("/api/v1/audits/runs/{id}/resources?check=permissive-grant");
    let page = all.house.get(&path).expect(200).await;
    assert_eq!(page["items"][0]["mitigated_by"], "admin");

    let report = all.run(&["permissive-grant"]).await;
    assert_eq!(report["results"][0]["state"], "compliant");
    until("the finding is cleared", async || {
        all.open_findings("permissive-grant").await == 0
    })
    .await;
}

#[tokio::test]
async fn an_audits_finding_costs_trust_until_it_is_mended() {
    let all = audited().await;
    let house = &all.house;
    house.fleet(&["cam-1"]).await;
    let id = device("cam-1");
    let active = house.pdp.set_lifecycle(&id, Lifecycle::Active, "a test");
    active.await.expect("is active");
    house.clock.advance_millis(31 * 86_400_000);
    let points = || {
        let reasons = house.detect.evidence().evidence(&id, house.clock.now());
        reasons.iter().map(|one| one.points).sum::<u8>()
    };
    all.run(&["dormant-device"]).await;
    until("it costs trust", async || points() == 5).await;
    let seen = [(id.clone(), house.clock.now())];
    house.store.devices().touch(&seen).await.expect("writes");
    all.run(&["dormant-device"]).await;
    until("it costs nothing", async || points() == 0).await;
}

#[tokio::test]
async fn the_checks_say_what_they_mean_and_what_they_found_last() {
    let all = audited().await;
    all.run(&["crl-stale"]).await;
    let checks = all.house.get("/api/v1/audits").expect(200).await;
    let checks = checks["items"].as_array().expect("items");
    assert_eq!(checks.len(), Check::ALL.len());
    for check in checks {
        assert!(
            check["meaning"].as_str().expect("text").len() > 40,
            "{check}"
        );
        assert_eq!(check["enabled"], true);
        let ran = !check["last"].is_null();
        assert_eq!(ran, check["check"] == "crl-stale", "{check}");
    }
}

#[tokio::test]
async fn all_checks_run_where_none_is_named() {
    let all = audited().await;
    let report = all.run(&[]).await;
    let results = report["results"].as_array().expect("results");
    assert_eq!(results.len(), Check::ALL.len());
    for result in results {
        assert_ne!(result["state"], "failed", "{result}");
    }
}

#[tokio::test]
async fn a_check_or_a_thing_that_there_is_not_is_refused() {
    let all = audited().await;
    let house = &all.house;
    let body = json!({ "checks": ["everything"] });
    house.post("/api/v1/audits/run", body).problem(422).await;
    let missing = "/api/v1/audits/runs/01JZX3R5W8Q2M4N6P7T9V0A1BC";
    house.get(missing).problem(404).await;
    let grant = all.grant(GrantScope::Fleet, "#").await;
    all.run(&["permissive-grant"]).await;
    let runs = house.get("/api/v1/audits/runs").expect(200).await;
    let id = runs["items"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/audits/runs/{id}/mitigate");
    let other = GrantId::generate();
    let named = [format!("grant/{grant}"), format!("grant/{other}")];
    let body = json!({ "check": "permissive-grant", "resources": named });
    let why = house.post(&path, body).problem(422).await;
    assert!(why.contains(&other.to_string()), "{why}");
    assert_eq!(house.pdp.grants().len(), 1, "all of them, or none");
    let body = json!({ "check": "permissive-policy" });
    let why = house.post(&path, body).problem(409).await;
    assert!(why.contains("palisade policy"), "{why}");
}

#[tokio::test]
async fn a_step_needs_the_scope_of_the_act_that_it_is() {
    let all = audited().await;
    let house = &all.house;
    all.grant(GrantScope::Fleet, "#").await;
    let report = all.run(&["permissive-grant"]).await;
    let id = report["id"].as_str().expect("an id");
    let path = format!("/api/v1/audits/runs/{id}/mitigate");
    let analyst = house
        .token("analyst", &["detect:read", "detect:write"])
        .await;
    let call = house.anonymous(Method::POST, &path).bearer(&analyst);
    let why = call
        .json(json!({ "check": "permissive-grant" }))
        .problem(403)
        .await;
    assert!(why.contains("policy:write"), "{why}");
    assert_eq!(house.pdp.grants().len(), 1);
}

#[tokio::test]
async fn what_was_mended_is_not_mended_again() {
    let all = audited().await;
    for pattern in ["#", "+/x"] {
        all.grant(GrantScope::Fleet, pattern).await;
    }
    all.run(&["permissive-grant"]).await;
    let mended = all.mitigate("permissive-grant", json!({})).await;
    assert_eq!(mended["done"], 2, "{mended}");
    let again = all.mitigate("permissive-grant", json!({})).await;
    assert_eq!(again["steps"], json!([]));
}
