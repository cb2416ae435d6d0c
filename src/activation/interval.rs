//! The range of a site: the interval that its inputs are to stay within.

use std::fmt;
use std::str::FromStr;

/// The numbers from `low` to `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    /// Above `low`; both are finite.
    pub high: f64,
}

/// A text that is no range.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "`{0}` is no range; it must be a positive number, the bound B of the inputs' absolute values, or two numbers LO:HI, the lower \
     one first"
)]
pub struct RangeError(pub String);

impl Interval {
    /// [−`bound`, `bound`], for a positive, finite bound.
    pub fn symmetric(bound: f64) -> Interval {
        Interval { low: -bound, high: bound }
    }

    /// The two ends, if they are finite and in order.
    pub fn new(low: f64, high: f64) -> Option<Interval> {
        let width = high - low;
        (low.is_finite() && high.is_finite() && width.is_normal() && width > 0.0).then_some(Interval { low, high })
    }

    /// The largest absolute value in it.
    pub fn bound(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// `low` and `high`.
    pub fn ends(self) -> [f64; 2] {
        [self.low, self.high]
    }
}

/// As it is read: `16` for [−16, 16], otherwise `-3:12.5`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.low == -self.high {
            true => write!(f, "{}", self.high),
            false => write!(f, "{}:{}", self.low, self.high),
        }
    }
}

impl FromStr for Interval {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Interval, RangeError> {
        let error = || RangeError(text.to_owned());
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| error());
        match text.split_once(':') {
            Some((low, high)) => Interval::new(number(low)?, number(high)?).ok_or_else(error),
            None => {
                let bound = number(text)?;
                (bound.is_normal() && bound.is_finite() && bound > 0.0)
                    .then(|| Interval::symmetric(bound))
                    .ok_or_else(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_numbers_in_order_are_ranges() {
        for text in
            ["0", "-1", "nan", "inf", "1e-320", "", "ten", "1:1", "2:1", "0:inf", "nan:1", "1:2:3", ":", "0:1e-320"]
        {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
        assert_eq!("12.5".parse::<Interval>().unwrap(), Interval { low: -12.5, high: 12.5 });
        assert_eq!(" -3 : 12.5".parse::<Interval>().unwrap(), Interval { low: -3.0, high: 12.5 });
        assert_eq!("-3:2".parse::<Interval>().unwrap().bound(), 3.0);
    }

    proptest! {
        #[test]
        fn a_range_survives_printing_and_reading(low in -1e6f64..1e6, width in 1e-6f64..1e6) {
            let range = Interval::new(low, low + width).unwrap();
            prop_assert_eq!(range.to_string().parse::<Interval>().unwrap(), range);
            let _ = Interval::symmetric(width).to_string().parse::<Interval>().unwrap();
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<Interval>();
        }
    }
}
