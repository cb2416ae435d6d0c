//! The NVIDIA driver: loads machine code onto a device, in the context that libtorch uses there, and launches it.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use libloading::os::unix::Library;

use super::CudaError;
use crate::activation::{BLOCK, Job};

type Handle = *mut c_void;

/// The functions of cuda.h that are needed; every one returns 0 for success.
pub struct Driver {
    get_device: unsafe extern "C" fn(*mut c_int, c_int) -> c_int,
    device_attribute: unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int,
    retain_context: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
    push_context: unsafe extern "C" fn(Handle) -> c_int,
    pop_context: unsafe extern "C" fn(*mut Handle) -> c_int,
    load_module: unsafe extern "C" fn(*mut Handle, *const c_void) -> c_int,
    get_function: unsafe extern "C" fn(*mut Handle, Handle, *const c_char) -> c_int,
    launch: unsafe extern "C" fn(
        Handle,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        Handle,
        *mut *mut c_void,
        *mut *mut c_void,
    ) -> c_int,
    synchronize: unsafe extern "C" fn() -> c_int,
    error_text: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int,
}

/// A kernel on one device, which stays loaded until the process ends.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    function: Handle,
    context: Handle,
}

// SAFETY: handles of the driver may be used from every thread.
unsafe impl Send for Function {}
unsafe impl Sync for Function {}

impl Driver {
    /// The driver of this machine.
    ///
    /// # Errors
    /// [`CudaError::Library`] where there is none.
    pub fn loaded() -> Result<Driver, CudaError> {
        // SAFETY: the types are those of cuda.h. libtorch has initialised the driver. The library is never unloaded.
        let load = || unsafe {
            let library = std::mem::ManuallyDrop::new(Library::new("libcuda.so.1")?);
            Ok(Driver {
                get_device: *library.get(b"cuDeviceGet\0")?,
                device_attribute: *library.get(b"cuDeviceGetAttribute\0")?,
                retain_context: *library.get(b"cuDevicePrimaryCtxRetain\0")?,
                push_context: *library.get(b"cuCtxPushCurrent_v2\0")?,
                pop_context: *library.get(b"cuCtxPopCurrent_v2\0")?,
                load_module: *library.get(b"cuModuleLoadData\0")?,
                get_function: *library.get(b"cuModuleGetFunction\0")?,
                launch: *library.get(b"cuLaunchKernel\0")?,
                synchronize: *library.get(b"cuCtxSynchronize\0")?,
                error_text: *library.get(b"cuGetErrorString\0")?,
            })
        };
        load().map_err(|source| CudaError::Library { name: "the NVIDIA driver", source })
    }

    /// `sm_90`: what device number `device`, which libtorch uses, understands.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn architecture(&self, device: usize) -> Result<String, CudaError> {
        // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
        Ok(format!("sm_{}{}", self.attribute(device, 75)?, self.attribute(device, 76)?))
    }

    /// How many operations in f32 device number `device` does in the time of one in f64.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn cost_of_f64(&self, device: usize) -> Result<c_int, CudaError> {
        // CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO.
        self.attribute(device, 87)
    }

    fn attribute(&self, device: usize, name: c_int) -> Result<c_int, CudaError> {
        let (device, mut value) = (self.device(device)?, 0);
        // SAFETY: writes one number.
        self.check("cuDeviceGetAttribute", unsafe { (self.device_attribute)(&mut value, name, device) })?;
        Ok(value)
    }

    /// The kernel `name` of `machine_code` on device number `device`.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn load(&self, device: usize, machine_code: &[u8], name: &CStr) -> Result<Function, CudaError> {
        let (mut context, mut module, mut function) = [std::ptr::null_mut(); 3].into();
        let device = self.device(device)?;
        // SAFETY: each call writes one handle; the code is copied. The context is libtorch's own, and stays.
        unsafe {
            self.check("cuDevicePrimaryCtxRetain", (self.retain_context)(&mut context, device))?;
            self.within(context, || {
                self.check("cuModuleLoadData", (self.load_module)(&mut module, machine_code.as_ptr().cast()))?;
                self.check("cuModuleGetFunction", (self.get_function)(&mut function, module, name.as_ptr()))
            })?;
        }
        Ok(Function { function, context })
    }

    /// Queue `function` on `stream` of its device, with blocks of [`BLOCK`] threads and the one argument `job`.
    ///
    /// # Safety
    /// `job` must be laid out as the kernel's parameter, and its addresses be valid on the device until it has run.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub unsafe fn launch(&self, function: Function, stream: usize, grid: [u32; 2], job: &Job) -> Result<(), CudaError> {
        // The driver copies the argument and does not write to it.
        let mut arguments = [job.as_ptr().cast_mut().cast::<c_void>()];
        let [x, y] = grid;
        unsafe {
            self.within(function.context, || {
                let (none, arguments) = (std::ptr::null_mut(), arguments.as_mut_ptr());
                let code = function.function;
                let status = (self.launch)(code, x, y, 1, BLOCK, 1, 1, 0, stream as Handle, arguments, none);
                self.check("cuLaunchKernel", status)
            })
        }
    }

    /// Wait until all that was queued on the device of `function` has run.
    ///
    /// # Errors
    /// [`CudaError::Driver`], for what failed there as well.
    pub fn synchronize(&self, function: Function) -> Result<(), CudaError> {
        // SAFETY: the context is that in which the function was loaded.
        unsafe { self.within(function.context, || self.check("cuCtxSynchronize", (self.synchronize)())) }
    }

    /// The driver's name of device number `number`.
    fn device(&self, number: usize) -> Result<c_int, CudaError> {
        let mut device = 0;
        // SAFETY: writes one number.
        self.check("cuDeviceGet", unsafe { (self.get_device)(&mut device, number as c_int) })?;
        Ok(device)
    }

    /// Run `task` with `context` as this thread's.
    ///
    /// # Safety
    /// `context` must be one that the driver gave.
    unsafe fn within(&self, context: Handle, task: impl FnOnce() -> Result<(), CudaError>) -> Result<(), CudaError> {
        let mut before = std::ptr::null_mut();
        self.check("cuCtxPushCurrent", unsafe { (self.push_context)(context) })?;
        let done = task();
        self.check("cuCtxPopCurrent", unsafe { (self.pop_context)(&mut before) })?;
        done
    }

    fn check(&self, call: &'static str, status: c_int) -> Result<(), CudaError> {
        if status == 0 {
            return Ok(());
        }
        let mut text = std::ptr::null();
        // SAFETY: the driver writes the address of a constant text, or null.
        let text = unsafe {
            (self.error_text)(status, &mut text);
            if text.is_null() { "unknown error".into() } else { CStr::from_ptr(text).to_string_lossy() }
        };
        Err(CudaError::Driver { call, status, text: text.into_owned() })
    }
}
