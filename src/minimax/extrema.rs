//! The local extrema of the error of an approximation, f − p, found by sampling and Newton's method.

use super::function::Function;
use super::real::{Real, abs, is_negative, power_of_two, real};
use super::series::Series;

/// Extrema are located to this many bits of the distance of two samples; the error there is right to twice as many.
const LOCATION_BITS: isize = 64;

/// An interval on which the function is smooth.
pub(super) struct Piece {
    low: Real,
    high: Real,
    /// Which branch of the function it belongs to.
    positive: bool,
}

/// Where the error is largest or least among its neighbours; ends of pieces included.
#[derive(Debug, Clone)]
pub(super) struct Extremum {
    pub x: Real,
    /// f(x) − p(x).
    pub error: Real,
}

/// The pieces of `intervals`, divided at 0 where `function` may break there.
pub(super) fn pieces(function: Function, intervals: &[(f64, f64)], bits: usize) -> Vec<Piece> {
    let piece = |low: f64, high: f64| Piece { low: real(low, bits), high: real(high, bits), positive: low >= 0.0 };
    let mut pieces = Vec::new();
    for &(low, high) in intervals {
        if function.is_piecewise_linear() && low < 0.0 && high > 0.0 {
            pieces.extend([piece(low, 0.0), piece(0.0, high)]);
        } else {
            pieces.push(piece(low, high));
        }
    }
    pieces
}

/// Every local extremum of f − p on `pieces` that shows between samples, ascending in x. The samples are the ends, the
/// `knots` (ascending), and `density` − 1 points between each two of these.
pub(super) fn extrema(
    function: Function,
    approximation: &Series,
    pieces: &[Piece],
    knots: &[Real],
    density: usize,
) -> Vec<Extremum> {
    let slope = approximation.derivative();
    let curvature = slope.derivative();
    let mut found = Vec::new();
    for piece in pieces {
        let error = |x: &Real| function.jet(x, piece.positive)[0].clone() - approximation.value(x);
        let derivatives = |x: &Real| {
            let [_, first, second] = function.jet(x, piece.positive);
            (first - slope.value(x), second - curvature.value(x))
        };
        let samples: Vec<Extremum> = samples(piece, knots, density)
            .into_iter()
            .map(|x| {
                let error = error(&x);
                Extremum { x, error }
            })
            .collect();
        for (i, sample) in samples.iter().enumerate() {
            let outward = |e: &Real| if is_negative(&sample.error) { -e.clone() } else { e.clone() };
            let size = outward(&sample.error);
            let before = i.checked_sub(1).map(|i| &samples[i]);
            let after = samples.get(i + 1);
            if [before, after].into_iter().flatten().any(|neighbour| outward(&neighbour.error) > size) {
                continue;
            }
            // The extremum lies on the side to which the error grows.
            let rising = derivatives(&sample.x).0;
            let grows_right = !is_negative(&outward(&rising));
            let bracket =
                if grows_right { after.map(|a| (&sample.x, &a.x)) } else { before.map(|b| (&b.x, &sample.x)) };
            let refined = bracket.map(|(left, right)| {
                let negative_at_left = is_negative(&rising) == grows_right;
                let tolerance = (right - left) * power_of_two(-LOCATION_BITS, right.precision());
                let x = critical(derivatives, negative_at_left, left.clone(), right.clone(), &sample.x, &tolerance);
                let error = error(&x);
                Extremum { x, error }
            });
            found.push(match refined {
                Some(refined) if outward(&refined.error) > size => refined,
                _ => sample.clone(),
            });
        }
    }
    found
}

fn samples(piece: &Piece, knots: &[Real], density: usize) -> Vec<Real> {
    let inner = knots.iter().filter(|&knot| *knot > piece.low && *knot < piece.high).cloned();
    let ends: Vec<Real> =
        std::iter::once(piece.low.clone()).chain(inner).chain(std::iter::once(piece.high.clone())).collect();
    let mut samples = Vec::with_capacity(ends.len() * density);
    for pair in ends.windows(2) {
        let step = (&pair[1] - &pair[0]) / Real::from(density as u64);
        samples.extend((0..density as u64).map(|i| &pair[0] + &step * Real::from(i)));
    }
    samples.push(piece.high.clone());
    samples
}

/// The zero of a slope in [`left`, `right`] by Newton's method, kept inside a shrinking bracket. `derivatives` gives
/// slope and curvature; the slope changes its sign, and `negative_at_left` says from which one.
pub(super) fn critical(
    derivatives: impl Fn(&Real) -> (Real, Real),
    negative_at_left: bool,
    mut left: Real,
    mut right: Real,
    guess: &Real,
    tolerance: &Real,
) -> Real {
    let middle = |left: &Real, right: &Real| (left + right) / Real::from(2u8);
    let mut x = if *guess > left && *guess < right { guess.clone() } else { middle(&left, &right) };
    loop {
        let (slope, curvature) = derivatives(&x);
        if is_negative(&slope) == negative_at_left {
            left = x.clone()
        } else {
            right = x.clone()
        }
        if &right - &left <= *tolerance {
            return x;
        }
        let newton = if curvature == Real::ZERO { left.clone() } else { &x - slope / curvature };
        let next = if newton > left && newton < right { newton } else { middle(&left, &right) };
        if abs(&(&next - &x)) <= *tolerance {
            return next;
        }
        x = next;
    }
}
