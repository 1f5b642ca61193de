//! What a provider's claims mean here: roles, a name, a second factor.

use std::collections::BTreeSet;

use palisade_oidc::{Claims, Identity};

use super::config::OidcConfig;
use crate::{AccountName, Role};

/// The roles that the claims give; each is named in the configuration.
pub(crate) fn roles_of(config: &OidcConfig, claims: &Claims) -> Vec<Role> {
    let values = claims.texts(&config.roles_claim);
    let given = values.iter().filter_map(|value| config.roles.get(*value));
    let roles: BTreeSet<Role> = given.flatten().cloned().collect();
    roles.into_iter().collect()
}

/// The name that a new account is to have.
pub(crate) fn name_of(config: &OidcConfig, claims: &Claims) -> Option<AccountName> {
    AccountName::parse(claims.text(&config.name_claim)?).ok()
}

/// Whether the provider saw a second factor, by what the configuration takes for one.
pub(crate) fn has_second_factor(config: &OidcConfig, claims: &Claims) -> bool {
    let methods = claims.texts("amr");
    let by_method = config
        .second_factor_amr
        .iter()
        .any(|one| methods.contains(&one.as_str()));
    let context = claims.text("acr");
    let by_context = config
        .second_factor_acr
        .iter()
        .any(|one| context == Some(one.as_str()));
    by_method || by_context
}

/// Somebody who has no account here, as the ledger names them: no account's name has a colon.
pub(crate) fn stranger(config: &OidcConfig, identity: &Identity) -> String {
    let is_plain = |one: &char| one.is_ascii_graphic();
    let subject: String = identity.subject.chars().filter(is_plain).take(64).collect();
    format!("{}:{subject}", config.name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(more: Value) -> OidcConfig {
        let mut json = json!({
            "name": "corp", "issuer": "https://id.test", "client_id": "palisade",
            "client_secret_env": "SECRET",
            "roles": { "ops": ["operator"], "sec": ["security-analyst", "operator"] },
        });
        let members = more.as_object().expect("an object").clone();
        json.as_object_mut().expect("an object").extend(members);
        serde_json::from_value(json).expect("a provider")
    }

    fn claims(json: Value) -> Claims {
        Claims::new(json.as_object().expect("an object").clone())
    }

    #[test]
    fn only_values_that_are_mapped_give_roles() {
        let config = config(json!({}));
        let of = |json| roles_of(&config, &claims(json));
        assert_eq!(of(json!({ "groups": ["ops"] })), [Role::Operator]);
        assert_eq!(
            of(json!({ "groups": "sec" })),
            [Role::SecurityAnalyst, Role::Operator]
        );
        for none in [
            json!({}),
            json!({ "groups": [] }),
            json!({ "groups": ["owner", "operator", "OPS", "ops "] }),
            json!({ "groups": [["ops"]] }),
            json!({ "groups": { "ops": true } }),
            json!({ "roles": ["ops"] }),
        ] {
            assert_eq!(of(none.clone()), [], "{none}");
        }
    }

    #[test]
    fn a_second_factor_of_the_provider_counts_only_where_the_configuration_says_so() {
        let none = config(json!({}));
        let some =
            config(json!({ "second_factor_amr": ["mfa", "hwk"], "second_factor_acr": ["gold"] }));
        let mfa = claims(json!({ "amr": ["pwd", "mfa"] }));
        assert!(has_second_factor(&some, &mfa));
        assert!(!has_second_factor(&none, &mfa));
        assert!(has_second_factor(&some, &claims(json!({ "acr": "gold" }))));
        for not in [
            json!({ "amr": ["pwd"] }),
            json!({ "acr": "mfa" }),
            json!({ "acr": null }),
            json!({}),
        ] {
            assert!(!has_second_factor(&some, &claims(not.clone())), "{not}");
        }
    }
}
