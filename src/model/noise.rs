//! Random errors at the sites of a network and at its logits, such as an encrypted computation has.
//!
//! Each value of each image has its own, which follows from the trial, the image, the place in the network and the position of the
//! value in its image alone: the same for every batch, number of threads, device and layout.

use std::sync::{Arc, Mutex, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

use super::images::{Images, Owners};
use super::operator::{GRAIN, is_dense, spread};
use crate::activation::{Counters, Element, Key, add_normal};

/// Standard deviations of normal errors, in the numbers of the network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Noise {
    /// What is added to the images as the network is given them.
    pub images: f64,
    /// What is added to the inputs of each site, and to what comes out.
    pub sites: Vec<[f64; 2]>,
    /// What is added to the logits.
    pub logits: f64,
    /// Other numbers are drawn for another trial.
    pub trial: u64,
}

/// The errors of a table, and the images that they are drawn for.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    noise: Noise,
    /// Of each image in the pass.
    images: Mutex<Arc<[u64]>>,
}

impl Drawn {
    pub fn new(noise: Noise) -> Drawn {
        Drawn { noise, images: Mutex::default() }
    }

    /// The next passes are over the images with these digests.
    pub fn about(&self, images: &Arc<[u64]>) {
        *self.images.lock().unwrap_or_else(PoisonError::into_inner) = images.clone();
    }

    /// What decides the errors at site `index` and behind all sites.
    pub fn identity(&self, index: usize) -> String {
        let Noise { images, sites, logits, trial } = &self.noise;
        format!("{images} {:?} {logits} {trial}", sites.get(index))
    }

    /// The same `images` with errors, if there are any.
    pub fn images(&self, images: &Tensor) -> Result<Option<Tensor>, TchError> {
        if self.noise.images == 0.0 {
            return Ok(None);
        }
        let own = copied(images)?;
        let count = images.size().first().copied().unwrap_or(0);
        self.add(&own, self.noise.images, u64::MAX - 1, Images { count, axis: Some(0) })?;
        Ok(Some(own))
    }

    /// `x`, which site `index` is given, with errors: itself where it may be written to or there are none, or a copy, which may.
    pub fn before(&self, index: usize, x: Tensor, in_place: bool, images: Images) -> Result<(Tensor, bool), TchError> {
        let deviation = self.noise.sites.get(index).map_or(0.0, |site| site[0]);
        if deviation == 0.0 {
            return Ok((x, in_place));
        }
        let own = match in_place {
            true => x,
            false => copied(&x)?,
        };
        self.add(&own, deviation, 2 * index as u64, images)?;
        Ok((own, true))
    }

    /// Add errors to `y`, which came out of site `index`.
    pub fn behind(&self, index: usize, y: &Tensor, images: Images) -> Result<(), TchError> {
        let deviation = self.noise.sites.get(index).map_or(0.0, |site| site[1]);
        self.add(y, deviation, 2 * index as u64 + 1, images)
    }

    /// Add errors to `logits` [N, classes].
    pub fn logits(&self, logits: &Tensor) -> Result<(), TchError> {
        let images = Images { count: logits.size().first().copied().unwrap_or(0), axis: Some(0) };
        self.add(logits, self.noise.logits, u64::MAX, images)
    }

    fn add(&self, x: &Tensor, deviation: f64, place: u64, images: Images) -> Result<(), TchError> {
        if deviation == 0.0 || x.numel() == 0 {
            return Ok(());
        }
        let digests = self.images.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if digests.len() as i64 != images.count {
            let reason =
                format!("errors are drawn for {} images, and {} pass the network", digests.len(), images.count);
            return Err(TchError::Torch(reason));
        }
        let keys: Vec<Key> = digests.iter().map(|&image| Key::of(&[self.noise.trial, place, image])).collect();
        add(x, deviation as f32, images, &keys)
    }
}

fn copied(x: &Tensor) -> Result<Tensor, TchError> {
    let mut copy = x.f_empty_like()?;
    copy.f_copy_(x)?;
    Ok(copy)
}

/// Add normal numbers to `x`, in which the images lie as `images` says and have these keys.
fn add(x: &Tensor, deviation: f32, images: Images, keys: &[Key]) -> Result<(), TchError> {
    let owners = if is_dense(x) { images.owners(x) } else { Owners::Unknown };
    match (x.device(), x.f_kind()?, owners, order(x)) {
        (Device::Cpu, Kind::Float, Owners::Even(image), Some(order)) => add_to::<f32>(x, deviation, keys, image, order),
        (Device::Cpu, Kind::Double, Owners::Even(image), Some(order)) => {
            add_to::<f64>(x, deviation, keys, image, order)
        }
        _ => add_apart(x, deviation, images, keys),
    }
}

/// How values follow each other in memory: row by row, or with so many channels of a pixel, of which there are so many, side by side.
#[derive(Debug, Clone, Copy)]
enum Order {
    Rows,
    ChannelsLast { channels: usize, pixels: usize },
}

fn order(x: &Tensor) -> Option<Order> {
    let sizes = x.size();
    if x.is_contiguous() {
        return Some(Order::Rows);
    }
    let pixels = sizes.get(2..)?.iter().product::<i64>() as usize;
    let channels = *sizes.get(1)? as usize;
    (x.stride()[1] == 1 && x.f_movedim_int(1, -1).ok()?.is_contiguous())
        .then_some(Order::ChannelsLast { channels, pixels })
}

fn add_to<T: Element>(x: &Tensor, deviation: f32, keys: &[Key], image: usize, order: Order) -> Result<(), TchError> {
    let values = x.data_ptr() as usize;
    // Pieces do not end inside a pixel, and of what lies row by row an image is one long run.
    let (unit, step, run, next) = match order {
        Order::Rows => (1, 1, image, 0),
        Order::ChannelsLast { channels, pixels } => (channels, pixels, channels, 1),
    };
    spread(x.numel() / unit, (GRAIN / unit).max(1), |begin, end| {
        let mut at = begin * unit;
        while at < end * unit {
            let within = at % image;
            // Of an image of several rows, each begins behind all values of those before.
            let (first, length) = match order {
                Order::Rows => (within, image - within),
                Order::ChannelsLast { channels, pixels } => {
                    let (row, pixel) = (within / channels / pixels, within / channels % pixels);
                    (row * channels * pixels + pixel, (pixels - pixel) * channels)
                }
            };
            let length = length.min(end * unit - at);
            let counters = Counters { first: first as u32, step: step as u32, run, next };
            // SAFETY: the tensor is dense and holds all values; threads have disjoint pieces.
            unsafe { add_normal((values as *mut T).add(at), length, deviation, keys[at / image], counters) };
            at += length;
        }
    })
}

/// The same for any device, kind and layout: the numbers are made on the processor.
fn add_apart(x: &Tensor, deviation: f32, images: Images, keys: &[Key]) -> Result<(), TchError> {
    let (Some(rows), Some(axis)) = (images.rows(x)?, images.axis) else {
        let reason = "the network mixes images before it, so that no errors of each can be drawn".to_owned();
        return Err(TchError::Torch(reason));
    };
    let drawn = Tensor::f_zeros(rows.size(), (Kind::Float, Device::Cpu))?;
    add_to::<f32>(&drawn, deviation, keys, rows.size()[1] as usize, Order::Rows)?;
    let leading = if axis == 0 { x.shallow_clone() } else { x.f_movedim_int(axis as i64, 0)? };
    let drawn = drawn.f_reshape(leading.size())?;
    let drawn = if axis == 0 { drawn } else { drawn.f_movedim_int(0, axis as i64)? };
    let drawn = drawn.f_to_device(x.device())?.f_to_kind(x.f_kind()?)?;
    x.shallow_clone().f_add_(&drawn).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: u64) -> Vec<Key> {
        (0..count).map(|image| Key::of(&[0, 0, 100 + image])).collect()
    }

    fn drawn(x: &Tensor, count: i64, axis: usize) -> Tensor {
        add(x, 0.5, Images { count, axis: Some(axis) }, &keys(count as u64)).unwrap();
        x.shallow_clone()
    }

    fn zeros(sizes: &[i64], kind: Kind) -> Tensor {
        Tensor::zeros(sizes, (kind, Device::Cpu))
    }

    #[test]
    fn errors_are_those_of_their_value_in_every_layout_kind_and_batch() {
        let sizes = [6, 19, 31, 17];
        let expected = drawn(&zeros(&sizes, Kind::Float), 6, 0);
        let std = expected.std(true).double_value(&[]);
        assert!((std - 0.5).abs() < 0.005, "{std}");
        let last = || zeros(&[6, 31, 17, 19], Kind::Float).permute([0, 3, 1, 2]);
        assert_eq!(drawn(&last(), 6, 0), expected);
        let gaps = zeros(&[6, 19, 31, 18], Kind::Float).slice(3, 0, 17, 1);
        assert_eq!(drawn(&gaps, 6, 0), expected);
        let turned = zeros(&[19, 6, 31, 17], Kind::Float);
        assert_eq!(drawn(&turned, 6, 1).transpose(0, 1), expected);
        let wide = drawn(&zeros(&sizes, Kind::Double), 6, 0);
        assert_eq!(wide, expected.to_kind(Kind::Double));
        let half = drawn(&zeros(&sizes, Kind::BFloat16), 6, 0);
        assert_eq!(half, expected.to_kind(Kind::BFloat16));
        // Three images of two rows each, in both layouts.
        let rows = drawn(&zeros(&sizes, Kind::Float), 3, 0);
        assert_eq!(drawn(&last(), 3, 0), rows);
        // A part of the batch.
        let part = zeros(&[2, 19, 31, 17], Kind::Float);
        add(&part, 0.5, Images { count: 2, axis: Some(0) }, &keys(6)[2..4]).unwrap();
        assert_eq!(part, expected.narrow(0, 2, 2));
        let mixed = add(&zeros(&sizes, Kind::Float), 0.5, Images { count: 6, axis: None }, &keys(6)).unwrap_err();
        assert!(mixed.to_string().contains("mixes images"), "{mixed}");
    }

    #[test]
    fn other_trials_images_and_places_have_other_errors() {
        let digests: Arc<[u64]> = Arc::new([1, 2]);
        let of = |trial: u64, index: usize| {
            let noise = Noise { images: 1.0, sites: vec![[1.0, 1.0]; 3], logits: 1.0, trial };
            let drawn = Drawn::new(noise);
            drawn.about(&digests);
            let images = Images { count: 2, axis: Some(0) };
            let x = zeros(&[2, 5000], Kind::Float);
            let (before, own) = drawn.before(index, x.shallow_clone(), false, images).unwrap();
            assert!(own && x.abs().max().double_value(&[]) == 0.0);
            let behind = zeros(&[2, 5000], Kind::Float);
            drawn.behind(index, &behind, images).unwrap();
            let logits = zeros(&[2, 5000], Kind::Float);
            drawn.logits(&logits).unwrap();
            let shown = drawn.images(&zeros(&[2, 5000], Kind::Float)).unwrap().unwrap();
            Tensor::cat(&[before, behind, logits, shown], 0)
        };
        let all = Tensor::cat(&[of(0, 0), of(0, 1), of(1, 0)], 0);
        let correlations = all.corrcoef();
        for a in 0..24 {
            for b in 0..a {
                let found = correlations.double_value(&[a, b]);
                // Logits and images do not depend on the site.
                let same = a < 16 && a == b + 8 && b >= 4;
                assert!(if same { found > 0.999 } else { found.abs() < 0.07 }, "{a} {b} {found}");
            }
        }
    }
}
