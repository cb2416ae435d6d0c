//! The ranges of sites: one bound for all, or a bound a site from a file that `calibrate` wrote and anybody may edit.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::activation::{RangeError, check_range};
use crate::bounded::{self, LineNumbers};
use crate::digest;
use crate::model::Site;

/// The bounds B of the inputs' absolute values.
#[derive(Debug, Clone, PartialEq)]
pub enum Ranges {
    /// One for all sites of a kind.
    One(f64),
    /// One a site.
    File(RangesFile),
}

/// A ranges file, as read.
#[derive(Debug, Clone, PartialEq)]
pub struct RangesFile {
    path: PathBuf,
    /// Of its bytes, in hexadecimal.
    sha256: String,
    of_site: HashMap<String, f64>,
}

/// Why ranges cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RangesError {
    #[error("{0}, or file:ranges.csv as `polyact calibrate` writes it")]
    Number(#[from] RangeError),
    #[error("ranges file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("ranges file {path}, line {line}: {reason}")]
    Content { path: PathBuf, line: u64, reason: String },
    #[error("ranges file {path} has no line for site {site}; it has {}", listed(.known))]
    Missing { path: PathBuf, site: String, known: Vec<String> },
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none at all".to_owned(),
        names if names.len() > 5 => format!("{} and {} more", names[..5].join(", "), names.len() - 5),
        names => names.join(", "),
    }
}

impl FromStr for Ranges {
    type Err = RangesError;

    /// A number, or `file:PATH`.
    fn from_str(text: &str) -> Result<Ranges, RangesError> {
        match text.strip_prefix("file:") {
            Some(path) => Ok(Ranges::File(RangesFile::read(Path::new(path))?)),
            None => Ok(Ranges::One(check_range(text)?)),
        }
    }
}

/// As result rows name it: the number, or the file's name with the beginning of its digest, which tells two files of one
/// name apart.
impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ranges::One(range) => write!(f, "{range}"),
            Ranges::File(file) => f.write_str(&named_file(&file.path, &file.sha256)),
        }
    }
}

/// Where the images are listed that the ranges in a file, or a plan, were measured on: `ranges.csv.images`.
pub fn images_file(ranges: &Path) -> PathBuf {
    let mut name = ranges.as_os_str().to_owned();
    name.push(".images");
    PathBuf::from(name)
}

/// `file:ranges.csv#1a2b3c4d`.
pub(super) fn named_file(path: &Path, sha256: &str) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    format!("file:{name}#{}", &sha256[..8])
}

impl Ranges {
    /// The bound of `site`.
    ///
    /// # Errors
    /// [`RangesError::Missing`] if the file has no line for it.
    pub fn of(&self, site: &Site) -> Result<f64, RangesError> {
        match self {
            Ranges::One(range) => Ok(*range),
            Ranges::File(file) => file.of_site.get(&site.name).copied().ok_or_else(|| {
                let mut known: Vec<String> = file.of_site.keys().cloned().collect();
                known.sort_unstable();
                RangesError::Missing { path: file.path.clone(), site: site.name.clone(), known }
            }),
        }
    }

    /// The file they come from.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Ranges::One(_) => None,
            Ranges::File(file) => Some(&file.path),
        }
    }
}

/// The columns that count; the others are for people.
#[derive(Deserialize)]
struct Line {
    site: String,
    range: String,
}

impl RangesFile {
    fn read(path: &Path) -> Result<RangesFile, RangesError> {
        let read = bounded::read(path, bounded::TEXT);
        let bytes = read.map_err(|source| RangesError::Read { path: path.to_owned(), source })?;
        RangesFile::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<RangesFile, RangesError> {
        let content = |line: u64, reason: String| RangesError::Content { path: path.to_owned(), line, reason };
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let mut lines = LineNumbers::of(text);
        let mut of_site = HashMap::new();
        let headers = reader.headers().cloned().map_err(|error| content(1, error.to_string()))?;
        if let Some(missing) = ["site", "range"].iter().find(|name| !headers.iter().any(|column| column == **name)) {
            return Err(content(1, format!("there is no column `{missing}`; expected are site, kind, range")));
        }
        for record in reader.into_records() {
            let record = record.map_err(|error| {
                let line = lines.number(error.position().map_or(0, csv::Position::byte));
                content(line, error.to_string())
            })?;
            let line = lines.number(record.position().map_or(0, csv::Position::byte));
            let Line { site, range } =
                record.deserialize(Some(&headers)).map_err(|error| content(line, error.to_string()))?;
            let range = check_range(&range).map_err(|error| content(line, error.to_string()))?;
            if of_site.insert(site.clone(), range).is_some() {
                return Err(content(line, format!("site {site} stands here a second time")));
            }
        }
        Ok(RangesFile { path: path.to_owned(), sha256: digest::of_text(bytes), of_site })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SiteKind;
    use proptest::prelude::*;

    fn site(name: &str) -> Site {
        Site { index: 0, name: name.to_owned(), kind: SiteKind::relu(), image_axis: Some(0), non_negative: false }
    }

    fn parse(text: &str) -> Result<Ranges, RangesError> {
        RangesFile::parse(Path::new("some/ranges.csv"), text.as_bytes()).map(Ranges::File)
    }

    #[test]
    fn an_edited_file_is_read_by_the_names_of_its_columns() {
        let ranges = parse("kind, site ,note,range\nrelu, conv1.relu ,mine, 12.5\nmaxpool,pool,,3\n").unwrap();
        assert_eq!(ranges.of(&site("conv1.relu")).unwrap(), 12.5);
        assert_eq!(ranges.of(&site("pool")).unwrap(), 3.0);
        assert!(ranges.to_string().starts_with("file:ranges.csv#"));
        assert!(ranges.of(&site("relu2")).unwrap_err().to_string().contains("conv1.relu, pool"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("site,kind\na,relu\n").contains("no column `range`"));
        assert!(error("site,range\na,1\nb,-2\n").contains("line 3: `-2` is no range"));
        assert!(error("site,range\na,1\na,2\n").contains("line 3: site a stands here a second time"));
        assert!(error("\u{feff}site,range\r\na,1\r\n\r\nb,-2\r\n").contains("line 4: `-2` is no range"));
        assert!(error("site,range\na,1,7\n").contains("line 2"));
        assert!("twelve".parse::<Ranges>().unwrap_err().to_string().contains("file:ranges.csv"));
        assert!("file:/no/such.csv".parse::<Ranges>().unwrap_err().to_string().contains("/no/such.csv"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = RangesFile::parse(Path::new("r.csv"), &bytes);
            let _ = RangesFile::parse(Path::new("r.csv"), &[b"site,range\n", bytes.as_slice()].concat());
        }
    }
}
