//! E-mail: plain text over SMTP to the people whom the configuration names.
//!
//! The message of an action has the same `Message-ID` each time that it is tried again. Nothing that a device
//! can say is in its header but the title, of which control characters are taken out and which is encoded.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use lettre::{
    Message,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
    },
};
use palisade_core::{
    Impact, Order, Target,
    port::{BoxFuture, EffectError, Effector, Parameters},
};
use serde_json::Value;

use super::{
    destination::{DestinationError, read_own, roots},
    message, only, wrong,
};
use crate::{EmailConfig, EmailTls};

/// The name of the action.
pub(super) const ACTION: &str = "email";
const MAX_RECIPIENTS: usize = 20;
/// The longest address or name of a server, in bytes.
const MAX_NAME: usize = 320;
/// The longest password, in bytes.
const MAX_PASSWORD: usize = 4_096;
/// The longest that one delivery may take, in seconds: less than the patience of response.
const MAX_TIMEOUT_S: u64 = 50;
/// How long a server that took a message is given to say good-bye.
const FAREWELL: Duration = Duration::from_secs(1);

/// The destinations, by name.
pub(crate) struct Mailboxes(BTreeMap<String, Arc<Destination>>);

struct Destination {
    server: String,
    port: u16,
    tls: EmailTls,
    parameters: Option<TlsParameters>,
    credentials: Option<Credentials>,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
}

/// Refuses a destination that cannot work or is not safe.
pub(crate) fn check(email: &EmailConfig) -> Result<(), String> {
    let is_plain = |text: &str| {
        let chars = text.chars().all(|one| one.is_ascii_graphic() && one != '/');
        (1..=MAX_NAME).contains(&text.len()) && chars
    };
    if !is_plain(&email.server) {
        return Err("server: the name or the address of a mail server".to_owned());
    }
    let is_here = ["127.0.0.1", "localhost", "::1"].contains(&email.server.as_str());
    if email.tls == EmailTls::InsecureLoopback && !is_here {
        return Err("tls: insecure_loopback is for 127.0.0.1, ::1 and localhost only".to_owned());
    }
    if email.port == Some(0) {
        return Err("port: 1 to 65535".to_owned());
    }
    if !(1..=MAX_RECIPIENTS).contains(&email.to.len()) {
        return Err(format!("to: name 1 to {MAX_RECIPIENTS} people"));
    }
    mailbox(&email.from).map_err(|why| format!("from: {why}"))?;
    for to in &email.to {
        mailbox(to).map_err(|why| format!("to: {why}"))?;
    }
    if email.username.is_some() != email.password_file.is_some() {
        return Err("username: goes together with password_file".to_owned());
    }
    match (1..=MAX_TIMEOUT_S).contains(&email.timeout_s) {
        true => Ok(()),
        false => Err(format!("timeout_s: 1 to {MAX_TIMEOUT_S}")),
    }
}

/// Reads whom to write to. What is not ASCII in an address not every server takes; a name may have it.
fn mailbox(text: &str) -> Result<Mailbox, String> {
    let refused = || "write `someone@example.org` or `Name <someone@example.org>`".to_owned();
    if text.len() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(refused());
    }
    let mailbox: Mailbox = text.parse().map_err(|_| refused())?;
    match mailbox.email.to_string().is_ascii() {
        true => Ok(mailbox),
        false => Err("an address is of ASCII letters".to_owned()),
    }
}

impl Mailboxes {
    /// Reads passwords and roots.
    pub(crate) fn open(
        configured: &BTreeMap<String, EmailConfig>,
    ) -> Result<Self, DestinationError> {
        let mut by_name = BTreeMap::new();
        for (name, email) in configured {
            let key = format!("respond.emails.{name}");
            let destination = Destination::open(&key, email)?;
            by_name.insert(name.clone(), Arc::new(destination));
        }
        Ok(Self(by_name))
    }

    /// Whether there is a destination of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl Destination {
    fn open(key: &str, email: &EmailConfig) -> Result<Self, DestinationError> {
        check(email).map_err(|why| DestinationError::value(key, why))?;
        let read = |text: &String| mailbox(text).map_err(|why| DestinationError::value(key, why));
        let credentials = match (&email.username, &email.password_file) {
            (Some(username), Some(path)) => {
                let password = read_own(key, path)?;
                let password = password.trim_end_matches(['\r', '\n']);
                if !(1..=MAX_PASSWORD).contains(&password.len()) {
                    let why = format!("its password has 1 to {MAX_PASSWORD} bytes");
                    return Err(DestinationError::value(key, why));
                }
                Some(Credentials::new(username.clone(), password.to_owned()))
            }
            _ => None,
        };
        let parameters = match email.tls {
            EmailTls::InsecureLoopback => None,
            EmailTls::Starttls | EmailTls::Implicit => Some(parameters(key, email)?),
        };
        Ok(Self {
            server: email.server.clone(),
            port: email.port.unwrap_or(match email.tls {
                EmailTls::Implicit => 465,
                EmailTls::Starttls | EmailTls::InsecureLoopback => 587,
            }),
            tls: email.tls,
            parameters,
            credentials,
            from: read(&email.from)?,
            to: email.to.iter().map(read).collect::<Result<_, _>>()?,
            timeout: Duration::from_secs(email.timeout_s),
        })
    }

    /// Hands a message over, and says why that did not work.
    async fn deliver(&self, order: &Order) -> Result<(), EffectError> {
        let message = self.message(order).map_err(failed)?.formatted();
        let delivered = tokio::time::timeout(self.timeout, self.send(&message)).await;
        let mut connection = delivered
            .unwrap_or_else(|_| Err("the mail server took too long".to_owned()))
            .map_err(failed)?;
        // It has the message: what it says now does not matter.
        let _ = tokio::time::timeout(FAREWELL, connection.quit()).await;
        Ok(())
    }

    async fn send(&self, message: &[u8]) -> Result<AsyncSmtpConnection, String> {
        let (hello, server) = (ClientId::default(), (self.server.as_str(), self.port));
        let (first, later) = match self.tls {
            EmailTls::Implicit => (self.parameters.clone(), None),
            EmailTls::Starttls => (None, self.parameters.clone()),
            EmailTls::InsecureLoopback => (None, None),
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &hello, first, None)
                .await
                .map_err(|error| answered("the connection", &error))?;
        if let Some(parameters) = later {
            let secured = connection.starttls(parameters, &hello).await;
            secured.map_err(|error| answered("STARTTLS", &error))?;
        }
        if self.tls != EmailTls::InsecureLoopback && !connection.is_encrypted() {
            return Err("the connection to the mail server is not encrypted".to_owned());
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let known = connection.auth(&mechanisms, credentials).await;
            known.map_err(|error| answered("the credentials", &error))?;
        }
        let from = Mail::new(Some(self.from.email.clone()), Vec::new());
        let sender = connection.command(from).await;
        sender.map_err(|error| answered("the sender", &error))?;
        let mut refused = None;
        let mut taken = 0;
        for to in &self.to {
            let recipient = Rcpt::new(to.email.clone(), Vec::new());
            match connection.command(recipient).await {
                Ok(_) => taken += 1,
                // One who is not known any longer does not keep the others from being told.
                Err(error) if error.status().is_some() => {
                    let why = answered("a recipient", &error);
                    tracing::warn!(server = %self.server, why, "an e-mail does not reach everybody");
                    refused = Some(why);
                }
                Err(error) => return Err(answered("a recipient", &error)),
            }
        }
        if let (0, Some(why)) = (taken, refused) {
            return Err(why);
        }
        let data = connection.command(Data).await;
        data.map_err(|error| answered("the message", &error))?;
        let sent = connection.message(message).await;
        sent.map_err(|error| answered("the message", &error))?;
        Ok(connection)
    }

    fn message(&self, order: &Order) -> Result<Message, String> {
        let domain = self.from.email.domain();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(message::subject(order))
            .message_id(Some(format!("<{}@{domain}>", order.id)))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let made = builder.body(message::letter(order));
        made.map_err(|error| format!("the message cannot be written: {error}"))
    }
}

fn parameters(key: &str, email: &EmailConfig) -> Result<TlsParameters, DestinationError> {
    let value = |error: lettre::transport::smtp::Error| {
        DestinationError::value(key, format!("its roots cannot be used: {error}"))
    };
    let mut builder =
        TlsParameters::builder(email.server.clone()).certificate_store(CertificateStore::None);
    for der in roots(key, email.ca.as_ref())? {
        // Systems keep roots that nobody can read any longer: the others count all the same.
        if let Ok(root) = Certificate::from_der(der) {
            builder = builder.add_root_certificate(root);
        }
    }
    builder.build_rustls().map_err(value)
}

/// What went wrong. What the server said about it stays out: it may repeat what we said.
fn answered(what: &str, error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code} to {what}"),
        None => format!("{what}: {error}"),
    }
}

fn failed(why: String) -> EffectError {
    EffectError::Failed(why.into())
}

impl fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Tells people of a case.
pub(super) struct Email(pub(super) Option<Arc<Mailboxes>>);

impl Email {
    /// The name of the destination, if there is one of that name.
    fn destination<'a>(&self, parameters: &'a Parameters) -> Result<&'a str, EffectError> {
        let to = parameters.get("to").and_then(Value::as_str);
        let to =
            to.ok_or_else(|| wrong("to", "name one of the configuration's [respond.emails]"))?;
        match &self.0 {
            // The shipped playbooks tell whoever is called so, who need not be there.
            Some(mailboxes) if to != "default" && !mailboxes.has(to) => {
                let names: Vec<&str> = mailboxes.0.keys().map(String::as_str).collect();
                let why = match names.is_empty() {
                    true => "the configuration has no [respond.emails]".to_owned(),
                    false => format!(
                        "there is no such destination; there is {}",
                        names.join(", ")
                    ),
                };
                Err(wrong("to", why))
            }
            _ => Ok(to),
        }
    }
}

impl Effector for Email {
    fn name(&self) -> &'static str {
        ACTION
    }

    fn summary(&self) -> &'static str {
        "Tells configured people of the case by e-mail."
    }

    fn impact(&self) -> Impact {
        Impact::None
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        only(parameters, &["to"])?;
        self.destination(parameters).map(drop)
    }

    fn applies_to(&self, _: &Target) -> bool {
        true
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async move {
            let to = self.destination(&order.parameters)?;
            let found = self.0.as_ref().and_then(|mailboxes| mailboxes.0.get(to));
            let Some(destination) = found.cloned() else {
                let why = format!("there is no [respond.emails.{to}] in the configuration");
                return Err(EffectError::NotApplicable(why));
            };
            destination.deliver(order).await.map(|()| None)
        })
    }

    fn undo<'a>(&'a self, _: &'a Order, _: &'a Value) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests;
