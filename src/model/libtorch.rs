//! What is used of libtorch itself and `tch` does not offer: its threads, and a switch.

#[cxx::bridge(namespace = "polyact")]
mod ffi {
    unsafe extern "C++" {
        include!("polyact/src/model/libtorch.h");
        include!("polyact/src/model/strides.h");

        #[namespace = "at"]
        type Tensor;

        /// Whether CUDA may round the factors of f32 products to ten bits of mantissa. libtorch allows it to convolutions
        /// unless told otherwise.
        fn allow_tf32(allowed: bool);
        fn keep_memory();
        /// `tensor`, from the CPU, on a device that is not the CPU: through pinned memory, on a stream of its own, so that
        /// the device's other work goes on; the copy is complete on return.
        fn upload(tensor: &Tensor, device: &str) -> Result<UniquePtr<Tensor>>;
        /// The stream of CUDA, a `cudaStream_t`, that libtorch uses for a device on this thread.
        fn current_stream(device: i8) -> Result<usize>;
        /// Whether PyTorch makes channels-last outputs of `x`.
        fn suggests_channels_last(x: &Tensor) -> bool;
        /// Split [0, total) over libtorch's own threads, at least `grain` in one piece; `task(context, begin, end)`.
        fn parallel(total: usize, grain: usize, task: fn(usize, usize, usize), context: usize) -> Result<()>;
    }

    impl UniquePtr<Tensor> {}
}

pub(super) use ffi::{Tensor, allow_tf32, current_stream, suggests_channels_last, upload};

/// From now on the memory of freed tensors stays with this process, for those of the next pass, whatever thread it runs on.
/// By itself glibc gives large ones back to the system, which clears each page before it hands it out again.
///
/// To be called once, by the program, before there is a second thread: a thread keeps the arena that it has.
pub fn keep_memory() {
    ffi::keep_memory();
}

/// Run `task(begin, end)` over pieces of [0, total) on libtorch's threads.
///
/// The kernels share libtorch's pool: its workers spin for a while after each convolution, and a second pool would have
/// to fight them for the cores.
pub(super) fn parallel_for<F: Fn(usize, usize) + Sync>(
    total: usize,
    grain: usize,
    task: F,
) -> Result<(), cxx::Exception> {
    fn trampoline<F: Fn(usize, usize) + Sync>(context: usize, begin: usize, end: usize) {
        // SAFETY: `context` is the address of `task`, which outlives the call of `parallel`; F is Sync.
        unsafe { (*(context as *const F))(begin, end) }
    }
    ffi::parallel(total, grain, trampoline::<F>, &raw const task as usize)
}
