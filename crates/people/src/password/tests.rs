use super::*;

fn judge(candidate: &str) -> Verdict {
    PasswordPolicy::default().judge(candidate, &Context::default())
}

fn of(own: &[&str]) -> Context {
    Context {
        own: own.iter().map(|&word| word.to_owned()).collect(),
        ..Context::default()
    }
}

#[test]
fn a_good_password_and_a_passphrase_pass() {
    for good in [
        "vK9#tanzbar-Loewe",
        "correct umbrella seven giraffe",
        "zwölf grüne Bücher im Regal",
    ] {
        let verdict = judge(good);
        assert!(verdict.acceptable, "{good}: {verdict:?}");
        assert!(verdict.strength >= 3);
    }
}

#[test]
fn what_everybody_knows_never_passes_however_it_is_dressed() {
    for bad in [
        "123456",
        "password",
        "Password",
        "P@ssw0rd",
        "qwerty",
        "palisade",
        "Palisade2026!",
        "P4lis4de-Server-77",
        "my palisade is my castle in the hills",
        "Admin-123456789!",
        "adminadminadmin1!A",
        "R00t-P@ssword-2026",
        "7ujMko0admin",
    ] {
        let verdict = judge(bad);
        assert!(!verdict.acceptable, "{bad}");
        assert!(!verdict.failing.iter().any(|one| one.mend.contains(bad)));
    }
    for known in [
        "password",
        "P@ssw0rd",
        "Palisade2026!",
        "R00t-P@ssword-2026",
    ] {
        assert!(judge(known).fails(Rule::Common), "{known}");
    }
}

#[test]
fn a_second_factor_allows_a_shorter_password_but_not_a_weaker_one() {
    let beside = Context {
        second_factor: true,
        ..Context::default()
    };
    let policy = PasswordPolicy::default();
    assert!(policy.judge("vK9#tanzbarL", &beside).acceptable);
    assert!(
        policy
            .judge("vK9#tanzbarL", &Context::default())
            .fails(Rule::Length)
    );
    assert!(policy.judge("vK9#tan", &beside).fails(Rule::Length));
    assert!(policy.judge("Sommer2026!", &beside).fails(Rule::Common));
}

#[test]
fn classes_count_except_in_a_passphrase() {
    let verdict = judge("tanzbarloewekiste");
    assert!(verdict.fails(Rule::Classes), "{verdict:?}");
    assert!(!judge("tanzbar loewe kiste fenster").fails(Rule::Classes));
    let rules = PasswordRules {
        classes: 0,
        ..PasswordRules::default()
    };
    let verdict = PasswordPolicy::new(rules, None).judge("tanzbarloewekiste", &Context::default());
    assert!(!verdict.fails(Rule::Classes));
}

#[test]
fn the_account_s_own_data_is_found_in_every_spelling() {
    let policy = PasswordPolicy::default();
    let anna = of(&["anna.schmidt@example.org", "cam-0001"]);
    for bad in [
        "Schmidt-vK9#tanzbar",
        "tanzbar#9Sch-5CHM1DT-x",
        "EXAMPLE vK9#tanz",
    ] {
        let verdict = policy.judge(bad, &anna);
        assert!(verdict.fails(Rule::OwnData), "{bad}: {verdict:?}");
    }
    assert!(
        !policy
            .judge("vK9#tanzbar-Loewe", &anna)
            .fails(Rule::OwnData)
    );
}

#[test]
fn a_password_does_not_come_back() {
    let hash = |text: &str| PasswordHash::of(text).expect("hashes");
    let context = Context {
        previous: vec![hash("vK9#tanzbar-Loewe"), hash("another one 1A zebra")],
        ..Context::default()
    };
    let policy = PasswordPolicy::default();
    let verdict = policy.judge("another one 1A zebra", &context);
    assert!(verdict.fails(Rule::Reused), "{verdict:?}");
    assert!(
        !policy
            .judge("another one 2B zebra", &context)
            .fails(Rule::Reused)
    );
}

#[test]
fn a_list_that_was_imported_is_heeded() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("list");
    std::fs::write(&path, "vk9#tanzbar-loewe\n").expect("writes");
    let list = Blocklist::read(&path).expect("reads");
    let policy = PasswordPolicy::new(PasswordRules::default(), Some(list));
    let verdict = policy.judge("vK9#tanzbar-Loewe", &Context::default());
    assert!(verdict.fails(Rule::Blocklist), "{verdict:?}");
}

#[test]
fn whatever_comes_is_judged_and_nothing_too_long_is_worked_on() {
    let long = "a".repeat(MAX_BYTES + 1);
    assert!(judge(&long).fails(Rule::TooLong));
    for odd in [
        "",
        "\0",
        "\u{fdfa}\u{fdfa}\u{fdfa}",
        &"1aA!".repeat(64),
        &"é".repeat(128),
    ] {
        let _ = judge(odd);
    }
    let many: Vec<String> = (0..1000).map(|i| format!("word{i}").repeat(1000)).collect();
    let context = Context {
        own: many,
        ..Context::default()
    };
    let _ = PasswordPolicy::default().judge("vK9#tanzbar-Loewe", &context);
}
