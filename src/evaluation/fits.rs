//! What is fitted to a site, from the densities that a calibration measured there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rayon::prelude::*;

use super::densities::Densities;
use super::fitted_compositions::{Candidate, candidates, choose};
use crate::activation::{
    Activation, Arithmetic, Fitted, FittedSpec, Interval, MaxPool, Series, Spec, SpecError, Window,
};
use crate::fitting::{Certificate, Density, Fit, FitError, Fitting};
use crate::model::Site;

/// A channel's range is at least this part of the site's, so that one which hardly moved in the calibration may move.
const NARROWEST: f64 = 1.0 / 16.0;

/// What was fitted to a site.
#[derive(Debug, Clone)]
pub struct SiteFit {
    pub activation: Activation,
    /// The composition, if it is one.
    pub composition: Option<Spec>,
    /// That the inputs are to stay within; of polynomials for each channel, the one that holds all of theirs.
    pub range: Interval,
    /// Of all channels together: the root of the mean square error and the mean error under the density, and the worst error.
    pub certificate: Certificate,
}

/// That nothing can be fitted to a site, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{spec} at site {site}: {reason}")]
pub struct SiteFitError {
    pub spec: FittedSpec,
    pub site: String,
    pub reason: Unfit,
}

/// Why nothing can be fitted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unfit {
    #[error("the calibration has no density of its inputs; calibrate with this model")]
    Missing,
    #[error(transparent)]
    Fit(#[from] FitError),
    #[error(transparent)]
    Design(#[from] Arc<SpecError>),
    #[error("every such composition strays by more than {0} of half the range somewhere")]
    Guard(f64),
    #[error("max of two values takes one polynomial for all channels; say --maxpool fitted:15")]
    Channels,
    #[error(
        "a tournament of {0} values leaves the range of every such polynomial; take a higher degree, or a larger share of the whole \
         range, as in fitted:15@0.1"
    )]
    NoRoom(usize),
}

/// How polynomials are fitted, wherever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitOptions {
    /// The most that a polynomial may stray anywhere on its range, as a part of half the range.
    pub guard: f64,
    pub arithmetic: Arithmetic,
}

/// Compositions that were designed, for one site after the other; a clone shares them.
#[derive(Debug, Clone, Default)]
pub struct Compositions(HashMap<(Vec<u32>, Arithmetic), Arc<[Candidate]>>);

impl Compositions {
    /// Those of `degrees` with every ε that is tried, designed once.
    pub(super) fn of(&mut self, degrees: &[u32], arithmetic: Arithmetic) -> Result<&[Candidate], SpecError> {
        match self.0.entry((degrees.to_vec(), arithmetic)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(candidates(degrees, arithmetic)?.into())),
        }
    }
}

/// What `spec` puts at `site`, whose inputs are in `range`, fitted to `densities`.
///
/// # Errors
/// [`SiteFitError`]: no density of this site, a guard that no polynomial keeps, a pool that it does not fit, degrees that the
/// arithmetic does not resolve.
pub fn fit_site(
    spec: &FittedSpec,
    site: &Site,
    range: Interval,
    densities: &Densities,
    options: FitOptions,
    compositions: &mut Compositions,
) -> Result<SiteFit, SiteFitError> {
    let fit = fit(spec, site, range, densities, options, compositions);
    fit.map_err(|reason| SiteFitError { spec: spec.clone(), site: site.name.clone(), reason })
}

fn fit(
    spec: &FittedSpec,
    site: &Site,
    range: Interval,
    densities: &Densities,
    options: FitOptions,
    compositions: &mut Compositions,
) -> Result<SiteFit, Unfit> {
    let of_site = densities.sites.get(&site.name).ok_or(Unfit::Missing)?;
    let whole = || Density::pooled(of_site);
    let &[degree] = spec.degrees.as_slice() else {
        let designed = compositions.of(&spec.degrees, options.arithmetic).map_err(Arc::new)?;
        let chosen = choose(designed, site, range, &whole(), spec.share, options.guard);
        let (at, certificate) = chosen.ok_or(Unfit::Guard(options.guard))?;
        let Candidate { spec, activation } = designed[at].clone();
        let range = if site.kind.is_pool() { range } else { Interval::symmetric(range.bound()) };
        return Ok(SiteFit { activation, composition: Some(spec), range, certificate });
    };
    let fitting = Fitting { target: site.kind.target(), degree, share: spec.share, guard: options.guard };
    let fits = match site.kind.window() {
        Some(_) if spec.by_channel => return Err(Unfit::Channels),
        Some(window) => vec![fit_pool(fitting, &whole(), range, window)?.ok_or(Unfit::NoRoom(window.len()))?],
        // A site that the calibration did not come to has no channels.
        None if spec.by_channel && !of_site.is_empty() => {
            let fit = |density: &Density| fitting.fit(density, channel_range(density, range, densities.margin).ends());
            of_site.par_iter().map(fit).collect::<Result<_, _>>()?
        }
        None => vec![fitting.fit(&whole(), range.ends())?],
    };
    Ok(site_fit(fits, of_site, range, site, options.arithmetic))
}

/// The fit to the `density` of differences in a pool, on the range that holds them all; none if no range does.
fn fit_pool(fitting: Fitting, density: &Density, range: Interval, window: &Window) -> Result<Option<Fit>, FitError> {
    // A wider range makes the error a larger part of it, but hardly, so that this ends soon.
    const TRIES: usize = 16;
    let mut bound = 0.0f64;
    for _ in 0..TRIES {
        let Some(most) = MaxPool::differences(range, window, bound) else { return Ok(None) };
        let fit = fitting.fit(density, [-most, most])?;
        let needed = fit.certificate.worst / most;
        if needed <= bound || window.rounds() <= 1 {
            return Ok(Some(fit));
        }
        bound = needed * 1.01;
    }
    Ok(None)
}

/// The range of a channel: what it met, wider by the margin on both sides.
pub(super) fn channel_range(density: &Density, site: Interval, margin: f64) -> Interval {
    let width = site.high - site.low;
    let Some([low, high]) = density.ends() else { return site };
    let (wide, middle) = ((high - low) * (1.0 + 2.0 * margin), f64::midpoint(low, high));
    let half = wide.max(width * NARROWEST) / 2.0;
    Interval { low: middle - half, high: middle + half }
}

/// The fits as what stands at the site.
pub(super) fn site_fit(
    fits: Vec<Fit>,
    densities: &[Density],
    range: Interval,
    site: &Site,
    arithmetic: Arithmetic,
) -> SiteFit {
    let by_channel = fits.len() > 1;
    let mut weights: Vec<f64> = densities.iter().map(|density| density.values() as f64).collect();
    if !by_channel || weights.iter().all(|&weight| weight == 0.0) {
        weights = vec![1.0; fits.len()];
    }
    let total: f64 = weights.iter().sum();
    let weighted = |value: &dyn Fn(&Certificate) -> f64| {
        fits.iter().zip(&weights).map(|(fit, weight)| weight * value(&fit.certificate)).sum::<f64>() / total
    };
    let certificate = Certificate {
        rms: weighted(&|certificate| certificate.rms * certificate.rms).sqrt(),
        mean: weighted(&|certificate| certificate.mean),
        worst: fits.iter().map(|fit| fit.certificate.worst).fold(0.0, f64::max),
    };
    let half = |fit: &Fit| (fit.range[1] - fit.range[0]) / 2.0;
    let error = fits.iter().map(|fit| fit.certificate.worst / half(fit)).fold(0.0, f64::max);
    let hull = fits
        .iter()
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], fit| [low.min(fit.range[0]), high.max(fit.range[1])]);
    let range = if by_channel && !site.kind.is_pool() { Interval { low: hull[0], high: hull[1] } } else { range };
    let series = |Fit { range: [low, high], coefficients, .. }| Series { low, high, coefficients };
    let activation = Activation::Fitted(Fitted::new(fits.into_iter().map(series).collect(), arithmetic, error));
    SiteFit { activation, composition: None, range, certificate }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::minimax::{Composite, Epsilon};
    use crate::model::SiteKind;

    fn site(kind: SiteKind) -> Site {
        Site { index: 0, name: "a.relu".to_owned(), kind, image_axis: Some(0), non_negative: false }
    }

    fn density(values: impl Iterator<Item = f32>) -> Density {
        let mut density = Density::default();
        density.add(values);
        density
    }

    /// Two channels, one that lies far below zero and one around it, and one that never moved.
    fn densities() -> Densities {
        let channels = [(-3.0f32, 0.5f32), (0.2, 2.0)].map(|(centre, width)| {
            density((0..1000).map(move |i| centre + width * ((i * 37 % 1000) as f32 / 500.0 - 1.0)))
        });
        let still = density(std::iter::repeat_n(0.25, 10));
        let sites = BTreeMap::from([("a.relu".to_owned(), channels.into_iter().chain([still]).collect())]);
        Densities { margin: 0.25, leads: Vec::new(), sites, sha256: String::new() }
    }

    const OPTIONS: FitOptions = FitOptions { guard: f64::INFINITY, arithmetic: Arithmetic::F64 };

    fn spec(degree: u32, by_channel: bool) -> FittedSpec {
        FittedSpec { degrees: vec![degree], by_channel, share: 1e-3 }
    }

    fn none() -> Compositions {
        Compositions::default()
    }

    /// Inputs that are mostly small want a smaller ε than the worst error does, and are served better by it.
    #[test]
    fn the_epsilon_of_a_composition_suits_the_inputs() {
        let small = density((0..4000).map(|i| 0.05 * ((i * 37 % 4000) as f32 / 2000.0 - 1.0)));
        let sites = BTreeMap::from([("a.relu".to_owned(), vec![small])]);
        let densities = Densities { margin: 0.0, leads: Vec::new(), sites, sha256: String::new() };
        let spec = FittedSpec { degrees: vec![7, 7], by_channel: false, share: 1e-6 };
        let range = Interval { low: -0.5, high: 1.0 };
        let fit = fit_site(&spec, &site(SiteKind::relu()), range, &densities, OPTIONS, &mut none()).unwrap();
        let best = Composite::design(&[7, 7], &Epsilon::Best, 192).unwrap().epsilon;
        let Some(Spec::Minimax { epsilon: Epsilon::Given(epsilon), .. }) = fit.composition else {
            panic!("{:?}", fit.composition)
        };
        assert!(epsilon < 0.5 * best, "{epsilon} {best}");
        assert_eq!(fit.range, Interval::symmetric(1.0));
        let strict = FitOptions { guard: 1e-4, ..OPTIONS };
        let error = fit_site(&spec, &site(SiteKind::relu()), range, &densities, strict, &mut none()).unwrap_err();
        assert!(error.to_string().contains("strays by more than 0.0001"), "{error}");
    }

    #[test]
    fn channels_have_ranges_of_their_own_that_hold_what_they_met_with_its_margin() {
        let range = Interval { low: -4.0, high: 3.0 };
        let fit = fit_site(&spec(7, true), &site(SiteKind::relu()), range, &densities(), OPTIONS, &mut none()).unwrap();
        let Activation::Fitted(fitted) = &fit.activation else { panic!("{:?}", fit.activation) };
        let ranges: Vec<[f64; 2]> = fitted.series().iter().map(|series| [series.low, series.high]).collect();
        for ([low, high], [from, to]) in ranges.iter().zip([[-3.75, -2.25], [-2.8, 3.2], [0.03125, 0.46875]]) {
            assert!((low - from).abs() < 0.02 && (high - to).abs() < 0.02, "{ranges:?}");
        }
        assert!(fit.range.low == ranges[0][0] && fit.range.high == ranges[1][1], "{:?}", fit.range);
        assert!(fit.certificate.mean.abs() < 1e-9, "{:?}", fit.certificate);
        let one =
            fit_site(&spec(7, false), &site(SiteKind::relu()), range, &densities(), OPTIONS, &mut none()).unwrap();
        assert_eq!(one.range, range);
        assert!(fit.certificate.rms < one.certificate.rms, "{:?} {:?}", fit.certificate, one.certificate);
    }

    #[test]
    fn what_cannot_be_fitted_is_named_with_its_site() {
        let range = Interval { low: -4.0, high: 3.0 };
        let error = |degree, by_channel, site: &Site, options| {
            fit_site(&spec(degree, by_channel), site, range, &densities(), options, &mut none())
                .unwrap_err()
                .to_string()
        };
        let other = Site { name: "b".to_owned(), ..site(SiteKind::relu()) };
        assert!(error(7, false, &other, OPTIONS).contains("fitted:7 at site b: the calibration has no density"));
        let strict = FitOptions { guard: 1e-4, ..OPTIONS };
        let told = error(7, false, &site(SiteKind::relu()), strict);
        assert!(told.contains("fitted:7 at site a.relu: a polynomial of degree 7 strays by"), "{told}");
    }
}
