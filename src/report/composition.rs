//! What a composition looks like: the figure of its errors, and the line of blocks that a terminal shows.
//!
//! Everything is evaluated in the precision of the design; only the places on the paper are rounded. Errors far below
//! the reach of f64 are thus drawn like any other.

use super::plot::{Axis, Curve, Figure, Label, Marker, Panel, Scale, Style, number};
use crate::minimax::{Composite, Real, Stage, decimal, real, to_f64};

/// Places along an axis for which a curve is evaluated: columns narrower than its line.
const COLUMNS: usize = 400;

/// The figure of `composite`: for each stage 1 − p_i(x) over its interval with its extrema and ±τ_i; the composition
/// around ε; and the error of the ReLU on [−1, 1] with its bound, and 2^−α where `alpha` says which α it is meant for.
pub fn figure(composite: &Composite, alpha: Option<u32>) -> Figure {
    let mut panels: Vec<Panel> =
        composite.stages.iter().enumerate().map(|(i, stage)| stage_panel(i + 1, stage)).collect();
    let last = vec![sign_panel(composite), relu_panel(composite, alpha)];
    let degrees: Vec<String> = composite.degrees().iter().map(u32::to_string).collect();
    let title = format!("Composition of minimax polynomials of degrees {}", degrees.join(", "));
    if panels.len() == 1 {
        panels.extend(last);
        return Figure::of(&title, &panels);
    }
    let mut figure = Figure::of(&title, &panels);
    figure.rows.push(last);
    figure
}

/// |r(x) − ReLU(x)| over [−1, 1] in blocks, the highest for the worst error; each stands for the largest error in its
/// part of the interval.
pub fn sparkline(composite: &Composite) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const HALF: usize = 24;
    const SAMPLES: usize = 8;
    let worst = |values: &mut dyn Iterator<Item = f64>| {
        let error =
            values.map(|x| to_f64(&(relu_error(composite, x) / &composite.relu_error)).abs()).fold(0.0, f64::max);
        BLOCKS[((error * 8.0).ceil() as usize).clamp(1, 8) - 1]
    };
    // The error is even. Below ε it rises and falls again within the middle block.
    let width = 1.0 / (HALF as f64 + 0.5);
    let below = composite.epsilon.min(width / 2.0);
    let middle = worst(&mut (0..=10 * SAMPLES).map(|i| below * (-(i as f64) / SAMPLES as f64).exp2()));
    let right: Vec<char> = (0..HALF)
        .map(|i| worst(&mut (0..SAMPLES).map(|j| width * (0.5 + i as f64 + (j as f64 + 0.5) / SAMPLES as f64))))
        .collect();
    right.iter().rev().chain([&middle]).chain(&right).collect()
}

/// r(x) − ReLU(x) = x·(p(x) − 1)/2 for `x` in [0, 1]; r(−x) − ReLU(−x) is the same.
fn relu_error(composite: &Composite, x: f64) -> Real {
    let x = exact(composite, x);
    (composite.sign(&x) - Real::ONE) * x / Real::from(2u8)
}

fn exact(composite: &Composite, x: f64) -> Real {
    real(x, composite.stages.first().map_or(64, |stage| stage.interval.0.precision()))
}

/// A unit for values of one size: as they are, or in a power of ten where they are small.
struct Unit {
    /// The size, in this unit.
    size: f64,
    power: i32,
}

impl Unit {
    fn of(size: &Real) -> Unit {
        let text = decimal(size, 17);
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let (digits, power) = (digits.parse().unwrap_or(0.0), power.parse().unwrap_or(0));
        if (-2..=1).contains(&power) { Unit { size: to_f64(size), power: 0 } } else { Unit { size: digits, power } }
    }

    /// `quantity` with this unit.
    fn axis(&self, quantity: &str) -> Label {
        match self.power {
            0 => Label::marked(quantity),
            power => Label::marked(&format!("{quantity}  in 10^{{{}}}", number(f64::from(power), 0))),
        }
    }

    /// The size in four significant digits.
    fn size(&self) -> String {
        let digits = number(self.size, (3.0 - self.size.log10().floor()).max(0.0) as usize);
        match self.power {
            0 => digits,
            power => format!("{digits}·10^{{{}}}", number(f64::from(power), 0)),
        }
    }
}

fn axis(label: &str, scale: Scale, margin: f64) -> Axis {
    Axis::new(Label::marked(label), scale, margin)
}

fn stage_panel(number: usize, stage: &Stage) -> Panel {
    let (minimax, unit) = (&stage.minimax, Unit::of(&stage.minimax.error));
    let (low, high) = &stage.interval;
    // All stages but the first have an interval around 1, which may be too narrow to write down its numbers.
    let half_width = (high - low) / Real::from(2u8);
    let offset = Unit::of(&half_width);
    let place = |x: &Real| match offset.power {
        0 => to_f64(x),
        _ => to_f64(&((x - Real::ONE) / &half_width)) * offset.size,
    };
    let point = |x: &Real| (place(x), to_f64(&((Real::ONE - stage.value(x)) / &minimax.error)) * unit.size);

    // The error runs monotonically from extremum to extremum, much like a cosine.
    const STEPS: usize = 24;
    let mut curve = Vec::new();
    for ends in minimax.extrema.windows(2) {
        for step in 0..=STEPS {
            let part = 0.5 - 0.5 * (std::f64::consts::PI * step as f64 / STEPS as f64).cos();
            curve.push(point(&(&ends[0] + (&ends[1] - &ends[0]) * real(part, ends[0].precision()))));
        }
    }
    let extrema: Vec<(f64, f64)> = minimax.extrema.iter().map(point).collect();
    let scale =
        if crowding(&extrema, Scale::Log) < crowding(&extrema, Scale::Linear) { Scale::Log } else { Scale::Linear };
    let size = format!("$τ_{{{number}}}$ = {}", unit.size());
    Panel {
        title: format!("Stage {number}: degree {}", stage.degree).into(),
        x: Axis::new(offset.axis(if offset.power == 0 { "$x$" } else { "$x$ − 1" }), scale, 0.03),
        y: Axis::new(unit.axis(&format!("error 1 − $p_{{{number}}}(x)$")), Scale::Linear, 0.08),
        curves: vec![
            Curve::line(Style::reference(0), bounds(place(low), place(high), unit.size)).named(Label::marked(&size)),
            Curve::line(Style::of(0), curve),
            Curve::marks(Style::of(1), Marker::of(0), extrema).named(format!("{} extrema", minimax.extrema.len())),
        ],
    }
}

/// How close the nearest two of `points` come to each other along a scale: the width of all in units of that distance.
fn crowding(points: &[(f64, f64)], scale: Scale) -> f64 {
    let places: Vec<f64> = points.iter().map(|point| scale.place(point.0)).collect();
    let least = places.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    places.last().zip(places.first()).map_or(f64::INFINITY, |(last, first)| (last - first) / least)
}

/// Lines at ± `size`.
fn bounds(low: f64, high: f64, size: f64) -> Vec<(f64, f64)> {
    vec![(low, size), (high, size), (f64::NAN, f64::NAN), (low, -size), (high, -size)]
}

fn sign_panel(composite: &Composite) -> Panel {
    let low = power_below(0.05 / slope(composite));
    let places = (0..=2 * COLUMNS).map(|i| low.powf(1.0 - i as f64 / (2 * COLUMNS) as f64));
    let mut steps: Vec<Vec<(f64, f64)>> = vec![Vec::new(); composite.stages.len()];
    for x in places {
        let mut value = exact(composite, x);
        for (stage, points) in composite.stages.iter().zip(&mut steps) {
            value = stage.value(&value);
            points.push((x, to_f64(&value)));
        }
    }
    let highest = steps.iter().flatten().map(|point| point.1).fold(1.0, f64::max);
    let epsilon = Unit::of(&exact(composite, composite.epsilon));
    let bound = vec![(composite.epsilon, 0.0), (composite.epsilon, highest)];
    let name = Label::marked(&format!("$ε$ = {}", epsilon.size()));
    let mut curves = vec![Curve::line(Style::reference(0), bound).named(name)];
    let last = steps.len();
    for (i, points) in steps.into_iter().enumerate() {
        let name = match i + 1 {
            1 => "$p_{1}$".to_owned(),
            2 => "$p_{2}$∘$p_{1}$".to_owned(),
            3 => "$p_{3}$∘$p_{2}$∘$p_{1}$".to_owned(),
            n => format!("$p_{{{n}}}$∘…∘$p_{{1}}$"),
        };
        let name = if i + 1 == last { format!("$p$ = {name}") } else { name };
        let style = Style::of(last - 1 - i);
        let width = if i + 1 == last { style.width } else { 0.7 };
        curves.push(Curve::line(Style { width, ..style }, points).named(Label::marked(&name)));
    }
    Panel {
        title: "The approximation of sign".into(),
        x: axis("$x$", Scale::Log, 0.0),
        y: axis("$p(x)$", Scale::Linear, 0.05),
        curves,
    }
}

/// p'(0): p rises from 0 to 1 where x is about the inverse of it.
fn slope(composite: &Composite) -> f64 {
    composite.stages.iter().filter_map(|stage| stage.minimax.coefficients.first()).map(to_f64).product()
}

/// The largest power of ten that is not above `value`.
fn power_below(value: f64) -> f64 {
    10f64.powf(value.log10().floor())
}

fn relu_panel(composite: &Composite, alpha: Option<u32>) -> Panel {
    let unit = Unit::of(&composite.relu_error);
    let in_units = |error: &Real| to_f64(&(error / &composite.relu_error)) * unit.size;
    let scale = Scale::SymmetricLog(power_below(0.5 / slope(composite)));
    let right = envelope(scale, COLUMNS, |x| in_units(&relu_error(composite, x)));
    let mirrored = right.iter().rev().map(|&(x, error)| (-x, error));
    let curve: Vec<(f64, f64)> = mirrored.chain(right.iter().copied()).collect();
    let largest = Label::marked(&format!("largest error ±{}", unit.size()));
    let mut curves = vec![
        Curve::line(Style { width: 0.6, ..Style::of(0) }, curve),
        Curve::line(Style::reference(0), bounds(-1.0, 1.0, unit.size)).named(largest),
    ];
    if let Some(alpha) = alpha {
        let size = in_units(&exact(composite, (-f64::from(alpha)).exp2()));
        let name = Label::marked(&format!("±2^{{−{alpha}}}"));
        let style = Style { color: Style::of(1).color, ..Style::reference(1) };
        curves.push(Curve::line(style, bounds(-1.0, 1.0, size)).named(name));
    }
    Panel {
        title: "The error of ReLU".into(),
        x: axis("$x$", scale, 0.0),
        y: Axis::new(unit.axis("$r(x)$ − ReLU$(x)$"), Scale::Linear, 0.08),
        curves,
    }
}

/// `f` from 0 to 1 as one line through the least and the largest value in each of `columns` equal parts of the axis, so
/// that oscillations narrower than the line become the band that they fill.
fn envelope(scale: Scale, columns: usize, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    const SAMPLES: usize = 12;
    let width = scale.place(1.0) / columns as f64;
    let mut curve = Vec::new();
    for column in 0..columns {
        let at = |sample: usize| scale.value(width * (column as f64 + sample as f64 / SAMPLES as f64)).min(1.0);
        let points: Vec<(f64, f64)> = (0..=SAMPLES).map(at).map(|x| (x, f(x))).collect();
        let least = points.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let largest = points.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        let mut pair: Vec<(f64, f64)> = least.into_iter().chain(largest).collect();
        pair.sort_by(|a, b| a.0.total_cmp(&b.0));
        curve.extend(pair);
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minimax::{DEFAULT_BITS, Epsilon, paper_set};

    fn designed(degrees: &[u32], epsilon: f64) -> Composite {
        Composite::design(degrees, &Epsilon::Given(epsilon), DEFAULT_BITS).unwrap()
    }

    fn paper(alpha: u32) -> Composite {
        let set = paper_set(alpha).unwrap();
        designed(set.degrees, set.epsilon)
    }

    #[test]
    fn every_stage_is_titled_and_every_extremum_marked() {
        for (alpha, stages, extrema) in [(4, 1, 4), (7, 2, 10), (14, 3, 9 + 15 + 16)] {
            let svg = figure(&paper(alpha), Some(alpha)).svg();
            let document = roxmltree::Document::parse(&svg).unwrap();
            let count = |class| document.descendants().filter(|node| node.attribute("class") == Some(class)).count();
            assert_eq!(count("mark"), extrema, "alpha {alpha}");
            let said: Vec<&str> = document.descendants().filter_map(|node| node.attribute("aria-label")).collect();
            assert_eq!(said.iter().filter(|text| text.starts_with("Stage ")).count(), stages);
            for (i, degree) in paper_set(alpha).unwrap().degrees.iter().enumerate() {
                assert!(said.contains(&format!("Stage {}: degree {degree}", i + 1).as_str()), "{said:?}");
            }
            assert!(said.contains(&format!("±2−{alpha}").as_str()));
        }
    }

    /// Chebyshev's theorem, on paper: no point of an error curve leaves ±τ, the marks alternate at ±τ, and they are
    /// points of the interval. The last stages here are far below what f64 can hold.
    #[test]
    fn error_curves_stay_between_their_bounds_and_marks_lie_on_them() {
        for composite in [paper(14), designed(&[63, 63, 15, 63], 0.01), designed(&[3, 3], 0.9999)] {
            for (i, stage) in composite.stages.iter().enumerate() {
                let panel = stage_panel(i + 1, stage);
                let [bounds, curve, marks] = &panel.curves[..] else { panic!("three curves") };
                let size = bounds.points[0].1;
                assert!(curve.points.iter().all(|(_, error)| error.abs() <= size * (1.0 + 1e-9)));
                for (mark, sign) in marks.points.iter().zip([1.0, -1.0].into_iter().cycle()) {
                    assert!((mark.1 - sign * size).abs() <= 1e-9 * size, "stage {}: {mark:?} {size}", i + 1);
                    assert!((bounds.points[0].0..=bounds.points[1].0).contains(&mark.0));
                }
            }
        }
    }

    #[test]
    fn the_error_of_relu_is_drawn_up_to_its_bound() {
        for composite in [paper(8), paper(14), designed(&[63, 63, 15, 63], 0.01)] {
            let panel = relu_panel(&composite, None);
            let bound = panel.curves[1].points[0].1;
            let drawn = panel.curves[0].points.iter().map(|point| point.1.abs()).fold(0.0, f64::max);
            assert!(drawn <= bound * (1.0 + 1e-9) && drawn >= 0.98 * bound, "{drawn} {bound}");
        }
    }

    /// r(x) − ReLU(x) of x, x³ alone: (x² − x)/2 and (x⁴ − x)/2.
    #[test]
    fn the_error_of_relu_is_that_of_the_formula() {
        let mut composite = designed(&[3], 0.25);
        for (coefficients, power) in [([1.0, 0.0], 2), ([0.0, 1.0], 4)] {
            composite.stages[0].minimax.coefficients = coefficients.map(|c| real(c, DEFAULT_BITS)).to_vec();
            for x in [0.0, 0.125, 0.75, 1.0] {
                let expected = (f64::powi(x, power) - x) / 2.0;
                assert_eq!(to_f64(&relu_error(&composite, x)), expected, "x^{power} at {x}");
            }
        }
    }

    /// For α = 14 the error below ε is the largest, and beyond it grows with |x|, to τ/2 = 0.64 of the largest.
    #[test]
    fn the_sparkline_peaks_where_the_error_does() {
        let line: Vec<char> = sparkline(&paper(14)).chars().collect();
        let half = line.len() / 2;
        assert_eq!(line[half], '█');
        assert!(line[half + 1..].windows(2).all(|pair| pair[0] <= pair[1]), "{line:?}");
        assert!(line.iter().eq(line.iter().rev()));
        assert!(line[half + 1] == '▁' && ['▅', '▆'].contains(&line[0]), "{line:?}");
    }

    #[test]
    fn small_sizes_get_a_power_of_ten() {
        let unit = |x: f64| Unit::of(&real(x, 64));
        assert_eq!(unit(7.6992393e-5).size(), "7.699·10^{−5}");
        assert_eq!(unit(0.0326451).size(), "0.03265");
        assert_eq!(unit(0.974159).size(), "0.9742");
        assert_eq!(unit(0.974159).axis("$x$"), Label::marked("$x$"));
    }
}
