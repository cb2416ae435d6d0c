//! Reading ahead: images are read, decoded and prepared on all cores while the network works on those before them.
//!
//! At most two batches are in memory beside those in work: one waiting, one being made.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::picture::{self, PictureError, Rgb, Transform};
use super::{Dataset, Images};
use crate::digest;

/// How an image becomes a network's input: resized and cropped, then (pixel/255 − mean)/std in f32, a mean and a
/// standard deviation a channel. With one of each, image files become grey before they are resized.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    pub transform: Transform,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

/// One image as a network's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// [channels, height, width].
    pub pixels: Vec<f32>,
    pub shape: [usize; 3],
    /// SHA-256 of the image as it is stored: of the file, or of the plain pixels.
    pub sha256: [u8; 32],
}

/// An image that could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Broken {
    /// Its position in the dataset.
    pub index: usize,
    pub reason: String,
}

/// An image of another size than those before it, which cannot be in a batch with them.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// Its position in the dataset.
    pub index: usize,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The same of the first image.
    pub expected: [usize; 3],
}

/// A batch that was read ahead.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Which batch this is, from 0.
    pub number: usize,
    /// Which of the images asked for it is, broken ones included.
    pub range: Range<usize>,
    pub images: Arc<ReadImages>,
}

/// The images of a batch that could be read, prepared for a network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadImages {
    /// Position in the dataset of each image.
    pub indices: Vec<usize>,
    /// Image after image, each [channels, height, width].
    pub pixels: Vec<f32>,
    /// Channels, height, width of every image.
    pub shape: [usize; 3],
    /// SHA-256 of each image as stored.
    pub sha256: Vec<[u8; 32]>,
    pub broken: Vec<Broken>,
    /// The first image of another shape than the first of all; the batch ends before it, and no other follows.
    pub misfit: Option<Misfit>,
}

impl Dataset {
    /// Read and prepare image `index`.
    ///
    /// # Errors
    /// Why it cannot be read or decoded, in a few words.
    pub fn prepare(&self, index: usize, preparation: &Preparation) -> Result<Prepared, String> {
        match &self.images {
            Images::Pixels(pixels) => {
                let (image, shape) = (pixels.image(index), pixels.shape());
                let sha256 = digest::of_bytes(image);
                if preparation.transform.is_identity() {
                    return Ok(Prepared { pixels: preparation.normalised_planes(image, shape), shape, sha256 });
                }
                let rgb = Rgb::from_planes(image, shape)
                    .ok_or("only images of one or three channels can be resized or cropped")?;
                preparation.finish(rgb, sha256).map_err(|error| error.to_string())
            }
            Images::Files(files) => {
                let bytes = files[index].read().map_err(|error| error.to_string())?;
                let prepared =
                    picture::decode(&bytes).and_then(|rgb| preparation.finish_file(rgb, digest::of_bytes(&bytes)));
                prepared.map_err(|error| error.to_string())
            }
        }
    }

    /// SHA-256 of image `index` as it is stored.
    ///
    /// # Errors
    /// Why it cannot be read, in a few words.
    pub fn stored_sha256(&self, index: usize) -> Result<[u8; 32], String> {
        match &self.images {
            Images::Pixels(pixels) => Ok(digest::of_bytes(pixels.image(index))),
            Images::Files(files) => Ok(digest::of_bytes(&files[index].read().map_err(|error| error.to_string())?)),
        }
    }

    /// Make batches of `batch` of the images at the positions `images`, in order, on a thread of `scope` that stays ahead of
    /// whoever receives them. After each of `cuts` images, ascending, a batch ends. What `known` has of such a range of `images`
    /// is not read again. It ends with the last batch, after a misfit, or when the receiver is dropped.
    pub fn read_ahead<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        preparation: &'scope Preparation,
        images: &'scope [usize],
        batch: usize,
        cuts: Vec<usize>,
        known: impl Fn(&Range<usize>) -> Option<Arc<ReadImages>> + Send + 'scope,
    ) -> Receiver<Batch> {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            let mut shape = None;
            for (number, range) in chunks(images.len(), batch.max(1), &cuts).enumerate() {
                let images =
                    known(&range).unwrap_or_else(|| self.read(preparation, &images[range.clone()], &mut shape).into());
                if !images.indices.is_empty() {
                    shape.get_or_insert(images.shape);
                }
                let last = images.misfit.is_some();
                if sender.send(Batch { number, range, images }).is_err() || last {
                    return;
                }
            }
        });
        receiver
    }

    /// The images at `indices`; `shape` is that of the first image of all, once one was read.
    fn read(&self, preparation: &Preparation, indices: &[usize], shape: &mut Option<[usize; 3]>) -> ReadImages {
        let prepared: Vec<Result<Prepared, String>> =
            indices.par_iter().map(|&index| self.prepare(index, preparation)).collect();
        let mut batch = ReadImages::default();
        for (&index, image) in indices.iter().zip(prepared) {
            match image {
                Ok(image) => {
                    let expected = *shape.get_or_insert(image.shape);
                    if image.shape != expected {
                        batch.misfit = Some(Misfit { index, shape: image.shape, expected });
                        break;
                    }
                    batch.shape = expected;
                    batch.indices.push(index);
                    batch.pixels.extend(image.pixels);
                    batch.sha256.push(image.sha256);
                }
                Err(reason) => batch.broken.push(Broken { index, reason }),
            }
        }
        batch
    }
}

/// So many images in pieces of at most `size`, of which one ends after each of `cuts` images.
fn chunks(images: usize, size: usize, cuts: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let mut begin = 0;
    let ends = cuts.iter().copied().filter(move |&cut| cut < images).chain([images]);
    ends.flat_map(move |end| {
        let part = std::mem::replace(&mut begin, end)..end;
        part.clone().step_by(size).map(move |begin| begin..part.end.min(begin + size))
    })
}

impl Preparation {
    fn finish_file(&self, rgb: Rgb, sha256: [u8; 32]) -> Result<Prepared, PictureError> {
        self.finish(if self.channels() == 1 { rgb.grey() } else { rgb }, sha256)
    }

    fn finish(&self, rgb: Rgb, sha256: [u8; 32]) -> Result<Prepared, PictureError> {
        let rgb = self.transform.apply(rgb)?;
        let pixels = self.normalised(&rgb);
        Ok(Prepared { pixels, shape: [self.channels(), rgb.height, rgb.width], sha256 })
    }

    /// Of the network's input.
    fn channels(&self) -> usize {
        self.mean.len()
    }

    /// The picture as [channels, height, width]; of one channel, that is its red plane, which equals the others.
    pub fn normalised(&self, rgb: &Rgb) -> Vec<f32> {
        let mut pixels = Vec::with_capacity(rgb.width * rgb.height * self.channels());
        for channel in 0..self.channels() {
            let normalise = self.normaliser(channel);
            pixels.extend(rgb.pixels.iter().skip(channel).step_by(3).map(|&pixel| normalise[usize::from(pixel)]));
        }
        pixels
    }

    fn normalised_planes(&self, image: &[u8], [_, height, width]: [usize; 3]) -> Vec<f32> {
        let mut pixels = Vec::with_capacity(image.len());
        for (channel, plane) in image.chunks_exact((height * width).max(1)).enumerate() {
            let normalise = self.normaliser(channel);
            pixels.extend(plane.iter().map(|&pixel| normalise[usize::from(pixel)]));
        }
        pixels
    }

    /// What each of the 256 values of `channel` becomes, by torchvision's operations in f32.
    fn normaliser(&self, channel: usize) -> [f32; 256] {
        let (mean, std) = (self.mean[channel], self.std[channel]);
        std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_at_every_cut() {
        let lengths = |size, cuts: &[usize]| chunks(10, size, cuts).map(|range| range.len()).collect::<Vec<_>>();
        assert_eq!(lengths(4, &[]), [4, 4, 2]);
        assert_eq!(lengths(4, &[3, 4, 10, 12]), [3, 1, 4, 2]);
        assert_eq!(lengths(1, &[5]), [1; 10]);
        assert!(chunks(0, 4, &[]).next().is_none());
        assert_eq!(chunks(10, 3, &[2, 9]).flatten().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }
}
