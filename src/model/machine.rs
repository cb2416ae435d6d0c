//! What networks run on: libtorch as this program has it, the processor, and CUDA.

use std::path::PathBuf;

use tch::Cuda;

use super::cuda;
use crate::activation::Isa;

/// What there is on this machine, as libtorch and the kernels see it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// libtorch's version, `2.13.0`.
    pub libtorch: &'static str,
    /// Where its libraries lie.
    pub folder: Option<PathBuf>,
    /// The version of CUDA that it is built for, `13.0`.
    pub cuda: Option<String>,
    /// Whether it has oneDNN, without which convolutions are slower.
    pub has_onednn: bool,
    /// Threads for the network.
    pub threads: usize,
    /// Instruction sets of the processor that the activations have kernels for, the widest last.
    pub instructions: Vec<Isa>,
    /// Compute capability of each CUDA device that can be used, `sm_90`, in the order of their numbers; none where it
    /// cannot be told.
    pub devices: Vec<Option<String>>,
    /// Why no CUDA device can be used.
    pub no_device: Option<String>,
    /// Why activations on CUDA would be computed by tensor operations, and not by kernels of their own.
    pub no_kernels: Option<String>,
}

impl Machine {
    /// This one.
    pub fn here() -> Machine {
        let version = |number: i64| format!("{}.{}", number / 1000, number % 1000 / 10);
        let no_device = no_device(0);
        let count = if no_device.is_none() { Cuda::device_count() as usize } else { 0 };
        let architectures = cuda::architectures(count);
        Machine {
            libtorch: env!("POLYACT_LIBTORCH"),
            folder: folder(),
            cuda: tch::utils::has_cudart().then(|| version(tch::utils::version_cudart())),
            has_onednn: tch::utils::has_mkldnn(),
            threads: tch::get_num_threads() as usize,
            instructions: Isa::present().collect(),
            no_kernels: architectures.as_ref().err().map(ToString::to_string),
            devices: architectures.unwrap_or_else(|_| vec![None; count]),
            no_device,
        }
    }
}

/// Why CUDA device `index` cannot be used, and what to do; none if it can.
pub fn no_device(index: usize) -> Option<String> {
    let count = Cuda::device_count();
    if !tch::utils::has_cudart() {
        Some("this libtorch is built without CUDA; set LIBTORCH to one that has it, and build again".to_owned())
    } else if count == 0 {
        let question = "is there one, and is the NVIDIA driver installed? (nvidia-smi tells)";
        Some(format!("libtorch finds no CUDA device: {question}"))
    } else if index as i64 >= count {
        Some(format!("there are {count} CUDA devices, numbered from 0"))
    } else {
        None
    }
}

/// The folder that libtorch was loaded from, as Linux tells it.
fn folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path =
        maps.lines().find_map(|line| Some(&line[line.find('/').filter(|_| line.contains("libtorch_cpu"))?..]))?;
    PathBuf::from(path).parent().map(PathBuf::from)
}
