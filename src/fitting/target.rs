//! The functions that are fitted: lines between kinks.

/// A function of one variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// max(x, 0), also for max(a, b) = b + ReLU(a − b).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

/// `intercept` + `slope`·x on [`low`, `high`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub low: f64,
    pub high: f64,
    pub slope: f64,
    pub intercept: f64,
}

impl Target {
    /// f(x).
    pub fn value(self, x: f64) -> f64 {
        match self {
            Target::Relu => x.max(0.0),
            Target::Relu6 => x.clamp(0.0, 6.0),
        }
    }

    /// The lines that it is, from the left to the right, over all numbers.
    fn lines(self) -> &'static [Line] {
        const ZERO: Line = Line { low: f64::NEG_INFINITY, high: 0.0, slope: 0.0, intercept: 0.0 };
        const RELU: &[Line] = &[ZERO, Line { low: 0.0, high: f64::INFINITY, slope: 1.0, intercept: 0.0 }];
        const RELU6: &[Line] = &[
            ZERO,
            Line { low: 0.0, high: 6.0, slope: 1.0, intercept: 0.0 },
            Line { low: 6.0, high: f64::INFINITY, slope: 0.0, intercept: 6.0 },
        ];
        match self {
            Target::Relu => RELU,
            Target::Relu6 => RELU6,
        }
    }

    /// The lines that it is on [`low`, `high`]; of a point, the line through it.
    pub(super) fn between(self, low: f64, high: f64) -> impl Iterator<Item = Line> {
        let inside = self.lines().iter().filter(move |line| line.low <= high && line.high >= low);
        let cut = inside.map(move |line| Line { low: line.low.max(low), high: line.high.min(high), ..*line });
        let mut first = true;
        // Lines that only touch an end are left out, unless there is nothing else.
        cut.filter(move |line| std::mem::take(&mut first) && low == high || line.low < line.high)
    }

    /// Where its slope changes.
    pub(super) fn kinks(self) -> impl Iterator<Item = f64> {
        self.lines().iter().skip(1).map(|line| line.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_function() {
        for target in [Target::Relu, Target::Relu6] {
            for [low, high] in [[-3.0, 7.5], [0.0, 2.0], [-1.0, 0.0], [6.0, 8.0], [5.0, 5.0], [0.0, 0.0], [-1.0, -1.0]]
            {
                let lines: Vec<Line> = target.between(low, high).collect();
                assert!(lines[0].low == low && lines[lines.len() - 1].high == high, "{target:?} {lines:?}");
                assert!(lines.windows(2).all(|pair| pair[0].high == pair[1].low));
                for line in lines {
                    for x in [line.low, f64::midpoint(line.low, line.high), line.high] {
                        assert_eq!(line.intercept + line.slope * x, target.value(x), "{target:?} {x}");
                    }
                }
            }
        }
        assert_eq!(Target::Relu6.kinks().collect::<Vec<f64>>(), [0.0, 6.0]);
    }
}
