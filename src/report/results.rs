//! The results file: one CSV row a run, the same columns everywhere, only whole rows at any moment.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::reader::{self, ReadError};
use super::row::{COLUMNS, Row};
use crate::bounded;

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
        let bytes = line(row.fields())?;
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

fn line(fields: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Vec<u8>, ResultsError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields)?;
    Ok(writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
