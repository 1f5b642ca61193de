//! Who somebody is, as a provider says.

use serde_json::{Map, Value};

/// The most values of one claim that are looked at.
const MAX_VALUES: usize = 1_000;

/// Who somebody is, as a provider says: believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Who says so.
    pub issuer: String,
    /// Its name for them: never given to anybody else there.
    pub subject: String,
    /// What else it says of them.
    pub claims: Claims,
}

/// What a provider says of somebody.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// These claims.
    #[must_use]
    pub fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// Whether there is a claim of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A claim that is one text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.find(name).and_then(Value::as_str)
    }

    /// The texts of a claim: of a list, or the one that it is.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.find(name) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => {
                let all = all.iter().filter_map(Value::as_str);
                all.take(MAX_VALUES).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Takes over from others what is not here.
    pub(crate) fn fill(&mut self, others: Map<String, Value>) {
        for (name, value) in others {
            self.0.entry(name).or_insert(value);
        }
    }

    /// By its whole name, or as a path of names with dots between (`realm_access.roles`).
    fn find(&self, name: &str) -> Option<&Value> {
        if let Some(found) = self.0.get(name) {
            return Some(found);
        }
        let mut parts = name.split('.');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |at, part| at.get(part))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_found_by_its_whole_name_or_by_its_path() {
        let claims = json!({
            "https://fleet.test/roles": ["a"],
            "realm_access": { "roles": ["b", 7, "c"] },
            "groups": "one",
            "deep": { "realm_access": 1 },
        });
        let claims = Claims::new(claims.as_object().expect("an object").clone());
        assert_eq!(claims.texts("https://fleet.test/roles"), ["a"]);
        assert_eq!(claims.texts("realm_access.roles"), ["b", "c"]);
        assert_eq!(claims.texts("groups"), ["one"]);
        assert_eq!(claims.text("groups"), Some("one"));
        for none in [
            "roles",
            "realm_access",
            "realm_access.roles.x",
            "",
            ".",
            "groups.x",
        ] {
            assert_eq!(claims.texts(none), Vec::<&str>::new(), "{none}");
        }
    }
}
