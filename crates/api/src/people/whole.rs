//! Whole numbers in JSON bodies. JSON has one kind of number, and its writers may say `60.0` for 60:
//! JSON Schema takes that for an integer, and so does this.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Whole<MIN, MAX> {
    /// The smallest.
    pub(crate) const LEAST: Self = Self(MIN);

    pub(crate) const fn value(self) -> u32 {
        self.0
    }

    /// A number that is known to be in bounds.
    pub(crate) const fn of(value: u32) -> Self {
        assert!(MIN <= value && value <= MAX);
        Self(value)
    }
}

impl<const MIN: u32, const MAX: u32> Default for Whole<MIN, MAX> {
    fn default() -> Self {
        Self::LEAST
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(WholeVisitor::<MIN, MAX>)
    }
}

struct WholeVisitor<const MIN: u32, const MAX: u32>;

impl<const MIN: u32, const MAX: u32> Visitor<'_> for WholeVisitor<MIN, MAX> {
    type Value = Whole<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        match u32::try_from(value) {
            Ok(value) if (MIN..=MAX).contains(&value) => Ok(Whole(value)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        let is_whole = value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value);
        match is_whole {
            true => self.visit_u64(value as u64),
            false => Err(E::invalid_value(Unexpected::Float(value), &self)),
        }
    }
}

impl<const MIN: u32, const MAX: u32> PartialSchema for Whole<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(MIN))
            .maximum(Some(MAX))
            .into()
    }
}

impl<const MIN: u32, const MAX: u32> ToSchema for Whole<MIN, MAX> {
    fn name() -> Cow<'static, str> {
        format!("Whole{MIN}To{MAX}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_however_they_are_written_and_others_are_not() {
        let read = |text: &str| serde_json::from_str::<Whole<1, 60>>(text).ok();
        for good in ["60", "60.0", "6e1"] {
            assert_eq!(read(good).map(Whole::value), Some(60), "{good}");
        }
        for bad in [
            "0", "61", "-1", "1.5", "1e400", "\"1\"", "null", "true", "-0.5",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
