//! Images and labels: where they lie, how they are read, and how they become a batch for a network.

mod idx;

use std::ops::Range;
use std::path::{Path, PathBuf};

/// The name of the dataset that is part of the program: the 10,000 test images of Fashion-MNIST.
pub const BUNDLED: &str = "bundled";

/// Why a dataset could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error("dataset {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("dataset {path}: {reason}")]
    Content { path: PathBuf, reason: String },
    #[error(
        "dataset {path}: no IDX images found; expected a folder with a file *-images-idx3-ubyte or *.gz beside its \
         *-labels-idx1-ubyte, such a file itself, or `{BUNDLED}`"
    )]
    NotFound { path: PathBuf },
    #[error("dataset {path}: several sets of IDX images ({found}); name the file instead of the folder")]
    Several { path: PathBuf, found: String },
}

/// Images and labels, in the order of their file.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    name: String,
    /// Channels, height, width.
    shape: [usize; 3],
    /// Image by image, each [channels, height, width].
    pixels: Vec<u8>,
    labels: Vec<u8>,
    sha256: String,
}

/// How pixels become a network's input: (pixel/255 − mean)/std, in f32, a mean and a standard deviation a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

impl Dataset {
    /// Open `path`: a folder of IDX files, an IDX file of images, plain or gzipped, or [`BUNDLED`].
    ///
    /// # Errors
    /// [`DatasetError`], naming the file.
    pub fn open(path: &Path) -> Result<Dataset, DatasetError> {
        if path == Path::new(BUNDLED) { idx::bundled() } else { idx::open(path) }
    }

    /// A short name for tables: the file's, or [`BUNDLED`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image; no dataset opens so.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels, height, width of every image.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The class of each image, from 0.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// SHA-256 over shape, pixels and labels, in hexadecimal; the same for a plain and a gzipped file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The images of `range`, normalised, as [images, channels, height, width].
    pub fn batch(&self, range: Range<usize>, normalisation: &Normalisation) -> Vec<f32> {
        let [channels, height, width] = self.shape;
        let (area, image) = (height * width, channels * height * width);
        let mut batch = Vec::with_capacity(range.len() * image);
        for plane in self.pixels[range.start * image..range.end * image].chunks_exact(area.max(1)) {
            let channel = batch.len() / area % channels;
            let (mean, std) = (normalisation.mean[channel], normalisation.std[channel]);
            batch.extend(plane.iter().map(|&pixel| (f32::from(pixel) / 255.0 - mean) / std));
        }
        batch
    }
}
