//! Draws the picture.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Paragraph, Wrap},
};
use serde_json::Value;

use super::picture::{Found, Snapshot};
use crate::output::{cell, spark};

/// The lifecycles in the order in which people ask for them, with a shape each: colours are not for everybody.
const LIFECYCLES: [(&str, &str, Color); 5] = [
    ("active", "●", Color::Green),
    ("registered", "○", Color::Yellow),
    ("quarantined", "✖", Color::Red),
    ("revoked", "▲", Color::Red),
    ("retired", "·", Color::DarkGray),
];
/// The widest subject of a case.
const SUBJECT: usize = 24;

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
struct Ink(bool);

impl Ink {
    fn of(self, color: Color) -> Style {
        match self.0 {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn severity(self, severity: &str) -> Style {
        match severity {
            "critical" | "high" => self.of(Color::Red),
            "medium" => self.of(Color::Yellow),
            _ => Style::new(),
        }
    }
}

/// Draws it all.
pub(super) fn paint(frame: &mut Frame<'_>, now: &Snapshot, is_held: bool, has_colour: bool) {
    let ink = Ink(has_colour);
    let [head, fleet, rates, work, events, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(4),
        Constraint::Length(5),
        Constraint::Fill(2),
        Constraint::Fill(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(heading(now, is_held, ink), head);
    devices(frame, fleet, &now.status["devices"], ink);
    traffic(frame, rates, now, ink);
    let [cases, waiting] =
        Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(work);
    list(frame, cases, "open cases", &now.cases, |case| {
        case_line(case, ink)
    });
    let title = match now.is_stopped {
        Some(true) => "RESPONSE IS STOPPED, waiting",
        _ => "waiting for a person",
    };
    list(frame, waiting, title, &now.waiting, action_line);
    happening(frame, events, now);
    let keys = " q ends it   space holds it still   r asks at once";
    frame.render_widget(
        Paragraph::new(Span::styled(keys, ink.of(Color::DarkGray))),
        foot,
    );
}

fn heading(now: &Snapshot, is_held: bool, ink: Ink) -> Paragraph<'static> {
    let text = |name: &str| cell(now.status.get(name));
    let state = match (&now.lost, now.asked) {
        (Some(why), asked) => {
            let since = asked.map_or(0, |at| at.elapsed().as_secs());
            Span::styled(
                format!("NOT REACHED for {since} s: {why}"),
                ink.of(Color::Red),
            )
        }
        (None, Some(_)) if is_held => Span::styled("held still", ink.of(Color::Yellow)),
        (None, Some(_)) => Span::styled("live", ink.of(Color::Green)),
        (None, None) => Span::raw("asking"),
    };
    Paragraph::new(Line::from(vec![
        Span::styled(" Palisade ", Style::new().bold().reversed()),
        Span::raw("  "),
        state,
        Span::raw(format!(
            "  {}  {}  {}  policy {}  ledger {}",
            now.server,
            text("version"),
            text("time"),
            text("policy_version"),
            text("ledger_entries")
        )),
    ]))
}

fn devices(frame: &mut Frame<'_>, area: Rect, counts: &Value, ink: Ink) {
    let count = |name: &str| counts[name].as_u64().unwrap_or(0);
    let total = count("total");
    let block = Block::bordered().title(format!(" devices: {total} "));
    let room = block.inner(area);
    let widths = shares(LIFECYCLES.map(|(name, ..)| count(name)), room.width);
    let mut legend = Vec::new();
    let mut bar = Vec::new();
    for ((name, shape, color), width) in LIFECYCLES.into_iter().zip(widths) {
        let style = ink.of(color);
        legend.push(Span::styled(format!(" {shape} "), style));
        legend.push(Span::raw(format!("{} {name} ", count(name))));
        bar.push(Span::styled(shape.repeat(width.into()), style));
    }
    let lines = vec![Line::from(bar), Line::from(legend)];
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// How much of the width is each part's. Whoever is there is seen, at the cost of the largest.
fn shares<const N: usize>(parts: [u64; N], width: u16) -> [u16; N] {
    let all: u128 = parts.into_iter().map(u128::from).sum();
    let mut shares = parts.map(|part| match part {
        0 => 0,
        part => ((u128::from(part) * u128::from(width) / all) as u16).max(1),
    });
    let over = shares.iter().sum::<u16>().saturating_sub(width);
    if let Some(largest) = shares.iter_mut().max() {
        *largest = largest.saturating_sub(over);
    }
    shares
}

fn traffic(frame: &mut Frame<'_>, area: Rect, now: &Snapshot, ink: Ink) {
    let gateway = &now.status["gateway"];
    let count = |name: &str| gateway[name].as_u64().unwrap_or(0);
    let rate = |history: &[u64]| {
        history
            .last()
            .map_or_else(|| "-".to_owned(), u64::to_string)
    };
    let [allowed, denied] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let title = format!(
        "{} connected, messages {}/s, {} in all",
        count("connected"),
        rate(&now.messages),
        count("messages_in")
    );
    spark(frame, allowed, &title, &now.messages, ink.of(Color::Green));
    let title = format!("denied {}/s, {} in all", rate(&now.denied), count("denied"));
    spark(frame, denied, &title, &now.denied, ink.of(Color::Red));
}

fn list(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    found: &Found,
    line: impl Fn(&Value) -> Line<'static>,
) {
    let mut block = Block::bordered();
    let room = usize::from(block.inner(area).height);
    let lines = match found {
        Found::Nothing => vec![Line::from("asking")],
        Found::Refused(why) => vec![Line::from(why.clone())],
        Found::Items(items) if items.is_empty() => vec![Line::from("none")],
        Found::Items(items) => {
            if items.len() > room {
                let more = items.len() - room;
                block = block.title_bottom(format!(" +{more} more "));
            }
            items.iter().take(room).map(line).collect()
        }
    };
    let block = match found {
        Found::Items(items) => block.title(format!(" {title}: {} ", items.len())),
        _ => block.title(format!(" {title} ")),
    };
    let list = Paragraph::new(lines).block(block);
    let list = match found {
        // A reason is read to its end; of an item its beginning is enough.
        Found::Refused(_) => list.wrap(Wrap { trim: true }),
        _ => list,
    };
    frame.render_widget(list, area);
}

fn case_line(case: &Value, ink: Ink) -> Line<'static> {
    let text = |name: &str| cell(case.get(name));
    let severity = text("severity");
    let style = ink.severity(&severity);
    let subject: String = text("subject").chars().take(SUBJECT).collect();
    Line::from(vec![
        Span::styled(format!("{severity:<9}"), style),
        Span::raw(format!("{:<10}", text("state"))),
        Span::raw(format!("{subject:<SUBJECT$} ")),
        Span::raw(text("title").replace('\n', " ")),
    ])
}

fn action_line(action: &Value) -> Line<'static> {
    let text = |name: &str| cell(action.get(name)).replace('\n', " ");
    Line::from(format!(
        "{} {}: {}",
        text("action"),
        text("target"),
        text("reason")
    ))
}

fn happening(frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
    let block = Block::bordered().title(" what happens ");
    let room = usize::from(block.inner(area).height);
    let mut lines: Vec<Line<'_>> = Vec::new();
    match &now.no_events {
        Some(why) => lines.push(Line::from(why.as_str())),
        // The newest are at the bottom, and stay.
        None => {
            let from = now.events.len().saturating_sub(room);
            let newest = now.events.iter().skip(from);
            lines.extend(newest.map(|event| Line::from(event.as_str())));
        }
    }
    let happening = Paragraph::new(lines).block(block);
    let happening = match now.no_events {
        Some(_) => happening.wrap(Wrap { trim: true }),
        None => happening,
    };
    frame.render_widget(happening, area);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ratatui::{Terminal, backend::TestBackend};
    use serde_json::json;

    use super::{super::picture::Picture, *};

    fn busy() -> Picture {
        let picture = Picture::new("https://fleet.example:8443");
        let status = json!({
            "version": "0.1.0", "time": "2026-01-01T00:00:00Z", "policy_version": 3, "ledger_entries": 90,
            "devices": {"total": 1_000_000, "active": 999_990, "registered": 7, "quarantined": 3, "revoked": 0, "retired": 0},
            "gateway": {"started_at": "x", "connected": 41, "messages_in": 7000, "denied": 12},
        });
        picture.status(status, Instant::now());
        let case = |at: usize| {
            json!({"severity": "high", "state": "open", "subject": format!("device/cam-{at}"),
                "title": "It tries\ntopics\u{1b}[2J of others"})
        };
        let cases = (0..30).map(case).collect();
        let waiting =
            json!({"action": "revoke-certificate", "target": "device/cam-1", "reason": "again"});
        picture.response(Found::Items(cases), Found::Items(vec![waiting]), Some(true));
        for at in 0..50 {
            picture.event(format!("event {at}"));
        }
        picture
    }

    fn drawn(picture: &Picture, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let snapshot = picture.snapshot();
        terminal
            .draw(|frame| paint(frame, &snapshot, false, true))
            .expect("draws");
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(width.into());
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n")
            .collect()
    }

    #[test]
    fn three_quarantined_of_a_million_are_seen_and_the_newest_event_too() {
        let picture = busy();
        for (width, height) in [(80, 24), (120, 40), (200, 60)] {
            let drawn = drawn(&picture, width, height);
            for wanted in [
                "devices: 1000000",
                "✖ 3 quarantined",
                "●○✖",
                "41 connected",
                "open cases: 30",
                "more",
                "device/cam-0",
                "RESPONSE IS STOPPED",
                "event 49",
                " Palisade   live",
            ] {
                assert!(drawn.contains(wanted), "{wanted}:\n{drawn}");
            }
            assert!(!drawn.contains('\u{1b}'), "a device steers the terminal");
        }
    }

    #[test]
    fn shares_fill_the_width_and_leave_out_nobody_who_is_there() {
        assert_eq!(shares([999_990, 7, 3, 0, 0], 80), [78, 1, 1, 0, 0]);
        assert_eq!(shares([0, 0, 0], 80), [0, 0, 0]);
        assert_eq!(shares([u64::MAX, u64::MAX], 80), [40, 40]);
    }

    #[test]
    fn no_terminal_is_too_small() {
        let picture = busy();
        for (width, height) in [(1, 1), (10, 3), (40, 8)] {
            drawn(&picture, width, height);
        }
    }

    #[test]
    fn a_server_that_is_away_is_said_at_the_top() {
        let picture = Picture::new("https://fleet.example:8443");
        picture.lost("cannot reach it".to_owned());
        assert!(drawn(&picture, 120, 30).contains("NOT REACHED for 0 s: cannot reach it"));
    }
}
