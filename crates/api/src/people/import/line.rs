//! What one line says.

use csv_core::{ReadRecordResult, Reader};
use palisade_core::{DeviceId, Labels, ProductId, SegmentId};

use super::lines::{MAX_LINE, TooLong};

/// More than there are columns; a line with more cells than this is refused as it is.
const MAX_CELLS: usize = 16;

/// Why a line has no cells.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// It is longer than any device needs.
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// It is not text.
    #[error("the line is not UTF-8: save the file as UTF-8")]
    NotText,
    /// It has far more cells than there are columns.
    #[error("the line has more than {MAX_CELLS} cells")]
    TooMany,
    /// A quotation mark opens a cell that ends on a later line or never.
    #[error("a quoted cell does not end on its line: no value of a device has a line break")]
    OpenQuote,
    /// It has another number of cells than the header.
    #[error("the line has {found} cells, the header has {expected}")]
    Count {
        /// In the line.
        found: usize,
        /// In the header.
        expected: usize,
    },
    /// The header lacks a column.
    #[error("the header has no column {0:?}: it begins `id,product,labels`")]
    NoColumn(&'static str),
    /// The header has a column twice, or one that is not known.
    #[error("the header has a column {0:?}: there are id, product, labels and segment, each once")]
    Column(String),
}

/// The cells of a line; none where it is empty.
pub(super) fn cells(line: Result<&[u8], TooLong>) -> Result<Vec<String>, LineError> {
    let line = line.map_err(|TooLong| LineError::TooLong)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new();
    let mut output = vec![0; line.len() + 1];
    let mut ends = [0; MAX_CELLS];
    let input = [line, b"\n"].concat();
    let (result, _, _, count) = reader.read_record(&input, &mut output, &mut ends);
    match result {
        ReadRecordResult::Record => {}
        ReadRecordResult::OutputEndsFull => return Err(LineError::TooMany),
        // A blank line of spaces or of a lone carriage return is no record.
        ReadRecordResult::End => return Ok(Vec::new()),
        ReadRecordResult::InputEmpty | ReadRecordResult::OutputFull => {
            return Err(LineError::OpenQuote);
        }
    }
    let mut cells = Vec::with_capacity(count);
    let mut begin = 0;
    for &end in &ends[..count] {
        let text = std::str::from_utf8(&output[begin..end]).map_err(|_| LineError::NotText)?;
        cells.push(text.to_owned());
        begin = end;
    }
    Ok(cells)
}

/// Where the columns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    id: usize,
    product: usize,
    labels: Option<usize>,
    segment: Option<usize>,
    count: usize,
}

/// A device as a line says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: DeviceId,
    pub(super) product: ProductId,
    pub(super) labels: Labels,
    pub(super) segment: Option<SegmentId>,
}

/// What is wrong in a row, by column.
pub(super) type RowErrors = Vec<(Option<&'static str>, String)>;

impl Columns {
    /// Reads the header.
    pub(super) fn parse(cells: &[String]) -> Result<Self, LineError> {
        let (mut id, mut product, mut labels, mut segment) = (None, None, None, None);
        for (at, cell) in cells.iter().enumerate() {
            // Spreadsheets begin a file with a byte order mark.
            let name = cell.strip_prefix('\u{feff}').filter(|_| at == 0);
            let name = name.unwrap_or(cell).trim();
            let place = match name.to_ascii_lowercase().as_str() {
                "id" => &mut id,
                "product" => &mut product,
                "labels" => &mut labels,
                "segment" => &mut segment,
                _ => return Err(LineError::Column(name.chars().take(80).collect())),
            };
            if place.replace(at).is_some() {
                return Err(LineError::Column(name.chars().take(80).collect()));
            }
        }
        Ok(Self {
            id: id.ok_or(LineError::NoColumn("id"))?,
            product: product.ok_or(LineError::NoColumn("product"))?,
            labels,
            segment,
            count: cells.len(),
        })
    }

    /// Reads a line; everything that is wrong with it is said.
    pub(super) fn row(&self, cells: &[String]) -> Result<Row, RowErrors> {
        if cells.len() != self.count {
            let error = LineError::Count {
                found: cells.len(),
                expected: self.count,
            };
            return Err(vec![(None, error.to_string())]);
        }
        let mut errors = RowErrors::new();
        let id = note(&mut errors, "id", DeviceId::parse(cells[self.id].trim()));
        let product = ProductId::parse(cells[self.product].trim());
        let product = note(&mut errors, "product", product);
        let text = self.labels.map_or("", |at| cells[at].as_str());
        let labels = note(&mut errors, "labels", Labels::parse_list(text));
        let text = self.segment.map(|at| cells[at].trim());
        let segment = text.filter(|text| !text.is_empty()).map(SegmentId::parse);
        let segment = note(&mut errors, "segment", segment.transpose());
        match (id, product, labels, segment) {
            (Some(id), Some(product), Some(labels), Some(segment)) => Ok(Row {
                id,
                product,
                labels,
                segment,
            }),
            _ => Err(errors),
        }
    }
}

fn note<T, E: ToString>(
    errors: &mut RowErrors,
    column: &'static str,
    value: Result<T, E>,
) -> Option<T> {
    value
        .map_err(|error| errors.push((Some(column), error.to_string())))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &[u8]) -> Result<Vec<String>, LineError> {
        cells(Ok(line))
    }

    #[test]
    fn cells_are_quoted_as_in_rfc_4180() {
        let cells = texts(b"\"a\",\"b,\"\"c\"\"\",d\r").expect("cells");
        assert_eq!(cells, ["a", "b,\"c\"", "d"]);
        assert_eq!(texts(b"").expect("cells"), [""; 0]);
        assert_eq!(texts(b"a,").expect("cells"), ["a", ""]);
    }

    #[test]
    fn a_line_that_is_no_line_of_a_table_is_refused_and_says_why() {
        assert_eq!(texts(b"\"a,b"), Err(LineError::OpenQuote));
        assert_eq!(texts(b"a,\xff\xfe"), Err(LineError::NotText));
        assert_eq!(texts(&[b','; 100]), Err(LineError::TooMany));
        assert_eq!(cells(Err(TooLong)), Err(LineError::TooLong));
    }

    #[test]
    fn everything_that_is_wrong_with_a_row_is_said_at_once() {
        let header = ["id", "product", "labels"].map(str::to_owned);
        let columns = Columns::parse(&header).expect("a header");
        let row = ["a/b", "", "x"].map(str::to_owned);
        let errors = columns.row(&row).expect_err("three errors");
        let fields: Vec<_> = errors.iter().map(|(field, _)| *field).collect();
        assert_eq!(fields, [Some("id"), Some("product"), Some("labels")]);
    }

    #[test]
    fn a_header_has_each_column_once_and_no_other() {
        let parse = |names: &[&str]| {
            Columns::parse(
                &names
                    .iter()
                    .map(|&name| name.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert!(parse(&["\u{feff}ID", "product"]).is_ok());
        assert!(parse(&["product", "segment", "id", "labels"]).is_ok());
        assert_eq!(parse(&["id"]), Err(LineError::NoColumn("product")));
        assert!(parse(&["id", "product", "id"]).is_err());
        assert!(parse(&["id", "product", "owner"]).is_err());
    }
}
