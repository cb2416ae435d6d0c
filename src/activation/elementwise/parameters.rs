//! The numbers of a formula, and the ends of its range, alike in all channels or others in each.

use crate::activation::approximation::Expansion;
use crate::activation::form::{BLOCK, Shape, in_blocks};
use crate::activation::lanes::Number;
use crate::activation::registers::{Alike, Apart};
use crate::activation::{Arithmetic, Element, Polynomial, Sign};

/// Values in the widest register. Every narrower one has a number of which this is a multiple.
const WIDEST: usize = 16;

/// The shape and the parameters of ReLU by the composition `sign` on [−`range`, `range`].
pub(super) fn of_composition(sign: &Sign, range: f64) -> (Shape, Vec<f64>) {
    let stages: Vec<Vec<f64>> = match sign.single() {
        None => sign.stages().to_vec(),
        Some(single) => single.stages().iter().map(|stage| stage.iter().map(|&d| d.into()).collect()).collect(),
    };
    let lengths = stages.iter().map(Vec::len).collect();
    (Shape::Composition(lengths), std::iter::once(1.0 / range).chain(stages.into_iter().flatten()).collect())
}

/// The same by one polynomial.
pub(super) fn of_polynomial(polynomial: &Polynomial, range: f64) -> (Shape, Vec<f64>) {
    match polynomial.expansion() {
        Expansion::Powers(coefficients) => (Shape::Parabola, coefficients.to_vec()),
        Expansion::Even(coefficients) => {
            let scaled: Vec<f64> = coefficients.iter().map(|c| range * c).collect();
            let blocks = in_blocks(&scaled);
            (Shape::EvenSeries(blocks.len() / BLOCK), std::iter::once(1.0 / range).chain(blocks).collect())
        }
    }
}

/// The parameters of a formula.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Parameters {
    /// Of one channel.
    count: usize,
    /// Of one channel after the other.
    all: Vec<f64>,
    /// `all` in f32, if that is computed in.
    single: Vec<f32>,
    /// By groups of [`WIDEST`] channels, parameter after parameter of a group side by side, in the numbers that are computed in;
    /// of one channel, nothing.
    groups: Vec<f64>,
    single_groups: Vec<f32>,
}

impl Parameters {
    /// The same in all channels, for registers of `arithmetic`.
    pub fn alike(parameters: Vec<f64>, arithmetic: Arithmetic) -> Parameters {
        Parameters::new(vec![parameters], arithmetic)
    }

    /// Of each channel as many, for registers of `arithmetic`.
    pub fn new(of_channels: Vec<Vec<f64>>, arithmetic: Arithmetic) -> Parameters {
        let (channels, count) = (of_channels.len(), of_channels[0].len());
        let all = of_channels.concat();
        let places = if channels > 1 { channels.next_multiple_of(WIDEST) * count } else { 0 };
        let number = |at: usize| {
            let (group, at) = (at / (WIDEST * count), at % (WIDEST * count));
            let channel = group * WIDEST + at % WIDEST;
            // Behind the last channel zeros, so that a whole register can be read.
            if channel < channels { all[channel * count + at / WIDEST] } else { 0.0 }
        };
        let groups = (0..places).map(number).collect();
        let rounded = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect();
        match arithmetic {
            Arithmetic::F64 => Parameters { count, all, single: Vec::new(), groups, single_groups: Vec::new() },
            Arithmetic::F32 => {
                let (single, single_groups) = (rounded(&all), rounded(&groups));
                Parameters { count, all, single, groups, single_groups }
            }
        }
    }

    /// How many a channel has.
    #[cfg(any(feature = "libtorch", test))]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Those of one channel after the other.
    pub fn all(&self) -> &[f64] {
        &self.all
    }

    /// Those of `channel`.
    pub fn of<N: Number>(&self, channel: usize) -> Alike<N> {
        let numbers = N::choose(&self.all, &self.single);
        Alike(numbers[channel * self.count..][..self.count].as_ptr())
    }

    /// Those of `channel` and of the ones after it, up to the end of a register, where they are not alike.
    #[inline(always)]
    pub fn from<N: Number>(&self, channel: usize) -> Apart<N> {
        let numbers = N::choose(&self.groups, &self.single_groups);
        let first = channel / WIDEST * WIDEST * self.count + channel % WIDEST;
        Apart { first: numbers[first..].as_ptr(), stride: WIDEST }
    }
}

/// The ends of the range.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// Low and high of each channel, or of all.
    all: Vec<[f64; 2]>,
    /// Between which a value is surely in range, whatever the rounding to the numbers that are computed in.
    sure: Vec<[f64; 2]>,
    /// `sure` of all channels side by side, low and then high, behind the last channel up to a whole register without an end.
    sides: [Vec<f64>; 2],
}

impl Bounds {
    /// The same in all channels, of a site that is computed in `arithmetic`.
    pub fn alike(bounds: [f64; 2], arithmetic: Arithmetic) -> Bounds {
        Bounds::new(vec![bounds], arithmetic)
    }

    /// Of each channel its own.
    pub fn new(all: Vec<[f64; 2]>, arithmetic: Arithmetic) -> Bounds {
        let sure: Vec<[f64; 2]> = all.iter().map(|&ends| surely_inside(ends, arithmetic)).collect();
        let sides = [0, 1].map(|side| {
            let mut ends: Vec<f64> = sure.iter().map(|ends| ends[side]).collect();
            ends.resize(all.len().next_multiple_of(WIDEST), [f64::NEG_INFINITY, f64::INFINITY][side]);
            ends
        });
        Bounds { all, sure, sides }
    }

    /// For how many channels they are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Low and high of `channel`.
    pub fn of(&self, channel: usize) -> [f64; 2] {
        self.all[if self.all.len() == 1 { 0 } else { channel }]
    }

    /// Between which a value of `channel` is surely in range.
    pub fn surely(&self, channel: usize) -> [f64; 2] {
        self.sure[channel]
    }

    /// The same for `channel` and the ones after it, low and high.
    #[inline(always)]
    pub fn sides(&self, channel: usize) -> [*const f64; 2] {
        [self.sides[0][channel..].as_ptr(), self.sides[1][channel..].as_ptr()]
    }
}

/// Between which a value is surely in a range, once it was rounded to the numbers that are computed in.
pub(in crate::activation) fn surely_inside([low, high]: [f64; 2], arithmetic: Arithmetic) -> [f64; 2] {
    match arithmetic {
        Arithmetic::F64 => [low, high],
        Arithmetic::F32 => [f32::at_least(low).next_up().into(), f32::at_most(high).next_down().into()],
    }
}
