//! Masking a payload. What cannot be looked into is not shown where anything of it is to be hidden.

use aws_lc_rs::hmac;
use palisade_core::{Topic, hex};
use palisade_keys::Keystore;
use serde_json::{Map, Number, Value};
use zeroize::Zeroizing;

use super::{Mask, Method, Rule, Step};
use crate::{OpenError, secret};

/// The name of the salt in the keystore.
const SALT: &str = "people-mask";
/// Bytes of a hash that are shown.
const HASH: usize = 16;
const HIDDEN: &str = "***";

/// What hashes are made with, so that nobody finds a value by hashing all that it could be.
pub struct MaskSalt(hmac::Key);

impl MaskSalt {
    /// That of the keystore, made where there is none.
    pub(crate) fn open(keys: &Keystore) -> Result<Self, OpenError> {
        if !keys.contains(SALT) {
            let new = Zeroizing::new(secret::bytes::<32>().map_err(|_| OpenError::Seal)?);
            keys.put(SALT, new.as_slice())?;
        }
        Ok(Self::of(keys.get(SALT)?.expose()))
    }

    /// One of these bytes, for who needs no server.
    #[must_use]
    pub fn of(salt: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, salt))
    }

    fn hash(&self, value: &Value) -> String {
        let text = Zeroizing::new(value.to_string());
        let tag = hmac::sign(&self.0, text.as_bytes());
        format!("hash:{}", hex(&tag.as_ref()[..HASH]))
    }
}

impl std::fmt::Debug for MaskSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskSalt(..)")
    }
}

/// A rule, and the steps that are still before it.
type Active<'a> = Vec<(&'a [Step], Method)>;

impl Mask {
    /// What of a payload on a topic is shown; none where it is withheld whole.
    #[must_use]
    pub fn apply(
        &self,
        topic: &str,
        payload: &[u8],
        salt: &MaskSalt,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let topic = Topic::parse(topic).ok();
        let concerns = |rule: &&Rule| match (&rule.topics, topic) {
            (Some(filter), Some(topic)) => filter.matches(topic),
            (Some(_), None) | (None, _) => true,
        };
        let rules = self.rules.iter().filter(concerns);
        let active: Active<'_> = rules
            .map(|rule| (rule.path.as_slice(), rule.method))
            .collect();
        if active.is_empty() {
            return Some(Zeroizing::new(payload.to_vec()));
        }
        let value = serde_json::from_slice(payload).ok()?;
        let masked = mask(value, &active, salt)?;
        serde_json::to_vec(&masked).ok().map(Zeroizing::new)
    }
}

/// Masks a value that these rules are about. It is no deeper than the parser lets it be.
fn mask(value: Value, active: &Active<'_>, salt: &MaskSalt) -> Option<Value> {
    if active.is_empty() {
        return Some(value);
    }
    // An array is no step: what is said of a value is said of each of many.
    if let Value::Array(items) = value {
        let items = items
            .into_iter()
            .filter_map(|item| mask(item, active, salt));
        return Some(Value::Array(items.collect()));
    }
    let here = active.iter().filter(|(steps, _)| steps.is_empty());
    if let Some(method) = here.map(|(_, method)| *method).reduce(Method::and) {
        return conceal(value, method, salt);
    }
    let members = match value {
        Value::Object(members) => members,
        Value::Null => return Some(Value::Null),
        // What is to be hidden may stand in it all the same, in another form.
        _ => return None,
    };
    let mut shown = Map::new();
    for (name, member) in members {
        let below: Active<'_> = active
            .iter()
            .filter_map(|(steps, method)| match steps.split_first() {
                Some((Step::Any, rest)) => Some((rest, *method)),
                Some((Step::Name(wanted), rest)) if *wanted == name => Some((rest, *method)),
                _ => None,
            })
            .collect();
        if let Some(member) = mask(member, &below, salt) {
            shown.insert(name, member);
        }
    }
    Some(Value::Object(shown))
}

fn conceal(value: Value, method: Method, salt: &MaskSalt) -> Option<Value> {
    match (method, value) {
        (Method::Drop, _) => None,
        (_, Value::Null) => Some(Value::Null),
        (Method::Hash, value) => Some(Value::String(salt.hash(&value))),
        (Method::Round(decimals), Value::Number(number)) => round(&number, decimals),
        (Method::Last(count), Value::String(text)) => Some(last(&text, count)),
        (Method::Last(count), Value::Number(number)) => Some(last(&number.to_string(), count)),
        // A coordinate in quotes is one all the same.
        (Method::Round(decimals), Value::String(text)) => {
            round(&text.trim().parse().ok()?, decimals)
        }
        (Method::Round(_) | Method::Last(_), _) => None,
    }
}

fn round(number: &Number, decimals: i8) -> Option<Value> {
    if !number.is_f64() && decimals >= 0 {
        return Some(Value::Number(number.clone()));
    }
    let factor = 10_f64.powi(i32::from(decimals.unsigned_abs()));
    let value = number.as_f64()?;
    let rounded = match decimals {
        0.. => (value * factor).round() / factor,
        _ => (value / factor).round() * factor,
    };
    Number::from_f64(rounded).map(Value::Number)
}

/// Text that is no longer than what stays would stay whole.
fn last(text: &str, count: u8) -> Value {
    let (length, count) = (text.chars().count(), usize::from(count));
    let kept: String = match length > count {
        true => text.chars().skip(length - count).collect(),
        false => String::new(),
    };
    Value::String(format!("{HIDDEN}{kept}"))
}
