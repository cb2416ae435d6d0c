//! The border to libtorch's C++: what each side may ask of the other.
//!
//! C++ exceptions come back as `Result`, and an error of ours travels through the interpreter as an exception.

use super::site::{Sites, apply};

#[cxx::bridge(namespace = "polyact")]
mod ffi {
    /// What a site computes when it is exact.
    #[derive(Debug, Clone, Copy)]
    enum Kind {
        Relu,
        Relu6,
        MaxPool,
    }

    /// A site as it stands in the frozen graph.
    struct RawSite {
        /// Module path, `layer1.0.relu`; not yet unique.
        name: String,
        kind: Kind,
        /// Of a pool, [height, width] each; empty otherwise.
        kernel: Vec<i64>,
        stride: Vec<i64>,
        padding: Vec<i64>,
        dilation: Vec<i64>,
        ceil_mode: bool,
        /// The graph shows that no input value is negative.
        non_negative: bool,
    }

    /// A node that is neither a site nor a polynomial.
    struct RawForeign {
        operator_name: String,
        name: String,
        /// Its result leaves the network without passing another operator.
        at_output: bool,
    }

    unsafe extern "C++" {
        include!("polyact/src/model/network.h");

        #[namespace = "at"]
        type Tensor;
        type Network;

        /// Load the archive at `path` onto `device` (`cpu`, `cuda:0`), freeze it, fold batch norms, and swap every site.
        fn load(path: &str, device: &str, extra_file: &str) -> Result<UniquePtr<Network>>;
        /// The text of the extra file asked for; empty if the archive has none.
        fn extra(self: &Network) -> &str;
        fn sites(self: &Network) -> Vec<RawSite>;
        fn foreign(self: &Network) -> Vec<RawForeign>;
        /// The first tensor of the output for `input`, sites computed as `sites` says.
        fn forward(self: &Network, input: &Tensor, sites: &Sites) -> Result<UniquePtr<Tensor>>;
        /// Whether CUDA may round the factors of f32 products to ten bits of mantissa. libtorch allows it to convolutions
        /// unless told otherwise.
        fn allow_tf32(allowed: bool);
        /// Split [0, total) over libtorch's own threads, at least `grain` in one piece; `task(context, begin, end)`.
        fn parallel(total: usize, grain: usize, task: fn(usize, usize, usize), context: usize) -> Result<()>;
    }

    extern "Rust" {
        type Sites;

        /// What site `index` makes of `x`; into `x` itself if `in_place`.
        fn apply(sites: &Sites, index: usize, x: UniquePtr<Tensor>, in_place: bool) -> Result<UniquePtr<Tensor>>;
    }
}

pub(super) use ffi::*;

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
    parallel(total, grain, trampoline::<F>, &raw const task as usize)
}
