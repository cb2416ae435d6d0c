//! What a site is given to work on: extremes, and a histogram from which quantiles follow.
//!
//! The histogram is over the upper half of the bits of |x| as f32: exponent and seven bits of mantissa. A bucket spans less
//! than 1/128 of its values, counts are exact, and neither batches nor threads nor their order make a difference.

use super::scan::Scan;
use crate::activation::Element;

const BUCKETS: usize = 1 << 15;

/// Statistics of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// How many, those that are no number included.
    pub values: u64,
    /// How many are no number; they count in nothing else.
    pub not_a_number: u64,
    /// The least; infinity if there is none.
    pub min: f64,
    /// The largest; −infinity if there is none.
    pub max: f64,
    /// The largest |x|; 0 if there is none.
    pub largest: f64,
    /// Position of the first image with that value, among those seen; none where it cannot be told, or there is no value.
    pub largest_image: Option<usize>,
    /// How many |x| are above each of the bounds asked for.
    pub above: Vec<u64>,
    histogram: Vec<u64>,
}

/// Values that are looked at at once, so that they are still in the cache when they are sorted.
const PART: usize = 4096;

/// Of no value, for no bound, and without room for one: what others are merged into.
impl Default for Statistics {
    fn default() -> Statistics {
        Statistics {
            values: 0,
            not_a_number: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            largest: 0.0,
            largest_image: None,
            above: Vec::new(),
            histogram: Vec::new(),
        }
    }
}

impl Statistics {
    /// Of no value yet; `bounds` is how many bounds are asked for.
    pub fn new(bounds: usize) -> Statistics {
        Statistics { above: vec![0; bounds], histogram: vec![0; BUCKETS], ..Statistics::default() }
    }

    /// Sort numbers of which so many begin, as f32, with the same sixteen bits into the buckets.
    pub(super) fn sort(&mut self, by_bits: impl Iterator<Item = (u16, u64)>) {
        self.histogram.resize(BUCKETS, 0);
        // Beyond the bits of infinity there are no numbers.
        for (bits, count) in by_bits.map(|(bits, count)| (bits & 0x7fff, count)).filter(|&(bits, _)| bits <= 0x7f80) {
            self.histogram[usize::from(bits)] += count;
        }
    }

    /// The same, of images of which the first stands at position `images[0]` of the dataset, and so on.
    pub fn placed(mut self, images: &[usize]) -> Statistics {
        self.largest_image = self.largest_image.and_then(|image| images.get(image).copied());
        self
    }

    /// Count the values of the image at position `image`, or of one that cannot be told.
    pub fn add<T: Element>(&mut self, image: Option<usize>, values: &[T], bounds: &[f64]) {
        self.values += values.len() as u64;
        let mut largest = 0f64;
        let nothing = Scan::new(T::from_f64(f64::NEG_INFINITY), T::from_f64(f64::INFINITY));
        for part in values.chunks(PART) {
            let mut scan = nothing;
            scan.see(part);
            let [min, max] = scan.extremes();
            let not_a_number = scan.not_a_number();
            self.not_a_number += not_a_number;
            self.min = self.min.min(min);
            self.max = self.max.max(max);
            largest = largest.max(-min).max(max);
            self.count(part, not_a_number > 0);
        }
        for (above, &bound) in self.above.iter_mut().zip(bounds) {
            if largest > bound {
                let end = T::at_most(bound);
                let mut scan = Scan::new(T::from_f64(-end.to_f64()), end);
                scan.see(values);
                *above += scan.outside();
            }
        }
        self.meet(largest, image);
    }

    /// Sort `values` into buckets. Zeros, of which a site behind a ReLU meets many, are counted in several places in turn: an
    /// addition to a place must wait for the last one there. They are no branch, which nobody could foresee.
    fn count<T: Element>(&mut self, values: &[T], has_not_a_number: bool) {
        const TURNS: usize = 8;
        self.histogram.resize(BUCKETS + TURNS, 0);
        for (at, value) in values.iter().enumerate() {
            if has_not_a_number && value.partial_cmp(value).is_none() {
                continue;
            }
            let bucket = value.bits_as_f32() as usize >> 16 & (BUCKETS - 1);
            let place = if bucket == 0 { BUCKETS + at % TURNS } else { bucket };
            self.histogram[place] += 1;
        }
        self.histogram[0] += self.histogram.drain(BUCKETS..).sum::<u64>();
    }

    /// Count what `other` counted as well.
    pub fn merge(&mut self, other: &Statistics) {
        self.values += other.values;
        self.not_a_number += other.not_a_number;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.histogram.resize(self.histogram.len().max(other.histogram.len()), 0);
        self.above.resize(self.above.len().max(other.above.len()), 0);
        for (count, more) in self.histogram.iter_mut().zip(&other.histogram) {
            *count += more;
        }
        for (count, more) in self.above.iter_mut().zip(&other.above) {
            *count += more;
        }
        self.meet(other.largest, other.largest_image);
    }

    fn meet(&mut self, largest: f64, image: Option<usize>) {
        if largest > self.largest {
            (self.largest, self.largest_image) = (largest, image);
        } else if largest == self.largest {
            self.largest_image = self.largest_image.into_iter().chain(image).min();
        }
    }

    /// A bound that at least the share `quantile` of all |x| do not exceed, less than 1/128 above the least such bound;
    /// 0 if there is no value.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let numbers = self.values - self.not_a_number;
        let needed = (quantile * numbers as f64).ceil() as u64;
        let mut below = 0;
        for (bucket, count) in self.histogram.iter().enumerate() {
            below += count;
            if below >= needed.max(1) {
                let end = f32::from_bits(((bucket as u32 + 1) << 16) - 1);
                return f64::from(end).min(self.largest);
            }
        }
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extremes_and_their_image_are_found() {
        let mut statistics = Statistics::new(2);
        let bounds = [1.0, 2.5];
        statistics.add(Some(4), &[0.5f32, -3.0, f32::NAN], &bounds);
        statistics.add(Some(5), &[3.0f32, 2.0], &bounds);
        let mut later = Statistics::new(2);
        later.add(Some(2), &[-1.0f64], &bounds);
        statistics.merge(&later);
        assert_eq!((statistics.min, statistics.max, statistics.largest), (-3.0, 3.0, 3.0));
        assert_eq!((statistics.largest_image, statistics.values, statistics.not_a_number), (Some(4), 6, 1));
        assert_eq!(statistics.above, [3, 2]);
    }

    proptest! {
        /// Against the sorted values themselves.
        #[test]
        fn quantiles_are_at_most_a_128th_too_large(
            values in prop::collection::vec(-1e3f32..1e3, 1..300), quantile in 0.0f64..=1.0,
        ) {
            let mut statistics = Statistics::new(0);
            statistics.add(Some(0), &values, &[]);
            let mut sorted: Vec<f64> = values.iter().map(|value| f64::from(value.abs())).collect();
            sorted.sort_by(f64::total_cmp);
            let at = ((quantile * sorted.len() as f64).ceil() as usize).max(1) - 1;
            let (expected, found) = (sorted[at], statistics.quantile(quantile));
            prop_assert!(found >= expected && found <= expected * (1.0 + 1.0 / 128.0), "{found} for {expected}");
        }

        #[test]
        fn parts_in_any_order_give_the_same(values in prop::collection::vec(any::<f32>(), 2..100), cut in 1usize..99) {
            let cut = cut.min(values.len() - 1);
            let bounds = [0.5, 7.0];
            let statistics = |parts: &[(usize, &[f32])]| {
                let mut all = Statistics::new(2);
                for (image, values) in parts {
                    let mut part = Statistics::new(2);
                    part.add(Some(*image), values, &bounds);
                    all.merge(&part);
                }
                all
            };
            let (a, b) = values.split_at(cut);
            prop_assert_eq!(statistics(&[(0, a), (1, b)]), statistics(&[(1, b), (0, a)]));
        }
    }
}
