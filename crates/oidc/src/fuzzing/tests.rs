//! Seeded random input on every run: what is believed is what the provider signed, and nothing panics.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

/// A provider's key, and how it publishes it.
fn provider() -> (Ed25519KeyPair, String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] });
    (pair, keys.to_string())
}

/// The answer of a token endpoint, with an ID token that is signed.
fn answer(pair: &Ed25519KeyPair, header: &Value, claims: &Value) -> Vec<u8> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()).as_ref());
    let token = format!("{signed}.{signature}");
    let answer = json!({ "access_token": "a", "token_type": "Bearer", "id_token": token });
    answer.to_string().into_bytes()
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": "k" })
}

fn claims() -> Value {
    json!({
        "iss": "https://id.test", "sub": "anna", "aud": "palisade", "nonce": "nonce",
        "iat": 1_800_000_030, "exp": 1_800_000_900, "groups": ["ops"],
    })
}

/// Of each seed the same numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % end.max(1)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = b"\"{}[]:,.0-_A\\"[self.below(13)],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[self.below(bytes.len())]),
            }
            if bytes.is_empty() {
                bytes.push(b'{');
            }
        }
    }
}

#[test]
fn only_what_the_provider_signed_is_believed() {
    let (pair, keys) = provider();
    let good = answer(&pair, &header(), &claims());
    let believed = judged(&good, &keys).expect("is believed");
    assert_eq!(believed["groups"], json!(["ops"]));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut still = 0;
    for _ in 0..6_000 {
        let mut bytes = good.clone();
        random.mutate(&mut bytes);
        // What stands besides the token may change; what the token says does not.
        if let Some(found) = judged(&bytes, &keys) {
            assert_eq!(found, believed, "{}", String::from_utf8_lossy(&bytes));
            still += 1;
        }
        assert!(!is_believed(&bytes), "by another key");
    }
    assert!(still > 20, "mutations reach past the signature: {still}");
}

#[test]
fn claims_that_are_changed_before_they_are_signed_are_judged_and_not_only_parsed() {
    let (pair, keys) = provider();
    type Change = fn(&mut Value, &mut Value);
    let changes: [Change; 9] = [
        |header, _| header["alg"] = json!("none"),
        |header, _| header["alg"] = json!("HS256"),
        |_, claims| claims["iss"] = json!("https://id.test/"),
        |_, claims| claims["aud"] = json!(["other"]),
        |_, claims| claims["nonce"] = json!("other"),
        |_, claims| claims["exp"] = json!(1_800_000_059),
        |_, claims| claims["iat"] = json!(1_799_999_000),
        |_, claims| claims["azp"] = json!("other"),
        |_, claims| claims["at_hash"] = json!("AAAA"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (mut header, mut claims) = (header(), claims());
        change(&mut header, &mut claims);
        let bytes = answer(&pair, &header, &claims);
        assert_eq!(judged(&bytes, &keys), None, "change {number}");
    }
}

#[test]
fn no_answer_of_a_provider_makes_it_panic() {
    let samples = [
        METADATA.as_bytes().to_vec(),
        KEYS.as_bytes().to_vec(),
        json!({ "sub": "anna", "realm_access": { "roles": ["a", 7, null, ["b"]] }, "email": 1 })
            .to_string()
            .into_bytes(),
        vec![b'['; 4_000],
        format!("{}1{}", r#"{"a":"#.repeat(400), "}".repeat(400)).into_bytes(),
    ];
    let mut random = Random(42);
    let mut read = 0;
    for round in 0..5_000 {
        let mut bytes = samples[round % samples.len()].clone();
        random.mutate(&mut bytes);
        let names = ["realm_access.roles", "a.a.a.a", "", ".", "sub", "email"];
        read += usize::from(discovery(&bytes)) + usize::from(keys(&bytes));
        read += claim(&bytes, names[random.below(names.len())]);
        assert!(!is_believed(&bytes));
    }
    assert!(read > 100, "some are read: {read}");
}
