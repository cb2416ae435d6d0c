//! What a site computes when the interpreter comes to it: the function itself, or the kernel on libtorch's own threads.

use std::sync::{Mutex, PoisonError};

use cxx::UniquePtr;
use tch::{Device, Kind, TchError, Tensor};

use super::libtorch::{self, parallel_for};
use super::site::{Computation, Overflow, SiteKind, Sites};
use super::{Statistics, cuda};
use crate::activation::{Element, MaxPool, Plane, Relu, Window, exact};

/// Values that one thread takes at least: below, waking a thread costs more than it saves.
const GRAIN: usize = 8192;

/// Called by the interpreter through the bridge: what site `index` makes of `x`.
pub(super) fn apply(
    sites: &Sites,
    index: usize,
    x: UniquePtr<libtorch::Tensor>,
    in_place: bool,
) -> Result<UniquePtr<libtorch::Tensor>, TchError> {
    // SAFETY: both sides mean a heap-allocated at::Tensor, and ownership goes with the pointer.
    let mut x = unsafe { Tensor::from_ptr(x.into_raw().cast()) };
    let entry = sites.entry(index);
    entry.shape.get_or_init(|| x.size());
    if let (true, Some(range)) = (sites.clip(), entry.computation.range()) {
        count_by_tensors(&x, range, &entry.overflow)?;
        let end = if x.f_kind()? == Kind::Float { f32::at_most(range).into() } else { range };
        x = if in_place { x.f_clamp_(-end, end)? } else { x.f_clamp(-end, end)? };
    }
    let mut y = match &entry.computation {
        Computation::Exact => exact(entry.kind, &mut x, in_place)?,
        Computation::Observed => {
            observe(&x, sites.bounds(), &entry.statistics)?;
            exact(entry.kind, &mut x, in_place)?
        }
        Computation::Relu(relu) => approximate_relu(relu, x, in_place, sites, index)?,
        Computation::MaxPool(pool) => approximate_max_pool(pool, &x, sites, index)?,
    };
    let pointer = y.as_mut_ptr();
    std::mem::forget(y);
    // SAFETY: as above, in the other direction.
    Ok(unsafe { UniquePtr::from_raw(pointer.cast()) })
}

fn exact(kind: SiteKind, x: &mut Tensor, in_place: bool) -> Result<Tensor, TchError> {
    let here = (x.device(), x.f_kind()?) == (Device::Cpu, Kind::Float);
    match kind {
        SiteKind::Relu if here && batch_major_and_dense(x) => exact_relu(x, in_place),
        SiteKind::MaxPool { window, .. } if here && x.dim() == 4 && channels_last(x) => exact_max_pool(x, &window),
        SiteKind::Relu if in_place => x.f_relu_(),
        SiteKind::Relu => x.f_relu(),
        SiteKind::Relu6 if in_place => x.f_clamp_(0.0, 6.0),
        SiteKind::Relu6 => x.f_clamp(0.0, 6.0),
        SiteKind::MaxPool { window, .. } => {
            let list = |pair: [usize; 2]| pair.map(|v| v as i64);
            x.f_max_pool2d(
                list(window.kernel),
                list(window.stride),
                list(window.padding),
                list(window.dilation),
                window.ceil_mode,
            )
        }
    }
}

fn exact_relu(x: &Tensor, in_place: bool) -> Result<Tensor, TchError> {
    let y = if in_place { x.shallow_clone() } else { x.f_empty_like()? };
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    let count = x.numel();
    // SAFETY: both tensors are dense, of the same layout, and hold `count` values; threads have disjoint pieces.
    let piece = |begin, end| unsafe {
        exact::relu((from as *const f32).add(begin), (to as *mut f32).add(begin), end - begin);
    };
    parallel_for(count, GRAIN, piece).map_err(|error| TchError::Torch(error.to_string()))?;
    Ok(y)
}

fn exact_max_pool(x: &Tensor, window: &Window) -> Result<Tensor, TchError> {
    let (images, channels, height, width) = x.size4()?;
    let (extent, depth) = ([height as usize, width as usize], channels as usize);
    let [rows, columns] = output_size(window, extent)?;
    let x = x.f_permute([0, 2, 3, 1])?.f_contiguous()?;
    let y = Tensor::f_empty([images, rows, columns, channels], (Kind::Float, Device::Cpu))?;
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    let values = columns as usize * depth * window.len();
    parallel_for((images * rows) as usize, (GRAIN / values.max(1)).max(1), |begin, end| {
        // SAFETY: both tensors hold `images` planes without gaps; threads have disjoint rows of outputs.
        unsafe { exact::max_pool(from as *const f32, to as *mut f32, Plane { extent, depth }, window, begin..end) };
    })
    .map_err(|error| TchError::Torch(error.to_string()))?;
    y.f_permute([0, 3, 1, 2])
}

/// Count the values of every image of `x`, images on several threads.
fn observe(x: &Tensor, bounds: &[f64], statistics: &Mutex<Statistics>) -> Result<(), TchError> {
    let x = x.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    let x = if batch_major_and_dense(&x) { x } else { x.f_contiguous()? };
    let images = x.size().first().map_or(1, |&images| images.max(1) as usize);
    let (values, from) = (x.numel() / images, x.data_ptr() as usize);
    parallel_for(images, (GRAIN / values.max(1)).max(1), |begin, end| {
        let mut counted = Statistics::new(bounds.len());
        for image in begin..end {
            // SAFETY: the tensor has no gaps and holds `images` times `values` f32.
            let of_image = unsafe { std::slice::from_raw_parts((from as *const f32).add(image * values), values) };
            counted.add(image, of_image, bounds);
        }
        statistics.lock().unwrap_or_else(PoisonError::into_inner).merge(&counted);
    })
    .map_err(|error| TchError::Torch(error.to_string()))
}

fn approximate_relu(
    relu: &Relu,
    mut x: Tensor,
    in_place: bool,
    sites: &Sites,
    index: usize,
) -> Result<Tensor, TchError> {
    let overflow = &sites.entry(index).overflow;
    let source = if batch_major_and_dense(&x) { x.shallow_clone() } else { x.f_contiguous()? };
    let mut target = if in_place { source.shallow_clone() } else { source.f_empty_like()? };
    let computed = match (x.device(), x.f_kind()?) {
        (Device::Cpu, Kind::Float) => relu_kernel::<f32>(relu, &source, &target, overflow)?,
        (Device::Cpu, Kind::Double) => relu_kernel::<f64>(relu, &source, &target, overflow)?,
        (_, Kind::Float) => cuda::relu::<f32>(relu, &source, &target, sites, index)?,
        (_, Kind::Double) => cuda::relu::<f64>(relu, &source, &target, sites, index)?,
        _ => false,
    };
    if !computed {
        count_by_tensors(&x, relu.range(), overflow)?;
        target = relu.of_tensor(&x)?;
    }
    if in_place && target.data_ptr() != x.data_ptr() {
        x.f_copy_(&target)?;
        return Ok(x);
    }
    Ok(target)
}

fn relu_kernel<T: Element>(relu: &Relu, x: &Tensor, y: &Tensor, overflow: &Mutex<Overflow>) -> Result<bool, TchError> {
    let count = x.numel();
    let image = count / x.size().first().map_or(1, |&batch| batch.max(1) as usize);
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    parallel_for(count, GRAIN, |begin, end| {
        let report = &mut |at: usize, block: &[T]| tally(overflow, relu.range(), begin + at, block, image);
        // SAFETY: both tensors are dense, of the same layout, and hold `count` values; threads have disjoint pieces.
        unsafe { relu.run((from as *const T).add(begin), (to as *mut T).add(begin), end - begin, report) };
    })
    .map_err(|error| TchError::Torch(error.to_string()))?;
    Ok(true)
}

fn approximate_max_pool(pool: &MaxPool, x: &Tensor, sites: &Sites, index: usize) -> Result<Tensor, TchError> {
    // PyTorch takes [C, H, W] for a single image.
    if x.dim() == 3 {
        return approximate_max_pool(pool, &x.f_unsqueeze(0)?, sites, index)?.f_squeeze_dim(0);
    }
    let (_, _, height, width) = x.size4()?;
    let output = output_size(pool.window(), [height as usize, width as usize])?;
    let overflow = &sites.entry(index).overflow;
    let computed = match (x.device(), x.f_kind()?) {
        (Device::Cpu, Kind::Float) => Some(pool_kernel::<f32>(pool, x, output, overflow)?),
        (Device::Cpu, Kind::Double) => Some(pool_kernel::<f64>(pool, x, output, overflow)?),
        (_, Kind::Float) => cuda::max_pool::<f32>(pool, x, output, sites, index)?,
        (_, Kind::Double) => cuda::max_pool::<f64>(pool, x, output, sites, index)?,
        _ => None,
    };
    if let Some(y) = computed {
        return Ok(y);
    }
    count_by_tensors(x, pool.range(), overflow)?;
    pool.of_tensor(x)
}

/// Rows and columns of the output of a max-pool.
fn output_size(window: &Window, input: [usize; 2]) -> Result<[i64; 2], TchError> {
    let output = [0, 1].map(|axis| window.output(axis, input[axis]) as i64);
    if output.contains(&0) {
        let [height, width] = input;
        return Err(TchError::Torch(format!("a max-pool's window is larger than its input of {height}x{width}")));
    }
    Ok(output)
}

/// Whether the values of a pixel lie side by side.
fn channels_last(x: &Tensor) -> bool {
    x.stride()[1] == 1 && x.size()[1] > 1
}

fn pool_kernel<T: Element>(
    pool: &MaxPool,
    x: &Tensor,
    output: [i64; 2],
    overflow: &Mutex<Overflow>,
) -> Result<Tensor, TchError> {
    let (images, channels, height, width) = x.size4()?;
    let kind = x.f_kind()?;
    // Threads share out planes, and an image whose channels lie last is one.
    let last = channels_last(x) && images >= i64::from(tch::get_num_threads());
    let extent = [height as usize, width as usize];
    let (x, y, plane) = if last {
        let x = x.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        let y = Tensor::f_empty([images, output[0], output[1], channels], (kind, Device::Cpu))?;
        (x, y.f_permute([0, 3, 1, 2])?, Plane { extent, depth: channels as usize })
    } else {
        let y = Tensor::f_empty([images, channels, output[0], output[1]], (kind, Device::Cpu))?;
        (x.f_contiguous()?, y, Plane::of_channel(extent))
    };
    let image = x.numel() / images.max(1) as usize;
    let planes = x.numel() / plane.len().max(1);
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    parallel_for(planes, (GRAIN / plane.len().max(1)).max(1), |begin, end| {
        let report = &mut |at: usize, row: &[T]| tally(overflow, pool.range(), at, row, image);
        // SAFETY: both tensors hold `planes` planes without gaps; threads have disjoint planes.
        unsafe { pool.run(from as *const T, to as *mut T, plane, begin..end, report) };
    })
    .map_err(|error| TchError::Torch(error.to_string()))?;
    Ok(y)
}

/// Count what in `values`, which begin at position `at`, is outside `range`; an image has `image` values.
#[cold]
fn tally<T: Element>(overflow: &Mutex<Overflow>, range: f64, at: usize, values: &[T], image: usize) {
    let mut overflow = overflow.lock().unwrap_or_else(PoisonError::into_inner);
    for (i, value) in values.iter().enumerate() {
        let size = value.to_f64().abs();
        if size <= range {
            continue;
        }
        overflow.values += 1;
        overflow.not_a_number += u64::from(size.is_nan());
        let worst = overflow.images.entry((at + i) / image.max(1)).or_default();
        *worst = worst.max(size);
    }
}

fn count_by_tensors(x: &Tensor, range: f64, overflow: &Mutex<Overflow>) -> Result<(), TchError> {
    let size = x.f_to_kind(Kind::Double)?.f_abs()?.f_reshape([x.size().first().copied().unwrap_or(1), -1])?;
    let outside = size.f_le(range)?.f_logical_not()?;
    let of_images = Vec::<i64>::try_from(outside.f_sum_dim_intlist(1, false, Kind::Int64)?.f_to(Device::Cpu)?)?;
    if of_images.iter().all(|&count| count == 0) {
        return Ok(());
    }
    let not_a_number = size.f_isnan()?.f_sum(Kind::Int64)?.f_int64_value(&[])?;
    let worst = size.f_nan_to_num(0.0, f64::INFINITY, 0.0)?.f_amax([1i64].as_slice(), false)?.f_to(Device::Cpu)?;
    let worst = Vec::<f64>::try_from(worst)?;
    let mut overflow = overflow.lock().unwrap_or_else(PoisonError::into_inner);
    overflow.values += of_images.iter().sum::<i64>() as u64;
    overflow.not_a_number += not_a_number as u64;
    for (image, &worst) in worst.iter().enumerate().filter(|&(image, _)| of_images[image] > 0) {
        let known = overflow.images.entry(image).or_default();
        *known = known.max(worst);
    }
    Ok(())
}

/// Whether the values lie without gaps, one image after the other, as contiguous and channels-last tensors do.
fn batch_major_and_dense(x: &Tensor) -> bool {
    if x.is_contiguous() {
        return true;
    }
    let mut axes: Vec<(i64, i64)> = x.stride().into_iter().zip(x.size()).filter(|&(_, size)| size != 1).collect();
    let batch_first = axes.first().is_some_and(|first| axes.iter().all(|axis| axis.0 <= first.0));
    axes.sort_unstable();
    let mut expected = 1;
    let dense = axes.iter().all(|&(stride, size)| {
        let fits = stride == expected;
        expected *= size;
        fits
    });
    dense && (batch_first || x.size().first() == Some(&1))
}
