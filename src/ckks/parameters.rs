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
//!
//! [noise]                   # what the scheme adds to numbers; `Noise` says it field by field
//! ring = 65536
//! scale = 40
//! secret = 192
//! divided = true
//! bootstrapping = 26.3
//!
//! [modulus]                 # bits of the primes; `Modulus` says it field by field
//! first = 60
//! level = 40
//! bootstrapping = 821
//! special_primes = 5
//! special = 61
//!
//! [times]                   # of operations; `Times` says it field by field
//! source = "where they are from"
//! unit = "s"
//! bootstrapping = [[1, 8.9], [10, 25.4]]
//! ```
//!
//! Behind the name of a set numbers of it can be replaced: `orion,scale=30,bootstrapping=19`, and its times by those of another set or
//! table: `levels=12,times=ant-ace`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::noise::Noise;
use super::security::Chain;
use super::times::{TABLES, Times};
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
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
    /// What the scheme adds to numbers, where that is known.
    #[serde(default)]
    pub noise: Option<Noise>,
    /// The primes of the modulus, where they are known.
    #[serde(default)]
    pub modulus: Option<Modulus>,
    /// How long operations take, where that is known.
    #[serde(default)]
    pub times: Option<Times>,
}

/// Sizes of the primes of a set, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modulus {
    /// Of the prime that is left when all levels are spent.
    pub first: u32,
    /// Of the prime that a level takes.
    pub level: u32,
    /// Of all primes together that a bootstrapping takes.
    #[serde(default)]
    pub bootstrapping: u32,
    /// Primes for key switching.
    #[serde(default)]
    pub special_primes: u32,
    /// Of each of them.
    #[serde(default)]
    pub special: u32,
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
    #[error("`{part}`: {reason}")]
    Replacement { part: String, reason: String },
}

fn names() -> String {
    SETS.map(|(name, _)| name).join(", ")
}

/// The most levels of a set: no ring in use has as many.
const MOST_LEVELS: u32 = 200;

/// The most bits of a prime.
const MOST_BITS: u32 = 128;

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
        parameters.checked(name)
    }

    /// The same under this name, if nothing in it is impossible.
    fn checked(self, name: &str) -> Result<Parameters, String> {
        let parameters = self;
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
        if let Some(noise) = &parameters.noise {
            noise.check()?;
        }
        if let Some(times) = &parameters.times {
            times.check()?;
        }
        if let Some(modulus) = &parameters.modulus {
            let Modulus { first, level, bootstrapping, special_primes, special } = *modulus;
            if [first, level, special].into_iter().any(|bits| bits > MOST_BITS)
                || bootstrapping > MOST_BITS * MOST_LEVELS
            {
                return Err(format!("`modulus` has a prime of more than {MOST_BITS} bits"));
            }
            if special_primes > MOST_LEVELS {
                return Err(format!("`special_primes` is {special_primes}; up to {MOST_LEVELS} are possible"));
            }
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
    /// The chain of moduli, where its primes are known.
    pub fn chain(&self) -> Option<Chain> {
        let Modulus { first, level, bootstrapping, special_primes, special } = self.modulus?;
        Some(Chain { first, scale: level, levels: self.levels, bootstrapping, special_primes, special })
    }

    /// The largest degree up to `most` of a polynomial that takes so many levels; none if none takes just these.
    pub fn economic(&self, levels: u32, most: u32) -> Option<u32> {
        (1..=most).rev().find(|&degree| self.depth(degree) == levels)
    }
}

/// What can be replaced behind the name of a set, in the set itself and in its noise.
const NUMBERS: [&str; 2] = ["levels", "slots"];
const NOISE_NUMBERS: [&str; 5] = ["ring", "scale", "secret", "sigma", "bootstrapping"];
/// The table of times, by the name of another that has one.
const TIMES: &str = "times";

impl FromStr for Parameters {
    type Err = ParametersError;

    fn from_str(text: &str) -> Result<Parameters, ParametersError> {
        let is_replacement = |part: &&str| {
            let is_known = |key| NUMBERS.contains(&key) || NOISE_NUMBERS.contains(&key) || key == TIMES;
            part.split_once('=').is_some_and(|(key, _)| is_known(key))
        };
        // A file's name may have commas.
        let behind: Vec<&str> = text.split(',').skip(1).collect();
        let count = behind.iter().rev().take_while(|part| is_replacement(part)).count();
        let replacements = &behind[behind.len() - count..];
        let length = text.len() - replacements.iter().map(|part| part.len() + 1).sum::<usize>();
        let set = &text[..length];
        let (content, wrong) = content(set)?;
        let parameters = Parameters::parse(set, &content).map_err(&wrong)?;
        if replacements.is_empty() {
            return Ok(parameters);
        }
        let mut table: toml::Table = toml::from_str(&content).map_err(|error| wrong(error.to_string()))?;
        for part in replacements {
            replace(&mut table, part)
                .map_err(|reason| ParametersError::Replacement { part: (*part).to_owned(), reason })?;
        }
        let replaced = table.try_into().map_err(|error: toml::de::Error| error.message().replace('\n', " "));
        replaced
            .and_then(|parameters: Parameters| parameters.checked(text))
            .map_err(|reason| ParametersError::Replacement { part: replacements.join(","), reason })
    }
}

/// What stands in the set of this name, and how to tell what is wrong with it.
fn content(set: &str) -> Result<(String, impl Fn(String) -> ParametersError), ParametersError> {
    let path = set.strip_prefix("file:").map(Path::new);
    let wrong = move |reason: String| match path {
        Some(path) => ParametersError::File { path: path.to_owned(), reason },
        None => ParametersError::Unknown(set.to_owned()),
    };
    if let Some(path) = path {
        let bytes = bounded::read(path, bounded::TEXT).map_err(|error| wrong(error.to_string()))?;
        let content = bounded::text(&bytes).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
        return Ok((content.to_owned(), wrong));
    }
    let known = SETS.into_iter().find(|(name, _)| *name == set).map(|(_, content)| content.to_owned());
    let number = || set.strip_prefix("levels=").map(|levels| format!("levels = {levels}"));
    let content = known.or_else(number).ok_or_else(|| wrong(String::new()))?;
    Ok((content, wrong))
}

/// The times of the set or table of this name.
fn times_of(name: &str) -> Result<toml::Value, String> {
    let table = TABLES.into_iter().find(|(known, _)| *known == name).map(|(_, content)| content.to_owned());
    let content = match table {
        Some(content) => content,
        None => match content(name) {
            Ok((content, _)) => content,
            Err(error @ ParametersError::File { .. }) => return Err(error.to_string()),
            Err(_) => return Err(format!("it is no table of times; {}", expected_times())),
        },
    };
    let mut set: toml::Table = toml::from_str(&content).map_err(|error| error.message().replace('\n', " "))?;
    set.remove(TIMES).ok_or_else(|| format!("{name} has no [times]; {}", expected_times()))
}

fn expected_times() -> String {
    let sets = SETS.into_iter().filter(|(_, content)| content.contains("\n[times]"));
    let names: Vec<&str> = TABLES.into_iter().chain(sets).map(|(name, _)| name).collect();
    format!("expected {} or file:params.toml", names.join(", "))
}

/// Put what `key=number` says into the table of a set.
fn replace(table: &mut toml::Table, part: &str) -> Result<(), String> {
    let (key, number) = part.split_once('=').unwrap_or_default();
    if key == TIMES {
        table.insert(key.to_owned(), times_of(number)?);
        return Ok(());
    }
    let whole = number.parse::<i64>().map(toml::Value::Integer).ok();
    let number = whole.or_else(|| number.parse::<f64>().map(toml::Value::Float).ok());
    let number = number.ok_or_else(|| format!("expected a number, as {key}=40"))?;
    let noise = || toml::Value::Table(toml::Table::new());
    let table = match NUMBERS.contains(&key) {
        true => Some(table),
        false => table.entry("noise").or_insert_with(noise).as_table_mut(),
    };
    table.and_then(|table| table.insert(key.to_owned(), number));
    Ok(())
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

    /// The names of Lattigo's sets have log2(Q·P).
    #[test]
    fn moduli_are_those_of_the_sets() {
        for (name, log_qp) in [("lattigo:N16QP1546H192H32", 1546), ("lattigo:N16QP1767H32768H32", 1767)] {
            assert_eq!(name.parse::<Parameters>().unwrap().chain().unwrap().log_qp(), log_qp, "{name}");
        }
        assert_eq!("autofhe".parse::<Parameters>().unwrap().chain(), None);
        let large = Parameters::parse("x", "levels = 9\n[modulus]\nfirst = 60\nlevel = 400\n").unwrap_err();
        assert!(large.contains("more than 128 bits"), "{large}");
    }

    #[test]
    fn numbers_behind_a_name_replace_those_of_the_set() {
        let parse = |text: &str| text.parse::<Parameters>();
        let lattigo = parse("lattigo:N16QP1546H192H32").unwrap();
        let other = parse("lattigo:N16QP1546H192H32,levels=5,scale=30,bootstrapping=19.5").unwrap();
        let noise = other.noise.unwrap();
        assert_eq!((other.levels, noise.scale, noise.bootstrapping, noise.ring), (5, 30.0, 19.5, 65536));
        assert_eq!(
            (other.slots, other.name.as_str()),
            (lattigo.slots, "lattigo:N16QP1546H192H32,levels=5,scale=30,bootstrapping=19.5")
        );
        let own = parse("levels=8,ring=32768,scale=40,bootstrapping=20").unwrap();
        assert_eq!(own.noise.unwrap().secret, None);
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(error("orion,scale=fast"), "`scale=fast`: expected a number, as scale=40");
        assert!(error("orion,levels=0").contains("`levels` is 0"), "{}", error("orion,levels=0"));
        assert!(error("autofhe,scale=40").contains("missing field `ring`"), "{}", error("autofhe,scale=40"));
        let times = parse("autofhe,levels=12,times=orion").unwrap().times.unwrap();
        assert_eq!(Some(times), parse("orion").unwrap().times);
        assert_eq!(
            error("autofhe,times=seal"),
            "`times=seal`: it is no table of times; expected ant-ace, orion or file:params.toml"
        );
        assert!(error("orion,times=openfhe").contains("openfhe has no [times]; expected ant-ace, orion"));
        assert!(error("orion,times=file:/nowhere.toml").contains("/nowhere.toml: "));
        assert!(error("orion,colour=3").contains("`orion,colour=3` is no parameter set"));
        assert!(error("orion,ring=65536.5").contains("ring") || error("orion,ring=65536.5").contains("integer"));
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
