//! Counting what is outside a range, and moving it to the range's end.

use std::ops::Range;
use std::sync::Mutex;

use tch::{Device, Kind, TchError, Tensor};

use crate::activation::Element;
use crate::model::images::{Images, Owners};
use crate::model::overflow::Overflow;
use crate::model::scan::Scan;

/// What one thread meets outside a range, value by value in the order of memory.
pub(super) struct Outside<'a, T> {
    owners: &'a Owners,
    /// Of nothing, for the ends of the range.
    nothing: Scan<T>,
    /// The positions of values of the image that is looked at now.
    run: Range<usize>,
    image: Option<usize>,
    /// What was met of this image.
    scan: Scan<T>,
    found: Overflow,
}

impl<'a, T: Element> Outside<'a, T> {
    /// Of `range`, for values that belong to images as `owners` says.
    pub fn new(range: f64, owners: &'a Owners) -> Outside<'a, T> {
        let end = T::at_most(range);
        let nothing = Scan::new(T::from_f64(-end.to_f64()), end);
        Outside { owners, nothing, run: 0..0, image: None, scan: nothing, found: Overflow::default() }
    }

    /// Count `values`, which begin at position `at`.
    // Not marked as cold: then the compiler makes it short, and slow.
    #[inline(never)]
    pub fn see(&mut self, mut at: usize, mut values: &[T]) {
        while !values.is_empty() {
            if !self.run.contains(&at) {
                self.turn_to(at, values.len());
            }
            let (now, later) = values.split_at(values.len().min(self.run.end - at));
            self.scan.see(now);
            (at, values) = (at + now.len(), later);
        }
    }

    /// Go on with the image that the value at `at` belongs to.
    fn turn_to(&mut self, at: usize, length: usize) {
        self.note();
        let owner = self.owners.at(at);
        self.image = owner.map(|(image, _)| image);
        self.run = at..at + owner.map_or(length, |(_, length)| length);
    }

    /// Write down what was met of this image.
    fn note(&mut self) {
        let (outside, not_a_number) = (self.scan.outside(), self.scan.not_a_number());
        if outside + not_a_number > 0 {
            let [least, largest] = self.scan.extremes();
            let worst = if outside > 0 { largest.max(-least) } else { 0.0 };
            self.found.add(self.image, outside + not_a_number, not_a_number, worst);
        }
        self.scan = self.nothing;
    }

    /// All that was met.
    pub fn found(mut self) -> Overflow {
        self.note();
        self.found
    }
}

/// `x`, moved into a range if `clip` says one.
pub(super) fn clipped(clip: Option<f64>, x: &Tensor) -> Result<Tensor, TchError> {
    let Some(range) = clip else { return Ok(x.shallow_clone()) };
    let end = if x.f_kind()? == Kind::Float { f32::at_most(range).into() } else { range };
    x.f_clamp(-end, end)
}

/// Count what in `x` is outside `range`.
pub(super) fn count_by_tensors(
    x: &Tensor,
    range: f64,
    images: Images,
    overflow: &Mutex<Overflow>,
) -> Result<(), TchError> {
    let rows = images.rows(x)?;
    let known = rows.is_some();
    let size = match rows {
        Some(rows) => rows,
        None => x.f_reshape([1, -1])?,
    };
    if size.numel() == 0 {
        return Ok(());
    }
    let size = size.f_to_kind(Kind::Double)?.f_abs()?;
    let beyond = size.f_gt(range)?;
    let not_a_number = size.f_isnan()?;
    let counts =
        |mask: &Tensor| Vec::<i64>::try_from(mask.f_sum_dim_intlist(1, false, Kind::Int64)?.f_to(Device::Cpu)?);
    let (beyond_counts, nan_counts) = (counts(&beyond)?, counts(&not_a_number)?);
    let worst = size.f_where_self(&beyond, &Tensor::f_zeros_like(&size)?)?.f_amax([1i64].as_slice(), false)?;
    let worst = Vec::<f64>::try_from(worst.f_to(Device::Cpu)?)?;
    let mut outside = Overflow::default();
    for (image, ((&beyond, &nan), &worst)) in beyond_counts.iter().zip(&nan_counts).zip(&worst).enumerate() {
        let nan = nan as u64;
        if beyond as u64 + nan > 0 {
            outside.add(known.then_some(image), beyond as u64 + nan, nan, worst);
        }
    }
    outside.add_to(overflow);
    Ok(())
}
