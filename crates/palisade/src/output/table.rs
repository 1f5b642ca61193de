//! Rows and columns, and one thing a line a value.

use serde_json::Value;

use super::{
    Column,
    cell::{colour, fit, sanitise, text},
};

/// A table of items. An empty one is a word.
pub(crate) fn rows(items: &[Value], columns: &[Column], colours: bool) -> String {
    if items.is_empty() {
        return "(none)".to_owned();
    }
    let cells: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let last = columns.len().saturating_sub(1);
            columns
                .iter()
                .enumerate()
                .map(|(at, column)| fit(&text(item.pointer(column.pointer)), at == last))
                .collect()
        })
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let widest = cells.iter().map(|row| row[at].chars().count()).max();
            widest.unwrap_or(0).max(column.heading.chars().count())
        })
        .collect();
    let mut out = String::new();
    let headings = columns.iter().map(|column| column.heading);
    line(&mut out, headings, &widths, |_| colours.then_some("1"));
    for row in &cells {
        let row = row.iter().map(String::as_str);
        line(&mut out, row, &widths, |word| {
            colour(word).filter(|_| colours)
        });
    }
    out
}

fn line<'a>(
    out: &mut String,
    cells: impl Iterator<Item = &'a str>,
    widths: &[usize],
    paint: impl Fn(&str) -> Option<&'static str>,
) {
    let mut text = String::new();
    for (cell, width) in cells.zip(widths) {
        let gap = width - cell.chars().count() + 2;
        text.push_str(&painted(cell, paint(cell)));
        text.extend(std::iter::repeat_n(' ', gap));
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

fn painted(text: &str, code: Option<&str>) -> String {
    match code {
        Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        None => text.to_owned(),
    }
}

/// One thing: the named values first, then all others.
pub(crate) fn record(value: &Value, first: &[Column], colours: bool) -> String {
    let mut lines: Vec<(String, String)> = first
        .iter()
        .filter_map(|column| {
            let found = value.pointer(column.pointer)?;
            Some((column.heading.to_owned(), text(Some(found))))
        })
        .collect();
    flatten(value, "", "", first, &mut lines);
    let width = lines.iter().map(|(key, _)| key.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut out = String::new();
    for (key, text) in &lines {
        let gap = " ".repeat(width - key.chars().count() + 2);
        let key = painted(key, colours.then_some("1"));
        let text = painted(text, colour(text).filter(|_| colours));
        // Text of more than one line (a certificate, a policy) stands under its name.
        match text.trim_end().contains('\n') {
            true => out.push_str(&format!("{key}\n{}\n", text.trim_end())),
            false => out.push_str(&format!("{key}{gap}{}\n", text.trim_end())),
        }
    }
    out
}

fn flatten(
    value: &Value,
    pointer: &str,
    name: &str,
    shown: &[Column],
    lines: &mut Vec<(String, String)>,
) {
    if !pointer.is_empty() && shown.iter().any(|column| column.pointer == pointer) {
        return;
    }
    match value {
        Value::Object(map) if !map.contains_key("type") => {
            for (key, value) in map {
                let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                let key = sanitise(key).replace('_', " ");
                let name = match name.is_empty() {
                    true => key,
                    false => format!("{name} {key}"),
                };
                flatten(value, &pointer, &name, shown, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                lines.push((name.to_owned(), text(Some(item))));
            }
        }
        other => lines.push((name.to_owned(), text(Some(other)))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::column, *};

    #[test]
    fn a_table_lines_its_columns_up() {
        let items = [
            json!({"id": "cam-1", "posture": {"trust": 100}}),
            json!({"id": "camera-22"}),
        ];
        let columns = [column("ID", "/id"), column("TRUST", "/posture/trust")];
        assert_eq!(
            rows(&items, &columns, false),
            "ID         TRUST\ncam-1      100\ncamera-22  -\n"
        );
        assert_eq!(rows(&[], &columns, false), "(none)");
    }

    #[test]
    fn a_record_shows_what_is_named_first_and_leaves_nothing_out() {
        let value = json!({"a": 1, "id": "x", "posture": {"trust": 3, "reasons": [{"points": 9}]}});
        let first = [column("id", "/id"), column("trust", "/posture/trust")];
        assert_eq!(
            record(&value, &first, false),
            "id               x\ntrust            3\na                1\nposture reasons  points=9\n"
        );
    }
}
