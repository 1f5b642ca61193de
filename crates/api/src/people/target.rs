//! On what a route works, for callers whose roles are bound to some devices: on one device that its path names,
//! on a list that its handler cuts to the bounds, on nothing that bounds could be about, or on the server as a
//! whole, which nobody who is bound may.

use axum::{RequestExt, extract::RawPathParams, extract::Request};
use palisade_core::DeviceId;
use palisade_people::{Mask, Place, Reach, Standing};
use palisade_store::{Bounds, Store};

use super::{access::Scope, auth::Caller};
use crate::problem::{Problem, ProblemKind};

/// What a route works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// One device, `{id}` of the path.
    Device,
    /// Devices that its handler picks by [`Within`].
    List,
    /// Nothing that bounds could be about.
    Harmless,
    /// The server as a whole.
    Server,
}

/// Paths below these are about the device that they name.
const OF_DEVICE: [&str; 2] = ["/api/v1/devices/{id}", "/api/v1/baselines/devices/{id}"];
/// Whose handler asks for [`Within`].
const LISTS: [&str; 1] = ["device.list"];
/// What products and segments there are is no secret of any of them.
const HARMLESS: [&str; 3] = ["product.list", "product.read", "segment.list"];

impl Target {
    pub(crate) fn of(action: &str, path: &str) -> Self {
        let is_below = |prefix: &&str| {
            path.strip_prefix(*prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match () {
            () if OF_DEVICE.iter().any(is_below) => Self::Device,
            () if LISTS.contains(&action) => Self::List,
            () if HARMLESS.contains(&action) => Self::Harmless,
            () => Self::Server,
        }
    }
}

/// Within which bounds a caller may see devices: any of these, or everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Within(pub(crate) Option<Vec<Bounds>>);

/// What of payloads a caller does not see as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hidden(pub(crate) Mask);

/// What was decided about a caller.
pub(crate) enum Decided {
    Go(Within, Hidden),
    /// They may not, and this is why.
    Refused(String),
    /// There is no such thing, as far as they may know.
    Unknown(String),
}

/// Decides whether a caller may do what a route does.
pub(crate) async fn decide(
    store: &Store,
    caller: &Caller,
    (action, scope, target): (&'static str, Scope, Target),
    request: &mut Request,
) -> Result<Decided, Problem> {
    let everywhere = Ok(Decided::Go(Within(None), Hidden::default()));
    let Some(person) = &caller.person else {
        return match caller.scopes.allow(scope) {
            true => everywhere,
            false => Ok(Decided::Refused(format!(
                "the token has no scope {}, to which {action} belongs",
                scope.as_str()
            ))),
        };
    };
    if let Some(first) = person.first {
        return Ok(Decided::Refused(first_of_all(first).to_owned()));
    }
    let standing = person.standing.as_ref();
    let Some(index) = standing.catalogue().index_of(action) else {
        return Ok(Decided::Refused(why_not(standing, action)));
    };
    let may_at = |place| match standing.permit(index, place) {
        Some(mask) => Decided::Go(Within(None), Hidden(mask)),
        None => Decided::Refused(why_not(standing, action)),
    };
    match (standing.reach(index), target) {
        (Reach::Everywhere, _) => everywhere,
        (Reach::Nowhere, _) => Ok(Decided::Refused(why_not(standing, action))),
        (Reach::Somewhere, Target::Harmless) => Ok(may_at(Place::Anywhere)),
        (Reach::Somewhere, Target::Server) => Ok(may_at(Place::Server)),
        (Reach::Somewhere, Target::List) => Ok(match standing.within(index) {
            Some(bounds) if bounds.is_empty() => Decided::Refused(why_not(standing, action)),
            within => Decided::Go(Within(within), Hidden::default()),
        }),
        (Reach::Somewhere, Target::Device) => {
            let id = device_of(request).await;
            let device = match &id {
                Some(id) => store.devices().find(id).await?,
                None => None,
            };
            // Whether the device is of others or of nobody, the answer is the same.
            let permitted =
                device.and_then(|device| standing.permit(index, Place::Device(&device)));
            Ok(match permitted {
                Some(mask) => Decided::Go(Within(None), Hidden(mask)),
                None => {
                    let name = id.map_or_else(|| "of that name".to_owned(), |id| id.to_string());
                    Decided::Unknown(format!("device {name}"))
                }
            })
        }
    }
}

/// Whether a caller may still do to a device what a route let them do, and then what they do not see of it.
pub(crate) async fn may_still(
    store: &Store,
    caller: &Caller,
    (action, scope): (&'static str, Scope),
    id: &DeviceId,
) -> Option<Hidden> {
    let Some(person) = &caller.person else {
        return caller.scopes.allow(scope).then(Hidden::default);
    };
    let standing = person.standing.as_ref();
    let index = match (person.first, standing.catalogue().index_of(action)) {
        (None, Some(index)) => index,
        _ => return None,
    };
    match standing.reach(index) {
        Reach::Everywhere => Some(Hidden::default()),
        Reach::Nowhere => None,
        Reach::Somewhere => {
            let device = store.devices().find(id).await.ok()??;
            standing.permit(index, Place::Device(&device)).map(Hidden)
        }
    }
}

async fn device_of(request: &mut Request) -> Option<DeviceId> {
    let parameters = request.extract_parts::<RawPathParams>().await.ok()?;
    let (_, id) = parameters.iter().find(|(name, _)| *name == "id")?;
    DeviceId::parse(id).ok()
}

fn first_of_all(first: palisade_people::MustFirst) -> &'static str {
    use palisade_people::MustFirst;
    match first {
        MustFirst::ChangePassword => {
            "change your password first: somebody else chose it (PUT /api/v1/account/password)"
        }
        MustFirst::EnrolSecondFactor => {
            "enrol a second factor first: your roles require it (POST /api/v1/account/totp or \
             /api/v1/account/passkeys/begin)"
        }
    }
}

/// Why somebody may not: which action is missing, and which roles do not allow it here.
fn why_not(standing: &Standing, action: &str) -> String {
    let roles: Vec<String> = standing
        .held()
        .take(20)
        .map(|held| match &held.bounds {
            Some(_) => format!("{} (bound to some devices)", held.role),
            None => held.role.to_string(),
        })
        .collect();
    match roles.is_empty() {
        true => format!("you have no role, and {action} asks for one that allows it"),
        false => format!(
            "none of your roles allows {action} here: {}",
            roles.join(", ")
        ),
    }
}

/// Refuses what would take a device out of the caller's bounds, or of others into them.
pub(crate) fn stays_within(
    caller: &Caller,
    action: &str,
    device: &palisade_core::Device,
) -> Result<(), Problem> {
    let Some(person) = &caller.person else {
        return Ok(());
    };
    let index = person.standing.catalogue().index_of(action);
    match index.is_some_and(|index| person.standing.may(index, Place::Device(device))) {
        true => Ok(()),
        false => Err(Problem::new(
            ProblemKind::Forbidden,
            "your roles are bound to some devices, and this would be none of them any more",
        )),
    }
}
