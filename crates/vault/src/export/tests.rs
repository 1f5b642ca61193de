use arrow_array::{Array, cast::AsArray};
use arrow_ipc::reader::StreamReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::Wiped;

fn row(number: u64, topic: &str, payload: &[u8]) -> Row {
    Row {
        number,
        at: 1_801_440_000_000_000_000,
        device: "cam-1".into(),
        product: "cam".into(),
        topic: topic.into(),
        qos: 1,
        retain: false,
        withheld: false,
        properties: Wiped::default(),
        payload: payload.into(),
    }
}

fn export(form: Form, recipients: &[Recipient], parts: &[Vec<Row>]) -> Vec<u8> {
    let mut exporter = Exporter::begin(form, recipients).expect("begins");
    let mut file = Vec::new();
    for part in parts {
        file.extend(exporter.put(part).expect("is written"));
    }
    file.extend(exporter.finish().expect("ends"));
    file
}

fn parts() -> Vec<Vec<Row>> {
    vec![
        vec![row(1, "t/a", b"one"), row(2, "t/b", b"\xff\x00")],
        vec![row(3, "t/a", b"three")],
    ]
}

#[test]
fn a_line_of_csv_is_no_formula_and_no_two_lines() {
    let file = export(Form::Csv, &[], &[vec![row(7, "=1+\"1", b"a,\nb")]]);
    let text = String::from_utf8(file).expect("text");
    let line = text.lines().nth(1).expect("a line");
    assert_eq!(text.lines().count(), 2);
    assert_eq!(
        line,
        "7,2027-02-01T00:00:00Z,cam-1,cam,\"'=1+\"\"1\",1,false,false,YSwKYg=="
    );
}

#[test]
fn what_is_withheld_is_in_no_form() {
    let mut secret = row(1, "t/a", b"secret");
    secret.withheld = true;
    for form in [Form::Ndjson, Form::Csv, Form::Arrow, Form::Parquet] {
        let file = export(form, &[], &[vec![secret.clone()]]);
        let holds = |text: &[u8]| file.windows(text.len()).any(|part| part == text);
        assert!(!holds(b"secret") && !holds(b"c2VjcmV0"), "{form:?}");
    }
}

#[test]
fn arrow_and_parquet_are_read_back_whole() {
    let arrow = export(Form::Arrow, &[], &parts());
    let batches: Vec<_> = StreamReader::try_new(arrow.as_slice(), None)
        .expect("opens")
        .collect::<Result<_, _>>()
        .expect("reads");
    let payloads = |batch: &arrow_array::RecordBatch| -> Vec<Vec<u8>> {
        let column = batch.column_by_name("payload").expect("payloads");
        let column = column.as_binary::<i32>();
        (0..column.len())
            .map(|at| column.value(at).to_vec())
            .collect()
    };
    let all: Vec<Vec<u8>> = batches.iter().flat_map(payloads).collect();
    assert_eq!(
        all,
        [b"one".to_vec(), b"\xff\x00".to_vec(), b"three".to_vec()]
    );
    let parquet = export(Form::Parquet, &[], &parts());
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(parquet)).expect("opens");
    assert_eq!(reader.metadata().num_row_groups(), 1, "no group a part");
    let batches: Vec<_> = reader
        .build()
        .expect("opens")
        .collect::<Result<_, _>>()
        .expect("reads");
    let all: Vec<Vec<u8>> = batches.iter().flat_map(payloads).collect();
    assert_eq!(all.len(), 3);
}

/// Exports parts of two megabytes as Parquet: how many groups they are, and the most that was held.
fn groups(parts: usize, payload: impl Fn() -> Vec<u8>) -> (usize, usize) {
    let mut exporter = Exporter::begin(Form::Parquet, &[]).expect("begins");
    let (mut file, mut most) = (Vec::new(), 0);
    for number in 0..parts as u64 {
        let part = [
            row(2 * number, "t", &payload()),
            row(2 * number + 1, "t", &payload()),
        ];
        file.extend(exporter.put(&part).expect("is written"));
        if let Writer::Parquet(writer, _) = exporter.writer.get_mut() {
            most = most.max(writer.memory_size());
        }
    }
    file.extend(exporter.finish().expect("ends"));
    let opened = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file));
    (opened.expect("opens").metadata().num_row_groups(), most)
}

#[test]
fn a_group_of_parquet_is_large_and_what_is_held_of_it_is_not() {
    const MEGABYTE: usize = 1024 * 1024;
    let (groups_of_little, _) = groups(40, || vec![b'x'; MEGABYTE]);
    assert_eq!(groups_of_little, 2, "80 megabytes that take no room");
    let random = || {
        let mut bytes = vec![0; MEGABYTE];
        aws_lc_rs::rand::fill(&mut bytes).expect("is random");
        bytes
    };
    let (groups_of_much, held) = groups(16, random);
    assert_eq!(groups_of_much, 2, "32 megabytes that take as much");
    assert!(held < GROUP_HELD, "{held} bytes");
}

#[test]
fn a_sealed_export_opens_for_each_recipient_and_shows_nothing_to_others() {
    use std::io::Read;
    let keys = [
        age::x25519::Identity::generate(),
        age::x25519::Identity::generate(),
    ];
    let recipients: Vec<Recipient> = keys
        .iter()
        .map(|key| key.to_public().to_string().parse().expect("a recipient"))
        .collect();
    let file = export(Form::Ndjson, &recipients, &parts());
    assert!(!file.windows(5).any(|part| part == b"three"));
    let open = |key: &age::x25519::Identity, file: &[u8]| {
        let decryptor = age::Decryptor::new(file).map_err(|error| error.to_string())?;
        let mut reader = decryptor
            .decrypt(std::iter::once(key as &dyn age::Identity))
            .map_err(|error| error.to_string())?;
        let mut text = String::new();
        reader
            .read_to_string(&mut text)
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(text)
    };
    for key in &keys {
        assert_eq!(open(key, &file).expect("opens").lines().count(), 3);
    }
    open(&age::x25519::Identity::generate(), &file).expect_err("of somebody else");
    open(&keys[0], &file[..file.len() - 1]).expect_err("its end is cut off");
}

#[test]
fn a_secret_key_is_no_recipient_and_is_not_repeated() {
    let parse = |text: &str| text.parse::<Recipient>().expect_err("is refused");
    let secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
    assert_eq!(parse(secret), RecipientError::Secret);
    assert!(!parse(secret).to_string().contains("QQQQ"));
    assert_eq!(parse("ssh-ed25519 AAAA"), RecipientError::Ssh);
    assert_eq!(parse("age1"), RecipientError::Other);
}
