//! Sites on CUDA: the kernels of [`crate::activation`], compiled when a device first needs them, and what they counted.
//!
//! NVRTC and the driver are looked up at run time, so that one program serves every libtorch and machine. Where one of them
//! is missing or fails, plain tensor operations compute the same, and a warning says so once for each reason.

mod compiler;
mod counters;
mod driver;

use std::collections::{BTreeSet, HashMap};
use std::ffi::CStr;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

use super::libtorch::current_stream;
use crate::activation::{Addresses, Element, MaxPool, Planes, Relu};
use compiler::Compiler;
pub(super) use counters::Counters;
use driver::{Driver, Function};

/// Why the kernels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    #[error("{name} is not there: {source}")]
    Library { name: &'static str, source: libloading::Error },
    #[error("NVRTC cannot compile them for {architecture}: {reason}")]
    Compile { architecture: String, reason: String },
    #[error("{call} of the NVIDIA driver fails: {text} ({status})")]
    Driver { call: &'static str, status: i32, text: String },
}

/// A type of values that a kernel can be compiled for.
pub(super) trait Value: Element + tch::kind::Element {}

impl Value for f32 {}
impl Value for f64 {}

/// What compiles and what launches.
struct Cuda {
    compiler: Compiler,
    driver: Driver,
}

static CUDA: LazyLock<Result<Cuda, CudaError>> =
    LazyLock::new(|| Ok(Cuda { compiler: Compiler::loaded()?, driver: Driver::loaded()? }));

/// What each of the first `count` devices understands, `sm_90`; none where the driver does not tell.
///
/// # Errors
/// Why kernels cannot be compiled or launched at all.
pub(super) fn architectures(count: usize) -> Result<Vec<Option<String>>, &'static CudaError> {
    let cuda = CUDA.as_ref()?;
    Ok((0..count).map(|device| cuda.driver.architecture(device).ok()).collect())
}

/// The kernels of one site, for each kind of values; a table of sites is for one device.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    singles: OnceLock<(usize, Option<Function>)>,
    doubles: OnceLock<(usize, Option<Function>)>,
}

impl Kernel {
    /// The kernel for values of `kind` on `device`; none where it cannot be used.
    fn get(&self, device: usize, kind: Kind, name: &CStr, source: impl FnOnce() -> String) -> Option<Function> {
        let of_kind = if kind == Kind::Double { &self.doubles } else { &self.singles };
        let &(for_device, function) = of_kind.get_or_init(|| (device, function(device, name, source())));
        function.filter(|_| for_device == device)
    }

    /// Compile what `relu` needs for f32 on `device`, before anybody waits for it.
    pub fn prepare_relu(&self, relu: &Relu, device: Device) {
        if let Device::Cuda(device) = device {
            let _ = self.relu::<f32>(relu, device);
        }
    }

    /// The same of `pool`.
    pub fn prepare_max_pool(&self, pool: &MaxPool, device: Device) {
        if let Device::Cuda(device) = device {
            let _ = self.max_pool::<f32>(pool, device);
        }
    }

    fn relu<T: Value>(&self, relu: &Relu, device: usize) -> Option<Function> {
        self.get(device, T::KIND, c"relu", || relu.cuda_source::<T>())
    }

    fn max_pool<T: Value>(&self, pool: &MaxPool, device: usize) -> Option<Function> {
        self.get(device, T::KIND, c"max_pool", || pool.cuda_source::<T>())
    }
}

/// Kernels by device and program; none where it failed.
type Known = HashMap<(usize, String), Option<Function>>;

/// The kernel `name` of the program `source` on a device, compiled once in this process; none, after a warning, where that
/// fails.
fn function(device: usize, name: &CStr, source: String) -> Option<Function> {
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    static WARNED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // Once for each reason.
    let warn = |error: &CudaError| {
        if WARNED.lock().unwrap_or_else(PoisonError::into_inner).insert(error.to_string()) {
            eprintln!("warning: the kernels for CUDA cannot be used, and tensor operations take their place: {error}");
        }
    };
    let cuda = CUDA.as_ref().inspect_err(|error| warn(error)).ok()?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let make = |source: &str| {
        let code = cuda.compiler.compile(source, &cuda.driver.architecture(device)?)?;
        cuda.driver.load(device, &code, name)
    };
    *known.entry((device, source)).or_insert_with_key(|(_, source)| make(source).inspect_err(|error| warn(error)).ok())
}

/// Queue `function` on the stream that libtorch uses on this thread.
///
/// # Safety
/// As for [`Driver::launch`].
unsafe fn launch<J: Copy>(device: usize, function: Function, grid: [u32; 2], job: J) -> Result<(), TchError> {
    let failed = |reason: String| TchError::Torch(format!("a kernel for CUDA cannot be started: {reason}"));
    let stream = current_stream(device as i8).map_err(|error| failed(error.what().to_owned()))?;
    let Ok(cuda) = &*CUDA else { return Ok(()) };
    unsafe { cuda.driver.launch(function, stream, grid, job) }.map_err(|error| failed(error.to_string()))
}

/// y ← the approximate ReLU of `x`, both dense, of one layout, and one of `images` images after the other; they may be the
/// same. What is outside is counted where `counters` says. False, and nothing done, where there is no kernel.
///
/// # Errors
/// What libtorch and the driver report.
pub(super) fn relu<T: Value>(
    relu: &Relu,
    x: &Tensor,
    y: &Tensor,
    images: i64,
    kernel: &Kernel,
    counters: impl FnOnce() -> Result<u64, TchError>,
) -> Result<bool, TchError> {
    let Device::Cuda(device) = x.device() else { return Ok(false) };
    let Some(function) = kernel.relu::<T>(relu, device) else { return Ok(false) };
    let values = x.numel() as i64;
    if values > 0 {
        let counters = counters()?;
        let at = Addresses { x: x.data_ptr() as u64, y: y.data_ptr() as u64, counters };
        let (grid, job) = relu.cuda_job::<T>(at, images, values / images);
        // SAFETY: the kernel is that of the job; libtorch frees the memory of tensors in the order of the stream.
        unsafe { launch(device, function, grid, job)? };
    }
    Ok(true)
}

/// The approximate max-pool of `x`, of shape [N, C, H, W] and any strides, with the channels side by side if those of `x`
/// are. What is outside is counted where `counters` says. None where there is no kernel for it.
///
/// # Errors
/// What libtorch and the driver report.
pub(super) fn max_pool<T: Value>(
    pool: &MaxPool,
    x: &Tensor,
    output: [i64; 2],
    kernel: &Kernel,
    counters: impl FnOnce() -> Result<u64, TchError>,
) -> Result<Option<Tensor>, TchError> {
    let Device::Cuda(device) = x.device() else { return Ok(None) };
    let (images, channels, height, width) = x.size4()?;
    let strides = x.stride();
    let strides = [strides[0], strides[1], strides[2], strides[3]];
    let channels_last = channels > 1 && strides[1] == 1;
    let [rows, columns] = output;
    let empty = |shape: [i64; 4]| Tensor::f_empty(shape, (T::KIND, x.device()));
    let y = match channels_last {
        true => empty([images, rows, columns, channels])?.f_permute([0, 3, 1, 2])?,
        false => empty([images, channels, rows, columns])?,
    };
    if y.numel() == 0 {
        return Ok(Some(y));
    }
    let Some(function) = kernel.max_pool::<T>(pool, device) else { return Ok(None) };
    let counters = counters()?;
    let at = Addresses { x: x.data_ptr() as u64, y: y.data_ptr() as u64, counters };
    let planes = Planes { shape: [images, channels, height, width], strides, channels_last };
    let Some((grid, job)) = pool.cuda_job::<T>(at, planes) else { return Ok(None) };
    // SAFETY: as above.
    unsafe { launch(device, function, grid, job)? };
    Ok(Some(y))
}
