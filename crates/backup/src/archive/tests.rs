use proptest::prelude::*;

use super::*;

const FILES: [(&str, &[u8]); 3] = [
    ("palisade.db", &[7; 3_000]),
    ("empty", b""),
    ("vault/log/1.log", b"a message"),
];

fn about() -> About {
    About {
        made_at: "2030-01-01T00:00:00Z".to_owned(),
        version: "1.2.3".to_owned(),
        schema: 7,
        ledger_entries: 42,
        left_out: vec!["key-encryption.key".to_owned()],
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn backup(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, content) in files {
        writer
            .add(&name(path), content.len() as u64, *content, &mut |_| {})
            .expect("added");
    }
    writer.finish(about()).expect("finished").0
}

fn read_all(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
    let mut found = Vec::new();
    read(bytes, |name, content| {
        let mut all = Vec::new();
        content.read_to_end(&mut all)?;
        found.push((name.to_string(), all));
        Ok(())
    })
    .map(|_| found)
}

/// A plain tar of these entries, as another program may make it.
fn foreign(entries: &[(&[u8], EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = plain(content.len() as u64);
        header.set_entry_type(*kind);
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_cksum();
        builder.append(&header, *content).expect("added");
    }
    builder.into_inner().expect("finished")
}

#[test]
fn what_was_written_is_read() {
    let found = read_all(&backup(&FILES)).expect("whole");
    let wanted: Vec<_> = FILES
        .iter()
        .map(|(path, content)| ((*path).to_owned(), content.to_vec()))
        .collect();
    assert_eq!(found, wanted);
    let manifest = read(&backup(&FILES)[..], |_, _| Ok(())).expect("whole");
    assert_eq!((manifest.bytes(), manifest.about), (3_009, about()));
}

#[test]
fn a_file_that_grows_is_taken_as_it_was_and_one_that_shrinks_is_an_error() {
    let mut writer = Writer::new(Vec::new());
    let mut add = |bytes| writer.add(&name("log"), bytes, &b"four and more"[..], &mut |_| {});
    add(4).expect("added");
    assert!(matches!(add(99), Err(WriteError::Read { .. })));
}

#[test]
fn long_names_fit_and_longer_ones_are_refused() {
    let deep = format!("{}/{}", "a".repeat(150), "b".repeat(100));
    read_all(&backup(&[(&deep, b"x")])).expect("whole");
    let mut writer = Writer::new(Vec::new());
    let flat = name(&"a".repeat(200));
    let refused = writer.add(&flat, 1, &b"x"[..], &mut |_| {});
    assert!(matches!(refused, Err(WriteError::Long(_))));
}

#[test]
fn what_no_backup_holds_is_refused() {
    let of_one = |path: &[u8], kind| read_all(&foreign(&[(path, kind, b"x")]));
    for path in [&b"../x"[..], b"/etc/passwd", b"a/../b", b""] {
        assert!(matches!(
            of_one(path, EntryType::Regular),
            Err(ReadError::Name(_))
        ));
    }
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::GNULongName,
        EntryType::XHeader,
        EntryType::GNUSparse,
    ] {
        assert!(
            matches!(of_one(b"x", kind), Err(ReadError::Kind(_))),
            "{kind:?}"
        );
    }
    let file = (&b"x"[..], EntryType::Regular, &b"x"[..]);
    assert!(matches!(
        read_all(&foreign(&[file, file])),
        Err(ReadError::Twice(_))
    ));
    assert!(matches!(
        read_all(&foreign(&[file])),
        Err(ReadError::NoManifest)
    ));
    assert!(matches!(read_all(b""), Err(ReadError::NoManifest)));
    let other = (
        &b"MANIFEST.json"[..],
        EntryType::Regular,
        &br#"{"format":"other/1"}"#[..],
    );
    assert!(matches!(
        read_all(&foreign(&[other])),
        Err(ReadError::Format(_))
    ));
}

#[test]
fn a_file_more_less_or_elsewhere_is_found() {
    let manifest = |files: &[(&str, &[u8])]| {
        let mut text = Vec::new();
        let whole = backup(files);
        let mut archive = Archive::new(&whole[..]);
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            text.clear();
            entry.read_to_end(&mut text).expect("read");
        }
        text
    };
    let text = manifest(&[("a", b"1"), ("b", b"2")]);
    let entry = |path: &'static [u8], content: &'static [u8]| (path, EntryType::Regular, content);
    let last = (&b"MANIFEST.json"[..], EntryType::Regular, &text[..]);
    let read = |entries: &[(&[u8], EntryType, &[u8])]| {
        read_all(&foreign(entries)).map_err(|error| error.to_string())
    };
    assert!(read(&[entry(b"a", b"1"), entry(b"b", b"2"), last]).is_ok());
    for (entries, words) in [
        (
            &[entry(b"a", b"1"), last][..],
            "b is not what was backed up: it is missing",
        ),
        (
            &[entry(b"a", b"1"), entry(b"b", b"2"), entry(b"c", b""), last],
            "c is not what was backed up: the manifest",
        ),
        (
            &[entry(b"b", b"2"), entry(b"a", b"1"), last],
            "another file",
        ),
        (&[entry(b"a", b"0"), entry(b"b", b"2"), last], "checksum"),
        (&[entry(b"a", b"11"), entry(b"b", b"2"), last], "length"),
        (
            &[entry(b"a", b"1"), entry(b"b", b"2"), last, entry(b"c", b"")],
            "no plain file",
        ),
    ] {
        let error = read(entries).expect_err("found");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_sealed_backup_opens_for_its_recipient_alone() {
    let (key, other) = (
        age::x25519::Identity::generate(),
        age::x25519::Identity::generate(),
    );
    let secret = |key: &age::x25519::Identity| {
        use age::secrecy::ExposeSecret;
        crate::Identities::parse(&format!("# a key\n{}\n", key.to_string().expose_secret()))
            .expect("parses")
    };
    let mut sealed = crate::seal(&key.to_public().to_string(), Vec::new()).expect("begins");
    sealed.write_all(&backup(&FILES)).expect("written");
    let sealed = sealed.finish().expect("finished");
    assert!(crate::is_sealed(&sealed) && !crate::is_sealed(&backup(&FILES)));
    let opened = crate::open(&sealed[..], &secret(&key)).expect("opens");
    read(opened, |_, _| Ok(())).expect("whole");
    assert!(crate::open(&sealed[..], &secret(&other)).is_err());
    let cut = crate::open(&sealed[..sealed.len() - 1], &secret(&key)).expect("begins");
    assert!(read(cut, |_, _| Ok(())).is_err());
    assert!(crate::Identities::parse("age1xyz").is_err());
}

proptest! {
    #[test]
    fn no_damage_is_read_as_a_whole_backup(at in 0_usize..6_000, bit in 0_u8..8, cut in 0_usize..6_000) {
        let whole = backup(&FILES);
        let content: usize = whole.len() - 2 * 512;
        // Behind the manifest stand two empty blocks, which say nothing.
        let cut = cut % content;
        prop_assert!(read_all(&whole[..cut]).is_err(), "cut at {cut}");
        let mut damaged = whole.clone();
        let at = at % content;
        damaged[at] ^= 1 << bit;
        let sound = read_all(&whole).expect("whole");
        // A changed bit that nobody reads (who owns the file, when it was made, padding) changes nothing.
        if let Ok(found) = read_all(&damaged) {
            prop_assert_eq!(found, sound);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_048)) {
        let _ = read_all(&bytes);
    }
}
