//! How a value becomes a place on an axis, and where the ticks stand.

use super::text::Label;

/// How values are laid along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    Linear,
    /// Linear, for counts: no ticks between whole numbers.
    Whole,
    /// Decimal logarithm; the values must be positive.
    Log,
    /// Logarithmic in both directions and linear around 0: asinh(v/2t), which beyond the threshold t, a power of ten,
    /// soon is the logarithm of v/t.
    SymmetricLog(f64),
}

impl Scale {
    /// Where `value` stands, in a unit of the scale's own.
    pub fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear | Scale::Whole => value,
            Scale::Log => value.log10(),
            Scale::SymmetricLog(threshold) => (value / (2.0 * threshold)).asinh(),
        }
    }

    /// The value that stands at `place`.
    pub fn value(self, place: f64) -> f64 {
        match self {
            Scale::Linear | Scale::Whole => place,
            Scale::Log => 10f64.powf(place),
            Scale::SymmetricLog(threshold) => 2.0 * threshold * place.sinh(),
        }
    }

    /// At most about `count` ticks between the values `low` < `high`, with what is written beside them.
    pub(super) fn ticks(self, low: f64, high: f64, count: usize) -> Vec<(f64, Label)> {
        // A tick at the very end must not get lost in rounding.
        let slack = 1e-9 * (high - low);
        let mut ticks = match self {
            Scale::Linear => linear(low, high, count),
            Scale::Whole => linear(low, high, count.min((high - low).ceil() as usize)),
            Scale::Log if high / low < 1000.0 => {
                let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
                let values = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|m| (m * 10f64.powi(power), power)));
                values
                    .map(|(value, power)| (value, Label::plain(&number(value, power.min(0).unsigned_abs() as usize))))
                    .collect()
            }
            Scale::Log => powers(low, high, count).map(|power| (10f64.powi(power), power_of_ten("", power))).collect(),
            Scale::SymmetricLog(threshold) => {
                let mut ticks = vec![(0.0, Label::plain("0"))];
                for power in powers(10.0 * threshold, high.max(-low), count / 2) {
                    ticks.push((-10f64.powi(power), power_of_ten("−", power)));
                    ticks.push((10f64.powi(power), power_of_ten("", power)));
                }
                ticks
            }
        };
        ticks.retain(|(value, _)| (low - slack..=high + slack).contains(value));
        ticks
    }
}

/// The powers of ten from `low` to `high`, each one or each second, third, …, so that there are no more than `count`.
fn powers(low: f64, high: f64, count: usize) -> impl Iterator<Item = i32> {
    let (first, last) = ((low.log10() - 1e-9).ceil() as i32, (high.log10() + 1e-9).floor() as i32);
    let stride = (last - first).max(0) as usize / count.max(1) + 1;
    (first..=last).rev().step_by(stride)
}

fn power_of_ten(sign: &str, power: i32) -> Label {
    match power {
        -1..=2 => Label::plain(&format!("{sign}{}", 10f64.powi(power))),
        _ => Label::marked(&format!("{sign}10^{{{}}}", number(f64::from(power), 0))),
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear(low: f64, high: f64, count: usize) -> Vec<(f64, Label)> {
    let coarse = (high - low) / count.max(1) as f64;
    let power = coarse.log10().floor();
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|m| m * 10f64.powf(power)).into_iter().find(|&step| step >= coarse * (1.0 - 1e-9));
    let step = step.unwrap_or(coarse);
    // Ends that are nearly or wholly the same number have no step of their own.
    let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, f64::from(f64::DIGITS)) as usize;
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|i| i as f64 * step).map(|value| (value, Label::plain(&number(value, decimals)))).collect()
}

/// `value` with a true minus sign.
pub fn number(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, low: f64, high: f64, count: usize) -> Vec<String> {
        let mut ticks = scale.ticks(low, high, count);
        ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
        ticks.iter().map(|(_, label)| label.text()).collect()
    }

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        assert_eq!(labels(Scale::Linear, -1.0, 1.0, 5), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels(Scale::Linear, 3.2, 15.8, 5), ["5", "10", "15"]);
        assert_eq!(labels(Scale::Whole, 3.9, 5.2, 7), ["4", "5"]);
        assert_eq!(labels(Scale::Whole, 6.5, 7.5, 7), ["7"]);
        assert_eq!(labels(Scale::Whole, 3.2, 15.8, 5), ["5", "10", "15"]);
        assert_eq!(labels(Scale::Log, 0.0008, 1.0, 5), ["10−3", "10−2", "0.1", "1"]);
        assert_eq!(labels(Scale::Log, 1e-9, 1.0, 4), ["10−9", "10−6", "10−3", "1"]);
        assert_eq!(labels(Scale::Log, 4.0, 128.0, 4), ["5", "10", "20", "50", "100"]);
        assert_eq!(labels(Scale::Log, 0.01, 0.1, 4), ["0.01", "0.02", "0.05", "0.1"]);
        assert_eq!(labels(Scale::SymmetricLog(1e-3), -1.0, 1.0, 6), ["−1", "−0.1", "−10−2", "0", "10−2", "0.1", "1"]);
        assert!(labels(Scale::Linear, 2e18, 2e18, 5).len() <= 1);
        for count in 1..9 {
            assert!(labels(Scale::Linear, 0.013, 0.98, count).len() <= count + 1);
            assert!(labels(Scale::Log, 1e-18, 1.0, count).len() <= count + 1);
        }
    }

    #[test]
    fn a_scale_goes_back_and_is_odd_where_it_has_two_sides() {
        for scale in [Scale::Linear, Scale::Log, Scale::SymmetricLog(0.01)] {
            for value in [1e-6, 0.0099, 0.01, 0.0101, 0.5, 1.0] {
                assert!((scale.value(scale.place(value)) / value - 1.0).abs() < 1e-12, "{scale:?} {value}");
            }
        }
        let scale = Scale::SymmetricLog(0.01);
        let decade = scale.place(1e5) - scale.place(1e4);
        assert!((decade - 10f64.ln()).abs() < 1e-9);
        assert_eq!(scale.place(-0.1), -scale.place(0.1));
    }
}
