//! What an approximation at one site does to the decisions of a network, to first order.
//!
//! With g the gradient of an image's margin, its largest less its second largest logit, at what a site makes of a value, an error e
//! there changes the margin by g·e. Over values whose errors are as often too large as too small, the changes add up by their
//! squares: the variance of the margin is Σ g²·e² over all values of all sites. A calibration with the weights of the margin has
//! the sums of g² in bins of the inputs, so that the variance follows for any polynomial without another image.

use super::densities::Densities;
use crate::activation::{Activation, Arithmetic, Elementwise, Interval, MaxPool};
use crate::fitting::{Density, Target};
use crate::model::Site;

/// Points that stand for the values of one bin.
const POINTS: usize = 4;

/// Errors of `activation` at `site`, in the channel of this number, where it is given `x`; none where a pool has no room for it.
pub(super) fn errors(
    activation: &Activation,
    site: &Site,
    range: Interval,
    channel: usize,
    x: &[f64],
) -> Option<Vec<f64>> {
    let target = site.kind.target();
    let kernel = match activation {
        Activation::Fitted(fitted) => {
            let series = fitted.series().get(channel).or(fitted.series().first())?;
            Elementwise::series(std::slice::from_ref(series), Arithmetic::F64)
        }
        _ => {
            let half = match site.kind.window() {
                Some(window) => MaxPool::differences(range, window, activation.bound())?,
                None => range.bound(),
            };
            match target {
                Target::Relu => Elementwise::relu(activation, half),
                Target::Relu6 => Elementwise::relu6(activation, half),
            }
        }
    };
    let mut y = vec![0.0; x.len()];
    // SAFETY: both of the same length.
    unsafe { kernel.run(x.as_ptr(), y.as_mut_ptr(), x.len(), &mut |_, _| {}) };
    Some(x.iter().zip(y).map(|(&x, y)| y - target.value(x)).collect())
}

/// The variance of an image's margin by `activation` at `site` over `images` calibration images. Zero where the calibration did not
/// come to the site; none where the activation does not fit it.
pub fn variance(
    activation: &Activation,
    site: &Site,
    range: Interval,
    densities: &Densities,
    images: usize,
) -> Option<f64> {
    let Some(channels) = densities.sites.get(&site.name) else { return Some(0.0) };
    let by_channel = matches!(activation, Activation::Fitted(fitted) if fitted.series().len() == channels.len());
    let pooled = [Density::pooled(channels)];
    let channels = if by_channel { channels.as_slice() } else { &pooled };
    let mut sum = 0.0;
    for (channel, density) in channels.iter().enumerate() {
        let bins: Vec<_> = density.bins().collect();
        let within = |at: usize| (at as f64 + 0.5) / POINTS as f64;
        let points = bins.iter().flat_map(|bin| (0..POINTS).map(|at| bin.low + (bin.high - bin.low) * within(at)));
        let errors = errors(activation, site, range, channel, &points.collect::<Vec<_>>())?;
        let of_bin = |errors: &[f64]| errors.iter().map(|error| error * error).sum::<f64>() / POINTS as f64;
        sum += bins.iter().zip(errors.chunks(POINTS)).map(|(bin, errors)| bin.weight * of_bin(errors)).sum::<f64>();
    }
    Some(sum / images.max(1) as f64)
}

/// The part of the images whose decision stays, if their margins are changed by a normal error of this `variance`.
pub fn agreement(margins: &[f64], variance: f64) -> f64 {
    let deviation = variance.sqrt();
    let normal = |x: f64| libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0;
    let stays = |&margin: &f64| if deviation > 0.0 { normal(margin / deviation) } else { 1.0 };
    margins.iter().map(stays).sum::<f64>() / margins.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::activation::{Fitted, Series};
    use crate::model::SiteKind;

    #[test]
    fn decisions_stay_by_their_margins() {
        assert_eq!(agreement(&[1.0, 2.0], 0.0), 1.0);
        // Φ(0) and Φ(1.96), then what no error of this size bridges.
        let expected = (0.5 + 0.975_002_104_852 + 1.0) / 3.0;
        assert!((agreement(&[0.0, 3.92, 100.0], 4.0) - expected).abs() < 1e-9);
    }

    /// The polynomial x/2 + 1/2 is off by 1/2 − x/2 at x ≥ 0: at 1, where it is right, and at 3, where it is off by −1 with twice the weight.
    #[test]
    fn the_variance_is_the_sum_of_weighted_squares_by_image() {
        let site =
            Site { index: 0, name: "a".to_owned(), kind: SiteKind::relu(), image_axis: Some(0), non_negative: false };
        let mut density = Density::default();
        density.add_weighted([(1.0, 5.0), (3.0, 2.0)]);
        let other = Density::pooled(&[]);
        let densities = Densities {
            margin: 0.0,
            leads: Vec::new(),
            sites: BTreeMap::from([("a".to_owned(), vec![density, other])]),
            sha256: String::new(),
        };
        let series = Series { low: -4.0, high: 4.0, coefficients: vec![0.5, 2.0] };
        let range = Interval::symmetric(4.0);
        for series in [vec![series.clone()], vec![series.clone(), series]] {
            let activation = Activation::Fitted(Fitted::new(series, Arithmetic::F64, 1.0));
            let found = variance(&activation, &site, range, &densities, 4).unwrap();
            assert!((found - 2.0 / 4.0).abs() < 0.05, "{found}");
        }
    }
}
