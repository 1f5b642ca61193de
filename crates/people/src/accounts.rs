//! Accounts: made, changed, and their passwords.

use palisade_store::{Account, RoleAssignment};

use crate::{AccountName, Context, PasswordHash, People, PeopleError, Role, notices::Attack};

/// What an account is to be.
pub struct NewAccount {
    /// Its name.
    pub name: AccountName,
    /// Its roles.
    pub roles: Vec<Role>,
    /// Its first password.
    pub password: String,
    /// Whether the password must be changed at the first log-in, since somebody else chose it.
    pub must_change: bool,
}

impl People {
    /// An account as it is to be written down: its password judged and hashed. Nothing is written.
    ///
    /// # Errors
    /// When the password may not be used, or too many are being checked.
    pub async fn prepare(&self, new: NewAccount) -> Result<Account, PeopleError> {
        let context = Context {
            own: vec![new.name.to_string()],
            ..Context::default()
        };
        let hash = self.judged_hash(new.password, context).await?;
        let now = self.ground.clock.now();
        Ok(Account {
            name: new.name.to_string(),
            roles: names(&new.roles),
            password: hash.as_str().to_owned(),
            must_change: new.must_change,
            disabled: false,
            generation: 1,
            created_at: now,
            password_changed_at: now,
            last_login_at: None,
        })
    }

    /// Makes an account.
    ///
    /// # Errors
    /// As [`People::prepare`]; or when there is one of that name, or the database fails.
    pub async fn create(&self, new: NewAccount) -> Result<Account, PeopleError> {
        let account = self.prepare(new).await?;
        self.ground.store.accounts().add(&account).await?;
        Ok(account)
    }

    /// Finds an account.
    ///
    /// # Errors
    /// When there is none, or the database fails.
    pub async fn account(&self, name: &AccountName) -> Result<Account, PeopleError> {
        let found = self.ground.store.accounts().find(name.as_str()).await?;
        found.ok_or_else(|| PeopleError::NoAccount(name.to_string()))
    }

    /// Makes an account all of these roles and nothing else, everywhere and for good; its sessions end.
    ///
    /// # Errors
    /// As [`People::set_assignments`].
    pub async fn set_roles(&self, name: &AccountName, roles: &[Role]) -> Result<(), PeopleError> {
        let plain = roles.iter().map(|role| RoleAssignment {
            role: role.to_string(),
            bounds: None,
            until: None,
        });
        self.set_assignments(name, &plain.collect::<Vec<_>>()).await
    }

    /// Sets all that an account is; its sessions end. What is neither bound nor for a time is a plain role.
    ///
    /// # Errors
    /// When there is no such account, it is the last owner and would be none, or the database fails.
    pub async fn set_assignments(
        &self,
        name: &AccountName,
        assignments: &[RoleAssignment],
    ) -> Result<(), PeopleError> {
        let is_plain = |one: &&RoleAssignment| one.bounds.is_none() && one.until.is_none();
        let mut plain: Vec<String> = Vec::new();
        for one in assignments.iter().filter(is_plain) {
            plain.push(one.role.clone());
        }
        plain.sort_unstable();
        plain.dedup();
        let besides: Vec<_> = assignments
            .iter()
            .filter(|one| !is_plain(one))
            .cloned()
            .collect();
        let accounts = self.ground.store.accounts();
        // Before it: what was given and not noted would look as if it had been there, unused, for long.
        let now = self.ground.clock.now();
        accounts.note_role_change(name.as_str(), now).await?;
        let done = accounts.set_roles(name.as_str(), &plain, &besides).await;
        self.directory.changed();
        match done? {
            true => Ok(()),
            false => Err(self.last_owner(name).await),
        }
    }

    /// Disables or enables an account; its sessions end.
    ///
    /// # Errors
    /// When there is no such account, it is the last owner, or the database fails.
    pub async fn set_disabled(
        &self,
        name: &AccountName,
        disabled: bool,
    ) -> Result<(), PeopleError> {
        let accounts = self.ground.store.accounts();
        match accounts.set_disabled(name.as_str(), disabled).await? {
            true => Ok(()),
            false => Err(self.last_owner(name).await),
        }
    }

    async fn last_owner(&self, name: &AccountName) -> PeopleError {
        match self.account(name).await {
            Ok(_) => PeopleError::LastOwner,
            Err(error) => error,
        }
    }

    /// Sets an account's password; its sessions end. Where somebody else chose it, its person must
    /// change it.
    ///
    /// # Errors
    /// When the password may not be used, or the account was changed meanwhile.
    pub async fn set_password(
        &self,
        account: &Account,
        password: String,
        must_change: bool,
    ) -> Result<(), PeopleError> {
        let store = &self.ground.store;
        let history = self.policy.rules().history as u32;
        let mut previous = vec![account.password.clone()];
        let accounts = store.accounts();
        let before = accounts.previous_passwords(&account.name, history);
        previous.extend(before.await?);
        let context = Context {
            own: vec![account.name.clone()],
            second_factor: self.has_second_factor(&account.name).await?,
            previous: previous.into_iter().map(PasswordHash::stored).collect(),
        };
        let hash = self.judged_hash(password, context).await?;
        let now = self.ground.clock.now();
        let password = (hash.as_str(), must_change);
        let set = accounts.set_password(account, password, history, now);
        match set.await? {
            true => Ok(()),
            false => Err(PeopleError::Changed),
        }
    }

    /// Whether a password is the account's; a wrong one counts as an attempt to log in.
    ///
    /// # Errors
    /// When it is not, or too many were tried.
    pub async fn confirm_password(
        &self,
        account: &Account,
        password: String,
        source: Option<std::net::IpAddr>,
    ) -> Result<(), PeopleError> {
        let now = self.ground.clock.now();
        let begun = self.attempts.begin(account.name.as_str(), source, now);
        begun.map_err(PeopleError::TooMany)?;
        let hash = PasswordHash::stored(account.password.clone());
        if !self.workshop.run(move || hash.is_of(&password)).await? {
            self.note_attempt(&account.name, source, Attack::Password);
            return Err(PeopleError::NotRight);
        }
        self.attempts.succeeded(account.name.as_str(), source, true);
        Ok(())
    }

    async fn judged_hash(
        &self,
        password: String,
        context: Context,
    ) -> Result<PasswordHash, PeopleError> {
        let policy = self.policy.clone();
        let password = zeroize::Zeroizing::new(password);
        let work = move || {
            let verdict = policy.judge(&password, &context);
            match verdict.acceptable {
                true => Ok(PasswordHash::of(&password)?),
                false => Err(PeopleError::Password(verdict)),
            }
        };
        self.workshop.run(work).await?
    }
}

fn names(roles: &[Role]) -> Vec<String> {
    let mut names: Vec<_> = roles.iter().map(|role| role.as_str().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
