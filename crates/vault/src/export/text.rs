//! Messages as lines of text.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Serialize;

use crate::Row;

pub(super) const CSV_HEAD: &str =
    "number,at,device,product,topic,qos,retain,withheld,payload_base64";

#[derive(Serialize)]
struct Line<'a> {
    number: u64,
    at: String,
    device: &'a str,
    product: &'a str,
    topic: &'a str,
    qos: u8,
    retain: bool,
    withheld: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// A JSON object a line. What a message says is `payload` where that is text, else `payload_base64`, and neither where
/// it is withheld.
pub(super) fn json_lines(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    for row in rows {
        let shown = row.shown();
        let payload = shown.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let line = Line {
            number: row.number,
            at: row.time().to_string(),
            device: &row.device,
            product: &row.product,
            topic: &row.topic,
            qos: row.qos,
            retain: row.retain,
            withheld: row.withheld,
            payload_base64: match payload {
                Some(_) => None,
                None => shown.map(|bytes| BASE64.encode(bytes)),
            },
            payload,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Lines of CSV (RFC 4180). Every field that a device chose is quoted or in base64, so that no spreadsheet takes it
/// for a formula.
pub(super) fn csv_lines(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    for row in rows {
        let topic = row.topic.replace('"', "\"\"");
        let guard = match topic.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            true => "'",
            false => "",
        };
        writeln!(
            out,
            "{},{},{},{},\"{guard}{topic}\",{},{},{},{}",
            row.number,
            row.time(),
            row.device,
            row.product,
            row.qos,
            row.retain,
            row.withheld,
            BASE64.encode(row.shown().unwrap_or_default()),
        )?;
    }
    Ok(())
}
