//! What devices do, or do not.

use std::{collections::BTreeMap, time::Duration};

use palisade_core::{DeviceId, Lifecycle, Timestamp};
use palisade_store::{Mark, VersionInUse};

use super::{
    Check,
    look::{LISTED, Look, LookError, Noted, PAGE, days_between},
    version,
};
use crate::Subject;

/// So often must a device be taken over from another address: once is a device that moved.
const CONFLICTS: u64 = 3;
/// The most versions that are told apart, over all products.
const VERSIONS: u32 = 10_000;
/// A version counts as released where so many devices run it, or one in so many of its product: one
/// device that lies must not make all others stale.
const RELEASED: u64 = 3;
const RELEASED_SHARE: u64 = 20;

fn subject_of(device: &DeviceId) -> Subject {
    Subject::Principal(device.clone().into())
}

/// What was seen on the stream for a check, after a device; a part of it.
async fn marks(check: Check, look: &Look<'_>, after: &str) -> Result<Vec<Mark>, LookError> {
    let span = Duration::from_secs(u64::from(look.config.events_hours) * 3_600);
    let since = look.now.checked_sub(span).unwrap_or(Timestamp::MIN);
    let compliance = look.store.compliance();
    look.turn().await?;
    let key = (check.as_str(), since);
    Ok(compliance.marks(key, after, PAGE).await?)
}

pub(super) async fn conflicting(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let mut after = String::new();
    loop {
        let part = marks(Check::ConflictingClient, look, &after).await?;
        let Some(last) = part.last() else {
            return Ok(());
        };
        after = last.device.as_str().to_owned();
        for mark in part {
            noted.looked_at += 1;
            if mark.seen >= CONFLICTS {
                let detail = format!("{} times lately; {}", mark.seen, mark.detail);
                let resource = format!("device/{}", mark.device);
                noted.note(resource, &subject_of(&mark.device), &detail);
            }
        }
    }
}

pub(super) async fn contained(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let mut found = BTreeMap::new();
    let mut after = String::new();
    // What is beyond what is listed is not one device that should have been shut out, but the door.
    while found.len() < LISTED {
        let part = marks(Check::ContainedDeviceActive, look, &after).await?;
        let Some(last) = part.last() else {
            break;
        };
        after = last.device.as_str().to_owned();
        found.extend(part.into_iter().map(|mark| (mark.device, mark.detail)));
    }
    let compliance = look.store.compliance();
    for lifecycle in [
        Lifecycle::Quarantined,
        Lifecycle::Revoked,
        Lifecycle::Retired,
    ] {
        let mut after = String::new();
        loop {
            let part = compliance.devices_at(lifecycle, &after, PAGE).await?;
            let Some(last) = part.last() else {
                break;
            };
            after = last.as_str().to_owned();
            noted.looked_at += part.len() as u64;
            for device in part {
                let live = look.source.live_sessions(&device);
                if live > 0 {
                    let detail = format!("it is {lifecycle} and has {live} live sessions");
                    found.insert(device, detail);
                }
            }
            look.turn().await?;
        }
    }
    for (device, detail) in found {
        noted.note(format!("device/{device}"), &subject_of(&device), &detail);
    }
    Ok(())
}

pub(super) async fn dormant(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let compliance = look.store.compliance();
    noted.looked_at = compliance.count_devices(Lifecycle::Active).await?;
    let since = look.days_ago(look.config.dormant_days);
    let mut after = String::new();
    loop {
        let part = compliance.dormant(since, &after, PAGE).await?;
        let Some((last, _)) = part.last() else {
            return Ok(());
        };
        after = last.as_str().to_owned();
        for (device, seen) in &part {
            let detail = match seen {
                Some(at) => format!(
                    "it was last heard of {} days ago, on {at}",
                    days_between(*at, look.now)
                ),
                None => "it is in service and was never heard of".to_owned(),
            };
            noted.note(format!("device/{device}"), &subject_of(device), &detail);
        }
        look.turn().await?;
    }
}

pub(super) async fn stale_firmware(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let all = look.store.compliance().versions(VERSIONS).await?;
    noted.looked_at = all.iter().map(|one| one.devices).sum();
    let allowed = look.days_ago(look.config.firmware_days);
    for (stale, newest) in stale_versions(&all, allowed) {
        note_stale(stale, newest, look, noted).await?;
    }
    Ok(())
}

/// The versions that are older than one which was released before `allowed`, each with that.
fn stale_versions(all: &[VersionInUse], allowed: Timestamp) -> Vec<(&VersionInUse, &VersionInUse)> {
    let mut by_line: BTreeMap<(&str, &str), Vec<&VersionInUse>> = BTreeMap::new();
    for one in all {
        // `firmware 1.2` and `agent 0.3` are two lines.
        let line = one.version.split(' ').next().unwrap_or_default();
        by_line.entry((&one.product, line)).or_default().push(one);
    }
    let mut stale = Vec::new();
    for versions in by_line.into_values() {
        let total: u64 = versions.iter().map(|one| one.devices).sum();
        let is_released =
            |one: &&&VersionInUse| one.devices >= RELEASED || one.devices * RELEASED_SHARE >= total;
        let settled = versions.iter().filter(is_released);
        let settled = settled.filter(|one| one.since <= allowed);
        let newest = settled.max_by(|a, b| version::compare(&a.version, &b.version));
        if let Some(newest) = newest {
            let older = |one: &&&VersionInUse| {
                version::compare(&one.version, &newest.version) == std::cmp::Ordering::Less
            };
            stale.extend(versions.iter().filter(older).map(|one| (*one, *newest)));
        }
    }
    stale
}

async fn note_stale(
    stale: &VersionInUse,
    newest: &VersionInUse,
    look: &Look<'_>,
    noted: &mut Noted,
) -> Result<(), LookError> {
    let compliance = look.store.compliance();
    let which = (stale.product.as_str(), stale.version.as_str());
    let mut after = String::new();
    loop {
        let part = compliance.devices_with(which, &after, PAGE).await?;
        let Some(last) = part.last() else {
            return Ok(());
        };
        after = last.as_str().to_owned();
        for device in &part {
            let detail = format!(
                "it runs {}; {} devices of product {} run {}, the first since {}",
                stale.version, newest.devices, stale.product, newest.version, newest.since
            );
            noted.note(format!("device/{device}"), &subject_of(device), &detail);
        }
        look.turn().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: &str, since: i64, devices: u64) -> VersionInUse {
        VersionInUse {
            product: "camera".to_owned(),
            version: version.to_owned(),
            since: Timestamp::from_second(since).expect("valid"),
            devices,
        }
    }

    fn stale(all: &[VersionInUse]) -> Vec<&str> {
        let allowed = Timestamp::from_second(100).expect("valid");
        let found = stale_versions(all, allowed);
        found
            .into_iter()
            .map(|(one, _)| one.version.as_str())
            .collect()
    }

    #[test]
    fn a_version_is_stale_once_a_newer_one_was_released_for_long_enough() {
        let (old, new) = (
            version("firmware 1.9", 0, 50),
            version("firmware 1.10", 50, 5),
        );
        assert_eq!(stale(&[old.clone(), new.clone()]), ["firmware 1.9"]);
        let fresh = version("firmware 2.0", 101, 5);
        assert_eq!(stale(&[old, new, fresh]), ["firmware 1.9"]);
    }

    #[test]
    fn one_device_that_claims_a_version_of_the_future_makes_no_other_stale() {
        let honest = version("firmware 1.0", 0, 1_000);
        let liar = version("firmware 999.0", 0, 1);
        assert!(stale(&[honest, liar]).is_empty());
    }

    #[test]
    fn firmware_is_not_compared_with_agents() {
        let all = [version("firmware 1.0", 0, 5), version("agent 2.0", 0, 5)];
        assert!(stale(&all).is_empty());
    }
}
