//! The text form of an activation: `exact`, `paper:14`, `minimax:15,27,29@0.001`, `file:coeffs.json`, `chebyshev:27`, `fitted:15`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::Arithmetic;
use super::file::{CoefficientFile, FileError};
use crate::minimax::{
    ALPHAS, ApproximationError, DesignError, DomainError, Epsilon, MAX_DEGREE, check_degrees, paper_set,
};

/// What stands in for ReLU or max.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// The function itself.
    Exact,
    /// The published degree set and interval factor for the precision α.
    Paper { alpha: u32 },
    /// These degrees, with the best or a given ε.
    Minimax { degrees: Vec<u32>, epsilon: Epsilon },
    /// Coefficients from a file, read with the text form.
    File(CoefficientFile),
    /// x² for ReLU (Gilad-Bachrach et al., CryptoNets, ICML 2016).
    Square,
    /// x²/8 + x/2 + 1/4 for ReLU (Chou et al., Faster CryptoNets, arXiv 1811.09953).
    Aq,
    /// One polynomial for ReLU, equal to it at Chebyshev's nodes of the range.
    Chebyshev { degree: u32 },
    /// One polynomial for ReLU, the least-squares fit under Chebyshev's weight on the range.
    LeastSquares { degree: u32 },
    /// What is fitted to the inputs of each site.
    Fitted(FittedSpec),
}

/// What is fitted to the inputs of a site.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedSpec {
    /// Of one polynomial, or of the stages of a composition with an ε that suits the inputs.
    pub degrees: Vec<u32>,
    /// Whether every channel has its own polynomial; never of a composition.
    pub by_channel: bool,
    /// The weight of the whole range beside the inputs', above 0 and at most 1.
    pub share: f64,
}

/// The share of the whole range unless another is asked for.
pub const DEFAULT_SHARE: f64 = 1e-3;

/// Why a text is no activation.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error(
        "`{0}` is no activation; allowed are `exact`, `paper:14` (4 to 14), `minimax:15,27,29`, `minimax:15,27,29@0.001`, \
         `file:coeffs.json`, `file:coeffs.txt@15,27,29`, `fitted:15`, `fitted:15/channel`, `chebyshev:27`, `leastsq:27`, and for ReLU \
         `square`, `aq`"
    )]
    Unknown(String),
    #[error("`paper:{0}`: degree sets are published for 4 to 14")]
    Alpha(String),
    #[error("`{0}` is not a list of odd degrees such as 15,27,29")]
    Degrees(String),
    #[error("`{0}` is not the degree of one polynomial, a whole number from 1 to {MAX_DEGREE}")]
    Degree(String),
    #[error("`{0}` is not an epsilon, a number between 0 and 1")]
    Epsilon(String),
    #[error("`{0}` is not the share of the whole range, a number above 0 and at most 1, as in `fitted:15@0.001`")]
    Share(String),
    #[error(
        "`{0}`: a composition is one for all channels; leave /channel out, or ask for one polynomial, as in `fitted:15/channel`"
    )]
    Channels(String),
    #[error("`{0}` is fitted to the inputs of a site, and there is none; `eval`, `sweep` and plans take it")]
    NoSite(String),
    #[error(transparent)]
    Design(#[from] DesignError),
    #[error(transparent)]
    Approximation(#[from] ApproximationError),
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error(
        "`{spec}`: in {arithmetic} its ReLU error on [-1,1] is {measured:.3e} and not {designed:.3e}: {}",
        match arithmetic {
            Arithmetic::F64 =>
                "the coefficients of high degrees cancel; choose lower degrees and more stages, or --arithmetic f32",
            Arithmetic::F32 => "f32 does not resolve what so small an epsilon asks for; choose a larger one, or --arithmetic f64",
        }
    )]
    Arithmetic { spec: String, arithmetic: Arithmetic, designed: f64, measured: f64 },
    #[error(transparent)]
    File(#[from] FileError),
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Spec, SpecError> {
        match text.split_once(':') {
            None if text == "exact" => Ok(Spec::Exact),
            None if text == "square" => Ok(Spec::Square),
            None if text == "aq" => Ok(Spec::Aq),
            Some(("chebyshev", degree)) => Ok(Spec::Chebyshev { degree: parse_degree(degree)? }),
            Some(("fitted", rest)) => Ok(Spec::Fitted(parse_fitted(rest)?)),
            Some(("leastsq", degree)) => Ok(Spec::LeastSquares { degree: parse_degree(degree)? }),
            Some(("paper", alpha)) => match alpha.parse() {
                Ok(number) if ALPHAS.contains(&number) => Ok(Spec::Paper { alpha: number }),
                _ => Err(SpecError::Alpha(alpha.to_owned())),
            },
            Some(("minimax", rest)) => {
                let (degrees, epsilon) = match rest.split_once('@') {
                    Some((degrees, epsilon)) => (degrees, Epsilon::Given(parse_epsilon(epsilon)?)),
                    None => (rest, Epsilon::Best),
                };
                Ok(Spec::Minimax { degrees: parse_degrees(degrees)?, epsilon })
            }
            Some(("file", file)) => Ok(Spec::File(read_file(file)?)),
            _ => Err(SpecError::Unknown(text.to_owned())),
        }
    }
}

/// The file in PATH, of the JSON form, or in PATH@DEGREES, of a plain list.
fn read_file(text: &str) -> Result<CoefficientFile, SpecError> {
    let is_list = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    match text.rsplit_once('@') {
        Some((path, degrees)) if is_list(degrees) => {
            Ok(CoefficientFile::read(path.as_ref(), Some(&parse_degrees(degrees)?))?)
        }
        _ => Ok(CoefficientFile::read(text.as_ref(), None)?),
    }
}

/// `15,27,29` as degrees that can be a composition.
///
/// # Errors
/// [`SpecError`] for what is no list of numbers, and for degrees that are even or out of reach.
pub fn parse_degrees(text: &str) -> Result<Vec<u32>, SpecError> {
    let degrees: Result<Vec<u32>, _> = text.split(',').map(|degree| degree.trim().parse()).collect();
    let degrees = degrees.map_err(|_| SpecError::Degrees(text.to_owned()))?;
    check_degrees(&degrees)?;
    Ok(degrees)
}

fn parse_degree(text: &str) -> Result<u32, SpecError> {
    match text.parse() {
        Ok(degree) if (1..=MAX_DEGREE).contains(&degree) => Ok(degree),
        _ => Err(SpecError::Degree(text.to_owned())),
    }
}

/// `15`, `15/channel`, `15@0.01`, `15/channel@0.01`, `7,7`.
fn parse_fitted(text: &str) -> Result<FittedSpec, SpecError> {
    let (text, share) = match text.split_once('@') {
        Some((text, share)) => match share.parse::<f64>() {
            Ok(number) if number.is_normal() && number > 0.0 && number <= 1.0 => (text, number),
            _ => return Err(SpecError::Share(share.to_owned())),
        },
        None => (text, DEFAULT_SHARE),
    };
    let (degrees, by_channel) = match text.strip_suffix("/channel") {
        Some(degrees) => (degrees, true),
        None => (text, false),
    };
    let degrees = match degrees.contains(',') {
        true if by_channel => return Err(SpecError::Channels(format!("fitted:{text}"))),
        true => parse_degrees(degrees)?,
        false => vec![parse_degree(degrees)?],
    };
    Ok(FittedSpec { degrees, by_channel, share })
}

/// An ε between 0 and 1.
///
/// # Errors
/// [`SpecError::Epsilon`] for anything else.
pub fn parse_epsilon(text: &str) -> Result<f64, SpecError> {
    match text.trim().parse::<f64>() {
        Ok(epsilon) if epsilon > 0.0 && epsilon < 1.0 => Ok(epsilon),
        _ => Err(SpecError::Epsilon(text.to_owned())),
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spec::Exact => f.write_str("exact"),
            Spec::Paper { alpha } => write!(f, "paper:{alpha}"),
            Spec::Square => f.write_str("square"),
            Spec::Aq => f.write_str("aq"),
            Spec::Chebyshev { degree } => write!(f, "chebyshev:{degree}"),
            Spec::LeastSquares { degree } => write!(f, "leastsq:{degree}"),
            Spec::Fitted(fitted) => fitted.fmt(f),
            Spec::Minimax { degrees, epsilon } => {
                let degrees: Vec<String> = degrees.iter().map(u32::to_string).collect();
                write!(f, "minimax:{}", degrees.join(","))?;
                match epsilon {
                    Epsilon::Best => Ok(()),
                    Epsilon::Given(epsilon) => write!(f, "@{epsilon}"),
                }
            }
            Spec::File(file) => write!(f, "file:{file}"),
        }
    }
}

impl fmt::Display for FittedSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FittedSpec { degrees, by_channel, share } = self;
        let degrees: Vec<String> = degrees.iter().map(u32::to_string).collect();
        write!(f, "fitted:{}{}", degrees.join(","), if *by_channel { "/channel" } else { "" })?;
        if *share == DEFAULT_SHARE { Ok(()) } else { write!(f, "@{share}") }
    }
}

impl Spec {
    /// The file that its coefficients come from.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Spec::File(file) => Some(file.path()),
            _ => None,
        }
    }

    /// Degrees and ε of the composition to design for it; `None` where there is none to design.
    pub fn composition(&self) -> Option<(Vec<u32>, Epsilon)> {
        match self {
            Spec::Exact
            | Spec::File(_)
            | Spec::Square
            | Spec::Aq
            | Spec::Chebyshev { .. }
            | Spec::LeastSquares { .. }
            | Spec::Fitted(_) => None,
            Spec::Paper { alpha } => paper_set(*alpha).map(|set| (set.degrees.to_vec(), Epsilon::Given(set.epsilon))),
            Spec::Minimax { degrees, epsilon } => Some((degrees.clone(), epsilon.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_the_documentation_is_read() {
        assert_eq!("exact".parse::<Spec>().unwrap(), Spec::Exact);
        assert_eq!("paper:14".parse::<Spec>().unwrap(), Spec::Paper { alpha: 14 });
        let minimax = Spec::Minimax { degrees: vec![15, 27, 29], epsilon: Epsilon::Given(0.001) };
        assert_eq!("minimax:15,27,29@0.001".parse::<Spec>().unwrap(), minimax);
        assert_eq!("square".parse::<Spec>().unwrap(), Spec::Square);
        assert_eq!("aq".parse::<Spec>().unwrap(), Spec::Aq);
        assert_eq!("chebyshev:27".parse::<Spec>().unwrap(), Spec::Chebyshev { degree: 27 });
        assert_eq!("leastsq:127".parse::<Spec>().unwrap(), Spec::LeastSquares { degree: 127 });
        let fitted = |degree, by_channel, share| Spec::Fitted(FittedSpec { degrees: vec![degree], by_channel, share });
        let composition = FittedSpec { degrees: vec![7, 7], by_channel: false, share: DEFAULT_SHARE };
        assert_eq!("fitted:7,7".parse::<Spec>().unwrap(), Spec::Fitted(composition));
        assert_eq!("fitted:15".parse::<Spec>().unwrap(), fitted(15, false, DEFAULT_SHARE));
        assert_eq!("fitted:7/channel@0.01".parse::<Spec>().unwrap(), fitted(7, true, 0.01));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| text.parse::<Spec>().unwrap_err().to_string();
        assert!(error("relu").contains("`minimax:15,27,29`"));
        assert!(error("paper:3").contains("4 to 14"));
        assert!(error("minimax:15,28").contains("28 is even"));
        assert!(error("minimax:15,,27").contains("15,,27"));
        assert!(error("minimax:15@0").contains("`0`"));
        assert!(error("minimax:1").contains("degree 1 "));
        assert!(error("chebyshev:0").contains("from 1 to 127"));
        assert!(error("leastsq:128").contains("`128`"));
        assert!(error("leastsq").contains("`leastsq:27`"));
        assert!(error("square:2").contains("`square`"));
        assert!(error("fitted:0").contains("from 1 to 127"));
        assert!(error("fitted:15/site").contains("`15/site`"));
        assert!(error("fitted:15@0").contains("`0` is not the share"));
        assert!(error("fitted:15@1.5").contains("at most 1"));
        assert!(error("fitted:7,8").contains("8 is even"));
        assert!(error("fitted:7,7/channel").contains("leave /channel out"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<Spec>();
        }

        #[test]
        fn a_spec_survives_printing_and_reading(degrees in prop::collection::vec(1u32..=63, 1..=8), epsilon in prop::option::of(1e-9f64..0.9)) {
            let degrees = degrees.iter().map(|d| 2 * d + 1).collect();
            let epsilon = epsilon.map_or(Epsilon::Best, Epsilon::Given);
            let spec = Spec::Minimax { degrees, epsilon };
            prop_assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
        }

        #[test]
        fn a_single_polynomial_survives_printing_and_reading(degree in 1u32..=127) {
            let fitted = |by_channel, share| Spec::Fitted(FittedSpec { degrees: vec![degree], by_channel, share });
            let fitted = [fitted(false, DEFAULT_SHARE), fitted(true, DEFAULT_SHARE), fitted(false, 0.25), fitted(true, 1.0)];
            let others = [Spec::Square, Spec::Aq, Spec::Chebyshev { degree }, Spec::LeastSquares { degree }];
            for spec in others.into_iter().chain(fitted) {
                prop_assert!(spec.composition().is_none());
                prop_assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
            }
        }
    }
}
