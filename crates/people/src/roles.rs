//! What roles may do. A role is a small Cedar text over the actions of the REST door; an assignment of it to
//! somebody may be bound to some devices and to a time. A role says only what it allows itself: what an
//! account may do is what any of its assignments allows. Nothing is allowed that no role permits.

mod book;
mod catalogue;
mod compiled;
mod directory;
mod mask;
mod standing;
mod teams;
mod text;

pub(crate) use book::read_files;
pub use book::{RoleBook, RoleView, Roles, WriteRoleError};
pub use catalogue::{ActionInfo, Catalogue};
pub use compiled::Circumstances;
pub(crate) use directory::Newest;
pub use directory::{Directory, Held, Via};
pub use mask::{Mask, MaskError, MaskSalt};
pub use standing::{Place, Reach, Standing};
pub use teams::WriteTeamError;
pub use text::{RoleProblem, RoleText};
