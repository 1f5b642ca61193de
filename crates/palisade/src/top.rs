//! `palisade top`: the overview in a terminal, for the person on SSH. What it shows comes from the public REST API
//! and its event stream, like the console's.

mod ask;
mod picture;
mod view;

use std::{
    io::IsTerminal,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

use crate::{
    client::{Act, Session},
    failure::Failure,
    output::Output,
};
use picture::Picture;

/// How long a key may wait.
const FRAME: Duration = Duration::from_millis(200);
/// Without a terminal, the size of the picture.
const PLAIN_WIDTH: u16 = 100;
const PLAIN_HEIGHT: u16 = 36;

/// `palisade top`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade top
  palisade top --every 5
  palisade top --once
  palisade top --json | jq .status.gateway.connected

Keys: q or Esc ends it, space holds the picture still, r asks at once.")]
pub(crate) struct TopCommand {
    /// Ask the server every so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Show it once and end
    #[arg(long)]
    once: bool,
}

impl Act for TopCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let every = Duration::from_secs(self.every);
        if session.output.is_json() {
            return self.print(session, every);
        }
        if self.once {
            let picture = Picture::new(session.server());
            ask::once(session, &picture)?;
            return session.output.text(&plain(&picture)?);
        }
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return Err(Failure::usage("this is no terminal")
                .next("add --once for the picture as text, or --json for programs"));
        }
        // The first question is asked here, so that a server that refuses is an error and no empty picture.
        let picture = Arc::new(Picture::new(session.server()));
        ask::once(session, &picture)?;
        let again = ask::keep_asking(session, &picture, every);
        let _screen = Screen::open()?;
        live(&picture, session.output, &again)
    }
}

impl TopCommand {
    fn print(&self, session: &Session, every: Duration) -> Result<(), Failure> {
        let picture = Picture::new(session.server());
        loop {
            match ask::once(session, &picture) {
                Ok(()) => session.output.json_line(&picture.snapshot().json())?,
                Err(failure) if self.once => return Err(failure),
                // Whoever reads on sees that there is nothing new, and why.
                Err(failure) => {
                    let lost = serde_json::json!({"error": failure.message()});
                    session.output.json_line(&lost)?;
                }
            }
            if self.once {
                return Ok(());
            }
            std::thread::sleep(every);
        }
    }
}

/// The terminal as long as the picture has it; it is given back whatever happens.
struct Screen;

impl Screen {
    fn open() -> Result<Self, Failure> {
        enable_raw_mode()?;
        let screen = Self;
        execute!(std::io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(std::io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

fn live(picture: &Picture, output: Output, again: &ask::Again) -> Result<(), Failure> {
    let mut terminal = Terminal::new(CrosstermBackend::new(std::io::stdout()))?;
    let mut held = None;
    loop {
        let snapshot = held.clone().unwrap_or_else(|| picture.snapshot());
        terminal.draw(|frame| view::paint(frame, &snapshot, held.is_some(), output.colour()))?;
        let until = Instant::now() + FRAME;
        while let Some(rest) = until.checked_duration_since(Instant::now()) {
            if !event::poll(rest)? {
                break;
            }
            match key(&event::read()?) {
                Key::End => return Ok(()),
                Key::Hold if held.is_some() => held = None,
                Key::Hold => held = Some(snapshot.clone()),
                Key::Again => again.now(),
                Key::None => continue,
            }
            break;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Key {
    End,
    Hold,
    Again,
    None,
}

fn key(event: &Event) -> Key {
    let Event::Key(key) = event else {
        return Key::None;
    };
    if key.kind == KeyEventKind::Release {
        return Key::None;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::End,
        KeyCode::Char('q') | KeyCode::Esc => Key::End,
        KeyCode::Char(' ') => Key::Hold,
        KeyCode::Char('r') => Key::Again,
        _ => Key::None,
    }
}

/// The picture as text.
fn plain(picture: &Picture) -> Result<String, Failure> {
    let backend = ratatui::backend::TestBackend::new(PLAIN_WIDTH, PLAIN_HEIGHT);
    let mut terminal = Terminal::new(backend)?;
    let snapshot = picture.snapshot();
    terminal.draw(|frame| view::paint(frame, &snapshot, false, false))?;
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(PLAIN_WIDTH.into());
    let rows = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>());
    let rows: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
    Ok(rows.join("\n").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn control_c_and_q_and_escape_end_it() {
        for (code, modifiers) in [
            (KeyCode::Char('c'), KeyModifiers::CONTROL),
            (KeyCode::Char('q'), KeyModifiers::NONE),
            (KeyCode::Esc, KeyModifiers::NONE),
        ] {
            assert_eq!(key(&Event::Key(KeyEvent::new(code, modifiers))), Key::End);
        }
        let c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::NONE);
        assert_eq!(key(&Event::Key(c)), Key::None);
    }
}
