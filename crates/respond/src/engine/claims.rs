//! Who is at which action: no action is done by two tasks at once.

use std::{collections::HashSet, sync::Arc};

use palisade_core::ActionId;
use parking_lot::Mutex;

/// The actions that somebody is at.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Arc<Mutex<HashSet<ActionId>>>);

/// An action that nobody else does while this lives.
#[derive(Debug)]
pub(super) struct Claim {
    of: Claims,
    id: ActionId,
}

impl Claims {
    /// Takes an action, unless somebody is at it.
    pub(super) fn claim(&self, id: ActionId) -> Option<Claim> {
        let is_new = self.0.lock().insert(id);
        // A claim that is made only to be let go would give up that of whoever is at it.
        is_new.then(|| Claim {
            of: self.clone(),
            id,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.of.0.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_taken_once_however_often_it_is_asked_for() {
        let (claims, id) = (Claims::default(), ActionId::generate());
        let first = claims.claim(id);
        assert!(first.is_some());
        for _ in 0..3 {
            assert!(claims.claim(id).is_none());
        }
        drop(first);
        assert!(claims.claim(id).is_some());
    }
}
