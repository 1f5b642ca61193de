//! Messages of a device as they pass: server-sent events. Whether the caller may still is asked before each part that is
//! sent, and every second besides: a stream ends with the session or the right that it was opened by.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    http::HeaderValue,
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use palisade_gateway::{Passed, WATCHED_PER_SECOND, Watching};
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until};

use super::{super::PeopleState, Asked, MAX_PAYLOAD, PassedView, Right};

/// Messages that are sent at once, and how long the next wait for it: what a watcher costs in questions to the database
/// is bounded by that.
const PART: usize = 64;
const PAUSE: Duration = Duration::from_millis(100);
const ASK_AGAIN: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn stream_messages(
    state: PeopleState,
    right: Right,
    asked: Asked,
    watching: Watching,
) -> Response {
    let mut ask_again = tokio::time::interval(ASK_AGAIN);
    ask_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ask_again.reset();
    let begin = json!({
        "device": asked.device,
        "payloads": right.payload.is_some(),
        "max_payload_bytes": MAX_PAYLOAD,
        "per_second": WATCHED_PER_SECOND,
    });
    let open = Open {
        state,
        right,
        asked,
        watching,
        waiting: VecDeque::from([event("watching", &begin)]),
        ask_again,
        not_before: Instant::now(),
        has_ended: false,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(open.events())
        .keep_alive(keep_alive)
        .into_response();
    // Proxies that hold answers back would hold messages back.
    let no = HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", no);
    response
}

/// A stream that somebody listens to.
struct Open {
    state: PeopleState,
    right: Right,
    asked: Asked,
    watching: Watching,
    waiting: VecDeque<SseEvent>,
    ask_again: Interval,
    not_before: Instant,
    has_ended: bool,
}

/// What there was to hear.
enum Heard {
    Closing,
    Tick,
    Messages(Vec<Passed>),
}

impl Open {
    fn events(self) -> impl Stream<Item = Result<SseEvent, Infallible>> {
        stream::unfold(self, |mut open| async move {
            let event = open.next().await?;
            Some((Ok(event), open))
        })
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            match self.hear().await {
                Heard::Closing => self.end("the server stops"),
                Heard::Messages(found) if found.is_empty() => {
                    self.end("you took the messages too slowly");
                }
                _ if !self.may_go_on().await => self.end("you may not watch it any more"),
                Heard::Tick => self.tell_skipped(),
                Heard::Messages(found) => {
                    let (state, hidden) = (&self.state, &self.asked.asker.hidden);
                    let views = found
                        .into_iter()
                        .map(|passed| PassedView::of(passed, state, hidden));
                    let events = views.map(|view| event("message", &json!(view)));
                    self.waiting.extend(events);
                    self.tell_skipped();
                }
            }
        }
    }

    async fn hear(&mut self) -> Heard {
        let closing = self.state.closing().clone();
        let (watching, not_before) = (&mut self.watching, self.not_before);
        let messages = async {
            sleep_until(not_before).await;
            watching.next(PART).await
        };
        let heard = tokio::select! {
            () = closing.cancelled() => Heard::Closing,
            _ = self.ask_again.tick() => Heard::Tick,
            found = messages => Heard::Messages(found),
        };
        if let Heard::Messages(_) = heard {
            self.not_before = Instant::now() + PAUSE;
        }
        heard
    }

    async fn may_go_on(&mut self) -> bool {
        let right = (self.right.action, self.right.scope);
        let Asked { asker, device } = &mut self.asked;
        asker.may_still(&self.state, right, device).await
    }

    fn tell_skipped(&mut self) {
        match self.watching.skipped() {
            0 => {}
            count => self
                .waiting
                .push_back(event("skipped", &json!({ "count": count }))),
        }
    }

    fn end(&mut self, why: &str) {
        self.tell_skipped();
        self.waiting.push_back(event("end", &json!({ "why": why })));
        self.has_ended = true;
    }
}

fn event(name: &str, data: &Value) -> SseEvent {
    SseEvent::default().event(name).data(data.to_string())
}
