//! How precise the results of sites must be, as `polyact cost` tells it.

use std::sync::Arc;

use serde::Serialize;

use super::Failure;
use crate::evaluation::{
    Configuration, Densities, Precision, Ranges, RangesError, Sourced, Substitute, Substitution, precision,
};
use crate::model::Site;

/// The part of the decisions that is to stay.
const SHARE: f64 = 0.999;

/// What all sites need.
#[derive(Serialize)]
pub(super) struct Needed {
    /// The part of the calibration's images that keep their decision, in percent.
    agreement: f64,
    /// Where all sites have as many bits, -log2 of the standard deviation of errors in units of the ranges.
    bits: f64,
}

impl Needed {
    pub fn of(precision: &Precision) -> Needed {
        Needed { agreement: 100.0 * SHARE, bits: rounded(precision.all) }
    }

    /// For people.
    pub fn text(&self) -> String {
        let Needed { agreement, bits } = self;
        format!(
            "precision       {bits:.1} bits at every site for {agreement} % of the calibration's decisions, by their gradients; beside each what it \
             needs alone\n"
        )
    }
}

/// To a hundredth of a bit.
pub(super) fn rounded(bits: f64) -> f64 {
    (100.0 * bits).round() / 100.0
}

/// The calibration with gradients that `--sensitivity` names, or the one beside the ranges of `configuration` if there is one.
///
/// # Errors
/// [`Failure::Usage`] where the one that is named has none.
pub(super) fn sensitivity(
    named: Option<&str>,
    configuration: &Configuration,
) -> Result<Option<Arc<Densities>>, Failure> {
    let of = |ranges: &Sourced<Ranges>| match &ranges.value {
        Ranges::Each(_, densities) => densities.clone().filter(|known| known.is_weighted()),
        Ranges::One(_) => None,
    };
    let Some(text) = named else {
        // What was not asked for may be missing.
        let ranges = configuration.relu_range.clone().and_then(|ranges| ranges.with_densities().ok());
        return Ok(ranges.as_ref().and_then(of));
    };
    let bad = |reason: String| Failure::Usage(format!("--sensitivity {text}: {reason}"));
    let ranges: Sourced<Ranges> = text.parse().map_err(|error: RangesError| bad(error.to_string()))?;
    let known = of(&ranges.with_densities().map_err(|error| bad(error.to_string()))?);
    let unknown = "it does not say what errors do to decisions; make it with `polyact calibrate --weight margin`";
    known.map(Some).ok_or_else(|| bad(unknown.to_owned()))
}

/// What the results of `sites` need, with what stands there.
pub(super) fn needed_precision(
    sites: &[Site],
    substitution: &Substitution,
    sensitivity: &Densities,
) -> Option<Precision> {
    let unit = |substitute: &Substitute| substitute.approximation.as_ref().map(|(_, range)| range.bound());
    let units: Vec<Option<f64>> = substitution.sites.iter().map(unit).collect();
    precision(sites, &units, sensitivity, SHARE)
}
