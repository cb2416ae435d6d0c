//! Options that several subcommands share: the model and its device, the dataset, and how images become inputs.

use std::path::{Path, PathBuf};

use clap::Args;
use tch::{Cuda, Device};

use super::Failure;
use crate::activation::Isa;
use crate::dataset::{
    Coverage, Dataset, Interpolation, Layout, OpenOptions, Part, Preparation, Sample, Sampling, Size, Transform,
};
use crate::evaluation::DEFAULT_BATCH;
use crate::model::{self, Model, Preprocess};

/// The model and where it runs.
#[derive(Debug, Args)]
pub(super) struct ModelOptions {
    /// TorchScript archive of the classifier, traced or scripted
    #[arg(long, value_name = "M.pt")]
    pub model: PathBuf,
    #[command(flatten)]
    pub device: DeviceOptions,
}

/// Where a model runs.
#[derive(Debug, Args)]
pub(super) struct DeviceOptions {
    /// Where to run: cpu, cuda or cuda:N; several share the images, cuda:0,cuda:1
    #[arg(long, value_name = "DEVICE,…", default_value = "cpu", value_delimiter = ',', value_parser = device)]
    pub device: Vec<Device>,
    /// Allow TF32 on CUDA: faster, and three digits less in every product
    #[arg(long)]
    pub tf32: bool,
    /// Threads for the network, and as many for decoding [default: as many as the machine has cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=4096))]
    pub threads: Option<i32>,
    /// Instructions of the activations on the CPU: avx512, avx2 or portable, to see what depends on them [default: the widest
    /// there are]
    #[arg(long, value_name = "ISA")]
    pub instructions: Option<Isa>,
}

fn device(text: &str) -> Result<Device, String> {
    match text.split_once(':') {
        None if text == "cpu" => Ok(Device::Cpu),
        None if text == "cuda" => Ok(Device::Cuda(0)),
        Some(("cuda", index)) => {
            index.parse().map(Device::Cuda).map_err(|_| format!("`{index}` is no CUDA device number"))
        }
        _ => Err("expected cpu, cuda or cuda:N".to_owned()),
    }
}

impl ModelOptions {
    /// The model, once on each of its devices.
    ///
    /// # Errors
    /// As [`DeviceOptions::load`].
    pub fn load(&self) -> Result<Vec<Model>, Failure> {
        self.device.prepare()?;
        self.device.load(&self.model)
    }
}

impl DeviceOptions {
    /// Set threads, instructions and precision, and see that the devices are there.
    ///
    /// # Errors
    /// CUDA asked for and not there, with the cause.
    pub fn prepare(&self) -> Result<(), Failure> {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
            // Fails only where the pool is there already, and this is its first use.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build_global();
        }
        if let Some(isa) = self.instructions {
            isa.limit();
        }
        model::allow_tf32(self.tf32);
        for device in &self.device {
            if let Device::Cuda(index) = device {
                check_cuda(*index)?;
            }
        }
        Ok(())
    }

    /// The model at `path`, once on each device.
    ///
    /// # Errors
    /// What [`Model::load`] reports.
    pub fn load(&self, path: &Path) -> Result<Vec<Model>, Failure> {
        self.device.iter().map(|&device| Ok(Model::load(path, device)?)).collect()
    }

    /// The devices as result rows name them, `cuda:0+cuda:1`.
    pub fn name(&self) -> String {
        let name = |device: &Device| match device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        };
        self.device.iter().map(name).collect::<Vec<_>>().join("+")
    }
}

/// Why CUDA device `index` is not there; never is another one taken instead.
fn check_cuda(index: usize) -> Result<(), Failure> {
    let count = Cuda::device_count();
    let cause = if !tch::utils::has_cudart() {
        "this libtorch is built without CUDA; set LIBTORCH to one that has it, and build again".to_owned()
    } else if count == 0 {
        "libtorch finds no CUDA device: is there one, and is the NVIDIA driver installed? (nvidia-smi tells)".to_owned()
    } else if index as i64 >= count {
        format!("there are {count} CUDA devices, numbered from 0")
    } else {
        return Ok(());
    };
    Err(Failure::Usage(format!("--device cuda:{index}: {cause}")))
}

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
        Ok(&[channels, height, width]) if model::is_input_size([channels, height, width]) => {
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

/// How images and labels are read.
#[derive(Debug, Args)]
pub(super) struct ReadingOptions {
    /// How the dataset lies on the disk: imagefolder, flat, tar, cifar or idx [default: recognised]
    #[arg(long, value_name = "LAYOUT")]
    pub layout: Option<Layout>,
    /// Labels of a folder or tar archive of images: class indices, WordNet ids or names from --classes, one a line in the
    /// order of the file names or after them, or a CSV file of images and labels, such as Kaggle's LOC_val_solution.csv
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Class names or WordNet ids in the order of the model's outputs, one a line [default: alphabetical order]
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// WordNet ids in the order of the development kit's numbers, one a line, to read its ground truth with --labels
    #[arg(long, value_name = "FILE")]
    pub devkit_synsets: Option<PathBuf>,
    /// Use N images only, drawn by --seed from the whole dataset: the same ones on every machine
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub limit: Option<usize>,
    /// Use the first N images only; of class folders, these are the images of the first classes
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, conflicts_with = "limit")]
    pub first: Option<usize>,
    /// Keep N images apart, drawn by --seed: `calibrate` measures on these alone, `eval` and `sweep` leave them out
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub holdout: Option<usize>,
    /// Which images --limit and --holdout draw
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// Images in one pass through the network
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BATCH, value_parser = positive, allow_negative_numbers = true)]
    pub batch: usize,
    /// Stop at the first image that cannot be read, instead of counting it
    #[arg(long)]
    pub strict: bool,
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "expected a positive whole number".to_owned())
}

impl ReadingOptions {
    /// Open the dataset at `path`.
    ///
    /// # Errors
    /// What [`OpenOptions::open`] reports.
    pub fn open(&self, path: &Path) -> Result<Dataset, Failure> {
        let options = OpenOptions {
            layout: self.layout,
            labels: self.labels.clone(),
            classes: self.classes.clone(),
            devkit_synsets: self.devkit_synsets.clone(),
        };
        let dataset = options.open(path)?;
        // Even when quiet: which images count, and as which class, decides what the figures mean.
        for note in dataset.notes() {
            eprintln!("warning: --dataset {}: {note}", path.display());
        }
        Ok(dataset)
    }

    /// The images to evaluate: chosen from those that are not held out.
    ///
    /// # Errors
    /// [`Failure::Usage`] if --holdout leaves none.
    pub fn evaluated(&self, dataset: &Dataset) -> Result<Sample, Failure> {
        self.choose(dataset, Part::Rest)
    }

    /// The images to calibrate on: chosen from those held out, or from all.
    ///
    /// # Errors
    /// [`Failure::Usage`] if --holdout leaves none to evaluate.
    pub fn calibrated(&self, dataset: &Dataset) -> Result<Sample, Failure> {
        self.choose(dataset, Part::HeldOut)
    }

    fn choose(&self, dataset: &Dataset, part: Part) -> Result<Sample, Failure> {
        let size = match (self.limit, self.first) {
            (Some(count), _) => Size::Drawn(count),
            (None, Some(count)) => Size::First(count),
            (None, None) => Size::All,
        };
        let sampling = Sampling { size, holdout: self.holdout, seed: self.seed };
        let sample = sampling.choose(dataset.len(), part).ok_or_else(|| {
            let (count, name, images) = (self.holdout.unwrap_or_default(), dataset.name(), dataset.len());
            Failure::Usage(format!("--holdout {count}: {name} has only {images} images"))
        })?;
        // Even when quiet: accuracy and ranges of a few classes are not those of all.
        if let (Some(count), Some(coverage)) = (self.first, Coverage::missing(dataset, &sample.images)) {
            eprintln!(
                "warning: --first {count}: the images lie class by class, and the first ones are of {coverage}; --limit {count} draws \
                 from all of them"
            );
        }
        Ok(sample)
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
        let interpolation = self.interpolation.unwrap_or(match own.interpolation {
            Some(model::Interpolation::Bicubic) => Interpolation::Bicubic,
            _ => Interpolation::Bilinear,
        });
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
