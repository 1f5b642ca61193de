//! Response. It reads findings and opens cases; playbooks say what is done about which; guard rails say
//! how much of it may happen with no person having a part in it. What is done is written down before it is
//! done, goes on after a crash, ends by itself, and can be taken back. This crate has no power of its own
//! over devices: whoever has one offers it as an [`Effector`](palisade_core::port::Effector). Begin with
//! [`Respond`]; the guard rails are in `guard`, and the lives of cases and actions in `case` and `action`.

mod action;
mod case;
mod config;
mod effect;
mod engine;
mod error;
mod guard;
mod playbook;
mod subject;
mod switch;

pub use action::{ActionStepError, name as state_name};
pub use case::CaseStepError;
pub use config::{Caps, EmailConfig, NeverTouch, RespondConfig, WebhookConfig};
pub use effect::{DestinationError, LoweredTrust, detached as detached_effectors};
pub use engine::{ActionInfo, CaseFile, Hand, Happened, Respond, RespondParts, RespondStats};
pub use error::{DeskError, RespondError};
pub use palisade_mail::Tls as EmailTls;
pub use playbook::{
    BookError, Conditions, MAX_TEXT as MAX_PLAYBOOK, Origin, Playbook, PlaybookInfo,
    PlaybookProblem, Repeated, SHIPPED, Span, Step, SubjectKind, Trigger, check_directory,
    check_text,
};
pub use subject::parse_target;
pub use switch::Switch;
