//! Where a result goes: to stdout or into the file that a flag names.

use std::path::Path;

use super::{Failure, print};
use crate::report::write_whole;

/// Open the file of `--out` before the work, so that a bad path fails at once. What it holds stays until [`deliver`].
pub(super) fn open(out: Option<&Path>) -> Result<(), Failure> {
    out.map_or(Ok(()), |path| check_writable("--out", path))
}

/// See that the file at `path` can be written, before there is anything to write; what it holds stays.
pub(super) fn check_writable(flag: &'static str, path: &Path) -> Result<(), Failure> {
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|source| failure(flag, path, source))
}

/// Write the file at `path` in one step.
pub(super) fn write(flag: &'static str, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole(path, bytes).map_err(|source| failure(flag, path, source))
}

/// Write the result; a file in one step.
pub(super) fn deliver(out: Option<&Path>, text: &str) -> Result<(), Failure> {
    match out {
        Some(path) => write("--out", path, text.as_bytes()),
        None => print(text),
    }
}

fn failure(flag: &'static str, path: &Path, source: std::io::Error) -> Failure {
    Failure::File { flag, path: path.display().to_string(), source }
}
