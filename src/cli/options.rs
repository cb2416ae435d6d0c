//! Options that several subcommands share: the model, its inputs, the device.

use std::path::PathBuf;

use clap::Args;
use tch::{Cuda, Device};

use super::Failure;
use crate::dataset::Normalisation;
use crate::model::{Model, Preprocess};

/// The model and where it runs.
#[derive(Debug, Args)]
pub(super) struct ModelOptions {
    /// TorchScript archive of the classifier, traced or scripted
    #[arg(long, value_name = "M.pt")]
    pub model: PathBuf,
    /// Where to run: cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = device)]
    pub device: Device,
    /// Threads for one pass [default: as many as the machine has cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=4096))]
    pub threads: Option<i32>,
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
    /// Load the model, on as many threads as asked for.
    ///
    /// # Errors
    /// CUDA asked for and not there, with the cause; and what [`Model::load`] reports.
    pub fn load(&self) -> Result<Model, Failure> {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
        }
        if let Device::Cuda(index) = self.device {
            let count = Cuda::device_count();
            let cause = if !tch::utils::has_cuda() && count == 0 {
                Some("this libtorch sees no CUDA: it is a CPU build, or the NVIDIA driver is missing".to_owned())
            } else {
                (index as i64 >= count).then(|| format!("there are {count} CUDA devices, numbered from 0"))
            };
            if let Some(cause) = cause {
                return Err(Failure::Usage(format!("--device cuda:{index}: {cause}")));
            }
        }
        Ok(Model::load(&self.model, self.device)?)
    }
}

/// The form of a model's input, where the archive does not say it or is to be overruled.
#[derive(Debug, Args)]
pub(super) struct InputOptions {
    /// Input of the model as CxHxW [default: the archive's own, else 3x224x224]
    #[arg(long, value_name = "CxHxW", value_parser = input_size)]
    pub input_size: Option<InputSize>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct InputSize(pub [usize; 3]);

fn input_size(text: &str) -> Result<InputSize, String> {
    let sizes: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    match sizes.as_deref() {
        Ok(&[channels, height, width]) if channels * height * width > 0 => Ok(InputSize([channels, height, width])),
        _ => Err("expected channels, height and width such as 3x224x224".to_owned()),
    }
}

impl InputOptions {
    /// The input's channels, height and width.
    pub fn size(&self, preprocess: &Preprocess) -> [usize; 3] {
        self.input_size.map(|size| size.0).or(preprocess.input_size).unwrap_or([3, 224, 224])
    }
}

/// How pixels are normalised.
#[derive(Debug, Args)]
pub(super) struct NormalisationOptions {
    /// Subtracted from pixels in [0,1], one value or one a channel [default: the archive's own, else 0]
    #[arg(long, value_name = "M,…", value_delimiter = ',', allow_negative_numbers = true)]
    pub mean: Vec<f32>,
    /// Divided by after that, one value or one a channel [default: the archive's own, else 1]
    #[arg(long, value_name = "S,…", value_delimiter = ',')]
    pub std: Vec<f32>,
}

impl NormalisationOptions {
    /// One mean and one deviation for each of `channels`.
    ///
    /// # Errors
    /// [`Failure::Usage`] for another number of values, and for a deviation that is not positive.
    pub fn resolve(&self, preprocess: &Preprocess, channels: usize) -> Result<Normalisation, Failure> {
        let choose = |flag: &str, given: &[f32], own: &Option<Vec<f32>>, otherwise: f32| {
            let list = if given.is_empty() { own.as_deref().unwrap_or(&[]) } else { given };
            match list {
                [] => Ok(vec![otherwise; channels]),
                [one] => Ok(vec![*one; channels]),
                list if list.len() == channels => Ok(list.to_vec()),
                list => Err(Failure::Usage(format!("{flag}: {} values for {channels} channels", list.len()))),
            }
        };
        let mean = choose("--mean", &self.mean, &preprocess.mean, 0.0)?;
        let std = choose("--std", &self.std, &preprocess.std, 1.0)?;
        if let Some(bad) = std.iter().find(|&&std| !(std > 0.0 && std.is_finite())) {
            return Err(Failure::Usage(format!("--std: {bad} is not positive")));
        }
        if let Some(bad) = mean.iter().find(|mean| !mean.is_finite()) {
            return Err(Failure::Usage(format!("--mean: {bad} is no number")));
        }
        Ok(Normalisation { mean, std })
    }
}
