//! Mail: hands plain text to a relay over SMTP (RFC 5321), over TLS or, to this machine alone, without. One letter is
//! one connection, bounded in time as a whole. Nothing that is written can add a field to a header or a line to the
//! protocol, what a server answers is never repeated, and no secret is printed. Begin with [`Relay::open`].

mod address;
mod config;
mod relay;

pub use address::{Address, NotAnAddress, one_line};
pub use config::{SmtpConfig, Tls};
pub use relay::{Letter, Relay, RelayError, SendError};
