//! The border to the swapped network in C++: what each side may ask of the other.
//!
//! C++ exceptions come back as `Result`, and an error of ours travels through the interpreter as an exception.

use super::operator::{apply, is_pool};
use super::sites::Sites;

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
        /// The axis of the input along which the images follow each other: 0 too where they do row by row; -1 where the graph
        /// does not show it.
        image_axis: i64,
    }

    /// A node that is neither a site nor a polynomial.
    struct RawForeign {
        operator_name: String,
        name: String,
        /// Its result leaves the network without passing another operator.
        at_output: bool,
    }

    /// A node of the frozen graph; values and blocks are numbered.
    struct RawNode {
        operator_name: String,
        inputs: Vec<usize>,
        outputs: Vec<usize>,
        /// The blocks inside it.
        blocks: Vec<usize>,
        /// The values that see memory to which it may write.
        writes: Vec<usize>,
        /// Which site it is, or -1.
        site: i64,
        /// Of a loop: how often its body runs, or -1 where the graph does not tell.
        turns: i64,
    }

    struct RawBlock {
        parameters: Vec<usize>,
        nodes: Vec<usize>,
        returns: Vec<usize>,
    }

    /// The frozen graph without its constants; block 0 is the graph itself.
    struct RawGraph {
        nodes: Vec<RawNode>,
        blocks: Vec<RawBlock>,
        /// How many values there are.
        values: usize,
    }

    unsafe extern "C++" {
        include!("polyact/src/model/network.h");

        #[namespace = "at"]
        type Tensor = crate::model::libtorch::Tensor;
        type Network;

        /// Load the archive at `path` onto `device` (`cpu`, `cuda:0`), freeze it, fold batch norms, and swap every site.
        fn load(path: &str, device: &str, extra_file: &str) -> Result<UniquePtr<Network>>;
        /// The text of the extra file asked for; empty if the archive has none.
        fn extra(self: &Network) -> &str;
        fn sites(self: &Network) -> Vec<RawSite>;
        fn foreign(self: &Network) -> Vec<RawForeign>;
        /// What the graph is made of; to be asked once.
        fn take_graph(self: Pin<&mut Network>) -> RawGraph;
        /// The first tensor of the output for `input`, sites computed as `sites` says.
        fn forward(
            self: &Network,
            input: &Tensor,
            sites: &Sites,
            output: &str,
            taken: &mut String,
        ) -> Result<UniquePtr<Tensor>>;
    }

    extern "Rust" {
        type Sites;

        /// Whether site `index` is a max-pool.
        fn is_pool(sites: &Sites, index: usize) -> bool;

        /// What site `index` makes of `x` in a pass over this many images; into `x` itself if `in_place`.
        fn apply(
            sites: &Sites,
            index: usize,
            x: UniquePtr<Tensor>,
            in_place: bool,
            images: i64,
        ) -> Result<UniquePtr<Tensor>>;
    }
}

// SAFETY: a network does not change after loading, and every pass has an interpreter state of its own; libtorch's own
// executors share their code between threads in this way.
unsafe impl Send for ffi::Network {}
unsafe impl Sync for ffi::Network {}

pub(super) use ffi::*;
