//! The client side: commands that speak to a running server through its REST API, with the server's CA
//! and no other as root of trust.

mod call;
mod follow;
pub(crate) mod problem;
mod profile;
mod prompt;

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{
    failure::{Context, Exit, Failure},
    output::Output,
};

pub(crate) use call::{Answer, Call, SESSION_COOKIE, path};
pub(crate) use follow::Follow;
pub(crate) use profile::Profile;
pub(crate) use prompt::{confirm, new_passphrase, new_password, passphrase, password, secret};

/// The token, instead of the one that was noted.
pub(crate) const TOKEN_VARIABLE: &str = "PALISADE_TOKEN";
/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest wait for the head of an answer; an import of a million devices takes its time.
const ANSWER: Duration = Duration::from_secs(900);

/// Which server, as flags say.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConnectionArgs {
    /// The server, instead of the one that `palisade login` noted
    #[arg(long, global = true, value_name = "URL", env = "PALISADE_SERVER")]
    pub(crate) server: Option<String>,
    /// The server's root certificate in PEM, instead of the one that was noted
    #[arg(long, global = true, value_name = "FILE", env = "PALISADE_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// The approval of somebody else for this very act, which was refused for want of it before
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) approval: Option<String>,
}

/// A noun of the command line with its verbs.
#[derive(Debug, Args)]
pub(crate) struct Noun<C: Subcommand> {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: C,
}

/// What is done through the REST API.
pub(crate) trait Act {
    fn act(self, session: &Session) -> Result<(), Failure>;
}

impl<C: Subcommand + Act> Noun<C> {
    pub(crate) fn run(self, output: Output) -> Result<(), Failure> {
        self.command.act(&Session::open(&self.connection, output)?)
    }
}

/// A command without verbs.
#[derive(Debug, Args)]
pub(crate) struct Verb<C: Args> {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    command: C,
}

impl<C: Args + Act> Verb<C> {
    pub(crate) fn run(self, output: Output) -> Result<(), Failure> {
        self.command.act(&Session::open(&self.connection, output)?)
    }
}

/// A server to speak to, and where to print what it says.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) output: Output,
    client: Client,
    root_pem: String,
}

impl Session {
    /// Opens a session from flags, environment and what `palisade login` noted.
    pub(crate) fn open(connection: &ConnectionArgs, output: Output) -> Result<Self, Failure> {
        let profile = Profile::read()?.unwrap_or_default();
        let ca = match &connection.ca {
            Some(file) => Some(std::fs::read_to_string(file).context(file.display())?),
            None => profile.ca,
        };
        let token = match std::env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.is_empty() => Some(token),
            _ => profile.token,
        };
        let server = connection.server.clone().or(profile.server);
        let (Some(server), Some(ca), Some(token)) = (server, ca, token) else {
            return Err(Failure::new("not logged in to a server")
                .exit(Exit::Denied)
                .next("run `palisade login --server URL --ca root.pem`"));
        };
        Ok(Self {
            output,
            client: Client {
                approval: connection.approval.clone(),
                ..Client::new(&server, &ca, Some(token))?
            },
            root_pem: ca,
        })
    }

    /// The server's root certificates, as PEM.
    pub(crate) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The server's address.
    pub(crate) fn server(&self) -> &str {
        &self.client.server
    }

    /// The name of the server's host.
    pub(crate) fn host(&self) -> Result<String, Failure> {
        let uri: ureq::http::Uri = self.client.server.parse()?;
        let host = uri.host().map(str::to_owned);
        host.ok_or_else(|| Failure::usage(format!("{} names no host", self.client.server)))
    }

    pub(crate) fn get(&self, path: String) -> Call<'_> {
        Call::new(&self.client, "GET", path)
    }

    pub(crate) fn post(&self, path: String) -> Call<'_> {
        Call::new(&self.client, "POST", path)
    }

    pub(crate) fn put(&self, path: String) -> Call<'_> {
        Call::new(&self.client, "PUT", path)
    }

    pub(crate) fn patch(&self, path: String) -> Call<'_> {
        Call::new(&self.client, "PATCH", path)
    }

    pub(crate) fn delete(&self, path: String) -> Call<'_> {
        Call::new(&self.client, "DELETE", path)
    }
}

/// The root certificates in a PEM text.
pub(crate) fn read_roots(pem: &str) -> Result<Vec<Certificate<'static>>, Failure> {
    let roots: Vec<Certificate<'static>> = rustls_pemfile::certs(&mut pem.as_bytes())
        .filter_map(Result::ok)
        .map(|der| Certificate::from_der(&der).to_owned())
        .collect();
    match roots.is_empty() {
        true => Err(Failure::usage("the CA file holds no certificate in PEM")),
        false => Ok(roots),
    }
}

/// Speaks to one server.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    server: String,
    token: Option<String>,
    /// Who approved what is asked for, where it waits for a second person.
    approval: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.server)
    }
}

impl Client {
    /// A client of the server at `server` (`https://host:port`), whose certificate `ca` (PEM) vouches for.
    pub(crate) fn new(server: &str, ca: &str, token: Option<String>) -> Result<Self, Failure> {
        let server = server.trim_end_matches('/');
        if !server.starts_with("https://") {
            let message = format!("{server:?} is no address of a server");
            return Err(Failure::usage(message).next("write it as https://fleet.example:8443"));
        }
        let roots = read_roots(ca).map_err(|failure| {
            failure.next("give the server's root.pem (in its data directory) with --ca")
        })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            // The door for people is reached directly; a proxy would see the token of whoever trusts it.
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .user_agent(concat!("palisade/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.new_agent(),
            server: server.to_owned(),
            token,
            approval: None,
        })
    }

    /// The environment variable that its token came from, if it came from there.
    fn token_variable(&self) -> Option<&'static str> {
        let set = std::env::var(TOKEN_VARIABLE).ok();
        (self.token.is_some() && set == self.token).then_some(TOKEN_VARIABLE)
    }

    pub(crate) fn get(&self, path: String) -> Call<'_> {
        Call::new(self, "GET", path)
    }

    pub(crate) fn post(&self, path: String) -> Call<'_> {
        Call::new(self, "POST", path)
    }

    pub(crate) fn put(&self, path: String) -> Call<'_> {
        Call::new(self, "PUT", path)
    }

    pub(crate) fn delete(&self, path: String) -> Call<'_> {
        Call::new(self, "DELETE", path)
    }
}
