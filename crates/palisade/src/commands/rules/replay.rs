//! `palisade rules replay`: begun at the server, watched here.

use std::{path::PathBuf, thread::sleep, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    client::{Session, path},
    commands::read_text,
    failure::Failure,
    output::{Column, column, spinner},
};

const LOOK: Duration = Duration::from_millis(300);
const COLUMNS: [Column; 7] = [
    column("RULE", "/rule"),
    column("SEVERITY", "/severity"),
    column("ABOUT", "/subject"),
    column("COUNT", "/count"),
    column("FIRST", "/first"),
    column("LAST", "/last"),
    column("TITLE", "/title"),
];

/// What to replay.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Events since then (RFC 3339); all that are stored if not given
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Events before then
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Rules to try, instead of those in force
    #[arg(long, value_name = "FILE")]
    rule: Option<PathBuf>,
}

pub(super) fn replay(args: &ReplayArgs, session: &Session) -> Result<(), Failure> {
    let mut body = json!({ "after": args.from, "until": args.to });
    if let Some(file) = &args.rule {
        body["text"] = json!(read_text(file)?);
    }
    let there = || path(&["rules", "replay"]);
    let mut answer = session.post(there()).json(&body).send()?;
    let wheel = spinner("replaying events");
    while answer["state"] == "running" {
        sleep(LOOK);
        answer = session.get(there()).send()?;
        wheel.set_message(format!(
            "replaying events: {} %, {} looked at",
            answer["percent"], answer["events"]
        ));
    }
    wheel.finish_and_clear();
    print(&answer, session)
}

fn print(answer: &Value, session: &Session) -> Result<(), Failure> {
    if session.output.is_json() {
        session.output.json(answer)?;
    } else {
        session.output.list(&answer["found"], &COLUMNS)?;
        let events = answer["events"].as_u64().unwrap_or_default();
        eprintln!("{events} events were looked at; nothing was raised.");
        if answer["cut"] == true {
            eprintln!("It stopped at {} : go on with --from.", answer["reached"]);
        }
    }
    match answer["problem"].as_str() {
        Some(why) => Err(Failure::new(format!("the replay failed: {why}"))),
        None if answer["state"] == "stopped" => Err(Failure::new("the replay was stopped")),
        None => Ok(()),
    }
}
