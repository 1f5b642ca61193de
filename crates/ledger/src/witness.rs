//! Witnesses (C2SP tlog-witness): others who see each checkpoint, check that the log only grew, and sign that. One
//! that was shown another history refuses, and that is how a roll-back or a second copy of the log is found.

use std::{sync::Arc, time::Duration};

use palisade_tlog::{Hash, Note, NoteKey, Signature, base64};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{Ledger, LedgerError, WitnessConfig};

/// The longest that one request takes, from the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Why a witness did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// It saw a larger tree.
    #[error(
        "it saw {seen} entries and there are {size}: this server was rolled back, or another copy of it runs elsewhere"
    )]
    Ahead {
        /// How many it saw.
        seen: u64,
        /// How many there are.
        size: u64,
    },
    /// It saw another history.
    #[error(
        "it does not take this for the log that it saw (HTTP {0}): entries were rewritten, or another copy of this server \
         runs elsewhere"
    )]
    Contradicts(u16),
    /// It does not know the log or its key.
    #[error(
        "it does not know this log, or not under this key (HTTP {0}): give it `palisade ledger key`"
    )]
    Unknown(u16),
    /// It answered what nobody understands.
    #[error("its answer is not understood: {0}")]
    Answer(String),
    /// It cannot be reached.
    #[error("it cannot be reached: {0}")]
    Transport(String),
    /// The proof that it needs cannot be made.
    #[error("the proof that it needs cannot be made: {0}")]
    Ledger(String),
}

/// One witness.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    pub(crate) key: NoteKey,
    url: String,
    agent: Agent,
}

enum Answered {
    Signed(Signature),
    /// It saw the tree of this size last.
    Saw(u64),
}

impl Witness {
    pub(crate) fn new(config: &WitnessConfig, key: NoteKey, roots: &[Vec<u8>]) -> Self {
        let roots: Vec<Certificate<'static>> = roots
            .iter()
            .map(|der| Certificate::from_der(der).to_owned())
            .collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("palisade/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let url = format!("{}/add-checkpoint", config.url.trim_end_matches('/'));
        Self { key, url, agent }
    }

    /// Asks for a signature under a checkpoint over `size` entries; `saw` is what it saw last, as far as is known.
    pub(crate) async fn ask(
        &self,
        ledger: &Ledger,
        (size, note): (u64, &Note),
        saw: u64,
    ) -> Result<Signature, WitnessError> {
        let mut saw = saw.min(size);
        // It says what it saw where that is something else; the second time it is right.
        for _ in 0..2 {
            let proof = prove(ledger, saw, size).await?;
            match self.send(saw, &proof, note).await? {
                Answered::Signed(signature) => return Ok(signature),
                Answered::Saw(seen) if seen > size => {
                    return Err(WitnessError::Ahead { seen, size });
                }
                Answered::Saw(seen) if seen == saw => return Err(WitnessError::Contradicts(409)),
                Answered::Saw(seen) => saw = seen,
            }
        }
        let why = "it saw another checkpoint meanwhile".to_owned();
        Err(WitnessError::Answer(why))
    }

    async fn send(&self, saw: u64, proof: &[Hash], note: &Note) -> Result<Answered, WitnessError> {
        let mut body = format!("old {saw}\n");
        for hash in proof {
            body.push_str(&base64(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(&note.to_string());
        let (agent, url) = (self.agent.clone(), self.url.clone());
        let asked = tokio::task::spawn_blocking(move || exchange(&agent, &url, body));
        let asked = asked.await;
        let (status, answer) =
            asked.unwrap_or_else(|error| Err(WitnessError::Transport(error.to_string())))?;
        match status {
            200 => self.signature(&answer, note).map(Answered::Signed),
            409 => match answer.trim().parse() {
                Ok(seen) => Ok(Answered::Saw(seen)),
                Err(_) => Err(WitnessError::Contradicts(status)),
            },
            422 => Err(WitnessError::Contradicts(status)),
            403 | 404 => Err(WitnessError::Unknown(status)),
            other => Err(WitnessError::Answer(format!("HTTP {other}"))),
        }
    }

    /// Its own signature among those that it answered with, if it is valid.
    fn signature(&self, answer: &str, note: &Note) -> Result<Signature, WitnessError> {
        let understood = |why: &dyn ToString| WitnessError::Answer(why.to_string());
        let id = self.key.id();
        for line in answer.lines() {
            let signature: Signature = line.parse().map_err(|error| understood(&error))?;
            if signature.name != self.key.name() || signature.id != id {
                continue;
            }
            let mut signed = note.clone();
            signed.sign(signature.clone());
            return match signed.signed_by(&self.key) {
                Ok(_) => Ok(signature),
                Err(error) => Err(understood(&error)),
            };
        }
        let why = format!("no signature in it is by {}", self.key.name());
        Err(WitnessError::Answer(why))
    }
}

async fn prove(ledger: &Ledger, saw: u64, size: u64) -> Result<Vec<Hash>, WitnessError> {
    let proof = ledger.consistency(saw, size).await;
    let proof = proof.map_err(|error: LedgerError| WitnessError::Ledger(error.to_string()))?;
    Ok(proof.unwrap_or_default())
}

fn exchange(agent: &Agent, url: &str, body: String) -> Result<(u16, String), WitnessError> {
    let failed = |error: ureq::Error| WitnessError::Transport(error.to_string());
    let mut answer = agent.post(url).send(body).map_err(failed)?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().with_config().limit(MAX_ANSWER);
    Ok((status, text.read_to_string().map_err(failed)?))
}
