use std::os::unix::fs::PermissionsExt;

use super::*;

fn config() -> Config {
    let mut config = Config::default();
    for listen in [
        &mut config.gateway.listen,
        &mut config.devices.listen,
        &mut config.people.listen,
        &mut config.operators.listen,
    ] {
        *listen = vec![([127, 0, 0, 1], 0).into()];
    }
    config
}

fn house() -> (tempfile::TempDir, DataDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let data = DataDir::create(&directory.path().join("data")).expect("makes");
    (directory, data)
}

async fn prepared(config: &Config) -> (tempfile::TempDir, DataDir) {
    let (directory, data) = house();
    serve::prepare(config, &data).await.expect("prepares");
    (directory, data)
}

fn level(findings: &[Finding], check: &str) -> Level {
    let of_check = findings.iter().filter(|finding| finding.check == check);
    let worst = of_check.map(|finding| finding.level).max();
    worst.unwrap_or_else(|| panic!("{check} was not looked at: {findings:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_that_was_just_made_is_well() {
    let config = config();
    let (_directory, data) = prepared(&config).await;
    let findings = examine(&config, &data).await;
    for finding in &findings {
        assert!(
            finding.level == Level::Ok || finding.check == "server",
            "{finding:?}"
        );
    }
    assert_eq!(level(&findings, "certification authority"), Level::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_there_or_open_to_others_fails() {
    let config = config();
    let (_directory, data) = house();
    let missing = DataDir::at(&data.path().join("nowhere"));
    assert_eq!(
        level(&examine(&config, &missing).await, "data directory"),
        Level::Fail
    );
    std::fs::set_permissions(data.path(), PermissionsExt::from_mode(0o755)).expect("changes");
    assert_eq!(
        level(&examine(&config, &data).await, "data directory"),
        Level::Fail
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_lost_fails() {
    let config = config();
    let (_directory, data) = prepared(&config).await;
    std::fs::remove_file(data.key_file()).expect("removes");
    assert_eq!(
        level(&examine(&config, &data).await, "key-encryption key"),
        Level::Fail
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_fails() {
    let config = config();
    let (_directory, data) = prepared(&config).await;
    let mut bytes = std::fs::read(data.database()).expect("reads");
    let middle = bytes.len() / 2;
    bytes[4096..middle.max(8192)].fill(0xa5);
    std::fs::write(data.database(), bytes).expect("writes");
    assert_eq!(
        level(&examine(&config, &data).await, "database"),
        Level::Fail
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_another_program_has_fails() {
    let mut config = config();
    let (_directory, data) = prepared(&config).await;
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    config.people.listen = vec![other.local_addr().expect("an address")];
    let findings = examine(&config, &data).await;
    assert_eq!(level(&findings, "door for people"), Level::Fail);
    let mends = findings.iter().filter_map(|finding| finding.mend.as_ref());
    let mut keys = mends.filter(|mend| mend.contains("--set people.listen=IP:PORT"));
    assert!(keys.next().is_some(), "{findings:?}");
    assert_eq!(level(&findings, "door for devices"), Level::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_rule_or_playbook_fails_with_its_line() {
    let mut config = config();
    let (_directory, data) = prepared(&config).await;
    let (rules, playbooks) = (data.path().join("rules"), data.path().join("playbooks"));
    for folder in [&rules, &playbooks] {
        std::fs::create_dir(folder).expect("makes");
    }
    let findings = examine(&config, &data).await;
    assert_eq!(level(&findings, "rules"), Level::Warn);
    assert_eq!(level(&findings, "playbooks"), Level::Warn);
    config.detect.rules_dir = Some("rules".into());
    config.respond.playbooks_dir = Some("playbooks".into());
    let findings = examine(&config, &data).await;
    assert_eq!(level(&findings, "rules"), Level::Ok);
    assert_eq!(level(&findings, "playbooks"), Level::Ok);
    std::fs::write(rules.join("own.yaml"), "title: own\ndetection: {\n").expect("writes");
    std::fs::write(playbooks.join("own.yaml"), "name: own\nnmae: own\n").expect("writes");
    let findings = examine(&config, &data).await;
    for check in ["rules", "playbooks"] {
        let mut bad = findings.iter().filter(|one| one.check == check);
        let bad = bad.next().expect("was looked at");
        assert_eq!(bad.level, Level::Fail);
        assert!(
            bad.detail.contains(&format!("{check}/own.yaml:")),
            "{bad:?}"
        );
        let mend = bad.mend.as_deref().unwrap_or_default();
        assert!(mend.contains(" check "), "{bad:?}");
    }
}
