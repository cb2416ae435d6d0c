//! Reading ahead: images are read, decoded and prepared on all cores while the network works on those before them.
//!
//! At most three batches are in memory at a time: one in work, one waiting, one being made.

use std::sync::mpsc::sync_channel;

use rayon::prelude::*;

use super::picture::{self, PictureError, Rgb, Transform};
use super::{Dataset, Images};
use crate::digest;

/// How an image becomes a network's input: resized and cropped, then (pixel/255 − mean)/std in f32, a mean and a
/// standard deviation a channel.
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
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// Its position in the dataset.
    pub index: usize,
    pub reason: String,
}

/// Images that follow each other in the dataset, those that could be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Position in the dataset of each image.
    pub indices: Vec<usize>,
    /// Image after image, each [channels, height, width].
    pub pixels: Vec<f32>,
    /// Channels, height, width of every image.
    pub shape: [usize; 3],
    /// SHA-256 of each image as stored.
    pub sha256: Vec<[u8; 32]>,
    pub broken: Vec<Broken>,
    /// Where the next batch begins.
    pub end: usize,
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
                let rgb =
                    Rgb::from_planes(image, shape).ok_or("only images of three channels can be resized or cropped")?;
                preparation.finish(rgb, sha256).map_err(|error| error.to_string())
            }
            Images::Files(files) => {
                let bytes = files[index].read().map_err(|error| error.to_string())?;
                let prepared =
                    picture::decode(&bytes).and_then(|rgb| preparation.finish(rgb, digest::of_bytes(&bytes)));
                prepared.map_err(|error| error.to_string())
            }
        }
    }

    /// Give the first `images` images to `consume`, `batch` at a time and in order, while those after them are prepared.
    ///
    /// Images of another size than the first of their batch count as broken: a batch has one shape.
    ///
    /// # Errors
    /// What `consume` returns; reading then stops.
    pub fn read_ahead<E>(
        &self,
        preparation: &Preparation,
        images: usize,
        batch: usize,
        mut consume: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            scope.spawn(move || {
                for start in (0..images).step_by(batch.max(1)) {
                    let made = self.make_batch(preparation, start, images.min(start + batch));
                    // The consumer is gone: it met an error.
                    if sender.send(made).is_err() {
                        return;
                    }
                }
            });
            receiver.into_iter().try_for_each(&mut consume)
        })
    }

    fn make_batch(&self, preparation: &Preparation, start: usize, end: usize) -> Batch {
        let prepared: Vec<Result<Prepared, String>> =
            (start..end).into_par_iter().map(|index| self.prepare(index, preparation)).collect();
        let mut batch = Batch { end, ..Batch::default() };
        for (index, image) in (start..end).zip(prepared) {
            match image {
                Ok(image) if batch.indices.is_empty() || image.shape == batch.shape => {
                    batch.shape = image.shape;
                    batch.indices.push(index);
                    batch.pixels.extend(image.pixels);
                    batch.sha256.push(image.sha256);
                }
                Ok(image) => {
                    let [_, height, width] = image.shape;
                    let [_, expected_height, expected_width] = batch.shape;
                    let reason = format!(
                        "it is {width}x{height} where those before it are {expected_width}x{expected_height}; --crop makes \
                         them alike"
                    );
                    batch.broken.push(Broken { index, reason });
                }
                Err(reason) => batch.broken.push(Broken { index, reason }),
            }
        }
        batch
    }
}

impl Preparation {
    fn finish(&self, rgb: Rgb, sha256: [u8; 32]) -> Result<Prepared, PictureError> {
        let rgb = self.transform.apply(rgb)?;
        let pixels = self.normalised(&rgb);
        Ok(Prepared { pixels, shape: [3, rgb.height, rgb.width], sha256 })
    }

    /// The picture as [3, height, width].
    pub fn normalised(&self, rgb: &Rgb) -> Vec<f32> {
        let mut pixels = Vec::with_capacity(rgb.pixels.len());
        for channel in 0..3 {
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
