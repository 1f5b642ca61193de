use proptest::prelude::*;

use super::*;

/// A header by the letter of the specification (section 2.2), written apart from the library that reads it.
pub(crate) fn header(command: u8, family: u8, addresses: &[u8], more: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend(((addresses.len() + more.len()) as u16).to_be_bytes());
    bytes.extend(addresses);
    bytes.extend(more);
    bytes
}

const TCP4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0x22, 0xb3];

fn read(bytes: &[u8]) -> Result<Option<SocketAddr>, String> {
    match parse(bytes) {
        Ok(Some(header)) => Ok(header.client),
        Ok(None) => Err("more".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_client_is_the_one_that_the_header_names() {
    let bytes = header(1, 0x11, &TCP4, b"\x04\0\x01x");
    let read = parse(&[&bytes[..], b"\x16\x03\x01"].concat());
    let header_read = read.expect("valid").expect("whole");
    assert_eq!(
        header_read.client,
        Some("192.0.2.7:40000".parse().expect("valid"))
    );
    assert_eq!(header_read.length, bytes.len());
}

#[test]
fn an_ipv4_client_in_an_ipv6_header_is_one_of_ipv4() {
    let mut addresses = [0; 36];
    addresses[..16].copy_from_slice(
        &"::ffff:192.0.2.7"
            .parse::<std::net::Ipv6Addr>()
            .expect("valid")
            .octets(),
    );
    let client = read(&header(1, 0x21, &addresses, b""))
        .expect("valid")
        .expect("named");
    assert_eq!(client.ip().to_string(), "192.0.2.7");
    addresses[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    let client = read(&header(1, 0x21, &addresses, b""))
        .expect("valid")
        .expect("named");
    assert!(client.ip().to_string().starts_with("2001:db8:"), "{client}");
}

#[test]
fn a_health_check_of_the_balancer_names_nobody() {
    assert_eq!(read(&header(0, 0x00, b"", b"")), Ok(None));
    assert_eq!(LOCAL[..], header(0, 0x00, b"", b""));
    assert_eq!(read(&header(0, 0x11, &TCP4, b"")), Ok(None));
}

#[test]
fn a_header_without_a_tcp_client_is_refused() {
    for (family, addresses) in [
        (0x00, &[][..]),
        (0x12, &TCP4),
        (0x10, &TCP4),
        (0x31, &[0; 216]),
    ] {
        let error = read(&header(1, family, addresses, b"")).expect_err("refused");
        assert!(
            error.contains("names no TCP client"),
            "{family:#x}: {error}"
        );
    }
}

#[test]
fn what_is_no_header_is_refused_at_its_first_byte_and_said() {
    for (bytes, words) in [
        (&b"\x16\x03\x01"[..], "begins with TLS"),
        (b"GET / HTTP/1.1", "begins with something else"),
        (b"\r\n\r\n\0\r\nQUIT\t", "begins with something else"),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 8883\r\n",
            "version 1",
        ),
        (b"PROXY ", "version 1"),
        (b"PROXIED", "something else"),
    ] {
        let error = read(bytes).expect_err("refused");
        assert!(error.contains(words), "{bytes:?}: {error}");
    }
}

#[test]
fn a_long_header_is_refused_before_it_is_there() {
    let mut bytes = header(1, 0x11, &TCP4, b"");
    bytes[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    assert!(read(&bytes).expect_err("refused").contains("65551 bytes"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_a_header_is_read_alike_whole_and_in_parts(
        command in 0..=255_u8, family in prop_oneof![Just(0x11), Just(0x21), 0..=255_u8],
        addresses in prop::collection::vec(any::<u8>(), 0..64), more in prop::collection::vec(any::<u8>(), 0..32),
        garbage in prop::collection::vec(any::<u8>(), 0..64), broken in any::<bool>(),
    ) {
        let _ = parse(&garbage);
        let mut bytes = header(command, family, &addresses, &more);
        if broken {
            let at = bytes.len() - 1 - garbage.len() % bytes.len();
            bytes[at] ^= 1;
        }
        let whole = parse(&bytes);
        for cut in 0..bytes.len() {
            match (parse(&bytes[..cut]), &whole) {
                (Ok(None), _) | (Err(_), Err(_)) => {}
                (Ok(Some(early)), Ok(Some(header))) => prop_assert_eq!(early, *header),
                (early, whole) => prop_assert!(false, "{early:?} at {cut} of {whole:?}"),
            }
        }
        if let Ok(Some(header)) = whole {
            prop_assert!(header.length <= bytes.len());
        }
    }
}
