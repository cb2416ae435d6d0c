//! Activations from a file of coefficients: `file:coeffs.json`, `file:coeffs.txt@15,27,29`, `file:sites.json`.

use std::fmt;
use std::path::{Path, PathBuf};

use super::accuracy::is_kept;
use super::coefficients::{CoefficientsError, Parsed, parse_json, parse_list};
use super::{Arithmetic, Sign, SitePolynomials};
use crate::{bounded, digest};

/// A file whose ReLU error on [−1, 1] is larger does not approximate sign: it is the error of p(x) = x, which costs
/// nothing. Every composition of minimax polynomials with the best ε is below half of it.
const MAX_RELU_ERROR: f64 = 0.125;
/// A file of coefficients, as read.
#[derive(Debug, Clone, PartialEq)]
pub struct CoefficientFile {
    path: PathBuf,
    /// Of its bytes, in hexadecimal.
    sha256: String,
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    /// One composition for sign.
    Composition(Parsed),
    /// What stands at each site of one network.
    Sites(Box<SitePolynomials>),
}

/// Why a file of coefficients cannot stand in for sign.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: it is no text", path.display())]
    NoText { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Content { path: PathBuf, source: CoefficientsError },
    #[error(
        "{}: its composition does not approximate sign: the ReLU error on [-1,1] is {measured:.3e} in {arithmetic}, where p(x) = x \
         has {MAX_RELU_ERROR}",
        path.display()
    )]
    NoSign { path: PathBuf, measured: f64, arithmetic: Arithmetic },
    #[error("{}: {reason}", path.display())]
    Sites { path: PathBuf, reason: String },
    #[error("{}: it has the polynomials of a network's sites, and is no composition for sign; `eval`, `sweep` and plans take it", path.display())]
    NoComposition { path: PathBuf },
    #[error(
        "{}: it has no Chebyshev series, which --arithmetic f32 needs; take the form of `polyact design --format json`",
        path.display()
    )]
    NoSeries { path: PathBuf },
    #[error("{}: it declares the ReLU error {declared:.3e} on [-1,1], and in {arithmetic} it is {measured:.3e}", path.display())]
    Declared { path: PathBuf, declared: f64, measured: f64, arithmetic: Arithmetic },
}

/// As result rows name it: the file's name with the beginning of its digest, which tells two files of one name apart.
impl fmt::Display for CoefficientFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        write!(f, "{name}#{:.8}", self.sha256)
    }
}

impl CoefficientFile {
    /// Where it was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Read the file at `path`: the JSON form, or the plain list of stages of these `degrees`.
    ///
    /// # Errors
    /// [`FileError`]: it cannot be read, or is something else.
    pub fn read(path: &Path, degrees: Option<&[u32]>) -> Result<CoefficientFile, FileError> {
        let path = || path.to_owned();
        // Polynomials for each channel of a large network take more than is read of what is no file, and may have no end.
        let most = if path().is_file() { bounded::TABLE } else { bounded::TEXT };
        let bytes = bounded::read(&path(), most).map_err(|source| FileError::Io { path: path(), source })?;
        let text = bounded::text(&bytes).map_err(|_| FileError::NoText { path: path() })?;
        let content = match degrees {
            None if SitePolynomials::is_of(text) => {
                let parsed = SitePolynomials::parse(text);
                Content::Sites(Box::new(parsed.map_err(|reason| FileError::Sites { path: path(), reason })?))
            }
            _ => {
                let parsed = degrees.map_or_else(|| parse_json(text), |degrees| parse_list(text, degrees));
                Content::Composition(parsed.map_err(|source| FileError::Content { path: path(), source })?)
            }
        };
        Ok(CoefficientFile { path: path(), sha256: digest::of_text(&bytes), content })
    }

    /// What stands at the sites of a network, if the file says that.
    pub fn sites(&self) -> Option<&SitePolynomials> {
        match &self.content {
            Content::Sites(sites) => Some(sites),
            Content::Composition(_) => None,
        }
    }

    /// The sign in the file, computed in `arithmetic`. Its bound is the ReLU error measured there.
    ///
    /// # Errors
    /// [`FileError`]: it does not approximate sign, or not as the file says, or has no form for the arithmetic.
    pub(super) fn sign(&self, arithmetic: Arithmetic) -> Result<Sign, FileError> {
        let path = || self.path.clone();
        let Content::Composition(parsed) = &self.content else {
            return Err(FileError::NoComposition { path: path() });
        };
        let single = match arithmetic {
            Arithmetic::F64 => None,
            Arithmetic::F32 => Some(parsed.series.clone().ok_or_else(|| FileError::NoSeries { path: path() })?),
        };
        let sign = Sign::measured(parsed.stages.clone(), single, &parsed.degrees);
        let measured = sign.bound();
        if measured > MAX_RELU_ERROR {
            return Err(FileError::NoSign { path: path(), measured, arithmetic });
        }
        match parsed.relu_error {
            Some(declared) if !is_kept(declared, measured) => {
                Err(FileError::Declared { path: path(), declared, measured, arithmetic })
            }
            _ => Ok(sign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Clenshaw, Coefficients, Spec, plain_list};
    use crate::minimax::{Composite, CostTable, DEFAULT_BITS, Epsilon};
    use proptest::prelude::*;

    fn written(name: &str, content: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (folder, path)
    }

    fn designed(spec: &str) -> Result<Sign, crate::activation::SpecError> {
        Sign::design(&spec.parse()?, Arithmetic::F64).map(Option::unwrap)
    }

    fn composite(degrees: &[u32]) -> Composite {
        Composite::design(degrees, &Epsilon::Best, DEFAULT_BITS).unwrap()
    }

    #[test]
    fn a_file_stands_in_for_its_design_to_the_bit() {
        for degrees in [&[5][..], &[7, 15], &[15, 27, 29]] {
            let numbers: Vec<String> = degrees.iter().map(u32::to_string).collect();
            let direct = designed(&format!("minimax:{}", numbers.join(","))).unwrap();
            let form = serde_json::to_string(&Coefficients::of(&composite(degrees), CostTable::OpenFhe)).unwrap();
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
    fn the_name_in_the_results_tells_contents_apart() {
        let (_folder, path) = written("c.txt", &plain_list(&composite(&[7, 7])));
        let read = || format!("file:{path}@7,7").parse::<Spec>().unwrap();
        let before = read();
        assert!(before.to_string().starts_with("file:c.txt#"), "{before}");
        assert_eq!(before, read());
        std::fs::write(&path, plain_list(&composite(&[7, 7])).replacen("0\n", "0.0\n", 1)).unwrap();
        assert_ne!(before, read());
        assert_ne!(before.to_string(), read().to_string());
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
        let form = serde_json::to_string(&Coefficients::of(&composite(&[3, 5]), CostTable::Published)).unwrap();
        let declared = refused(&form.replace("e-2\",\"depth", "e-3\",\"depth"), "");
        assert!(declared.contains("it declares the ReLU error"), "{declared}");
    }

    #[test]
    fn f32_takes_the_series_of_the_json_form_and_refuses_lists() {
        for degrees in [&[7, 15][..], &[63, 63]] {
            let composite = composite(degrees);
            let form = serde_json::to_string(&Coefficients::of(&composite, CostTable::Published)).unwrap();
            let (_folder, path) = written("c.json", &form);
            let spec = format!("file:{path}").parse::<Spec>().unwrap();
            let sign = Sign::design(&spec, Arithmetic::F32).unwrap().unwrap();
            assert_eq!(sign.single(), Some(&Clenshaw::of(&composite)));
            assert!((sign.bound() / Sign::of(&composite).bound() - 1.0).abs() < 0.01);
        }
        let form = serde_json::to_string(&Coefficients::of(&composite(&[3]), CostTable::Published)).unwrap();
        let (_folder, short) = written("c.json", &form.replacen("\"order\":3", "\"order\":5", 1));
        let (_folder, list) = written("c.txt", &plain_list(&composite(&[7, 7])));
        for spec in [format!("file:{short}"), format!("file:{list}@7,7")] {
            let error = Sign::design(&spec.parse().unwrap(), Arithmetic::F32).unwrap_err().to_string();
            assert!(error.contains("no Chebyshev series, which --arithmetic f32 needs"), "{error}");
        }
    }

    #[test]
    fn degrees_that_f64_does_not_hold_are_refused() {
        let error = designed("minimax:63,63").unwrap_err().to_string();
        assert!(error.contains("minimax:63,63") && error.contains("choose lower degrees"), "{error}");
        assert!(error.contains("--arithmetic f32"), "{error}");
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let error = |spec: &str| designed(spec).unwrap_err().to_string();
        assert!(error("file:nowhere/c.json").starts_with("nowhere/c.json: "));
        assert!(error("file:/dev/zero").contains("longer than"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(error(&format!("file:{}", path.display())).contains("it is no text"));
        std::fs::write(&path, "0\n1\n").unwrap();
        assert!(error(&format!("file:{}", path.display())).contains("file:coeffs.txt@15,27,29"));
    }

    #[test]
    fn a_path_may_have_an_at_and_degrees_must_be_odd() {
        let (_folder, path) = written("a@b", &plain_list(&composite(&[3])));
        designed(&format!("file:{path}@3")).unwrap();
        assert!("file:nowhere@4".parse::<Spec>().unwrap_err().to_string().contains("degree 4 is even"));
        assert!("file:".parse::<Spec>().is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("c");
            std::fs::write(&path, &bytes).unwrap();
            let path = path.to_str().unwrap().to_owned();
            let list = path.clone() + "@3";
            let refused = [path, list].map(|file| format!("file:{file}").parse::<Spec>().is_err());
            prop_assert_eq!(refused, [true; 2]);
        }
    }
}
