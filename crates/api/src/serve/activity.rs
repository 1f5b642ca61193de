//! Whether a connection has anything to do.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{sync::watch, time::Instant};

/// Counts the requests that a connection has open.
#[derive(Debug)]
pub(super) struct Activity {
    open: AtomicUsize,
    idle_since: watch::Sender<Option<Instant>>,
}

/// A request that is open for as long as this lives.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            idle_since: watch::channel(Some(Instant::now())).0,
        })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        if self.open.fetch_add(1, Ordering::SeqCst) == 0 {
            self.idle_since.send_replace(None);
        }
        Busy(self.clone())
    }

    /// Ends when there was nothing to do for `limit`.
    pub(super) async fn idle_for(&self, limit: std::time::Duration) {
        let mut changes = self.idle_since.subscribe();
        loop {
            let since = *changes.borrow_and_update();
            let over = async {
                match since {
                    Some(since) => tokio::time::sleep_until(since + limit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle_since.send_replace(Some(Instant::now()));
        }
    }
}

/// A body that keeps its request open until it was sent.
#[derive(Debug)]
pub(super) struct BusyBody {
    pub(super) body: Body,
    pub(super) _busy: Busy,
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn only_a_connection_without_requests_is_idle() {
        let activity = Activity::new();
        let busy = activity.begin();
        let limit = Duration::from_millis(20);
        let early = tokio::time::timeout(limit * 5, activity.idle_for(limit)).await;
        assert!(early.is_err(), "a request is open");
        let ended = Instant::now();
        drop(busy);
        activity.idle_for(limit).await;
        assert!(ended.elapsed() >= limit);
    }
}
