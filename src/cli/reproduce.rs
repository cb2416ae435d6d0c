//! `polyact reproduce`: the published figures that have a source, beside what comes out here.

use std::path::{Path, PathBuf};

use clap::Args;

use super::encryption::EncryptionOptions;
use super::options::{DeviceOptions, ModelOptions, ReadingOptions, UntilOptions};
use super::preparation::{PreparationOptions, Side};
use super::task::{OutputOptions, Task};
use super::{Failure, print};
use crate::activation::{Arithmetic, Interval, Spec};
use crate::evaluation::{Configuration, Ranges};
use crate::report::{Align, Row, table};

/// Repeat the published evaluation on ImageNet and print the differences (arXiv 2105.10879)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// ImageNet's validation set: class folders, or a folder or ILSVRC2012_img_val.tar with --labels
    #[arg(long, value_name = "DIR")]
    imagenet: PathBuf,
    /// A published network, looked for as weights/NAME.pt, or the path of its archive
    #[arg(long, value_name = "NAME|M.pt", default_value = "resnet152")]
    model: PathBuf,
    /// What activations are computed in: f64 on monomials, or f32 on Chebyshev series
    #[arg(long, value_name = "f64|f32", default_value_t)]
    arithmetic: Arithmetic,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    reading: ReadingOptions,
    #[command(flatten)]
    output: OutputOptions,
}

const EXAMPLES: &str = "Examples:
  scripts/export_torchscript.py resnet152 --weights IMAGENET1K_V1 -o weights/resnet152.pt
  polyact reproduce --imagenet imagenet/val --out results.csv
  polyact reproduce --imagenet ILSVRC2012_img_val.tar --labels synset_labels.txt --limit 1000";

/// A published row.
struct Published {
    network: &'static str,
    alpha: u32,
    relu_range: f64,
    maxpool_range: f64,
    resize: usize,
    crop: usize,
    /// Top-1 in percent.
    exact: f64,
    approximate: f64,
}

/// Lee et al., arXiv 2105.10879: pretrained networks of torchvision on ImageNet, without retraining.
const PUBLISHED: [Published; 1] = [Published {
    network: "resnet152",
    alpha: 14,
    relu_range: 100.0,
    maxpool_range: 10.0,
    resize: 256,
    crop: 224,
    exact: 78.31,
    approximate: 77.52,
}];

impl Arguments {
    pub(super) fn device(&self) -> &DeviceOptions {
        &self.device
    }
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let (published, path) = find(&arguments.model)?;
    let model = ModelOptions { model: path, device: arguments.device };
    let configuration = Configuration {
        relu: Spec::Paper { alpha: published.alpha },
        maxpool: None,
        relu_range: Some(Ranges::One(Interval::symmetric(published.relu_range)).into()),
        maxpool_range: Some(Ranges::One(Interval::symmetric(published.maxpool_range)).into()),
        plan: None,
        arithmetic: arguments.arithmetic,
        clip: false,
        guard: None,
    };
    let preparation = PreparationOptions {
        resize: Some(Side(Some(published.resize))),
        crop: Some(Side(Some(published.crop))),
        ..PreparationOptions::default()
    };
    let files = arguments.reading.files().reads("--model", &*model.model).reads("--imagenet", &*arguments.imagenet);
    arguments.output.check(files)?;
    let task = Task {
        model: &model,
        dataset: &arguments.imagenet,
        reading: &arguments.reading,
        until: UntilOptions::default(),
        preparation: &preparation,
        output: &arguments.output,
        stop_at_overflow: false,
        encryption: &EncryptionOptions::default(),
    };
    let (row, text) = task.compare(|| Ok(configuration))?;
    print(&(text + &beside(published, &row)))
}

/// The published row that `model` names, and its archive.
fn find(model: &Path) -> Result<(&'static Published, PathBuf), Failure> {
    let name = model.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let published = PUBLISHED.iter().find(|published| published.network == name).ok_or_else(|| {
        let known: Vec<&str> = PUBLISHED.iter().map(|published| published.network).collect();
        Failure::Usage(format!(
            "--model {}: no published figures for {name}; there are some for {}",
            model.display(),
            known.join(", ")
        ))
    })?;
    let is_name = model.as_os_str() == name.as_str();
    let path = if is_name { Path::new("weights").join(format!("{name}.pt")) } else { model.to_owned() };
    if is_name && !path.exists() {
        return Err(Failure::Usage(format!(
            "{} is missing: make it by scripts/export_torchscript.py {name} --weights IMAGENET1K_V1 -o {0}",
            path.display()
        )));
    }
    Ok((published, path))
}

fn beside(published: &Published, row: &Row) -> String {
    let line = |name: &str, expected: f64, found: f64| {
        vec![name.to_owned(), format!("{expected:.2}"), format!("{found:.2}"), format!("{:+.2}", found - expected)]
    };
    let header =
        [("top-1 %", Align::Left), ("published", Align::Right), ("here", Align::Right), ("difference", Align::Right)];
    let rows = [line("exact", published.exact, row.top1_exact), line("approximate", published.approximate, row.top1)];
    let mut text = format!("\n{}", table(&header, rows));
    if row.images < 50_000 {
        text += &format!("on {} images; the published figures are for all 50,000\n", row.images);
    }
    text
}
