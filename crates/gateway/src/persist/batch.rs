//! A batch of changes, without those that undo each other.

use std::{collections::HashMap, sync::Arc};

use palisade_keys::StateSealError;
use palisade_store::SessionOp;

use super::{
    Op,
    seal::{Place, Seal},
};

/// What has to be done so that it is as if every change had been made in order.
pub(super) fn compact(ops: Vec<Op>) -> Vec<Op> {
    let mut kept: Vec<Option<Op>> = Vec::with_capacity(ops.len());
    let mut queued: HashMap<(Arc<str>, u64), Queued> = HashMap::new();
    let mut received: HashMap<(Arc<str>, u16), usize> = HashMap::new();
    let mut sessions: HashMap<Arc<str>, usize> = HashMap::new();
    let mut retained: HashMap<String, usize> = HashMap::new();
    for op in ops {
        let at = kept.len();
        match &op {
            Op::Enqueue(name, seq, _) => {
                queued.insert((name.clone(), *seq), Queued { at, is_new: true });
            }
            Op::Update(name, seq, _) => {
                let key = (name.clone(), *seq);
                let is_new = queued.get(&key).is_some_and(|before| before.is_new);
                if let Some(before) = queued.insert(key, Queued { at, is_new }) {
                    kept[before.at] = None;
                }
            }
            Op::Dequeue(name, seq) => {
                if let Some(before) = queued.remove(&(name.clone(), *seq)) {
                    kept[before.at] = None;
                    if before.is_new {
                        continue;
                    }
                }
            }
            Op::PutReceived(name, packet_id) => {
                received.insert((name.clone(), *packet_id), at);
            }
            Op::DeleteReceived(name, packet_id) => {
                // An identifier is noted only when it is not: what was noted in this batch is new.
                if let Some(before) = received.remove(&(name.clone(), *packet_id)) {
                    kept[before] = None;
                    continue;
                }
            }
            Op::PutSession(name, _) => {
                if let Some(before) = sessions.insert(name.clone(), at) {
                    kept[before] = None;
                }
            }
            Op::DeleteSession(name) => {
                // What stands before it in the batch stays: it is written and then deleted.
                sessions.remove(name);
                queued.retain(|(owner, _), _| owner != name);
                received.retain(|(owner, _), _| owner != name);
            }
            Op::PutRetained(message) => {
                if let Some(before) = retained.insert(message.topic.to_string(), at) {
                    kept[before] = None;
                }
            }
            Op::DeleteRetained(topic) => {
                if let Some(before) = retained.insert(topic.to_string(), at) {
                    kept[before] = None;
                }
            }
        }
        kept.push(Some(op));
    }
    kept.into_iter().flatten().collect()
}

#[derive(Debug, Clone, Copy)]
struct Queued {
    at: usize,
    is_new: bool,
}

/// A change as the store knows it: what is in it is sealed.
pub(super) fn to_store(op: &Op, seal: &Seal) -> Result<SessionOp, StateSealError> {
    Ok(match op {
        Op::PutSession(name, body) => SessionOp::PutSession {
            client_id: name.to_string(),
            body: seal.seal(&Place::Session(name), body)?,
        },
        Op::DeleteSession(name) => SessionOp::DeleteSession {
            client_id: name.to_string(),
        },
        Op::Enqueue(name, seq, stored) | Op::Update(name, seq, stored) => SessionOp::Enqueue {
            client_id: name.to_string(),
            seq: *seq,
            body: seal.seal(&Place::Queue(name, *seq), &stored.to_bytes())?,
        },
        Op::Dequeue(name, seq) => SessionOp::Dequeue {
            client_id: name.to_string(),
            seq: *seq,
        },
        Op::PutReceived(name, packet_id) => SessionOp::PutReceived {
            client_id: name.to_string(),
            packet_id: *packet_id,
        },
        Op::DeleteReceived(name, packet_id) => SessionOp::DeleteReceived {
            client_id: name.to_string(),
            packet_id: *packet_id,
        },
        Op::PutRetained(message) => {
            let topic = message.topic.to_string();
            SessionOp::PutRetained {
                body: seal.seal(&Place::Retained(&topic), &message.to_bytes())?,
                topic,
            }
        }
        Op::DeleteRetained(topic) => SessionOp::DeleteRetained {
            topic: topic.to_string(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::StoredDelivery;

    fn name() -> Arc<str> {
        "device/a/a".into()
    }

    fn stored() -> StoredDelivery {
        StoredDelivery::Released(1)
    }

    #[test]
    fn what_came_and_went_never_reaches_the_disk() {
        let batch = compact(vec![
            Op::Enqueue(name(), 1, stored()),
            Op::PutReceived(name(), 7),
            Op::Update(name(), 1, stored()),
            Op::DeleteReceived(name(), 7),
            Op::Dequeue(name(), 1),
        ]);
        assert!(batch.is_empty(), "{batch:?}");
    }

    #[test]
    fn what_is_on_disk_already_is_removed_there() {
        let batch = compact(vec![
            Op::Update(name(), 1, stored()),
            Op::Dequeue(name(), 1),
        ]);
        assert!(matches!(batch[..], [Op::Dequeue(_, 1)]));
        let batch = compact(vec![Op::DeleteReceived(name(), 7)]);
        assert_eq!(batch.len(), 1);
    }

    #[test]
    fn what_follows_a_deleted_session_is_kept() {
        let batch = compact(vec![
            Op::PutSession(name(), vec![1]),
            Op::Enqueue(name(), 1, stored()),
            Op::DeleteSession(name()),
            Op::PutSession(name(), vec![2]),
            Op::Enqueue(name(), 1, stored()),
        ]);
        assert!(matches!(
            batch[..],
            [
                Op::PutSession(..),
                Op::Enqueue(..),
                Op::DeleteSession(_),
                Op::PutSession(..),
                Op::Enqueue(..),
            ]
        ));
    }
}
