//! `palisade service`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{PageArgs, read_text};
use crate::{
    client::{Act, Session, path},
    data::write_whole,
    failure::{Context, Failure},
    output::{Column, column},
};

const COLUMNS: [Column; 3] = [
    column("SERVICE", "/id"),
    column("SINCE", "/created_at"),
    column("DESCRIPTION", "/description"),
];

/// Services: applications that work with devices.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// List services
    #[command(after_help = "Examples:\n  palisade service list")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Make a service known, or change its description
    #[command(after_help = "Examples:\n  palisade service put backend --description 'Telemetry'")]
    Put {
        /// The service
        service: String,
        /// What people read
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// Issue a certificate to a service
    #[command(after_help = "Examples:
  palisade service certificate backend --out /etc/backend
  palisade service certificate backend --csr backend.csr > backend.pem")]
    Certificate(CertificateArgs),
}

/// For whom, and where to put it.
#[derive(Debug, Args)]
pub(crate) struct CertificateArgs {
    /// The service
    service: String,
    /// A certificate request in PEM; without one the server makes the key too
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Write `SERVICE.pem` (certificate and chain) and `SERVICE.key` into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Act for ServiceCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["services"])))?;
                session.output.list(&answer, &COLUMNS)
            }
            Self::Put {
                service,
                description,
            } => {
                let answer = session
                    .put(path(&["services", &service]))
                    .json(&json!({ "description": description }))
                    .send()?;
                session
                    .output
                    .done(&answer, &format!("Service {service} is known."))
            }
            Self::Certificate(args) => certificate(&args, session),
        }
    }
}

fn certificate(args: &CertificateArgs, session: &Session) -> Result<(), Failure> {
    let body = match &args.csr {
        Some(file) => json!({ "csr": read_text(file)? }),
        None => json!({}),
    };
    let mut answer = session
        .post(path(&["services", &args.service, "certificate"]))
        .json(&body)
        .send()?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let (certificate, key) = (
        text("certificate").to_owned() + text("chain"),
        text("private_key"),
    );
    let Some(out) = &args.out else {
        return match session.output.is_json() {
            true => session.output.json(&answer),
            false => session
                .output
                .text(format!("{certificate}{key}").trim_end()),
        };
    };
    let name = |end: &str| out.join(format!("{}.{end}", args.service));
    let mut sentence = format!("Wrote {}", name("pem").display());
    write_whole(&name("pem"), certificate.as_bytes(), 0o644).context(name("pem").display())?;
    if !key.is_empty() {
        write_whole(&name("key"), key.as_bytes(), 0o600).context(name("key").display())?;
        sentence.push_str(&format!(" and {}", name("key").display()));
    }
    // The key is in its file now, and nowhere else.
    if let Some(map) = answer.as_object_mut() {
        map.remove("private_key");
    }
    session.output.done(&answer, &format!("{sentence}."))
}
