//! A set of rules: who replaces whom, who refers to whom, and who speaks.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    super::{Origin, RuleError, RuleFile},
    Correlating, RuleSet,
    read::{Draft, DraftBody, read as read_file},
};

/// The most rules of a set.
pub(crate) const MAX_RULES: usize = 20_000;
/// The most regular expressions of a set: each may keep a cache of up to two megabytes.
const MAX_REGEXES: usize = 2_000;
/// The most correlations of a set.
const MAX_CORRELATIONS: usize = 2_000;

pub(super) fn read(files: &[RuleFile], is_on: impl Fn(&str) -> bool) -> Result<RuleSet, RuleError> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut by_uuid: HashMap<String, usize> = HashMap::new();
    let (mut regexes, mut correlations) = (0, 0);
    if let Some(beyond) = files.get(MAX_RULES) {
        return Err(too_many(beyond));
    }
    for file in files {
        let mut read = read_file(file)?;
        name(&mut read);
        if drafts.len() + read.len() > MAX_RULES {
            return Err(too_many(file));
        }
        regexes += read.iter().map(|draft| draft.regexes).sum::<usize>();
        if regexes > MAX_REGEXES {
            let reason = format!(
                "there are more than {MAX_REGEXES} regular expressions: use contains, startswith, \
                 endswith or wildcards where they do"
            );
            return Err(RuleError::new(&file.name, 1, reason));
        }
        correlations += read.iter().filter(|draft| draft.is_correlation()).count();
        if correlations > MAX_CORRELATIONS {
            let reason = format!("there are more than {MAX_CORRELATIONS} correlations");
            return Err(RuleError::new(&file.name, 1, reason));
        }
        replace(&mut drafts, &mut by_uuid, read)?;
    }
    assemble(drafts, is_on)
}

fn too_many(file: &RuleFile) -> RuleError {
    RuleError::new(
        &file.name,
        1,
        format!("there are more than {MAX_RULES} rules"),
    )
}

/// Gives the rules of one file their ids, and silences those that only serve its correlations.
fn name(drafts: &mut [Draft]) {
    let served = served(drafts);
    for draft in drafts.iter_mut() {
        draft.rule.speaks = draft.speaks_beside(&served);
    }
    let speaking = drafts.iter().filter(|draft| draft.rule.speaks).count();
    let (mut number, mut silent) = (0, 0);
    for Draft { rule, .. } in drafts {
        if !rule.speaks {
            silent += 1;
            rule.id = format!("{}.{silent}", rule.id);
        } else if speaking > 1 {
            number += 1;
            rule.id = format!("{}-{number}", rule.id);
        }
    }
}

/// The rules that correlations are about and that do not speak for themselves.
fn served(drafts: &[Draft]) -> HashSet<String> {
    let mut served = HashSet::new();
    let mut spoken = HashSet::new();
    for draft in drafts {
        if let DraftBody::Correlation {
            about, generate, ..
        } = &draft.body
        {
            let names = about.iter().cloned();
            match generate {
                true => spoken.extend(names),
                false => served.extend(names),
            }
        }
    }
    served.retain(|name| !spoken.contains(name));
    served
}

/// Adds the rules of a file; an own one replaces the shipped one that has its UUID.
fn replace(
    drafts: &mut Vec<Draft>,
    by_uuid: &mut HashMap<String, usize>,
    read: Vec<Draft>,
) -> Result<(), RuleError> {
    for draft in read {
        let rule = &draft.rule;
        let Some(uuid) = &rule.uuid else {
            drafts.push(draft);
            continue;
        };
        match by_uuid.get(uuid) {
            None => {
                by_uuid.insert(uuid.clone(), drafts.len());
                drafts.push(draft);
            }
            Some(at)
                if rule.origin == Origin::Own && drafts[*at].rule.origin == Origin::Shipped =>
            {
                drafts[*at] = draft;
            }
            Some(at) => {
                let other = &drafts[*at].rule;
                let reason = format!(
                    "the id {uuid} is taken by {}:{}: each rule has its own",
                    other.file, other.line
                );
                return Err(RuleError::new(&rule.file, rule.line, reason));
            }
        }
    }
    Ok(())
}

fn assemble(mut drafts: Vec<Draft>, is_on: impl Fn(&str) -> bool) -> Result<RuleSet, RuleError> {
    let served = served(&drafts);
    for draft in &mut drafts {
        draft.rule.speaks &= draft.speaks_beside(&served);
        draft.rule.enabled = is_on(&draft.rule.id);
    }
    let known = known(&drafts)?;
    let mut set = RuleSet {
        rules: Vec::with_capacity(drafts.len()),
        compiled: Vec::with_capacity(drafts.len()),
        feeds: vec![Vec::new(); drafts.len()],
        correlations: Vec::new(),
    };
    let mut refers: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
    for (place, Draft { rule, body, .. }) in drafts.into_iter().enumerate() {
        let compiled = match body {
            DraftBody::Detection(compiled) => compiled,
            DraftBody::Correlation {
                about, correlation, ..
            } => {
                let number = set.correlations.len();
                for (at, name) in about.iter().enumerate() {
                    let of = *known.get(name).ok_or_else(|| {
                        let reason = format!("it is about {name:?}, and there is no such rule");
                        RuleError::new(&rule.file, rule.line, reason)
                    })?;
                    set.feeds[of].push((number, at));
                    refers[place].push(of);
                }
                let mut hasher = DefaultHasher::new();
                rule.text.hash(&mut hasher);
                set.correlations.push(Correlating {
                    rule: place,
                    fingerprint: hasher.finish(),
                    correlation,
                });
                Vec::new()
            }
        };
        set.rules.push(rule);
        set.compiled.push(compiled);
    }
    refuse_circles(&set, &refers)?;
    forget_unheard(&mut set, &refers);
    Ok(set)
}

/// The place of each rule by UUID and by name. Ids, names and UUIDs are each of one rule alone.
fn known(drafts: &[Draft]) -> Result<HashMap<String, usize>, RuleError> {
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut ids: HashMap<&str, usize> = HashMap::new();
    for (place, Draft { rule, .. }) in drafts.iter().enumerate() {
        let taken = |other: usize, what: &str| {
            let other = &drafts[other].rule;
            let reason = format!("{what} is taken by {}:{}", other.file, other.line);
            RuleError::new(&rule.file, rule.line, reason)
        };
        if let Some(other) = ids.insert(&rule.id, place) {
            let what = format!("the name {:?} of a rule (its file's)", rule.id);
            return Err(taken(other, &what));
        }
        for name in rule.uuid.iter().chain(&rule.name) {
            let other = known.insert(name.clone(), place);
            if let Some(other) = other.filter(|other| *other != place) {
                return Err(taken(other, &format!("the name {name:?}")));
            }
        }
    }
    Ok(known)
}

/// Refuses correlations that are about each other, which would never end.
fn refuse_circles(set: &RuleSet, refers: &[Vec<usize>]) -> Result<(), RuleError> {
    // Each round takes away the rules that are about none that is left.
    let mut left: HashSet<usize> = (0..refers.len())
        .filter(|place| !refers[*place].is_empty())
        .collect();
    loop {
        let before = left.len();
        let still = left.clone();
        left.retain(|place| refers[*place].iter().any(|of| still.contains(of)));
        if left.is_empty() {
            return Ok(());
        }
        if left.len() == before {
            break;
        }
    }
    let first = left.iter().min().copied().unwrap_or_default();
    let rule = &set.rules[first];
    let reason = format!(
        "the correlation {:?} is, by way of others, about itself",
        rule.title
    );
    Err(RuleError::new(&rule.file, rule.line, reason))
}

/// Takes away what feeds nobody who speaks, so that a rule that is switched off costs nothing.
fn forget_unheard(set: &mut RuleSet, refers: &[Vec<usize>]) {
    let mut heard: HashSet<usize> = HashSet::new();
    let mut waiting: Vec<usize> = (0..set.rules.len())
        .filter(|place| set.rules[*place].is_told())
        .collect();
    while let Some(place) = waiting.pop() {
        if heard.insert(place) {
            waiting.extend(&refers[place]);
        }
    }
    let correlations = &set.correlations;
    for feeds in &mut set.feeds {
        feeds.retain(|(number, _)| heard.contains(&correlations[*number].rule));
    }
}
