//! A function of each value for itself: its formula with its parameters, alike in all channels or others in each, computed in one
//! pass over the values, in f64 or f32, and counted where they leave the range.

mod alike;
mod apart;
mod parameters;
#[cfg(test)]
pub(super) mod tests;

use std::ops::Range;

use super::form::{BLOCK, Form, SIX, Shape, in_blocks};
use super::isa::Isa;
use super::lanes::Element;
use super::{Activation, Arithmetic, Report};
use parameters::Bounds;
pub(super) use parameters::{Parameters, surely_inside};

/// A Chebyshev series Σ c_k·T_k(t) that stands for a function on [`low`, `high`], with t = (2x − low − high)/(high − low).
///
/// [`low`]: Self::low
/// [`high`]: Self::high
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub low: f64,
    /// Above `low`; both are finite.
    pub high: f64,
    /// c_0, c_1, …, at least one and at most 128.
    pub coefficients: Vec<f64>,
}

/// A polynomial, or a composition of some, of each value.
#[derive(Debug, Clone)]
pub struct Elementwise {
    form: Form,
    arithmetic: Arithmetic,
    parameters: Parameters,
    bounds: Bounds,
    clipping: bool,
    isa: Isa,
}

/// Where the values of a channel lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels {
    /// How many there are; at least one.
    pub count: usize,
    /// How many values of one follow each other, before the first of the next: all of one image where every channel is a plane of
    /// its own, 1 where those of a pixel lie side by side. At least one.
    pub run: usize,
}

impl Channels {
    /// The channel of the value at `position`.
    pub fn of(self, position: usize) -> usize {
        position / self.run % self.count
    }

    /// How many values a piece that is computed for itself has to be a multiple of: a run of one channel, or a pixel.
    pub fn unit(self) -> usize {
        if self.run == 1 { self.count } else { self.run }
    }
}

impl Elementwise {
    /// ReLU for inputs in [−`range`, `range`]: B·r(x/B). `range` is positive and finite. What was fitted has ranges of its own.
    pub fn relu(activation: &Activation, range: f64) -> Elementwise {
        let arithmetic = activation.arithmetic();
        let (shape, parameters) = match activation {
            Activation::Composition(sign) => parameters::of_composition(sign, range),
            Activation::Polynomial(polynomial) => parameters::of_polynomial(polynomial, range),
            Activation::Fitted(fitted) => return Elementwise::series(fitted.series(), arithmetic),
        };
        Elementwise {
            form: Form { shape, six: false },
            arithmetic,
            parameters: Parameters::alike(parameters, arithmetic),
            bounds: Bounds::alike([-range, range], arithmetic),
            clipping: false,
            isa: Isa::detect(),
        }
    }

    /// ReLU6 for inputs in [−`range`, `range`]: B·r(x/B) − C·r((x−6)/C) with C = B + 6, which holds x − 6 wherever B holds x.
    /// Parabolas, which do not know the range, are applied to x and x − 6 themselves; what was fitted is ReLU6 as it is.
    pub fn relu6(activation: &Activation, range: f64) -> Elementwise {
        let first = Elementwise::relu(activation, range);
        if matches!(activation, Activation::Fitted(_)) {
            return first;
        }
        let mut parameters = first.parameters.all().to_vec();
        parameters.extend_from_slice(Elementwise::relu(activation, range + SIX).parameters.all());
        let parameters = Parameters::alike(parameters, first.arithmetic);
        Elementwise { form: Form { six: true, ..first.form }, parameters, ..first }
    }

    /// Any function by a series: by one for all channels, or by one for each, in their order. `series` is not empty.
    pub fn series(series: &[Series], arithmetic: Arithmetic) -> Elementwise {
        let longest = series.iter().map(|series| series.coefficients.len()).max().unwrap_or(1);
        let of_channel = |series: &Series| {
            let Series { low, high, coefficients } = series;
            let mut coefficients = coefficients.clone();
            coefficients.resize(longest, 0.0);
            let mut parameters = vec![2.0 / (high - low), -(low + high) / (high - low)];
            parameters.extend(in_blocks(&coefficients));
            parameters
        };
        let parameters: Vec<Vec<f64>> = series.iter().map(of_channel).collect();
        let bounds = series.iter().map(|series| [series.low, series.high]).collect();
        Elementwise {
            form: Form { shape: Shape::Series(longest.div_ceil(BLOCK)), six: false },
            arithmetic,
            parameters: Parameters::new(parameters, arithmetic),
            bounds: Bounds::new(bounds, arithmetic),
            clipping: false,
            isa: Isa::detect(),
        }
    }

    /// The same, or one that moves inputs beyond the range to its end, as no encrypted circuit can.
    pub fn clipping(self, clipping: bool) -> Elementwise {
        Elementwise { clipping, ..self }
    }

    /// How many channels have parameters of their own; none if they are alike in all.
    pub fn channels(&self) -> Option<usize> {
        Some(self.bounds.count()).filter(|&count| count > 1)
    }

    /// What numbers it is computed in.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// The ends of the range of inputs in `channel`.
    pub fn bounds(&self, channel: usize) -> [f64; 2] {
        self.bounds.of(channel)
    }

    /// y_i ← f(x_i) for `count` values, all of one channel, or of any where the parameters are alike in all. `report` sees the
    /// inputs of every block that holds one outside the range.
    ///
    /// # Safety
    /// `x` must be readable and `y` writable for `count` values; they are the same or do not overlap.
    pub unsafe fn run<T: Element>(&self, x: *const T, y: *mut T, count: usize, report: Report<T>) {
        // SAFETY: the caller's values.
        unsafe { alike::run(self, 0, x, y, count, report) }
    }

    /// The same for the values at `positions` of tensors whose channels lie as `channels` says; the positions of the report are
    /// those in the tensor. Where every channel has its own parameters, `positions` begin and end between [`Channels::unit`]s.
    ///
    /// # Safety
    /// `x` must be readable and `y` writable at `positions`; they are the same or do not overlap.
    ///
    /// # Panics
    /// If there are not as many channels as parameters are for.
    pub unsafe fn run_channels<T: Element>(
        &self,
        x: *const T,
        y: *mut T,
        positions: Range<usize>,
        channels: Channels,
        report: Report<T>,
    ) {
        let Some(count) = self.channels() else {
            let (start, count) = (positions.start, positions.len());
            // SAFETY: the caller's values.
            return unsafe { self.run(x.add(start), y.add(start), count, &mut |at, block| report(start + at, block)) };
        };
        assert_eq!(count, channels.count, "as many channels as there are parameters for");
        // SAFETY: the caller's values.
        unsafe {
            if channels.run == 1 {
                return apart::run(self, x, y, positions, report);
            }
            for start in positions.step_by(channels.run) {
                let report = &mut |at: usize, block: &[T]| report(start + at, block);
                alike::run(self, channels.of(start), x.add(start), y.add(start), channels.run, report);
            }
        }
    }

    pub(super) fn form(&self) -> &Form {
        &self.form
    }

    pub(super) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Whether inputs beyond the range are moved to its end.
    #[cfg(feature = "libtorch")]
    pub(crate) fn clips(&self) -> bool {
        self.clipping
    }
}
