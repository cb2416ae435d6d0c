//! Activations from a file of coefficients: `file:coeffs.json`, `file:coeffs.txt@15,27,29`.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

use super::Sign;
use super::accuracy::is_kept;
use super::coefficients::{CoefficientsError, Parsed, parse_json, parse_list};
use super::spec::{SpecError, parse_degrees};
use crate::digest;

/// Larger files are refused: eight stages of degree 127 at the highest precision are below it.
const MAX_BYTES: u64 = 1 << 25;
/// A file whose ReLU error on [−1, 1] is larger does not approximate sign: it is the error of p(x) = x, which costs
/// nothing. Every composition of minimax polynomials with the best ε is below half of it.
const MAX_RELU_ERROR: f64 = 0.125;
/// Hexadecimal digits of the SHA-256 that tell files of one name apart.
const DIGEST_DIGITS: usize = 12;

/// A file of coefficients.
#[derive(Debug, Clone, PartialEq)]
pub struct CoefficientFile {
    pub path: PathBuf,
    /// The degrees of a plain list, which does not say them; none for the JSON form.
    pub degrees: Option<Vec<u32>>,
    /// What the SHA-256 of the content must begin with.
    pub digest: Option<String>,
}

/// Why a file of coefficients cannot stand in for sign.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: it is larger than {MAX_BYTES} bytes, which no file of coefficients is", path.display())]
    TooLarge { path: PathBuf },
    #[error("{}: its SHA-256 begins with {found}, not with {expected}: it is another file than the one named", path.display())]
    Digest { path: PathBuf, found: String, expected: String },
    #[error("{}: it is no text", path.display())]
    NoText { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Content { path: PathBuf, source: CoefficientsError },
    #[error(
        "{}: its composition does not approximate sign: the ReLU error on [-1,1] is {measured:.3e} in f64, where p(x) = x \
         has {MAX_RELU_ERROR}",
        path.display()
    )]
    NoSign { path: PathBuf, measured: f64 },
    #[error("{}: it declares the ReLU error {declared:.3e} on [-1,1], and in f64 it is {measured:.3e}", path.display())]
    Declared { path: PathBuf, declared: f64, measured: f64 },
}

impl FromStr for CoefficientFile {
    type Err = SpecError;

    /// PATH[@DEGREES][#DIGEST].
    fn from_str(text: &str) -> Result<CoefficientFile, SpecError> {
        let (rest, digest) = match text.rsplit_once('#') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            _ => (text, None),
        };
        let numbers = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
        let (path, degrees) = match rest.rsplit_once('@') {
            Some((path, degrees)) if numbers(degrees) => (path, Some(parse_degrees(degrees)?)),
            _ => (rest, None),
        };
        if path.is_empty() {
            return Err(SpecError::Unknown(format!("file:{text}")));
        }
        Ok(CoefficientFile { path: path.into(), degrees, digest })
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for CoefficientFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(degrees) = &self.degrees {
            let degrees: Vec<String> = degrees.iter().map(u32::to_string).collect();
            write!(f, "@{}", degrees.join(","))?;
        }
        match &self.digest {
            Some(digest) => write!(f, "#{digest}"),
            None => Ok(()),
        }
    }
}

impl CoefficientFile {
    /// The sign in the file. Its bound is the ReLU error measured in f64.
    ///
    /// # Errors
    /// [`FileError`]: a file that cannot be read, is another one than named, is not in its form, or does not approximate
    /// sign as it says.
    pub(super) fn sign(&self) -> Result<Sign, FileError> {
        let path = || self.path.clone();
        let bytes = self.bytes()?;
        let mut digest = digest::of_text(&bytes);
        digest.truncate(DIGEST_DIGITS);
        if let Some(expected) = self.digest.as_ref().filter(|expected| **expected != digest) {
            return Err(FileError::Digest { path: path(), found: digest, expected: expected.clone() });
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| FileError::NoText { path: path() })?;
        let parsed = match &self.degrees {
            None => parse_json(text),
            Some(degrees) => parse_list(text, degrees),
        };
        let Parsed { degrees, stages, relu_error } =
            parsed.map_err(|source| FileError::Content { path: path(), source })?;
        let sign = Sign::imported(stages, &degrees, digest);
        let measured = sign.bound();
        if measured > MAX_RELU_ERROR {
            return Err(FileError::NoSign { path: path(), measured });
        }
        if let Some(declared) = relu_error.filter(|declared| !is_kept(*declared, measured)) {
            return Err(FileError::Declared { path: path(), declared, measured });
        }
        Ok(sign)
    }

    fn bytes(&self) -> Result<Vec<u8>, FileError> {
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Err(source) => Err(FileError::Io { path: self.path.clone(), source }),
            Ok(length) if length as u64 > MAX_BYTES => Err(FileError::TooLarge { path: self.path.clone() }),
            Ok(_) => Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Coefficients, Spec, plain_list};
    use crate::minimax::{Composite, DEFAULT_BITS, Epsilon};
    use proptest::prelude::*;

    fn written(name: &str, content: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (folder, path)
    }

    fn designed(spec: &str) -> Result<Sign, SpecError> {
        Sign::design(&spec.parse().unwrap()).map(Option::unwrap)
    }

    fn composite(degrees: &[u32]) -> Composite {
        Composite::design(degrees, &Epsilon::Best, DEFAULT_BITS).unwrap()
    }

    #[test]
    fn a_file_stands_in_for_its_design_to_the_bit() {
        for degrees in [&[5][..], &[7, 15], &[15, 27, 29]] {
            let numbers: Vec<String> = degrees.iter().map(u32::to_string).collect();
            let direct = designed(&format!("minimax:{}", numbers.join(","))).unwrap();
            let form = serde_json::to_string(&Coefficients::of(&composite(degrees))).unwrap();
            let (_folder, path) = written("c.json", &form);
            let (_folder, plain) = written("c.txt", &plain_list(&composite(degrees)));
            for spec in [format!("file:{path}"), format!("file:{plain}@{}", numbers.join(","))] {
                let read = designed(&spec).unwrap();
                assert_eq!(read.stages(), direct.stages(), "{spec}");
                assert_eq!(read.cost(), direct.cost());
                assert!((read.bound() / direct.bound() - 1.0).abs() < 0.01, "{} {}", read.bound(), direct.bound());
            }
        }
    }

    #[test]
    fn the_name_in_the_results_tells_contents_apart_and_reads_back() {
        let (_folder, path) = written("c.txt", &plain_list(&composite(&[7, 7])));
        let spec: Spec = format!("file:{path}@7,7").parse().unwrap();
        let pinned = spec.pinned(&designed(&spec.to_string()).unwrap());
        let name = pinned.to_string();
        assert_ne!(name, spec.to_string());
        assert_eq!(name.parse::<Spec>().unwrap(), pinned);
        designed(&name).unwrap();
        std::fs::write(&path, plain_list(&composite(&[7, 7])) + "\n").unwrap();
        let error = designed(&name).unwrap_err().to_string();
        assert!(error.contains("it is another file than the one named"), "{error}");
    }

    #[test]
    fn what_does_not_approximate_sign_is_refused_with_its_error() {
        let refused = |content: &str, degrees: &str| {
            let (_folder, path) = written("c.txt", content);
            designed(&format!("file:{path}{degrees}")).unwrap_err().to_string()
        };
        // p(x) = x³: x·(1 − x³)/2 is largest at x = 4^(−1/3), 0.236235.
        let cube = refused("0\n0\n0\n1\n", "@3");
        assert!(cube.contains("c.txt") && cube.contains("2.362e-1"), "{cube}");
        // Right numbers in the wrong order, and the sign of −sign.
        assert!(refused(&plain_list(&composite(&[7, 15])), "@15,7").contains("does not approximate sign"));
        assert!(refused("0\n-1.5\n0\n0.5\n", "@3").contains("does not approximate sign"));
        // Overflow to infinity.
        assert!(refused("0\n1e200\n0\n1e200\n0\n1e200\n0\n1e200\n", "@3,3").contains("is inf in f64"));
        let form = serde_json::to_string(&Coefficients::of(&composite(&[3, 5]))).unwrap();
        let declared = refused(&form.replace("e-2\",\"depth", "e-3\",\"depth"), "");
        assert!(declared.contains("it declares the ReLU error"), "{declared}");
    }

    #[test]
    fn degrees_that_f64_does_not_hold_are_refused() {
        let error = designed("minimax:63,63").unwrap_err().to_string();
        assert!(error.contains("minimax:63,63") && error.contains("choose lower degrees"), "{error}");
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let error = |spec: &str| designed(spec).unwrap_err().to_string();
        assert!(error("file:nowhere/c.json").starts_with("nowhere/c.json: "));
        assert!(error("file:/dev/zero").contains("larger than"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(error(&format!("file:{}", path.display())).contains("it is no text"));
        std::fs::write(&path, "0\n1\n").unwrap();
        assert!(error(&format!("file:{}", path.display())).contains("file:coeffs.txt@15,27,29"));
    }

    #[test]
    fn path_degrees_and_digest_are_told_apart() {
        let file = |text: &str| text.parse::<CoefficientFile>().unwrap();
        assert_eq!(file("a@b#c.json").path, PathBuf::from("a@b#c.json"));
        assert_eq!(file("a.txt@3,5#0123456789ab").degrees, Some(vec![3, 5]));
        assert_eq!(file("a.json#0123456789ab").digest.as_deref(), Some("0123456789ab"));
        assert!("".parse::<CoefficientFile>().is_err());
        assert!("a.txt@4".parse::<CoefficientFile>().unwrap_err().to_string().contains("degree 4 is even"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("c");
            std::fs::write(&path, &bytes).unwrap();
            for degrees in [None, Some(vec![3])] {
                let file = CoefficientFile { path: path.clone(), degrees, digest: None };
                prop_assert!(file.sign().is_err());
            }
        }

        #[test]
        fn a_name_survives_printing_and_reading(text in "[a-z@#,0-9.]{1,30}") {
            if let Ok(file) = text.parse::<CoefficientFile>() {
                prop_assert_eq!(file.to_string().parse::<CoefficientFile>().unwrap(), file);
            }
        }
    }
}
