use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);
const HEADER: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x07\xc6\x33\x64\x01\x9c\x40\x22\xb3\x04\0\0";

fn balancers() -> Balancers {
    Balancers::new("mqtt", &["10.0.0.0/8".parse().expect("a network")])
}

fn peer() -> SocketAddr {
    "10.0.0.1:5".parse().expect("an address")
}

#[test]
fn only_those_that_are_named_are_balancers() {
    let balancers = balancers();
    for (address, is_one) in [
        ("10.2.3.4", true),
        ("::ffff:10.2.3.4", true),
        ("11.0.0.1", false),
        ("::1", false),
    ] {
        assert_eq!(
            balancers.include(address.parse().expect("an address")),
            is_one,
            "{address}"
        );
    }
    let nobody = Balancers::new("mqtt", &[]);
    assert!(!nobody.include("10.2.3.4".parse().expect("an address")));
}

#[tokio::test]
async fn what_comes_after_the_header_is_left_in_the_stream() {
    let (mut near, mut far) = duplex(1024);
    far.write_all(&[HEADER, b"\x16 and more"].concat())
        .await
        .expect("written");
    let source = balancers()
        .source(&mut near, peer(), PATIENCE)
        .await
        .expect("valid");
    assert_eq!(source.to_string(), "192.0.2.7:40000");
    drop(far);
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.expect("read");
    assert_eq!(rest, b"\x16 and more");
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let (mut near, mut far) = duplex(1);
    let writer = tokio::spawn(async move {
        far.write_all(HEADER).await.expect("written");
        far
    });
    let source = balancers()
        .source(&mut near, peer(), PATIENCE)
        .await
        .expect("valid");
    assert_eq!(source.to_string(), "192.0.2.7:40000");
    drop(writer.await);
}

#[tokio::test]
async fn a_balancer_that_speaks_for_itself_is_the_source() {
    let (mut near, mut far) = duplex(64);
    far.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
        .await
        .expect("written");
    let source = balancers()
        .source(&mut near, peer(), PATIENCE)
        .await
        .expect("valid");
    assert_eq!(source, peer());
}

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_come_in_time_is_not_waited_for() {
    let (mut near, mut far) = duplex(64);
    far.write_all(&HEADER[..20]).await.expect("written");
    let error = balancers()
        .source(&mut near, peer(), PATIENCE)
        .await
        .expect_err("slow");
    assert!(matches!(error, HeaderError::Slow), "{error}");
}

#[tokio::test]
async fn a_connection_that_ends_early_is_told_from_one_that_says_nothing() {
    for (said, is_silent) in [
        (&b""[..], true),
        (&HEADER[..4], false),
        (&HEADER[..20], false),
    ] {
        let (mut near, mut far) = duplex(64);
        far.write_all(said).await.expect("written");
        drop(far);
        let error = balancers()
            .source(&mut near, peer(), PATIENCE)
            .await
            .expect_err("ended");
        assert_eq!(matches!(error, HeaderError::Silent), is_silent, "{error}");
        assert_eq!(matches!(error, HeaderError::Cut), !is_silent, "{error}");
    }
}
