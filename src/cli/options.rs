//! Options that several subcommands share: the model and its device, and the dataset.

use std::path::{Path, PathBuf};

use clap::Args;
use tch::Device;

use super::Failure;
use super::output::Files;
use super::settings::Settings;
use crate::activation::Isa;
use crate::dataset::{Coverage, Dataset, Layout, OpenOptions, Part, Sample, Sampling, Size};
use crate::evaluation::{DEFAULT_BATCH, Until};
use crate::model::{Model, no_device};

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
    /// Which output of a network with several are the logits: its place in a tuple, 1, or its key in a dictionary, scores
    /// [default: the only one of shape images x classes]
    #[arg(long, value_name = "N|KEY", default_value = "", hide_default_value = true)]
    pub output: String,
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
        self.device.check()?;
        self.device.load(&self.model)
    }
}

impl DeviceOptions {
    /// What holds for the whole process.
    pub fn settings(&self) -> Settings {
        Settings { threads: self.threads, instructions: self.instructions, tf32: self.tf32 }
    }

    /// See that the devices are there; never is another one taken instead.
    ///
    /// # Errors
    /// A CUDA device that is named twice, or is not there, with the cause.
    pub fn check(&self) -> Result<(), Failure> {
        let cuda =
            self.device.iter().filter_map(|device| if let Device::Cuda(index) = device { Some(*index) } else { None });
        let cuda: Vec<usize> = cuda.collect();
        let twice = || "it is named twice; name each device once".to_owned();
        let doubled = (1..cuda.len()).find(|&at| cuda[..at].contains(&cuda[at])).map(|at| (cuda[at], twice()));
        let missing = || cuda.iter().find_map(|&index| Some((index, no_device(index)?)));
        if let Some((index, cause)) = doubled.or_else(missing) {
            return Err(Failure::Usage(format!("--device cuda:{index}: {cause}")));
        }
        Ok(())
    }

    /// The model at `path`, once on each device.
    ///
    /// # Errors
    /// What [`Model::load`] reports.
    pub fn load(&self, path: &Path) -> Result<Vec<Model>, Failure> {
        self.device.iter().map(|&device| Ok(Model::load(path, device)?.with_output(&self.output))).collect()
    }

    /// What the network's products are computed in, as result rows name it: TF32 is there on CUDA alone.
    pub fn dtype(&self) -> &'static str {
        let on_cuda = self.device.iter().any(|device| matches!(device, Device::Cuda(_)));
        if self.tf32 && on_cuda { "tf32" } else { "float32" }
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

/// The name of an archive in results: its file's, without the ending.
pub(super) fn name_of(model: &Path) -> String {
    model.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
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
    /// Which images --limit and --holdout draw, and the order of --until
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

/// When a run may stop before the last image.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct UntilOptions {
    /// Stop when the difference in top-1 that all images would give is known within W points with 95 %, over images in an
    /// order drawn by --seed
    #[arg(long, value_name = "W", value_parser = width, allow_negative_numbers = true)]
    pub until: Option<f64>,
}

impl UntilOptions {
    /// For so many images.
    pub fn of(self, images: usize) -> Option<Until> {
        self.until.map(|width| Until::new(width, images))
    }
}

fn width(text: &str) -> Result<f64, String> {
    let width = text.parse().ok().filter(|width| (0.001..=100.0).contains(width));
    width.ok_or_else(|| "expected a width in points from 0.001 to 100, such as 0.2".to_owned())
}

impl ReadingOptions {
    /// The files that say which image is of which class.
    pub fn files(&self) -> Files<'_> {
        Files::default()
            .reads("--labels", self.labels.as_deref())
            .reads("--classes", self.classes.as_deref())
            .reads("--devkit-synsets", self.devkit_synsets.as_deref())
    }

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

    /// The images to evaluate: chosen from those that are not held out, in a random order if the run may stop early.
    ///
    /// # Errors
    /// [`Failure::Usage`] if --holdout leaves none.
    pub fn evaluated(&self, dataset: &Dataset, until: UntilOptions) -> Result<Sample, Failure> {
        self.choose(dataset, Part::Rest, until.until.is_some())
    }

    /// The images to calibrate on: chosen from those held out, or from all.
    ///
    /// # Errors
    /// [`Failure::Usage`] if --holdout leaves none to evaluate.
    pub fn calibrated(&self, dataset: &Dataset) -> Result<Sample, Failure> {
        self.choose(dataset, Part::HeldOut, false)
    }

    fn choose(&self, dataset: &Dataset, part: Part, shuffled: bool) -> Result<Sample, Failure> {
        let size = match (self.limit, self.first) {
            (Some(count), _) => Size::Drawn(count),
            (None, Some(count)) => Size::First(count),
            (None, None) => Size::All,
        };
        let sampling = Sampling { size, holdout: self.holdout, seed: self.seed, shuffled };
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        device: DeviceOptions,
    }

    #[test]
    fn tf32_is_told_where_it_has_an_effect() {
        let dtype = |arguments: &[&str]| Line::parse_from([&["polyact"], arguments].concat()).device.dtype();
        assert_eq!(dtype(&[]), "float32");
        assert_eq!(dtype(&["--tf32"]), "float32");
        assert_eq!(dtype(&["--device", "cuda"]), "float32");
        assert_eq!(dtype(&["--device", "cpu,cuda:1", "--tf32"]), "tf32");
    }
}
