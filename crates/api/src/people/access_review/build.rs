//! What a review is made of, read once; and the digest that it is signed by.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use palisade_core::{Timestamp, hex};
use palisade_people::{Held, Roles, Via};
use palisade_store::{
    AccessKind, AccessOutcome, AccessUse, Account, AccountFacts, ApiToken, RoleAssignment,
};
use serde_json::{Value, json};

use super::{
    ReviewedAccount, ReviewedRole, ReviewedToken, UsedAction, remedy,
    suggest::{self, Known},
};
use crate::{
    people::{
        PeopleState,
        access::EVERYTHING,
        assignments::{Assignment, all_of},
    },
    problem::Problem,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Tokens that are read at once.
const PART: u32 = 1_000;

/// All that a review looks at.
pub(super) struct Gathered {
    pub(super) now: Timestamp,
    pub(super) since: Timestamp,
    pub(super) observed_since: Option<Timestamp>,
    accounts: Vec<Account>,
    roles: Arc<Roles>,
    facts: BTreeMap<String, AccountFacts>,
    /// By the kind and the name of who did it: of an account, or of a token, by its id.
    uses: HashMap<(AccessKind, String), Vec<AccessUse>>,
    /// Those in force, by whose doing they came to be.
    tokens: BTreeMap<Option<String>, Vec<ApiToken>>,
    factor_roles: Vec<String>,
}

impl Gathered {
    pub(super) async fn of(state: &PeopleState, days: u32) -> Result<Self, Problem> {
        // What was noted up to now counts.
        state.access_log().flush().await;
        let (store, people) = (state.store(), &state.parts().people);
        let now = state.parts().clock.now();
        let before = |time: Duration| now.checked_sub(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let idle = Duration::from_secs(people.session_rules().idle_s);
        let all = store.access().uses().await?;
        let observed_since = all.iter().map(|used| used.first_at).min();
        let mut uses: HashMap<_, Vec<AccessUse>> = HashMap::new();
        for used in all {
            let subject = (used.kind, used.subject.clone());
            uses.entry(subject).or_default().push(used);
        }
        let makers = store.access_reviews().token_makers().await?;
        let mut tokens: BTreeMap<Option<String>, Vec<ApiToken>> = BTreeMap::new();
        let mut after = String::new();
        loop {
            let part = store.tokens().api_in_force(now, &after, PART).await?;
            let is_last = part.len() < PART as usize;
            for token in part {
                after = token.id.to_string();
                let maker = makers.get(&after).cloned();
                tokens.entry(maker).or_default().push(token);
            }
            if is_last {
                break;
            }
        }
        let factor_roles = people.second_factor_roles().iter();
        Ok(Self {
            now,
            since: before(DAY * days),
            observed_since,
            accounts: store.accounts().list().await?,
            roles: people.roles().await?,
            facts: store.access_reviews().facts(now, before(idle)).await?,
            uses,
            tokens,
            factor_roles: factor_roles.map(ToString::to_string).collect(),
        })
    }

    pub(super) fn count(&self) -> u64 {
        self.accounts.len() as u64
    }

    pub(super) fn accounts(&self) -> Vec<ReviewedAccount> {
        self.accounts
            .iter()
            .map(|account| self.account(account))
            .collect()
    }

    /// The suggestions about all accounts and tokens.
    pub(super) fn count_suggestions(&self, accounts: &[ReviewedAccount]) -> u64 {
        let of_tokens = |tokens: &[ReviewedToken]| -> usize {
            tokens.iter().map(|token| token.suggestions.len()).sum()
        };
        let of_accounts: usize = accounts
            .iter()
            .map(|account| account.suggestions.len() + of_tokens(&account.tokens))
            .sum();
        (of_accounts + of_tokens(&self.tokens_of_nobody())) as u64
    }

    /// The tokens whose maker is not known, or has no account.
    pub(super) fn tokens_of_nobody(&self) -> Vec<ReviewedToken> {
        let is_of_nobody = |maker: &Option<String>| {
            let known = |name: &String| self.accounts.iter().any(|one| one.name == *name);
            !maker.as_ref().is_some_and(known)
        };
        let tokens = self.tokens.iter().filter(|(maker, _)| is_of_nobody(maker));
        let tokens = tokens.flat_map(|(_, tokens)| tokens);
        tokens.map(|token| self.token(token, false)).collect()
    }

    fn account(&self, account: &Account) -> ReviewedAccount {
        let facts = self.facts.get(&account.name).copied().unwrap_or_default();
        let held = self.roles.directory().held_by(account, self.now);
        let of = (AccessKind::Account, account.name.clone());
        let used = self.done(&of, AccessOutcome::Allowed);
        let roles = held.iter().map(|held| self.role(held, &used));
        let tokens = self.tokens.get(&Some(account.name.clone()));
        let tokens = tokens.into_iter().flatten();
        let mut reviewed = ReviewedAccount {
            name: account.name.clone(),
            disabled: account.disabled,
            dormant: !account.disabled
                && account.last_login_at.unwrap_or(account.created_at) < self.since,
            created_at: account.created_at,
            last_login_at: account.last_login_at,
            totp: facts.totp,
            passkeys: facts.passkeys,
            sessions: facts.sessions,
            teams: self.roles.directory().teams_of(&account.name),
            roles: roles.collect(),
            used,
            refused: self.done(&of, AccessOutcome::Denied),
            tokens: tokens
                .map(|token| self.token(token, account.disabled))
                .collect(),
            suggestions: Vec::new(),
        };
        let known = Known {
            since: self.since,
            // What was given lately is not unused, however old the account is.
            is_known: self.is_known_since(facts.roles_at.unwrap_or(account.created_at)),
            has_provider: facts.providers > 0,
        };
        reviewed.suggestions = suggest::about(&reviewed, known, &self.factor_roles);
        let own = all_of(account, &self.roles);
        for suggestion in &mut reviewed.suggestions {
            suggestion.remedy = remedy::of_account(suggestion, account, &own);
        }
        reviewed
    }

    /// Whether it is known of what was there at a time already whether it was used in all of the time that is looked at.
    fn is_known_since(&self, made: Timestamp) -> bool {
        made <= self.since && self.observed_since.is_some_and(|first| first <= self.since)
    }

    fn done(&self, subject: &(AccessKind, String), outcome: AccessOutcome) -> Vec<UsedAction> {
        let uses = self.uses.get(subject).into_iter().flatten();
        let uses = uses.filter(|used| used.outcome == outcome && used.last_at >= self.since);
        uses.map(|used| UsedAction {
            action: used.action.clone(),
            last_at: used.last_at,
        })
        .collect()
    }

    fn role(&self, held: &Held, used: &[UsedAction]) -> ReviewedRole {
        let view = self.roles.get(&held.role);
        let actions = view.map_or(&[][..], |view| view.actions.as_slice());
        let is_unused = |action: &&&str| !used.iter().any(|used| used.action == **action);
        let assignment = Assignment::from(RoleAssignment {
            role: held.role.to_string(),
            bounds: held.bounds.clone(),
            until: held.until,
        });
        let (team, elevation) = match &held.via {
            Via::Account => (None, None),
            Via::Team(team) => (Some(team.clone()), None),
            Via::Elevation(id) => (None, Some(id.clone())),
        };
        ReviewedRole {
            role: held.role.to_string(),
            bounds: assignment.bounds,
            until: held.until,
            team,
            elevation,
            permits: actions.len() as u64,
            unused: actions.iter().filter(is_unused).copied().collect(),
        }
    }

    fn token(&self, token: &ApiToken, maker_is_disabled: bool) -> ReviewedToken {
        let of = (AccessKind::Token, token.id.to_string());
        let used = self.done(&of, AccessOutcome::Allowed);
        let mut reviewed = ReviewedToken {
            id: token.id.to_string(),
            name: token.name.clone(),
            scopes: token.scopes.clone(),
            service: token.service.clone(),
            unused: self.unused_scopes(token, &used),
            used,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            created_at: token.created_at,
            suggestions: Vec::new(),
        };
        let mut suggestions = suggest::about_token(
            &reviewed,
            (self.since, self.is_known_since(token.created_at)),
            maker_is_disabled,
        );
        for suggestion in &mut suggestions {
            suggestion.remedy = remedy::of_token(suggestion, &reviewed);
        }
        reviewed.suggestions = suggestions;
        reviewed
    }

    /// The scopes of a token of which it used no action.
    fn unused_scopes(&self, token: &ApiToken, used: &[UsedAction]) -> Vec<&'static str> {
        let actions = self.roles.catalogue().actions();
        let of_used = |used: &UsedAction| {
            let action = actions.iter().find(|action| action.name == used.action)?;
            Some(action.scope)
        };
        let used: BTreeSet<&str> = used.iter().filter_map(of_used).collect();
        let is_given = |scope: &&str| {
            let names = token.scopes.iter().map(String::as_str);
            names
                .into_iter()
                .any(|name| name == EVERYTHING || name == *scope)
        };
        let scopes: BTreeSet<&'static str> = actions.iter().map(|action| action.scope).collect();
        let unused = scopes.into_iter().filter(is_given);
        unused.filter(|scope| !used.contains(scope)).collect()
    }

    /// The digest of who may what. It stands on what somebody gave or took, and on nothing that moves by itself but
    /// the end of a role's time.
    pub(super) fn digest(&self) -> Result<String, Problem> {
        let accounts = self.accounts.iter().map(|account| {
            let facts = self.facts.get(&account.name).copied().unwrap_or_default();
            let held = self.roles.directory().held_by(account, self.now);
            let mut held: Vec<String> = held.iter().map(|held| format!("{held:?}")).collect();
            held.sort_unstable();
            let teams = self.roles.directory().teams_of(&account.name);
            json!([
                account.name,
                account.disabled,
                held,
                teams,
                facts.totp,
                facts.passkeys
            ])
        });
        let tokens = self.tokens.iter().flat_map(|(maker, tokens)| {
            let of = move |token: &ApiToken| {
                json!([
                    token.id.to_string(),
                    token.name,
                    token.scopes,
                    token.expires_at,
                    maker
                ])
            };
            tokens.iter().map(of)
        });
        let roles = self
            .roles
            .list()
            .map(|role| json!([role.text.role, role.text.cedar]));
        let parts: [Vec<Value>; 3] = [accounts.collect(), tokens.collect(), roles.collect()];
        let text = serde_json::to_vec(&parts).map_err(|error| Problem::internal(&error))?;
        Ok(hex(digest(&SHA256, &text).as_ref()))
    }
}
