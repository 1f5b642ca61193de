//! The numbers of the server, in Prometheus' text format.

use std::{
    fmt::{Display, Write},
    time::{Duration, Instant},
};

use palisade_core::Lifecycle;
use palisade_detect::DetectStats;
use palisade_export::ExportStatus;
use palisade_gateway::{GatewayStats, WatchStats};
use palisade_policy::PdpStats;
use palisade_respond::Respond;

use super::Operators;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a count of the fleet is shown before it is taken again: it reads every device.
const FRESH: Duration = Duration::from_secs(15);

/// A count of the fleet, and when it was taken.
#[derive(Debug, Clone)]
pub(super) struct Census {
    taken: Instant,
    counts: Vec<(Lifecycle, u64)>,
}

/// Text under way.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(
            self.0,
            "# HELP palisade_{name} {help}\n# TYPE palisade_{name} {kind}"
        );
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "palisade_{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        let _ = writeln!(self.0, "palisade_{name} {value}");
    }

    fn labelled(&mut self, name: &str, label: &str, values: &[(&str, u64)]) {
        for (value, count) in values {
            let _ = writeln!(self.0, "palisade_{name}{{{label}=\"{value}\"}} {count}");
        }
    }
}

impl Operators {
    /// All numbers, as they are now.
    pub(super) async fn metrics(&self) -> String {
        let rendered = self.render.as_ref().map(|render| render());
        let mut page = Page(rendered.unwrap_or_default());
        if !page.0.is_empty() && !page.0.ends_with('\n') {
            page.0.push('\n');
        }
        page.head("info", "gauge", "The version of the server.");
        page.labelled("info", "version", &[(self.version, 1)]);
        let help = "Whether the server is ready to serve.";
        page.gauge("ready", help, u8::from(self.is_ready()));
        self.fleet(&mut page).await;
        self.authority(&mut page);
        let help = "Entries of the audit log.";
        page.counter("ledger_entries_total", help, self.ledger.head().0);
        let access = self.people.access_log_stats();
        let help = "Requests of people and programs that were written to the log of access.";
        page.counter("access_log_requests_total", help, access.noted);
        let help = "Requests of people and programs that the log of access had no room for.";
        page.counter("access_log_lost_total", help, access.lost);
        let notices = self.people.notice_stats();
        let help = "Letters to the people of accounts that the mail server took.";
        page.counter("account_letters_sent_total", help, notices.sent);
        let help = "Letters to the people of accounts that the mail server did not take, each try.";
        page.counter("account_letters_failed_total", help, notices.failed);
        let help = "Notices that the people of accounts were not told of.";
        let lost = notices.given_up + notices.uncounted;
        page.counter("account_notices_lost_total", help, lost);
        decisions(&mut page, &self.pdp.stats());
        detection(&mut page, &self.detect.stats());
        response(&mut page, &self.respond);
        gateway(&mut page, &self.gateway.stats());
        watchers(&mut page, &self.gateway.watch_stats());
        self.exports(&mut page).await;
        page.0
    }

    async fn fleet(&self, page: &mut Page) {
        let census = self.census().await;
        let help = "Whether the database answers.";
        page.gauge("store_up", help, u8::from(census.is_some()));
        let Some(census) = census else {
            return;
        };
        page.head(
            "devices",
            "gauge",
            "Devices by where they stand in their life.",
        );
        let count = |lifecycle: Lifecycle| {
            let found = census.counts.iter().find(|(other, _)| *other == lifecycle);
            (lifecycle.as_str(), found.map_or(0, |(_, count)| *count))
        };
        page.labelled("devices", "lifecycle", &Lifecycle::ALL.map(count));
    }

    /// The last count, or a new one where that is old; of those who ask at once, one counts.
    async fn census(&self) -> Option<Census> {
        let mut held = self.census.lock().await;
        let fresh = held
            .as_ref()
            .filter(|census| census.taken.elapsed() < FRESH);
        if let Some(census) = fresh {
            return Some(census.clone());
        }
        let devices = self.store.devices();
        let counted = tokio::time::timeout(PATIENCE, devices.count_by_lifecycle()).await;
        match counted {
            Ok(Ok(counts)) => {
                let taken = Instant::now();
                *held = Some(Census { taken, counts });
                held.clone()
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "devices could not be counted");
                None
            }
            Err(_) => None,
        }
    }

    async fn exports(&self, page: &mut Page) {
        let help = "Old events removed from the stream.";
        page.counter("events_pruned_total", help, self.exports.retention().pruned);
        let status = tokio::time::timeout(PATIENCE, self.exports.status()).await;
        let Ok(Ok(all)) = status else {
            return;
        };
        if all.is_empty() {
            return;
        }
        let mut family = |name: &str, kind: &str, help: &str, of: fn(&ExportStatus) -> u64| {
            page.head(name, kind, help);
            let values: Vec<(&str, u64)> = all
                .iter()
                .map(|status| (status.name.as_str(), of(status)))
                .collect();
            page.labelled(name, "export", &values);
        };
        let help = "Events that an export has not taken yet.";
        family("export_lag", "gauge", help, |status| status.lag);
        let help = "Events that an export handed over.";
        family("export_sent_total", "counter", help, |status| status.sent);
        let help = "Attempts of an export that failed.";
        family("export_failures_total", "counter", help, |status| {
            status.failures
        });
        let help = "Events that the place of an export refused for good.";
        family("export_dead_letters_total", "counter", help, |status| {
            status.dead_letters
        });
        let help = "Events that left the stream before an export took them.";
        family("export_lost_total", "counter", help, |status| status.lost);
    }

    fn authority(&self, page: &mut Page) {
        let help = "When the issuer's certificate ends.";
        let end = self.identity.issuer_not_after().as_second();
        page.gauge("issuer_expiry_timestamp_seconds", help, end);
        let help = "Whether the root's key is on this server.";
        page.gauge(
            "root_key_online",
            help,
            u8::from(self.identity.root_key_is_here()),
        );
        let counts = self.devices.counts();
        let help = "Certificates issued at the devices' door.";
        page.head("certificates_issued_total", "counter", help);
        let issued = [("enrolled", counts.enrolled), ("renewed", counts.renewed)];
        page.labelled("certificates_issued_total", "how", &issued);
        let help = "Requests refused at the devices' door.";
        page.counter("device_requests_refused_total", help, counts.refused);
    }
}

fn detection(page: &mut Page, stats: &DetectStats) {
    let counters = [
        ("events", "Events that detection looked at.", stats.events),
        ("alarms", "What detectors said.", stats.alarms),
        ("findings", "Findings told.", stats.findings),
        (
            "suppressed",
            "Alarms that a suppression covered.",
            stats.suppressed,
        ),
        (
            "shed_events",
            "Events skipped because detection fell behind.",
            stats.shed_events,
        ),
        (
            "shed_findings",
            "Findings not reported because there were too many at once.",
            stats.shed_findings,
        ),
    ];
    for (name, help, value) in counters {
        page.counter(&format!("detect_{name}_total"), help, value);
    }
    let help = "Events that detection has not looked at yet.";
    page.gauge("detect_backlog", help, stats.backlog);
}

fn response(page: &mut Page, respond: &Respond) {
    let stats = respond.stats();
    let counters = [
        ("findings", "Findings taken into cases.", stats.findings),
        ("cases", "Cases opened.", stats.cases),
        ("actions_ordered", "Actions ordered.", stats.ordered),
        (
            "actions_joined",
            "Actions that joined one in force.",
            stats.joined,
        ),
        ("actions_done", "Actions done.", stats.done),
        (
            "actions_failed",
            "Actions that failed for good.",
            stats.failed,
        ),
        ("actions_undone", "Actions undone.", stats.undone),
        (
            "actions_waited",
            "Actions that had to wait for a person.",
            stats.waited,
        ),
    ];
    for (name, help, value) in counters {
        page.counter(&format!("respond_{name}_total"), help, value);
    }
    let help = "Whether all automatic action is stopped.";
    page.gauge("respond_stopped", help, u8::from(respond.switch().stopped));
}

fn decisions(page: &mut Page, stats: &PdpStats) {
    let help = "Policy decisions, remembered ones included.";
    page.head("decisions_total", "counter", help);
    let outcomes = [("allow", stats.allowed), ("deny", stats.denied)];
    page.labelled("decisions_total", "outcome", &outcomes);
    let help = "Decisions asked of sessions' caches.";
    page.head("decision_cache_total", "counter", help);
    let found = [("hit", stats.cache_hits), ("miss", stats.cache_misses)];
    page.labelled("decision_cache_total", "result", &found);
}

fn watchers(page: &mut Page, stats: &WatchStats) {
    let help = "Who watches the messages of a device now.";
    page.gauge("message_watchers", help, stats.open);
    let help = "Messages that watchers were not shown: there were too many in a second.";
    page.counter("message_watch_skipped_total", help, stats.skipped);
    let help = "Watchers let go because they took messages too slowly.";
    page.counter("message_watch_dropped_total", help, stats.dropped);
}

fn gateway(page: &mut Page, stats: &GatewayStats) {
    let gauges = [
        (
            "connected",
            "MQTT sessions with a connection.",
            stats.connected,
        ),
        (
            "sessions",
            "MQTT sessions, connected or away.",
            stats.sessions,
        ),
        ("subscriptions", "MQTT subscriptions.", stats.subscriptions),
        ("retained", "Retained MQTT messages.", stats.retained),
    ];
    for (name, help, value) in gauges {
        page.gauge(&format!("mqtt_{name}"), help, value);
    }
    let counters = [
        (
            "connections_accepted",
            "MQTT connections accepted.",
            stats.accepted,
        ),
        (
            "connections_refused",
            "MQTT connections refused.",
            stats.refused,
        ),
        (
            "requests_denied",
            "MQTT requests that policy denied.",
            stats.denied,
        ),
        (
            "messages_dropped",
            "MQTT messages lost for want of room.",
            stats.dropped,
        ),
        (
            "throttled",
            "Times that an MQTT client was slowed down.",
            stats.throttled,
        ),
        ("wills", "MQTT wills published.", stats.wills),
        (
            "messages_kept",
            "MQTT messages that the vault keeps.",
            stats.kept,
        ),
        (
            "messages_not_kept",
            "MQTT messages that were to be kept and could not be: refused, or lost to the vault.",
            stats.not_kept,
        ),
    ];
    for (name, help, value) in counters {
        page.counter(&format!("mqtt_{name}_total"), help, value);
    }
    page.head(
        "mqtt_messages_total",
        "counter",
        "MQTT messages let through.",
    );
    let messages = [("in", stats.messages_in), ("out", stats.messages_out)];
    page.labelled("mqtt_messages_total", "direction", &messages);
    let help = "Payload bytes of MQTT messages.";
    page.head("mqtt_payload_bytes_total", "counter", help);
    let bytes = [("in", stats.bytes_in), ("out", stats.bytes_out)];
    page.labelled("mqtt_payload_bytes_total", "direction", &bytes);
}
