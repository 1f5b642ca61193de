use super::*;

#[test]
fn a_fingerprint_is_sixty_four_hexadecimal_digits() {
    let plain = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
    let colons: Vec<&str> = (0..32).map(|at| &plain[2 * at..2 * at + 2]).collect();
    let expected = Trust::fingerprint(plain).expect("a fingerprint");
    assert_eq!(
        Trust::fingerprint(&colons.join(":")).expect("a fingerprint"),
        expected
    );
    for text in [
        "",
        "00",
        &plain[1..],
        &format!("{plain}0"),
        &plain.replace('0', "g"),
        &"é".repeat(32),
    ] {
        assert!(
            matches!(Trust::fingerprint(text), Err(EnrolError::Fingerprint)),
            "{text:?}"
        );
    }
}

#[test]
fn a_token_that_could_break_a_header_is_refused_and_one_is_never_shown() {
    let endpoint: Endpoint = "localhost:1".parse().expect("an endpoint");
    let device = DeviceId::parse("cam-1").expect("an id");
    let enrolment = |token: &str| {
        Enrolment::new(
            endpoint.clone(),
            Trust::Roots(Vec::new()),
            device.clone(),
            token,
        )
    };
    for token in ["", " ", "a b", "a\r\nb", "é", &"a".repeat(513)] {
        assert!(
            matches!(enrolment(token), Err(EnrolError::Token)),
            "{token:?}"
        );
    }
    let enrolment = enrolment("pet_secret\n").expect("a token with the end of its line");
    assert!(!format!("{enrolment:?}").contains("secret"));
    let header = basic(&device, "pet_secret").expect("a header");
    assert!(
        !format!("{header:?}").contains("Basic"),
        "it is marked as sensitive"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_that_names_it() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let ca = crate::testing::TestCa::new();
    let endpoint = Endpoint::parse("127.0.0.1", port).expect("an endpoint");
    let device = DeviceId::parse("cam-1").expect("an id");
    let enrolment = Enrolment::new(endpoint, Trust::Roots(vec![ca.root()]), device, "pet_x");
    let error = enrolment
        .expect("valid")
        .enrol()
        .await
        .expect_err("nobody there");
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );
}
