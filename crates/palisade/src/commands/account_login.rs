//! `palisade login --account`: a person logs in as the console has it, with a password and a second factor, and is
//! led through what must be done first.

use palisade_people::SESSION_PREFIX;
use serde_json::{Value, json};

use crate::{
    client::{Call, Client, SESSION_COOKIE, new_password, password, path, problem, secret},
    failure::{Context, Exit, Failure},
};

/// Somebody who logs in to one server.
pub(super) struct Person<'a> {
    pub(super) server: &'a str,
    pub(super) ca: &'a str,
    pub(super) account: &'a str,
}

/// Who is logged in now.
pub(super) struct LoggedIn {
    /// The secret of the session.
    pub(super) secret: String,
    /// What the server says of it.
    pub(super) session: Value,
    /// Codes that are shown this once, where a second factor was enrolled.
    pub(super) recovery_codes: Option<Value>,
}

impl Person<'_> {
    /// Makes the account with the set-up token, the first of a server, and gives its password.
    pub(super) fn make(&self, setup_token: &str) -> Result<String, Failure> {
        eprintln!("Choose the password of {}.", self.account);
        let chosen = new_password()?;
        let body = json!({ "token": setup_token, "name": self.account, "password": chosen });
        let client = self.client(None)?;
        client
            .post(path(&["setup", "account"]))
            .json(&body)
            .send()?;
        Ok(chosen)
    }

    /// Logs in, and does what must be done before anything else may be.
    pub(super) fn log_in(&self, chosen: Option<String>) -> Result<LoggedIn, Failure> {
        let known = match chosen {
            Some(chosen) => chosen,
            None => password(&format!("Password of {}", self.account))?,
        };
        let mut opened = self.open(&known)?;
        if opened.must_first("change_password") {
            eprintln!("Somebody else chose this password: choose your own.");
            let own = new_password()?;
            let body = json!({ "current": known, "password": own });
            let client = self.client(Some(&opened.secret))?;
            let change = client.put(path(&["account", "password"])).json(&body);
            change.send()?;
            opened = self.open(&own)?;
        }
        if opened.must_first("enrol_second_factor") {
            opened = self.enrol(&opened)?;
        }
        Ok(opened)
    }

    /// A session by password, and a code where one is wanted.
    fn open(&self, password: &str) -> Result<LoggedIn, Failure> {
        let mut body = json!({ "account": self.account, "password": password });
        let client = self.client(None)?;
        let answer = client.post(path(&["session"])).json(&body).whole()?;
        if answer.status() != 401 {
            return LoggedIn::read(answer);
        }
        let refused = problem::body(answer);
        let factors = refused["second_factor"].as_array();
        let Some(factors) = factors.filter(|factors| !factors.is_empty()) else {
            return Err(problem::describe(401, &refused)
                .next("the account, its password, or both are not right"));
        };
        let what = match factors.iter().any(|factor| factor == "totp") {
            true => "Code of the authenticator app, or a recovery code",
            // A passkey needs a browser.
            false => "Recovery code (a passkey works in the console alone)",
        };
        body["code"] = secret(what)?.into();
        LoggedIn::read(client.post(path(&["session"])).json(&body).open()?)
    }

    /// An authenticator app as second factor.
    fn enrol(&self, opened: &LoggedIn) -> Result<LoggedIn, Failure> {
        let client = self.client(Some(&opened.secret))?;
        let made = client.post(path(&["account", "totp"])).send()?;
        eprintln!(
            "This account needs a second factor. Add this to an authenticator app (or `Ctrl-C`, and enrol a passkey \
             in the console):\n\n  {}\n  secret {}\n",
            made["uri"].as_str().unwrap_or_default(),
            made["secret"].as_str().unwrap_or_default()
        );
        let code = secret("The code that it shows")?;
        let confirm = client.post(path(&["account", "totp", "confirm"]));
        let answer = confirm.json(&json!({ "code": code })).open()?;
        let mut confirmed = LoggedIn::read(answer)?;
        confirmed.recovery_codes = Some(confirmed.session["recovery_codes"].take());
        let client = self.client(Some(&confirmed.secret))?;
        confirmed.session = client.get(path(&["session"])).send()?;
        Ok(confirmed)
    }

    fn client(&self, secret: Option<&str>) -> Result<Client, Failure> {
        Client::new(self.server, self.ca, secret.map(str::to_owned))
    }
}

impl LoggedIn {
    fn read(answer: crate::client::Answer) -> Result<Self, Failure> {
        if !answer.status().is_success() {
            return Err(problem::read(answer, None));
        }
        let cookies = answer.headers().get_all("set-cookie").iter();
        let secret = cookies
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next()?.split_once('='))
            .find_map(|(name, value)| (name == SESSION_COOKIE).then(|| value.to_owned()))
            .filter(|secret| secret.starts_with(SESSION_PREFIX));
        let secret = secret.ok_or_else(|| Failure::new("the server gave no session"))?;
        Ok(Self {
            secret,
            session: problem::body(answer),
            recovery_codes: None,
        })
    }

    fn must_first(&self, what: &str) -> bool {
        self.session["first"] == what
    }
}

/// Ends a session at the server. One that has ended already is no failure.
pub(super) fn end(client: &Client) -> Result<(), Failure> {
    let call: Call<'_> = client.delete(path(&["session"]));
    match call.send() {
        Err(failure) if failure.code() != Exit::Denied => Err(failure).context("log out"),
        _ => Ok(()),
    }
}
