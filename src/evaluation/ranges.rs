//! The ranges of sites: one for all, or one a site from a file that `calibrate` wrote and anybody may edit, with the densities
//! beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use super::densities::{Densities, DensitiesError, densities_file};
use super::source::{Source, Sourced};
use crate::activation::{Interval, RangeError};
use crate::bounded::{self, LineNumbers};
use crate::digest;
use crate::model::Site;

/// What the inputs of sites are to stay within.
#[derive(Debug, Clone, PartialEq)]
pub enum Ranges {
    /// The same for all sites of a kind.
    One(Interval),
    /// By the site's name; and how inputs are distributed, where that was asked for.
    Each(BTreeMap<String, SiteRange>, Option<Arc<Densities>>),
}

/// The range of one site.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SiteRange {
    /// The bound B of absolute values.
    pub bound: f64,
    /// The least and the largest value, which are narrower where most values are on one side.
    pub ends: Interval,
}

impl SiteRange {
    /// [−B, B] in either form.
    pub fn symmetric(bound: f64) -> SiteRange {
        SiteRange { bound, ends: Interval::symmetric(bound) }
    }
}

/// Why ranges cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RangesError {
    #[error("{0}, or file:ranges.csv as `polyact calibrate` writes it")]
    Number(#[from] RangeError),
    #[error(transparent)]
    Densities(#[from] DensitiesError),
    #[error("ranges file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("ranges file {path}, line {line}: {reason}")]
    Content { path: PathBuf, line: u64, reason: String },
    #[error("{ranges} has no line for site {site}; it has {}", listed(.known))]
    Missing { ranges: String, site: String, known: Vec<String> },
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none at all".to_owned(),
        names if names.len() > 5 => format!("{} and {} more", names[..5].join(", "), names.len() - 5),
        names => names.join(", "),
    }
}

impl FromStr for Sourced<Ranges> {
    type Err = RangesError;

    /// A number, or `file:PATH`.
    fn from_str(text: &str) -> Result<Sourced<Ranges>, RangesError> {
        match text.strip_prefix("file:") {
            Some(path) => Ranges::read(Path::new(path)),
            None => Ok(Ranges::One(text.parse()?).into()),
        }
    }
}

/// As result rows name it: the number, the file, or the digest of their text.
impl std::fmt::Display for Sourced<Ranges> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.source, &self.value) {
            (Some(source), _) => source.fmt(f),
            (None, Ranges::One(range)) => write!(f, "{range}"),
            (None, ranges) => write!(f, "ranges#{}", &digest::of_text(ranges.text().as_bytes())[..8]),
        }
    }
}

impl Sourced<Ranges> {
    /// The range of `site`.
    ///
    /// # Errors
    /// [`RangesError::Missing`] if there is none for it.
    pub fn of(&self, site: &Site) -> Result<SiteRange, RangesError> {
        match &self.value {
            Ranges::One(range) => Ok(SiteRange { bound: range.bound(), ends: *range }),
            Ranges::Each(of_site, _) => of_site.get(&site.name).copied().ok_or_else(|| RangesError::Missing {
                ranges: self.called("ranges file"),
                site: site.name.clone(),
                known: of_site.keys().cloned().collect(),
            }),
        }
    }

    /// How inputs are distributed, if that was read.
    pub fn densities(&self) -> Option<&Densities> {
        match &self.value {
            Ranges::One(_) => None,
            Ranges::Each(_, densities) => densities.as_deref(),
        }
    }

    /// The same with the densities in the file beside them, if they are from a file. The digest is then of both files.
    ///
    /// # Errors
    /// [`RangesError::Densities`].
    pub fn with_densities(self) -> Result<Sourced<Ranges>, RangesError> {
        let (Ranges::Each(of_site, None), Some(source)) = (&self.value, &self.source) else { return Ok(self) };
        let densities = Densities::read(&densities_file(&source.path))?;
        let sha256 = digest::of_text(format!("{} {}", source.sha256, densities.sha256).as_bytes());
        let value = Ranges::Each(of_site.clone(), Some(Arc::new(densities)));
        Ok(Sourced { value, source: Some(Source { sha256, ..source.clone() }) })
    }
}

/// The columns that count; the others are for people. `low` and `high` may be left out.
#[derive(Deserialize)]
struct Line {
    site: String,
    range: String,
    #[serde(default)]
    low: Option<String>,
    #[serde(default)]
    high: Option<String>,
}

impl Line {
    /// The range that the line says.
    fn range(&self) -> Result<SiteRange, RangeError> {
        if self.range.contains(':') {
            return Err(RangeError(self.range.clone()));
        }
        let bound = self.range.parse::<Interval>()?.high;
        let side = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let ends = match (side(&self.low), side(&self.high)) {
            (Some(low), Some(high)) => format!("{low}:{high}").parse()?,
            (None, None) => Interval::symmetric(bound),
            (low, high) => {
                return Err(RangeError(format!("{}:{}", low.unwrap_or_default(), high.unwrap_or_default())));
            }
        };
        Ok(SiteRange { bound, ends })
    }
}

impl Ranges {
    /// Read the ranges file at `path`.
    ///
    /// # Errors
    /// [`RangesError`]: unreadable, no CSV with the columns site and range, a range that is none, a site twice.
    pub fn read(path: &Path) -> Result<Sourced<Ranges>, RangesError> {
        let read = bounded::read(path, bounded::TEXT);
        let bytes = read.map_err(|source| RangesError::Read { path: path.to_owned(), source })?;
        let source = Source { path: path.to_owned(), sha256: digest::of_text(&bytes) };
        Ok(Sourced { value: Ranges::Each(parse(path, &bytes)?, None), source: Some(source) })
    }

    /// As [`Ranges::read`] reads them; empty if one range holds for all.
    pub fn text(&self) -> String {
        let Ranges::Each(of_site, _) = self else { return String::new() };
        let mut writer = csv::Writer::from_writer(Vec::new());
        let line = |(site, range): (&String, &SiteRange)| {
            let SiteRange { bound, ends: Interval { low, high } } = range;
            [site.clone(), bound.to_string(), low.to_string(), high.to_string()]
        };
        let header = ["site", "range", "low", "high"].map(str::to_owned);
        for line in std::iter::once(header).chain(of_site.iter().map(line)) {
            // Memory takes every line.
            let _ = writer.write_record(line);
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, SiteRange>, RangesError> {
    let content = |line: u64, reason: String| RangesError::Content { path: path.to_owned(), line, reason };
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let mut lines = LineNumbers::of(text);
    let mut of_site = BTreeMap::new();
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
        let said: Line = record.deserialize(Some(&headers)).map_err(|error| content(line, error.to_string()))?;
        let range = said.range().map_err(|error| content(line, error.to_string()))?;
        if of_site.insert(said.site.clone(), range).is_some() {
            return Err(content(line, format!("site {} stands here a second time", said.site)));
        }
    }
    Ok(of_site)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SiteKind;
    use proptest::prelude::*;

    fn site(name: &str) -> Site {
        Site { index: 0, name: name.to_owned(), kind: SiteKind::relu(), image_axis: Some(0), non_negative: false }
    }

    fn parse(text: &str) -> Result<Sourced<Ranges>, RangesError> {
        super::parse(Path::new("some/ranges.csv"), text.as_bytes()).map(|of_site| Ranges::Each(of_site, None).into())
    }

    #[test]
    fn an_edited_file_is_read_by_the_names_of_its_columns() {
        let ranges = parse("kind, site ,note,range\nrelu, conv1.relu ,mine, 12.5\nmaxpool,pool,,3\n").unwrap();
        assert_eq!(ranges.of(&site("conv1.relu")).unwrap(), SiteRange::symmetric(12.5));
        assert_eq!(ranges.of(&site("pool")).unwrap(), SiteRange::symmetric(3.0));
        assert!(ranges.to_string().starts_with("ranges#"));
        assert_eq!(parse(&ranges.value.text()).unwrap(), ranges);
        assert!(ranges.of(&site("relu2")).unwrap_err().to_string().contains("conv1.relu, pool"));
    }

    #[test]
    fn two_ends_may_stand_beside_the_bound() {
        let ranges = parse("site,range,low,high\na,5,-1.5,5\nb,5,,\n").unwrap();
        let range = ranges.of(&site("a")).unwrap();
        assert_eq!((range.bound, range.ends.ends()), (5.0, [-1.5, 5.0]));
        assert_eq!(ranges.of(&site("b")).unwrap(), SiteRange::symmetric(5.0));
        assert_eq!(parse(&ranges.value.text()).unwrap(), ranges);
        let one: Sourced<Ranges> = "-1.5:5".parse().unwrap();
        assert_eq!((one.of(&site("a")).unwrap(), one.to_string()), (range, "-1.5:5".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("site,kind\na,relu\n").contains("no column `range`"));
        assert!(error("site,range\na,1\nb,-2\n").contains("line 3: `-2` is no range"));
        assert!(error("site,range\na,1\na,2\n").contains("line 3: site a stands here a second time"));
        assert!(error("\u{feff}site,range\r\na,1\r\n\r\nb,-2\r\n").contains("line 4: `-2` is no range"));
        assert!(error("site,range\na,1,7\n").contains("line 2"));
        assert!(error("site,range,low,high\na,1,2,1\n").contains("line 2: `2:1` is no range"));
        assert!(error("site,range,low,high\na,1,,1\n").contains("line 2: `:1` is no range"));
        assert!(error("site,range\na,-1:1\n").contains("line 2: `-1:1` is no range"));
        assert!("twelve".parse::<Sourced<Ranges>>().unwrap_err().to_string().contains("file:ranges.csv"));
        assert!("file:/no/such.csv".parse::<Sourced<Ranges>>().unwrap_err().to_string().contains("/no/such.csv"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = super::parse(Path::new("r.csv"), &bytes);
            let _ = super::parse(Path::new("r.csv"), &[b"site,range\n", bytes.as_slice()].concat());
        }
    }
}
