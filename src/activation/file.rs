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
