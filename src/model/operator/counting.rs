//! Counting what is outside a range, and moving it to the range's end.

use std::sync::Mutex;

use tch::{Device, Kind, TchError, Tensor};

use crate::activation::Element;
use crate::model::images::{Images, Owners};
use crate::model::overflow::Overflow;

/// Count what in `values`, which begin at position `at`, is outside `range`.
#[cold]
pub(super) fn tally<T: Element>(outside: &mut Overflow, range: f64, at: usize, mut values: &[T], owners: &Owners) {
    let mut position = at;
    while !values.is_empty() {
        let (image, length) = match owners.at(position) {
            Some((image, length)) => (Some(image), length.min(values.len())),
            None => (None, values.len()),
        };
        let (now, later) = values.split_at(length);
        let (mut count, mut not_a_number, mut worst) = (0, 0, 0f64);
        for value in now {
            let size = value.to_f64().abs();
            count += u64::from(size > range || size.is_nan());
            not_a_number += u64::from(size.is_nan());
            worst = if size > range { worst.max(size) } else { worst };
        }
        if count > 0 {
            outside.add(image, count, not_a_number, worst);
        }
        (values, position) = (later, position + length);
    }
}

/// `x`, moved into a range if `clip` says one.
pub(super) fn clipped(clip: Option<f64>, x: &Tensor) -> Result<Tensor, TchError> {
    let Some(range) = clip else { return Ok(x.shallow_clone()) };
    let end = if x.f_kind()? == Kind::Float { f32::at_most(range).into() } else { range };
    x.f_clamp(-end, end)
}

/// As [`clipped`], before a kernel that does not clip: what is moved is counted here, and what is not a number there.
pub(super) fn clipped_on_device(
    clip: Option<f64>,
    x: &Tensor,
    images: Images,
    overflow: &Mutex<Overflow>,
) -> Result<Tensor, TchError> {
    if let Some(range) = clip {
        count_by_tensors(x, range, images, true, overflow)?;
    }
    clipped(clip, x)
}

/// Count what in `x` is outside `range`, with or without what is not a number.
pub(super) fn count_by_tensors(
    x: &Tensor,
    range: f64,
    images: Images,
    numbers_only: bool,
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
        let nan = if numbers_only { 0 } else { nan as u64 };
        if beyond as u64 + nan > 0 {
            outside.add(known.then_some(image), beyond as u64 + nan, nan, worst);
        }
    }
    outside.add_to(overflow);
    Ok(())
}
