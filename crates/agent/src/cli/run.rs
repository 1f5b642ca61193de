//! `palisade-agent run`.

use std::path::PathBuf;

use clap::Args;
use palisade_agent::{Agent, Event, reason_name};
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Failure, config::Config, door::Door, print};

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The configuration; agent.toml in the state directory unless said otherwise.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, arguments: RunArguments) -> Result<(), Failure> {
    let state = context.state.clone();
    let config = Config::read(arguments.config.as_deref(), &state)?;
    let identity = state.identity()?;
    let options = config.options(state.servers()?, state.clone());
    let failed = |error| Failure::other(format!("signals cannot be heard: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (agent, mut events) = Agent::connect(identity, options)?;
    let mut door = Door::open(&state, agent.clone())?;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Message(message)) => door.deliver(&message),
                Some(event) => tell(context, &event),
                None => return Err(Failure::other("the agent ended by itself")),
            },
            () = door.serve() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    door.close();
    agent.close().await;
    Ok(())
}

/// For people there is the log; programs get each event as a line.
fn tell(context: &Context, event: &Event) {
    match event {
        Event::Refused { topic, reason } => {
            tracing::warn!(topic, reason = %in_words(*reason), "the server refused a message");
        }
        Event::SubscriptionRefused { filter, reason } => {
            tracing::warn!(filter, reason = %in_words(*reason), "the server refused a subscription");
        }
        _ => {}
    }
    if context.json {
        print(&describe(event).to_string());
    }
}

fn in_words(reason: u8) -> String {
    format!("{} (0x{reason:02x})", reason_name(reason))
}

fn describe(event: &Event) -> serde_json::Value {
    use serde_json::json;
    match event {
        Event::Connected {
            session_present,
            key_exchange,
        } => json!({
            "event": "connected",
            "session_present": session_present,
            "key_exchange": key_exchange,
        }),
        Event::Disconnected { cause, retry_in } => json!({
            "event": "disconnected",
            "cause": cause.to_string(),
            "reason": cause.reason(),
            "retry_in_ms": retry_in.map(|wait| wait.as_millis() as u64),
        }),
        Event::Message(message) => json!({ "event": "message", "topic": message.topic }),
        Event::Refused { topic, reason } => json!({
            "event": "refused",
            "topic": topic,
            "reason": reason,
        }),
        Event::SubscriptionRefused { filter, reason } => json!({
            "event": "subscription_refused",
            "filter": filter,
            "reason": reason,
        }),
        Event::Renewed { not_after } => json!({
            "event": "renewed",
            "not_after": not_after.to_string(),
        }),
        Event::RenewalFailed { why, not_after } => json!({
            "event": "renewal_failed",
            "why": why,
            "not_after": not_after.to_string(),
        }),
    }
}
