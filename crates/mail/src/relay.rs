//! A server that takes mail.

use std::{fmt, time::Duration};

use lettre::{
    Message,
    message::header::{ContentType, HeaderName, HeaderValue},
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
    },
};

use crate::{Address, NotAnAddress, SmtpConfig, Tls, one_line};

/// The longest password, in bytes.
const MAX_PASSWORD: usize = 4_096;
/// The longest subject, in characters.
const MAX_SUBJECT: usize = 120;
/// How long a server that took a message is given to say good-bye.
const FAREWELL: Duration = Duration::from_secs(1);

/// A server that takes mail.
pub struct Relay {
    server: String,
    port: u16,
    tls: Tls,
    parameters: Option<TlsParameters>,
    credentials: Option<Credentials>,
    from: Address,
    timeout: Duration,
}

/// What is sent. The relay is told who it is from.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    /// What the `Message-ID` is made of: the same each time that it is sent again.
    pub id: &'a str,
    /// To whom it goes.
    pub to: &'a [Address],
    /// What it is about, in one line.
    pub subject: &'a str,
    /// What it says.
    pub text: String,
}

/// Why a relay cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The configuration cannot work or is not safe.
    #[error("{0}")]
    Config(String),
    /// There is no password, or it is too long.
    #[error("its password has 1 to {MAX_PASSWORD} bytes")]
    Password,
    /// The roots are none.
    #[error("its roots cannot be used: {0}")]
    Roots(#[source] lettre::transport::smtp::Error),
}

impl From<NotAnAddress> for RelayError {
    fn from(error: NotAnAddress) -> Self {
        Self::Config(format!("from: {error}"))
    }
}

/// Why a letter was not taken. What a server said about it stays out: it may repeat what we said.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server takes mail, and not for any of these people.
    #[error("{why}")]
    Recipients {
        /// Why.
        why: String,
        /// Whether it says that it never will (5xx).
        is_final: bool,
    },
    /// The letter cannot be written, or the server took no mail from us.
    #[error("{0}")]
    Relay(String),
}

impl From<String> for SendError {
    fn from(why: String) -> Self {
        Self::Relay(why)
    }
}

impl Relay {
    /// Opens a relay, with the password that goes with the name and the roots to trust, in DER; none are needed where
    /// there is no TLS. Nothing is sent yet.
    ///
    /// # Errors
    /// When it cannot work or is not safe.
    pub fn open(
        config: &SmtpConfig,
        password: Option<&str>,
        roots: Vec<Vec<u8>>,
    ) -> Result<Self, RelayError> {
        config.check().map_err(RelayError::Config)?;
        let credentials = match (&config.username, password) {
            (Some(username), Some(password)) => {
                let password = password.trim_end_matches(['\r', '\n']);
                if !(1..=MAX_PASSWORD).contains(&password.len()) {
                    return Err(RelayError::Password);
                }
                Some(Credentials::new(username.clone(), password.to_owned()))
            }
            _ => None,
        };
        let parameters = match config.tls {
            Tls::InsecureLoopback => None,
            Tls::Starttls | Tls::Implicit => {
                Some(parameters(&config.server, roots).map_err(RelayError::Roots)?)
            }
        };
        Ok(Self {
            server: config.server.clone(),
            port: config.port(),
            tls: config.tls,
            parameters,
            credentials,
            from: Address::parse(&config.from)?,
            timeout: Duration::from_secs(config.timeout_s),
        })
    }

    /// Hands a letter over.
    ///
    /// # Errors
    /// When the server did not take it, for anybody, in the time that there is.
    pub async fn send(&self, letter: &Letter<'_>) -> Result<(), SendError> {
        let message = self.message(letter)?.formatted();
        let delivered = tokio::time::timeout(self.timeout, self.hand_over(letter.to, &message));
        let too_long = |_| Err("the mail server took too long".to_owned().into());
        let mut connection = delivered.await.unwrap_or_else(too_long)?;
        // It has the message: what it says now does not matter.
        let _ = tokio::time::timeout(FAREWELL, connection.quit()).await;
        Ok(())
    }

    async fn hand_over(
        &self,
        to: &[Address],
        message: &[u8],
    ) -> Result<AsyncSmtpConnection, SendError> {
        let mut connection = self.connect().await?;
        let from = Mail::new(Some(self.from.0.email.clone()), Vec::new());
        let sender = connection.command(from).await;
        sender.map_err(|error| answered("the sender", &error))?;
        let mut refused = None;
        let mut taken = 0;
        for to in to {
            let recipient = Rcpt::new(to.0.email.clone(), Vec::new());
            match connection.command(recipient).await {
                Ok(_) => taken += 1,
                // One who is not known any longer does not keep the others from being told.
                Err(error) if error.status().is_some() => {
                    let why = answered("a recipient", &error);
                    tracing::warn!(server = %self.server, why, "an e-mail does not reach everybody");
                    let is_final = error.is_permanent();
                    refused = Some(SendError::Recipients { why, is_final });
                }
                Err(error) => return Err(answered("a recipient", &error).into()),
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

    /// A connection on which the server knows who we are, and nobody else can listen.
    async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        let (hello, server) = (ClientId::default(), (self.server.as_str(), self.port));
        let (first, later) = match self.tls {
            Tls::Implicit => (self.parameters.clone(), None),
            Tls::Starttls => (None, self.parameters.clone()),
            Tls::InsecureLoopback => (None, None),
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &hello, first, None)
                .await
                .map_err(|error| answered("the connection", &error))?;
        if let Some(parameters) = later {
            let secured = connection.starttls(parameters, &hello).await;
            secured.map_err(|error| answered("STARTTLS", &error))?;
        }
        if self.tls != Tls::InsecureLoopback && !connection.is_encrypted() {
            return Err("the connection to the mail server is not encrypted".to_owned());
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let known = connection.auth(&mechanisms, credentials).await;
            known.map_err(|error| answered("the credentials", &error))?;
        }
        Ok(connection)
    }

    fn message(&self, letter: &Letter<'_>) -> Result<Message, String> {
        let domain = self.from.0.email.domain();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let subject: String = one_line(letter.subject).chars().take(MAX_SUBJECT).collect();
        let mut builder = Message::builder()
            .from(self.from.0.clone())
            .subject(subject)
            .message_id(Some(format!("<{}@{domain}>", letter.id)))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        for to in letter.to {
            builder = builder.to(to.0.clone());
        }
        let made = builder.body(letter.text.clone());
        made.map_err(|error| format!("the message cannot be written: {error}"))
    }
}

fn parameters(
    server: &str,
    roots: Vec<Vec<u8>>,
) -> Result<TlsParameters, lettre::transport::smtp::Error> {
    let mut builder =
        TlsParameters::builder(server.to_owned()).certificate_store(CertificateStore::None);
    for der in roots {
        // Systems keep roots that nobody can read any longer: the others count all the same.
        if let Ok(root) = Certificate::from_der(der) {
            builder = builder.add_root_certificate(root);
        }
    }
    builder.build_rustls()
}

/// What went wrong. What the server said about it stays out: it may repeat what we said.
fn answered(what: &str, error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code} to {what}"),
        None => format!("{what}: {error}"),
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
