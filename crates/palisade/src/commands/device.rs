//! `palisade device`.

mod add;
mod contain;
mod messages;
mod rotate;
mod standing;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{PageArgs, pairs, session};
use crate::{
    client::{Act, Session, path},
    failure::Failure,
    output::{Column, column},
};

use add::{AddArgs, ImportArgs};
use contain::{ContainArgs, RevokeArgs};
use messages::MessagesArgs;
use rotate::{RotateArgs, RotationArgs};

pub(super) use standing::count_contained;

const COLUMNS: [Column; 8] = [
    column("DEVICE", "/id"),
    column("PRODUCT", "/product"),
    column("SEGMENT", "/posture/segment"),
    column("LIFECYCLE", "/posture/lifecycle"),
    column("TRUST", "/posture/trust"),
    column("CONNECTED", "/connected"),
    column("LAST SEEN", "/last_seen_at"),
    column("LABELS", "/labels"),
];
const FIELDS: [Column; 11] = [
    column("device", "/id"),
    column("product", "/product"),
    column("segment", "/posture/segment"),
    column("lifecycle", "/posture/lifecycle"),
    column("trust", "/posture/trust"),
    column("held because", "/held"),
    column("because", "/posture/reasons"),
    column("labels", "/labels"),
    column("registered", "/registered_at"),
    column("connected", "/connected"),
    column("last seen", "/last_seen_at"),
];
const CERTIFICATES: [Column; 5] = [
    column("SERIAL", "/serial"),
    column("ISSUED", "/issued_at"),
    column("ENDS", "/not_after"),
    column("REVOKED", "/revocation/at"),
    column("REASON", "/revocation/reason"),
];

/// Devices: inventory, posture, containment.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// List devices
    #[command(after_help = "Examples:
  palisade device list
  palisade device list --product camera --lifecycle quarantined
  palisade device list --trust-below 100
  palisade device list --label site=berlin --limit 1000 --json")]
    List(ListArgs),
    /// Show a device and what is thought of it
    #[command(after_help = "Examples:\n  palisade device show cam-1")]
    Show(DeviceArgs),
    /// Register a device
    #[command(after_help = "Examples:
  palisade device add cam-1 --product camera
  palisade device add cam-1 --product camera --label site=berlin --segment plant")]
    Add(AddArgs),
    /// Register the devices of a CSV file: all of them, or none if a line is wrong
    #[command(after_help = "Examples:
  palisade device import inventory.csv --dry-run
  palisade device import inventory.csv

The file has the heading id,product,labels; labels are key=value, separated by semicolons:
  id,product,labels
  cam-1,camera,site=berlin;floor=2")]
    Import(ImportArgs),
    /// Replace the labels of a device
    #[command(after_help = "Examples:
  palisade device label cam-1 site=berlin floor=2
  palisade device label cam-1 --clear")]
    Label {
        /// The device
        device: String,
        /// Its labels, all of them
        #[arg(value_name = "KEY=VALUE", required_unless_present = "clear")]
        labels: Vec<String>,
        /// Leave it without labels
        #[arg(long, conflicts_with = "labels")]
        clear: bool,
    },
    /// Move a device to another segment
    #[command(after_help = "Examples:\n  palisade device move cam-1 plant --reason 'new line'")]
    Move {
        /// The device
        device: String,
        /// Where to
        segment: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Contain a device: its sessions close, and no door serves it until it is released
    #[command(after_help = "Examples:
  palisade device quarantine cam-1 --reason 'talks to strangers'")]
    Quarantine(ContainArgs),
    /// End a quarantine, and forget the denials that were held against the device
    #[command(after_help = "Examples:\n  palisade device release cam-1 --reason 'was a test'")]
    Release(ContainArgs),
    /// Revoke all certificates of a device
    #[command(after_help = "Examples:
  palisade device revoke cam-1 --reason 'stolen' --certificate-reason keyCompromise --yes")]
    Revoke(RevokeArgs),
    /// Take a device out of service for good
    #[command(after_help = "Examples:\n  palisade device retire cam-1 --reason 'scrapped' --yes")]
    Retire(ContainArgs),
    /// Let a revoked device enrol anew
    #[command(after_help = "Examples:\n  palisade device reinstate cam-1 --reason 'repaired'")]
    Reinstate(ContainArgs),
    /// Ask a device for a new key; its old certificates end when it uses the new one
    #[command(after_help = "Examples:
  palisade device rotate cam-1 --reason 'the image was cloned'
  palisade device rotate cam-1 --within 7d --keep-old 1h")]
    Rotate(RotateArgs),
    /// Show how far a device came with its new key, or ask it no longer
    #[command(after_help = "Examples:
  palisade device rotation cam-1
  palisade device rotation cam-1 --stop --reason 'the copy was found'")]
    Rotation(RotationArgs),
    /// Watch the messages of a device as they pass; each watching is on the ledger
    #[command(after_help = "Examples:
  palisade device messages cam-1
  palisade device messages cam-1 --read --json")]
    Messages(MessagesArgs),
    /// List the certificates of a device
    #[command(after_help = "Examples:\n  palisade device certificates cam-1")]
    Certificates(DeviceArgs),
    /// List the MQTT sessions of a device
    #[command(after_help = "Examples:\n  palisade device sessions cam-1")]
    Sessions(DeviceArgs),
    /// Close the sessions of a device; it may come back
    #[command(after_help = "Examples:\n  palisade device disconnect cam-1")]
    Disconnect(DeviceArgs),
}

/// Which devices.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this product
    #[arg(long)]
    product: Option<String>,
    /// Only in this segment
    #[arg(long)]
    segment: Option<String>,
    /// Only at this point of their life
    #[arg(long, value_parser = ["registered", "active", "quarantined", "revoked", "retired"])]
    lifecycle: Option<String>,
    /// Only those that are trusted less than this
    #[arg(long, value_name = "1..100", value_parser = clap::value_parser!(u8).range(1..=100))]
    trust_below: Option<u8>,
    /// Only with this label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Only with this text in their name
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

/// One device.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// The device
    device: String,
}

impl Act for DeviceCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(args) => list(&args, session),
            Self::Show(DeviceArgs { device }) => {
                let mut answer = session.get(path(&["devices", &device])).send()?;
                if !session.output.is_json() {
                    standing::mark(&mut answer, session);
                    standing::explain(&mut answer, session);
                }
                session.output.record(&answer, &FIELDS)
            }
            Self::Add(args) => args.add(session),
            Self::Import(args) => args.import(session),
            Self::Label { device, labels, .. } => {
                let body = json!({ "labels": pairs(&labels)? });
                change(session, &device, &body, "has new labels")
            }
            Self::Move {
                device,
                segment,
                reason,
            } => {
                let body = json!({ "segment": segment, "reason": reason });
                change(session, &device, &body, &format!("is in segment {segment}"))
            }
            Self::Quarantine(args) => args.act("quarantine", "is quarantined", session),
            Self::Release(args) => args.act("release", "is released", session),
            Self::Revoke(args) => args.act(session),
            Self::Retire(args) => {
                args.confirm("will be out of service for good")?;
                args.act("retire", "is retired", session)
            }
            Self::Reinstate(args) => args.act("reinstate", "may enrol anew", session),
            Self::Rotate(args) => args.rotate(session),
            Self::Rotation(args) => args.act(session),
            Self::Messages(args) => args.watch(session),
            Self::Certificates(DeviceArgs { device }) => {
                let path = path(&["devices", &device, "certificates"]);
                let answer = session.get(path).send()?;
                session.output.list(&answer, &CERTIFICATES)
            }
            Self::Sessions(DeviceArgs { device }) => {
                let path = path(&["devices", &device, "sessions"]);
                let answer = session.get(path).send()?;
                session.output.list(&answer, &session::COLUMNS)
            }
            Self::Disconnect(DeviceArgs { device }) => {
                let path = path(&["devices", &device, "disconnect"]);
                let answer = session.post(path).send()?;
                let sentence = format!("Device {device}: {}.", closed(&answer));
                session.output.done(&answer, &sentence)
            }
        }
    }
}

fn list(args: &ListArgs, session: &Session) -> Result<(), Failure> {
    let labels = (!args.labels.is_empty()).then(|| args.labels.join(";"));
    let mut answer = args.page.read(|| {
        session
            .get(path(&["devices"]))
            .query("product", args.product.as_ref())
            .query("segment", args.segment.as_ref())
            .query("lifecycle", args.lifecycle.as_ref())
            .query("label", labels.as_ref())
            .query("trust_below", args.trust_below)
            .query("search", args.search.as_ref())
    })?;
    let items = answer.get_mut("items").and_then(Value::as_array_mut);
    if !session.output.is_json() {
        items
            .into_iter()
            .flatten()
            .for_each(|device| standing::mark(device, session));
    }
    session.output.list(&answer, &COLUMNS)
}

fn change(session: &Session, device: &str, body: &Value, what: &str) -> Result<(), Failure> {
    let path = path(&["devices", device]);
    let answer = session.patch(path).json(body).send()?;
    let sentence = format!("Device {device} {what}.");
    session.output.done(&answer, &sentence)
}

/// How many sessions an act closed, for people.
fn closed(answer: &Value) -> String {
    match answer.get("closed_sessions").and_then(Value::as_u64) {
        Some(1) => "1 session closed".to_owned(),
        Some(count) => format!("{count} sessions closed"),
        None => "sessions closed".to_owned(),
    }
}
