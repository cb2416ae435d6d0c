//! Where a result goes: to stdout or into the file of `--out`.

use std::path::Path;

use super::{Failure, print};
use crate::report::write_whole;

/// Open the file of `--out` before the work, so that a bad path fails at once. What it holds stays until [`deliver`].
pub(super) fn open(out: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = out else {
        return Ok(());
    };
    std::fs::OpenOptions::new().append(true).create(true).open(path).map(drop).map_err(|source| failure(path, source))
}

/// Write the result; a file in one step.
pub(super) fn deliver(out: Option<&Path>, text: &str) -> Result<(), Failure> {
    match out {
        Some(path) => write_whole(path, text.as_bytes()).map_err(|source| failure(path, source)),
        None => print(text),
    }
}

fn failure(path: &Path, source: std::io::Error) -> Failure {
    Failure::File { flag: "--out", path: path.display().to_string(), source }
}
