//! Counting what is outside a range, and moving it to the range's end.

use std::ops::Range;
use std::sync::Mutex;

use tch::{Device, Kind, TchError, Tensor};

use crate::activation::{Channels, Element, Elementwise};
use crate::model::images::{Images, Owners};
use crate::model::overflow::Overflow;
use crate::model::scan::Scan;

/// The range that values are held against.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ends<'a> {
    /// The same for all.
    Alike([f64; 2]),
    /// That of their channel.
    Apart(&'a Elementwise, Channels),
}

impl<'a> Ends<'a> {
    /// Of the inputs of `site`, whose channels lie as `channels` says.
    pub fn of(site: &'a Elementwise, channels: Channels) -> Ends<'a> {
        if site.channels().is_some() { Ends::Apart(site, channels) } else { Ends::Alike(site.bounds(0)) }
    }
}

/// What one thread meets outside a range, value by value in the order of memory.
pub(super) struct Outside<'a, T> {
    owners: &'a Owners,
    ends: Ends<'a>,
    /// Low and high for each channel, once they were needed.
    of_channels: Vec<[T; 2]>,
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
    /// Of a range, for values that belong to images as `owners` says.
    pub fn new(ends: Ends<'a>, owners: &'a Owners) -> Outside<'a, T> {
        let [low, high] = match ends {
            Ends::Alike(ends) => within(ends),
            Ends::Apart(..) => within([0.0, 0.0]),
        };
        let nothing = Scan::new(low, high);
        let found = Overflow::default();
        Outside { owners, ends, of_channels: Vec::new(), nothing, run: 0..0, image: None, scan: nothing, found }
    }

    /// Count `values`, which begin at position `at`.
    // Not marked as cold: then the compiler makes it short, and slow.
    #[inline(never)]
    pub fn see(&mut self, mut at: usize, mut values: &[T]) {
        if let Ends::Apart(site, channels) = self.ends {
            return self.see_apart(site, channels, at, values);
        }
        while !values.is_empty() {
            if !self.run.contains(&at) {
                self.turn_to(at, values.len());
            }
            let (now, later) = values.split_at(values.len().min(self.run.end - at));
            self.scan.see(now);
            (at, values) = (at + now.len(), later);
        }
    }

    /// The same where every channel has a range of its own.
    fn see_apart(&mut self, site: &Elementwise, channels: Channels, at: usize, values: &[T]) {
        if self.of_channels.is_empty() {
            self.of_channels = (0..channels.count).map(|channel| within(site.bounds(channel))).collect();
        }
        for (at, &value) in (at..).zip(values) {
            let [low, high] = self.of_channels[channels.of(at)];
            if value >= low && value <= high {
                continue;
            }
            let value = value.to_f64();
            let image = self.owners.at(at).map(|(image, _)| image);
            let size = if value.is_nan() { 0.0 } else { value.abs() };
            self.found.add(image, 1, value.is_nan().into(), size);
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
            self.found.add(self.image, outside + not_a_number, not_a_number, self.scan.worst());
        }
        self.scan = self.nothing;
    }

    /// All that was met.
    pub fn found(mut self) -> Overflow {
        self.note();
        self.found
    }
}

/// The least and the largest number of a type within a range.
fn within<T: Element>([low, high]: [f64; 2]) -> [T; 2] {
    [T::at_least(low), T::at_most(high)]
}

/// `x`, after what in it is outside the `ends` was counted; moved into them if it `clips`. It comes back in numbers in which the
/// ends are exact enough to be compared with.
pub(super) fn counted_by_tensors(
    x: &Tensor,
    ends: impl FnOnce(&Tensor) -> Result<[Tensor; 2], TchError>,
    clips: bool,
    images: Images,
    overflow: &Mutex<Overflow>,
) -> Result<Tensor, TchError> {
    let wide = match x.f_kind()? {
        Kind::Float | Kind::Double => x.shallow_clone(),
        _ => x.f_to_kind(Kind::Double)?,
    };
    let [low, high] = ends(&wide)?;
    count_by_tensors(&wide, [&low, &high], images, overflow)?;
    if clips { wide.f_clamp_tensor(Some(&low), Some(&high)) } else { Ok(wide) }
}

/// Count what in `x` is below the first or above the second of `ends`, which have its kind and can be compared with it.
fn count_by_tensors(
    x: &Tensor,
    [low, high]: [&Tensor; 2],
    images: Images,
    overflow: &Mutex<Overflow>,
) -> Result<(), TchError> {
    if x.numel() == 0 {
        return Ok(());
    }
    let known = images.rows(x)?.is_some();
    // An image a row, or all in one.
    let rows = |x: &Tensor| match images.rows(x)? {
        Some(rows) => Ok(rows),
        None => x.f_reshape([1, -1]),
    };
    let beyond = rows(&x.f_lt_tensor(low)?.f_logical_or(&x.f_gt_tensor(high)?)?)?;
    let size = rows(x)?.f_to_kind(Kind::Double)?.f_abs()?;
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
