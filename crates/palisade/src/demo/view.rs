//! The live view: a picture for people on a terminal, lines for everybody else.

use std::{io::Write, sync::Arc, time::Duration};

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen},
    },
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Paragraph, Wrap},
};
use tokio_util::sync::CancellationToken;

use super::picture::{Cell, Picture, Snapshot};
use crate::output::spark;

/// Ten pictures a second.
const FRAME: Duration = Duration::from_millis(100);
/// The height of the boxes with numbers.
const NUMBERS: u16 = 5;
/// The server is asked four times a second for what it has counted.
const SAMPLES_OF_A_SECOND: usize = 4;
/// How many cells `+1999 more` takes.
const PLACES_OF_MORE: usize = 5;
/// The width of a time before what happened then.
const WHEN: usize = 11;

/// Shows the picture until told to stop. Without a terminal, each step is a line on standard error.
pub(super) async fn show(picture: Arc<Picture>, stop: CancellationToken, is_live: bool) {
    match is_live {
        true => draw(&picture, &stop).await,
        false => tell(&picture, &stop).await,
    }
}

async fn tell(picture: &Picture, stop: &CancellationToken) {
    let mut told = 0;
    loop {
        let is_over = stop.is_cancelled();
        let steps = picture.snapshot().steps;
        for (at, words) in steps.iter().skip(told) {
            // Who does not read on is no reason to stop: the timeline may still be read.
            let _ = writeln!(std::io::stderr(), "{:>8.3} s  {words}", at.as_secs_f64());
        }
        told = steps.len();
        if is_over {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(FRAME) => {}
        }
    }
}

// Not in raw mode, so that Ctrl-C goes on to mean what it means.
async fn draw(picture: &Picture, stop: &CancellationToken) {
    let mut out = std::io::stdout();
    let _ = execute!(out, EnterAlternateScreen, Hide);
    if let Ok(mut terminal) = Terminal::new(CrosstermBackend::new(std::io::stdout())) {
        while !stop.is_cancelled() {
            let snapshot = picture.snapshot();
            if terminal.draw(|frame| paint(frame, &snapshot)).is_err() {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(FRAME) => {}
            }
        }
    }
    let _ = execute!(out, Show, LeaveAlternateScreen);
}

fn paint(frame: &mut Frame<'_>, now: &Snapshot) {
    let area = frame.area();
    let fleet_height = fleet_height(area, now.cells.len());
    let [head, numbers, fleet, below, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(NUMBERS),
        Constraint::Length(fleet_height),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    let title = Line::from(vec![
        " Palisade ".bold().reversed(),
        Span::raw("  "),
        now.stage.words().into(),
    ]);
    frame.render_widget(Paragraph::new(title), head);
    numbers_over_time(frame, numbers, now);
    devices(frame, fleet, now);
    let [steps, suspect] =
        Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(below);
    timeline(frame, steps, now);
    posture(frame, suspect, now);
    frame.render_widget(Paragraph::new(" Ctrl-C ends it".dim()), foot);
}

/// What the devices need, but never more than half of what is there for them and for what happened.
fn fleet_height(area: Rect, devices: usize) -> u16 {
    let rows = devices.div_ceil(cells_in_a_row(area));
    let wanted = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
    let there = area.height.saturating_sub(2 + NUMBERS + 1);
    wanted.min((there / 2).max(3))
}

/// A cell is its shape and a space.
fn cells_in_a_row(area: Rect) -> usize {
    usize::from(area.width.saturating_sub(2) / 2).max(1)
}

fn numbers_over_time(frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
    let [allowed, denied] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let rate = seconds(&now.messages).last().unwrap_or(0);
    let peak = seconds(&now.denials).max().unwrap_or(0);
    let title = format!("messages: {} in all, {rate}/s", now.totals.allowed);
    spark(
        frame,
        allowed,
        &title,
        &now.messages,
        Style::new().fg(Color::Green),
    );
    let title = format!("denied: {} in all, peak {peak}/s", now.totals.denied);
    spark(
        frame,
        denied,
        &title,
        &now.denials,
        Style::new().fg(Color::Red),
    );
}

/// The mean of each second of a history: one sample alone says little.
fn seconds(history: &[u64]) -> impl Iterator<Item = u64> {
    let width = history.len().clamp(1, SAMPLES_OF_A_SECOND);
    history
        .windows(width)
        .map(move |second| second.iter().sum::<u64>().div_ceil(width as u64))
}

fn devices(frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
    let count = |wanted: &[Cell]| {
        now.cells
            .iter()
            .filter(|cell| wanted.contains(cell))
            .count()
    };
    let all = now.cells.len();
    let enrolled = all - count(&[Cell::Unknown]);
    let connected = count(&[Cell::Connected, Cell::Bad]);
    let contained = count(&[Cell::Contained]);
    let title = format!(
        " devices: {enrolled} of {all} enrolled, {connected} connected, {contained} contained "
    );
    let block = Block::bordered().title(title).title_bottom(legend());
    let rows = rows(&now.cells, block.inner(area));
    frame.render_widget(Paragraph::new(rows).block(block), area);
}

/// The cells as far as there is room, those that people look for first, and how many more there are.
fn rows(cells: &[Cell], room: Rect) -> Vec<Line<'static>> {
    let a_row = usize::from(room.width / 2).max(1);
    let places = a_row * usize::from(room.height);
    let mut cells = cells.to_vec();
    cells.sort_by_key(|cell| !matches!(cell, Cell::Bad | Cell::Contained));
    let more = match cells.len() <= places {
        true => None,
        false => {
            let shown = places.saturating_sub(PLACES_OF_MORE);
            let more = format!("+{} more", cells.len() - shown);
            cells.truncate(shown);
            Some(more.dim())
        }
    };
    let mut spans: Vec<Span<'static>> = cells.iter().map(|cell| shape(*cell)).collect();
    spans.extend(more);
    spans
        .chunks(a_row)
        .map(|row| Line::from(row.to_vec()))
        .collect()
}

/// Shapes differ as well as colours, for those who see no colours.
fn shape(cell: Cell) -> Span<'static> {
    match cell {
        Cell::Unknown => "· ".dark_gray(),
        Cell::Enrolled => "○ ".yellow(),
        Cell::Connected => "● ".green(),
        Cell::Bad => "▲ ".red().bold(),
        Cell::Contained => "✖ ".red(),
    }
}

fn legend() -> Line<'static> {
    let meanings = [
        (Cell::Unknown, "new"),
        (Cell::Enrolled, "enrolled"),
        (Cell::Connected, "connected"),
        (Cell::Bad, "misbehaving"),
        (Cell::Contained, "contained"),
    ];
    let mut spans = vec![Span::raw(" ")];
    for (cell, meaning) in meanings {
        spans.extend([shape(cell), Span::raw(meaning), Span::raw("  ")]);
    }
    spans.pop();
    spans.push(Span::raw(" "));
    Line::from(spans)
}

fn timeline(frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
    let block = Block::bordered().title(" what happened ");
    let room = block.inner(area);
    let width = usize::from(room.width).saturating_sub(WHEN).max(1);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (at, words) in &now.steps {
        let mut when = format!("{:>7.2} s  ", at.as_secs_f64());
        for part in wrapped(words, width) {
            lines.push(Line::from(vec![when.dim(), part.into()]));
            when = " ".repeat(WHEN);
        }
    }
    // The newest are at the bottom, and stay.
    let from = lines.len().saturating_sub(room.height.into());
    frame.render_widget(Paragraph::new(lines.split_off(from)).block(block), area);
}

/// The words in lines of at most so many characters, but for a word that is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn posture(frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
    let block = Block::bordered().title(" posture ");
    let Some(suspect) = &now.suspect else {
        let calm = Paragraph::new("every device is trusted: 100 of 100".green())
            .wrap(Wrap { trim: true })
            .block(block);
        frame.render_widget(calm, area);
        return;
    };
    let color = if suspect.trust < 40 {
        Color::Red
    } else {
        Color::Yellow
    };
    let mut lines = vec![
        Line::from(vec![
            suspect.id.as_str().bold(),
            "  ".into(),
            suspect.lifecycle.as_str().into(),
        ]),
        Line::from(format!("trust {} of 100", suspect.trust)).style(Style::new().fg(color)),
    ];
    lines.extend(
        suspect
            .reasons
            .iter()
            .map(|reason| Line::from(format!("- {reason}"))),
    );
    frame.render_widget(
        Paragraph::new(lines).wrap(Wrap { trim: true }).block(block),
        area,
    );
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::{
        super::picture::{Counts, Stage},
        *,
    };

    /// The picture as text, after a device of a fleet was contained.
    fn drawn(width: u16, height: u16, devices: u16) -> String {
        let picture = Picture::new(devices);
        for device in 0..devices.into() {
            picture.set(device, Cell::Connected);
        }
        picture.set(usize::from(devices) * 2 / 3, Cell::Contained);
        for (total, rate) in [(0.0, 0.0), (24.0, 96.0), (24.0, 0.0), (24.0, 0.0)] {
            let (totals, rates) = (
                Counts {
                    allowed: 4000.0,
                    denied: total,
                },
                Counts {
                    allowed: 200.0,
                    denied: rate,
                },
            );
            picture.count(totals, rates);
        }
        picture.enter(Stage::Speaking);
        picture.enter(Stage::Misbehaving);
        picture.step("thermostat-33: the server closed its session");
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let snapshot = picture.snapshot();
        terminal
            .draw(|frame| paint(frame, &snapshot))
            .expect("draws");
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(width.into());
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n")
            .collect()
    }

    #[test]
    fn the_contained_device_is_on_screen_however_many_there_are() {
        for (width, height, devices) in [(120, 40, 50), (80, 24, 50), (80, 24, 500), (80, 24, 2000)]
        {
            let drawn = drawn(width, height, devices);
            let cells = drawn.lines().find(|line| line.starts_with("│✖ ●"));
            assert!(cells.is_some(), "{drawn}");
            for wanted in [
                "✖ contained",
                "▲ misbehaving",
                "denied: 24 in all, peak 24/s",
                "the server closed",
                "Ctrl-C ends it",
            ] {
                assert!(drawn.contains(wanted), "{wanted}:\n{drawn}");
            }
        }
    }

    #[test]
    fn devices_that_do_not_fit_are_counted() {
        let drawn = drawn(80, 24, 500);
        let shown = drawn.matches("● ").count() + drawn.matches("✖ ").count();
        // The legend shows each shape once.
        assert!(
            drawn.contains(&format!("+{} more", 500 - (shown - 2))),
            "{drawn}"
        );
    }

    #[test]
    fn long_steps_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible", 7), ["incomprehensible"]);
    }
}
