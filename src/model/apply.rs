//! What a site computes when the interpreter comes to it: the function itself, or what stands in for it.

use std::sync::{Mutex, PoisonError};

use cxx::UniquePtr;
use tch::{Device, Kind, TchError, Tensor};

use super::Statistics;
use super::images::{Images, Owners};
use super::libtorch;
use super::operator::{GRAIN, Pass, is_dense, spread};
use super::sites::{Computation, Sites};
use crate::activation::Element;

/// Called by the interpreter through the bridge: whether site `index` is a max-pool.
pub(super) fn is_pool(sites: &Sites, index: usize) -> bool {
    sites.entry(index).kind.is_pool()
}

/// Called by the interpreter through the bridge: what site `index` makes of `x` in a pass over this many images.
pub(super) fn apply(
    sites: &Sites,
    index: usize,
    x: UniquePtr<libtorch::Tensor>,
    in_place: bool,
    images: i64,
) -> Result<UniquePtr<libtorch::Tensor>, TchError> {
    // SAFETY: both sides mean a heap-allocated at::Tensor, and ownership goes with the pointer.
    let mut x = unsafe { Tensor::from_ptr(x.into_raw().cast()) };
    let entry = sites.computing(index);
    entry.shape.get_or_init(|| x.size());
    let images = Images { count: images, axis: entry.image_axis };
    let mut y = match &entry.computation {
        Computation::Exact => entry.kind.operator().exact(&mut x, in_place)?,
        Computation::Observed => {
            observe(&x, images, sites.bounds(), &entry.statistics)?;
            entry.kind.operator().exact(&mut x, in_place)?
        }
        Computation::Approximate(replacement) => {
            let counters = &|device| sites.counters(index, images.count, device);
            let pass = Pass { images, overflow: &entry.overflow, kernel: &entry.kernel, counters };
            replacement.apply(x, in_place, &pass).map_err(|error| match error {
                TchError::Torch(reason) => TchError::Torch(format!("site {index}: {reason}")),
                other => other,
            })?
        }
    };
    let pointer = y.as_mut_ptr();
    std::mem::forget(y);
    // SAFETY: as above, in the other direction.
    Ok(unsafe { UniquePtr::from_raw(pointer.cast()) })
}

/// Count the values of every image of `x`, images on several threads.
fn observe(x: &Tensor, images: Images, bounds: &[f64], statistics: &Mutex<Statistics>) -> Result<(), TchError> {
    let x = x.f_to_device(Device::Cpu)?;
    match x.f_kind()? {
        Kind::Double => observe_as::<f64>(&x, images, bounds, statistics),
        Kind::Float => observe_as::<f32>(&x, images, bounds, statistics),
        _ => observe_as::<f32>(&x.f_to_kind(Kind::Float)?, images, bounds, statistics),
    }
}

/// Of values of type `T`.
fn observe_as<T: Element>(
    x: &Tensor,
    images: Images,
    bounds: &[f64],
    statistics: &Mutex<Statistics>,
) -> Result<(), TchError> {
    // In any order of the values of an image; of unknown images, all are of one that has no name.
    let (x, count) = match images.owners(x) {
        Owners::Even(_) if is_dense(x) => (x.shallow_clone(), images.count),
        _ => match images.rows(x)? {
            Some(rows) => (rows.f_contiguous()?, images.count),
            None => (x.f_contiguous()?, 0),
        },
    };
    let known = count > 0;
    let parts = count.max(1) as usize;
    let (values, from) = (x.numel() / parts, x.data_ptr() as usize);
    spread(parts, (GRAIN / values.max(1)).max(1), |begin, end| {
        let mut counted = Statistics::new(bounds.len());
        for part in begin..end {
            // SAFETY: the tensor has no gaps and holds `parts` times `values` of this type.
            let of_part = unsafe { std::slice::from_raw_parts((from as *const T).add(part * values), values) };
            counted.add(known.then_some(part), of_part, bounds);
        }
        statistics.lock().unwrap_or_else(PoisonError::into_inner).merge(&counted);
    })
}
