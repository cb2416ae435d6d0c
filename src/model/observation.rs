//! What a site is given, counted: statistics of its inputs, and the densities that polynomials are fitted to.
//!
//! A density is of one channel, the second axis, where the images follow each other along the first; elsewhere all values are of
//! one. Of a max-pool it is of one round of the tournaments: of the differences between the values that meet there. On the CPU
//! values are counted where they lie. Elsewhere the device counts how often the leading bits of a number occur, so that no
//! value is copied to the host.

use std::sync::PoisonError;

use tch::{Device, Kind, TchError, Tensor};

use super::images::{Images, Owners};
use super::operator::{GRAIN, SiteKind, is_dense, spread};
use super::sites::Entry;
use super::statistics::Statistics;
use super::tournaments::{Met, differences};
use crate::activation::Element;
use crate::fitting::Density;

/// More channels than this are one: they are positions of a text or an image, and every one meets few values.
const MOST_CHANNELS: i64 = 1 << 14;

/// Count what the site of `entry` is given.
pub(super) fn observe(x: &Tensor, images: Images, bounds: &[f64], entry: &Entry) -> Result<(), TchError> {
    if x.numel() == 0 {
        return Ok(());
    }
    let counted = match (x.device(), x.f_kind()?) {
        (Device::Cpu, Kind::Double) => observe_as::<f64>(x, images, bounds)?,
        (Device::Cpu, Kind::Float) => observe_as::<f32>(x, images, bounds)?,
        (Device::Cpu, _) => observe_as::<f32>(&x.f_to_kind(Kind::Float)?, images, bounds)?,
        _ => observe_by_tensors(x, images, bounds)?,
    };
    entry.statistics.lock().unwrap_or_else(PoisonError::into_inner).merge(&counted);
    let densities = &mut *entry.densities.lock().unwrap_or_else(PoisonError::into_inner);
    match entry.kind.window() {
        None => {
            let channels = channels(x, images);
            count(x, room(densities, channels), channels)
        }
        Some(window) => {
            let rounds = window.rounds() as usize;
            densities.resize_with(rounds, Density::default);
            for Met { round, difference, .. } in differences(x, window, entry.non_negative)? {
                count(&difference, &mut densities[round..=round], 1)?;
            }
            Ok(())
        }
    }
}

/// Count what the site of `entry` is given, each value with the square of the `gradient` at what the site makes of it.
pub(super) fn observe_weighted(x: &Tensor, gradient: &Tensor, images: Images, entry: &Entry) -> Result<(), TchError> {
    if x.numel() == 0 {
        return Ok(());
    }
    let weights = gradient.f_to_kind(Kind::Float)?.f_square()?;
    let densities = &mut *entry.weighted.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(window) = entry.kind.window() else {
        let channels = channels(x, images);
        return count_weighted(x, &weights, room(densities, channels), channels);
    };
    densities.resize_with(window.rounds() as usize, Density::default);
    let met = differences(x, window, entry.non_negative)?;
    let Some(best) = met.last().map(|met| met.winner.shallow_clone()) else { return Ok(()) };
    let weights = weights.f_reshape(best.size())?;
    for Met { round, difference, winner } in met {
        // What loses later has no say in the result, nor has its error.
        let weights = weights.f_where_self(&winner.f_eq_tensor(&best)?, &weights.f_zeros_like()?)?;
        count_weighted(&difference, &weights, &mut densities[round..=round], 1)?;
    }
    Ok(())
}

/// Count in `densities` the values of `x` at a site that is no pool, each with what `exact`, in its place, becomes less what the value
/// itself becomes by the function of the site.
pub(super) fn observe_pairs(
    x: &Tensor,
    exact: &Tensor,
    images: Images,
    kind: &SiteKind,
    densities: &mut Vec<Density>,
) -> Result<(), TchError> {
    if x.numel() == 0 {
        return Ok(());
    }
    let made = |x: &Tensor| kind.operator().exact(&mut x.f_detach_copy()?, false);
    let channels = channels(x, images);
    count_weighted(x, &made(exact)?.f_sub(&made(x)?)?, room(densities, channels), channels)
}

/// How many channels the values of `x` belong to.
fn channels(x: &Tensor, images: Images) -> i64 {
    let sizes = x.size();
    match sizes[..] {
        [count, channels, ..] if images.axis == Some(0) && count == images.count && channels <= MOST_CHANNELS => {
            channels
        }
        _ => 1,
    }
}

/// A density for each of so many channels, or the only one where another pass had another number of them.
fn room(densities: &mut Vec<Density>, channels: i64) -> &mut [Density] {
    if densities.is_empty() {
        densities.resize_with(channels as usize, Density::default);
    } else if densities.len() != channels as usize {
        *densities = vec![Density::pooled(densities)];
    }
    densities
}

/// Count the values of `x`, whose second axis has so many channels, in the density of their channel, or in the only one.
fn count(x: &Tensor, densities: &mut [Density], channels: i64) -> Result<(), TchError> {
    let apart = densities.len() > 1;
    if x.device() != Device::Cpu {
        return count_by_tensors(&rows(x, apart, channels)?, None, densities);
    }
    let x = x.f_to_kind(Kind::Float)?;
    if !apart {
        let x = if is_dense(&x) { x } else { x.f_contiguous()? };
        // SAFETY: the tensor has no gaps and holds so many values.
        let values = unsafe { std::slice::from_raw_parts(x.data_ptr().cast::<f32>(), x.numel()) };
        return count_whole(values, &mut densities[0]);
    }
    let last = x.dim() > 2 && x.stride()[1] == 1 && is_dense(&x) && !x.is_contiguous();
    let x = if last { x } else { x.f_contiguous()? };
    let (images, channels) = (x.size()[0] as usize, channels as usize);
    let plane = x.numel() / (images * channels);
    let (from, to) = (x.data_ptr() as usize, densities.as_mut_ptr() as usize);
    spread(channels.div_ceil(TILE), 1, |begin, end| {
        for channel in (begin * TILE..end * TILE).step_by(TILE) {
            let tile = TILE.min(channels - channel);
            // SAFETY: threads have disjoint channels, and the tensor holds all values.
            unsafe {
                let densities = std::slice::from_raw_parts_mut((to as *mut Density).add(channel), tile);
                for image in 0..images {
                    let image = (from as *const f32).add(image * channels * plane);
                    if last {
                        count_pixels(image.add(channel), plane, channels, densities);
                    } else {
                        for (at, density) in densities.iter_mut().enumerate() {
                            let values = std::slice::from_raw_parts(image.add((channel + at) * plane), plane);
                            density.add(values.iter().copied());
                        }
                    }
                }
            }
        }
    })
}

/// The values of `x` with a row for each of so many channels, the second axis, or one for all.
fn rows(x: &Tensor, apart: bool, channels: i64) -> Result<Tensor, TchError> {
    if apart { x.f_transpose(0, 1)?.f_reshape([channels, -1]) } else { x.f_reshape([1, -1]) }
}

/// The same as [`count`] with `weights` of the shape of `x`.
fn count_weighted(x: &Tensor, weights: &Tensor, densities: &mut [Density], channels: i64) -> Result<(), TchError> {
    let apart = densities.len() > 1;
    let single = |x: &Tensor| rows(x, apart, channels)?.f_to_kind(Kind::Float)?.f_contiguous();
    let (x, weights) = (single(x)?, single(weights)?);
    if x.device() != Device::Cpu {
        return count_by_tensors(&x, Some(&weights), densities);
    }
    let count = x.size()[1] as usize;
    let (values, of_values) = (x.data_ptr() as usize, weights.data_ptr() as usize);
    let to = densities.as_mut_ptr() as usize;
    spread(densities.len(), 1, |begin, end| {
        for row in begin..end {
            // SAFETY: threads have disjoint rows; both tensors have no gaps and as many values in each.
            let (density, values, weights) = unsafe {
                let row_of = |from: usize| std::slice::from_raw_parts((from as *const f32).add(row * count), count);
                (&mut *(to as *mut Density).add(row), row_of(values), row_of(of_values))
            };
            density.add_weighted(values.iter().copied().zip(weights.iter().copied()));
        }
    })
}

/// Channels that one thread counts together.
const TILE: usize = 16;

/// Count the values of pixels, of which each begins `stride` values after the one before, in the density of their channel.
///
/// # Safety
/// `from` must be readable for as many values as there are densities at each of so many pixels.
unsafe fn count_pixels(from: *const f32, pixels: usize, stride: usize, densities: &mut [Density]) {
    const PIXELS: usize = 256;
    let mut values = [[0f32; PIXELS]; TILE];
    for first in (0..pixels).step_by(PIXELS) {
        let length = PIXELS.min(pixels - first);
        for pixel in 0..length {
            for (channel, values) in values[..densities.len()].iter_mut().enumerate() {
                values[pixel] = unsafe { *from.add((first + pixel) * stride + channel) };
            }
        }
        for (density, values) in densities.iter_mut().zip(&values) {
            density.add(values[..length].iter().copied());
        }
    }
}

/// Count `values` in one density, each thread a part of them.
fn count_whole(values: &[f32], density: &mut Density) -> Result<(), TchError> {
    let all = std::sync::Mutex::new(std::mem::take(density));
    spread(values.len(), GRAIN, |begin, end| {
        let mut part = Density::default();
        part.add(values[begin..end].iter().copied());
        all.lock().unwrap_or_else(PoisonError::into_inner).merge(&part);
    })?;
    *density = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(())
}

/// Count the values of every row of `rows`, which may have weights, in the density of that row, on whatever device they are.
fn count_by_tensors(rows: &Tensor, weights: Option<&Tensor>, densities: &mut [Density]) -> Result<(), TchError> {
    let rows = rows.f_to_kind(Kind::Float)?.f_contiguous()?;
    for Leading { row, bits, count, weight } in leading_bits(&rows, weights)? {
        densities[row].add_bits(bits, count, weight);
    }
    let finite = rows.f_isfinite()?;
    let end = |other: f64| rows.f_where_self(&finite, &rows.f_full_like(other)?);
    let low = end(f64::INFINITY)?.f_amin([1i64].as_slice(), false)?;
    let high = end(f64::NEG_INFINITY)?.f_amax([1i64].as_slice(), false)?;
    let host = |ends: &Tensor| Vec::<f32>::try_from(ends.f_to(Device::Cpu)?);
    for (density, (low, high)) in densities.iter_mut().zip(host(&low)?.into_iter().zip(host(&high)?)) {
        density.widen([low, high]);
    }
    Ok(())
}

/// How many numbers of a row begin with the same sixteen bits, and the sum of their weights.
struct Leading {
    row: usize,
    bits: u16,
    count: u64,
    weight: Option<f64>,
}

/// What the numbers of each row begin with.
fn leading_bits(rows: &Tensor, weights: Option<&Tensor>) -> Result<Vec<Leading>, TchError> {
    let (count, device) = (rows.size()[0], rows.device());
    let bits = rows.f_view_dtype(Kind::Int)?.f_bitwise_right_shift_tensor_scalar(16)?.f_bitwise_and(0xffff)?;
    let row = Tensor::f_arange(count, (Kind::Int64, device))?.f_mul_scalar(1 << 16)?.f_unsqueeze(1)?;
    let keys = bits.f_to_kind(Kind::Int64)?.f_add(&row)?.f_flatten(0, -1)?;
    let (keys, places, counts) = keys.f_internal_unique2(true, weights.is_some(), true)?;
    let host = |numbers: &Tensor| Vec::<i64>::try_from(numbers.f_to(Device::Cpu)?);
    let sums = match weights {
        None => vec![None; keys.numel()],
        Some(weights) => {
            let sums = Tensor::f_zeros(keys.size(), (Kind::Double, device))?;
            let sums = sums.f_index_add(0, &places, &weights.f_flatten(0, -1)?.f_to_kind(Kind::Double)?)?;
            Vec::<f64>::try_from(sums.f_to(Device::Cpu)?)?.into_iter().map(Some).collect()
        }
    };
    let found = host(&keys)?.into_iter().zip(host(&counts)?).zip(sums);
    let leading =
        |((key, count), weight)| Leading { row: (key >> 16) as usize, bits: key as u16, count: count as u64, weight };
    Ok(found.map(leading).collect())
}

/// Statistics of the values of every image of `x`, images on several threads.
fn observe_as<T: Element>(x: &Tensor, images: Images, bounds: &[f64]) -> Result<Statistics, TchError> {
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
    let all = std::sync::Mutex::new(Statistics::new(bounds.len()));
    spread(parts, (GRAIN / values.max(1)).max(1), |begin, end| {
        let mut counted = Statistics::new(bounds.len());
        for part in begin..end {
            // SAFETY: the tensor has no gaps and holds `parts` times `values` of this type.
            let of_part = unsafe { std::slice::from_raw_parts((from as *const T).add(part * values), values) };
            counted.add(known.then_some(part), of_part, bounds);
        }
        all.lock().unwrap_or_else(PoisonError::into_inner).merge(&counted);
    })?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The same on whatever device the values are.
fn observe_by_tensors(x: &Tensor, images: Images, bounds: &[f64]) -> Result<Statistics, TchError> {
    let (rows, known) = match images.rows(x)? {
        Some(rows) => (rows, true),
        None => (x.f_reshape([1, -1])?, false),
    };
    let numbers = rows.f_to_kind(Kind::Double)?;
    let size = numbers.f_abs()?;
    let not_a_number = numbers.f_isnan()?;
    let sum = |mask: &Tensor| mask.f_sum(Kind::Int64)?.f_int64_value(&[]);
    let number = |value: &Tensor| value.f_double_value(&[]);
    let without = |of: &Tensor, other: f64| of.f_where_self(&not_a_number.f_logical_not()?, &of.f_full_like(other)?);
    let largest = without(&size, 0.0)?.f_amax([1i64].as_slice(), false)?;
    let all = largest.f_max()?;
    let first = largest.f_eq_tensor(&all)?.f_to_kind(Kind::Int64)?.f_argmax(0, false)?.f_int64_value(&[])?;
    let above = bounds.iter().map(|&bound| Ok(sum(&size.f_gt(bound)?)? as u64)).collect::<Result<_, TchError>>()?;
    let single = rows.f_to_kind(Kind::Float)?.f_reshape([1, -1])?.f_contiguous()?;
    let mut counted = Statistics::new(0);
    counted.values = x.numel() as u64;
    counted.not_a_number = sum(&not_a_number)? as u64;
    counted.min = number(&without(&numbers, f64::INFINITY)?.f_min()?)?;
    counted.max = number(&without(&numbers, f64::NEG_INFINITY)?.f_max()?)?;
    counted.largest = number(&all)?;
    counted.largest_image = known.then_some(first as usize);
    counted.above = above;
    counted.sort(leading_bits(&single, None)?.into_iter().map(|Leading { bits, count, .. }| (bits, count)));
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 2] = [0.5, 2.0];

    /// Values of all signs, zeros, and with `strange` what is no finite number.
    fn values(shape: [i64; 4], strange: bool) -> Tensor {
        let x = Tensor::linspace(-3.0, 3.0, shape.iter().product::<i64>(), (Kind::Float, Device::Cpu));
        let x = (x * 7.13).sin() * 2.5;
        let x = x.where_self(&x.gt(-2.0), &x.zeros_like()).view(shape);
        if strange {
            let _ = x.get(1).get(2).get(0).get(1).fill_(f64::NAN);
        }
        x
    }

    fn last(x: &Tensor) -> Tensor {
        x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
    }

    fn counted(x: &Tensor, channels: i64, way: fn(&Tensor, &mut [Density]) -> Result<(), TchError>) -> Vec<Density> {
        let mut densities = vec![Density::default(); channels as usize];
        way(x, &mut densities).unwrap();
        densities
    }

    fn on_host(x: &Tensor, densities: &mut [Density]) -> Result<(), TchError> {
        let channels = densities.len() as i64;
        count(x, densities, channels)
    }

    fn by_tensors(x: &Tensor, densities: &mut [Density]) -> Result<(), TchError> {
        let rows = x.transpose(0, 1).reshape([densities.len() as i64, -1]);
        count_by_tensors(&rows, None, densities)
    }

    /// One value after the other.
    fn one_by_one(x: &Tensor, densities: &mut [Density]) -> Result<(), TchError> {
        for (channel, density) in densities.iter_mut().enumerate() {
            density.add(Vec::<f32>::try_from(x.select(1, channel as i64).flatten(0, -1))?);
        }
        Ok(())
    }

    /// Whatever the layout, and the number of channels beside the tile of a thread.
    #[test]
    fn channels_are_counted_alike_by_every_way() {
        for channels in [1, 3, 16, 19, 40] {
            for strange in [false, true] {
                let strange = strange && channels > 2;
                let x = values([3, channels, 20, 17], strange);
                let gaps = Tensor::cat(&[&x, &x], 3).slice(3, 0, 17, 1);
                let expected: Vec<_> = counted(&x, channels, one_by_one).iter().map(Density::stored).collect();
                for (name, x) in [("planes", &x), ("last", &last(&x)), ("gaps", &gaps)] {
                    for way in [on_host, by_tensors] {
                        let found: Vec<_> = counted(x, channels, way).iter().map(Density::stored).collect();
                        assert!(found == expected, "{channels} {name}");
                    }
                }
            }
        }
    }

    /// Sums of weights are the same up to the order in which they are added.
    #[test]
    fn weights_are_summed_alike_by_every_way() {
        let x = values([3, 19, 20, 17], false);
        let weights = (&x * 3.7).cos().square();
        for (x, weights) in [(x.shallow_clone(), weights.shallow_clone()), (last(&x), last(&weights))] {
            let mut found = [vec![Density::default(); 19], vec![Density::default(); 19]];
            count_weighted(&x, &weights, &mut found[0], 19).unwrap();
            let rows = |x: &Tensor| x.transpose(0, 1).reshape([19, -1]);
            count_by_tensors(&rows(&x), Some(&rows(&weights)), &mut found[1]).unwrap();
            for (channel, (a, b)) in found[0].iter().zip(&found[1]).enumerate() {
                assert_eq!(a.ends(), b.ends());
                for (a, b) in a.bins().zip(b.bins()) {
                    assert!((a.low, a.high, a.count) == (b.low, b.high, b.count), "{a:?} {b:?}");
                    assert!((a.weight - b.weight).abs() <= 1e-9 * a.weight, "{a:?} {b:?}");
                }
                let sum: f64 = a.bins().map(|bin| bin.weight).sum();
                let expected = weights.select(1, channel as i64).sum(Kind::Double).double_value(&[]);
                assert!((sum - expected).abs() < 1e-6 * expected, "{sum} {expected}");
            }
        }
    }

    #[test]
    fn statistics_are_alike_by_every_way() {
        for strange in [false, true] {
            for axis in [Some(0), Some(1), None] {
                let x = values([3, 3, 20, 17], strange);
                let images = Images { count: 3, axis };
                let expected = observe_as::<f32>(&x, images, &BOUNDS).unwrap();
                let found = observe_by_tensors(&x, images, &BOUNDS).unwrap();
                assert_eq!(found, expected, "{strange} {axis:?}");
            }
        }
    }

    /// Another number of channels in another pass makes one density of all.
    #[test]
    fn densities_of_channels_that_change_are_one() {
        let mut densities = Vec::new();
        for channels in [3, 5, 3] {
            let x = values([2, channels, 4, 4], false);
            count(&x, room(&mut densities, channels), channels).unwrap();
        }
        assert_eq!(densities.iter().map(Density::values).collect::<Vec<_>>(), [2 * 11 * 16]);
        let wide = Tensor::zeros([2, MOST_CHANNELS + 1], (Kind::Float, Device::Cpu));
        let images = Images { count: 2, axis: Some(0) };
        assert_eq!([channels(&wide, images), channels(&wide.narrow(1, 0, 7), images)], [1, 7]);
    }
}
