//! `palisade-agent status`.

use std::time::Duration;

use palisade_agent::{OfflineQueue, QueueError, QueueStats, Status as AgentStatus};
use serde_json::json;

use super::{
    Context, Failure,
    config::Config,
    door::{Answer, Request, ask},
    in_words, print,
};

/// How often an agent that has the queue and does not answer is asked, and how long it is waited between.
const TRIES: usize = 40;
const BETWEEN: Duration = Duration::from_millis(100);

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let identity = context.state.identity()?;
    let servers = context.state.servers()?;
    let (running, queue) = now(context).await?;
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

/// What the agent says, if it runs, and what waits. One that is starting or ending answers in a moment, or its queue is
/// free in a moment.
async fn now(context: &Context) -> Result<(Option<AgentStatus>, QueueStats), Failure> {
    for _ in 0..TRIES {
        match ask(&context.state, &Request::Status, &[]).await? {
            Some(Answer::Status(status)) => {
                let queue = status.queue;
                return Ok((Some(*status), queue));
            }
            Some(Answer::Failed { error }) => return Err(Failure::other(error)),
            Some(_) => return Err(Failure::other("the agent answered something else")),
            None => {}
        }
        match offline_queue(context)? {
            Some(queue) => return Ok((None, queue)),
            None => tokio::time::sleep(BETWEEN).await,
        }
    }
    Err(Failure::state("the agent is starting or ending: try again"))
}

/// What waits, where no agent runs; nothing where one has the queue.
fn offline_queue(context: &Context) -> Result<Option<QueueStats>, Failure> {
    let dir = context.state.queue_dir();
    if !dir.exists() {
        return Ok(Some(QueueStats::default()));
    }
    let config = Config::read(None, &context.state)?;
    match OfflineQueue::open(dir, config.queue()) {
        Ok(queue) => Ok(Some(queue.stats())),
        Err(QueueError::Busy(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
