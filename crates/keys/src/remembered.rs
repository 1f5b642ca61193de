//! A root key that may be far away is asked once.

use std::{collections::VecDeque, fmt, sync::Arc};

use parking_lot::Mutex;

use crate::{KeyWrap, Secret, WrapError};

/// How many keys are remembered.
const KEPT: usize = 64;

/// Remembers what it opened and wrapped last, so that what is open stays so while the root key is away.
pub struct Remembered {
    root: Arc<dyn KeyWrap>,
    /// The newest last.
    known: Mutex<VecDeque<Known>>,
}

/// A key that is remembered.
struct Known {
    wrapped: Vec<u8>,
    context: Vec<u8>,
    key: Secret,
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remembered({:?})", self.root)
    }
}

impl Remembered {
    /// Remembers what this one opens and wraps.
    #[must_use]
    pub fn new(root: Arc<dyn KeyWrap>) -> Self {
        Self {
            root,
            known: Mutex::default(),
        }
    }

    fn put(&self, wrapped: &[u8], context: &[u8], key: &Secret) {
        let mut known = self.known.lock();
        if known.len() >= KEPT {
            known.pop_front();
        }
        known.push_back(Known {
            wrapped: wrapped.to_vec(),
            context: context.to_vec(),
            key: key.clone(),
        });
    }
}

impl KeyWrap for Remembered {
    fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        let wrapped = self.root.wrap(key, context)?;
        self.put(&wrapped, context, key);
        Ok(wrapped)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError> {
        {
            let known = self.known.lock();
            let is_it = |one: &&Known| one.wrapped == wrapped && one.context == context;
            if let Some(found) = known.iter().find(is_it) {
                return Ok(found.key.clone());
            }
        }
        let key = self.root.unwrap(wrapped, context)?;
        self.put(wrapped, context, &key);
        Ok(key)
    }

    fn check(&self) -> Result<(), WrapError> {
        self.root.check()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::{WrappingKey, random_key};

    #[derive(Debug)]
    struct Far(WrappingKey, AtomicBool);

    impl KeyWrap for Far {
        fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
            self.0.wrap(key, context)
        }

        fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError> {
            match self.1.load(Ordering::Relaxed) {
                true => Err(WrapError::Missing("away".to_owned())),
                false => self.0.unwrap(wrapped, context),
            }
        }
    }

    #[test]
    fn what_was_opened_stays_open_in_its_context_alone_and_a_bounded_number_does() {
        let root = WrappingKey::new(random_key(32).expect("a key")).expect("a key");
        let far = Arc::new(Far(root, AtomicBool::new(false)));
        let remembered = Remembered::new(far.clone());
        let key = random_key(32).expect("a key");
        let wrapped = remembered.wrap(&key, b"a").expect("wraps");
        far.1.store(true, Ordering::Relaxed);
        let opened = remembered.unwrap(&wrapped, b"a").expect("remembered");
        assert_eq!(opened.expose(), key.expose());
        assert!(remembered.unwrap(&wrapped, b"b").is_err());
        assert!(remembered.unwrap(&wrapped[1..], b"a").is_err());
        for _ in 0..KEPT {
            remembered.wrap(&key, b"a").expect("wraps");
        }
        assert!(remembered.unwrap(&wrapped, b"a").is_err(), "forgotten");
    }
}
