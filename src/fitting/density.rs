//! How values are distributed: counted in bins that are fine near zero, where activations have their kink.
//!
//! A bin is the values of one sign, one exponent and the same first bits of the mantissa, so that it is as wide as a sixteenth of its
//! least value or less, whatever scale a network works at. Counts are exact, and neither batches nor threads nor their order
//! make a difference.

use serde::{Deserialize, Serialize};

/// Bits of the mantissa that tell bins apart.
const BITS: u32 = 4;
/// Bins of one sign and exponent, an octave.
const BINS: usize = 1 << BITS;
/// Signs and exponents of an f32.
const OCTAVES: usize = 1 << 9;
/// The exponent of what is no finite number.
const NOT_FINITE: usize = 255;

/// Values counted by their size, and the sums of their weights if they have some.
#[derive(Debug, Clone, PartialEq)]
pub struct Density {
    /// The least and the largest value; infinity and its negative of none.
    ends: [f32; 2],
    /// Of each octave, by sign and exponent, the number of its first bin in `counts`; none of an octave without values, as all are
    /// before the first value.
    places: Vec<Option<u32>>,
    /// Octave after octave, in the order in which they were met.
    counts: Vec<u64>,
    /// The same of the sums of weights; nothing if values have none.
    weights: Vec<f64>,
}

/// The values between two ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    pub low: f64,
    /// Not below `low`.
    pub high: f64,
    pub count: u64,
    /// The sum of the weights of these values, or their number if they have none.
    pub weight: f64,
}

/// A density as it is written down.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Stored {
    /// The least and the largest value, if there is any.
    ends: Option<[f32; 2]>,
    /// Of each run of bins with values the number of the first one and how many there are, ascending.
    runs: Vec<(u16, u16)>,
    /// Of each of these bins.
    counts: Vec<u64>,
    /// The same, or nothing: the upper half of an f32, which holds a weight to a 256th of it.
    weights: Vec<u16>,
}

/// Why what is written down is no density.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DensityError(&'static str);

/// Of no value.
impl Default for Density {
    fn default() -> Density {
        Density {
            ends: [f32::INFINITY, f32::NEG_INFINITY],
            places: Vec::new(),
            counts: Vec::new(),
            weights: Vec::new(),
        }
    }
}

impl Density {
    /// Count values; those that are no finite number are left out.
    #[inline]
    pub fn add(&mut self, values: impl IntoIterator<Item = f32>) {
        for value in values {
            if let Some(at) = self.place(value) {
                self.counts[at] += 1;
            }
        }
    }

    /// Count values with their weights; what is no finite number is left out.
    pub fn add_weighted(&mut self, values: impl IntoIterator<Item = (f32, f32)>) {
        for (value, weight) in values {
            if let (Some(at), true) = (self.place(value), weight.is_finite()) {
                self.weights.resize(self.counts.len(), 0.0);
                self.counts[at] += 1;
                self.weights[at] += f64::from(weight);
            }
        }
    }

    /// Count `count` values that, as f32, begin with `bits`, and the sum of their weights if they have some.
    pub fn add_bits(&mut self, bits: u16, count: u64, weight: Option<f64>) {
        if let Some(first) = self.octave(usize::from(bits >> 7)) {
            let at = first + usize::from(bits >> (7 - BITS)) % BINS;
            self.counts[at] += count;
            if let Some(weight) = weight {
                self.weights.resize(self.counts.len(), 0.0);
                self.weights[at] += weight;
            }
        }
    }

    /// Let `ends`, the least and the largest of some values, be within those that are known.
    pub fn widen(&mut self, [low, high]: [f32; 2]) {
        self.ends = [self.ends[0].min(low), self.ends[1].max(high)];
    }

    /// The bin of `value`, which is met.
    #[inline]
    fn place(&mut self, value: f32) -> Option<usize> {
        let bits = value.to_bits();
        let first = match self.places.get((bits >> 23) as usize) {
            Some(&Some(first)) => first as usize,
            _ => self.octave((bits >> 23) as usize)?,
        };
        self.ends = [self.ends[0].min(value), self.ends[1].max(value)];
        Some(first + (bits >> (23 - BITS)) as usize % BINS)
    }

    /// The first bin of an octave; none where there are no finite numbers.
    #[cold]
    fn octave(&mut self, octave: usize) -> Option<usize> {
        if octave % (OCTAVES / 2) == NOT_FINITE {
            return None;
        }
        self.places.resize(OCTAVES, None);
        let first = self.places[octave].unwrap_or_else(|| {
            let first = self.counts.len() as u32;
            self.counts.resize(self.counts.len() + BINS, 0);
            if !self.weights.is_empty() {
                self.weights.resize(self.counts.len(), 0.0);
            }
            first
        });
        self.places[octave] = Some(first);
        Some(first as usize)
    }

    /// Count what `other` counted as well. Where only one of both has weights, the other's values weigh nothing.
    pub fn merge(&mut self, other: &Density) {
        self.widen(other.ends);
        for (octave, first) in other.places.iter().enumerate() {
            let Some(first) = first.map(|first| first as usize) else { continue };
            let Some(at) = self.octave(octave) else { continue };
            for bin in 0..BINS {
                self.counts[at + bin] += other.counts[first + bin];
            }
            if !other.weights.is_empty() {
                self.weights.resize(self.counts.len(), 0.0);
                for bin in 0..BINS {
                    self.weights[at + bin] += other.weights[first + bin];
                }
            }
        }
    }

    /// What all of `densities` counted.
    pub fn pooled(densities: &[Density]) -> Density {
        densities.iter().fold(Density::default(), |mut whole, density| {
            whole.merge(density);
            whole
        })
    }

    /// How many values were counted.
    pub fn values(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The least and the largest value; none if none was counted.
    pub fn ends(&self) -> Option<[f64; 2]> {
        (self.ends[0] <= self.ends[1]).then(|| self.ends.map(f64::from))
    }

    /// Whether its values have weights.
    pub fn is_weighted(&self) -> bool {
        !self.weights.is_empty()
    }

    /// The same values, which weigh alike.
    pub fn unweighted(&self) -> Density {
        Density { weights: Vec::new(), ..self.clone() }
    }

    /// The bins with values, each no wider than the values reach. Zeros, and what an f32 only holds with fewer bits, are in one
    /// that is a point.
    pub fn bins(&self) -> impl Iterator<Item = Bin> {
        self.numbered().map(|(number, count, weight)| {
            let [low, high] = edges(number).map(|edge| edge.clamp(self.ends[0].into(), self.ends[1].into()));
            Bin { low, high, count, weight: weight.unwrap_or(count as f64) }
        })
    }

    /// The number of each bin with values, their number and weight, ascending.
    fn numbered(&self) -> impl Iterator<Item = (usize, u64, Option<f64>)> {
        let octaves = self.places.iter().enumerate();
        let bins = octaves.filter_map(|(octave, first)| Some((octave * BINS, (*first)? as usize)));
        let bins = bins.flat_map(|(number, first)| (0..BINS).map(move |bin| (number + bin, first + bin)));
        let all = bins.map(|(number, at)| (number, self.counts[at], self.weights.get(at).copied()));
        all.filter(|&(_, count, _)| count > 0)
    }

    /// As it is written down.
    pub fn stored(&self) -> Stored {
        let mut stored = Stored { ends: self.ends().map(|_| self.ends), ..Stored::default() };
        let mut next = usize::MAX;
        for (number, count, weight) in self.numbered() {
            match stored.runs.last_mut() {
                Some((_, length)) if number == next => *length += 1,
                _ => stored.runs.push((number as u16, 1)),
            }
            next = number + 1;
            stored.counts.push(count);
            stored.weights.extend(weight.map(|weight| short(weight as f32)));
        }
        stored
    }

    /// What is written down in `stored`.
    ///
    /// # Errors
    /// [`DensityError`] for what no density is written down as.
    pub fn read(stored: &Stored) -> Result<Density, DensityError> {
        let Stored { ends, runs, counts, weights } = stored;
        let bins = runs.iter().map(|&(_, length)| usize::from(length)).sum::<usize>();
        if bins != counts.len() || !(weights.is_empty() || weights.len() == bins) {
            return Err(DensityError("it has another number of counts than of bins"));
        }
        if ends.is_some_and(|[low, high]| !(low.is_finite() && high.is_finite() && low <= high)) {
            return Err(DensityError("its least and largest value are none"));
        }
        if weights.iter().any(|&weight| !(long(weight) >= 0.0 && long(weight).is_finite())) {
            return Err(DensityError("one of its weights is none"));
        }
        if ends.is_none() != counts.is_empty() || counts.iter().try_fold(0u64, |sum, &n| sum.checked_add(n)).is_none() {
            return Err(DensityError("its counts are none"));
        }
        let mut density = Density { ends: ends.unwrap_or(Density::default().ends), ..Density::default() };
        let numbers =
            runs.iter().flat_map(|&(first, length)| (0..length).map(move |i| usize::from(first) + usize::from(i)));
        for (at, number) in numbers.enumerate() {
            let octave =
                Some(number / BINS).filter(|&octave| octave < OCTAVES).and_then(|octave| density.octave(octave));
            let place = octave.ok_or(DensityError("it has values that are no finite number"))? + number % BINS;
            density.counts[place] += counts[at];
            if let Some(&weight) = weights.get(at) {
                density.weights.resize(density.counts.len(), 0.0);
                density.weights[place] += f64::from(long(weight));
            }
        }
        Ok(density)
    }
}

/// The nearest number with half the bits; of one too large for them the largest.
fn short(weight: f32) -> u16 {
    let half = (weight.to_bits() & 0x7fff_ffff).min(0x7f7f_7fff) + 0x8000;
    (half >> 16) as u16
}

/// The number that `short` is of.
fn long(short: u16) -> f32 {
    f32::from_bits(u32::from(short) << 16)
}

/// The lower and the upper end of the bin of this number.
fn edges(number: usize) -> [f64; 2] {
    let (octave, bin) = (number / BINS, number % BINS);
    let (is_negative, exponent) = (octave >= OCTAVES / 2, octave % (OCTAVES / 2));
    if exponent == 0 {
        return [0.0; 2];
    }
    let size = |bin: usize| (1.0 + bin as f64 / BINS as f64) * (exponent as f64 - 127.0).exp2();
    let [near, far] = [size(bin), size(bin + 1)];
    if is_negative { [-far, -near] } else { [near, far] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn density(values: &[f32]) -> Density {
        let mut density = Density::default();
        density.add(values.iter().copied());
        density
    }

    /// Numbers of all sizes, some of them zero and some no numbers.
    fn numbers() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(prop_oneof![any::<f32>(), -4.0f32..4.0, Just(0.0), Just(f32::NAN)], 0..200)
    }

    proptest! {
        #[test]
        fn every_finite_number_is_in_the_bin_that_holds_it(values in numbers()) {
            let density = density(&values);
            let finite: Vec<f64> = values.iter().filter(|x| x.is_finite()).map(|&x| x.into()).collect();
            prop_assert_eq!(density.values() as usize, finite.len());
            for bin in density.bins() {
                let inside = |&&x: &&f64| match bin.low == 0.0 && bin.high == 0.0 {
                    true => !(x as f32).is_normal(),
                    false => x >= bin.low && x <= bin.high,
                };
                // Neighbours share an end.
                prop_assert!(finite.iter().filter(inside).count() as u64 >= bin.count, "{:?}", bin);
                prop_assert!(bin.high - bin.low <= bin.low.abs().min(bin.high.abs()) / 16.0 * (1.0 + 1e-12), "{:?}", bin);
            }
            let ends = finite.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], &x| [a.min(x), b.max(x)]);
            prop_assert_eq!(density.ends(), (!finite.is_empty()).then_some(ends));
        }

        #[test]
        fn parts_in_any_order_are_the_whole(values in numbers(), cut in 0usize..200) {
            let (a, b) = values.split_at(cut.min(values.len()));
            let [mut first, mut second] = [a, b].map(density);
            let whole = density(&values).stored();
            let parts = [first.clone(), second.clone()];
            first.merge(&parts[1]);
            second.merge(&parts[0]);
            prop_assert_eq!(first.stored(), whole.clone());
            prop_assert_eq!(second.stored(), whole.clone());
            prop_assert_eq!(Density::read(&whole).unwrap().stored(), whole);
        }

        /// A device counts by the first sixteen bits.
        #[test]
        fn bits_tell_the_bin(values in numbers()) {
            let mut counted = Density::default();
            for &value in &values {
                counted.add_bits((value.to_bits() >> 16) as u16, 1, None);
                if value.is_finite() {
                    counted.widen([value; 2]);
                }
            }
            prop_assert_eq!(counted.stored(), density(&values).stored());
        }

        #[test]
        fn weights_are_summed(values in prop::collection::vec((-4.0f32..4.0, 0.0f32..3.0), 1..100)) {
            let mut weighted = Density::default();
            weighted.add_weighted(values.iter().copied());
            let plain: Vec<f32> = values.iter().map(|&(value, _)| value).collect();
            prop_assert_eq!(weighted.stored().counts, density(&plain).stored().counts);
            let sum: f64 = weighted.bins().map(|bin| bin.weight).sum();
            prop_assert!((sum - values.iter().map(|&(_, weight)| f64::from(weight)).sum::<f64>()).abs() < 1e-9);
            let read = Density::read(&weighted.stored()).unwrap();
            for (read, bin) in read.bins().zip(weighted.bins()) {
                prop_assert!((read.weight - bin.weight).abs() <= bin.weight / 256.0, "{:?} {:?}", read, bin);
            }
            prop_assert!(density(&plain).bins().all(|bin| bin.weight == bin.count as f64));
        }

        #[test]
        fn no_numbers_make_reading_panic(
            ends: Option<[f32; 2]>, runs: Vec<(u16, u16)>, counts: Vec<u64>, weights: Vec<u16>,
        ) {
            let runs = runs.into_iter().map(|(first, length)| (first, length % 20)).collect();
            let _ = Density::read(&Stored { ends, runs, counts, weights });
        }
    }

    #[test]
    fn what_is_no_density_is_refused() {
        let good = density(&[1.0, 2.0]).stored();
        for bad in [
            Stored { counts: vec![1], ..good.clone() },
            Stored { weights: vec![short(1.0)], ..good.clone() },
            Stored { weights: vec![short(1.0), 0xbf80], ..good.clone() },
            Stored { weights: vec![short(1.0), 0x7f80], ..good.clone() },
            Stored { ends: Some([2.0, 1.0]), ..good.clone() },
            Stored { ends: None, ..good.clone() },
            Stored { runs: vec![(255 * 16, 2)], ..good.clone() },
            Stored { runs: vec![(u16::MAX, 2)], ..good.clone() },
            Stored { counts: vec![u64::MAX, 1], ..good.clone() },
        ] {
            assert!(Density::read(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(Density::read(&Stored::default()).unwrap(), Density::default());
    }
}
