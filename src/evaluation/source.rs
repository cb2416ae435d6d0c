//! Where a plan or ranges come from: kept beside them, so that both can be made in memory as well.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    /// Of its bytes, in hexadecimal.
    pub sha256: String,
}

/// As result rows name it, by the file's name with the beginning of its digest, which tells two files of one name apart:
/// `file:ranges.csv#1a2b3c4d`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        write!(f, "file:{name}#{}", &self.sha256[..8])
    }
}

/// A value, and the file it was read from; none if it was made in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Sourced<T> {
    pub value: T,
    pub source: Option<Source>,
}

impl<T> From<T> for Sourced<T> {
    fn from(value: T) -> Sourced<T> {
        Sourced { value, source: None }
    }
}

impl<T> Sourced<T> {
    /// The file it was read from.
    pub fn path(&self) -> Option<&Path> {
        self.source.as_ref().map(|source| source.path.as_path())
    }

    /// The file for an error: `plan quick.toml`, or only `plan`.
    pub(super) fn called(&self, what: &str) -> String {
        self.path().map_or_else(|| what.to_owned(), |path| format!("{what} {}", path.display()))
    }
}

/// Where the images are listed that the ranges in a file, or a plan, were measured on: `ranges.csv.images`.
pub fn images_file(ranges: &Path) -> PathBuf {
    let mut name = ranges.as_os_str().to_owned();
    name.push(".images");
    PathBuf::from(name)
}
