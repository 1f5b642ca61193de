//! The other side of the socket.

use std::io::ErrorKind;

use palisade_agent::StateDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{Answer, Request};
use crate::cli::Failure;

// A message of the largest size, escaped.
const MAX_LINE: u64 = 8 * 1024 * 1024;

/// Answers of the running agent.
pub(in crate::cli) struct Stream {
    input: BufReader<OwnedReadHalf>,
    // Held open: its end says that we hang up.
    _output: OwnedWriteHalf,
}

impl Stream {
    /// Asks the running agent; `None` when none runs.
    pub(in crate::cli) async fn open(
        state: &StateDir,
        request: &Request,
        payload: &[u8],
    ) -> Result<Option<Self>, Failure> {
        let path = state.socket();
        let stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => return Ok(None),
                _ => return Err(Failure::state(format!("{}: {error}", path.display()))),
            },
        };
        let (input, mut output) = stream.into_split();
        let mut bytes = serde_json::to_vec(request).map_err(Failure::other)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(payload);
        let asked = output.write_all(&bytes).await;
        asked.map_err(|error| Failure::other(format!("the agent does not listen: {error}")))?;
        Ok(Some(Self {
            input: BufReader::new(input),
            _output: output,
        }))
    }

    /// The next answer; `None` when there will be none.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Answer>, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::other(format!("the agent's answer cannot be read: {error}"))
        };
        let mut line = Vec::new();
        let input = (&mut self.input).take(MAX_LINE);
        let read = { input }.read_until(b'\n', &mut line).await;
        match read.map_err(|error| failed(&error))? {
            0 => Ok(None),
            _ => serde_json::from_slice(&line)
                .map(Some)
                .map_err(|error| failed(&error)),
        }
    }
}

/// Asks the running agent for one answer; `None` when none runs.
pub(in crate::cli) async fn ask(
    state: &StateDir,
    request: &Request,
    payload: &[u8],
) -> Result<Option<Answer>, Failure> {
    let Some(mut stream) = Stream::open(state, request, payload).await? else {
        return Ok(None);
    };
    match stream.next().await? {
        Some(answer) => Ok(Some(answer)),
        None => Err(Failure::other("the agent hung up without an answer")),
    }
}
