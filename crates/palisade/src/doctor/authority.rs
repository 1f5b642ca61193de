//! Whether the CA's own certificates are valid, and for how long.

use palisade_core::{Clock, SystemClock, Timestamp};
use palisade_identity::{CaCertificate, Identity};
use palisade_store::Store;

use super::Finding;

const CHECK: &str = "certification authority";
/// A certificate that ends within so many hours wants attention.
const SOON_HOURS: i64 = 30 * 24;

/// Looks at root and issuer.
pub(super) async fn examine(store: &Store) -> Vec<Finding> {
    let now = SystemClock.now();
    match Identity::inspect(store).await {
        Err(error) => vec![Finding::fail(
            CHECK,
            error.to_string(),
            "restore the data directory from a backup",
        )],
        Ok(found) if found.is_empty() => vec![Finding::warn(
            CHECK,
            "there is none yet",
            "the first start of `palisade serve`, or `palisade init`, makes it",
        )],
        Ok(found) => found.iter().map(|one| judge(one, now)).collect(),
    }
}

fn judge(certificate: &CaCertificate, now: Timestamp) -> Finding {
    let CaCertificate {
        name,
        not_before,
        not_after,
    } = certificate;
    let left = not_after.duration_since(now).as_hours();
    if now < *not_before {
        return Finding::fail(
            CHECK,
            format!("the {name} is valid from {not_before}; the clock says {now}"),
            "set the clock",
        );
    }
    let mend = match name.as_str() {
        "root" => "devices and clients need a new root: plan the change before it ends",
        _ => {
            "start the server, or run `palisade ca renew-issuer`; import the root key first if it is offline"
        }
    };
    match left {
        ..=0 => Finding::fail(CHECK, format!("the {name} ended on {not_after}"), mend),
        1..SOON_HOURS => Finding::warn(CHECK, format!("the {name} ends on {not_after}"), mend),
        _ => Finding::ok(CHECK, format!("the {name} is valid until {not_after}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    #[test]
    fn a_certificate_is_judged_by_the_time_that_is_left() {
        let second = |at: i64| Timestamp::from_second(at).expect("a time");
        let certificate = CaCertificate {
            name: "root".into(),
            not_before: second(1_000_000_000),
            not_after: second(2_000_000_000),
        };
        for (now, level) in [
            (999_999_999, Level::Fail),
            (1_500_000_000, Level::Ok),
            (1_999_000_000, Level::Warn),
            (2_000_000_001, Level::Fail),
        ] {
            assert_eq!(judge(&certificate, second(now)).level, level, "{now}");
        }
    }
}
