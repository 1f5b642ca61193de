//! A series as a line of bars.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    widgets::{Block, Sparkline},
};

/// Draws the newest of a history in a box with a title.
pub(crate) fn spark(frame: &mut Frame<'_>, area: Rect, title: &str, history: &[u64], style: Style) {
    let width = usize::from(area.width.saturating_sub(2));
    let from = history.len().saturating_sub(width);
    let block = Block::bordered().title(format!(" {title} "));
    let line = Sparkline::default()
        .block(block)
        .data(&history[from..])
        .style(style);
    frame.render_widget(line, area);
}
