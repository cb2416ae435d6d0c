//! How the inputs of every site of a network were distributed over a calibration, and how far its decisions were from others, in a
//! file beside its ranges.
//!
//! The file begins with a line of text; behind it stands, compressed by zlib, what serde and postcard make of [`Form`]. Its counts are
//! exact.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use crate::fitting::{Density, Stored};
use crate::{bounded, digest};

/// What the file begins with; another form has another number.
const MAGIC: &[u8] = b"polyact densities 2\n";
/// The most bytes that are unpacked.
const UNPACKED: u64 = 1 << 32;

/// The densities of a network's sites.
#[derive(Debug, Clone, PartialEq)]
pub struct Densities {
    /// By which ends are wider than what was met, as a share of its width.
    pub margin: f64,
    /// Of each image, by how much its largest logit is above the next.
    pub leads: Vec<f32>,
    /// By the site's name: of each channel, or of one for all; of a pool, of the differences in each round of its tournaments.
    pub sites: BTreeMap<String, Vec<Density>>,
    /// SHA-256 of the file they come from, in hexadecimal.
    pub sha256: String,
}

/// What stands in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Form {
    /// Of polyact, which wrote it.
    version: String,
    margin: f64,
    leads: Vec<f32>,
    sites: Vec<(String, Vec<Stored>)>,
}

/// Why densities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DensitiesError {
    #[error("{}: {source}; `polyact calibrate` writes it beside the ranges", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {reason}; let `polyact calibrate` write it again", path.display())]
    Content { path: PathBuf, reason: String },
}

/// Where densities are kept that were measured with the ranges in a file: `ranges.csv.densities`.
pub fn densities_file(ranges: &Path) -> PathBuf {
    let mut name = ranges.as_os_str().to_owned();
    name.push(".densities");
    PathBuf::from(name)
}

/// The bytes of the file with the leads of the images and these densities, of the sites in their order.
pub fn densities_bytes<'a>(
    margin: f64,
    leads: &[f32],
    sites: impl Iterator<Item = (&'a str, &'a [Density])>,
) -> Vec<u8> {
    let stored =
        |(name, densities): (&str, &[Density])| (name.to_owned(), densities.iter().map(Density::stored).collect());
    let (version, leads) = (env!("CARGO_PKG_VERSION").to_owned(), leads.to_vec());
    let form = Form { version, margin, leads, sites: sites.map(stored).collect() };
    let mut packed = ZlibEncoder::new(MAGIC.to_vec(), Compression::default());
    // Memory takes all, and every form can be written.
    let _ = packed.write_all(&postcard::to_stdvec(&form).unwrap_or_default());
    packed.finish().unwrap_or_default()
}

impl Densities {
    /// Whether values weigh what an error there does to decisions.
    pub fn is_weighted(&self) -> bool {
        self.sites.values().flatten().any(Density::is_weighted)
    }

    /// The same, in which all values weigh alike.
    pub fn unweighted(&self) -> Densities {
        let plain = |densities: &Vec<Density>| densities.iter().map(Density::unweighted).collect();
        let sites = self.sites.iter().map(|(name, densities)| (name.clone(), plain(densities))).collect();
        Densities { sites, ..self.clone() }
    }

    /// Read the file at `path`.
    ///
    /// # Errors
    /// [`DensitiesError`]: it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Densities, DensitiesError> {
        let read = bounded::read(path, bounded::TABLE);
        let bytes = read.map_err(|source| DensitiesError::Read { path: path.to_owned(), source })?;
        Densities::parse(&bytes).map_err(|reason| DensitiesError::Content { path: path.to_owned(), reason })
    }

    /// What the bytes of a file say.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(bytes: &[u8]) -> Result<Densities, String> {
        let packed =
            bytes.strip_prefix(MAGIC).ok_or("it is no file of densities, or one of another version of polyact")?;
        let mut unpacked = Vec::new();
        let read = ZlibDecoder::new(packed).take(UNPACKED).read_to_end(&mut unpacked);
        read.map_err(|_| "it is damaged or cut off")?;
        let form: Form = postcard::from_bytes(&unpacked).map_err(|_| "it is damaged or cut off")?;
        if !(form.margin >= 0.0 && form.margin.is_finite()) {
            return Err("its margin is none".to_owned());
        }
        if form.leads.iter().any(|lead| lead.is_nan() || *lead < 0.0) {
            return Err("a lead of its images is none".to_owned());
        }
        let mut sites = BTreeMap::new();
        for (name, stored) in form.sites {
            let densities: Result<Vec<Density>, _> = stored.iter().map(Density::read).collect();
            let densities = densities.map_err(|error| format!("site {name}: {error}"))?;
            sites.insert(name, densities);
        }
        Ok(Densities { margin: form.margin, leads: form.leads, sites, sha256: digest::of_text(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> Vec<u8> {
        let densities = [-1.5f32, 2.0].map(|value| {
            let mut density = Density::default();
            density.add([value, 0.25, 0.0, 0.25]);
            density
        });
        let sites = [("relu", &densities[..]), ("pool", &densities[..1]), ("never", &[])];
        densities_bytes(0.25, &[0.5, 4.0], sites.into_iter())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let read = Densities::parse(&bytes()).unwrap();
        assert_eq!((read.margin, &read.leads[..], read.sites.len()), (0.25, &[0.5, 4.0][..], 3));
        assert_eq!(read.sites["relu"].iter().map(Density::values).collect::<Vec<_>>(), [4, 4]);
        assert_eq!(read.sites["relu"][0].ends(), Some([-1.5, 0.25]));
        let sites = ["relu", "pool", "never"].map(|name| (name, read.sites[name].as_slice()));
        assert_eq!(densities_bytes(0.25, &read.leads, sites.into_iter()), bytes());
        let none = densities_bytes(0.25, &[f32::NAN], std::iter::empty());
        assert_eq!(Densities::parse(&none), Err("a lead of its images is none".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let error = |bytes: &[u8]| Densities::parse(bytes).unwrap_err();
        assert!(error(b"site,kind,range\n").contains("no file of densities"));
        assert!(error(&bytes()[..40]).contains("damaged or cut off"));
        assert!(error(MAGIC).contains("damaged or cut off"));
        let missing = Densities::read(Path::new("/no/such.csv.densities")).unwrap_err().to_string();
        assert!(missing.contains("/no/such.csv.densities") && missing.contains("polyact calibrate"), "{missing}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Densities::parse(&bytes);
            let mut packed = ZlibEncoder::new(MAGIC.to_vec(), Compression::fast());
            packed.write_all(&bytes).unwrap();
            let _ = Densities::parse(&packed.finish().unwrap());
        }

        #[test]
        fn no_change_of_a_good_file_makes_the_reader_panic(at in 0usize..400, byte: u8) {
            let mut changed = bytes();
            if let Some(place) = changed.get_mut(at) {
                *place = byte;
            }
            let _ = Densities::parse(&changed);
        }
    }
}
