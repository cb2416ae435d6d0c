//! What a site computes when the interpreter comes to it: the function itself, or the kernel on libtorch's own threads.

use std::sync::{Mutex, PoisonError};

use cxx::UniquePtr;
use tch::{Device, Kind, TchError, Tensor};

use super::images::{Images, Owners};
use super::libtorch::{self, parallel_for};
use super::site::{Computation, Overflow, SiteKind};
use super::sites::Sites;
use super::{Statistics, cuda};
use crate::activation::{Element, MaxPool, Plane, Relu, Window, exact};

/// Values that one thread takes at least: below, waking a thread costs more than it saves.
const GRAIN: usize = 8192;

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
    let entry = sites.entry(index);
    entry.shape.get_or_init(|| x.size());
    let images = Images { count: images, axis: entry.image_axis };
    let mut y = match &entry.computation {
        Computation::Exact => exact(entry.kind, &mut x, in_place)?,
        Computation::Observed => {
            observe(&x, images, sites.bounds(), &entry.statistics)?;
            exact(entry.kind, &mut x, in_place)?
        }
        Computation::Relu(relu) => approximate_relu(relu, x, in_place, images, sites, index)?,
        Computation::MaxPool(pool) => approximate_max_pool(pool, &x, images, sites, index)?,
    };
    let pointer = y.as_mut_ptr();
    std::mem::forget(y);
    // SAFETY: as above, in the other direction.
    Ok(unsafe { UniquePtr::from_raw(pointer.cast()) })
}

fn exact(kind: SiteKind, x: &mut Tensor, in_place: bool) -> Result<Tensor, TchError> {
    let here = (x.device(), x.f_kind()?) == (Device::Cpu, Kind::Float);
    match kind {
        SiteKind::Relu if here && is_dense(x) => exact_relu(x, in_place),
        SiteKind::MaxPool { window, .. } if here && x.numel() > 0 && suggests_channels_last(x) => {
            exact_max_pool(x, &window)
        }
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
    spread(count, GRAIN, piece)?;
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
    spread((images * rows) as usize, (GRAIN / values.max(1)).max(1), |begin, end| {
        // SAFETY: both tensors hold `images` planes without gaps; threads have disjoint rows of outputs.
        unsafe { exact::max_pool(from as *const f32, to as *mut f32, Plane { extent, depth }, window, begin..end) };
    })?;
    y.f_permute([0, 3, 1, 2])
}

/// Count the values of every image of `x`, images on several threads.
fn observe(x: &Tensor, images: Images, bounds: &[f64], statistics: &Mutex<Statistics>) -> Result<(), TchError> {
    let x = x.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    // In any order of the values of an image; of unknown images, all are of one that has no name.
    let (x, count) = match images.owners(&x) {
        Owners::Even(_) if is_dense(&x) => (x, images.count),
        _ => match images.rows(&x)? {
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
            // SAFETY: the tensor has no gaps and holds `parts` times `values` f32.
            let of_part = unsafe { std::slice::from_raw_parts((from as *const f32).add(part * values), values) };
            counted.add(known.then_some(part), of_part, bounds);
        }
        statistics.lock().unwrap_or_else(PoisonError::into_inner).merge(&counted);
    })
}

fn approximate_relu(
    relu: &Relu,
    mut x: Tensor,
    in_place: bool,
    images: Images,
    sites: &Sites,
    index: usize,
) -> Result<Tensor, TchError> {
    let entry = sites.entry(index);
    let overflow = &entry.overflow;
    let counters = || sites.counters(index, images.count, x.device());
    // New values lie as those of `x`, or, if these have gaps, as PyTorch closes them.
    let source = match is_dense(&x) {
        true => x.shallow_clone(),
        false => {
            let mut closed = x.f_empty_like()?;
            closed.f_copy_(&x)?;
            closed
        }
    };
    let mut target = if in_place || !is_dense(&x) { source.shallow_clone() } else { source.f_empty_like()? };
    let owners = images.owners(&source);
    let computed = match (x.device(), x.f_kind()?) {
        (Device::Cpu, Kind::Float) => relu_kernel::<f32>(relu, &source, &target, &owners, overflow)?,
        (Device::Cpu, Kind::Double) => relu_kernel::<f64>(relu, &source, &target, &owners, overflow)?,
        (Device::Cuda(_), kind) if matches!(owners, Owners::Even(_)) => {
            let source = clipped_on_device(relu.clip(), &source, images, overflow)?;
            match kind {
                Kind::Float => cuda::relu::<f32>(relu, &source, &target, images.count, &entry.kernel, counters)?,
                Kind::Double => cuda::relu::<f64>(relu, &source, &target, images.count, &entry.kernel, counters)?,
                _ => false,
            }
        }
        _ => false,
    };
    if !computed {
        count_by_tensors(&source, relu.range(), images, false, overflow)?;
        target = relu.of_tensor(&clipped(relu.clip(), &source)?)?;
    }
    if in_place && target.data_ptr() != x.data_ptr() {
        x.f_copy_(&target)?;
        return Ok(x);
    }
    Ok(target)
}

fn relu_kernel<T: Element>(
    relu: &Relu,
    x: &Tensor,
    y: &Tensor,
    owners: &Owners,
    overflow: &Mutex<Overflow>,
) -> Result<bool, TchError> {
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    spread(x.numel(), GRAIN, |begin, end| {
        let mut outside = Overflow::default();
        let report = &mut |at: usize, block: &[T]| tally(&mut outside, relu.range(), begin + at, block, owners);
        // SAFETY: both tensors are dense, of the same layout, and hold all values; threads have disjoint pieces.
        unsafe { relu.run((from as *const T).add(begin), (to as *mut T).add(begin), end - begin, report) };
        outside.add_to(overflow);
    })?;
    Ok(true)
}

fn approximate_max_pool(
    pool: &MaxPool,
    x: &Tensor,
    images: Images,
    sites: &Sites,
    index: usize,
) -> Result<Tensor, TchError> {
    // PyTorch takes [C, H, W] for a single image.
    if x.dim() == 3 {
        return approximate_max_pool(pool, &x.f_unsqueeze(0)?, images, sites, index)?.f_squeeze_dim(0);
    }
    let (_, _, height, width) = x.size4()?;
    let output = output_size(pool.window(), [height as usize, width as usize])?;
    let entry = sites.entry(index);
    let overflow = &entry.overflow;
    let counters = || sites.counters(index, images.count, x.device());
    let computed = match (x.device(), x.f_kind()?) {
        (Device::Cpu, Kind::Float) => Some(pool_kernel::<f32>(pool, x, output, images, overflow)?),
        (Device::Cpu, Kind::Double) => Some(pool_kernel::<f64>(pool, x, output, images, overflow)?),
        (Device::Cuda(_), kind) if images.axis == Some(0) && x.size()[0] == images.count => {
            let x = clipped_on_device(pool.clip(), x, images, overflow)?;
            match kind {
                Kind::Float => cuda::max_pool::<f32>(pool, &x, output, &entry.kernel, counters)?,
                Kind::Double => cuda::max_pool::<f64>(pool, &x, output, &entry.kernel, counters)?,
                _ => None,
            }
        }
        _ => None,
    };
    if let Some(y) = computed {
        return Ok(y);
    }
    count_by_tensors(x, pool.range(), images, false, overflow)?;
    let y = pool.of_tensor(&clipped(pool.clip(), x)?)?;
    if suggests_channels_last(x) { in_channels_last(&y) } else { y.f_contiguous() }
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

/// Whether PyTorch makes channels-last outputs of `x`.
fn suggests_channels_last(x: &Tensor) -> bool {
    // SAFETY: a C_tensor is an at::Tensor, borrowed for the call.
    unsafe { libtorch::suggests_channels_last(&*x.as_ptr().cast::<libtorch::Tensor>()) }
}

/// `x` [N, C, H, W] with the channels of a pixel side by side.
fn in_channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

fn pool_kernel<T: Element>(
    pool: &MaxPool,
    x: &Tensor,
    output: [i64; 2],
    images: Images,
    overflow: &Mutex<Overflow>,
) -> Result<Tensor, TchError> {
    let (count, channels, height, width) = x.size4()?;
    let kind = x.f_kind()?;
    // Threads share out planes, and an image whose channels lie last is one.
    let last = suggests_channels_last(x);
    let as_last = last && count >= i64::from(tch::get_num_threads());
    let extent = [height as usize, width as usize];
    let (source, x, y, plane) = if as_last {
        let x = x.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        let y = Tensor::f_empty([count, output[0], output[1], channels], (kind, Device::Cpu))?;
        let (source, y) = (x.f_permute([0, 3, 1, 2])?, y.f_permute([0, 3, 1, 2])?);
        (source, x, y, Plane { extent, depth: channels as usize })
    } else {
        let y = Tensor::f_empty([count, channels, output[0], output[1]], (kind, Device::Cpu))?;
        let x = x.f_contiguous()?;
        (x.shallow_clone(), x, y, Plane::of_channel(extent))
    };
    let owners = images.owners(&source);
    let planes = x.numel() / plane.len().max(1);
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    spread(planes, (GRAIN / plane.len().max(1)).max(1), |begin, end| {
        let mut outside = Overflow::default();
        let report = &mut |at: usize, row: &[T]| tally(&mut outside, pool.range(), at, row, &owners);
        // SAFETY: both tensors hold `planes` planes without gaps; threads have disjoint planes.
        unsafe { pool.run(from as *const T, to as *mut T, plane, begin..end, report) };
        outside.add_to(overflow);
    })?;
    if last && !as_last { in_channels_last(&y) } else { Ok(y) }
}

/// Run `task(begin, end)` over pieces of [0, total), at least `grain` long, on libtorch's threads.
fn spread(total: usize, grain: usize, task: impl Fn(usize, usize) + Sync) -> Result<(), TchError> {
    parallel_for(total, grain, task).map_err(|error| TchError::Torch(error.to_string()))
}

/// Count what in `values`, which begin at position `at`, is outside `range`.
#[cold]
fn tally<T: Element>(outside: &mut Overflow, range: f64, at: usize, mut values: &[T], owners: &Owners) {
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
fn clipped(clip: Option<f64>, x: &Tensor) -> Result<Tensor, TchError> {
    let Some(range) = clip else { return Ok(x.shallow_clone()) };
    let end = if x.f_kind()? == Kind::Float { f32::at_most(range).into() } else { range };
    x.f_clamp(-end, end)
}

/// As [`clipped`], before a kernel that does not clip: what is moved is counted here, and what is not a number there.
fn clipped_on_device(
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
fn count_by_tensors(
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

/// Whether every place of the memory that `x` spans holds one of its values.
fn is_dense(x: &Tensor) -> bool {
    if x.is_contiguous() {
        return true;
    }
    let mut axes: Vec<(i64, i64)> = x.stride().into_iter().zip(x.size()).filter(|&(_, size)| size != 1).collect();
    axes.sort_unstable();
    let mut expected = 1;
    axes.iter().all(|&(stride, size)| {
        let fits = stride == expected;
        expected *= size;
        fits
    })
}
