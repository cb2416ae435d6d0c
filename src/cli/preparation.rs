//! The options that say how images become inputs of a model, and what holds where they do not.

use clap::Args;

use super::Failure;
use crate::dataset::{Dataset, Interpolation, Preparation, Preprocess, Transform, is_input_size};

/// The form of a model's input, where the archive does not say it or is to be overruled.
#[derive(Debug, Default, Args)]
pub(super) struct InputOptions {
    /// Input of the model as CxHxW; with one channel, image files become grey [default: the archive's own, else 3x224x224]
    #[arg(long, value_name = "CxHxW", value_parser = input_size)]
    pub input_size: Option<InputSize>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct InputSize(pub [usize; 3]);

fn input_size(text: &str) -> Result<InputSize, String> {
    let sizes: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    match sizes.as_deref() {
        Ok(&[channels, height, width]) if is_input_size([channels, height, width]) => {
            Ok(InputSize([channels, height, width]))
        }
        _ => Err("expected channels, height and width such as 3x224x224, of at most 2^31 values in all".to_owned()),
    }
}

impl InputOptions {
    /// The input's channels, height and width.
    pub fn size(&self, preprocess: &Preprocess) -> [usize; 3] {
        self.input_size.map(|size| size.0).or(preprocess.input_size).unwrap_or([3, 224, 224])
    }
}

/// How an image becomes an input. What is not given is the archive's own. Of what that does not say either, each by itself,
/// image files get what is usual for ImageNet, and plain pixels are only divided by 255.
#[derive(Debug, Default, Args)]
pub(super) struct PreparationOptions {
    #[command(flatten)]
    pub input: InputOptions,
    /// Resize the short side to N pixels, or `none` [default: the archive's own; if it says no size at all, 256 for image
    /// files, or the side of another --input-size than 224]
    #[arg(long, value_name = "N|none", value_parser = side)]
    pub resize: Option<Side>,
    /// Cut N by N pixels out of the middle, or `none` [default: that of --input-size, else the archive's own; if it says no size
    /// at all, 224 for image files]
    #[arg(long, value_name = "N|none", value_parser = side)]
    pub crop: Option<Side>,
    /// How to resize: bilinear or bicubic, as Pillow does [default: the archive's own, else bilinear]
    #[arg(long, value_name = "KIND", value_parser = interpolation)]
    pub interpolation: Option<Interpolation>,
    /// Subtracted from pixels in [0,1], one value or one a channel [default: the archive's own, else ImageNet's for image
    /// files in colour, else 0]
    #[arg(long, value_name = "M,…", value_delimiter = ',', allow_negative_numbers = true)]
    pub mean: Vec<f32>,
    /// Divided by after that, one value or one a channel [default: the archive's own, else ImageNet's for image files
    /// in colour, else 1]
    #[arg(long, value_name = "S,…", value_delimiter = ',', allow_negative_numbers = true)]
    pub std: Vec<f32>,
}

/// A length in pixels, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side(pub Option<usize>);

fn side(text: &str) -> Result<Side, String> {
    match (text, text.parse()) {
        ("none", _) => Ok(Side(None)),
        (_, Ok(pixels)) if (1..=16384).contains(&pixels) => Ok(Side(Some(pixels))),
        _ => Err("expected a number of pixels from 1 to 16384, or none".to_owned()),
    }
}

fn interpolation(text: &str) -> Result<Interpolation, String> {
    match text {
        "bilinear" => Ok(Interpolation::Bilinear),
        "bicubic" => Ok(Interpolation::Bicubic),
        _ => Err("expected bilinear or bicubic".to_owned()),
    }
}

/// Mean and standard deviation of ImageNet's training images, as torchvision's weights use them.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

impl PreparationOptions {
    /// How images of `dataset` become inputs of a model that says `own` of them.
    ///
    /// # Errors
    /// [`Failure::Usage`]: another number of values than channels, a deviation that is not positive, images that cannot be
    /// resized, or images of another shape than the model's input.
    pub fn resolve(&self, own: &Preprocess, dataset: &Dataset) -> Result<Preparation, Failure> {
        let channels = self.channels(own, dataset)?;
        let transform = self.transform(own, dataset)?;
        if let (Some(shape), true) = (dataset.shape(), transform.is_identity()) {
            check_shape(dataset, shape, self.input.input_size.map(|size| size.0).or(own.input_size))?;
        }
        if !matches!(channels, 1 | 3) && !transform.is_identity() {
            return Err(Failure::Usage(format!(
                "the images of {} have {channels} channels, and only those of 1 or 3 can be resized and cropped; say --resize \
                 none --crop none",
                dataset.name()
            )));
        }
        let usual = dataset.shape().is_none() && channels == 3;
        let values = |flag: &str, given: &[f32], own: &Option<Vec<f32>>, imagenet: [f32; 3], otherwise: f32| {
            let origin = if given.is_empty() { " of the archive" } else { "" };
            let list = if given.is_empty() { own.as_deref().unwrap_or(&[]) } else { given };
            match list {
                [] if usual => Ok(imagenet.to_vec()),
                [] => Ok(vec![otherwise; channels]),
                [one] => Ok(vec![*one; channels]),
                list if list.len() == channels => Ok(list.to_vec()),
                list => Err(Failure::Usage(format!("{flag}{origin}: {} values for {channels} channels", list.len()))),
            }
        };
        let mean = values("--mean", &self.mean, &own.mean, IMAGENET.0, 0.0)?;
        let std = values("--std", &self.std, &own.std, IMAGENET.1, 1.0)?;
        if let Some(bad) = std.iter().find(|&&std| !(std > 0.0 && std.is_finite())) {
            return Err(Failure::Usage(format!("--std {bad}: expected a positive number")));
        }
        if let Some(bad) = mean.iter().find(|mean| !mean.is_finite()) {
            return Err(Failure::Usage(format!("--mean {bad}: expected a finite number")));
        }
        Ok(Preparation { transform, mean, std })
    }

    /// Of the network's input: those of plain pixels; of image files what the model takes, 1 for grey, else 3.
    ///
    /// # Errors
    /// [`Failure::Usage`]: image files for a model that takes another number.
    fn channels(&self, own: &Preprocess, dataset: &Dataset) -> Result<usize, Failure> {
        if let Some(shape) = dataset.shape() {
            return Ok(shape[0]);
        }
        match (self.input.input_size, own.input_size) {
            (Some(InputSize([channels @ (1 | 3), _, _])), _) | (None, Some([channels @ (1 | 3), _, _])) => Ok(channels),
            (None, None) => Ok(3),
            (Some(InputSize(size)), _) => Err(Failure::Usage(format!(
                "--input-size {}: image files become inputs of 3 channels, or of 1 in grey",
                by_x(size)
            ))),
            (None, Some(size)) => Err(Failure::Usage(format!(
                "the model takes inputs of {}, but image files become inputs of 3 channels, or of 1 in grey; --input-size \
                 overrules the archive",
                by_x(size)
            ))),
        }
    }

    /// How images are resized and cropped. An input size that is given decides what is cut out of image files. Resize and
    /// crop belong together: where the archive says one of them or its input size, it means no default for the other.
    ///
    /// # Errors
    /// [`Failure::Usage`]: an input size for image files that is not square.
    fn transform(&self, own: &Preprocess, dataset: &Dataset) -> Result<Transform, Failure> {
        let files = dataset.shape().is_none();
        let usual = files && own.resize.is_none() && own.crop.is_none() && own.input_size.is_none();
        let given = match self.input.input_size {
            Some(InputSize([_, height, width])) if files && height == width => Some(height),
            Some(InputSize(size)) if files => {
                return Err(Failure::Usage(format!(
                    "--input-size {}: image files are cropped to squares; give a square size, or images that need no crop, with \
                     --resize none --crop none and without --input-size",
                    by_x(size)
                )));
            }
            _ => None,
        };
        let resize = own.resize.or(usual.then_some(match given {
            None | Some(224) => 256,
            Some(side) => side,
        }));
        let crop = given.or(own.crop).or(usual.then_some(224));
        let interpolation = self.interpolation.or(own.interpolation).unwrap_or_default();
        Ok(Transform {
            resize: self.resize.map_or(resize, |side| side.0),
            crop: self.crop.map_or(crop, |side| side.0),
            interpolation,
        })
    }
}

/// Plain pixels that are used as they are must have the shape of the model's input.
fn check_shape(dataset: &Dataset, shape: [usize; 3], expected: Option<[usize; 3]>) -> Result<(), Failure> {
    match expected {
        Some(expected) if expected != shape => Err(Failure::Usage(format!(
            "the images of {} are {}, but the model takes {}",
            dataset.name(),
            by_x(shape),
            by_x(expected),
        ))),
        _ => Ok(()),
    }
}

/// `3x224x224`.
pub(super) fn by_x(shape: [usize; 3]) -> String {
    shape.map(|size| size.to_string()).join("x")
}
