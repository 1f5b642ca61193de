//! Server-sent events, as they come.

use std::{
    io::{BufRead, BufReader, Read},
    time::Duration,
};

use super::Session;
use crate::failure::{Exit, Failure};

/// The longest line of a stream, in bytes.
const MAX_LINE: u64 = 4 * 1024 * 1024;
/// The longest pause between two attempts to connect again.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// One message of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Where to go on after it.
    pub(crate) id: String,
    /// What it carries.
    pub(crate) data: String,
}

/// A stream that is followed. It is taken up again where it broke off.
#[derive(Debug)]
pub(crate) struct Follow<'a> {
    pub(crate) session: &'a Session,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) after: Option<String>,
}

impl Follow<'_> {
    /// Gives each message to `take` until that fails; connects again when the server goes away.
    pub(crate) fn run(
        mut self,
        mut take: impl FnMut(&Message) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut pause = Duration::ZERO;
        let mut connected = false;
        loop {
            match self.connect() {
                Ok(reader) => {
                    (connected, pause) = (true, Duration::ZERO);
                    let mut lines = BufReader::new(reader);
                    while let Some(message) = next(&mut lines) {
                        if !message.id.is_empty() {
                            self.after = Some(message.id.clone());
                        }
                        take(&message)?;
                    }
                }
                Err(failure) if !connected || failure.code() != Exit::Unreachable => {
                    return Err(failure);
                }
                Err(_) => {}
            }
            pause = (pause * 2).clamp(Duration::from_millis(500), MAX_PAUSE);
            std::thread::sleep(pause);
        }
    }

    fn connect(&self) -> Result<impl Read + use<>, Failure> {
        let mut call = self.session.get(self.path.clone());
        for (name, value) in &self.query {
            call = call.query(name, Some(value));
        }
        if let Some(after) = &self.after {
            call = call.header("Last-Event-ID", after.clone());
        }
        let answer = call.header("Accept", "text/event-stream").open()?;
        Ok(answer.into_body().into_reader())
    }
}

/// The next message with data; `None` when the stream ends or breaks.
fn next(lines: &mut impl BufRead) -> Option<Message> {
    let mut message = Message::default();
    loop {
        let mut line = String::new();
        let read = lines.by_ref().take(MAX_LINE).read_line(&mut line);
        if !matches!(read, Ok(length) if length > 0) {
            return None;
        }
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            if !message.data.is_empty() {
                return Some(message);
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => message.id = value.to_owned(),
            "data" => {
                if !message.data.is_empty() {
                    message.data.push('\n');
                }
                message.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_between_comments_and_without_a_last_half() {
        let text = ": hello\n\nid: 4\nevent: denied\ndata: {\"a\":\ndata: 1}\n\nid:5\ndata:x\n";
        let mut lines = BufReader::new(text.as_bytes());
        let first = next(&mut lines).expect("a message");
        assert_eq!(
            (first.id.as_str(), first.data.as_str()),
            ("4", "{\"a\":\n1}")
        );
        assert_eq!(next(&mut lines), None, "the last one is not whole");
    }
}
