//! Messages as a table of Arrow.

use std::sync::{Arc, LazyLock};

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt8Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::Row;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name, kind| Field::new(name, kind, false);
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        field("number", DataType::UInt64),
        field("at", time),
        field("device", DataType::Utf8),
        field("product", DataType::Utf8),
        field("topic", DataType::Utf8),
        field("qos", DataType::UInt8),
        field("retain", DataType::Boolean),
        field("withheld", DataType::Boolean),
        Field::new("payload", DataType::Binary, true),
    ]))
});

pub(super) fn schema() -> SchemaRef {
    SCHEMA.clone()
}

pub(super) fn of(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&Row) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let flag = |of: fn(&Row) -> bool| -> ArrayRef {
        Arc::new(BooleanArray::from_iter(
            rows.iter().map(|row| Some(of(row))),
        ))
    };
    let at = TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.at));
    let numbers = rows.iter().map(|row| row.number);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(numbers)),
        Arc::new(at.with_timezone("UTC")),
        text(|row| &row.device),
        text(|row| &row.product),
        text(|row| &row.topic),
        Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.qos))),
        flag(|row| row.retain),
        flag(|row| row.withheld),
        Arc::new(BinaryArray::from_iter(rows.iter().map(Row::shown))),
    ];
    RecordBatch::try_new(schema(), columns)
}
