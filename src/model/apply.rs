//! What a site computes when the interpreter comes to it: the function itself, or what stands in for it.

use std::sync::{Mutex, PoisonError};

use cxx::UniquePtr;
use tch::{Kind, TchError, Tensor};

use super::images::Images;
use super::libtorch;
use super::observation::{observe, observe_weighted};
use super::operator::Pass;
use super::sites::{Computation, Sites};

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
    let named = |error| match error {
        TchError::Torch(reason) => TchError::Torch(format!("site {index}: {reason}")),
        other => other,
    };
    let in_place = match sites.noise() {
        Some(noise) => {
            let (noisy, own) = noise.before(index, x, in_place, images).map_err(named)?;
            x = noisy;
            own
        }
        None => in_place,
    };
    let mut y = match &entry.computation {
        Computation::Exact | Computation::Foreseen(_) => entry.kind.operator().exact(&mut x, in_place)?,
        Computation::Observed => {
            observe(&x, images, sites.bounds(), entry)?;
            entry.kind.operator().exact(&mut x, in_place)?
        }
        Computation::Kept => {
            // The function may write into what it is given.
            *entry.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(x.f_detach_copy()?);
            entry.kind.operator().exact(&mut x, in_place)?
        }
        Computation::Approximate(replacement) => {
            let counters = &|device| sites.counters(index, images.count, device);
            let pass = Pass { images, overflow: &entry.overflow, kernel: &entry.kernel, counters };
            replacement.apply(x, in_place, &pass).map_err(named)?
        }
    };
    if let Some(noise) = sites.noise() {
        noise.behind(index, &y, images).map_err(named)?;
    }
    entry.result_shape.get_or_init(|| y.size());
    let pointer = y.as_mut_ptr();
    std::mem::forget(y);
    // SAFETY: as above, in the other direction.
    Ok(unsafe { UniquePtr::from_raw(pointer.cast()) })
}

/// Called by the interpreter through the bridge: count what site `index` was given in a pass over this many images, each value
/// with the weight that the gradient of the margins at what it gave says; or, if a replacement is foreseen there, what it would
/// change of the margins.
pub(super) fn weigh(
    sites: &Sites,
    index: usize,
    x: UniquePtr<libtorch::Tensor>,
    gradient: UniquePtr<libtorch::Tensor>,
    images: i64,
) -> Result<(), TchError> {
    // SAFETY: both sides mean a heap-allocated at::Tensor, and ownership goes with the pointer.
    let [x, gradient] = [x, gradient].map(|tensor| unsafe { Tensor::from_ptr(tensor.into_raw().cast()) });
    let entry = sites.entry(index);
    let images = Images { count: images, axis: entry.image_axis };
    match &entry.computation {
        Computation::Foreseen(replacement) => {
            let counters = &|device| sites.counters(index, images.count, device);
            // What is out of range is for the approximate pass to count.
            let pass = Pass { images, overflow: &Mutex::default(), kernel: &entry.kernel, counters };
            let exact = entry.kind.operator().exact(&mut x.f_detach_copy()?, false)?;
            let error = replacement.apply(x.f_detach_copy()?, true, &pass)?.f_sub(&exact)?;
            let change = error.f_to_kind(Kind::Double)?.f_mul(&gradient)?;
            if let Some(of_images) = images.rows(&change)? {
                let sums = of_images.f_sum_dim_intlist(1, false, Kind::Double)?;
                *entry.changes.lock().unwrap_or_else(PoisonError::into_inner) = Vec::try_from(sums)?;
            }
            Ok(())
        }
        _ => observe_weighted(&x, &gradient, images, entry),
    }
}
