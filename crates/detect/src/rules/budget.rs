//! Whether a YAML document is small enough to be read: its values are counted as they come, aliases
//! followed, before anything is built of them.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

/// The most values and names in a document, each alias counted as often as it is used.
pub(crate) const MAX_VALUES: usize = 20_000;
/// How deep they may lie in each other.
pub(crate) const MAX_DEPTH: usize = 24;
/// The most brackets and braces that are open at one place of a text, those in strings included.
const MAX_OPEN: usize = 1_000;
/// The longest text in a document, in bytes.
pub(crate) const MAX_TEXT: usize = 64 * 1024;

/// Counts what a document has.
///
/// # Errors
/// When it is no YAML, or too large.
pub(crate) fn check(document: yaml_serde::Deserializer<'_>) -> Result<(), yaml_serde::Error> {
    let mut left = MAX_VALUES;
    let count = Count {
        left: &mut left,
        depth: 0,
    };
    count.deserialize(document)
}

struct Count<'a> {
    left: &'a mut usize,
    depth: usize,
}

impl Count<'_> {
    fn take<E: Error>(&mut self) -> Result<(), E> {
        if self.depth > MAX_DEPTH {
            return Err(E::custom(format_args!(
                "it is more than {MAX_DEPTH} levels deep"
            )));
        }
        *self.left = self.left.checked_sub(1).ok_or_else(|| {
            E::custom(format_args!(
                "it has more than {MAX_VALUES} values (an alias counts as what it stands for)"
            ))
        })?;
        Ok(())
    }

    fn deeper(&mut self) -> Count<'_> {
        Count {
            left: self.left,
            depth: self.depth + 1,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(mut self, _: bool) -> Result<(), E> {
        self.take()
    }

    fn visit_i64<E: Error>(mut self, _: i64) -> Result<(), E> {
        self.take()
    }

    fn visit_u64<E: Error>(mut self, _: u64) -> Result<(), E> {
        self.take()
    }

    fn visit_f64<E: Error>(mut self, _: f64) -> Result<(), E> {
        self.take()
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        if text.len() > MAX_TEXT {
            return Err(E::custom(format_args!(
                "a text has {} bytes, at most {MAX_TEXT} are read",
                text.len()
            )));
        }
        self.take()
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.take()
    }

    fn visit_none<E: Error>(mut self) -> Result<(), E> {
        self.take()
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut values: A) -> Result<(), A::Error> {
        self.take()?;
        while values.next_element_seed(self.deeper())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut values: A) -> Result<(), A::Error> {
        self.take()?;
        while values.next_key_seed(self.deeper())?.is_some() {
            values.next_value_seed(self.deeper())?;
        }
        Ok(())
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        // A tag of YAML (`!include`): nothing in a rule needs one.
        Err(A::Error::custom("tags (`!name`) are not read"))
    }
}
/// The line at which too many brackets and braces are open to be read: the reader takes as long as a text is
/// long times how deep it is.
pub(crate) fn too_deep_at(text: &str) -> Option<u32> {
    let (mut open, mut line) = (0_usize, 1);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            b'\n' => line += 1,
            _ => {}
        }
        if open > MAX_OPEN {
            return Some(line);
        }
    }
    None
}
