use proptest::prelude::*;

use super::*;

fn reader() -> ReaderKey {
    ReaderKey::generate().expect("a key")
}

fn open(bytes: &[u8], key: &ReaderKey, topic: &str) -> Result<Vec<u8>, OpenError> {
    let envelope = Envelope::parse(bytes).expect("an envelope");
    envelope.open(key, topic).map(|message| message.to_vec())
}

#[test]
fn each_reader_opens_and_nobody_else() {
    let (one, two, other) = (reader(), reader(), reader());
    let readers = [one.public().clone(), two.public().clone()];
    let sealed = seal(b"21.5", "d/1/t", &readers).expect("seals");
    assert!(!sealed.windows(4).any(|part| part == b"21.5"));
    assert_eq!(open(&sealed, &one, "d/1/t").as_deref(), Ok(&b"21.5"[..]));
    assert_eq!(open(&sealed, &two, "d/1/t").as_deref(), Ok(&b"21.5"[..]));
    assert_eq!(open(&sealed, &other, "d/1/t"), Err(OpenError::NotForUs));
    assert_eq!(open(&sealed, &one, "d/2/t"), Err(OpenError::Changed));
    let for_one = seal(b"", "t", &readers[..1]).expect("seals");
    assert_eq!(for_one.len(), OVERHEAD);
    assert_eq!(seal(b"", "t", &[]), Err(SealError::Readers(0)));
    let many = vec![one.public().clone(); MAX_READERS + 1];
    assert_eq!(seal(b"", "t", &many), Err(SealError::Readers(9)));
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let (one, two) = (reader(), reader());
    let readers = [one.public().clone(), two.public().clone()];
    let sealed = seal(b"21.5", "t", &readers).expect("seals");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        let opened = Envelope::parse(&changed).map(|envelope| envelope.open(&one, "t").is_ok());
        assert_ne!(opened, Ok(true), "byte {at}");
        let cut = Envelope::parse(&sealed[..at]).map(|envelope| envelope.open(&one, "t").is_ok());
        assert_ne!(cut, Ok(true), "cut at {at}");
    }
}

#[test]
fn keys_are_read_as_they_are_written_and_not_in_each_others_place() {
    let key = reader();
    let (public, secret) = (key.public().to_string(), key.to_text());
    assert_eq!(public.parse(), Ok(key.public().clone()));
    let again: ReaderKey = secret.parse().expect("a key");
    assert_eq!(again.public(), key.public());
    assert_eq!(
        secret.parse::<ReaderPublicKey>(),
        Err(crate::ReaderKeyError::IsSecret)
    );
    assert!(matches!(
        public.parse::<ReaderKey>(),
        Err(crate::ReaderKeyError::IsPublic)
    ));
    assert_eq!(
        "prk_x".parse::<ReaderPublicKey>(),
        Err(crate::ReaderKeyError::NoKey)
    );
    assert!(!format!("{key:?}").contains(&secret[4..]));
}

#[test]
fn nothing_is_sealed_for_a_key_of_small_order() {
    let zero: ReaderPublicKey = format!("prk_{}", "A".repeat(43))
        .parse()
        .expect("its form is right");
    assert_eq!(
        seal(b"x", "t", std::slice::from_ref(&zero)),
        Err(SealError::Key(zero))
    );
}

proptest! {
    #[test]
    fn any_message_opens_as_it_was(message in prop::collection::vec(any::<u8>(), 0..300), topic in "[a-z/]{1,20}") {
        let key = reader();
        let sealed = seal(&message, &topic, &[key.public().clone()]).expect("seals");
        prop_assert_eq!(open(&sealed, &key, &topic), Ok(message));
    }

    /// A short run of what the fuzz target does.
    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), count in 0_u8..12) {
        let key = reader();
        for bytes in [bytes.clone(), [b"PSE1", &[count][..], &bytes].concat()] {
            if let Ok(envelope) = Envelope::parse(&bytes) {
                prop_assert!((1..=MAX_READERS).contains(&envelope.readers().count()));
                prop_assert!(envelope.open(&key, "t").is_err());
            }
        }
    }
}
