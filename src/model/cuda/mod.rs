//! Sites on CUDA: the kernels of [`crate::activation`], compiled when a device first needs them, and what they counted.
//!
//! NVRTC and the driver are looked up at run time, so that one program serves every libtorch and machine. Where one of them
//! is missing or fails, plain tensor operations compute the same, and a warning says so once for each reason.

mod compiler;
mod counters;
mod driver;

use std::collections::{BTreeSet, HashMap};
use std::ffi::CStr;
use std::sync::{LazyLock, Mutex, Once, OnceLock, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

use super::libtorch::current_stream;
use crate::activation::{Addresses, Arithmetic, Channels, Element, Elementwise, Job, MaxPool, Planes};
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
    singles: OnceLock<OfKind>,
    doubles: OnceLock<OfKind>,
}

/// The kernel of one kind of values.
#[derive(Debug)]
struct OfKind {
    device: usize,
    /// None where it cannot be used.
    function: Option<Function>,
    /// Parameters and ends of range on the device, where channels are not alike, from the first launch on.
    tables: OnceLock<[Tensor; 2]>,
}

impl Kernel {
    /// The kernel for values of `T` on `device`; none where it cannot be used.
    fn get<T: Value>(&self, device: usize, make: impl FnOnce() -> OfKind) -> Option<(Function, &OfKind)> {
        let of_kind = if T::KIND == Kind::Double { &self.doubles } else { &self.singles };
        let kernel = of_kind.get_or_init(make);
        kernel.function.filter(|_| kernel.device == device).map(|function| (function, kernel))
    }

    /// Compile what `site` needs for f32 on `device`, before anybody waits for it.
    pub fn prepare_elementwise(&self, site: &Elementwise, device: Device) {
        if let Device::Cuda(device) = device {
            let _ = self.elementwise::<f32>(site, device);
        }
    }

    /// The same of `pool`.
    pub fn prepare_max_pool(&self, pool: &MaxPool, device: Device) {
        if let Device::Cuda(device) = device {
            let _ = self.max_pool::<f32>(pool, device);
        }
    }

    fn elementwise<T: Value>(&self, site: &Elementwise, device: usize) -> Option<(Function, &OfKind)> {
        self.get::<T>(device, || {
            let function = function(device, c"elementwise", site.cuda_source::<T>(), is_f64(site.arithmetic()));
            OfKind { device, function, tables: OnceLock::new() }
        })
    }

    fn max_pool<T: Value>(&self, pool: &MaxPool, device: usize) -> Option<(Function, &OfKind)> {
        self.get::<T>(device, || {
            let function = function(device, c"max_pool", pool.cuda_source::<T>(), is_f64(pool.arithmetic()));
            OfKind { device, function, tables: OnceLock::new() }
        })
    }
}

impl OfKind {
    /// Where the parameters and the ends of the ranges of `site` are; nowhere where channels are alike.
    fn tables<T: Value>(&self, site: &Elementwise) -> Result<[u64; 2], TchError> {
        if site.channels().is_none() {
            return Ok([0; 2]);
        }
        let known = match self.tables.get() {
            Some(known) => known,
            None => {
                let made = tables::<T>(site, Device::Cuda(self.device))?;
                self.tables.get_or_init(|| made)
            }
        };
        Ok(known.each_ref().map(address))
    }
}

/// What the kernel of a site whose channels are not alike reads, on `device`: the parameters, and the ends of the ranges.
fn tables<T: Value>(site: &Elementwise, device: Device) -> Result<[Tensor; 2], TchError> {
    let parameters =
        Tensor::f_from_slice(&site.cuda_table())?.f_to_kind(site.arithmetic().kind())?.f_to_device(device)?;
    Ok([parameters, Tensor::f_from_slice(&site.cuda_ends::<T>())?.f_to_device(device)?])
}

/// From how many operations in f32 for one in f64 on a device is told to be slow at it.
const SLOW_F64: i32 = 8;

/// Kernels by device and program; none where it failed.
type Known = HashMap<(usize, String), Option<Function>>;

/// The kernel `name` of the program `source`, which may compute in f64, on a device, compiled once in this process; none, after
/// a warning, where that fails.
fn function(device: usize, name: &CStr, source: String, in_f64: bool) -> Option<Function> {
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    static WARNED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // Once for each reason.
    let warn = |error: &CudaError| {
        if WARNED.lock().unwrap_or_else(PoisonError::into_inner).insert(error.to_string()) {
            eprintln!("warning: the kernels for CUDA cannot be used, and tensor operations take their place: {error}");
        }
    };
    let cuda = CUDA.as_ref().inspect_err(|error| warn(error)).ok()?;
    if in_f64 && let Ok(times @ SLOW_F64..) = cuda.driver.cost_of_f64(device) {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            eprintln!(
                "warning: cuda:{device} computes f64 {times} times more slowly than f32, and activations are computed in f64; \
                 --arithmetic f32 is faster"
            );
        });
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let make = |source: &str| {
        let code = cuda.compiler.compile(source, &cuda.driver.architecture(device)?)?;
        cuda.driver.load(device, &code, name)
    };
    *known.entry((device, source)).or_insert_with_key(|(_, source)| make(source).inspect_err(|error| warn(error)).ok())
}

/// Queue `function` on the stream that libtorch uses on this thread. Where `CUDA_LAUNCH_BLOCKING` is 1, as for libtorch itself,
/// wait for it, so that a failure is told where it happens, and not at the next copy from the device.
///
/// # Safety
/// As for [`Driver::launch`].
unsafe fn launch(device: usize, function: Function, grid: [u32; 2], job: &Job) -> Result<(), TchError> {
    let failed = |reason: String| TchError::Torch(format!("a kernel for CUDA cannot be started: {reason}"));
    let stream = current_stream(device as i8).map_err(|error| failed(error.what().to_owned()))?;
    let Ok(cuda) = &*CUDA else { return Ok(()) };
    unsafe { cuda.driver.launch(function, stream, grid, job) }.map_err(|error| failed(error.to_string()))?;
    static BLOCKING: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("CUDA_LAUNCH_BLOCKING").is_some_and(|v| v == "1"));
    if *BLOCKING {
        let failed =
            |error| TchError::Torch(format!("a kernel for CUDA failed, of a grid of {grid:?} blocks: {error}"));
        cuda.driver.synchronize(function).map_err(failed)?;
    }
    Ok(())
}

/// y ← what `site` makes of `x`, both dense, of one layout, in which the channels lie as `channels` says, and one of `images`
/// images after the other; they may be the same. What is outside is counted where `counters` says. False, and nothing done,
/// where there is no kernel.
///
/// # Errors
/// What libtorch and the driver report.
pub(super) fn elementwise<T: Value>(
    site: &Elementwise,
    x: &Tensor,
    y: &Tensor,
    channels: Channels,
    images: i64,
    kernel: &Kernel,
    counters: impl FnOnce() -> Result<u64, TchError>,
) -> Result<bool, TchError> {
    let Device::Cuda(device) = x.device() else { return Ok(false) };
    let Some((function, kernel)) = kernel.elementwise::<T>(site, device) else { return Ok(false) };
    let values = x.numel() as i64;
    if values > 0 {
        let [table, ends] = kernel.tables::<T>(site)?;
        let at = Addresses { x: address(x), y: address(y), counters: counters()?, table, ends };
        let (grid, job) = site.cuda_job::<T>(at, images, values / images, channels);
        // SAFETY: the kernel is that of the job; libtorch frees the memory of tensors in the order of the stream.
        unsafe { launch(device, function, grid, &job)? };
    }
    Ok(true)
}

fn is_f64(arithmetic: Arithmetic) -> bool {
    arithmetic == Arithmetic::F64
}

/// Where the values of `x` begin on its device.
fn address(x: &Tensor) -> u64 {
    x.data_ptr() as u64
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
    let Some((function, _)) = kernel.max_pool::<T>(pool, device) else { return Ok(None) };
    let at = Addresses { x: address(x), y: address(&y), counters: counters()?, table: 0, ends: 0 };
    let planes = Planes { shape: [images, channels, height, width], strides, channels_last };
    let Some((grid, job)) = pool.cuda_job::<T>(at, planes) else { return Ok(None) };
    // SAFETY: as above.
    unsafe { launch(device, function, grid, &job)? };
    Ok(Some(y))
}
