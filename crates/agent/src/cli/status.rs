//! `palisade-agent status`.

use palisade_agent::{OfflineQueue, QueueStats};
use serde_json::json;

use super::{
    Context, Failure,
    config::Config,
    door::{Answer, Request, ask},
    in_words, print,
};

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let identity = context.state.identity()?;
    let servers = context.state.servers()?;
    let answer = ask(&context.state, &Request::Status, &[]).await?;
    let running = match answer {
        Some(Answer::Status(status)) => Some(*status),
        Some(Answer::Failed { error }) => return Err(Failure::other(error)),
        Some(_) => return Err(Failure::other("the agent answered something else")),
        None => None,
    };
    let queue = match &running {
        Some(status) => status.queue,
        None => offline_queue(context)?,
    };
    if context.json {
        let object = json!({
            "device": identity.device(),
            "certificate": {
                "not_before": identity.not_before().to_string(),
                "not_after": identity.not_after().to_string(),
                "renewal_due": identity.renewal_due().to_string(),
            },
            "servers": servers,
            "running": running.is_some(),
            "connection": running,
            "queue": queue,
        });
        print(&object.to_string());
        return Ok(());
    }
    let connection = running.as_ref().map_or("not running".to_owned(), in_words);
    print(&format!("device       {}", identity.device()));
    print(&format!("gateway      {}", servers.gateway));
    print(&format!("agent        {connection}"));
    print(&format!(
        "certificate  until {}, renewed from {}",
        identity.not_after(),
        identity.renewal_due()
    ));
    if let Some(status) = &running {
        print(&format!(
            "messages     {} delivered, {} refused by the server, {} received",
            status.delivered, status.refused, status.received
        ));
    }
    // An empty queue keeps a file.
    print(&format!(
        "queue        {} messages wait; its files take {} bytes; {} dropped, {} damaged",
        queue.messages, queue.bytes, queue.dropped, queue.corrupted
    ));
    Ok(())
}

fn offline_queue(context: &Context) -> Result<QueueStats, Failure> {
    let dir = context.state.queue_dir();
    match dir.exists() {
        true => {
            let config = Config::read(None, &context.state)?;
            Ok(OfflineQueue::open(dir, config.queue())?.stats())
        }
        false => Ok(QueueStats::default()),
    }
}
