//! The results file: one CSV row a run, the same columns everywhere, only whole rows at any moment.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// The columns, in order.
pub const COLUMNS: [&str; 35] = [
    "model",
    "dataset",
    "images",
    "relu",
    "maxpool",
    "relu_range",
    "maxpool_range",
    "top1",
    "top1_exact",
    "top1_diff",
    "top5",
    "top5_exact",
    "top5_diff",
    "agreement",
    "max_logit_error",
    "overflow_images",
    "overflow_values",
    "overflow_site",
    "depth",
    "mults",
    "seconds",
    "images_per_second",
    "device",
    "dtype",
    "batch",
    "model_sha256",
    "dataset_sha256",
    "version",
    "seconds_exact",
    "top1_se",
    "broken_images",
    "plan",
    "on_overflow",
    "sweep",
    "arithmetic",
];

/// One run. Percent have three decimals; `None` is an empty field, where a column does not apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    pub model: String,
    pub dataset: String,
    pub images: usize,
    pub relu: Option<String>,
    pub maxpool: Option<String>,
    /// The bound, or the file that has one for each site.
    pub relu_range: Option<String>,
    pub maxpool_range: Option<String>,
    #[serde(serialize_with = "percent")]
    pub top1: f64,
    #[serde(serialize_with = "percent")]
    pub top1_exact: f64,
    #[serde(serialize_with = "percent")]
    pub top1_diff: f64,
    #[serde(serialize_with = "optional_percent")]
    pub top5: Option<f64>,
    #[serde(serialize_with = "optional_percent")]
    pub top5_exact: Option<f64>,
    #[serde(serialize_with = "optional_percent")]
    pub top5_diff: Option<f64>,
    #[serde(serialize_with = "percent")]
    pub agreement: f64,
    #[serde(serialize_with = "scientific")]
    pub max_logit_error: f64,
    pub overflow_images: usize,
    pub overflow_values: u64,
    /// The site at which most images left a range for the first time.
    pub overflow_site: Option<String>,
    /// Levels and non-scalar multiplications of the dearest approximate ReLU, or max if only pools are approximated.
    pub depth: Option<u32>,
    pub mults: Option<u32>,
    /// Of the approximate passes, decoding not included.
    #[serde(serialize_with = "milliseconds")]
    pub seconds: f64,
    #[serde(serialize_with = "milliseconds")]
    pub images_per_second: f64,
    pub device: String,
    pub dtype: String,
    pub batch: usize,
    pub model_sha256: String,
    pub dataset_sha256: String,
    pub version: String,
    /// Of the exact passes.
    #[serde(serialize_with = "milliseconds")]
    pub seconds_exact: f64,
    /// Standard error of `top1`, in points.
    #[serde(serialize_with = "percent")]
    pub top1_se: f64,
    /// Images left out because they cannot be read; `images` counts the others.
    pub broken_images: usize,
    /// The plan with activations and ranges of single sites.
    pub plan: Option<String>,
    /// What happened to inputs beyond their range: `count` or `clip`.
    pub on_overflow: String,
    /// Of a sweep's row: the grid's digest, and which of its rows this is, from 1, `1a2b3c4d:3/24`.
    pub sweep: Option<String>,
    /// What activations were computed in: `f64` or `f32`.
    pub arithmetic: String,
}

fn percent<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    // A difference of -0.0004 is none.
    let text = format!("{value:.3}");
    serializer.serialize_str(if text == "-0.000" { "0.000" } else { &text })
}

fn optional_percent<S: serde::Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => percent(value, serializer),
        None => serializer.serialize_none(),
    }
}

fn scientific<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{value:.3e}"))
}

fn milliseconds<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{value:.3}"))
}

/// Why a results file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error("--out {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("--out {path}: it exists and is no results file of this version: its header {reason}; name another file")]
    Header { path: PathBuf, reason: String },
    #[error("--out {path}: its last row is cut short (no end of line); mend or remove that row, or name another file")]
    CutShort { path: PathBuf },
    #[error("a result cannot be written as CSV: {0}")]
    Csv(#[from] csv::Error),
}

/// A results file, open for more rows.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    file: File,
}

impl Results {
    /// Open or create the file at `path`, before any work is done for it. A new file gets the header at once; an
    /// existing one must have it, and end with a whole row.
    ///
    /// # Errors
    /// [`ResultsError`]: the folder or file cannot be written, or the file is something else.
    pub fn open(path: &Path) -> Result<Results, ResultsError> {
        Results::check(path, false)
    }

    /// As [`Results::open`], but a last row that was cut short is taken away.
    ///
    /// # Errors
    /// [`ResultsError`]; what is no results file is left as it is.
    pub fn mend(path: &Path) -> Result<Results, ResultsError> {
        Results::check(path, true)
    }

    fn check(path: &Path, mend: bool) -> Result<Results, ResultsError> {
        let io = |source| ResultsError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        let mut content = String::new();
        file.read_to_string(&mut content).map_err(io)?;
        let mut results = Results { path: path.to_owned(), file };
        if content.is_empty() {
            results.write(&line(COLUMNS)?)?;
            return Ok(results);
        }
        let header = content.lines().next().unwrap_or_default();
        let columns: Vec<&str> = header.split(',').collect();
        if let Some(at) = (0..COLUMNS.len().max(columns.len())).find(|&i| columns.get(i) != COLUMNS.get(i)) {
            let name = |list: &[&str]| list.get(at).map_or("nothing".to_owned(), |name| format!("`{name}`"));
            let reason = format!("has {} where {} is expected", name(&columns), name(&COLUMNS));
            return Err(ResultsError::Header { path: path.to_owned(), reason });
        }
        match content.rfind('\n') {
            Some(end) if end + 1 == content.len() => Ok(results),
            Some(end) if mend => results.file.set_len(end as u64 + 1).map_err(io).map(|()| results),
            _ => Err(ResultsError::CutShort { path: path.to_owned() }),
        }
    }

    /// What the column `sweep` says in the rows that are there.
    ///
    /// # Errors
    /// [`ResultsError`]: the file cannot be read.
    pub fn sweep_rows(&self) -> Result<BTreeSet<String>, ResultsError> {
        let column = COLUMNS.iter().position(|&name| name == "sweep").unwrap_or_default();
        let mut rows = BTreeSet::new();
        for record in csv::Reader::from_path(&self.path)?.records() {
            rows.extend(record?.get(column).filter(|name| !name.is_empty()).map(str::to_owned));
        }
        Ok(rows)
    }

    /// Append `row`, whole or not at all, and see it onto the disk.
    ///
    /// # Errors
    /// [`ResultsError::Io`], such as a full disk; the file is then as it was.
    pub fn append(&mut self, row: &Row) -> Result<(), ResultsError> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        writer.serialize(row)?;
        let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        self.write(&bytes)
    }

    /// One write at the end of the file, taken back if it was not complete.
    fn write(&mut self, bytes: &[u8]) -> Result<(), ResultsError> {
        let before = self.file.seek(SeekFrom::End(0)).map_err(|source| self.io(source))?;
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        written.map_err(|source| {
            // The first error is the one to tell; a second one here changes nothing.
            let _ = self.file.set_len(before);
            self.io(source)
        })
    }

    fn io(&self, source: std::io::Error) -> ResultsError {
        ResultsError::Io { path: self.path.clone(), source }
    }
}

fn line(fields: impl IntoIterator<Item = &'static str>) -> Result<Vec<u8>, ResultsError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields)?;
    Ok(writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_columns_of_the_header_in_its_order() {
        let json = serde_json::to_value(Row::default()).unwrap();
        let mut names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut columns = COLUMNS.to_vec();
        names.sort_unstable();
        columns.sort_unstable();
        assert_eq!(names, columns);
    }

    #[test]
    fn a_file_keeps_its_rows_over_runs_and_has_one_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.csv");
        let row = Row { model: "a, \"b\"".into(), top1: 93.2, top1_diff: -0.0001, top5: None, ..Row::default() };
        for _ in 0..2 {
            Results::open(&path).unwrap().append(&row).unwrap();
        }
        let mut reader = csv::Reader::from_path(&path).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[0][0], &rows[0][7], &rows[0][9], &rows[0][10]), ("a, \"b\"", "93.200", "0.000", ""));
        assert_eq!(rows[0].len(), COLUMNS.len());
    }

    #[test]
    fn what_is_no_results_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "model,notes\n").unwrap();
        assert!(Results::open(&path).unwrap_err().to_string().contains("has `notes` where `dataset` is expected"));
        std::fs::write(&path, format!("{}\nresnet", COLUMNS.join(","))).unwrap();
        assert!(matches!(Results::open(&path), Err(ResultsError::CutShort { .. })));
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("\nresnet"));
        Results::mend(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", COLUMNS.join(",")));
        std::fs::write(&path, "my notes\nthe last line").unwrap();
        assert!(matches!(Results::mend(&path), Err(ResultsError::Header { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "my notes\nthe last line");
        assert!(Results::open(&folder.path().join("missing/results.csv")).is_err());
    }
}
