//! `palisade-agent publish`.

use std::{io::Read, time::Duration};

use clap::Args;
use palisade_agent::{
    MAX_PAYLOAD, OfflineQueue, Qos, QueueError, ReaderPublicKey, reason_name, seal,
};
use serde_json::json;
use tokio::time::timeout;

use super::{
    Context, Failure,
    config::Config,
    door::{Answer, Request, Wait, ask},
    print,
};

#[derive(Debug, Args)]
pub(super) struct PublishArguments {
    /// Where.
    topic: String,
    /// 0: it may be lost with the connection; 1: it is kept until the server has it.
    #[arg(long, value_name = "0|1", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// The server keeps it for later subscribers.
    #[arg(long)]
    retain: bool,
    /// Seals the message for the reader of this public key, who alone can open it; may be repeated.
    #[arg(long, value_name = "PRK_...")]
    seal_for: Vec<String>,
    /// Waits for the server's answer; the agent must run. Without it the answer is waited for a moment, and
    /// only while the agent is connected.
    #[arg(long)]
    wait: bool,
    /// Waits for no answer: a message that the server refuses is seen in the agent's log and status alone.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// Seconds that --wait waits; the message stays queued beyond it.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub(super) async fn run(context: &Context, arguments: PublishArguments) -> Result<(), Failure> {
    if !context.state.is_enrolled() {
        let path = context.state.path().to_owned();
        return Err(palisade_agent::StateError::NotEnrolled(path).into());
    }
    let mut payload = payload()?;
    if !arguments.seal_for.is_empty() {
        // Read here and not by clap, which would repeat what it refuses: it may be a secret.
        let readers = arguments.seal_for.iter().map(|text| text.parse());
        let readers: Result<Vec<ReaderPublicKey>, _> = readers.collect();
        let readers = readers.map_err(Failure::usage)?;
        let sealed = seal(&payload, &arguments.topic, &readers);
        payload = sealed.map_err(Failure::usage)?;
    }
    let request = Request::Publish {
        topic: arguments.topic.clone(),
        qos: arguments.qos,
        retain: arguments.retain,
        wait: match (arguments.wait, arguments.no_wait) {
            (true, _) => Wait::Yes,
            (false, true) => Wait::No,
            (false, false) => Wait::AMoment,
        },
        length: payload.len(),
    };
    let asked = ask(&context.state, &request, &payload);
    let answer = match arguments.wait {
        true => timeout(Duration::from_secs(arguments.timeout), asked).await,
        false => Ok(asked.await),
    };
    let unanswered =
        |_| Failure::unreachable("the server did not answer in time; the message is queued");
    if let Some(answer) = answer.map_err(unanswered)?? {
        return tell(context, answer);
    }
    if arguments.wait {
        return Err(Failure::unreachable("--wait needs a running agent"));
    }
    let dir = context.state.queue_dir();
    let config = Config::read(None, &context.state)?;
    let mut queue = match OfflineQueue::open(dir, config.queue()) {
        // It is starting, or ending: its socket comes or the lock goes in a moment.
        Err(QueueError::Busy(_)) => return Err(Failure::state("the agent is starting: try again")),
        other => other?,
    };
    let qos = Qos::try_from(arguments.qos).map_err(Failure::usage)?;
    queue.publish(&arguments.topic, payload, qos, arguments.retain)?;
    tell(context, Answer::Queued)
}

fn tell(context: &Context, answer: Answer) -> Result<(), Failure> {
    let (how, reason) = match answer {
        Answer::Taken {
            reason: Some(reason),
        } if reason >= 0x80 => {
            let name = reason_name(reason);
            return Err(Failure::refused(format!(
                "the server refused: {name} (0x{reason:02x})"
            )));
        }
        Answer::Taken { reason } => ("taken", reason),
        Answer::Queued => ("queued", None),
        Answer::Failed { error } => return Err(Failure::other(error)),
        Answer::Status(_) | Answer::Subscribed | Answer::Message { .. } => {
            return Err(Failure::other("the agent answered something else"));
        }
    };
    if context.json {
        print(&json!({ "message": how, "reason": reason }).to_string());
    }
    Ok(())
}

fn payload() -> Result<Vec<u8>, Failure> {
    let mut payload = Vec::new();
    let most = MAX_PAYLOAD as u64 + 1;
    let read = std::io::stdin().take(most).read_to_end(&mut payload);
    read.map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    match payload.len() > MAX_PAYLOAD {
        true => Err(Failure::usage(format!(
            "at most {MAX_PAYLOAD} bytes are published"
        ))),
        false => Ok(payload),
    }
}
