//! People: accounts, roles, passwords, second factors and log-in sessions. Nothing here speaks HTTP or prints
//! a secret. A password is judged by one engine, [`PasswordPolicy`], whoever it is for: a person, a device,
//! other software that asks; what it costs to judge and to hash is bounded by [`Workshop`]. Of a session only
//! a hash is kept, and it is looked at anew for each request. What a role may do is a Cedar
//! text (`roles`). Begin with [`People::open`].

mod accounts;
mod attempts;
mod ceremony;
mod config;
mod error;
mod log_in;
mod name;
mod notices;
mod oidc;
mod passkey_log_in;
mod passkeys;
mod password;
mod people;
mod recovery_codes;
mod relying_party;
mod role;
mod roles;
mod second_factor;
mod secret;
mod workshop;

pub use accounts::NewAccount;
pub use config::{
    AccountsConfig, AccountsConfigError, Bond, PasskeyRules, PasswordRules, SessionRules,
};
pub use error::{OpenError, PeopleError};
pub use log_in::{
    CameFrom, LogIn, LogInError, MustFirst, NotRecognised, Opened, Recognised, SESSION_PREFIX,
    Wanted,
};
pub use name::{AccountName, NotAName};
pub use notices::{NoticeStats, check_email};
pub use oidc::{Arrived, CodeError, OidcBegun, OidcChange, OidcConfig, OidcError, OidcRefusal};
pub use passkey_log_in::PasskeyLogInError;
pub use passkeys::{Begun, Enrolled};
pub use password::{
    Blocklist, BlocklistError, Context, Failing, HashError, PasswordHash, PasswordPolicy, Rule,
    Verdict,
};
pub use people::{People, PeopleGround, policy};
pub use recovery_codes::RecoveryCodes;
pub use relying_party::OriginError;
pub use role::{NotARole, Role, RoleName};
pub use roles::{
    ActionInfo, Catalogue, Circumstances, Directory, Held, Mask, MaskError, MaskSalt, Place, Reach,
    RoleBook, RoleProblem, RoleText, RoleView, Roles, Standing, Via, WriteRoleError,
    WriteTeamError,
};
pub use second_factor::{Confirmed, Enrolment};
pub use workshop::{Workshop, WorkshopError};
