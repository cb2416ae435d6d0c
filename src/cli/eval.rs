//! `polyact eval`: exact against approximate accuracy of a model on a dataset.

use std::path::PathBuf;

use clap::Args;

use super::configuration::{ConfigurationOptions, OnOverflow};
use super::encryption::EncryptionOptions;
use super::options::{DeviceOptions, ModelOptions, ReadingOptions, UntilOptions};
use super::preparation::PreparationOptions;
use super::task::{OutputOptions, Task};
use super::{Failure, print};
use crate::dataset::BUNDLED;

/// Compare a model's exact accuracy with the one it keeps when its ReLUs and max-pools are polynomials
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Class folders, a folder or tar archive of images with --labels, IDX, binary CIFAR, or `bundled`: the 10,000 test
    /// images of Fashion-MNIST
    #[arg(long, value_name = "D", default_value = BUNDLED)]
    dataset: PathBuf,
    #[command(flatten)]
    reading: ReadingOptions,
    #[command(flatten)]
    configuration: ConfigurationOptions,
    #[command(flatten)]
    encryption: EncryptionOptions,
    #[command(flatten)]
    preparation: PreparationOptions,
    #[command(flatten)]
    until: UntilOptions,
    #[command(flatten)]
    output: OutputOptions,
    /// Print the row as JSON instead of a table
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  polyact eval --model weights/resnet20-fashion.pt --relu-range 16
  polyact eval --model weights/vgg-fashion.pt --relu minimax:15,27,29 --relu-range 16 --out r.csv
  polyact eval --model resnet50.pt --dataset imagenet/val --relu-range 50 --limit 1000
  polyact eval --model resnet50.pt --dataset ILSVRC2012_img_val.tar --labels synset_labels.txt ...
  polyact eval --model resnet50.pt --dataset imagenet/val --relu-range file:ranges.csv --holdout 1000
  polyact eval --model resnet50.pt --dataset imagenet/val --relu-range 50 --until 0.2
  polyact eval --model weights/resnet20-fashion.pt --relu-range 16 --ckks orion --trials 5
  polyact eval --model weights/vgg-fashion.pt --relu paper:10 --relu-range 16 --near-flips near.csv

Inputs beyond a range are counted and, unless --on-overflow says so, not clipped: there the polynomials
blow up, as they would under encryption. ReLU6 is ReLU(x) - ReLU(x-6), and the range of its second
ReLU is B+6. docs/columns.md explains the columns of every CSV file,
docs/noise.md the noise of --ckks.";

impl Arguments {
    pub(super) fn device(&self) -> &DeviceOptions {
        &self.model.device
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files = arguments.configuration.substitution.files(arguments.reading.files());
    let files = files.reads("--model", &*arguments.model.model).reads("--dataset", &*arguments.dataset);
    arguments.output.check(files)?;
    let task = Task {
        model: &arguments.model,
        dataset: &arguments.dataset,
        reading: &arguments.reading,
        until: arguments.until,
        preparation: &arguments.preparation,
        output: &arguments.output,
        encryption: &arguments.encryption,
        stop_at_overflow: arguments.configuration.on_overflow == OnOverflow::Error,
    };
    let (row, text) = task.compare(|| arguments.configuration.read())?;
    print(&if arguments.json { serde_json::to_string_pretty(&row.json())? + "\n" } else { text })
}
