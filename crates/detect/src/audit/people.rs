//! What people and programs did at the REST door that is not like them: for the first time, at an hour, in a volume or
//! from a network that their own past does not have. Who has no past is not judged.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use palisade_core::Timestamp;
use palisade_store::{AccessEntry, AccessFilter, AccessKind, AccessOutcome, AccessUse};

use super::{
    Check,
    look::{Look, LookError, Noted, PAGE, days_between},
};
use crate::Subject;

/// What is new: the last day, with a margin for runs that begin a little late.
const NEW: Duration = Duration::from_secs(25 * 60 * 60);
/// Entries of one subject that are looked at, the newest.
const ENTRIES: usize = 20_000;
/// A volume is unusual where it is so many times the most of any hour before,
const TIMES: u64 = 3;
/// and where it is at least so many requests.
const LEAST: u64 = 60;
/// What one sentence names.
const NAMED: usize = 5;

/// Who is looked at.
struct Person {
    subject: Subject,
    name: String,
    /// What was looked into before.
    past: Vec<AccessEntry>,
    /// What is new.
    new: Vec<AccessEntry>,
}

pub(super) async fn unusual(
    check: Check,
    look: &Look<'_>,
    noted: &mut Noted,
) -> Result<(), LookError> {
    let mut uses: BTreeMap<(AccessKind, String), Vec<AccessUse>> = BTreeMap::new();
    for used in look.store.access().uses().await? {
        if used.outcome == AccessOutcome::Allowed && used.kind != AccessKind::Nobody {
            let whose = (used.kind, used.subject.clone());
            uses.entry(whose).or_default().push(used);
        }
    }
    let new_since = look.now.checked_sub(NEW).unwrap_or(Timestamp::MIN);
    let known_since = look.days_ago(look.config.access_known_days);
    for ((kind, subject), uses) in uses {
        let is_new = uses.iter().any(|used| used.last_at >= new_since);
        let has_past = uses.iter().any(|used| used.first_at <= known_since);
        if !is_new || !has_past {
            continue;
        }
        noted.looked_at += 1;
        let person = read(look, (kind, &subject), new_since).await?;
        let days: BTreeSet<i64> = person.past.iter().map(|one| one.hour() / 24).collect();
        if days.len() < look.config.access_active_days as usize {
            continue;
        }
        let said = match check {
            Check::AccessFirstUse => first_uses(&person, &uses, new_since, look),
            Check::AccessUnusualHour => hours(&person),
            Check::AccessUnusualVolume => volume(&person, look),
            _ => places(look, (kind, &subject), new_since).await?,
        };
        if let Some(said) = said {
            let resource = format!("{}/{subject}", kind.as_str());
            let detail = format!("{} {}: {said}", kind.as_str(), person.name);
            noted.note(resource, &person.subject, &detail);
        }
        look.turn().await?;
    }
    Ok(())
}

/// Whether the planned review of access was signed in time.
pub(super) async fn review(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let Some(plan) = look.store.access_reviews().plan().await? else {
        return Ok(());
    };
    noted.looked_at += 1;
    if plan.due_at < look.now {
        let late = days_between(plan.due_at, look.now);
        let detail = format!(
            "the review of access by account {} was due on {}, {late} days ago",
            plan.owner, plan.due_at
        );
        let subject = Subject::Account(plan.owner);
        noted.note("access_review".to_owned(), &subject, &detail);
    }
    Ok(())
}

async fn read(
    look: &Look<'_>,
    (kind, subject): (AccessKind, &str),
    new_since: Timestamp,
) -> Result<Person, LookError> {
    let filter = |since, until| AccessFilter {
        subject: Some(subject.to_owned()),
        outcome: Some(AccessOutcome::Allowed),
        since: Some(since),
        until,
        ..AccessFilter::default()
    };
    // Apart, each with its own bound: much that is new must not push out the past.
    let began = look.days_ago(look.config.access_days);
    let past = entries(look, kind, &filter(began, Some(new_since))).await?;
    let new = entries(look, kind, &filter(new_since, None)).await?;
    let name = new.first().or(past.first());
    let name = name.map_or(subject, |entry| &entry.name).to_owned();
    let subject = match kind {
        AccessKind::Token => Subject::ApiToken(name.clone()),
        _ => Subject::Account(subject.to_owned()),
    };
    Ok(Person {
        subject,
        name,
        past,
        new,
    })
}

/// The newest entries that a filter finds, of one kind of subject: a name may be that of an account and of a token.
async fn entries(
    look: &Look<'_>,
    kind: AccessKind,
    filter: &AccessFilter,
) -> Result<Vec<AccessEntry>, LookError> {
    let (mut found, mut before) = (Vec::new(), None);
    while found.len() < ENTRIES {
        let part = look.store.access().list(filter, before, PAGE).await?;
        let Some(last) = part.last() else {
            break;
        };
        before = Some(last.id);
        found.extend(part.into_iter().filter(|entry| entry.kind == kind));
        look.turn().await?;
    }
    Ok(found)
}

/// What is sensitive and was done for the first time.
fn first_uses(
    person: &Person,
    uses: &[AccessUse],
    new_since: Timestamp,
    look: &Look<'_>,
) -> Option<String> {
    let first = uses
        .iter()
        .filter(|used| used.first_at >= new_since && look.source.is_sensitive(&used.action));
    let first: Vec<&str> = first.map(|used| used.action.as_str()).collect();
    // What was done before that is kept no longer is not the first time.
    let first = first
        .into_iter()
        .filter(|action| !person.past.iter().any(|past| past.action == *action));
    listed("did for the first time", first.map(str::to_owned))
}

/// Hours of the day at which nothing was done before, nor an hour earlier or later.
fn hours(person: &Person) -> Option<String> {
    let hour_of = |entry: &AccessEntry| entry.hour().rem_euclid(24);
    let known: BTreeSet<i64> = person.past.iter().map(hour_of).collect();
    let is_known = |hour: i64| (-1..=1).any(|by| known.contains(&(hour + by).rem_euclid(24)));
    let odd: BTreeSet<i64> = person.new.iter().map(hour_of).collect();
    let odd = odd.into_iter().filter(|hour| !is_known(*hour));
    let odd = odd.map(|hour| format!("{hour:02}:00-{:02}:00 UTC", (hour + 1) % 24));
    listed("was at work at an hour that it never was before", odd)
}

/// The most sensitive requests of one hour, beside the most of any hour before.
fn volume(person: &Person, look: &Look<'_>) -> Option<String> {
    let most = |entries: &[AccessEntry]| {
        let mut by_hour: HashMap<i64, u64> = HashMap::new();
        let sensitive = entries
            .iter()
            .filter(|entry| look.source.is_sensitive(&entry.action));
        for entry in sensitive {
            *by_hour.entry(entry.hour()).or_default() += entry.times;
        }
        by_hour.into_values().max().unwrap_or(0)
    };
    let (before, now) = (most(&person.past), most(&person.new));
    let is_much = now >= LEAST && now > before.saturating_mul(TIMES);
    is_much.then(|| {
        format!("made {now} sensitive requests within one hour; {before} were the most before")
    })
}

/// Networks from which it did not come before. Nothing is said before that was noted for long enough.
async fn places(
    look: &Look<'_>,
    (kind, subject): (AccessKind, &str),
    new_since: Timestamp,
) -> Result<Option<String>, LookError> {
    let all = look.store.access().places(kind, subject).await?;
    let known_since = look.days_ago(look.config.access_known_days);
    if !all.iter().any(|place| place.first_at <= known_since) {
        return Ok(None);
    }
    let new = all.into_iter().filter(|place| place.first_at >= new_since);
    let new = new.map(|place| place.network);
    Ok(listed("came from where it never came from before", new))
}

fn listed(what: &str, things: impl Iterator<Item = String>) -> Option<String> {
    let things: Vec<String> = things.collect();
    let named = things.iter().take(NAMED).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    match things.len() {
        0 => None,
        count if count > NAMED => Some(format!("{what}: {named} and {} more", count - NAMED)),
        _ => Some(format!("{what}: {named}")),
    }
}
