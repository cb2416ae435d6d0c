//! What stands in for a function of each value: one pass over a tensor, on any device.

use std::ops::Range;

use tch::{Device, Kind, TchError, Tensor};

use super::counting::{Ends, Outside, counted_by_tensors};
use super::tensors::{GRAIN, is_dense, spread};
use super::{Pass, Replacement};
use crate::activation::{Channels, Element, Elementwise};
use crate::model::cuda::{self, Kernel};
use crate::model::images::Owners;

/// An approximate function of each value.
#[derive(Debug)]
pub(super) struct Approximate(Elementwise);

impl Approximate {
    pub fn new(site: Elementwise) -> Approximate {
        Approximate(site)
    }
}

impl Replacement for Approximate {
    fn apply(&self, mut x: Tensor, in_place: bool, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        let site = &self.0;
        let &Pass { images, overflow, kernel, counters } = pass;
        let counters = || counters(x.device());
        let fits = is_dense(&x) && (site.channels().is_none() || channels(&x).is_some());
        let source = if fits { x.shallow_clone() } else { closed(&x, site)? };
        let mut target = if in_place || !fits { source.shallow_clone() } else { source.f_empty_like()? };
        let owners = images.owners(&source);
        let lie = match site.channels() {
            None => Channels { count: 1, run: 1 },
            Some(count) => channels_of(&source, count)?,
        };
        let computed = match (x.device(), x.f_kind()?) {
            (Device::Cpu, Kind::Float) => run::<f32>(site, &source, &target, lie, &owners, pass)?,
            (Device::Cpu, Kind::Double) => run::<f64>(site, &source, &target, lie, &owners, pass)?,
            (Device::Cuda(_), kind) if matches!(owners, Owners::Even(_)) => match kind {
                Kind::Float => cuda::elementwise::<f32>(site, &source, &target, lie, images.count, kernel, counters)?,
                Kind::Double => cuda::elementwise::<f64>(site, &source, &target, lie, images.count, kernel, counters)?,
                _ => false,
            },
            _ => false,
        };
        if !computed {
            let counted = counted_by_tensors(&source, |x| site.ends(x), site.clips(), images, overflow)?;
            target = site.of_tensor(&counted)?.f_to_kind(x.f_kind()?)?;
        }
        if in_place && target.data_ptr() != x.data_ptr() {
            x.f_copy_(&target)?;
            return Ok(x);
        }
        Ok(target)
    }

    fn prepare(&self, kernel: &Kernel, device: Device) {
        kernel.prepare_elementwise(&self.0, device);
    }
}

/// The values of `x` without gaps: as PyTorch closes them, or, where channels are not alike, in an order that shows them.
fn closed(x: &Tensor, site: &Elementwise) -> Result<Tensor, TchError> {
    if site.channels().is_some() {
        return x.f_contiguous();
    }
    let mut closed = x.f_empty_like()?;
    closed.f_copy_(x)?;
    Ok(closed)
}

/// Where the channels of `x` [N, channels, …], which is dense, lie; none if they do not in one of the two usual ways.
fn channels(x: &Tensor) -> Option<Channels> {
    let sizes = x.size();
    let count = *sizes.get(1)? as usize;
    let plane: i64 = sizes[2..].iter().product();
    match x.is_contiguous() {
        true => (plane > 0).then_some(Channels { count, run: plane as usize }),
        false => (x.stride()[1] == 1).then_some(Channels { count, run: 1 }),
    }
}

/// The same, for as many channels as there are parameters for.
fn channels_of(x: &Tensor, count: usize) -> Result<Channels, TchError> {
    let found = channels(x).filter(|channels| channels.count == count);
    found.ok_or_else(|| {
        TchError::Torch(format!(
            "a site with parameters for {count} channels is given a tensor of shape {:?}",
            x.size()
        ))
    })
}

fn run<T: Element>(
    site: &Elementwise,
    x: &Tensor,
    y: &Tensor,
    channels: Channels,
    owners: &Owners,
    pass: &Pass<'_>,
) -> Result<bool, TchError> {
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    let overflow = pass.overflow;
    let unit = if site.channels().is_some() { channels.unit() } else { 1 };
    spread(x.numel() / unit, (GRAIN / unit).max(1), |begin, end| {
        let positions: Range<usize> = begin * unit..end * unit;
        let mut outside = Outside::new(Ends::of(site, channels), owners);
        let report = &mut |at: usize, block: &[T]| outside.see(at, block);
        // SAFETY: both tensors are dense, of the same layout, and hold all values; threads have disjoint pieces.
        unsafe { site.run_channels(from as *const T, to as *mut T, positions, channels, report) };
        outside.found().add_to(overflow);
    })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::activation::{Arithmetic, Series};
    use crate::model::images::Images;
    use crate::model::overflow::Overflow;

    const CHANNELS: i64 = 19;

    /// x² on ranges that differ from channel to channel.
    fn squares(arithmetic: Arithmetic) -> Elementwise {
        let of_channel = |channel: i64| {
            let (low, high) = (-1.0 - 0.1 * channel as f64, 2.0 + 0.05 * channel as f64);
            let (centre, half) = (f64::midpoint(low, high), (high - low) / 2.0);
            // (centre + half·t)², t² = (T_0 + T_2)/2.
            let coefficients = vec![centre * centre + half * half / 2.0, 2.0 * centre * half, half * half / 2.0];
            Series { low, high, coefficients }
        };
        Elementwise::series(&(0..CHANNELS).map(of_channel).collect::<Vec<_>>(), arithmetic)
    }

    fn apply(site: &Elementwise, x: &Tensor, in_place: bool, images: i64) -> Result<(Tensor, Overflow), TchError> {
        let (overflow, kernel) = (Mutex::default(), Kernel::default());
        let counters = &|_| -> Result<u64, TchError> { unreachable!("on the CPU") };
        let images = Images { count: images, axis: Some(0) };
        let pass = Pass { images, overflow: &overflow, kernel: &kernel, counters };
        let y = Approximate::new(site.clone()).apply(x.shallow_clone(), in_place, &pass)?;
        Ok((y, overflow.into_inner().unwrap()))
    }

    /// Whatever the layout, the kind and the number of axes. One value is beyond the range of its channel, and would not be beyond
    /// that of most.
    #[test]
    fn channels_have_their_own_parameters_in_every_layout_and_kind() {
        let x = Tensor::linspace(-1.0, 2.0, 4 * CHANNELS * 5 * 7, (Kind::Float, Device::Cpu)).view([4, CHANNELS, 5, 7]);
        let _ = x.get(2).get(1).get(3).get(4).fill_(-1.4);
        let planes = |kind| x.to_kind(kind).copy();
        let last = |kind| planes(kind).permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let gaps = |kind| Tensor::cat(&[planes(kind), planes(kind)], 3).slice(3, 0, 7, 1);
        let flat = |kind| planes(kind).slice(2, 3, 4, 1).slice(3, 4, 5, 1).reshape([4, CHANNELS]);
        let layouts: [(&str, &dyn Fn(Kind) -> Tensor); 4] =
            [("planes", &planes), ("last", &last), ("gaps", &gaps), ("flat", &flat)];
        for (name, make) in layouts {
            for kind in [Kind::Float, Kind::Double, Kind::BFloat16] {
                for arithmetic in [Arithmetic::F64, Arithmetic::F32] {
                    for in_place in [false, true] {
                        let x = make(kind);
                        let expected = x.to_kind(Kind::Double).square();
                        let (y, overflow) = apply(&squares(arithmetic), &x, in_place, 4).unwrap();
                        let off = (y.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
                        let most = if kind == Kind::BFloat16 { 0.02 } else { 2e-6 };
                        assert!(off <= most, "{name} {kind:?} in {arithmetic}: {off}");
                        assert_eq!((y.kind(), y.size()), (kind, x.size()), "{name}");
                        assert_eq!(in_place, y.data_ptr() == x.data_ptr(), "{name}");
                        assert_eq!((overflow.values, overflow.not_a_number), (1, 0), "{name} {kind:?}");
                        let worst = overflow.images[&2];
                        assert!(overflow.images.len() == 1 && (worst - 1.4).abs() < 0.01, "{name} {kind:?}: {worst}");
                    }
                }
            }
        }
    }

    #[test]
    fn another_number_of_channels_is_told() {
        let x = Tensor::zeros([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        let error = apply(&squares(Arithmetic::F64), &x, false, 2).unwrap_err().to_string();
        assert!(error.contains("parameters for 19 channels") && error.contains("[2, 3, 4, 4]"), "{error}");
    }
}
