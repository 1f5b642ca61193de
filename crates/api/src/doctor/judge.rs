//! How each thing is judged. Nothing here looks at anything but what it is given, disks apart.

use std::{net::SocketAddr, path::Path};

use palisade_core::Timestamp;
use palisade_detect::{DetectStats, rules::RulesStatus};
use palisade_export::{ExportState, ExportStatus};
use palisade_identity::CaCertificate;
use palisade_respond::Switch;
use palisade_store::CheckpointRow;
use palisade_vault::{ObjectsError, Probed, Versioning};

use super::{Finding, Memory};

const MIB: u64 = 1024 * 1024;
/// Room on the disk below which the server will soon stop, and below which it is time to look.
const FAIL_BELOW: u64 = 64 * MIB;
const WARN_BELOW: u64 = 1024 * MIB;
/// A certificate of the authority that ends within so many hours wants attention.
const SOON_HOURS: i64 = 30 * 24;
/// A CRL is made anew long before: one that ends within so many hours was not.
const CRL_SOON_HOURS: i64 = 1;
/// Events that nobody has looked at yet, beyond what a busy second leaves.
const BACKLOG: u64 = 10_000;

/// The certificates of the authority; `held_by_doors` are judged by [`door_certificate`].
#[must_use]
pub fn authority(certificates: &[CaCertificate], now: Timestamp) -> Vec<Finding> {
    let each = certificates.iter().map(|one| certificate(one, now));
    each.collect()
}

fn certificate(certificate: &CaCertificate, now: Timestamp) -> Finding {
    const CHECK: &str = "certification authority";
    let CaCertificate {
        name,
        not_before,
        not_after,
    } = certificate;
    let left = not_after.duration_since(now).as_hours();
    if now < *not_before {
        return Finding::fail(
            CHECK,
            format!("the {name} is valid from {not_before}; the clock says {now}"),
            "set the clock",
        );
    }
    let mend = match name.as_str() {
        "root" => "devices and clients need a new root: plan the change before it ends",
        _ => {
            "start the server, or run `palisade ca renew-issuer`; import the root key first if it is offline"
        }
    };
    match left {
        ..=0 => Finding::fail(CHECK, format!("the {name} ended on {not_after}"), mend),
        1..SOON_HOURS => Finding::warn(CHECK, format!("the {name} ends on {not_after}"), mend),
        _ => Finding::ok(CHECK, format!("the {name} is valid until {not_after}")),
    }
}

/// What the doors show: renewed two thirds into its life, so that a third of it is left at least.
#[must_use]
pub fn door_certificate(shown: &CaCertificate, now: Timestamp) -> Finding {
    const CHECK: &str = "certificate of the doors";
    let CaCertificate {
        not_before,
        not_after,
        ..
    } = shown;
    let mend = "look at the server's log for why it was not renewed; a restart renews it";
    let whole = not_after.duration_since(*not_before).as_secs();
    let left = not_after.duration_since(now).as_secs();
    match left {
        ..=0 => Finding::fail(CHECK, format!("it ended on {not_after}"), mend),
        left if left < whole / 4 => Finding::warn(
            CHECK,
            format!("it ends on {not_after} and was not renewed yet"),
            mend,
        ),
        _ => Finding::ok(CHECK, format!("it is valid until {not_after}")),
    }
}

/// How long the newest CRL is valid.
#[must_use]
pub fn crl(valid_until: Option<Timestamp>, now: Timestamp) -> Finding {
    const CHECK: &str = "revocation list";
    let mend = "run `palisade ca refresh-crl`; if it fails, its answer and the log say why";
    let Some(until) = valid_until else {
        return Finding::fail(CHECK, "none was made yet", mend);
    };
    match until.duration_since(now).as_hours() {
        _ if until <= now => Finding::fail(
            CHECK,
            format!("it ended on {until}: whoever checks it refuses every certificate"),
            mend,
        ),
        ..CRL_SOON_HOURS => Finding::warn(
            CHECK,
            format!("it ends on {until} and was not made anew"),
            mend,
        ),
        _ => Finding::ok(CHECK, format!("it is valid until {until}")),
    }
}

/// The clock, by the newest entry of the ledger: one that stands before it would let ended certificates live.
#[must_use]
pub fn clock(newest: Option<Timestamp>, now: Timestamp) -> Finding {
    const CHECK: &str = "clock";
    match newest {
        Some(newest) if newest > now => Finding::fail(
            CHECK,
            format!("it says {now}, but the ledger already has an entry of {newest}"),
            "set the clock, and keep it right with NTP",
        ),
        _ => Finding::ok(CHECK, format!("{now} is plausible")),
    }
}

/// The room on the disk of a directory; nothing where it does not say.
#[must_use]
pub fn room(directory: &Path) -> Option<Finding> {
    let found = rustix::fs::statvfs(directory).ok()?;
    Some(disk(found.f_bavail.saturating_mul(found.f_frsize)))
}

fn disk(free: u64) -> Finding {
    let detail = format!("{} MiB are free", free / MIB);
    let mend = "make room, or move the data directory to a larger disk";
    match free {
        0..FAIL_BELOW => Finding::fail("disk", detail, mend),
        FAIL_BELOW..WARN_BELOW => Finding::warn("disk", detail, mend),
        _ => Finding::ok("disk", detail),
    }
}

/// The ledger: how many entries the server wrote, and up to which one the database has them.
#[must_use]
pub fn ledger(written: u64, kept: u64) -> Finding {
    const CHECK: &str = "ledger";
    match kept < written {
        true => Finding::fail(
            CHECK,
            format!(
                "{written} entries were written, and the database ends with number {kept}: somebody removed some"
            ),
            "keep the database as it is for who looks into it, and run `palisade ledger verify`",
        ),
        false => Finding::ok(CHECK, format!("{kept} entries; the newest is there")),
    }
}

/// Checkpoints of the ledger: whether it agrees with the last that was signed, and whether others may see that.
/// `unheard` says of witnesses why they did not sign.
#[must_use]
pub fn checkpoints(
    (entries, withheld): (u64, Option<String>),
    newest: Option<&CheckpointRow>,
    unheard: &[String],
) -> Finding {
    const CHECK: &str = "checkpoints";
    let mend =
        "keep the data directory as evidence, and restore it from a backup that has all entries";
    if let Some(why) = withheld {
        return Finding::fail(CHECK, why, mend);
    }
    match newest {
        None => Finding::ok(CHECK, "none is signed yet"),
        Some(signed) if signed.size > entries => Finding::fail(
            CHECK,
            format!(
                "one over {} entries was signed, and there are {entries}: the end of the ledger was cut off",
                signed.size
            ),
            mend,
        ),
        Some(signed) if signed.published_at.is_none() => Finding::warn(
            CHECK,
            format!(
                "the one over {} entries waits for its witnesses, and nobody sees it before: {}",
                signed.size,
                match unheard {
                    [] => "too few have signed".to_owned(),
                    some => some.join("; "),
                }
            ),
            "see that the witnesses can be reached: `palisade ledger status`",
        ),
        Some(signed) if !unheard.is_empty() => Finding::warn(
            CHECK,
            format!(
                "the newest is over {} entries; {}",
                signed.size,
                unheard.join("; ")
            ),
            "see that the witnesses can be reached: `palisade ledger status`",
        ),
        Some(signed) => Finding::ok(CHECK, format!("the newest is over {} entries", signed.size)),
    }
}

/// How far detection is behind, and what it skipped since the start.
#[must_use]
pub fn detection(stats: &DetectStats) -> Finding {
    const CHECK: &str = "detection";
    let mend = "look at load and disk; switch off rules that nobody needs (`palisade rules list`)";
    match (stats.shed_events, stats.backlog) {
        (0, ..=BACKLOG) => Finding::ok(
            CHECK,
            format!(
                "{} events were looked at, {} wait",
                stats.events, stats.backlog
            ),
        ),
        (0, backlog) => Finding::warn(
            CHECK,
            format!("{backlog} events wait to be looked at"),
            mend,
        ),
        (shed, _) => Finding::warn(
            CHECK,
            format!("{shed} events were skipped since the start: it could not keep up"),
            mend,
        ),
    }
}

/// What the memory of the server may become: a core dump, or pages in swap.
#[must_use]
pub fn memory(memory: &Memory, has_swap: bool) -> Finding {
    const CHECK: &str = "memory";
    if memory.core_dumps {
        return Finding::warn(
            CHECK,
            "the process may leave a core dump, which has keys in it",
            "set memory.core_dumps to false once the fault is found",
        );
    }
    match &memory.unlocked {
        None => Finding::ok(
            CHECK,
            "no core dumps; its pages are locked and never in swap",
        ),
        Some(_) if !has_swap => Finding::ok(CHECK, "no core dumps; the machine has no swap"),
        Some(why) => Finding::warn(
            CHECK,
            format!("keys may get into swap: {why}"),
            "let the server lock its memory, encrypt the swap, or switch it off",
        ),
    }
}

/// Whether this machine has swap now; where that cannot be read, it has.
#[must_use]
pub fn has_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").map_or(true, |swaps| swaps.lines().nth(1).is_some())
}

/// What devices send and is kept: whether it can be, how many messages were and were not, and why the log cannot be
/// rolled into sealed files, if it cannot.
#[must_use]
pub fn vault(is_failing: bool, messages: u64, not_kept: u64, trouble: Option<&str>) -> Finding {
    const CHECK: &str = "vault";
    if is_failing {
        return Finding::fail(
            CHECK,
            "what devices send cannot be kept: they are refused",
            "make room on the disk, and look into the log; it goes on by itself",
        );
    }
    if let Some(trouble) = trouble {
        return Finding::warn(
            CHECK,
            format!(
                "messages are kept in the log and cannot be rolled into sealed files: {trouble}"
            ),
            "`palisade doctor --data` looks at the object store; the log grows until it is there again, and goes on by \
             itself",
        );
    }
    match not_kept {
        0 => Finding::ok(CHECK, format!("{messages} messages were kept so far")),
        lost => Finding::warn(
            CHECK,
            format!(
                "{lost} messages that were to be kept were not since the server started: refused, or of QoS 0 and lost"
            ),
            "look into the log of the time (`palisade_mqtt_messages_not_kept_total`), and have devices send what \
             matters with QoS 1",
        ),
    }
}

/// Whether files go for their age: not where the clock went far ahead, until this time.
#[must_use]
pub fn retention(waits_until: Option<Timestamp>) -> Option<Finding> {
    let until = waits_until?;
    Some(Finding::warn(
        "retention",
        format!("the clock went far ahead: nothing in the vault goes for its age until {until}"),
        "set the clock right; where it is right, nothing is to be done",
    ))
}

/// The place of sealed files, where something was written, read and taken away.
#[must_use]
pub fn sealed_files(place: &str, probed: &Result<Probed, ObjectsError>) -> Finding {
    const CHECK: &str = "sealed files";
    match probed {
        Ok(Probed {
            versioning: Versioning::None,
        }) => Finding::ok(CHECK, format!("{place} can be written, read and emptied")),
        Ok(Probed {
            versioning: Versioning::Kept,
        }) => Finding::ok(
            CHECK,
            format!(
                "{place} can be written, read and emptied; it keeps versions, which an erasure deletes one by one"
            ),
        ),
        Err(error) => Finding::fail(
            CHECK,
            format!("{place}: {error}"),
            "correct [vault.objects], or what the store allows this key to do; docs/vault.md lists what is needed",
        ),
    }
}

/// Whether the rules in force are the newest ones.
#[must_use]
pub fn rules(status: &RulesStatus) -> Finding {
    const CHECK: &str = "rules";
    match &status.problem {
        Some(problem) => Finding::fail(
            CHECK,
            format!("newer rules are not in force: {problem}"),
            "correct it, and try with `palisade rules check`; till then those that were there go on",
        ),
        None => Finding::ok(
            CHECK,
            format!("{} of {} rules are on", status.enabled, status.rules),
        ),
    }
}

/// The switch of automatic response.
#[must_use]
pub fn switch(switch: &Switch) -> Finding {
    const CHECK: &str = "automatic response";
    match switch.stopped {
        true => Finding::warn(
            CHECK,
            format!("it is switched off: {}", switch.reason),
            "switch it on when the reason is gone: `palisade response start`",
        ),
        false => Finding::ok(CHECK, "it is on"),
    }
}

/// Where events go from here, one export.
#[must_use]
pub fn export(status: &ExportStatus) -> Finding {
    const CHECK: &str = "export";
    let name = &status.name;
    let why = status
        .last_error
        .as_deref()
        .unwrap_or("it does not say why");
    match (status.state, status.lost) {
        (ExportState::Retrying, _) => Finding::fail(
            CHECK,
            format!("{name} takes nothing, {} events wait: {why}", status.lag),
            format!(
                "see to it at {}; `palisade export test {name}` tries it",
                status.target
            ),
        ),
        (_, 1..) => Finding::warn(
            CHECK,
            format!(
                "{name} has missed {} events: they left the stream first",
                status.lost
            ),
            "keep events for longer (events.keep_days), or see why it was away for so long",
        ),
        _ => Finding::ok(CHECK, format!("{name} is {} events behind", status.lag)),
    }
}

/// Requests that the log of access had no room for, since the start.
#[must_use]
pub fn access_log(lost: u64) -> Finding {
    const CHECK: &str = "log of access";
    match lost {
        0 => Finding::ok(CHECK, "every request is in it"),
        lost => Finding::warn(
            CHECK,
            format!("{lost} requests are not in it: it could not be written in time"),
            "look at the disk and the database",
        ),
    }
}

/// Doors that are open wider than they should be.
#[must_use]
pub fn dangers(insecure: Option<SocketAddr>, operators: &[SocketAddr]) -> Vec<Finding> {
    const CHECK: &str = "open doors";
    let plain = insecure.map(|address| {
        Finding::warn(
            CHECK,
            format!(
                "gateway.insecure_loopback is on: whoever reaches {address} speaks MQTT without TLS and without a \
                 certificate"
            ),
            "remove gateway.insecure_loopback where it is not for a test",
        )
    });
    let wide = operators
        .iter()
        .filter(|address| !address.ip().is_loopback());
    let wide = wide.map(|address| {
        Finding::warn(
            CHECK,
            format!(
                "the door for operators at {address} has no authentication and is reachable from other machines"
            ),
            "listen on loopback (operators.listen), or see that only your monitoring reaches it",
        )
    });
    plain.into_iter().chain(wide).collect()
}

#[cfg(test)]
mod tests;
