//! `palisade segment`.

use clap::Subcommand;
use serde_json::json;

use super::PageArgs;
use crate::{
    client::{Act, Session, path},
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 2] = [
    column("SEGMENT", "/id"),
    column("DESCRIPTION", "/description"),
];

/// Segments: the parts of the fleet.
#[derive(Debug, Subcommand)]
pub(crate) enum SegmentCommand {
    /// List segments
    #[command(after_help = "Examples:\n  palisade segment list")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Make a segment known, or change its description
    #[command(after_help = "Examples:\n  palisade segment put berlin --description 'Berlin plant'")]
    Put {
        /// The segment
        segment: String,
        /// What people read
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
}

impl Act for SegmentCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["segments"])))?;
                session.output.list(&answer, &COLUMNS)
            }
            Self::Put {
                segment,
                description,
            } => {
                let answer = session
                    .put(path(&["segments", &segment]))
                    .json(&json!({ "description": description }))
                    .send()?;
                let sentence = format!("Segment {segment} is known.");
                session.output.done(&answer, &sentence)
            }
        }
    }
}
