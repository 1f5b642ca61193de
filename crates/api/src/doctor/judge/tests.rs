use super::{super::Level, *};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn certificate_of(name: &str) -> CaCertificate {
    CaCertificate {
        name: name.into(),
        not_before: at(1_000_000_000),
        not_after: at(2_000_000_000),
    }
}

#[test]
fn a_certificate_of_the_authority_is_judged_by_the_time_that_is_left() {
    for (now, level) in [
        (999_999_999, Level::Fail),
        (1_500_000_000, Level::Ok),
        (1_999_000_000, Level::Warn),
        (2_000_000_001, Level::Fail),
    ] {
        let found = authority(&[certificate_of("root")], at(now));
        assert_eq!(found[0].level, level, "{now}");
    }
}

#[test]
fn a_certificate_of_the_doors_warns_when_its_renewal_is_late() {
    for (now, level) in [
        (1_700_000_000, Level::Ok),
        (1_760_000_000, Level::Warn),
        (2_000_000_000, Level::Fail),
    ] {
        let found = door_certificate(&certificate_of("doors"), at(now));
        assert_eq!(found.level, level, "{now}");
    }
}

#[test]
fn a_revocation_list_that_ends_fails_before_anybody_is_refused_for_it() {
    let now = at(1_000_000_000);
    let level = |until| crl(until, now).level;
    assert_eq!(level(None), Level::Fail);
    assert_eq!(level(Some(now)), Level::Fail);
    assert_eq!(level(Some(at(1_000_001_000))), Level::Warn);
    assert_eq!(level(Some(at(1_000_100_000))), Level::Ok);
}

#[test]
fn a_clock_that_stands_before_the_ledger_fails() {
    assert_eq!(clock(None, at(5)).level, Level::Ok);
    assert_eq!(clock(Some(at(5)), at(5)).level, Level::Ok);
    assert_eq!(clock(Some(at(6)), at(5)).level, Level::Fail);
}

#[test]
fn a_disk_warns_before_it_fails() {
    for (free, level) in [
        (MIB, Level::Fail),
        (64 * MIB, Level::Warn),
        (1024 * MIB, Level::Ok),
    ] {
        assert_eq!(disk(free).level, level);
    }
    assert_eq!(room(Path::new("/nowhere")), None);
}

#[test]
fn a_ledger_that_lost_entries_fails() {
    assert_eq!(ledger(7, 7).level, Level::Ok);
    assert_eq!(ledger(7, 9).level, Level::Ok);
    assert_eq!(ledger(7, 6).level, Level::Fail);
}

#[test]
fn detection_that_is_behind_or_skipped_something_warns() {
    let level = |backlog, shed_events| {
        let stats = DetectStats {
            events: 0,
            alarms: 0,
            findings: 0,
            suppressed: 0,
            shed_events,
            shed_findings: 0,
            backlog,
        };
        detection(&stats).level
    };
    assert_eq!(level(0, 0), Level::Ok);
    assert_eq!(level(BACKLOG + 1, 0), Level::Warn);
    assert_eq!(level(0, 1), Level::Warn);
}

#[test]
fn doors_without_a_lock_are_named() {
    let (inside, outside) = (
        SocketAddr::from(([127, 0, 0, 1], 9464)),
        SocketAddr::from(([0, 0, 0, 0], 9464)),
    );
    assert_eq!(dangers(None, &[inside]), []);
    let found = dangers(Some(inside), &[inside, outside]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found
            .iter()
            .all(|one| one.level == Level::Warn && one.mend.is_some())
    );
    assert!(found[1].detail.contains("0.0.0.0:9464"), "{found:?}");
}
