//! The rules that are part of Palisade, as they lie in `rules/`.

use super::{Origin, RuleFile};

macro_rules! shipped {
    ($($stem:literal,)*) => {
        [$((
            concat!($stem, ".yaml"),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules/", $stem, ".yaml")),
        ),)*]
    };
}

/// Each by its name. A test holds the list to what lies in the folder.
const SHIPPED: &[(&str, &str)] = &shipped!["mqtt-topic-scan",];

/// The files of rules that are part of Palisade.
#[must_use]
pub fn shipped() -> Vec<RuleFile> {
    SHIPPED
        .iter()
        .map(|(name, text)| RuleFile::new(*name, Origin::Shipped, *text))
        .collect()
}
