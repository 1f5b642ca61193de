//! The messages of a device, as they pass.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use serde_json::Value;

use crate::{
    client::{Follow, Session, path},
    failure::Failure,
    output::sanitise,
};

/// Which device, and whether what is in its messages is read.
#[derive(Debug, Args)]
pub(crate) struct MessagesArgs {
    /// The device
    device: String,
    /// Show what is in the messages too: another right, and another line in the ledger
    #[arg(long)]
    read: bool,
}

impl MessagesArgs {
    pub(super) fn watch(&self, session: &Session) -> Result<(), Failure> {
        let mut parts = vec!["devices", &self.device, "messages"];
        if self.read {
            parts.push("payloads");
        }
        let follow = Follow {
            session,
            path: path(&parts),
            query: Vec::new(),
            after: None,
        };
        follow.run(|message| {
            let data: Value = serde_json::from_str(&message.data)?;
            if let Some(why) = data["why"].as_str() {
                let ended = format!("the watching has ended: {}", sanitise(why));
                return Err(Failure::new(ended));
            }
            match (session.output.is_json(), data["topic"].as_str()) {
                (true, _) => session.output.json_line(&data),
                (false, Some(_)) => session.output.text(&line(&data)),
                (false, None) => match data["count"].as_u64() {
                    Some(count) => session
                        .output
                        .text(&format!("({count} more came too fast to be shown)")),
                    None => Ok(()),
                },
            }
        })
    }
}

/// A message as one line.
fn line(message: &Value) -> String {
    let text = |name: &str| message[name].as_str().unwrap_or_default();
    let way = match text("way") {
        "published" => "says",
        _ => "hears",
    };
    let mut line = format!(
        "{}  {way:<5}  {}  qos {}  {} bytes",
        text("at"),
        text("topic"),
        message["qos"],
        message["size"]
    );
    if message["retain"] == true {
        line.push_str("  retained");
    }
    if let Some(payload) = message["payload_base64"].as_str() {
        line.push_str("  ");
        line.push_str(&content(payload));
    }
    if message["withheld"] == true {
        line.push_str("  (withheld: your role does not show it)");
    }
    sanitise(&line).replace('\n', "\\n")
}

/// Text as it stands, all else as hexadecimal digits.
fn content(payload: &str) -> String {
    let bytes = BASE64_STANDARD.decode(payload).unwrap_or_default();
    match std::str::from_utf8(&bytes) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => bytes
            .iter()
            .fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(payload: Option<&[u8]>) -> Value {
        json!({
            "at": "2026-05-01T12:00:00Z", "way": "published", "topic": "devices/cam-1/x", "qos": 1,
            "retain": false, "size": 3, "payload_base64": payload.map(|bytes| BASE64_STANDARD.encode(bytes)),
        })
    }

    #[test]
    fn a_message_is_a_line_whatever_is_in_it() {
        let head = "2026-05-01T12:00:00Z  says   devices/cam-1/x  qos 1  3 bytes";
        assert_eq!(line(&message(None)), head);
        assert_eq!(line(&message(Some(b"a\nb"))), format!("{head}  a\\nb"));
        assert_eq!(line(&message(Some(&[0, 255]))), format!("{head}  0x00ff"));
        let steering = line(&message(Some("\u{1b}[2J\u{202e}x".as_bytes())));
        assert!(!steering.contains(['\u{1b}', '\u{202e}']), "{steering:?}");
    }
}
