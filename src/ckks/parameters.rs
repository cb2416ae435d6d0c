//! What operations take under a parameter set: data in TOML, with their sources.
//!
//! ```toml
//! source = "where the figures are from"
//! levels = 16               # left after a bootstrapping
//! first_layer = 0           # the first convolution, which is given fresh ciphertexts
//! convolution = 2
//! linear = 1
//! average_pool = 1
//! shortcut = 1              # an operand of an addition that comes around the layers
//! scaling = 1
//! depths = [[5, 3], [13, 4]]   # the largest degree of each depth; without it ⌈log2(d + 1)⌉
//! slots = 16384             # numbers in a ciphertext; without it one ciphertext holds everything
//! ```

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::bounded;

/// The sets that come with the program, by name.
pub const SETS: [(&str, &str); 5] = [
    ("autofhe", include_str!("sets/autofhe.toml")),
    ("orion", include_str!("sets/orion.toml")),
    ("lattigo:N16QP1546H192H32", include_str!("sets/lattigo-N16QP1546H192H32.toml")),
    ("lattigo:N16QP1767H32768H32", include_str!("sets/lattigo-N16QP1767H32768H32.toml")),
    ("openfhe", include_str!("sets/openfhe.toml")),
];

/// A parameter set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// As it was asked for.
    #[serde(skip)]
    pub name: String,
    /// Where the figures are from.
    #[serde(default)]
    pub source: String,
    /// Levels that a ciphertext has left after a bootstrapping, and the images before the first layer.
    pub levels: u32,
    /// Levels that the first convolution or linear layer takes.
    #[serde(default = "one")]
    pub first_layer: u32,
    #[serde(default = "one")]
    pub convolution: u32,
    #[serde(default = "one")]
    pub linear: u32,
    #[serde(default = "one")]
    pub average_pool: u32,
    /// Of an operand of an addition that comes around the layers.
    #[serde(default)]
    pub shortcut: u32,
    #[serde(default = "one")]
    pub scaling: u32,
    /// Pairs of a degree and the levels of a polynomial up to it, in ascending order; empty for ⌈log2(d + 1)⌉.
    #[serde(default)]
    pub depths: Vec<(u32, u32)>,
    /// Numbers in one ciphertext.
    #[serde(default)]
    pub slots: Option<u64>,
}

fn one() -> u32 {
    1
}

/// Why a text names no parameter set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    #[error("`{0}` is no parameter set; expected levels=16, file:params.toml, or one of {known}", known = names())]
    Unknown(String),
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: String },
}

fn names() -> String {
    SETS.map(|(name, _)| name).join(", ")
}

/// The most levels of a set: no ring in use has as many.
const MOST_LEVELS: u32 = 200;

impl Parameters {
    /// What `text`, in TOML, says.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(name: &str, text: &str) -> Result<Parameters, String> {
        let parameters: Parameters = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        let Parameters { levels, first_layer, convolution, linear, average_pool, shortcut, scaling, .. } = parameters;
        if !(1..=MOST_LEVELS).contains(&levels) {
            return Err(format!("`levels` is {levels}; from 1 to {MOST_LEVELS} are possible"));
        }
        let each = [first_layer, convolution, linear, average_pool, shortcut, scaling];
        if let Some(most) = each.into_iter().find(|&each| each > levels) {
            return Err(format!("an operation takes {most} levels, and `levels` is {levels}"));
        }
        if !parameters.depths.is_sorted_by(|(degree, depth), (further, more)| degree < further && depth <= more) {
            return Err("`depths` must be pairs of a degree and a depth in ascending order".to_owned());
        }
        if parameters.slots == Some(0) {
            return Err("`slots` is 0; a ciphertext holds at least one number".to_owned());
        }
        Ok(Parameters { name: name.to_owned(), ..parameters })
    }

    /// Levels of a polynomial of `degree` ≥ 1. Beyond the table, as its last depth and one for each doubling of the degree.
    pub fn depth(&self, degree: u32) -> u32 {
        let log2 = |number: u32| number.next_power_of_two().trailing_zeros();
        match (self.depths.iter().find(|(most, _)| degree <= *most), self.depths.last()) {
            (Some(&(_, depth)), _) => depth,
            (None, Some(&(most, depth))) => depth + log2((degree + 1).div_ceil(most + 1)),
            (None, None) => log2(degree + 1),
        }
    }
}

impl Parameters {
    /// The largest degree up to `most` of a polynomial that takes so many levels; none if none takes just these.
    pub fn economic(&self, levels: u32, most: u32) -> Option<u32> {
        (1..=most).rev().find(|&degree| self.depth(degree) == levels)
    }
}

impl FromStr for Parameters {
    type Err = ParametersError;

    fn from_str(text: &str) -> Result<Parameters, ParametersError> {
        if let Some(path) = text.strip_prefix("file:").map(Path::new) {
            let file = |reason: String| ParametersError::File { path: path.to_owned(), reason };
            let bytes = bounded::read(path, bounded::TEXT).map_err(|error| file(error.to_string()))?;
            let content = bounded::text(&bytes).map_err(|_| file("it is not UTF-8 text".to_owned()))?;
            return Parameters::parse(text, content).map_err(file);
        }
        let known = SETS.into_iter().find(|(name, _)| *name == text).map(|(_, content)| content.to_owned());
        let number = || text.strip_prefix("levels=").map(|levels| format!("levels = {levels}"));
        let content = known.or_else(number).ok_or_else(|| ParametersError::Unknown(text.to_owned()))?;
        Parameters::parse(text, &content).map_err(|_| ParametersError::Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_set_is_read_and_says_where_it_is_from() {
        for (name, _) in SETS {
            let parameters: Parameters = name.parse().unwrap();
            assert!(parameters.source.contains("http") || parameters.source.contains('/'), "{name}");
            assert_eq!(parameters.name, name);
        }
    }

    /// OpenFHE's FUNCTION_EVALUATION.md: depths of `EvalChebyshevFunction` by degree, one less on [−1, 1].
    #[test]
    fn openfhe_has_its_own_depths() {
        let openfhe: Parameters = "openfhe".parse().unwrap();
        for (degrees, depth) in
            [(3..=5, 3), (6..=13, 4), (14..=27, 5), (28..=59, 6), (60..=119, 7), (120..=247, 8), (248..=495, 9)]
        {
            degrees.for_each(|degree| assert_eq!(openfhe.depth(degree), depth, "{degree}"));
        }
        // Compositions as they were measured on ciphertexts, with the product of ReLU: α = 7, 10, 13, 14.
        let measured: [(&[u32], u32); 4] = [(&[7, 7], 9), (&[7, 7, 13], 13), (&[15, 15, 27], 16), (&[15, 27, 29], 17)];
        for (degrees, levels) in measured {
            assert_eq!(degrees.iter().map(|&degree| openfhe.depth(degree)).sum::<u32>() + 1, levels, "{degrees:?}");
        }
        assert_eq!([3, 4, 5, 6, 7].map(|levels| openfhe.economic(levels, 127)), [5, 13, 27, 59, 119].map(Some));
        let lattigo: Parameters = "levels=9".parse().unwrap();
        assert_eq!(
            [3, 4, 5, 6, 7, 8].map(|levels| lattigo.economic(levels, 127)),
            [Some(7), Some(15), Some(31), Some(63), Some(127), None]
        );
        assert_eq!([1, 3, 7, 8, 27, 31, 32, 127].map(|degree| lattigo.depth(degree)), [1, 2, 3, 4, 5, 5, 6, 7]);
    }

    #[test]
    fn what_is_no_set_is_told() {
        let error = |text: &str| text.parse::<Parameters>().unwrap_err().to_string();
        assert!(
            error("seal").contains("`seal` is no parameter set; expected levels=16")
                && error("seal").contains("autofhe")
        );
        assert!(error("levels=0").contains("`levels=0`") && error("levels=many").contains("`levels=many`"));
        let parse = |text: &str| Parameters::parse("x", text).unwrap_err();
        assert!(parse("levels = 16\nconvolutoin = 2").starts_with("line 2: unknown field"));
        assert!(parse("levels = 3\nconvolution = 4").contains("takes 4 levels"));
        assert!(parse("levels = 9\ndepths = [[5, 3], [4, 4]]").contains("ascending"));
        assert!(error("file:/nowhere.toml").starts_with("/nowhere.toml: "));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,60}") {
            let _ = Parameters::parse("x", &text);
            if !text.starts_with("file:") {
                let _ = text.parse::<Parameters>();
            }
        }
    }
}
