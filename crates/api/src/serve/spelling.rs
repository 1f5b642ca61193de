//! The one header whose name real clients compare to the letter.
//!
//! Names of headers have no case, and the HTTP library writes `Www-Authenticate`. libest, the client that
//! EST devices are built with, knows only `WWW-Authenticate`, and never sends its token otherwise. The
//! library spells a name as it once read it, and has no other way to be told: so it reads it, once.

use axum::http::{Extensions, Request};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ANSWER: &[u8] =
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";

/// What makes the library write `WWW-Authenticate`, as extensions of an answer.
pub(super) async fn www_authenticate() -> Option<Extensions> {
    let (near, mut far) = tokio::io::duplex(1_024);
    let mut builder = http1::Builder::new();
    builder.preserve_header_case(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(near)).await.ok()?;
    let request = Request::get("/").body(Empty::<Bytes>::new()).ok()?;
    let ask = async {
        let answer = sender.send_request(request).await;
        drop(sender);
        answer
    };
    let tell = async {
        far.read_u8().await?;
        far.write_all(ANSWER).await
    };
    let (answer, told, _) = tokio::join!(ask, tell, connection);
    told.ok()?;
    Some(answer.ok()?.extensions().clone())
}
