//! `palisade session`.

use clap::Subcommand;

use super::PageArgs;
use crate::{
    client::{Act, Session, path},
    failure::Failure,
    output::{Column, column},
};

/// How sessions are shown, here and for one device.
pub(super) const COLUMNS: [Column; 9] = [
    column("CLIENT", "/client_id"),
    column("PRINCIPAL", "/principal"),
    column("ONLINE", "/online"),
    column("SOURCE", "/source"),
    column("PROTOCOL", "/protocol"),
    column("SINCE", "/since"),
    column("IN", "/messages_in"),
    column("OUT", "/messages_out"),
    column("QUEUED", "/queued"),
];

/// MQTT sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List sessions, connected or away
    #[command(after_help = "Examples:
  palisade session list
  palisade session list --limit 1000 --json")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
}

impl Act for SessionCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let Self::List { page } = self;
        let answer = page.read(|| session.get(path(&["sessions"])))?;
        session.output.list(&answer, &COLUMNS)
    }
}
