//! What the memory of this process must not become: a core dump with keys in it, or pages in swap. Whoever can read the
//! memory of the running process is beyond this.

use palisade_api::doctor::Memory;
use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
};

use crate::config::{LockMemory, MemorySection};

/// Guards the memory as the configuration says, and says what came of it.
///
/// # Errors
/// When it is to be locked always, and the system does not allow it: the text says what to do.
pub(crate) fn guard(config: &MemorySection) -> Result<Memory, String> {
    let dumps = config.core_dumps || !forbid_dumps();
    let locked = match config.lock {
        LockMemory::Never => Err("the configuration says so (memory.lock)".to_owned()),
        LockMemory::Auto if !is_unlimited() => Err(
            "the system limits how much may be locked (LimitMEMLOCK=infinity in the unit lifts it)"
                .to_owned(),
        ),
        LockMemory::Auto | LockMemory::Always => lock(),
    };
    match (&locked, config.lock) {
        (Err(why), LockMemory::Always) => Err(format!(
            "memory.lock is \"always\", and the memory cannot be locked: {why}; allow it (LimitMEMLOCK=infinity in \
             the unit, ulimit -l unlimited), or set it to \"auto\""
        )),
        _ => Ok(Memory {
            core_dumps: dumps,
            unlocked: locked.err(),
        }),
    }
}

/// No core dump, and no tracing by others of the same user.
fn forbid_dumps() -> bool {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Each is enough by itself against a dump into a file; a pipe of the system ignores the limit and heeds the other.
    let by_limit = setrlimit(Resource::Core, none);
    let by_process = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = by_limit {
        tracing::debug!(%error, "the limit of core dumps could not be set");
    }
    if let Err(error) = &by_process {
        tracing::warn!(%error, "core dumps could not be forbidden");
    }
    by_process.is_ok()
}

/// Whether locking cannot fail later, in the middle of some work, for want of allowance.
fn is_unlimited() -> bool {
    let limit = getrlimit(Resource::Memlock);
    limit.current.is_none() && limit.maximum.is_none()
}

/// Locks what is touched, now and from now on: not what is only reserved.
fn lock() -> Result<(), String> {
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(all).map_err(|error| error.to_string())
}
