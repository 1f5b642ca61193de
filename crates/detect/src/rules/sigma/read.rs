//! Reading a file of rules: bounded, and with the line of what is wrong.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use palisade_core::{Confidence, Severity};
use rsigma_eval::compile_rule;
use rsigma_parser::{
    CorrelationRule, Level, LogSource, SigmaCollection, SigmaRule, Status, parse_sigma_yaml,
};

use super::{
    super::{Family, Rule, RuleError, RuleFile, RuleKind, budget, correlate::Correlation},
    Compiled,
    check::{self, Wrong},
    correlation, route,
    threshold::Bound,
};

/// The most bytes of a file.
pub(crate) const MAX_FILE: usize = 1024 * 1024;
/// What is sure of itself unless it says otherwise.
const CONFIDENCE: u8 = 80;
/// What names things it may be mistaken about.
const CONFIDENCE_WITH_FALSE_POSITIVES: u8 = 60;
/// By this attribute a rule says that it speaks for itself, although correlations are about it.
const SPEAKS_KEY: &str = "palisade.speaks";
/// By this attribute a rule says how sure it is.
const CONFIDENCE_KEY: &str = "palisade.confidence";
const PRODUCT: &str = "palisade";

/// A rule that was read, and what it is about is not looked up yet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) rule: Rule,
    pub(super) body: DraftBody,
    pub(super) regexes: usize,
    /// Whether it speaks for itself although correlations are about it.
    pub(super) always_speaks: bool,
}

impl Draft {
    /// Whether it speaks, where these only serve correlations.
    pub(super) fn speaks_beside(&self, served: &HashSet<String>) -> bool {
        let mut names = self.rule.uuid.iter().chain(&self.rule.name);
        self.always_speaks || !names.any(|name| served.contains(name))
    }

    pub(super) fn is_correlation(&self) -> bool {
        matches!(self.body, DraftBody::Correlation { .. })
    }
}

#[derive(Debug, Clone)]
pub(super) enum DraftBody {
    Detection(Vec<Compiled>),
    Correlation {
        /// The rules that it is about, by UUID or name.
        about: Vec<String>,
        /// Whether those speak for themselves too.
        generate: bool,
        correlation: Correlation,
    },
}

/// One document of a file.
struct Document<'a> {
    file: &'a RuleFile,
    /// The line before its first.
    above: u32,
    text: &'a str,
}

/// Reads all rules of a file.
pub(super) fn read(file: &RuleFile) -> Result<Vec<Draft>, RuleError> {
    if file.text.len() > MAX_FILE {
        let reason = format!(
            "the file has {} bytes, at most {MAX_FILE} are read",
            file.text.len()
        );
        return Err(RuleError::new(&file.name, 1, reason));
    }
    if !is_name(file.stem()) {
        let reason = "a rule is called as its file: name it with letters, digits, '.', '_' and '-', and not \
                      status, check, reload or replay";
        return Err(RuleError::new(&file.name, 1, reason));
    }
    let documents = documents(file);
    let drafts: Vec<Draft> = documents
        .iter()
        .filter(|document| !document.is_empty())
        .map(Document::read)
        .collect::<Result<_, _>>()?;
    match drafts.is_empty() {
        true => Err(RuleError::new(&file.name, 1, "there is no rule in it")),
        false => Ok(drafts),
    }
}

fn is_name(stem: &str) -> bool {
    // What stands in paths of the REST API beside the rules.
    if ["status", "check", "reload", "replay"].contains(&stem) {
        return false;
    }
    let inner = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    stem.len() <= 100
        && stem.starts_with(|first: char| first.is_ascii_alphanumeric())
        && stem.chars().all(inner)
}

/// A file's documents: what stands between lines of `---`.
fn documents(file: &RuleFile) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut begin, mut above, mut at, mut lines) = (0, 0, 0, 0);
    for line in file.text.split_inclusive('\n') {
        lines += 1;
        let next = at + line.len();
        let is_mark = line == "---" || line.strip_prefix("---").is_some_and(is_blank);
        if is_mark {
            documents.push((begin, at, above));
            (begin, above) = (next, lines);
        }
        at = next;
    }
    documents.push((begin, at, above));
    documents
        .into_iter()
        .map(|(begin, end, above)| Document {
            file,
            above,
            text: &file.text[begin..end],
        })
        .collect()
}

fn is_blank(rest: &str) -> bool {
    let rest = rest.trim_end();
    rest.is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
}

impl Document<'_> {
    fn is_empty(&self) -> bool {
        let mut lines = self.text.lines().map(str::trim);
        lines.all(|line| line.is_empty() || line.starts_with('#'))
    }

    fn error(&self, line: u32, reason: impl Into<String>) -> RuleError {
        let reason = reason.into();
        let reason: String = reason
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(500)
            .collect();
        RuleError::new(&self.file.name, self.above + line, reason)
    }

    /// An error at the first line that has a word, else at the first that has anything.
    fn near(&self, word: &str, reason: impl Into<String>) -> RuleError {
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
        let number = |wanted: &dyn Fn(&&str) -> bool| {
            let mut lines = self.text.lines().enumerate();
            lines
                .find(|(_, line)| is_code(line) && wanted(line))
                .and_then(|(at, _)| u32::try_from(at + 1).ok())
        };
        let named = || number(&|line| !word.is_empty() && line.contains(word));
        let line = named().or_else(|| number(&|_| true)).unwrap_or(1);
        self.error(line, reason)
    }

    fn wrong(&self, wrong: Wrong) -> RuleError {
        self.near(&wrong.near, wrong.reason)
    }

    fn read(&self) -> Result<Draft, RuleError> {
        if let Some(line) = budget::too_deep_at(self.text) {
            return Err(self.error(line, "too many brackets are open here"));
        }
        let checked = budget::check(yaml_serde::Deserializer::from_str(self.text));
        checked.map_err(|error| {
            let line = error.location().map_or(1, |at| at.line());
            self.error(u32::try_from(line).unwrap_or(1), error.to_string())
        })?;
        if self.text.lines().any(|line| line.starts_with("action:")) {
            return Err(self.near("action:", "collections (`action:`) are not read"));
        }
        let parsed =
            parse_sigma_yaml(self.text).map_err(|error| self.parse_error(&error.to_string()))?;
        if let Some(error) = parsed.errors.first() {
            return Err(self.parse_error(error));
        }
        let SigmaCollection {
            mut rules,
            mut correlations,
            ..
        } = parsed;
        match (rules.pop(), correlations.pop()) {
            (Some(rule), None) => self.detection(&rule),
            (None, Some(rule)) => self.correlation(&rule),
            _ => Err(self.near("filter:", "filters are not read: say it in the rule itself")),
        }
    }

    /// What the parser says, at the line of what it quotes or of the part that it names.
    fn parse_error(&self, error: &str) -> RuleError {
        let quoted = error.split('\'').nth(1);
        let last = error.rsplit(": ").next().unwrap_or_default();
        let quoted = quoted.unwrap_or(last);
        let part = [
            ("Condition", "condition:"),
            ("timespan", "timespan:"),
            ("orrelation", "correlation:"),
            ("etection", "detection:"),
            ("logsource", "logsource:"),
        ];
        let part = part.iter().find(|(word, _)| error.contains(word));
        let near = match part {
            Some((_, part)) if quoted.is_empty() || !self.text.contains(quoted) => part,
            _ => quoted,
        };
        self.near(near, error)
    }

    fn detection(&self, rule: &SigmaRule) -> Result<Draft, RuleError> {
        let family = self.family(&rule.logsource)?;
        let regexes = check::check(rule).map_err(|wrong| self.wrong(wrong))?;
        let compiled = self.compile(rule)?;
        let metadata = Metadata {
            title: &rule.title,
            id: &rule.id,
            name: &rule.name,
            description: &rule.description,
            status: rule.status,
            author: &rule.author,
            references: &rule.references,
            false_positives: &rule.falsepositives,
            level: rule.level,
            tags: &rule.tags,
            confidence: rule.custom_attributes.get(CONFIDENCE_KEY),
        };
        Ok(Draft {
            rule: self.rule(metadata, RuleKind::Detection, family)?,
            body: DraftBody::Detection(compiled),
            regexes,
            always_speaks: always_speaks(&rule.custom_attributes),
        })
    }

    /// Compiles a rule for each kind of event that it can match.
    fn compile(&self, rule: &SigmaRule) -> Result<Vec<Compiled>, RuleError> {
        let mut bare = rule.clone();
        // What the compiler would read of these is ours to say.
        bare.custom_attributes.clear();
        bare.tags.clear();
        bare.falsepositives.clear();
        bare.description = None;
        bare.detection.named.values_mut().for_each(check::anchor);
        let compile = |kind, rule: &SigmaRule| {
            let compiled = compile_rule(rule);
            let mut compiled = compiled.map_err(|error| self.parse_error(&error.to_string()))?;
            compiled.title.clear();
            Ok(Compiled {
                kind,
                bound: Bound::of(&rule.detection),
                rule: Arc::new(compiled),
            })
        };
        let Some(kinds) = route::kinds(&bare.detection) else {
            return Ok(vec![compile(None, &bare)?]);
        };
        let for_kind = |kind| {
            let mut bare = bare.clone();
            route::for_kind(&mut bare.detection, kind);
            compile(Some(kind), &bare)
        };
        kinds.into_iter().map(for_kind).collect()
    }

    fn correlation(&self, rule: &CorrelationRule) -> Result<Draft, RuleError> {
        let kind = correlation::kind(rule).map_err(|wrong| self.wrong(wrong))?;
        let converted = correlation::convert(rule).map_err(|wrong| self.wrong(wrong))?;
        let metadata = Metadata {
            title: &rule.title,
            id: &rule.id,
            name: &rule.name,
            description: &rule.description,
            status: rule.status,
            author: &rule.author,
            references: &rule.references,
            false_positives: &rule.falsepositives,
            level: rule.level,
            tags: &rule.tags,
            confidence: rule.custom_attributes.get(CONFIDENCE_KEY),
        };
        Ok(Draft {
            rule: self.rule(metadata, kind, None)?,
            body: DraftBody::Correlation {
                about: rule.rules.clone(),
                generate: rule.generate,
                correlation: converted,
            },
            regexes: 0,
            always_speaks: always_speaks(&rule.custom_attributes),
        })
    }

    fn family(&self, logsource: &LogSource) -> Result<Option<Family>, RuleError> {
        if let Some(product) = &logsource.product
            && product != PRODUCT
        {
            let reason = format!("the product is {product:?}: rules here are for {PRODUCT:?}");
            return Err(self.near("product:", reason));
        }
        let Some(category) = &logsource.category else {
            return Ok(None);
        };
        let family = Family::parse(category).ok_or_else(|| {
            let known: Vec<&str> = Family::ALL.into_iter().map(Family::as_str).collect();
            let known = known.join(", ");
            let reason = format!("there is no category {category:?}: use one of {known}");
            self.near("category:", reason)
        })?;
        Ok(Some(family))
    }

    fn rule(
        &self,
        metadata: Metadata<'_>,
        kind: RuleKind,
        family: Option<Family>,
    ) -> Result<Rule, RuleError> {
        if metadata.title.trim().is_empty() || metadata.title.len() > 256 {
            return Err(self.near("title:", "a title has 1 to 256 bytes"));
        }
        let techniques = metadata.tags.iter().filter(|tag| {
            let technique = tag.strip_prefix("attack.t");
            technique.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        });
        Ok(Rule {
            id: self.file.stem().to_owned(),
            uuid: metadata.id.clone(),
            name: metadata.name.clone(),
            title: metadata.title.to_owned(),
            description: metadata.description.clone().unwrap_or_default(),
            kind,
            family,
            severity: severity(metadata.level),
            confidence: self.confidence(&metadata)?,
            techniques: techniques.cloned().collect(),
            tags: metadata.tags.to_vec(),
            false_positives: metadata.false_positives.to_vec(),
            references: metadata.references.to_vec(),
            status: metadata.status.map(|status| status_word(status).to_owned()),
            author: metadata.author.clone(),
            origin: self.file.origin,
            file: self.file.name.clone(),
            line: self.near("title:", "").line,
            speaks: true,
            enabled: true,
            text: self.file.text.clone(),
        })
    }

    fn confidence(&self, metadata: &Metadata<'_>) -> Result<Confidence, RuleError> {
        if let Some(value) = metadata.confidence {
            let value = value.as_u64().filter(|value| *value <= 100);
            return match value.and_then(|value| u8::try_from(value).ok()) {
                Some(value) => Ok(Confidence::new(value)),
                None => Err(self.near(CONFIDENCE_KEY, "the confidence is a number from 0 to 100")),
            };
        }
        let is_sure = metadata.false_positives.iter().all(|text| {
            let text = text.trim().to_ascii_lowercase();
            ["", "none", "unlikely", "unknown"].contains(&text.as_str())
        });
        Ok(Confidence::new(match is_sure {
            true => CONFIDENCE,
            false => CONFIDENCE_WITH_FALSE_POSITIVES,
        }))
    }
}

/// What rules of both kinds say about themselves.
struct Metadata<'a> {
    title: &'a str,
    id: &'a Option<String>,
    name: &'a Option<String>,
    description: &'a Option<String>,
    status: Option<Status>,
    author: &'a Option<String>,
    references: &'a [String],
    false_positives: &'a [String],
    level: Option<Level>,
    tags: &'a [String],
    confidence: Option<&'a yaml_serde::Value>,
}

fn always_speaks(attributes: &HashMap<String, yaml_serde::Value>) -> bool {
    let said = attributes.get(SPEAKS_KEY);
    said.and_then(yaml_serde::Value::as_bool).unwrap_or(false)
}

fn severity(level: Option<Level>) -> Severity {
    match level {
        Some(Level::Informational) => Severity::Informational,
        Some(Level::Low) => Severity::Low,
        Some(Level::Medium) | None => Severity::Medium,
        Some(Level::High) => Severity::High,
        Some(Level::Critical) => Severity::Critical,
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Stable => "stable",
        Status::Test => "test",
        Status::Experimental => "experimental",
        Status::Deprecated => "deprecated",
        Status::Unsupported => "unsupported",
    }
}
