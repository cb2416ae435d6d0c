//! The results file: one CSV row a run, the same columns everywhere, only whole rows at any moment.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::reader::{self, ReadError};
use crate::bounded;

/// The columns, in order.
pub const COLUMNS: [&str; 50] = [
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
    "sampled",
    "not_polynomial",
    "not_polynomial_ops",
    "not_run",
    "batch_seconds",
    "batch_seconds_spread",
    "batch_seconds_exact",
    "batch_seconds_exact_spread",
    "input",
    "resize",
    "crop",
    "interpolation",
    "mean",
    "std",
    "output",
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
    /// Of the approximate passes by the clock on the wall, waiting for images not included: of the device that was busy
    /// longest.
    #[serde(serialize_with = "milliseconds")]
    pub seconds: f64,
    /// `images` / `seconds`.
    #[serde(serialize_with = "milliseconds")]
    pub images_per_second: f64,
    pub device: String,
    pub dtype: String,
    pub batch: usize,
    pub model_sha256: String,
    pub dataset_sha256: String,
    pub version: String,
    /// As `seconds`, of the exact passes.
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
    /// How the images were chosen: `all`, `first N` or `N by seed S`, and what was kept apart.
    pub sampled: String,
    /// Operators on encrypted values that are not polynomial and stayed exact, those at the output left out.
    pub not_polynomial: usize,
    /// Which ones, and how often if more than once: `aten::sigmoid x2, aten::softmax`.
    pub not_polynomial_ops: Option<String>,
    /// Sites that no pass came to; nothing was replaced there.
    pub not_run: usize,
    /// Median of the approximate passes over full batches, those with as many images as any.
    #[serde(serialize_with = "microseconds")]
    pub batch_seconds: f64,
    /// Third less first quartile of the same; none for fewer than four full batches.
    #[serde(serialize_with = "optional_microseconds")]
    pub batch_seconds_spread: Option<f64>,
    /// The two of the exact passes.
    #[serde(serialize_with = "microseconds")]
    pub batch_seconds_exact: f64,
    #[serde(serialize_with = "optional_microseconds")]
    pub batch_seconds_exact_spread: Option<f64>,
    /// The network's input for an image, channels x height x width.
    pub input: String,
    /// Pixels of the shorter side to which images were resized, and of the square that was cut from the middle then.
    pub resize: Option<usize>,
    pub crop: Option<usize>,
    /// `bilinear` or `bicubic`, where images were resized.
    pub interpolation: Option<String>,
    /// What was subtracted from each channel, and by what the rest was divided; with commas.
    pub mean: String,
    pub std: String,
    /// Which output of a network with several are the logits.
    pub output: Option<String>,
}

/// The columns that are numbers with a fixed number of digits.
const FORMATTED: [&str; 16] = [
    "top1",
    "top1_exact",
    "top1_diff",
    "top5",
    "top5_exact",
    "top5_diff",
    "agreement",
    "max_logit_error",
    "seconds",
    "images_per_second",
    "seconds_exact",
    "top1_se",
    "batch_seconds",
    "batch_seconds_spread",
    "batch_seconds_exact",
    "batch_seconds_exact_spread",
];

impl Row {
    /// The row as a JSON object: numbers are numbers, with the digits that the CSV file has; what does not apply is null, and
    /// an infinite number, which JSON does not have, is the text `inf`.
    ///
    /// # Errors
    /// None that a row can cause.
    pub fn json(&self) -> Result<Value, serde_json::Error> {
        let mut json = serde_json::to_value(self)?;
        for column in FORMATTED {
            let number = json[column].as_str().and_then(|text| text.parse::<f64>().ok());
            if let Some(number) = number.and_then(serde_json::Number::from_f64) {
                json[column] = Value::Number(number);
            }
        }
        Ok(json)
    }
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

fn microseconds<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{value:.6}"))
}

fn optional_microseconds<S: serde::Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => microseconds(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// Why a results file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error("--out {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "--out {path}: it is a device or a pipe; rows are appended to a regular file, and without --out only printed"
    )]
    NoFile { path: PathBuf },
    #[error("--out {path}: it exists and is no results file of this version: its header {reason}; name another file")]
    Header { path: PathBuf, reason: String },
    #[error("--out {path}: its last row is cut short (no end of line); mend or remove that row, or name another file")]
    CutShort { path: PathBuf },
    #[error("--out {0}")]
    Read(#[from] ReadError),
    #[error("a result cannot be written as CSV: {0}")]
    Csv(#[from] csv::Error),
}

/// A results file that takes more rows. It is opened anew for each, so that a row is never written into a file that was
/// removed or replaced meanwhile, and locked as long, so that several runs can share it.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
}

impl Results {
    /// Open or create the file at `path`, before any work is done for it. A new file gets the header at once; an
    /// existing one must have it, and end with a whole row.
    ///
    /// # Errors
    /// [`ResultsError`]: the folder or file cannot be written, or the file is something else.
    pub fn open(path: &Path) -> Result<Results, ResultsError> {
        Results::begin(path, false)
    }

    /// As [`Results::open`], but a last row that was cut short is taken away.
    ///
    /// # Errors
    /// [`ResultsError`]; what is no results file is left as it is.
    pub fn mend(path: &Path) -> Result<Results, ResultsError> {
        Results::begin(path, true)
    }

    fn begin(path: &Path, mend: bool) -> Result<Results, ResultsError> {
        let results = Results { path: path.to_owned() };
        results.checked(mend)?;
        Ok(results)
    }

    /// The file, locked, with its header and whole rows.
    fn checked(&self, mend: bool) -> Result<File, ResultsError> {
        let path = &self.path;
        let mut file = self.locked().map_err(|source| self.io(source))?;
        let metadata = file.metadata().map_err(|source| self.io(source))?;
        if !metadata.is_file() {
            return Err(ResultsError::NoFile { path: path.to_owned() });
        }
        if metadata.len() > bounded::TABLE {
            return Err(self.io(bounded::too_long(bounded::TABLE)));
        }
        let mut content = String::new();
        file.read_to_string(&mut content).map_err(|source| self.io(source))?;
        if content.is_empty() {
            self.write(&mut file, &line(COLUMNS)?)?;
            return Ok(file);
        }
        let header = content.strip_prefix('\u{feff}').unwrap_or(&content).lines().next().unwrap_or_default();
        let columns: Vec<&str> = header.split(',').collect();
        if let Some(at) = (0..COLUMNS.len().max(columns.len())).find(|&i| columns.get(i) != COLUMNS.get(i)) {
            let name = |list: &[&str]| list.get(at).map_or("nothing".to_owned(), |name| format!("`{name}`"));
            let reason = format!("has {} where {} is expected", name(&columns), name(&COLUMNS));
            return Err(ResultsError::Header { path: path.to_owned(), reason });
        }
        match content.rfind('\n') {
            Some(end) if end + 1 == content.len() => Ok(file),
            Some(end) if mend => {
                file.set_len(end as u64 + 1).map_err(|source| self.io(source))?;
                Ok(file)
            }
            _ => Err(ResultsError::CutShort { path: path.to_owned() }),
        }
    }

    fn locked(&self) -> std::io::Result<File> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        match file.lock() {
            // Some file systems of clusters have no locks; their rows are whole as long as one run writes them.
            Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
            _ => Ok(file),
        }
    }

    /// What the column `sweep` says in the rows that are there.
    ///
    /// # Errors
    /// [`ResultsError::Read`]: the file cannot be read, or a line is damaged.
    pub fn sweep_rows(&self) -> Result<BTreeSet<String>, ResultsError> {
        let saved = reader::read(&self.path)?;
        let names = saved.rows.iter().map(|row| saved.field(row, "sweep"));
        Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Append `row`, whole or not at all, and see it onto the disk.
    ///
    /// # Errors
    /// [`ResultsError`], such as a full disk; the file is then as it was.
    pub fn append(&self, row: &Row) -> Result<(), ResultsError> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        writer.serialize(row)?;
        let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        self.write(&mut self.checked(false)?, &bytes)
    }

    /// One write at the end of the file, taken back if it was not complete.
    fn write(&self, file: &mut File, bytes: &[u8]) -> Result<(), ResultsError> {
        let before = file.seek(SeekFrom::End(0)).map_err(|source| self.io(source))?;
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        written.map_err(|source| {
            // The first error is the one to tell; a second one here changes nothing.
            let _ = file.set_len(before);
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

    /// All but what is text in its nature; so a column of numbers cannot be forgotten.
    #[test]
    fn numbers_are_numbers_in_json() {
        let some = || Some("text".to_owned());
        let row = Row {
            relu: some(),
            maxpool: some(),
            relu_range: some(),
            maxpool_range: some(),
            top1: 93.2,
            top1_diff: -0.0001,
            top5: Some(99.0),
            top5_exact: Some(99.0),
            top5_diff: Some(0.0),
            max_logit_error: f64::INFINITY,
            overflow_site: some(),
            plan: some(),
            sweep: some(),
            not_polynomial_ops: some(),
            interpolation: some(),
            output: some(),
            ..Row::default()
        };
        let json = row.json().unwrap();
        let texts: Vec<&str> = COLUMNS.into_iter().filter(|column| json[column].is_string()).collect();
        let expected = [
            "model",
            "dataset",
            "relu",
            "maxpool",
            "relu_range",
            "maxpool_range",
            "max_logit_error",
            "overflow_site",
            "device",
            "dtype",
            "model_sha256",
            "dataset_sha256",
            "version",
            "plan",
            "on_overflow",
            "sweep",
            "arithmetic",
            "sampled",
            "not_polynomial_ops",
            "input",
            "interpolation",
            "mean",
            "std",
            "output",
        ];
        assert_eq!(texts, expected);
        assert_eq!((&json["top1"], &json["top1_diff"]), (&93.2.into(), &0.0.into()));
        assert_eq!(
            (json["max_logit_error"].as_str(), Row { top5: None, ..row }.json().unwrap()["top5"].is_null()),
            (Some("inf"), true)
        );
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
