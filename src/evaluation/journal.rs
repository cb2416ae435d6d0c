//! A journal: what every finished piece of a long run gave, appended line by line, so that a run that was killed goes on behind the
//! last whole line.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Which run a journal is of: its kind, and the digest of all that decides what it gives. The first line says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Run {
    Sweep(String),
    Plan(String),
}

impl Run {
    fn kind(&self) -> &'static str {
        match self {
            Run::Sweep(_) => "sweep",
            Run::Plan(_) => "plan",
        }
    }
}

/// A journal, open and locked.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Whether it holds nothing but its header.
    empty: bool,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("journal {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("journal {path}: another run is writing it")]
    Locked { path: PathBuf },
    #[error("journal {path}: a {kind} was interrupted here; --resume goes on with it, removing the file forgets it")]
    Interrupted { path: PathBuf, kind: &'static str },
    #[error(
        "journal {path} belongs to another {kind}: models, images, settings or version have changed since; name another --out, \
         or remove the file to begin anew"
    )]
    Changed { path: PathBuf, kind: &'static str },
    #[error("journal {path} is damaged: what it holds does not fit the {kind}; remove the file to begin anew")]
    Misfit { path: PathBuf, kind: &'static str },
    #[error("journal {path}, line {line}: {source}; remove the file to begin anew")]
    Content { path: PathBuf, line: usize, source: serde_json::Error },
}

impl Journal {
    /// Open the journal at `path` for `run`. With `resume`, each whole line that it holds is given to `absorb`, which says whether
    /// it fits; a last line that was cut is taken away. Without, there must be no journal yet.
    ///
    /// # Errors
    /// [`JournalError`]: not writable, in use, of another run, damaged.
    pub fn open<T: DeserializeOwned>(
        path: &Path,
        run: &Run,
        resume: bool,
        absorb: impl FnMut(T) -> bool,
    ) -> Result<Journal, JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::Locked { path: path.to_owned() },
            TryLockError::Error(source) => io(source),
        })?;
        let mut journal = Journal { path: path.to_owned(), file, empty: true };
        if journal.file.metadata().map_err(io)?.len() > 0 {
            if !resume {
                return Err(JournalError::Interrupted { path: path.to_owned(), kind: run.kind() });
            }
            journal.replay(run, absorb)?;
        }
        if journal.file.metadata().map_err(io)?.len() == 0 {
            journal.append(run)?;
        }
        Ok(journal)
    }

    /// Write down what a piece of the run gave.
    ///
    /// # Errors
    /// [`JournalError::Io`], such as a full disk.
    pub fn add(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        self.empty = false;
        self.append(line)
    }

    /// The run failed: a journal that holds nothing has nothing to go on with, and would only be in the way.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn remove_if_empty(self) -> Result<(), JournalError> {
        if self.empty { self.remove() } else { Ok(()) }
    }

    /// The run is done: nothing is left to go on with.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn remove(self) -> Result<(), JournalError> {
        std::fs::remove_file(&self.path).map_err(|source| self.io(source))
    }

    fn replay<T: DeserializeOwned>(
        &mut self,
        run: &Run,
        mut absorb: impl FnMut(T) -> bool,
    ) -> Result<(), JournalError> {
        let mut whole = 0;
        let mut text = String::new();
        let mut reader = BufReader::new(self.file.try_clone().map_err(|source| self.io(source))?);
        let changed = || JournalError::Changed { path: self.path.clone(), kind: run.kind() };
        for number in 1.. {
            text.clear();
            let read = reader.read_line(&mut text).map_err(|source| self.io(source))?;
            if !text.ends_with('\n') {
                break;
            }
            let content = |source| JournalError::Content { path: self.path.clone(), line: number, source };
            if number == 1 {
                if serde_json::from_str::<Run>(&text).map_err(content)? != *run {
                    return Err(changed());
                }
            } else {
                if !absorb(serde_json::from_str(&text).map_err(content)?) {
                    return Err(changed());
                }
                self.empty = false;
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
