//! One program at the socket.

use std::time::Duration;

use palisade_agent::{Agent, MAX_PAYLOAD, Qos};
use palisade_core::TopicFilter;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::timeout,
};

use super::{Answer, Listeners, Request, Wait};

const MAX_LINE: u64 = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);
const LISTENER: usize = 64;
/// How long an answer of the server is waited for that nobody asked for.
const A_MOMENT: Duration = Duration::from_secs(5);

type Input = BufReader<OwnedReadHalf>;

pub(super) async fn serve(stream: UnixStream, agent: Agent, listeners: Listeners) {
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::new(input);
    let read = timeout(PATIENCE, read(&mut input)).await;
    let answer = match read.unwrap_or_else(|_| Err("the request did not come in time".to_owned())) {
        Ok((Request::Status, _)) => Answer::Status(Box::new(agent.status())),
        Ok((request @ Request::Publish { .. }, payload)) => {
            publish(&agent, request, payload, &mut input).await
        }
        Ok((Request::Subscribe { filter, qos }, _)) => {
            subscribe(&agent, &listeners, &filter, qos, (&mut input, &mut output)).await
        }
        Err(error) => Answer::Failed { error },
    };
    let _ = write(&mut output, &answer).await;
}

async fn read(input: &mut Input) -> Result<(Request, Vec<u8>), String> {
    let mut line = Vec::new();
    let read = (&mut *input)
        .take(MAX_LINE)
        .read_until(b'\n', &mut line)
        .await;
    read.map_err(|error| error.to_string())?;
    let request: Request = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
    let length = match request {
        Request::Publish { length, .. } => length,
        _ => 0,
    };
    if length > MAX_PAYLOAD {
        return Err(format!("at most {MAX_PAYLOAD} bytes are published"));
    }
    let mut payload = vec![0; length];
    let read = input.read_exact(&mut payload).await;
    read.map_err(|error| error.to_string())?;
    Ok((request, payload))
}

async fn write(output: &mut OwnedWriteHalf, answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    match timeout(PATIENCE, output.write_all(&line)).await {
        Ok(written) => written,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

async fn publish(agent: &Agent, request: Request, payload: Vec<u8>, input: &mut Input) -> Answer {
    let failed = |error: &dyn std::fmt::Display| Answer::Failed {
        error: error.to_string(),
    };
    let Request::Publish {
        topic,
        qos,
        retain,
        wait,
        ..
    } = request
    else {
        return failed(&"not a message");
    };
    let qos = match Qos::try_from(qos) {
        Ok(qos) => qos,
        Err(error) => return failed(&error),
    };
    let taken = match retain {
        true => agent.publish_retained(&topic, payload, qos).await,
        false => agent.publish(&topic, payload, qos).await,
    };
    match taken {
        Ok(delivery) if wait == Wait::AMoment && agent.is_connected() => tokio::select! {
            reason = timeout(A_MOMENT, delivery.reason()) => Answer::Taken {
                // It is taken in any case, and goes out when it can.
                reason: reason.ok().and_then(Result::ok),
            },
            () = hung_up(input) => failed(&"hung up"),
        },
        Ok(_) if wait != Wait::Yes => Answer::Taken { reason: None },
        Ok(delivery) => tokio::select! {
            reason = delivery.reason() => match reason {
                Ok(reason) => Answer::Taken { reason: Some(reason) },
                Err(error) => failed(&error),
            },
            () = hung_up(input) => failed(&"hung up"),
        },
        Err(error) => failed(&error),
    }
}

/// Nothing more is asked on a connection: the next byte, or its end, is a farewell.
async fn hung_up(input: &mut Input) {
    let _ = input.read(&mut [0]).await;
}

async fn subscribe(
    agent: &Agent,
    listeners: &Listeners,
    filter: &str,
    qos: u8,
    (input, output): (&mut Input, &mut OwnedWriteHalf),
) -> Answer {
    let failed = |error: &dyn std::fmt::Display| Answer::Failed {
        error: error.to_string(),
    };
    if filter.starts_with("$share/") {
        return failed(&"a device has no use for shared subscriptions");
    }
    let (parsed, qos) = match (TopicFilter::parse(filter), Qos::try_from(qos)) {
        (Ok(parsed), Ok(qos)) => (parsed, qos),
        (Err(error), _) => return failed(&error),
        (_, Err(error)) => return failed(&error),
    };
    // Listening first: what is retained comes right behind the server's answer.
    let (sender, mut messages) = mpsc::channel(LISTENER);
    let weak = sender.downgrade();
    listeners.add(parsed.clone(), sender);
    let serving = async {
        if let Err(error) = agent.subscribe(filter, qos).await {
            return failed(&error);
        }
        if let Err(error) = write(output, &Answer::Subscribed).await {
            return failed(&error);
        }
        while let Some(message) = messages.recv().await {
            if let Err(error) = write(output, &message.into()).await {
                return failed(&error);
            }
        }
        failed(&"messages came faster than they were read")
    };
    let last = tokio::select! {
        last = serving => last,
        () = hung_up(input) => failed(&"hung up"),
    };
    // A listener that was cut off is forgotten already.
    let is_last = match weak.upgrade() {
        Some(sender) => listeners.remove(&parsed, &sender),
        None => listeners.is_unheard(&parsed),
    };
    if is_last {
        agent.unsubscribe(filter).await;
    }
    last
}
