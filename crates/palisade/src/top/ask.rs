//! Asks the server, and follows what happens there, on threads of their own: a picture does not wait for a network.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use serde_json::Value;

use super::picture::{Found, Picture};
use crate::{
    client::{Call, Follow, Session, path},
    commands::short_line,
    failure::{Exit, Failure},
};

/// As many cases and actions as anybody looks at here.
const MOST: usize = 50;
/// As many events as there are at first.
const NEWEST: usize = 20;

/// Asks at once.
#[derive(Debug)]
pub(super) struct Again(SyncSender<()>);

impl Again {
    pub(super) fn now(&self) {
        // One that waits already is enough.
        let _ = self.0.try_send(());
    }
}

/// Asks once, for all that is shown.
pub(super) fn once(session: &Session, picture: &Picture) -> Result<(), Failure> {
    let status = session.get(path(&["status"])).send()?;
    picture.status(status, Instant::now());
    let cases = session.get(path(&["cases"])).query("open", Some(true));
    let waiting = session
        .get(path(&["actions"]))
        .query("state", Some("waiting"));
    let response = session.get(path(&["response"])).send();
    let is_stopped = response
        .ok()
        .and_then(|response| response["kill_switch"]["stopped"].as_bool());
    picture.response(items(cases)?, items(waiting)?, is_stopped);
    newest_events(session, picture)?;
    Ok(())
}

fn items(call: Call<'_>) -> Result<Found, Failure> {
    match call.query("limit", Some(MOST)).send() {
        Ok(mut page) => Ok(match page["items"].take() {
            Value::Array(items) => Found::Items(items),
            _ => Found::Items(Vec::new()),
        }),
        Err(failure) if failure.code() == Exit::Denied => {
            Ok(Found::Refused(failure.message().to_owned()))
        }
        Err(failure) => Err(failure),
    }
}

/// Shows the newest events and gives where they end; `None` where this caller may not see them.
fn newest_events(session: &Session, picture: &Picture) -> Result<Option<String>, Failure> {
    if !picture.snapshot().events.is_empty() {
        return Ok(None);
    }
    let call = session
        .get(path(&["events"]))
        .header("Accept", "application/json")
        .query("order", Some("newest"))
        .query("limit", Some(NEWEST));
    let page = match call.send() {
        Ok(page) => page,
        Err(failure) if failure.code() == Exit::Denied => {
            picture.no_events(failure.message().to_owned());
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
    for item in items.iter().rev() {
        picture.event(short_line(&item["event"]));
    }
    Ok(items.first().map(|item| item["position"].to_string()))
}

/// Asks from now on, and follows the events. The threads end with the process.
pub(super) fn keep_asking(session: &Session, picture: &Arc<Picture>, every: Duration) -> Again {
    let (again, asked) = sync_channel(1);
    let (asker, to) = (session.clone(), picture.clone());
    std::thread::spawn(move || ask(&asker, &to, every, &asked));
    let (follower, to) = (session.clone(), picture.clone());
    std::thread::spawn(move || follow(&follower, &to));
    Again(again)
}

fn ask(session: &Session, picture: &Picture, every: Duration, asked: &Receiver<()>) {
    loop {
        let _ = asked.recv_timeout(every);
        if let Err(failure) = once(session, picture) {
            picture.lost(failure.message().to_owned());
        }
    }
}

fn follow(session: &Session, picture: &Picture) {
    let follow = Follow {
        session,
        path: path(&["events"]),
        query: Vec::new(),
        after: None,
    };
    let ended = follow.run(|message| {
        let event: Value = serde_json::from_str(&message.data)?;
        picture.event(short_line(&event));
        Ok(())
    });
    if let Err(failure) = ended {
        picture.no_events(failure.message().to_owned());
    }
}
