//! `palisade ca`.

mod root;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{PageArgs, read_text};
use crate::{
    client::{Act, Session, confirm, path},
    failure::Failure,
    output::{Column, column},
};

use root::{ExportRootArgs, RootFileArgs};

const MAKERS: [Column; 4] = [
    column("MAKER", "/name"),
    column("PRODUCT", "/product"),
    column("ENDS", "/not_after"),
    column("SUBJECT", "/subject"),
];
const AUTHORITY: [Column; 6] = [
    column("trust domain", "/trust_domain"),
    column("root sha256", "/root/sha256"),
    column("root key is here", "/root_key_is_here"),
    column("issuer", "/issuer_id"),
    column("issuer sha256", "/issuer/sha256"),
    column("issuer ends", "/issuer_not_after"),
];

/// The certification authority.
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Show root, issuers and CRL
    #[command(after_help = "Examples:\n  palisade ca show")]
    Show,
    /// Print the root's certificate in PEM
    #[command(after_help = "Examples:\n  palisade ca root > root.pem")]
    Root,
    /// List the makers' CAs whose devices may enrol with the certificate they were built with
    #[command(after_help = "Examples:\n  palisade ca makers")]
    Makers {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Trust a maker's CA
    #[command(after_help = "Examples:\n  palisade ca add-maker acme acme-ca.pem --product camera")]
    AddMaker {
        /// The maker's name
        name: String,
        /// Its CA's certificate in PEM
        file: PathBuf,
        /// The product its devices are
        #[arg(long, value_name = "PRODUCT")]
        product: Option<String>,
    },
    /// Trust a maker's CA no longer
    #[command(after_help = "Examples:\n  palisade ca remove-maker acme")]
    RemoveMaker {
        /// The maker's name
        name: String,
    },
    /// Make a new issuer; certificates of the old one stay valid
    #[command(after_help = "Examples:\n  palisade ca renew-issuer")]
    RenewIssuer,
    /// Issue the CRL anew
    #[command(after_help = "Examples:\n  palisade ca refresh-crl")]
    RefreshCrl,
    /// Revoke one certificate
    #[command(after_help = "Examples:
  palisade ca revoke 3f9c0a77e1 --reason keyCompromise --yes")]
    Revoke {
        /// Its serial number, in hexadecimal
        serial: String,
        /// What the CRL says
        #[arg(long, value_name = "REASON", default_value = "unspecified")]
        reason: String,
        /// Do not ask whether you are sure
        #[arg(long, short)]
        yes: bool,
    },
    /// Write the root key out, under a passphrase
    #[command(after_help = "Examples:
  palisade ca export-root --out root-key.pem
  palisade ca export-root --out root-key.pem --passphrase-file passphrase

The passphrase is read from --passphrase-file, PALISADE_PASSPHRASE or the terminal.
The key stays on the server until `palisade ca detach-root`.")]
    ExportRoot(ExportRootArgs),
    /// Remove the root key from the server, after the exported copy was shown to open
    #[command(after_help = "Examples:\n  palisade ca detach-root root-key.pem")]
    DetachRoot(RootFileArgs),
    /// Bring the root key back, to make a new issuer
    #[command(after_help = "Examples:\n  palisade ca import-root root-key.pem")]
    ImportRoot(RootFileArgs),
}

impl Act for CaCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Show => {
                let mut answer = session.get(path(&["ca"])).send()?;
                if !session.output.is_json() {
                    // `palisade ca root` prints it; here it would bury the rest.
                    for name in ["root", "issuer"] {
                        if let Some(map) = answer.get_mut(name).and_then(Value::as_object_mut) {
                            map.remove("pem");
                        }
                    }
                }
                session.output.record(&answer, &AUTHORITY)
            }
            Self::Root => print_root(session),
            Self::Makers { page } => {
                let answer = page.read(|| session.get(path(&["ca", "makers"])))?;
                session.output.list(&answer, &MAKERS)
            }
            Self::AddMaker {
                name,
                file,
                product,
            } => {
                let mut body = json!({ "certificate": read_text(&file)? });
                if let Some(product) = product {
                    body["product"] = json!(product);
                }
                let path = path(&["ca", "makers", &name]);
                let answer = session.put(path).json(&body).send()?;
                let sentence = format!("Devices of {name} may enrol with its certificates.");
                session.output.done(&answer, &sentence)
            }
            Self::RemoveMaker { name } => {
                let answer = session.delete(path(&["ca", "makers", &name])).send()?;
                session
                    .output
                    .done(&answer, &format!("Maker {name} is trusted no longer."))
            }
            Self::RenewIssuer => post(session, "renew-issuer", "A new issuer signs from now on."),
            Self::RefreshCrl => post(session, "refresh-crl", "The CRL is issued anew."),
            Self::Revoke {
                serial,
                reason,
                yes,
            } => {
                confirm(
                    yes,
                    &format!("Certificate {serial} will be revoked for good. Go on?"),
                )?;
                let path = path(&["ca", "certificates", &serial, "revoke"]);
                let answer = session
                    .post(path)
                    .json(&json!({ "reason": reason }))
                    .send()?;
                session
                    .output
                    .done(&answer, &format!("Certificate {serial} is revoked."))
            }
            Self::ExportRoot(args) => args.export(session),
            Self::DetachRoot(args) => args.detach(session),
            Self::ImportRoot(args) => args.import(session),
        }
    }
}

fn post(session: &Session, verb: &str, sentence: &str) -> Result<(), Failure> {
    let answer = session.post(path(&["ca", verb])).send()?;
    session.output.done(&answer, sentence)
}

fn print_root(session: &Session) -> Result<(), Failure> {
    let answer = session.get(path(&["ca"])).send()?;
    let pem = answer
        .pointer("/root/pem")
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::new("the server did not say its root certificate"))?;
    match session.output.is_json() {
        true => session.output.json(&json!({ "certificate": pem })),
        false => session.output.text(pem.trim_end()),
    }
}
