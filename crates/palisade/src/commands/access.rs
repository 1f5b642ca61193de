//! `palisade access`.

mod apply;
mod plan;
mod signed;

use std::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use plan::PlanCommand;

use super::PageArgs;
use crate::{
    client::{Act, Session, confirm, path},
    failure::Failure,
    output::{Column, Output, column},
};

const LOG: [Column; 8] = [
    column("LAST", "/last_at"),
    column("WHO", "/name"),
    column("KIND", "/kind"),
    column("ACTION", "/action"),
    column("OUTCOME", "/outcome"),
    column("TIMES", "/times"),
    column("FROM", "/source"),
    column("ON", "/resource"),
];
const ACCOUNTS: [Column; 7] = [
    column("ACCOUNT", "/name"),
    column("ROLES", "/role_names"),
    column("LAST SIGN-IN", "/last_login_at"),
    column("SECOND FACTORS", "/factors"),
    column("TOKENS", "/token_count"),
    column("UNUSED RIGHTS", "/unused_count"),
    column("SUGGESTIONS", "/suggestion_count"),
];
const TOKENS: [Column; 7] = [
    column("TOKEN", "/id"),
    column("NAME", "/name"),
    column("OF", "/of"),
    column("SERVICE", "/service"),
    column("LAST USED", "/last_used_at"),
    column("SCOPES", "/scopes"),
    column("UNUSED SCOPES", "/unused"),
];
const REVIEWS: [Column; 6] = [
    column("REVIEWED", "/reviewed_at"),
    column("REVIEWER", "/reviewer"),
    column("ACCOUNTS", "/accounts"),
    column("SUGGESTIONS", "/suggestions"),
    column("DIGEST", "/digest"),
    column("NOTE", "/note"),
];

/// Who did, tried and read what here, and reviews of who may what.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Show what accounts and programs did, tried and read
    #[command(after_help = "Examples:
  palisade access log --subject bert
  palisade access log --outcome denied --since 2027-01-31T00:00:00Z
  palisade access log --action device.read --json")]
    Log(LogArgs),
    /// Show who may what, whether they use it, and what could be taken away
    #[command(after_help = "Examples:
  palisade access review
  palisade access review --account bert --days 30
  palisade access review --apply
  palisade access review --json > review.json

With --apply, what is not used is taken away in one step, after you said yes to all of it.")]
    Review {
        /// Over how many days it is looked for uses
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Only this account, with each right that it does not use
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Follow every suggestion that a request follows: disable, take roles and scopes away, revoke tokens
        #[arg(long)]
        apply: bool,
        /// Do not ask whether you are sure
        #[arg(long, short, requires = "apply")]
        yes: bool,
    },
    /// Who is to review access, how often and until when
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Sign that you looked at who may what
    #[command(
        name = "sign-off",
        after_help = "Examples:
  palisade access sign-off --note 'third quarter'
  palisade access sign-off --digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --yes"
    )]
    SignOff {
        /// The digest of the review that you looked at; where it is left out, the review is shown first
        #[arg(long)]
        digest: Option<String>,
        /// Over how many days it was looked for uses
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// What you say about it
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// Do not ask whether you are sure
        #[arg(long, short)]
        yes: bool,
    },
    /// List the reviews that somebody signed
    #[command(
        after_help = "Examples:\n  palisade access reviews\n  palisade access reviews --json"
    )]
    Reviews {
        #[command(flatten)]
        page: PageArgs,
    },
}

/// Which entries of the log.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Only those of this account, or of the token of this name or id
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only those of this action (`palisade role actions`)
    #[arg(long)]
    action: Option<String>,
    /// Only those of this outcome
    #[arg(long)]
    outcome: Option<OutcomeArg>,
    /// Only those with a request at this time or later
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those with a request before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

/// What came of requests.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OutcomeArg {
    Allowed,
    Denied,
    Failed,
}

impl OutcomeArg {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

impl Act for AccessCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let output = &session.output;
        match self {
            Self::Log(wanted) => {
                let answer = wanted.page.read(|| {
                    session
                        .get(path(&["access"]))
                        .query("subject", wanted.subject.as_ref())
                        .query("action", wanted.action.as_ref())
                        .query("outcome", wanted.outcome.map(OutcomeArg::as_str))
                        .query("since", wanted.since.as_ref())
                        .query("until", wanted.until.as_ref())
                })?;
                output.list(&answer, &LOG)
            }
            Self::Plan(plan) => plan.run(session),
            Self::Review {
                days,
                account,
                apply: true,
                yes,
            } => apply::apply(session, days, account.as_deref(), yes),
            Self::Review { days, account, .. } => {
                let review = read(session, days, account.as_deref())?;
                match output.is_json() {
                    true => output.json(&review),
                    false => show(output, &review, account.is_some()),
                }
            }
            Self::SignOff {
                digest,
                days,
                note,
                yes,
            } => {
                let digest = match digest {
                    Some(digest) => digest,
                    None => {
                        let review = read(session, days, None)?;
                        if !output.is_json() {
                            show(output, &review, false)?;
                        }
                        text(&review, "digest").to_owned()
                    }
                };
                confirm(yes, "Sign that you looked at this?")?;
                let body = json!({ "digest": digest, "days": days, "note": note });
                let call = session.post(path(&["access", "review"])).json(&body);
                let mut answer = call.send()?;
                let entry = signed::entry_of(session, text(&answer, "id"));
                answer["ledger_entry"] = entry.into();
                let proof = entry.map_or_else(String::new, |entry| {
                    format!(" Entry {entry} of the ledger: `palisade ledger prove {entry}` proves it to others.")
                });
                let sentence = format!(
                    "{} signed at {}: {} accounts, {} suggestions, digest {}.{proof}",
                    text(&answer, "reviewer"),
                    text(&answer, "reviewed_at"),
                    answer.get("accounts").unwrap_or(&Value::Null),
                    answer.get("suggestions").unwrap_or(&Value::Null),
                    text(&answer, "digest"),
                );
                output.done(&answer, &sentence)
            }
            Self::Reviews { page } => {
                let answer = page.read(|| session.get(path(&["access", "reviews"])))?;
                output.list(&answer, &REVIEWS)
            }
        }
    }
}

/// The whole review: its accounts come in parts.
fn read(session: &Session, days: u32, account: Option<&str>) -> Result<Value, Failure> {
    let mut items = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let call = session.get(path(&["access", "review"]));
        let mut part = call
            .query("days", Some(days))
            .query("account", account)
            .query("limit", Some(500))
            .query("after", after.as_ref())
            .send()?;
        if let Some(more) = part.get_mut("items").and_then(Value::as_array_mut) {
            items.append(more);
        }
        after = part.get("next").and_then(Value::as_str).map(str::to_owned);
        if after.is_none() {
            part["items"] = items.into();
            return Ok(part);
        }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn show(output: &Output, review: &Value, is_one: bool) -> Result<(), Failure> {
    let accounts = list(review, "items");
    let rows: Vec<Value> = accounts.iter().map(summary).collect();
    output.list(&Value::Array(rows), &ACCOUNTS)?;
    let tokens = tokens_of(review, is_one);
    if !tokens.is_empty() {
        output.text("")?;
        output.list(&Value::Array(tokens), &TOKENS)?;
    }
    let mut more = String::new();
    for account in accounts {
        told(&mut more, text(account, "name"), account);
        for token in list(account, "tokens") {
            told_of_token(&mut more, token);
        }
        if is_one {
            unused(&mut more, account);
        }
    }
    for token in list(review, "tokens").iter().filter(|_| !is_one) {
        told_of_token(&mut more, token);
    }
    // Writing to a text does not fail.
    let _ = write!(
        more,
        "\nUses since {}, as far back as {}. Digest {}",
        text(review, "since"),
        review
            .get("observed_since")
            .and_then(Value::as_str)
            .unwrap_or("now: nothing was noted yet"),
        text(review, "digest"),
    );
    output.text(&crate::output::sanitise(&more))
}

/// The tokens of the accounts that are shown, and those of nobody that is known.
fn tokens_of(review: &Value, is_one: bool) -> Vec<Value> {
    let mut rows = Vec::new();
    let of_nobody = [(Value::Null, review)];
    let accounts = list(review, "items").iter();
    let accounts = accounts.map(|account| (account["name"].clone(), account));
    let all = accounts.chain(of_nobody.into_iter().filter(|_| !is_one));
    for (of, holder) in all {
        for token in list(holder, "tokens") {
            let mut row = token.clone();
            row["of"] = of.clone();
            rows.push(row);
        }
    }
    rows
}

fn told(out: &mut String, who: &str, of: &Value) {
    for one in list(of, "suggestions") {
        let about = one.get("about").and_then(Value::as_str);
        let about = about.filter(|about| text(of, "id") != *about);
        let about = about.map(|about| format!(" ({about})")).unwrap_or_default();
        let _ = write!(out, "\n{who}{about}: {}", text(one, "detail"));
    }
}

fn told_of_token(out: &mut String, token: &Value) {
    let who = format!("token {} {}", text(token, "id"), text(token, "name"));
    told(out, &who, token);
}

/// Each right that is not used, role by role.
fn unused(out: &mut String, account: &Value) {
    for role in list(account, "roles") {
        let names: Vec<&str> = list(role, "unused")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        if !names.is_empty() {
            let _ = write!(
                out,
                "\nNot used of {}: {}",
                text(role, "role"),
                names.join(", ")
            );
        }
    }
}

/// A row of the table.
fn summary(account: &Value) -> Value {
    let roles = list(account, "roles");
    let names: Vec<String> = roles
        .iter()
        .map(|role| {
            let bound = if role.get("bounds").is_some_and(|bounds| !bounds.is_null()) {
                " (bound)"
            } else {
                ""
            };
            format!("{}{bound}", text(role, "role"))
        })
        .collect();
    let mut factors = Vec::new();
    if account.get("totp") == Some(&Value::Bool(true)) {
        factors.push("app".to_owned());
    }
    match account.get("passkeys").and_then(Value::as_u64) {
        None | Some(0) => {}
        Some(count) => factors.push(format!("{count} passkeys")),
    }
    let tokens = list(account, "tokens");
    let of_tokens: usize = tokens
        .iter()
        .map(|token| list(token, "suggestions").len())
        .sum();
    let unused: usize = roles.iter().map(|role| list(role, "unused").len()).sum();
    let permits: u64 = roles
        .iter()
        .filter_map(|role| role.get("permits").and_then(Value::as_u64))
        .sum();
    json!({
        "name": account.get("name"),
        "role_names": names,
        "last_login_at": account.get("last_login_at"),
        "factors": factors,
        "token_count": tokens.len(),
        "unused_count": format!("{unused} of {permits}"),
        "suggestion_count": list(account, "suggestions").len() + of_tokens,
    })
}
