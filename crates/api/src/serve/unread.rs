//! The part of a request's body that nobody reads. It is taken and thrown away, so that a client that is
//! still sending hears the answer: an HTTP/1.1 connection that closes with bytes unread makes the client's
//! system drop the answer, and many HTTP/2 clients take the reset of their stream for an error.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    rt::Executor,
};

use super::connection::Owned;

/// How much of it is taken, and for how long; then the connection closes.
const MAX_UNREAD: usize = 16 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// A request's body; what is unread when it is dropped is taken by a task of the connection.
pub(super) struct Unread {
    body: Option<Incoming>,
    // A client that asked with `Expect: 100-continue` sends nothing until somebody reads.
    is_awaited: bool,
    connection: Owned,
}

impl Unread {
    pub(super) fn new(body: Incoming, expects_continue: bool, connection: Owned) -> Self {
        Self {
            body: Some(body),
            is_awaited: !expects_continue,
            connection,
        }
    }
}

impl Body for Unread {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_awaited = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        // Outside the runtime, or where it ends, there is no connection left that could be kept.
        if self.is_awaited && !body.is_end_stream() && tokio::runtime::Handle::try_current().is_ok()
        {
            self.connection.execute(throw_away(body));
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let rest = async {
        let mut left = MAX_UNREAD;
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, rest).await;
}
