//! The journal of a sweep: what every finished batch gave, appended line by line, so that a sweep that was killed goes on
//! with the batch after the last whole line.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Evaluation, Until};

/// A journal, open and locked.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Whether it holds no batch.
    empty: bool,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("journal {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("journal {path}: another run is writing it")]
    Locked { path: PathBuf },
    #[error("journal {path}: a sweep was interrupted here; --resume goes on with it, removing the file forgets it")]
    Interrupted { path: PathBuf },
    #[error(
        "journal {path} belongs to another sweep: models, images, settings or version have changed since; name another --out, \
         or remove the file to begin anew"
    )]
    Changed { path: PathBuf },
    #[error("journal {path} is damaged: what it holds does not fit the sweep; remove the file to begin anew")]
    Misfit { path: PathBuf },
    #[error("journal {path}, line {line}: {source}; remove the file to begin anew")]
    Content { path: PathBuf, line: usize, source: serde_json::Error },
}

#[derive(Serialize, Deserialize)]
struct Header {
    sweep: String,
}

/// What one batch gave, for one model of the sweep.
#[derive(Serialize, Deserialize)]
struct Line {
    model: usize,
    batch: Evaluation,
}

impl Journal {
    /// Open the journal at `path` for the sweep of this name, whose configurations stop as `until` says. With `resume`, what it
    /// holds is added up, by model of the sweep; a last line that was cut is taken away. Without, there must be no journal yet.
    ///
    /// # Errors
    /// [`JournalError`]: not writable, in use, of another sweep, damaged.
    pub fn open(
        path: &Path,
        sweep: &str,
        resume: bool,
        models: usize,
        until: Option<&Until>,
    ) -> Result<(Journal, Vec<Evaluation>), JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::Locked { path: path.to_owned() },
            TryLockError::Error(source) => io(source),
        })?;
        let mut journal = Journal { path: path.to_owned(), file, empty: true };
        let mut done = vec![Evaluation::default(); models];
        if journal.file.metadata().map_err(io)?.len() > 0 {
            if !resume {
                return Err(JournalError::Interrupted { path: path.to_owned() });
            }
            journal.replay(sweep, &mut done, until)?;
        }
        if journal.file.metadata().map_err(io)?.len() == 0 {
            journal.append(&Header { sweep: sweep.to_owned() })?;
        }
        Ok((journal, done))
    }

    /// Write down what a batch gave.
    ///
    /// # Errors
    /// [`JournalError::Io`], such as a full disk.
    pub fn add(&mut self, model: usize, batch: &Evaluation) -> Result<(), JournalError> {
        self.empty = false;
        self.append(&Line { model, batch: batch.clone() })
    }

    /// The sweep failed: a journal without a batch has nothing to go on with, and would only be in the way.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn remove_if_empty(self) -> Result<(), JournalError> {
        if self.empty { self.remove() } else { Ok(()) }
    }

    /// The sweep is done: nothing is left to go on with.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn remove(self) -> Result<(), JournalError> {
        std::fs::remove_file(&self.path).map_err(|source| self.io(source))
    }

    fn replay(&mut self, sweep: &str, done: &mut [Evaluation], until: Option<&Until>) -> Result<(), JournalError> {
        let mut whole = 0;
        let mut text = String::new();
        let mut reader = BufReader::new(self.file.try_clone().map_err(|source| self.io(source))?);
        for number in 1.. {
            text.clear();
            let read = reader.read_line(&mut text).map_err(|source| self.io(source))?;
            if !text.ends_with('\n') {
                break;
            }
            let content = |source| JournalError::Content { path: self.path.clone(), line: number, source };
            if number == 1 {
                let header: Header = serde_json::from_str(&text).map_err(content)?;
                if header.sweep != sweep {
                    return Err(JournalError::Changed { path: self.path.clone() });
                }
            } else {
                let line: Line = serde_json::from_str(&text).map_err(content)?;
                let of_model = done.get_mut(line.model);
                self.empty = false;
                of_model.ok_or_else(|| JournalError::Changed { path: self.path.clone() })?.add(line.batch, until);
            }
            whole += read as u64;
        }
        self.file.set_len(whole).map_err(|source| self.io(source))
    }

    /// One line at the end, in one write, taken back if it was not complete.
    fn append(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        let before = self.file.seek(SeekFrom::End(0)).map_err(|source| self.io(source))?;
        let written = serde_json::to_vec(line).map_err(std::io::Error::other).and_then(|mut bytes| {
            bytes.push(b'\n');
            self.file.write_all(&bytes)
        });
        written.map_err(|source| {
            // The first error is the one to tell; a second one here changes nothing.
            let _ = self.file.set_len(before);
            self.io(source)
        })
    }

    fn io(&self, source: std::io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Timing;
    use proptest::prelude::*;

    fn batch(image: u8) -> Evaluation {
        Evaluation { images: vec![([image; 32], 1)], exact: Timing::of_batch(0, 1, 0.5), ..Evaluation::default() }
    }

    fn written(path: &Path) -> Vec<u8> {
        let (mut journal, _) = Journal::open(path, "s", false, 2, None).unwrap();
        for (model, image) in [(0, 1), (0, 2), (1, 3)] {
            journal.add(model, &batch(image)).unwrap();
        }
        drop(journal);
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_was_written_is_added_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        written(&path);
        assert!(matches!(Journal::open(&path, "s", false, 2, None), Err(JournalError::Interrupted { .. })));
        assert!(matches!(Journal::open(&path, "other", true, 2, None), Err(JournalError::Changed { .. })));
        let (journal, done) = Journal::open(&path, "s", true, 2, None).unwrap();
        assert_eq!((done[0].images.len(), done[1].images.len(), done[0].exact.seconds()), (2, 1, 1.0));
        assert!(matches!(Journal::open(&path, "s", true, 2, None), Err(JournalError::Locked { .. })));
        journal.remove().unwrap();
        assert!(!path.exists());
    }

    proptest! {
        /// A kill may cut the file anywhere.
        #[test]
        fn a_cut_costs_the_last_line_and_no_more(cut in 0usize..2000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("j");
            let bytes = written(&path);
            let cut = cut.min(bytes.len());
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let (mut journal, done) = Journal::open(&path, "s", true, 2, None).unwrap();
            let lines = bytes[..cut].iter().filter(|&&byte| byte == b'\n').count();
            let images = done.iter().map(|done| done.images.len()).sum::<usize>();
            prop_assert_eq!(images, lines.saturating_sub(1));
            journal.add(1, &batch(9)).unwrap();
            drop(journal);
            let (_, again) = Journal::open(&path, "s", true, 2, None).unwrap();
            prop_assert_eq!(again.iter().map(|done| done.images.len()).sum::<usize>(), images + 1);
        }
    }
}
