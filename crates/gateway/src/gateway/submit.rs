//! Messages from programs that speak no MQTT: another door authenticated them, policy decides as for a
//! PUBLISH packet.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use palisade_core::{Decision, DenyReason, Principal, Request, Topic, TopicError};

use palisade_policy::{Subject, SubjectError};
use tokio::time::timeout;

use crate::{
    broker::Broker,
    codec::PropertyWriter,
    limits::Excess,
    message::{Manner, Message, after},
    sealed::is_sealed,
    tap::{Passing, Way},
};

/// A message to publish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submission {
    /// Where to.
    pub topic: String,
    /// What it says.
    pub payload: Bytes,
    /// Quality of service, 0 to 2: the best that a subscriber gets.
    pub qos: u8,
    /// Whether it is retained; an empty payload then clears what is.
    pub retain: bool,
    /// What the payload is, for its readers (a MIME type, by custom).
    pub content_type: Option<String>,
    /// Seconds after which it is of no use.
    pub expiry_s: Option<u32>,
    /// Names and values of the application's.
    pub user_properties: Vec<(String, String)>,
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What an answer is to carry.
    pub correlation_data: Option<Bytes>,
}

/// What became of a message that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// How many sessions get it.
    pub receivers: usize,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Policy says no.
    #[error("not allowed to publish there: {0}")]
    Denied(DenyReason),
    /// The topic is none.
    #[error("the topic is not valid: {0}")]
    Topic(#[from] TopicError),
    /// Nobody knows the principal.
    #[error("the principal is not known")]
    Unknown,
    /// It cannot be made durable now.
    #[error("messages cannot be made durable now; try again later")]
    Unavailable,
    /// A part of the message cannot be.
    #[error("the message is not valid: {0}")]
    Invalid(&'static str),
}

/// How long a message may take to become durable before the caller is told to try again.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn submit(
    broker: &Broker,
    principal: &Principal,
    source: IpAddr,
    submission: Submission,
) -> Result<Submitted, SubmitError> {
    let properties = properties(&submission)?;
    let topic = Topic::parse(&submission.topic)?;
    let size = properties.len() + submission.payload.len() + submission.topic.len();
    if size > broker.config.max_packet_size {
        return Err(SubmitError::Invalid("it is larger than a packet may be"));
    }
    let subject = broker.pdp.subject(principal, source).await;
    let subject = subject.map_err(|error| match error {
        SubjectError::Unknown => SubmitError::Unknown,
        _ => SubmitError::Unavailable,
    })?;
    ask(broker, &subject, source, topic, &submission)?;
    slow_down(broker, principal, size).await;
    if broker.persister.is_failing() {
        return Err(SubmitError::Unavailable);
    }
    let now = broker.clock.now();
    let manner = Manner {
        qos: submission.qos,
        retain: submission.retain,
        expires: submission.expiry_s.map(|seconds| after(now, seconds)),
    };
    let message = Message::new(topic.to_owned(), manner, &properties, &submission.payload);
    broker.taps.pass(principal, || Passing {
        at: now,
        way: Way::Published,
        topic: &message.topic,
        qos: submission.qos,
        retain: submission.retain,
        payload: &submission.payload,
    });
    let mut durable_after = 0;
    if submission.retain {
        durable_after = broker.retain(&message).ok_or_else(|| {
            broker.notices.exceeded(principal, "retained");
            SubmitError::Invalid("there is no room for another retained message")
        })?;
    }
    let distributed = broker.publish(&message);
    broker.stats.count_in(1, submission.payload.len() as u64);
    let durable = broker
        .persister
        .durable(durable_after.max(distributed.durable_after));
    match timeout(PATIENCE, durable).await {
        Ok(()) => Ok(Submitted {
            receivers: distributed.receivers,
        }),
        Err(_) => Err(SubmitError::Unavailable),
    }
}

fn ask(
    broker: &Broker,
    subject: &Subject,
    source: IpAddr,
    topic: Topic<'_>,
    submission: &Submission,
) -> Result<(), SubmitError> {
    if Broker::is_reserved(topic) {
        broker.denied_reserved(subject, source, topic);
        return Err(SubmitError::Denied(DenyReason::NoGrant));
    }
    let request = Request::Publish {
        topic,
        qos: submission.qos,
        retain: submission.retain,
        size: submission.payload.len(),
    };
    let refuse = |reason: DenyReason| {
        broker.denied(subject, source, &request, reason.clone());
        Err(SubmitError::Denied(reason))
    };
    match broker.pdp.decide(subject, &request) {
        Decision::Allow => {
            let demanded = broker.pdp.handling(subject, topic).sealed;
            match demanded && !is_sealed(&submission.payload, submission.retain) {
                true => refuse(DenyReason::NotSealed),
                false => Ok(()),
            }
        }
        Decision::Deny(reason) => refuse(reason),
    }
}

/// Holds the caller to the rate of its principal, as a connection would be.
async fn slow_down(broker: &Broker, principal: &Principal, size: usize) {
    let limits = broker.config.limits(principal);
    let usage = broker.limits.principal(principal, limits);
    // Who calls waits for the answer, and so is held back.
    let counted = usage.publish(broker.limits.now(), (1, size), true);
    if let Err(Excess { wait, limit }) = counted {
        broker.stats.count_throttled();
        if let Some(limit) = limit {
            broker.notices.exceeded(principal, limit);
        }
        tokio::time::sleep(wait.min(PATIENCE)).await;
    }
}

/// The properties as the wire has them.
fn properties(submission: &Submission) -> Result<Vec<u8>, SubmitError> {
    if submission.qos > 2 {
        return Err(SubmitError::Invalid("quality of service is 0, 1 or 2"));
    }
    let check = |text: &str, what: &'static str| match text {
        text if text.len() > usize::from(u16::MAX) || text.contains('\0') => {
            Err(SubmitError::Invalid(what))
        }
        _ => Ok(()),
    };
    let mut properties = PropertyWriter::default();
    if let Some(text) = &submission.content_type {
        check(text, "the content type is too long or has a nul")?;
        properties.content_type(text);
    }
    if let Some(text) = &submission.response_topic {
        Topic::parse(text).map_err(|_| SubmitError::Invalid("the response topic is no topic"))?;
        properties.response_topic(text);
    }
    if let Some(data) = &submission.correlation_data {
        if data.len() > usize::from(u16::MAX) {
            return Err(SubmitError::Invalid("the correlation data is too long"));
        }
        properties.correlation_data(data);
    }
    for (name, value) in &submission.user_properties {
        check(name, "a user property's name is too long or has a nul")?;
        check(value, "a user property's value is too long or has a nul")?;
        properties.user_property(name, value);
    }
    Ok(properties.finish())
}
