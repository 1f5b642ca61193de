//! Looking ahead: a client that is not heard for a while, as it sends more than it may, is seen to end all the same.
//! What it sent before waits for its turn and takes no more than its share; how much of it is read is bounded.

use palisade_core::SessionEnd;

use super::{Connection, Ending, MAX_UNSENT, Turn};
use crate::{
    codec::{Header, Packet, Version, reason},
    link::Filled,
    session::Engine,
};

/// So much is read of what waits for its turn, and one read more.
const AHEAD: usize = 16 * 1024;
/// The type of the packet (MQTT 5, section 2.1.2).
const DISCONNECT: u8 = 14;

/// What is known of the end of what the client sends.
enum End {
    /// Nothing.
    No,
    /// It broke off, and nothing whole stands before that.
    Lost,
    /// The client said goodbye.
    Said {
        /// Whether nothing stands before that.
        is_next: bool,
        reason: u8,
        session_expiry: Option<u32>,
    },
}

impl Connection {
    /// Reads on behind what waits for its turn, and does of it only what ends the connection.
    pub(super) fn look_ahead(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
    ) -> Result<(), Ending> {
        if turn.scratch.plain_out.len() > MAX_UNSENT || self.link.unsent() > MAX_UNSENT {
            // Who does not read what it is sent waits for itself.
            return Ok(());
        }
        let mut has_more = false;
        while self.link.kept().len() < AHEAD && !self.link.is_closed() {
            match self.link.poll_fill(turn.cx, turn.scratch) {
                Ok(Filled::More) => has_more = true,
                Ok(Filled::Nothing) => break,
                Ok(Filled::Closed) => {
                    has_more = true;
                    break;
                }
                Err(error) => {
                    tracing::debug!(session = %self.session.name, %error, "connection lost");
                    return Err(Ending::silent(SessionEnd::ConnectionLost));
                }
            }
            self.hear();
            let mut bytes = std::mem::take(&mut turn.scratch.plain_in);
            self.link.keep_partial(&mut bytes, 0);
            bytes.clear();
            turn.scratch.plain_in = bytes;
        }
        self.link.trim_kept();
        if !has_more {
            return Ok(());
        }
        self.has_unread = true;
        self.see_end(engine)
    }

    /// Ends the connection where nothing stands before its end, and notes that it is coming where something does.
    fn see_end(&mut self, engine: &mut Engine) -> Result<(), Ending> {
        match self.find_end() {
            End::No => Ok(()),
            End::Lost => Err(Ending::silent(SessionEnd::ConnectionLost)),
            End::Said {
                is_next: true,
                reason,
                session_expiry,
            } => {
                self.counted.quiet.packets_in += 1;
                Err(self.on_disconnect(engine, reason, session_expiry))
            }
            End::Said { reason, .. } => {
                self.has_said_goodbye = true;
                if reason == reason::SUCCESS || self.version() == Version::V3 {
                    // Whoever takes the session over must not find it.
                    engine.will = None;
                }
                Ok(())
            }
        }
    }

    fn find_end(&self) -> End {
        let max = self.broker.config.max_packet_size;
        let kept = self.link.kept();
        let mut from = 0;
        loop {
            let rest = &kept[from..];
            let header = match Header::peek(rest, max) {
                Ok(Some(header)) if header.total_len <= rest.len() => header,
                Ok(_) if from == 0 && self.link.is_closed() => return End::Lost,
                // What cannot be understood is refused when its turn comes.
                Ok(_) | Err(_) => return End::No,
            };
            if header.first >> 4 == DISCONNECT
                && let Ok(Packet::Disconnect {
                    reason,
                    session_expiry,
                }) = Packet::decode(self.version(), header, &rest[..header.total_len])
            {
                return End::Said {
                    is_next: from == 0,
                    reason,
                    session_expiry,
                };
            }
            from += header.total_len;
        }
    }
}
