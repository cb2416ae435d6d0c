//! What stands at the sites of one network, as JSON: polynomials and compositions, with their ranges and how good they are.
//!
//! docs/coefficients.md describes the form field by field, docs/sites.schema.json is its schema.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{Arithmetic, Fitted, Interval, Series, Spec, SpecError};
use crate::minimax::{Composite, DEFAULT_BITS, DesignError, MAX_DEGREE, to_f64};

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
    /// That the inputs are to stay within; none where the function itself stays.
    pub range: Option<[f64; 2]>,
    /// Of one evaluation.
    pub depth: u32,
    pub mults: u32,
    /// Of what was fitted, the root of the mean square error and the mean error under the density it was fitted to.
    #[serde(default)]
    pub rms: Option<f64>,
    #[serde(default)]
    pub mean: Option<f64>,
    /// The largest error on the range.
    pub worst: f64,
    /// A composition of minimax polynomials; then there are no polynomials.
    #[serde(default)]
    pub composition: Option<SiteComposition>,
    /// One for all channels, or one for each, in their order.
    pub polynomials: Vec<ChannelPolynomial>,
}

/// r(x) = x·(1 + p(x/B))/2, p being the composition: for ReLU; for max(a, b) = b + r(a − b); and for ReLU6 = r(x) − r(x − 6), where
/// the second r has B + 6 for B.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteComposition {
    /// As it is asked for, `minimax:7,7@0.045`. polyact designs it anew from this.
    pub spec: String,
    /// B.
    pub bound: f64,
    /// For other programs: c_0, c_1, … of each stage in the order of application, each from [−1, 1] into [−1, 1], as
    /// [`normalised_chebyshev`](crate::minimax::Composite::normalised_chebyshev) has them.
    pub stages: Vec<Vec<f64>>,
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
        let mut designed = HashMap::new();
        for site in &read.sites {
            let told = |reason: String| format!("site {}: {reason}", site.site);
            let wrong = |reason: String| Err(told(reason));
            if !names.insert(&site.site) {
                return wrong("it stands here a second time".to_owned());
            }
            match site.range {
                Some([low, high]) if Interval::new(low, high).is_none() => {
                    return wrong(format!("`range` is [{low}, {high}], the ends of no interval"));
                }
                None if !site.is_exact() => return wrong("it has no `range`".to_owned()),
                _ => {}
            }
            match &site.composition {
                Some(composition) if site.polynomials.is_empty() => composition.check(&mut designed).map_err(told)?,
                Some(_) => return wrong("there is a `composition`, and there are polynomials beside it".to_owned()),
                None if site.polynomials.is_empty() && !site.is_exact() => {
                    return wrong("it has no polynomial".to_owned());
                }
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

impl SiteComposition {
    /// c_0, c_1, … of each stage of the composition behind `spec`, on [−1, 1]; no stages if it is none.
    ///
    /// # Errors
    /// What is wrong with the design.
    pub fn designed(spec: &Spec) -> Result<Vec<Vec<f64>>, DesignError> {
        let Some((degrees, epsilon)) = spec.composition() else { return Ok(Vec::new()) };
        let composite = Composite::design(&degrees, &epsilon, DEFAULT_BITS)?;
        let row = |odd: &Vec<_>| odd.iter().flat_map(|c| [0.0, to_f64(c)]).collect();
        Ok(composite.normalised_chebyshev().iter().map(row).collect())
    }

    /// See that it is one, and that the stages, which libraries are given, are those that `spec` designs, which are evaluated.
    fn check(&self, known: &mut HashMap<String, Vec<Vec<f64>>>) -> Result<(), String> {
        /// The part of a stage's largest coefficient by which another version may round otherwise.
        const ROUNDING: f64 = 1e-12;
        let SiteComposition { spec, bound, stages } = self;
        let read: Spec = spec.parse().map_err(|error: SpecError| error.to_string())?;
        let Some((degrees, _)) = read.composition() else { return Err(format!("`spec` is {spec}, no composition")) };
        if !(bound.is_normal() && *bound > 0.0) {
            return Err(format!("`bound` is {bound}, no positive number"));
        }
        if !stages.iter().map(Vec::len).eq(degrees.iter().map(|&degree| degree as usize + 1)) {
            return Err(format!("`stages` have other degrees than {spec}"));
        }
        if !known.contains_key(spec) {
            known.insert(spec.clone(), SiteComposition::designed(&read).map_err(|error| error.to_string())?);
        }
        for (i, (found, expected)) in stages.iter().zip(&known[spec]).enumerate() {
            let largest = expected.iter().fold(0.0, |largest: f64, c| largest.max(c.abs()));
            // A number that is none differs as well.
            let same = |(a, b): (&f64, &f64)| (a - b).abs() <= ROUNDING * largest;
            if let Some(k) = found.iter().zip(expected).position(|pair| !same(pair)) {
                return Err(format!(
                    "stage {} of `stages` has {:e} for T_{k}, and {spec} has {:e}; export it anew, or change `spec` too",
                    i + 1,
                    found[k],
                    expected[k]
                ));
            }
        }
        Ok(())
    }
}

impl ChannelPolynomial {
    /// The largest slope by t over the range, and the largest value; t is from −1 to 1.
    pub fn steepest(&self) -> (f64, f64) {
        const POINTS: u32 = 1024;
        let at = |i: u32| {
            let angle = std::f64::consts::PI * f64::from(i) / f64::from(POINTS);
            let terms = self.chebyshev.iter().enumerate().map(|(k, c)| (k as f64, *c));
            // T_k' = k sin(k a)/sin a, at the ends k², with the sign of T_k at −1.
            let slope = |k: f64| match i {
                0 => k * k,
                POINTS => k * k * -(k * angle).cos(),
                _ => k * (k * angle).sin() / angle.sin(),
            };
            let (slope, value) = terms.fold((0.0, 0.0), |(s, v), (k, c)| (s + c * slope(k), v + c * (k * angle).cos()));
            (f64::abs(slope), f64::abs(value))
        };
        (0..=POINTS).map(at).fold((0.0, 0.0), |(s, v), (slope, value)| (f64::max(s, slope), f64::max(v, value)))
    }
}

impl SitePolynomial {
    /// Whether the function itself stays.
    pub fn is_exact(&self) -> bool {
        self.activation == Spec::Exact.to_string()
    }

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

    /// The range of the inputs; none where the function itself stays.
    pub fn interval(&self) -> Option<Interval> {
        self.range.map(|[low, high]| Interval { low, high })
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
            range: Some([-1.5, 3.0]),
            depth: 2,
            mults: 1,
            rms: Some(0.01),
            mean: Some(-1e-17),
            worst: 0.3,
            composition: polynomials.is_empty().then(|| SiteComposition {
                spec: "minimax:3,5@0.05".to_owned(),
                bound: 3.0,
                stages: SiteComposition::designed(&"minimax:3,5@0.05".parse().unwrap()).unwrap(),
            }),
            polynomials,
        };
        let exact = SitePolynomial {
            activation: "exact".to_owned(),
            range: None,
            rms: None,
            mean: None,
            composition: None,
            ..site("c.relu", Vec::new())
        };
        let channels = vec![polynomial(-1.5, 2.0), polynomial(-0.1, 3.0)];
        let sites = vec![site("a.relu", channels), site("b.relu", Vec::new()), exact];
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
        assert!(read.site("c.relu").unwrap().is_exact());
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
        assert!(error("minimax:3,5@0.05", "minimax:7,8").contains("site b.relu: "));
        assert!(error("minimax:3,5@0.05", "square").contains("`spec` is square"));
        assert!(error("minimax:3,5@0.05", "minimax:3,7@0.05").contains("`stages` have other degrees"));
        assert!(error("\"bound\": 3", "\"bound\": -3").contains("`bound` is -3"));
        assert!(error("\"exact\"", "\"fitted:7\"").contains("site c.relu: it has no `range`"));
        assert!(error("-0.1", "5").contains("channel 1: `interval` is [5, 3]"));
    }

    /// Libraries are given the stages, and evaluated is what `spec` designs: they must be the same.
    #[test]
    fn stages_that_are_not_those_of_the_spec_are_refused() {
        let mut sites = polynomials();
        let told = |sites: &SitePolynomials| SitePolynomials::parse(&sites.text().unwrap()).unwrap_err();
        for (stage, k) in [(0, 1), (0, 3), (1, 0), (1, 5)] {
            let coefficients = |sites: &mut SitePolynomials, by: f64| {
                let composition = sites.sites[1].composition.as_mut().unwrap();
                composition.stages[stage][k] += by;
            };
            coefficients(&mut sites, 1e-9);
            let expected = format!("site b.relu: stage {} of `stages` has ", stage + 1);
            assert!(
                told(&sites).starts_with(&expected) && told(&sites).contains(&format!("for T_{k}")),
                "{}",
                told(&sites)
            );
            sites = polynomials();
        }
        assert!(SitePolynomials::parse(&sites.text().unwrap()).is_ok());
    }

    /// T_5 has the slope 25 at both ends, and 2 + 3t the slope 3 and the value 5.
    #[test]
    fn the_steepest_slope_is_that_by_hand() {
        let steepest = |chebyshev: Vec<f64>| ChannelPolynomial { interval: [-1.0, 1.0], chebyshev }.steepest();
        let near = |found: (f64, f64), expected: (f64, f64)| {
            assert!(
                (found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-9,
                "{found:?} {expected:?}"
            );
        };
        near(steepest(vec![0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), (25.0, 1.0));
        near(steepest(vec![0.0, 0.0, 1.0, 0.0]), (4.0, 1.0));
        near(steepest(vec![2.0, 3.0]), (3.0, 5.0));
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
