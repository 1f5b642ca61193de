//! `palisade message`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::read_text;
use crate::{
    client::{Act, Session, path},
    failure::{Exit, Failure},
};

/// Messages to devices.
#[derive(Debug, Subcommand)]
pub(crate) enum MessageCommand {
    /// Publish a message, as the service that your token is bound to
    #[command(override_usage = "palisade message publish [OPTIONS] <TOPIC> <PAYLOAD>
       palisade message publish [OPTIONS] <TOPIC> --file <FILE>")]
    #[command(after_help = "Examples:
  palisade message publish devices/cam-1/commands/reboot '{\"in_s\": 5}' --qos 1
  palisade message publish devices/cam-1/commands/config --file config.json --retain")]
    Publish(PublishArgs),
}

/// What to publish where.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("content").required(true))]
pub(crate) struct PublishArgs {
    /// The topic
    topic: String,
    /// The payload, as text
    #[arg(group = "content")]
    payload: Option<String>,
    /// The payload, from a text file; `-` is standard input
    #[arg(long, value_name = "FILE", group = "content")]
    file: Option<PathBuf>,
    /// Quality of service
    #[arg(long, value_name = "0..2", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Keep it for those who subscribe later
    #[arg(long)]
    retain: bool,
    /// What kind of content it is (`application/json`)
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
}

impl Act for MessageCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let Self::Publish(args) = self;
        let payload = match (&args.file, args.payload) {
            (Some(file), _) => read_text(file)?,
            (None, payload) => payload.unwrap_or_default(),
        };
        let mut body = json!({
            "topic": args.topic,
            "payload": payload,
            "qos": args.qos,
            "retain": args.retain,
        });
        if let Some(kind) = &args.content_type {
            body["content_type"] = json!(kind);
        }
        let answer = session.post(path(&["messages"])).json(&body).send();
        let answer = answer.map_err(|failure| explained(failure, &args.topic))?;
        let receivers = answer.get("receivers").and_then(Value::as_u64);
        let sentence = format!("Published to {} receivers.", receivers.unwrap_or(0));
        session.output.done(&answer, &sentence)
    }
}

/// A refusal, with what to do about it.
fn explained(failure: Failure, topic: &str) -> Failure {
    if failure.code() != Exit::Denied {
        return failure;
    }
    match failure.message().contains("not bound to a service") {
        true => failure.next(
            "messages are published by a service. Make one, let it publish, and use a token of its own:\n\
             palisade service put NAME\n\
             palisade grant add TOPICS --service NAME --allow publish\n\
             palisade api-token create TOKEN-NAME --scope messages:write --service NAME\n\
             PALISADE_TOKEN=SECRET palisade message publish TOPIC PAYLOAD",
        ),
        false => failure.next(format!(
            "`palisade policy explain service/NAME publish --topic {topic}` says why, for the service of the token"
        )),
    }
}
