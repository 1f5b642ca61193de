//! Messages as they leave the vault in a file: in a form that others read, and, where recipients are named, sealed for
//! them before a byte leaves. Memory holds a part of the messages (of Parquet a group), not the file.

mod recipient;
mod table;
mod text;

use std::{
    io::{self, Write},
    sync::Arc,
};

use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use parking_lot::Mutex;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

pub use recipient::{Recipient, RecipientError};

use crate::Row;

/// The most recipients of an export.
pub const MAX_RECIPIENTS: usize = 5;
/// About how many bytes of messages a group of Parquet has, unless they cannot be made so small that what is held of
/// them stays below the other: what the file's end says of each group is held until the end.
const GROUP_WEIGHT: usize = 64 * 1024 * 1024;
const GROUP_HELD: usize = 16 * 1024 * 1024;

/// In which form messages are written out. All have the same columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JSON object a line.
    Ndjson,
    /// Comma-separated values with a head (RFC 4180); payloads in base64.
    Csv,
    /// A stream of Arrow IPC.
    Arrow,
    /// Parquet.
    Parquet,
}

impl Form {
    /// What an answer of this form says that it is.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }
}

/// Why messages cannot be written out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Not as Arrow.
    #[error("messages cannot be written as Arrow: {0}")]
    Arrow(#[from] ArrowError),
    /// Not as Parquet.
    #[error("messages cannot be written as Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// They cannot be sealed for their recipients.
    #[error("messages cannot be sealed for their recipients: {0}")]
    Seal(String),
    /// A line cannot be written.
    #[error("messages cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Writes messages out, part by part.
pub struct Exporter {
    // Never locked: the writers of Parquet may be sent to another thread, and not be seen by two.
    writer: Mutex<Writer>,
    out: Sink,
}

enum Writer {
    Ndjson(Out),
    Csv(Out),
    // They hold buffers of their own.
    Arrow(Box<StreamWriter<Out>>),
    Parquet(Box<ArrowWriter<Out>>, usize),
}

impl Exporter {
    /// Begins a file: in the open where there are no recipients, else one that these alone can open.
    ///
    /// # Errors
    /// When its beginning cannot be written.
    pub fn begin(form: Form, recipients: &[Recipient]) -> Result<Self, ExportError> {
        let sink = Sink::default();
        let mut out = match recipients {
            [] => Out::Plain(sink.clone()),
            recipients => Out::Sealed(Box::new(recipient::seal(recipients, sink.clone())?)),
        };
        let writer = match form {
            Form::Ndjson => Writer::Ndjson(out),
            Form::Csv => {
                writeln!(out, "{}", text::CSV_HEAD)?;
                Writer::Csv(out)
            }
            Form::Arrow => {
                let writer = StreamWriter::try_new(out, &table::schema())?;
                Writer::Arrow(Box::new(writer))
            }
            Form::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
                    .build();
                let writer = ArrowWriter::try_new(out, table::schema(), Some(properties))?;
                Writer::Parquet(Box::new(writer), 0)
            }
        };
        Ok(Self {
            writer: Mutex::new(writer),
            out: sink,
        })
    }

    /// Takes the next messages, and gives what of the file is ready.
    ///
    /// # Errors
    /// When they cannot be written; the file is no whole one then.
    pub fn put(&mut self, rows: &[Row]) -> Result<Vec<u8>, ExportError> {
        match self.writer.get_mut() {
            Writer::Ndjson(out) => text::json_lines(rows, out)?,
            Writer::Csv(out) => text::csv_lines(rows, out)?,
            Writer::Arrow(_) | Writer::Parquet(..) if rows.is_empty() => {}
            Writer::Arrow(writer) => writer.write(&table::of(rows)?)?,
            Writer::Parquet(writer, weight) => {
                writer.write(&table::of(rows)?)?;
                *weight += rows.iter().map(Row::weight).sum::<usize>();
                if *weight >= GROUP_WEIGHT || writer.memory_size() >= GROUP_HELD {
                    writer.flush()?;
                    *weight = 0;
                }
            }
        }
        Ok(self.out.take())
    }

    /// Ends the file, and gives what is left of it.
    ///
    /// # Errors
    /// When its end cannot be written.
    pub fn finish(self) -> Result<Vec<u8>, ExportError> {
        let out = match self.writer.into_inner() {
            Writer::Ndjson(out) | Writer::Csv(out) => out,
            Writer::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
            Writer::Parquet(writer, _) => writer.into_inner()?,
        };
        out.finish()?;
        Ok(self.out.take())
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

/// Where the bytes of the file wait until they are fetched.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The way to it.
enum Out {
    Plain(Sink),
    Sealed(Box<age::stream::StreamWriter<Sink>>),
}

impl Out {
    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Sealed(writer) => writer.finish().map(drop),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(sink) => sink.write(bytes),
            Self::Sealed(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.flush(),
            Self::Sealed(writer) => writer.flush(),
        }
    }
}

#[cfg(test)]
mod tests;
