//! What stands at the sites of one network, as JSON: polynomials that were fitted, with their ranges and how good they are.
//!
//! docs/coefficients.md describes the form field by field, docs/sites.schema.json is its schema.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Arithmetic, Fitted, Interval, Series, Spec};
use crate::minimax::MAX_DEGREE;

/// The number of the form; another one cannot be read.
const SCHEMA: u32 = 1;

/// The sites of a network, each once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitePolynomials {
    schema: u32,
    /// Of polyact, which wrote it.
    version: String,
    /// SHA-256 of the archive, in hexadecimal.
    pub model_sha256: String,
    pub sites: Vec<SitePolynomial>,
}

/// What stands at one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitePolynomial {
    pub site: String,
    /// What it stands for: `relu`, `relu6`, or `maxpool`, where it is r in max(a, b) = b + r(a − b).
    pub kind: String,
    /// As it was asked for.
    pub activation: String,
    /// That the inputs are to stay within.
    pub range: [f64; 2],
    /// Of one evaluation.
    pub depth: u32,
    pub mults: u32,
    /// The root of the mean square error, and the mean error, under the density it was fitted to; the largest error on the range.
    pub rms: f64,
    pub mean: f64,
    pub worst: f64,
    /// A composition of minimax polynomials, as it is asked for; then there are no polynomials.
    #[serde(default)]
    pub composition: Option<String>,
    /// One for all channels, or one for each, in their order.
    pub polynomials: Vec<ChannelPolynomial>,
}

/// Σ c_k·T_k(t), t = (2x − low − high)/(high − low).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelPolynomial {
    pub interval: [f64; 2],
    /// c_0, c_1, …
    pub chebyshev: Vec<f64>,
}

impl SitePolynomials {
    /// Of the archive with this SHA-256.
    pub fn new(model_sha256: &str, sites: Vec<SitePolynomial>) -> SitePolynomials {
        let (version, model_sha256) = (env!("CARGO_PKG_VERSION").to_owned(), model_sha256.to_owned());
        SitePolynomials { schema: SCHEMA, version, model_sha256, sites }
    }

    /// What stands at the site of this name.
    pub fn site(&self, name: &str) -> Option<&SitePolynomial> {
        self.sites.iter().find(|site| site.site == name)
    }

    /// As [`SitePolynomials::parse`] reads it.
    ///
    /// # Errors
    /// A number that is not finite, which JSON does not have.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Whether `text` is of this form rather than of that of one composition.
    pub(super) fn is_of(text: &str) -> bool {
        #[derive(Deserialize)]
        struct Fields {
            sites: serde::de::IgnoredAny,
        }
        serde_json::from_str::<Fields>(text).is_ok_and(|Fields { sites: serde::de::IgnoredAny }| true)
    }

    /// What `text` says.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(text: &str) -> Result<SitePolynomials, String> {
        let read: SitePolynomials = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if read.schema != SCHEMA {
            return Err(format!("its schema is {}, and this version of polyact reads {SCHEMA}", read.schema));
        }
        let mut names = HashSet::new();
        for site in &read.sites {
            let wrong = |reason: String| Err(format!("site {}: {reason}", site.site));
            if !names.insert(&site.site) {
                return wrong("it stands here a second time".to_owned());
            }
            let [low, high] = site.range;
            if Interval::new(low, high).is_none() {
                return wrong(format!("`range` is [{low}, {high}], the ends of no interval"));
            }
            match &site.composition {
                Some(text) => match text.parse::<Spec>() {
                    Ok(spec) if spec.composition().is_some() && site.polynomials.is_empty() => {}
                    Ok(_) => return wrong(format!("`composition` is {text}, and there are polynomials beside it")),
                    Err(error) => return wrong(error.to_string()),
                },
                None if site.polynomials.is_empty() => return wrong("it has no polynomial".to_owned()),
                None => {}
            }
            for (channel, polynomial) in site.polynomials.iter().enumerate() {
                let ChannelPolynomial { interval: [low, high], chebyshev } = polynomial;
                if Interval::new(*low, *high).is_none() {
                    return wrong(format!("channel {channel}: `interval` is [{low}, {high}], the ends of no interval"));
                }
                if chebyshev.is_empty() || chebyshev.len() > MAX_DEGREE as usize + 1 {
                    let count = chebyshev.len();
                    return wrong(format!(
                        "channel {channel}: {count} coefficients, where 1 to {} fit",
                        MAX_DEGREE + 1
                    ));
                }
                if chebyshev.iter().any(|c| !c.is_finite()) {
                    return wrong(format!("channel {channel}: one of its coefficients is no finite number"));
                }
            }
        }
        Ok(read)
    }
}

impl SitePolynomial {
    /// The polynomials, computed in `arithmetic`; none of a composition.
    pub fn fitted(&self, arithmetic: Arithmetic) -> Option<Fitted> {
        let series = |polynomial: &ChannelPolynomial| {
            let ([low, high], coefficients) = (polynomial.interval, polynomial.chebyshev.clone());
            Series { low, high, coefficients }
        };
        let least = self.polynomials.iter().map(|polynomial| polynomial.interval[1] - polynomial.interval[0]);
        let half = least.fold(f64::INFINITY, f64::min) / 2.0;
        let series: Vec<Series> = self.polynomials.iter().map(series).collect();
        (!series.is_empty()).then(|| Fitted::new(series, arithmetic, self.worst / half))
    }

    /// The range of the inputs.
    pub fn interval(&self) -> Interval {
        let [low, high] = self.range;
        Interval { low, high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn polynomials() -> SitePolynomials {
        let polynomial =
            |low: f64, high: f64| ChannelPolynomial { interval: [low, high], chebyshev: vec![0.1, 0.5, 1e-17] };
        let site = |name: &str, polynomials: Vec<ChannelPolynomial>| SitePolynomial {
            site: name.to_owned(),
            kind: "relu".to_owned(),
            activation: "fitted:2/channel".to_owned(),
            range: [-1.5, 3.0],
            depth: 2,
            mults: 1,
            rms: 0.01,
            mean: -1e-17,
            worst: 0.3,
            composition: polynomials.is_empty().then(|| "minimax:7,7@0.05".to_owned()),
            polynomials,
        };
        let sites =
            vec![site("a.relu", vec![polynomial(-1.5, 2.0), polynomial(-0.1, 3.0)]), site("b.relu", Vec::new())];
        SitePolynomials::new(&"0".repeat(64), sites)
    }

    #[test]
    fn what_is_written_is_read_back_to_the_bit() {
        let text = polynomials().text().unwrap();
        assert!(SitePolynomials::is_of(&text) && !SitePolynomials::is_of("{\"stages\": []}"));
        let read = SitePolynomials::parse(&text).unwrap();
        assert_eq!(read, polynomials());
        let fitted = read.site("a.relu").unwrap().fitted(Arithmetic::F64).unwrap();
        assert_eq!(fitted.series()[1], Series { low: -0.1, high: 3.0, coefficients: vec![0.1, 0.5, 1e-17] });
        assert!((fitted.error() - 0.3 / 1.55).abs() < 1e-12);
        assert!(read.site("b.relu").unwrap().fitted(Arithmetic::F64).is_none() && read.site("c").is_none());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_site() {
        let text = polynomials().text().unwrap();
        let error = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            SitePolynomials::parse(&text.replacen(from, to, 1)).unwrap_err()
        };
        assert!(error("\"schema\": 1", "\"schema\": 2").contains("its schema is 2"));
        assert!(error("\"kind\"", "\"sort\"").contains("unknown field `sort`"));
        assert!(error("b.relu", "a.relu").contains("site a.relu: it stands here a second time"));
        assert!(error("3.0\n      ]", "-3.0\n      ]").contains("site a.relu: `range` is [-1.5, -3]"));
        assert!(error("minimax:7,7@0.05", "minimax:7,8").contains("site b.relu: "));
        assert!(error("minimax:7,7@0.05", "square").contains("`composition` is square"));
        assert!(error("-0.1", "5").contains("channel 1: `interval` is [5, 3]"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}", at in 0usize..900, character: char) {
            let _ = SitePolynomials::parse(&text);
            let good = polynomials().text().unwrap();
            let changed: String = good.chars().enumerate().map(|(i, c)| if i == at { character } else { c }).collect();
            if let Ok(read) = SitePolynomials::parse(&changed) {
                read.sites.iter().for_each(|site| drop(site.fitted(Arithmetic::F32)));
            }
        }
    }
}
