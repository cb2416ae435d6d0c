//! One look at many values: extremes, what is beyond two ends, and what is no number.

use crate::activation::Element;

/// Values that are looked at side by side. Each has accumulators of its own, so that the compiler may use instructions on many
/// values, which it may not where one extreme follows from the one before.
const LANES: usize = 8;

/// What was met so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<T> {
    low: T,
    high: T,
    outside: [u32; LANES],
    not_a_number: [u32; LANES],
    least: [T; LANES],
    largest: [T; LANES],
}

impl<T: Element> Scan<T> {
    /// Of nothing yet. Numbers below `low` or above `high` are outside; so many fit as a u32 counts.
    pub fn new(low: T, high: T) -> Scan<T> {
        let [least, largest] = [f64::INFINITY, f64::NEG_INFINITY].map(|end| [T::from_f64(end); LANES]);
        Scan { low, high, outside: [0; LANES], not_a_number: [0; LANES], least, largest }
    }

    /// Look at `values`.
    pub fn see(&mut self, values: &[T]) {
        let (groups, rest) = values.as_chunks::<LANES>();
        for group in groups {
            for (lane, &value) in group.iter().enumerate() {
                self.see_one(lane, value);
            }
        }
        for (lane, &value) in rest.iter().enumerate() {
            self.see_one(lane, value);
        }
    }

    /// Comparisons are false of what is no number.
    #[inline(always)]
    fn see_one(&mut self, lane: usize, value: T) {
        self.outside[lane] += u32::from((value > self.high) | (value < self.low));
        self.not_a_number[lane] += u32::from(value.partial_cmp(&value).is_none());
        self.least[lane] = if value < self.least[lane] { value } else { self.least[lane] };
        self.largest[lane] = if value > self.largest[lane] { value } else { self.largest[lane] };
    }

    /// Numbers beyond the ends.
    pub fn outside(&self) -> u64 {
        self.outside.iter().copied().map(u64::from).sum()
    }

    /// Values that are no number.
    pub fn not_a_number(&self) -> u64 {
        self.not_a_number.iter().copied().map(u64::from).sum()
    }

    /// The largest absolute value of a number beyond the ends; 0 if there is none.
    pub fn worst(&self) -> f64 {
        let [least, largest] = self.extremes();
        let below = if least < self.low.to_f64() { least.abs() } else { 0.0 };
        if largest > self.high.to_f64() { below.max(largest.abs()) } else { below }
    }

    /// The least and the largest number; infinity and its negative of none.
    pub fn extremes(&self) -> [f64; 2] {
        let least = self.least.iter().map(|value| value.to_f64()).fold(f64::INFINITY, f64::min);
        [least, self.largest.iter().map(|value| value.to_f64()).fold(f64::NEG_INFINITY, f64::max)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In pieces of any length, against one value after the other.
        #[test]
        fn pieces_say_what_single_values_say(values in prop::collection::vec(any::<f32>(), 0..70), cut in 0usize..70) {
            let (low, high) = (-1e10, 3.5);
            let mut scan = Scan::<f32>::new(low, high);
            let cut = cut.min(values.len());
            scan.see(&values[..cut]);
            scan.see(&values[cut..]);
            let numbers = || values.iter().copied().filter(|value| !value.is_nan());
            prop_assert_eq!(scan.outside(), numbers().filter(|&value| value > high || value < low).count() as u64);
            prop_assert_eq!(scan.not_a_number(), (values.len() - numbers().count()) as u64);
            let extremes = [numbers().fold(f32::INFINITY, f32::min), numbers().fold(f32::NEG_INFINITY, f32::max)];
            prop_assert_eq!(scan.extremes(), extremes.map(f64::from));
            let beyond = numbers().filter(|&value| value > high || value < low);
            prop_assert_eq!(scan.worst(), f64::from(beyond.map(f32::abs).fold(0.0, f32::max)));
        }
    }
}
