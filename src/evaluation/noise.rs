//! The errors that a parameter set makes a network meet, with what stands at its sites.

use super::configuration::Substitution;
use super::written::bound;
use crate::activation::{Activation, Interval, Sign};
use crate::ckks::placement::{Placement, PlacementError, fewest};
use crate::ckks::{Amplification, Circuit, Errors, Parameters, Replaced, SiteErrors, amplification, errors};
use crate::model::{Noise, Site};

/// The least part of a range that is drawn: f32, in which networks compute, adds as much itself (docs/noise.md).
const FINEST: f64 = 1.0 / (1u64 << 25) as f64;

/// Why no errors can be drawn.
#[derive(Debug, thiserror::Error)]
pub enum NoiseError {
    #[error(transparent)]
    Placement(#[from] PlacementError),
    #[error(
        "{0} says nothing of noise; say it behind the name, as in {0},ring=65536,scale=40,secret=192,bootstrapping=26.3, or in \
         [noise] of a file"
    )]
    Unknown(String),
    #[error(
        "every site stays exact, so that there is no ciphertext to have noise; name an activation, as --relu paper:13"
    )]
    Exact,
}

/// What a parameter set makes a network meet.
#[derive(Debug)]
pub struct Met {
    /// With the fewest bootstrappings.
    pub placement: Placement,
    pub errors: Errors,
    /// Those of them that are drawn, of the first trial.
    pub noise: Noise,
}

impl Substitution {
    /// What `circuit`, the network of `sites`, meets under `parameters`. The numbers at a site are held in units of the bound of its
    /// range.
    ///
    /// # Errors
    /// [`NoiseError`].
    pub fn met(&self, sites: &[Site], circuit: &Circuit, parameters: &Parameters) -> Result<Met, NoiseError> {
        let noise = parameters.noise.as_ref().ok_or_else(|| NoiseError::Unknown(parameters.name.clone()))?;
        let forms = self.forms(sites);
        let placement = fewest(circuit, parameters, &forms)?;
        let approximations = || self.sites.iter().map(|site| site.approximation.as_ref());
        let of_site = |(site, found): (&Site, Option<&(Activation, Interval)>)| {
            found.map(|(activation, range)| {
                let unit = range.bound();
                Replaced { unit, inside: of_activation(activation, bound(site, activation, *range), unit) }
            })
        };
        let replaced: Vec<Option<Replaced>> = sites.iter().zip(approximations()).map(of_site).collect();
        let last = replaced.iter().flatten().next_back().ok_or(NoiseError::Exact)?.unit;
        let errors = errors(circuit, parameters, noise, &placement, &forms, &replaced);
        let seen = |error: f64, unit: f64| if error < FINEST * unit { 0.0 } else { error };
        let at_site = |(errors, replaced): (&SiteErrors, &Option<Replaced>)| {
            let unit = replaced.map_or(1.0, |of| of.unit);
            [errors.before, errors.behind].map(|error| seen(error, unit))
        };
        let noise = Noise {
            images: seen(errors.images, 1.0),
            sites: errors.sites.iter().zip(&replaced).map(at_site).collect(),
            logits: seen(errors.logits, last),
            trial: 0,
        };
        Ok(Met { placement, errors, noise })
    }

    /// The same with errors of this trial.
    pub fn with_noise(&self, noise: &Noise, trial: u64) -> Substitution {
        Substitution { noise: Some(Noise { trial, ..noise.clone() }), ..self.clone() }
    }
}

/// What errors inside of `activation` come to, for results in units of `unit` where its inputs are within `bound`.
fn of_activation(activation: &Activation, bound: f64, unit: f64) -> Amplification {
    match activation {
        Activation::Composition(sign) => {
            let Amplification { rescalings, cuts } = amplification(&normalised(sign), true);
            Amplification { rescalings: rescalings * bound / unit, cuts: cuts * bound / unit }
        }
        Activation::Polynomial(single) => of_series(&[single.series(bound).coefficients], unit),
        Activation::Fitted(fitted) => {
            let all: Vec<Vec<f64>> = fitted.series().iter().map(|series| series.coefficients.clone()).collect();
            of_series(&all, unit)
        }
    }
}

/// The root of the mean square over the series of all channels, for results in units of `unit`.
fn of_series(series: &[Vec<f64>], unit: f64) -> Amplification {
    let square = |coefficients: &Vec<f64>| {
        let scaled: Vec<f64> = coefficients.iter().map(|c| c / unit).collect();
        amplification(&[scaled], false).rescalings.powi(2)
    };
    let mean = series.iter().map(square).sum::<f64>() / series.len().max(1) as f64;
    Amplification { rescalings: mean.sqrt(), cuts: 0.0 }
}

/// The stages of a sign as Chebyshev series on [−1, 1] with values there: each equal to its stage at as many of Chebyshev's nodes as it
/// has coefficients, its input and its result divided by their largest values.
fn normalised(sign: &Sign) -> Vec<Vec<f64>> {
    let mut scale = 1.0;
    let stages = sign.stages();
    let of_stage = |(number, odd): (usize, &Vec<f64>)| {
        let value = |t: f64| {
            let x = scale * t;
            x * odd.iter().rev().fold(0.0, |sum, c| sum * x * x + c)
        };
        const LOOKS: i32 = 2000;
        let largest = (0..=LOOKS).map(|k| value(f64::from(k) / f64::from(LOOKS)).abs()).fold(0.0, f64::max);
        let next = if number + 1 == stages.len() { 1.0 } else { largest };
        let count = 2 * odd.len();
        let angle = |j: usize| std::f64::consts::PI * (j as f64 + 0.5) / count as f64;
        let values: Vec<f64> = (0..count).map(|j| value(angle(j).cos()) / next).collect();
        let coefficient = |k: usize| {
            let sum: f64 = values.iter().enumerate().map(|(j, value)| value * (k as f64 * angle(j)).cos()).sum();
            if k % 2 == 1 { 2.0 * sum / count as f64 } else { 0.0 }
        };
        let series = (0..count).map(coefficient).collect();
        scale = next;
        series
    };
    stages.iter().enumerate().map(of_stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Fitted, Series, Spec};

    fn designed(spec: &str) -> Activation {
        Activation::design(&spec.parse::<Spec>().unwrap()).unwrap().unwrap()
    }

    #[test]
    fn stages_are_equal_to_those_of_the_sign() {
        let Activation::Composition(sign) = designed("paper:10") else { unreachable!() };
        let stages = normalised(&sign);
        for x in [-1.0, -0.3, 0.01, 0.6, 1.0] {
            let direct =
                sign.stages().iter().fold(x, |x: f64, odd| x * odd.iter().rev().fold(0.0, |sum, c| sum * x * x + c));
            let series = stages.iter().fold(x, |x: f64, series| {
                series.iter().enumerate().map(|(k, c)| c * (k as f64 * x.clamp(-1.0, 1.0).acos()).cos()).sum()
            });
            assert!((direct - series).abs() < 1e-7, "{x}: {direct} {series}");
        }
    }

    #[test]
    fn errors_inside_are_in_units_of_the_range() {
        // One product, x²: its rescaling counts once, the halves of T_2 = 2x² − 1 make up for the two.
        let square = |unit: f64| {
            let series = Series { low: -unit, high: unit, coefficients: vec![unit / 2.0, 0.0, unit / 2.0] };
            of_activation(
                &Activation::Fitted(Fitted::new(vec![series], crate::activation::Arithmetic::F64, 0.0)),
                unit,
                unit,
            )
        };
        assert!((square(1.0).rescalings - 2f64.sqrt()).abs() < 1e-12, "{:?}", square(1.0));
        assert!((square(8.0).rescalings - square(1.0).rescalings).abs() < 1e-12);
        let sign = of_activation(&designed("paper:7"), 8.0, 8.0);
        assert!(sign.rescalings > 0.5 && sign.rescalings < 20.0 && sign.cuts > 0.0, "{sign:?}");
        // The differences in a pool reach twice as far.
        let pool = of_activation(&designed("paper:7"), 16.0, 8.0);
        assert!((pool.rescalings / sign.rescalings - 2.0).abs() < 1e-12);
    }
}
