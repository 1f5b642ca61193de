//! Sealed against plain Parquet: the same columns and settings as the vault's files, written and read with and without
//! modular encryption.

use std::sync::Arc;

use anyhow::{Result, ensure};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt8Array, UInt64Array,
};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, Encoding, ZstdLevel},
    encryption::{decrypt::FileDecryptionProperties, encrypt::FileEncryptionProperties},
    file::properties::{EnabledStatistics, WriterProperties},
};

use super::{BEGIN_S, STEP_NANOS, cpu, payload};
use crate::{
    Options,
    report::{median, table},
};

const DEVICES: u64 = 1_000;
/// Rows of a group, as in the vault's files.
const GROUP: usize = 16 * 1024;
const KEY: [u8; 32] = [7; 32];
const PATH: &[u8] = b"default/2023-11-15/bench.parquet";

/// Measures and prints.
pub fn measure(options: &Options) -> Result<()> {
    let rows = options.messages;
    println!("## Sealed against plain Parquet, {rows} messages in one file, in memory\n");
    let batches = batches(rows)?;
    let mut found: [[Vec<f64>; 3]; 2] = Default::default();
    for _ in 0..options.runs {
        for (is_sealed, [write, read, bytes]) in [false, true].into_iter().zip(&mut found) {
            let began = cpu();
            let file = written(&batches, is_sealed)?;
            write.push((cpu() - began).as_secs_f64());
            bytes.push(file.len() as f64);
            let began = cpu();
            let count = read_back(file, is_sealed)?;
            ensure!(count as u64 == rows, "{count} rows are read back");
            read.push((cpu() - began).as_secs_f64());
        }
    }
    let [plain, sealed] = found.map(|each| each.map(|values| median(&values)));
    let row = |name: &str, of: [f64; 3]| {
        let against = |at: usize| format!("{:.3}", of[at] / plain[at]);
        vec![
            name.to_owned(),
            format!("{:.2}", of[0]),
            against(0),
            format!("{:.2}", of[1]),
            against(1),
            format!("{:.1}", of[2] / rows as f64),
            against(2),
        ]
    };
    let header = [
        "",
        "write, CPU s",
        "against plain",
        "read, CPU s",
        "against plain",
        "bytes a row",
        "against plain",
    ];
    println!(
        "{}",
        table(&header, &[row("plain", plain), row("sealed", sealed)])
    );
    Ok(())
}

/// The rows as the vault sorts them: device by device, in time.
fn batches(rows: u64) -> Result<Vec<RecordBatch>> {
    let each = rows / DEVICES;
    let numbers: Vec<u64> = (0..DEVICES)
        .flat_map(|device| (0..each).map(move |count| count * DEVICES + device))
        .collect();
    numbers.chunks(GROUP).map(batch).collect()
}

fn batch(numbers: &[u64]) -> Result<RecordBatch> {
    let text = |of: fn(u64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            numbers.iter().map(|number| of(*number)),
        ))
    };
    let at = numbers
        .iter()
        .map(|number| BEGIN_S * 1_000_000_000 + *number as i64 * STEP_NANOS);
    let at = TimestampNanosecondArray::from_iter_values(at).with_timezone("UTC");
    let same = |count: usize| std::iter::repeat_n(1_u8, count);
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "device",
            text(|number| format!("sensor-{}", number % DEVICES)),
        ),
        ("at", Arc::new(at)),
        (
            "number",
            Arc::new(UInt64Array::from_iter_values(numbers.iter().copied())),
        ),
        ("product", text(|_| "sensor".to_owned())),
        (
            "topic",
            text(|number| format!("devices/sensor-{}/telemetry", number % DEVICES)),
        ),
        (
            "qos",
            Arc::new(UInt8Array::from_iter_values(same(numbers.len()))),
        ),
        (
            "retain",
            Arc::new(BooleanArray::from_iter(numbers.iter().map(|_| Some(false)))),
        ),
        (
            "properties",
            Arc::new(BinaryArray::from_iter_values(numbers.iter().map(|_| b""))),
        ),
        (
            "payload",
            Arc::new(BinaryArray::from_iter_values(
                numbers.iter().map(|number| payload(*number)),
            )),
        ),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn written(batches: &[RecordBatch], is_sealed: bool) -> Result<Bytes> {
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
    if is_sealed {
        let encryption = FileEncryptionProperties::builder(KEY.to_vec())
            .with_aad_prefix(PATH.to_vec())
            .build()?;
        properties = properties.with_file_encryption_properties(encryption);
    }
    let schema = batches[0].schema();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties.build()))?;
    for batch in batches {
        writer.write(batch)?;
        writer.flush()?;
    }
    Ok(writer.into_inner()?.into())
}

fn read_back(file: Bytes, is_sealed: bool) -> Result<usize> {
    let mut options = ArrowReaderOptions::new();
    if is_sealed {
        let decryption = FileDecryptionProperties::builder(KEY.to_vec())
            .with_aad_prefix(PATH.to_vec())
            .build()?;
        options = options.with_file_decryption_properties(decryption);
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
    let mut rows = 0;
    for batch in builder.with_batch_size(GROUP).build()? {
        rows += batch?.num_rows();
    }
    Ok(rows)
}
