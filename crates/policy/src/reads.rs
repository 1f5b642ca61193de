//! What a policy reads: found by walking its JSON form. A cached decision is keyed by exactly this.

use cedar_policy::Policy;
use serde_json::Value;

/// Which attributes of the context some policies read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) topic: bool,
    pub(crate) source: bool,
    pub(crate) qos: bool,
    pub(crate) size: bool,
    pub(crate) retain: bool,
    pub(crate) time: bool,
}

impl Reads {
    /// Everything: what is assumed of a policy that cannot be walked.
    pub(crate) const ALL: Self = Self {
        topic: true,
        source: true,
        qos: true,
        size: true,
        retain: true,
        time: true,
    };

    pub(crate) fn of(policy: &Policy) -> Self {
        match policy.to_json() {
            Ok(json) => {
                let mut reads = Self::default();
                reads.walk(&json);
                reads
            }
            Err(_) => Self::ALL,
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            topic: self.topic || other.topic,
            source: self.source || other.source,
            qos: self.qos || other.qos,
            size: self.size || other.size,
            retain: self.retain || other.retain,
            time: self.time || other.time,
        }
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (operator, operand) in map {
                    match operator.as_str() {
                        "." | "has" if is_context(operand.get("left")) => self.note(operand),
                        // The context as a whole, or as one of several things that an attribute is
                        // taken of (`(if ... then context else ...).qos`): all of it may be read.
                        "Var" if operand == "context" => *self = Self::ALL,
                        _ => self.walk(operand),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|child| self.walk(child)),
            _ => {}
        }
    }

    fn note(&mut self, access: &Value) {
        match access.get("attr").and_then(Value::as_str) {
            Some("topic") => self.topic = true,
            Some("source") => self.source = true,
            Some("qos") => self.qos = true,
            Some("size") => self.size = true,
            Some("retain") => self.retain = true,
            Some("hour" | "weekday") => self.time = true,
            _ => *self = Self::ALL,
        }
    }
}

fn is_context(operand: Option<&Value>) -> bool {
    operand
        .and_then(|left| left.get("Var"))
        .and_then(Value::as_str)
        == Some("context")
}
