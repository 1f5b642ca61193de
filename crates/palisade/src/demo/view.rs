//! The live view: a picture for people on a terminal, lines for everybody else.

use std::{sync::Arc, time::Duration};

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
    widgets::{Block, Paragraph, Sparkline, Wrap},
};
use tokio_util::sync::CancellationToken;

use super::picture::{Cell, Picture, Snapshot};

/// Ten pictures a second.
const FRAME: Duration = Duration::from_millis(100);

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
            eprintln!("{:>8.3} s  {words}", at.as_secs_f64());
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
    let [head, numbers, fleet, below] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(6),
        Constraint::Min(4),
        Constraint::Length(12),
    ])
    .areas(frame.area());
    let title = Line::from(vec![
        " Palisade ".bold().reversed(),
        Span::raw("  "),
        now.stage.words().into(),
    ]);
    frame.render_widget(Paragraph::new(title), head);
    let [allowed, denied] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(numbers);
    spark(
        frame,
        allowed,
        "messages allowed per second",
        now.rates.allowed,
        &now.messages,
        Color::Green,
    );
    spark(
        frame,
        denied,
        "denied per second",
        now.rates.denied,
        &now.denials,
        Color::Red,
    );
    devices(frame, fleet, now);
    let [steps, suspect] =
        Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(below);
    timeline(frame, steps, now);
    posture(frame, suspect, now);
}

fn spark(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    value: f64,
    history: &[u64],
    color: Color,
) {
    let width = usize::from(area.width.saturating_sub(2));
    let from = history.len().saturating_sub(width);
    let block = Block::bordered().title(format!(" {title}: {value:.0} "));
    let line = Sparkline::default()
        .block(block)
        .data(&history[from..])
        .style(Style::new().fg(color));
    frame.render_widget(line, area);
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
    // Shapes differ as well as colours, for those who see no colours.
    let cells = now.cells.iter().map(|cell| match cell {
        Cell::Unknown => "· ".dark_gray(),
        Cell::Enrolled => "○ ".yellow(),
        Cell::Connected => "● ".green(),
        Cell::Bad => "▲ ".red().bold(),
        Cell::Contained => "✖ ".red(),
    });
    let a_row = usize::from(area.width.saturating_sub(2) / 2).max(1);
    let cells: Vec<Span<'_>> = cells.collect();
    let rows: Vec<Line<'_>> = cells
        .chunks(a_row)
        .map(|row| Line::from(row.to_vec()))
        .collect();
    frame.render_widget(
        Paragraph::new(rows).block(Block::bordered().title(title)),
        area,
    );
}

fn timeline(frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
    let room = usize::from(area.height.saturating_sub(2));
    let from = now.steps.len().saturating_sub(room);
    let lines: Vec<Line<'_>> = now.steps[from..]
        .iter()
        .map(|(at, words)| {
            Line::from(vec![
                format!("{:>7.2} s  ", at.as_secs_f64()).dim(),
                words.as_str().into(),
            ])
        })
        .collect();
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" what happened ")),
        area,
    );
}

fn posture(frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
    let block = Block::bordered().title(" posture ");
    let Some(suspect) = &now.suspect else {
        let calm = Paragraph::new("every device is trusted: 100 of 100".green()).block(block);
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
