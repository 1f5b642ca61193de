//! Sealed files: Parquet with modular encryption (AES-256-GCM). Every page, every index and the footer are sealed
//! under the file's own key, and bound to the path where the file stands: one that was moved, or of which a byte
//! was changed, does not open.

mod source;

use std::{collections::VecDeque, iter::Peekable, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt8Array, UInt64Array,
    cast::AsArray,
    types::{TimestampNanosecondType, UInt8Type, UInt64Type},
};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use futures_util::TryStreamExt;
use object_store::{ObjectStore, path::Path};
use palisade_keys::Secret;
use palisade_store::VaultObject;
use parquet::{
    arrow::{
        ArrowWriter, ParquetRecordBatchStreamBuilder, arrow_reader::ArrowReaderOptions,
        async_reader::ParquetRecordBatchStream,
    },
    basic::{Compression, Encoding, ZstdLevel},
    encryption::{decrypt::FileDecryptionProperties, encrypt::FileEncryptionProperties},
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
        statistics::Statistics,
    },
};
use source::Source;

use crate::{
    Row,
    sheet::{Sheet, View},
};

/// Messages in a group, the unit of what is read: a device's day is a part of one.
const GROUP: usize = 16 * 1024;
/// About how many bytes a group has at the most: whoever reads one holds it.
const GROUP_WEIGHT: usize = 8 * 1024 * 1024;
/// Messages in a batch at the most, and about how many bytes it has.
const BATCH: u64 = 1024;
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// Why a sealed file cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// It does not open: it was changed or moved, or the key is another.
    #[error("a sealed file cannot be used: {0}")]
    Parquet(#[source] ParquetError),
    /// The object store does not give it.
    #[error("a sealed file cannot be had from the object store: {0}")]
    Objects(#[source] object_store::Error),
    /// There is nothing to seal.
    #[error("there are no messages to seal")]
    Empty,
    /// It holds other columns than it should.
    #[error("a sealed file holds something else than messages: {0}")]
    Arrow(#[from] ArrowError),
}

impl From<ParquetError> for SealedError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(cause) => match cause.downcast() {
                Ok(cause) => Self::Objects(*cause),
                Err(cause) => Self::Parquet(ParquetError::External(cause)),
            },
            error => Self::Parquet(error),
        }
    }
}

impl SealedError {
    /// Whether it may be had later: nothing says that it was changed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Objects(cause) if !matches!(cause, object_store::Error::NotFound { .. }))
    }
}

fn schema() -> Arc<Schema> {
    let field = |name, kind| Field::new(name, kind, false);
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        field("device", DataType::Utf8),
        field("at", time),
        field("number", DataType::UInt64),
        field("product", DataType::Utf8),
        field("topic", DataType::Utf8),
        field("qos", DataType::UInt8),
        field("retain", DataType::Boolean),
        field("properties", DataType::Binary),
        field("payload", DataType::Binary),
    ]))
}

/// The bytes of a sealed file of these messages, which stand in order, for this path.
pub(crate) fn seal(sheet: &impl Sheet, key: &Secret, path: &str) -> Result<Vec<u8>, SealedError> {
    let encryption = FileEncryptionProperties::builder(key.expose().to_vec())
        .with_aad_prefix(path.as_bytes().to_vec())
        .build()?;
    let properties = properties()?.with_file_encryption_properties(encryption);
    let mut writer = ArrowWriter::try_new(Vec::new(), schema(), Some(properties.build()))?;
    let mut views = sheet.views().peekable();
    while views.peek().is_some() {
        writer.write(&to_batch(&group_of(&mut views))?)?;
        writer.flush()?;
    }
    Ok(writer.into_inner()?)
}

/// How the columns are written. A dictionary is for what comes again and again, and the bounds of a column for what is
/// searched: making either of what messages say costs more than all else, and numbers and times that go up
/// are smallest as what lies between them.
fn properties() -> Result<WriterPropertiesBuilder, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(GROUP))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_dictionary_enabled("payload".into(), false);
    for column in ["device", "at"] {
        properties =
            properties.set_column_statistics_enabled(column.into(), EnabledStatistics::Page);
    }
    for column in ["at", "number"] {
        properties = properties
            .set_column_dictionary_enabled(column.into(), false)
            .set_column_encoding(column.into(), Encoding::DELTA_BINARY_PACKED);
    }
    Ok(properties)
}

/// The messages that go into the next group: one at least.
fn group_of<'a>(views: &mut Peekable<impl Iterator<Item = View<'a>>>) -> Vec<View<'a>> {
    let (mut group, mut weight) = (Vec::new(), 0);
    while let Some(view) = views.next_if(|view| {
        group.is_empty() || (group.len() < GROUP && weight + view.weight() <= GROUP_WEIGHT)
    }) {
        weight += view.weight();
        group.push(view);
    }
    group
}

fn to_batch(rows: &[View<'_>]) -> Result<RecordBatch, ArrowError> {
    let at = TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.at));
    let numbers = rows.iter().map(|row| row.number);
    let columns: Vec<ArrayRef> = vec![
        text(rows.iter().map(|row| row.device)),
        Arc::new(at.with_timezone("UTC")),
        Arc::new(UInt64Array::from_iter_values(numbers)),
        text(rows.iter().map(|row| row.product)),
        text(rows.iter().map(|row| row.topic)),
        Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.qos))),
        Arc::new(BooleanArray::from_iter(
            rows.iter().map(|row| Some(row.retain)),
        )),
        bytes(rows.iter().map(|row| row.properties)),
        bytes(rows.iter().map(|row| row.payload)),
    ];
    RecordBatch::try_new(schema(), columns)
}

fn text<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn bytes<'a>(values: impl Iterator<Item = &'a [u8]>) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values(values))
}

/// The messages of a sealed file, in order.
pub(crate) struct Rows {
    batches: ParquetRecordBatchStream<Source>,
    device: Option<String>,
    ready: VecDeque<Row>,
}

impl Rows {
    /// Opens a sealed file at its place: for the messages of `device`, or of all where there is none.
    pub(crate) async fn open(
        store: Arc<dyn ObjectStore>,
        object: &VaultObject,
        key: &Secret,
        device: Option<&str>,
    ) -> Result<Self, SealedError> {
        let path = object.path.as_str();
        let decryption = FileDecryptionProperties::builder(key.expose().to_vec())
            .with_aad_prefix(path.as_bytes().to_vec())
            .build()?;
        let options = ArrowReaderOptions::new().with_file_decryption_properties(decryption);
        let source = Source {
            store,
            path: Path::from(path),
            bytes: object.bytes,
        };
        let each = (object.bytes / object.rows.max(1)).max(1);
        let builder = ParquetRecordBatchStreamBuilder::new_with_options(source, options).await?;
        let groups = groups_of(builder.metadata(), device);
        let batches = builder
            .with_row_groups(groups)
            .with_batch_size((BATCH_BYTES / each).clamp(1, BATCH) as usize)
            .build()?;
        Ok(Self {
            batches,
            device: device.map(str::to_owned),
            ready: VecDeque::new(),
        })
    }

    /// The next one; `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, SealedError> {
        while self.ready.is_empty() {
            let Some(batch) = self.batches.try_next().await? else {
                return Ok(None);
            };
            let columns = Columns::of(&batch)?;
            let range = columns.range_of(self.device.as_deref());
            self.ready.extend(range.map(|at| columns.row(at)));
        }
        Ok(self.ready.pop_front())
    }
}

/// The groups that may hold messages of a device.
fn groups_of(metadata: &ParquetMetaData, device: Option<&str>) -> Vec<usize> {
    let Some(device) = device.map(str::as_bytes) else {
        return (0..metadata.num_row_groups()).collect();
    };
    let may_hold = |statistics: &Statistics| {
        let least = statistics.min_bytes_opt();
        let most = statistics.max_bytes_opt();
        // What was cut short is a bound all the same: below for the least, above for the most.
        least.is_none_or(|least| least <= device) && most.is_none_or(|most| device <= most)
    };
    let groups = metadata.row_groups().iter().enumerate();
    groups
        .filter(|(_, group)| group.column(0).statistics().is_none_or(may_hold))
        .map(|(at, _)| at)
        .collect()
}

/// The columns of a batch.
struct Columns<'a> {
    device: &'a StringArray,
    at: &'a TimestampNanosecondArray,
    number: &'a UInt64Array,
    product: &'a StringArray,
    topic: &'a StringArray,
    qos: &'a UInt8Array,
    retain: &'a BooleanArray,
    properties: &'a BinaryArray,
    payload: &'a BinaryArray,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        let other = || ArrowError::SchemaError("the columns are others".to_owned());
        let column = |name| batch.column_by_name(name).ok_or_else(other);
        Ok(Self {
            device: column("device")?.as_string_opt().ok_or_else(other)?,
            at: column("at")?
                .as_primitive_opt::<TimestampNanosecondType>()
                .ok_or_else(other)?,
            number: column("number")?
                .as_primitive_opt::<UInt64Type>()
                .ok_or_else(other)?,
            product: column("product")?.as_string_opt().ok_or_else(other)?,
            topic: column("topic")?.as_string_opt().ok_or_else(other)?,
            qos: column("qos")?
                .as_primitive_opt::<UInt8Type>()
                .ok_or_else(other)?,
            retain: column("retain")?.as_boolean_opt().ok_or_else(other)?,
            properties: column("properties")?.as_binary_opt().ok_or_else(other)?,
            payload: column("payload")?.as_binary_opt().ok_or_else(other)?,
        })
    }

    /// The rows of a device; they stand together.
    fn range_of(&self, device: Option<&str>) -> std::ops::Range<usize> {
        let len = self.device.len();
        let Some(device) = device else {
            return 0..len;
        };
        let first = partition(len, |at| self.device.value(at) < device);
        let behind = partition(len, |at| self.device.value(at) <= device);
        first..behind
    }

    fn row(&self, at: usize) -> Row {
        Row {
            number: self.number.value(at),
            at: self.at.value(at),
            device: self.device.value(at).into(),
            product: self.product.value(at).into(),
            topic: self.topic.value(at).into(),
            qos: self.qos.value(at),
            retain: self.retain.value(at),
            withheld: false,
            properties: self.properties.value(at).into(),
            payload: self.payload.value(at).into(),
        }
    }
}

/// The first of `len` places that does not satisfy `is_before`, which the first ones do.
fn partition(len: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        match is_before(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::Record;

    #[test]
    fn what_is_searched_has_bounds_and_what_messages_say_has_none() {
        let row = |number: u64| {
            let record = Record {
                at: number as i64,
                device: if number < 9 { "cam-1" } else { "cam-2" },
                product: "cam",
                segment: "hall",
                topic: "t",
                days: 30,
                qos: 1,
                retain: false,
                properties: b"",
                payload: b"a measurement",
            };
            Row::of(number, &record)
        };
        let (rows, key) = (
            (0..20).map(row).collect::<Vec<_>>(),
            Secret::new(vec![7; 32]),
        );
        let file = seal(&rows, &key, "p").expect("seals");
        let decryption = FileDecryptionProperties::builder(key.expose().to_vec())
            .with_aad_prefix(b"p".to_vec())
            .build()
            .expect("a key");
        let options = ArrowReaderOptions::new().with_file_decryption_properties(decryption);
        let file = bytes::Bytes::from(file);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options);
        let builder = builder.expect("opens");
        let columns = builder.metadata().row_group(0).columns();
        for column in columns {
            let (name, bounds) = (column.column_path().string(), column.statistics());
            let is_searched = ["device", "at"].contains(&name.as_str());
            assert_eq!(bounds.is_some(), is_searched, "{name}");
            let is_repeated = !["at", "number", "payload"].contains(&name.as_str());
            let is_short = name == "retain";
            let has_dictionary = column.dictionary_page_offset().is_some();
            assert_eq!(has_dictionary, is_repeated && !is_short, "{name}");
        }
        assert_eq!(groups_of(builder.metadata(), Some("cam-2")), [0]);
        assert!(groups_of(builder.metadata(), Some("cam-3")).is_empty());
    }
}
