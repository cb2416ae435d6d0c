//! Compositions whose ε suits the inputs of a site.
//!
//! The ε with the least worst error is wide: it gives up the smallest inputs, of which a network has the most. A smaller one has a
//! larger error far from zero, where few inputs are.

use rayon::prelude::*;

use super::sensitivity::errors;
use crate::activation::{Activation, Arithmetic, Interval, MaxPool, Spec, SpecError};
use crate::fitting::{Bin, Certificate, Density};
use crate::minimax::{Composite, DEFAULT_BITS, Epsilon};
use crate::model::Site;

/// By what an ε differs from the next one that is tried.
const STEP: f64 = 1.1;
/// How many are tried below, and above, the one with the least worst error.
const BELOW: i32 = 24;
const ABOVE: i32 = 6;
/// Points that stand for the values of one bin.
const POINTS: usize = 4;
/// Points over the whole range, at the zeros of a Chebyshev polynomial.
const WHOLE: usize = 4096;

/// A composition with one ε.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// `minimax:7,7@0.045`.
    pub spec: Spec,
    pub activation: Activation,
}

/// The compositions of these degrees that are tried at every site, computed in `arithmetic`; those that it does not resolve are
/// left out.
///
/// # Errors
/// [`SpecError`] where even the best ε cannot be designed.
pub(super) fn candidates(degrees: &[u32], arithmetic: Arithmetic) -> Result<Vec<Candidate>, SpecError> {
    let best = Composite::design(degrees, &Epsilon::Best, DEFAULT_BITS)?.epsilon;
    let designed = |step: i32| {
        // Five digits, so that what is written says all.
        let epsilon: f64 = format!("{:.4e}", best * STEP.powi(step)).parse().unwrap_or(best);
        let spec = Spec::Minimax { degrees: degrees.to_vec(), epsilon: Epsilon::Given(epsilon) };
        Activation::design_in(&spec, arithmetic).map(|activation| Some(Candidate { spec, activation: activation? }))
    };
    // The best one says why none can be designed.
    designed(0)?;
    let all: Vec<Result<_, _>> = (-BELOW..=ABOVE).into_par_iter().map(designed).collect();
    Ok(all.into_iter().filter_map(Result::ok).flatten().collect())
}

/// Which of `candidates` has the least (1 − share)·E[w·e²] + share·(mean of e² under Chebyshev's measure) at `site` among those
/// that stray by `guard` of half the range at most, and how good it is; none if none does.
pub(super) fn choose(
    candidates: &[Candidate],
    site: &Site,
    range: Interval,
    density: &Density,
    share: f64,
    guard: f64,
) -> Option<(usize, Certificate)> {
    let judged = candidates.par_iter().map(|candidate| judge(&candidate.activation, site, range, density, share));
    let judged: Vec<Option<(f64, f64, Certificate)>> = judged.collect();
    let kept = judged.into_iter().enumerate().filter_map(|(at, judged)| Some((at, judged?)));
    let kept = kept.filter(|(_, (_, half, certificate))| certificate.worst <= guard * half);
    let best = kept.min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
    best.map(|(at, (_, _, certificate))| (at, certificate))
}

/// The objective, half the range that errors are held against, and the errors.
fn judge(
    activation: &Activation,
    site: &Site,
    range: Interval,
    density: &Density,
    share: f64,
) -> Option<(f64, f64, Certificate)> {
    let half = match site.kind.window() {
        Some(window) => MaxPool::differences(range, window, activation.bound())?,
        None => range.bound(),
    };
    let inside = density.bins().filter(|bin| bin.low >= -half && bin.high <= half);
    let bins: Vec<_> = inside.collect();
    let within = |at: usize| (at as f64 + 0.5) / POINTS as f64;
    let place = |bin: &Bin| (0..POINTS).map(|at| bin.low + (bin.high - bin.low) * within(at)).collect::<Vec<_>>();
    let errors = |x: Vec<f64>| errors(activation, site, range, 0, &x);
    let of_bins = errors(bins.iter().flat_map(place).collect())?;
    let zeros = (0..WHOLE).map(|at| half * (std::f64::consts::PI * (at as f64 + 0.5) / WHOLE as f64).cos());
    let of_whole = errors(zeros.collect())?;
    let mean = |weight: fn(&Bin) -> f64, power: i32| {
        let total: f64 = bins.iter().map(weight).sum();
        let of_bin = |(bin, errors): (&Bin, &[f64])| {
            weight(bin) * errors.iter().map(|error| error.powi(power)).sum::<f64>() / POINTS as f64
        };
        let sum: f64 = bins.iter().zip(of_bins.chunks(POINTS)).map(of_bin).sum();
        if total > 0.0 { sum / total } else { 0.0 }
    };
    let whole = of_whole.iter().map(|error| error * error).sum::<f64>() / WHOLE as f64;
    let objective = (1.0 - share) * mean(|bin| bin.weight, 2) + share * whole;
    let worst = of_whole.iter().chain(&of_bins).map(|error| error.abs()).fold(0.0, f64::max);
    let certificate =
        Certificate { rms: mean(|bin| bin.count as f64, 2).sqrt(), mean: mean(|bin| bin.count as f64, 1), worst };
    objective.is_finite().then_some((objective, half, certificate))
}
