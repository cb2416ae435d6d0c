//! Calibration: what every site of a network is given over a set of images, and the ranges that follow.

use super::foresight::BACKWARD;
use super::refusal::{refuse_broken, refuse_misfit, refuse_no_image};
use super::score::margin;
use super::worker::{input, numbers};
use super::{EvaluationError, Scope};
use crate::activation::Interval;
use crate::dataset::{Batch, Broken};
use crate::fitting::Density;
use crate::model::{Model, Statistics};

/// What came out of the images.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    /// Of the inputs of each site. Images are counted by their position in the dataset.
    pub sites: Vec<Statistics>,
    /// How they were distributed, of each site as [`Sites::take_densities`] has it.
    ///
    /// [`Sites::take_densities`]: crate::model::Sites::take_densities
    pub densities: Vec<Vec<Density>>,
    /// Of each image that could be read, in order, by how much its largest logit is above the next; 0 where that is no number.
    pub leads: Vec<f32>,
    /// Images that could not be read, in order.
    pub broken: Vec<Broken>,
    /// SHA-256 as stored and label of each image that could be read, in order.
    pub images: Vec<([u8; 32], u32)>,
}

/// What a value weighs in the densities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Weight {
    /// The same everywhere
    Inputs,
    /// The squared gradient of its image's margin, the largest less the second largest logit, at what the site makes of it
    Margin,
}

/// Run the exact network over the images of `scope` and count the inputs of its sites, among them those above each of
/// `bounds`. `progress` is told the images done after each batch.
///
/// # Errors
/// [`EvaluationError`]: the model refuses the images, no image can be read, an input of a site is infinite.
pub fn calibrate(
    model: &Model,
    scope: Scope<'_>,
    bounds: &[f64],
    weight: Weight,
    mut progress: impl FnMut(usize),
) -> Result<Calibration, EvaluationError> {
    let dataset = scope.dataset;
    let table = model.observed(bounds);
    // A site in a branch that is not taken counts nothing, but for every bound.
    let none = Statistics::new(bounds.len());
    let mut calibration = Calibration { sites: vec![none; table.count()], ..Calibration::default() };
    std::thread::scope(|threads| {
        let batches = dataset.read_ahead(threads, scope.preparation, scope.images, scope.batch, Vec::new(), |_| None);
        for Batch { range, images, .. } in batches {
            refuse_misfit(dataset, &images)?;
            refuse_broken(&scope, &images.broken)?;
            if !images.indices.is_empty() {
                let input = input(&images, model.device())?;
                let logits = model.forward(&input, &table)?;
                let (classes, logits) = (logits.size()[1].max(1) as usize, numbers(&logits)?);
                calibration.leads.extend(logits.chunks(classes).map(|logits| (margin(logits) as f32).max(0.0)));
                if weight == Weight::Margin {
                    for first in (0..input.size()[0]).step_by(BACKWARD) {
                        model.weigh(&input.narrow(0, first, (BACKWARD as i64).min(input.size()[0] - first)), &table)?;
                    }
                }
                for (site, statistics) in calibration.sites.iter_mut().enumerate() {
                    let more = table.take_statistics(site).placed(&images.indices);
                    if more.largest.is_infinite() {
                        let site = model.sites()[site].name.clone();
                        let image = more.largest_image.or(images.indices.first().copied()).unwrap_or_default();
                        return Err(EvaluationError::Infinite { site, image: dataset.image_name(image) });
                    }
                    statistics.merge(&more);
                }
            }
            let labels = images.indices.iter().map(|&index| dataset.labels()[index]);
            calibration.images.extend(images.sha256.iter().copied().zip(labels));
            calibration.broken.extend(images.broken.iter().cloned());
            progress(range.end);
        }
        Ok::<(), EvaluationError>(())
    })?;
    refuse_no_image(dataset, calibration.images.is_empty(), &calibration.broken)?;
    let weighed = |site: usize| match table.take_weighted(site) {
        // A site that is not on the way to the logits has no gradient.
        none if none.is_empty() => table.take_densities(site),
        weighted => weighted,
    };
    calibration.densities = (0..table.count()).map(weighed).collect();
    Ok(calibration)
}

/// How a range follows from what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RangeRule {
    /// The share of values that must be inside before the margin; 1 for all.
    pub quantile: f64,
    /// Added to the range, as a share of it.
    pub margin: f64,
    /// Ranges are rounded up to multiples of this; 0 for none.
    pub step: f64,
}

impl RangeRule {
    /// What the absolute values that must be inside do not exceed.
    fn measured(&self, statistics: &Statistics) -> f64 {
        match self.quantile {
            1.0 => statistics.largest,
            quantile => statistics.quantile(quantile),
        }
    }

    /// The least and the largest value for a site, wider by the margin as a share of their distance: of what the bound that the
    /// quantile says leaves of them. Where no value was below zero, as behind a ReLU, what is below is the error of the ReLU's
    /// polynomial, for which a quarter of the margin is room. None if it met no value but one.
    pub fn ends(&self, statistics: &Statistics) -> Option<Interval> {
        let bound = self.measured(statistics);
        let (low, high) = (statistics.min.max(-bound), statistics.max.min(bound));
        let width = high - low;
        // Eight digits of the width, or whole steps.
        let unit = if self.step > 0.0 { self.step } else { 10f64.powf(width.log10().floor() - 7.0) };
        // Through text, which does not have what f64 adds to a multiple of a decimal number.
        let written = |units: f64| format!("{:.12e}", units * unit).parse().unwrap_or(f64::NAN);
        let wider = self.margin * width;
        let below = if low == 0.0 { wider / 4.0 } else { wider };
        Interval::new(written(((low - below) / unit).floor()), written(((high + wider) / unit).ceil()))
    }

    /// The range for a site, with eight digits at most and never less than what was measured; none if it met no value but
    /// zeros.
    pub fn range(&self, statistics: &Statistics) -> Option<f64> {
        let measured = self.measured(statistics);
        let wide = measured * (1.0 + self.margin);
        let range = if self.step > 0.0 { (wide / self.step).ceil() * self.step } else { wide };
        (range > 0.0 && range.is_finite()).then(|| rounded_up(range, measured))
    }
}

/// The least number of eight digits, f32 has no more, that is not below `range`, nor below `measured`. What the arithmetic of f64
/// added to a round number, as in 39 · 0.1, is no reason to go up a digit.
fn rounded_up(range: f64, measured: f64) -> f64 {
    const DIGITS: i32 = 8;
    let least = measured.max(range * (1.0 - 4.0 * f64::EPSILON));
    let decimals = DIGITS - 1 - range.log10().floor() as i32;
    let (unit, exponent) = (range * 10f64.powi(decimals), -decimals);
    // Through text, whose numbers are the nearest to what they say.
    let written = |units: f64| format!("{units}e{exponent}").parse::<f64>().unwrap_or(range);
    let candidates = [unit.round(), unit.ceil(), unit.ceil() + 1.0].map(written);
    candidates.into_iter().find(|&candidate| candidate >= least).unwrap_or(range)
}

/// An f32 as the shortest decimal number that stands for it; other numbers as they are.
pub fn shortest(value: f64) -> f64 {
    let single = value as f32;
    if f64::from(single) == value { single.to_string().parse().unwrap_or(value) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whole steps are written as such, though f64 has 39 · 0.1 = 3.9000000000000004.
        #[test]
        fn steps_add_no_digits(count in 1u32..100_000, step in 1u32..1000, decimals in 0i32..4, part in 0.001..0.999) {
            let step = format!("{step}e-{decimals}").parse::<f64>().unwrap();
            let mut statistics = Statistics::new(0);
            statistics.add(Some(0), &[(f64::from(count) - part) * step], &[]);
            let range = RangeRule { quantile: 1.0, margin: 0.0, step }.range(&statistics).unwrap();
            let digits = range.to_string().trim_start_matches(['0', '.']).chars().filter(char::is_ascii_digit).count();
            prop_assert!(range >= statistics.largest && digits <= 8, "{}", range);
            let steps = range / step;
            prop_assert!((steps - f64::from(count)).abs() < 1e-9, "{} steps of {}", steps, step);
        }

        #[test]
        fn what_was_measured_is_inside(measured in prop_oneof![1e-30..1e30, 0.1..100.0], margin in 0.0..0.5) {
            let mut statistics = Statistics::new(0);
            statistics.add(Some(0), &[measured], &[]);
            let range = RangeRule { quantile: 1.0, margin, step: 0.0 }.range(&statistics).unwrap();
            let wide = measured * (1.0 + margin);
            prop_assert!(range >= measured && range >= wide * (1.0 - 1e-15) && range <= wide * (1.0 + 2e-7), "{}", range);
        }
    }

    #[test]
    fn ends_have_their_margin_and_hold_what_was_measured() {
        let mut statistics = Statistics::new(0);
        statistics.add(Some(0), &[-0.1f32, 2.0, 0.5, 146.26263], &[]);
        let ends = |quantile, margin, step| RangeRule { quantile, margin, step }.ends(&statistics).unwrap().ends();
        assert_eq!(ends(1.0, 0.0, 0.0), [-0.10001, 146.26264]);
        assert_eq!(ends(1.0, 0.0, 0.5), [-0.5, 146.5]);
        assert_eq!(ends(1.0, 0.5, 0.1), [-73.3, 219.5]);
        let [low, high] = ends(0.75, 0.0, 0.0);
        assert!(low == -0.1000001 && (2.0..2.02).contains(&high), "{low} {high}");
        let mut behind_relu = Statistics::new(0);
        behind_relu.add(Some(0), &[0.0f32, 8.0], &[]);
        assert_eq!(
            RangeRule { quantile: 1.0, margin: 0.5, step: 0.0 }.ends(&behind_relu).unwrap().ends(),
            [-1.0, 12.0]
        );
        let mut one = Statistics::new(0);
        one.add(Some(0), &[3.0f32, 3.0], &[]);
        assert_eq!(RangeRule { quantile: 1.0, margin: 0.1, step: 0.0 }.ends(&one), None);
    }

    #[test]
    fn a_range_has_its_margin_and_is_rounded_up() {
        let mut statistics = Statistics::new(0);
        statistics.add(Some(0), &[-8.1f64, 2.0, 0.5, 0.25], &[]);
        let range = |quantile, margin, step| RangeRule { quantile, margin, step }.range(&statistics).unwrap();
        assert_eq!(range(1.0, 0.0, 0.0), 8.1);
        assert_eq!(range(1.0, 0.01, 0.0), 8.181);
        assert_eq!(range(1.0, 0.1, 0.5), 9.0);
        assert!((2.0..2.02).contains(&range(0.75, 0.0, 0.0)));
        for (measured, expected) in [
            (f64::from(146.26263f32), 146.26264),
            (f64::from(3.867_201f32), 3.8672011),
            (0.1, 0.1),
            (16.0, 16.0),
            (1e-40, 1e-40),
        ] {
            assert_eq!(rounded_up(measured, measured), expected);
        }
        assert_eq!([f64::from(146.26263f32), 0.1].map(shortest), [146.26263, 0.1]);
        assert_eq!(rounded_up(f64::from(146.26263f32), 146.0), 146.26264);
        // The largest input itself may be just above a round number.
        let above = 0.3 + f64::EPSILON;
        assert!(rounded_up(above, above) >= above);
        let nothing = RangeRule { quantile: 1.0, margin: 0.0, step: 1.0 }.range(&Statistics::new(0));
        assert_eq!(nothing, None);
    }
}
