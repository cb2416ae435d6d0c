//! Results files that are there: read whole, checked, their fields addressed by the names of their columns.

use std::path::{Path, PathBuf};

use super::COLUMNS;
use crate::bounded::{self, LineNumbers};

/// The columns of results that every version has written: those before this one, and it.
const LAST_OF_THE_FIRST_VERSION: &str = "version";

/// What a file has to be.
struct Form {
    /// As errors call it.
    name: &'static str,
    columns: &'static [&'static str],
}

fn results() -> Form {
    let first = COLUMNS.iter().position(|&column| column == LAST_OF_THE_FIRST_VERSION).map_or(0, |at| at + 1);
    Form { name: "a results file, as `polyact eval --out` writes it,", columns: &COLUMNS[..first] }
}

const OVERFLOW: Form = Form {
    name: "an overflow report, as `polyact eval --overflow-report` writes it,",
    columns: &["index", "site", "range", "first_here", "needed_range"],
};

/// The whole rows of a results file.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedResults {
    pub path: PathBuf,
    /// The header.
    pub columns: Vec<String>,
    pub rows: Vec<SavedRow>,
    /// The number of the last line if it is cut short; it is not among the rows.
    pub cut: Option<u64>,
}

/// A row as it stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedRow {
    /// Where it begins in the file, from 1.
    pub line: u64,
    /// As many as there are columns.
    pub fields: Vec<String>,
}

/// Why a results file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} is empty; {form} begins with a header")]
    Empty { path: PathBuf, form: &'static str },
    #[error("{path}, line {line}: not UTF-8; is it the right file? If so, save it as UTF-8")]
    Encoding { path: PathBuf, line: u64 },
    #[error("{path}, line 1: no column `{column}`; {form} has it")]
    Column { path: PathBuf, column: &'static str, form: &'static str },
    #[error("{path}, line 1: two columns `{column}`; remove one")]
    Repeated { path: PathBuf, column: String },
    #[error("{path}, line {line}: {found} fields where the header has {expected}; mend or remove this line")]
    Fields { path: PathBuf, line: u64, found: usize, expected: usize },
    #[error("{path}, line {line}: `{value}` is no {column}; mend or remove this line")]
    Value { path: PathBuf, line: u64, column: &'static str, value: String },
}

/// Read the results file at `path`. Files of older versions, which have fewer columns at the end, and columns that this
/// version does not know are fine. A last line without its end was cut short while it was written, and is left out.
///
/// # Errors
/// [`ReadError`] names file and line: no such file, empty, not UTF-8, no results file, or a damaged line.
pub fn read(path: &Path) -> Result<SavedResults, ReadError> {
    read_form(path, &results())
}

/// Read the overflow report at `path` in the same way.
///
/// # Errors
/// As [`read`].
pub(super) fn read_overflow(path: &Path) -> Result<SavedResults, ReadError> {
    read_form(path, &OVERFLOW)
}

fn read_form(path: &Path, form: &Form) -> Result<SavedResults, ReadError> {
    let read = bounded::read(path, bounded::TABLE);
    let bytes = read.map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    parse(path, &bytes, form)
}

fn parse(path: &Path, bytes: &[u8], form: &Form) -> Result<SavedResults, ReadError> {
    let owned = || path.to_owned();
    let text = bounded::text(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        ReadError::Encoding { path: owned(), line: line_after(before) }
    })?;
    if text.trim().is_empty() {
        return Err(ReadError::Empty { path: owned(), form: form.name });
    }
    let whole = text.rfind('\n').map_or(text, |end| &text[..=end]);
    let cut = (whole.len() < text.len()).then(|| line_after(whole.as_bytes()));

    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(whole.as_bytes());
    let mut lines = LineNumbers::of(whole.as_bytes());
    let (mut columns, mut rows): (Vec<String>, Vec<SavedRow>) = (Vec::new(), Vec::new());
    for record in reader.records() {
        // Text in memory that is UTF-8 gives no other errors than those of a reader without memory.
        let record = record.map_err(|error| ReadError::Io { path: owned(), source: error.into() })?;
        let line = lines.number(record.position().map_or(0, csv::Position::byte));
        let fields: Vec<String> = record.iter().map(str::to_owned).collect();
        if columns.is_empty() {
            columns = fields;
            check_header(path, &columns, form)?;
        } else if fields.len() == columns.len() {
            rows.push(SavedRow { line, fields });
        } else {
            return Err(ReadError::Fields { path: owned(), line, found: fields.len(), expected: columns.len() });
        }
    }
    Ok(SavedResults { path: owned(), columns, rows, cut })
}

fn line_after(text: &[u8]) -> u64 {
    text.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1
}

fn check_header(path: &Path, columns: &[String], form: &Form) -> Result<(), ReadError> {
    if let Some(column) = form.columns.iter().find(|&&column| !columns.iter().any(|name| name == column)) {
        return Err(ReadError::Column { path: path.to_owned(), column, form: form.name });
    }
    match columns.iter().enumerate().find(|&(i, name)| columns[..i].contains(name)) {
        Some((_, name)) => Err(ReadError::Repeated { path: path.to_owned(), column: name.clone() }),
        None => Ok(()),
    }
}

impl SavedResults {
    /// The field of `row` in this column; empty if the file does not have the column.
    pub fn field<'a>(&self, row: &'a SavedRow, column: &str) -> &'a str {
        let at = self.columns.iter().position(|name| name == column);
        at.and_then(|at| row.fields.get(at)).map_or("", String::as_str)
    }

    /// The field as a value; `None` where it is empty.
    ///
    /// # Errors
    /// [`ReadError::Value`] if it is no such value.
    pub fn value<T: std::str::FromStr>(&self, row: &SavedRow, column: &'static str) -> Result<Option<T>, ReadError> {
        let text = self.field(row, column);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.invalid(row, column))
    }

    /// The field as a value that every row has.
    ///
    /// # Errors
    /// [`ReadError::Value`] if it is empty or no such value.
    pub fn required<T: std::str::FromStr>(&self, row: &SavedRow, column: &'static str) -> Result<T, ReadError> {
        self.value(row, column)?.ok_or_else(|| self.invalid(row, column))
    }

    pub(super) fn invalid(&self, row: &SavedRow, column: &'static str) -> ReadError {
        let value = self.field(row, column).to_owned();
        ReadError::Value { path: self.path.clone(), line: row.line, column, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Results, Row};
    use proptest::prelude::*;

    fn parsed(bytes: &[u8]) -> Result<SavedResults, ReadError> {
        parse(Path::new("results.csv"), bytes, &results())
    }

    fn refused(bytes: &[u8]) -> String {
        parsed(bytes).unwrap_err().to_string()
    }

    fn written(rows: &[Row]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.csv");
        let results = Results::open(&path).unwrap();
        rows.iter().for_each(|row| results.append(row).unwrap());
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_is_no_results_file_is_told_with_its_line() {
        let header = COLUMNS.join(",");
        let fields = vec!["1"; COLUMNS.len()].join(",");
        assert!(refused(b"").contains("results.csv is empty"));
        assert!(refused("\u{feff}\n".as_bytes()).contains("is empty"));
        assert!(refused(b"a,b\n1,2\n").contains("line 1: no column `model`"));
        assert!(refused(format!("{header},model\n").as_bytes()).contains("two columns `model`"));
        assert!(refused(format!("{header}\n{fields}\n1,2\n{fields}\n").as_bytes()).contains("line 3: 2 fields where"));
        let latin = [header.as_bytes(), b"\nM\xfcnster,1\n"].concat();
        assert!(refused(&latin).contains("line 2: not UTF-8"));
        assert!(read(Path::new("nowhere.csv")).unwrap_err().to_string().contains("nowhere.csv: "));
    }

    #[test]
    fn lines_are_counted_as_editors_do() {
        let (header, fields) = (COLUMNS.join(","), vec!["1"; COLUMNS.len()].join(","));
        for (text, numbers) in [
            (format!("{header}\n{fields}\n\n{fields}\n"), [2, 4]),
            (format!("\u{feff}{header}\r\n{fields}\r\n{fields}\n"), [2, 3]),
            (format!("{header}\r\n\r\n{}\r\n{fields}\r\n", fields.replacen('1', "\"a\r\nb\"", 1)), [3, 5]),
        ] {
            let lines: Vec<u64> = parsed(text.as_bytes()).unwrap().rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, numbers, "{text:?}");
        }
        assert!(refused(format!("{header}\r\n{fields}\r\n1,2\r\n").as_bytes()).contains("line 3: 2 fields where"));
    }

    #[test]
    fn values_that_are_none_are_told_with_line_and_column() {
        let file = parsed(&written(&[Row { model: "net".into(), top1: 93.5, ..Row::default() }])).unwrap();
        let row = &file.rows[0];
        assert_eq!(file.required::<f64>(row, "top1").unwrap(), 93.5);
        assert_eq!(file.value::<u32>(row, "depth").unwrap(), None);
        assert_eq!(file.value::<f64>(row, "no such column").unwrap(), None);
        let text = file.required::<u32>(row, "model").unwrap_err().to_string();
        assert!(text.contains("results.csv, line 2: `net` is no model"), "{text}");
        assert!(file.required::<u32>(row, "depth").unwrap_err().to_string().contains("`` is no depth"));
    }

    #[test]
    fn columns_missing_at_the_end_new_ones_and_another_order_are_fine() {
        let old = COLUMNS[..28].join(",");
        let fields: Vec<String> = (0..28).map(|i| i.to_string()).collect();
        let file = parsed(format!("{old}\r\n{}\r\n", fields.join(",")).as_bytes()).unwrap();
        assert_eq!((file.field(&file.rows[0], "version"), file.field(&file.rows[0], "top1_se")), ("27", ""));
        let turned: Vec<&str> = COLUMNS.iter().rev().copied().chain(["of tomorrow"]).collect();
        let fields: Vec<String> = (0..turned.len()).map(|i| i.to_string()).collect();
        let file = parsed(format!("\u{feff}{}\n{}\n", turned.join(","), fields.join(",")).as_bytes()).unwrap();
        assert_eq!(file.field(&file.rows[0], "model"), (COLUMNS.len() - 1).to_string());
        assert_eq!(file.field(&file.rows[0], "of tomorrow"), COLUMNS.len().to_string());
    }

    proptest! {
        /// Whatever names hold, what is written is what is read.
        #[test]
        fn rows_come_back_as_they_were_written(names in proptest::collection::vec("\\PC*|[,\"\r\n ab]*", 1..5)) {
            let rows: Vec<Row> = names.iter().map(|name| Row { model: name.clone(), ..Row::default() }).collect();
            let file = parsed(&written(&rows)).unwrap();
            prop_assert_eq!(file.cut, None);
            let read: Vec<&str> = file.rows.iter().map(|row| file.field(row, "model")).collect();
            prop_assert_eq!(read, names);
        }

        /// A file that ends anywhere gives its whole rows and says which line is not whole.
        #[test]
        fn a_cut_file_keeps_its_whole_rows(count in 1usize..6, part in 0.0..1.0) {
            let rows: Vec<Row> = (0..count).map(|i| Row { model: format!("net{i}"), ..Row::default() }).collect();
            let bytes = written(&rows);
            let header = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
            let end = header + ((bytes.len() - header) as f64 * part) as usize;
            let file = parsed(&bytes[..end]).unwrap();
            let ends = bytes[..end].iter().filter(|&&byte| byte == b'\n').count();
            prop_assert_eq!(file.rows.len(), ends - 1);
            prop_assert_eq!(file.cut, (bytes[end - 1] != b'\n').then_some(ends as u64 + 1));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), with_header in any::<bool>()) {
            let header = format!("{}\n", COLUMNS.join(","));
            let _ = parsed(&[if with_header { header.as_bytes() } else { b"" }, &bytes].concat());
        }
    }
}
