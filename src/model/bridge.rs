//! The border to the swapped network in C++: what each side may ask of the other.
//!
//! C++ exceptions come back as `Result`, and an error of ours travels through the interpreter as an exception.

use super::apply::{apply, is_pool, weigh};
use super::sites::Sites;

#[cxx::bridge(namespace = "polyact")]
mod ffi {
    /// What of a value the graph fixes, if it is plain.
    #[derive(Debug, Clone, Copy)]
    enum ConstantKind {
        /// It is not fixed, or a tensor, a text.
        Unknown,
        None,
        Bool,
        Int,
        Float,
        Ints,
    }

    struct RawConstant {
        kind: ConstantKind,
        /// Of a whole number, or 1 for true.
        integer: i64,
        number: f64,
        integers: Vec<i64>,
    }

    struct RawValue {
        is_tensor: bool,
        /// It is a tensor or holds some.
        holds_tensors: bool,
        /// It is fixed, and has no say in how a result lies in memory.
        is_plain: bool,
        constant: RawConstant,
    }

    /// A node of the frozen graph; values and blocks are numbered.
    struct RawNode {
        operator_name: String,
        /// Path of the module that it is, or is in, then with what it does: `layer1.0.relu`, `layer1.0.add`.
        name: String,
        inputs: Vec<usize>,
        outputs: Vec<usize>,
        /// The blocks inside it.
        blocks: Vec<usize>,
        /// The values that see memory to which it may write.
        writes: Vec<usize>,
        /// Of a loop: how often its body runs, or -1 where the graph does not tell.
        turns: i64,
        /// Of `prim::ConstantChunk`, along which axis.
        axis: i64,
        /// It is a convolution whose weights can be packed for the CPU.
        packs: bool,
        /// By how much its weights enlarge an independent error, root mean square over its results; -1 where that is not known.
        gain: f64,
        /// How many numbers a result of a linear layer is made of, or -1.
        takes: i64,
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
        values: Vec<RawValue>,
    }

    /// A node that takes an operand as it lies in memory.
    struct RawTaken {
        node: usize,
        operand: usize,
    }

    /// What lies in memory otherwise than PyTorch shows it: for each node a flag, or -1.
    struct RawLayouts {
        /// Of its result.
        results: Vec<i64>,
        /// Under which it runs, if it is a convolution that is packed.
        convolutions: Vec<i64>,
        taken: Vec<RawTaken>,
    }

    /// What lies between two cuts of the graph.
    struct RawSegment {
        sites: Vec<usize>,
        /// Several passes may go on from its beginning.
        may_branch: bool,
    }

    unsafe extern "C++" {
        include!("polyact/src/model/network.h");

        #[namespace = "at"]
        type Tensor = crate::model::libtorch::Tensor;
        type Network;
        /// A pass that has come to a cut.
        type PartialPass;

        /// Load the archive at `path` onto `device` (`cpu`, `cuda:0`), freeze it, and fold batch norms.
        fn load(path: &str, device: &str, extra_file: &str) -> Result<UniquePtr<Network>>;
        /// The text of the extra file asked for; empty if the archive has none.
        fn extra(self: &Network) -> &str;
        /// What the graph is made of, before anything is swapped.
        fn graph(self: &Network) -> RawGraph;
        /// Make sites of these nodes, numbered as in the description, lay out values as `layouts` says, and get ready to run.
        fn prepare(self: Pin<&mut Network>, sites: &[usize], layouts: &RawLayouts) -> Result<()>;
        /// The segments that the prepared graph is cut into, the first time with some work.
        fn segments(self: &Network) -> Result<Vec<RawSegment>>;
        /// A pass of `input` at its beginning.
        fn begin(self: &Network, input: &Tensor) -> Result<UniquePtr<PartialPass>>;
        /// Another pass that goes on from the cut where `pass` is; only where passes may branch.
        fn branch(self: &Network, pass: &PartialPass) -> Result<UniquePtr<PartialPass>>;
        /// Go on to the cut before segment `to`, sites computed as `sites` says.
        fn advance(self: &Network, pass: Pin<&mut PartialPass>, to: usize, sites: &Sites) -> Result<()>;
        /// Tell the sites the gradients of the margins of `input` at what they give.
        fn weigh(self: &Network, input: &Tensor, sites: &Sites, output: &str) -> Result<()>;
        /// Go on to the end: the output of this name, or the only one that can be the logits.
        fn finish(
            self: &Network,
            pass: UniquePtr<PartialPass>,
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

        /// Tell site `index` what it was given in a pass over this many images, and the gradient of the margins at what it gave.
        fn weigh(
            sites: &Sites,
            index: usize,
            x: UniquePtr<Tensor>,
            gradient: UniquePtr<Tensor>,
            images: i64,
        ) -> Result<()>;
    }
}

// SAFETY: a network does not change after loading, and every pass has an interpreter state of its own; libtorch's own
// executors share their code between threads in this way.
unsafe impl Send for ffi::Network {}
unsafe impl Sync for ffi::Network {}

pub(super) use ffi::*;
