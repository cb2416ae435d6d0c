//! Images and labels: where they lie, how they are read ahead, and how they become a batch for a network.
//!
//! A [`Dataset`] knows its images and their classes; the images themselves are read, decoded and prepared when they are
//! needed, in place and in a stable order.

mod cifar;
mod classes;
mod files;
mod foreign;
mod holdout;
mod idx;
mod label_text;
mod labels;
mod layout;
mod listing;
pub mod picture;
mod pixels;
mod preprocess;
mod reading;
mod sample;

use std::path::PathBuf;

pub use holdout::Holdout;
pub use layout::{Layout, OpenOptions};
pub use picture::{Interpolation, Transform};
pub use preprocess::{Preprocess, PreprocessError, is_input_size};
pub use reading::{Batch, Broken, Misfit, Preparation, Prepared, ReadImages};
pub use sample::{Coverage, Part, Sample, Sampling, Size};

use files::EncodedFile;
use pixels::Pixels;

/// The name of the dataset that is part of the program: the 10,000 test images of Fashion-MNIST.
pub const BUNDLED: &str = "bundled";

/// Why a dataset could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error("dataset {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("dataset {path}: {reason}")]
    Content { path: PathBuf, reason: String },
    #[error("{flag} {path}: {reason}")]
    List { flag: &'static str, path: PathBuf, reason: String },
    #[error(
        "dataset {path}: no known layout; expected class folders, a folder or tar archive of images with --labels, IDX files \
         (*-images-idx3-ubyte[.gz] beside *-labels-idx1-ubyte[.gz]), CIFAR's test_batch.bin or test.bin, or `{BUNDLED}`"
    )]
    Unknown { path: PathBuf },
    #[error("dataset {path}: several sets of IDX images ({found}); name the file instead of the folder")]
    Several { path: PathBuf, found: String },
    #[error("dataset {path}: the layout {layout} needs a label file; name it with --labels FILE")]
    NoLabels { path: PathBuf, layout: Layout },
    #[error(
        "dataset {path}: the layout {layout} has its own labels; --labels is for a folder or tar archive of images"
    )]
    OwnLabels { path: PathBuf, layout: Layout },
}

/// Images and their classes, in a stable order.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    images: Images,
    labels: Vec<u32>,
    classes: Option<usize>,
    notes: Vec<String>,
}

#[derive(Debug)]
enum Images {
    Pixels(Pixels),
    Files(Vec<EncodedFile>),
}

impl Dataset {
    /// A short name for tables: that of the file or folder, or [`BUNDLED`].
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

    /// Channels, height, width of every image, where they are stored as plain pixels of one shape.
    pub fn shape(&self) -> Option<[usize; 3]> {
        match &self.images {
            Images::Pixels(pixels) => Some(pixels.shape()),
            Images::Files(_) => None,
        }
    }

    /// The class of each image, from 0.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// How many classes the labels were numbered among, where they are names: folders or WordNet ids. A model with
    /// another number of outputs numbers them otherwise.
    pub fn classes(&self) -> Option<usize> {
        self.classes
    }

    /// What the user has to know of how the dataset was read, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The name of image `index`: its file, or its position.
    pub fn image_name(&self, index: usize) -> String {
        match &self.images {
            Images::Pixels(_) => index.to_string(),
            Images::Files(files) => files[index].name.clone(),
        }
    }
}
