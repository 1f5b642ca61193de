//! What a store says of the versions of an object (`ListObjectVersions`).

use serde::Deserialize;

/// A version of an object, or a mark that one was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Version {
    pub(crate) key: String,
    pub(crate) version_id: String,
}

/// A part of the list.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Versions {
    #[serde(rename = "Version")]
    versions: Vec<Version>,
    #[serde(rename = "DeleteMarker")]
    markers: Vec<Version>,
    is_truncated: bool,
}

impl Versions {
    /// Reads a list; `None` where it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        // Anything that is well formed would be an empty list.
        let is_list = text.contains("<ListVersionsResult");
        is_list.then(|| quick_xml::de::from_str(text).ok())?
    }

    /// What there is of an object of this name, and of no other that begins with it.
    pub(crate) fn of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Version> {
        let all = self.versions.iter().chain(&self.markers);
        all.filter(move |version| version.key == key)
    }

    /// Whether there is more than stands here.
    pub(crate) fn is_part(&self) -> bool {
        self.is_truncated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>a/1</Prefix>
<IsTruncated>false</IsTruncated>
<Version><Key>a/1</Key><VersionId>v2</VersionId><IsLatest>false</IsLatest><Size>5</Size></Version>
<DeleteMarker><Key>a/1</Key><VersionId>v3</VersionId><IsLatest>true</IsLatest></DeleteMarker>
<Version><Key>a/1</Key><VersionId>null</VersionId></Version>
<Version><Key>a/10</Key><VersionId>v9</VersionId></Version>
</ListVersionsResult>"#;

    #[test]
    fn every_version_and_mark_of_one_object_is_found() {
        let list = Versions::parse(LIST.as_bytes()).expect("a list");
        let mut found: Vec<&str> = list.of("a/1").map(|one| one.version_id.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ["null", "v2", "v3"]);
        assert!(!list.is_part());
        assert!(
            Versions::parse(LIST.replace("false</IsT", "true</IsT").as_bytes())
                .expect("a list")
                .is_part()
        );
    }

    #[test]
    fn what_is_no_list_is_not_taken_for_an_empty_one() {
        for bad in [
            "",
            "<Error><Code>x</Code></Error>",
            "<html></html>",
            "<ListVersionsResult><Version>",
        ] {
            assert_eq!(Versions::parse(bad.as_bytes()), None, "{bad}");
        }
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..5_000 {
            let mut bytes = LIST.as_bytes().to_vec();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (seed >> 33) as usize % bytes.len();
                bytes[at] = seed as u8;
            }
            let _ = Versions::parse(&bytes);
        }
    }
}
