//! What in a graph depends on the values of the images, and which of it is no polynomial in them.

use super::{Block, Graph, Node};

/// Additions and multiplications of values, and operators that only move values about.
const POLYNOMIAL: &[&str] = &[
    "aten::_convolution", "aten::_convolution_mode", "aten::conv1d", "aten::conv2d", "aten::conv3d",
    "aten::convolution", "aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d", "aten::linear",
    "aten::addmm", "aten::addmv", "aten::addbmm", "aten::addr", "aten::matmul", "aten::mm", "aten::mv", "aten::bmm",
    "aten::baddbmm", "aten::dot", "aten::vdot", "aten::inner", "aten::outer", "aten::tensordot", "aten::kron",
    "aten::bilinear", "aten::einsum", "aten::add", "aten::sub", "aten::subtract", "aten::rsub", "aten::mul",
    "aten::multiply", "aten::addcmul", "aten::lerp", "aten::neg", "aten::negative", "aten::positive", "aten::square",
    "aten::prod", "aten::sum", "aten::mean", "aten::cumsum", "aten::diff", "aten::trace", "aten::avg_pool1d",
    "aten::avg_pool2d", "aten::avg_pool3d", "aten::adaptive_avg_pool1d", "aten::adaptive_avg_pool2d",
    "aten::adaptive_avg_pool3d", "aten::dropout", "aten::feature_dropout", "aten::alpha_dropout",
    "aten::feature_alpha_dropout", "aten::cat", "aten::concat", "aten::concatenate", "aten::stack", "aten::hstack",
    "aten::vstack", "aten::dstack", "aten::chunk", "aten::unsafe_chunk", "aten::split", "aten::unsafe_split",
    "aten::split_with_sizes", "aten::tensor_split", "aten::unbind", "aten::view", "aten::_unsafe_view",
    "aten::view_as", "aten::reshape", "aten::reshape_as", "aten::flatten", "aten::unflatten", "aten::ravel",
    "aten::permute", "aten::transpose", "aten::swapaxes", "aten::swapdims", "aten::movedim", "aten::moveaxis",
    "aten::t", "aten::numpy_T", "aten::mT", "aten::contiguous", "aten::clone", "aten::detach", "aten::squeeze",
    "aten::unsqueeze", "aten::select", "aten::slice", "aten::narrow", "aten::diagonal", "aten::tril", "aten::triu",
    "aten::as_strided", "aten::unfold", "aten::im2col", "aten::col2im", "aten::roll", "aten::flip", "aten::rot90",
    "aten::expand", "aten::expand_as", "aten::broadcast_to", "aten::broadcast_tensors", "aten::repeat",
    "aten::repeat_interleave", "aten::tile", "aten::constant_pad_nd", "aten::pad", "aten::reflection_pad1d",
    "aten::reflection_pad2d", "aten::replication_pad1d", "aten::replication_pad2d", "aten::channel_shuffle",
    "aten::pixel_shuffle", "aten::pixel_unshuffle", "aten::upsample_nearest1d", "aten::upsample_nearest2d",
    "aten::upsample_bilinear2d", "aten::upsample_linear1d", "aten::to", "aten::type_as", "aten::float", "aten::double",
    "aten::alias", "aten::lift_fresh", "aten::copy", "aten::fill", "aten::zero", "aten::__getitem__", "aten::append",
    "aten::extend", "aten::insert", "aten::pop", "aten::list", "aten::wait", "polyact::completed", "polyact::view",
];

/// Of shapes and types alone, whatever the values are.
const OF_SHAPES: &[&str] = &[
    "aten::size", "aten::sym_size", "aten::dim", "aten::numel", "aten::len", "aten::stride", "aten::storage_offset",
    "aten::is_contiguous", "aten::is_floating_point", "aten::is_complex", "aten::__is__", "aten::__isnot__",
    "aten::zeros_like", "aten::ones_like", "aten::full_like", "aten::empty_like", "aten::new_zeros", "aten::new_ones",
    "aten::new_full", "aten::new_empty", "aten::_shape_as_tensor", "prim::shape", "prim::device", "prim::dtype",
    "prim::layout", "prim::type", "prim::isinstance", "prim::requires_grad", "prim::is_cpu", "prim::is_cuda",
    "prim::is_xpu", "prim::is_mps", "prim::is_xla", "prim::is_mkldnn", "prim::is_meta", "prim::is_nested",
    "prim::is_quantized", "prim::is_sparse", "prim::is_sparse_csr", "aten::is_same_size", "aten::get_device",
];

/// The values of a graph that depend on the values of the images: under encryption these are ciphertexts. Parameters, and what
/// is made of shapes alone, are known in plaintext.
pub(in super::super) struct Encrypted<'a> {
    graph: &'a Graph,
    values: Vec<bool>,
}

impl<'a> Encrypted<'a> {
    pub fn of(graph: &'a Graph) -> Encrypted<'a> {
        let mut encrypted = Encrypted { graph, values: vec![false; graph.values.len()] };
        if let Some(images) = graph.input() {
            encrypted.add(images);
            while encrypted.spread(&graph.blocks[0]) | encrypted.write() {}
        }
        encrypted
    }

    pub fn has(&self, value: usize) -> bool {
        self.values[value]
    }

    fn any(&self, values: &[usize]) -> bool {
        values.iter().any(|&value| self.has(value))
    }

    fn add(&mut self, value: usize) -> bool {
        !std::mem::replace(&mut self.values[value], true)
    }

    /// Whoever sees memory that a ciphertext was written to.
    fn write(&mut self) -> bool {
        let mut grown = false;
        for node in self.graph.nodes.iter().filter(|node| !node.writes.is_empty()) {
            if self.any(&node.inputs) {
                grown |= node.writes.iter().fold(false, |grown, &value| grown | self.add(value));
            }
        }
        grown
    }

    fn spread(&mut self, block: &Block) -> bool {
        let graph = self.graph;
        block.nodes.iter().fold(false, |grown, &node| grown | self.spread_node(&graph.nodes[node]))
    }

    fn spread_node(&mut self, node: &Node) -> bool {
        let graph = self.graph;
        match node.operator.as_str() {
            "prim::If" => return self.spread_conditional(node),
            "prim::Loop" => return self.spread_loop(node),
            _ => {}
        }
        let mut grown = node.blocks.iter().fold(false, |grown, &inner| grown | self.spread(&graph.blocks[inner]));
        if !OF_SHAPES.contains(&node.function()) && self.any(&node.inputs) {
            grown |= node.outputs.iter().fold(false, |grown, &output| grown | self.add(output));
        }
        grown
    }

    fn spread_conditional(&mut self, node: &Node) -> bool {
        let graph = self.graph;
        let mut grown = false;
        for &branch in &node.blocks {
            grown |= self.spread(&graph.blocks[branch]);
            for (&returned, &output) in graph.blocks[branch].returns.iter().zip(&node.outputs) {
                if self.any(&node.inputs) || self.has(returned) {
                    grown |= self.add(output);
                }
            }
        }
        grown
    }

    /// A loop takes the number of turns, the first condition, and what is carried; its body takes the turn and what is
    /// carried, and gives the next condition and what is carried.
    fn spread_loop(&mut self, node: &Node) -> bool {
        let body = &self.graph.blocks[node.blocks[0]];
        let mut grown = self.spread(body);
        let turns = self.any(&node.inputs[..2]) || self.has(body.returns[0]);
        for (carried, &output) in node.outputs.iter().enumerate() {
            if turns || self.has(node.inputs[carried + 2]) || self.has(body.returns[carried + 1]) {
                grown |= self.add(body.parameters[carried + 1]) | self.add(output);
            }
        }
        grown
    }

    /// Whether `node` computes from ciphertexts what additions and multiplications cannot, batch norm over the statistics of
    /// the batch and control flow among it.
    pub fn is_foreign(&self, node: &Node) -> bool {
        let graph = self.graph;
        let inputs = &node.inputs;
        let is_encrypted = |operand: usize| inputs.get(operand).is_some_and(|&value| self.has(value));
        let is_none = |operand: usize| inputs.get(operand).is_some_and(|&value| graph.is_none(value));
        match node.operator.as_str() {
            "prim::If" => return is_encrypted(0),
            "prim::Loop" => return self.any(&inputs[..2]) || self.has(graph.blocks[node.blocks[0]].returns[0]),
            _ => {}
        }
        let takes = inputs.iter().any(|&input| self.has(input) && graph.holds_tensors(input));
        let gives = node.outputs.iter().any(|&output| graph.holds_tensors(output));
        let function = node.function();
        if !takes || !gives || node.operator.starts_with("prim::") {
            return false;
        }
        if OF_SHAPES.contains(&function) || POLYNOMIAL.contains(&function) {
            return false;
        }
        match function {
            // All but the first two are weights.
            "aten::batch_norm" | "aten::_batch_norm_impl_index" | "aten::native_batch_norm" => {
                let training = inputs.get(5).and_then(|&value| graph.boolean(value));
                let fixed = training == Some(false) && !is_none(3) && !is_none(4);
                !fixed || is_encrypted(1) || is_encrypted(3) || is_encrypted(4)
            }
            "aten::div" | "aten::divide" | "aten::true_divide" => is_encrypted(1) || inputs.len() > 2 && !is_none(2),
            "aten::pow" => is_encrypted(1) || !inputs.get(1).is_some_and(|&value| self.is_natural(value)),
            // What is taken from where, by a mask or by positions in plaintext.
            "aten::where" => is_encrypted(0) || inputs.len() != 3,
            "aten::masked_fill" | "aten::index" | "aten::index_put" => is_encrypted(1),
            "aten::index_select" | "aten::gather" | "aten::index_add" => is_encrypted(2),
            _ => true,
        }
    }

    /// An exponent that is a natural number.
    fn is_natural(&self, value: usize) -> bool {
        self.graph.number(value).is_some_and(|exponent| exponent >= 0.0 && exponent.fract() == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Constant;
    use super::super::by_hand::*;
    use super::*;

    fn foreign(nodes: Vec<Node>, constants: &[Constant]) -> Vec<String> {
        let graph = straight(nodes, 2, constants);
        let encrypted = Encrypted::of(&graph);
        let foreign = graph.nodes.iter().filter(|node| encrypted.is_foreign(node));
        foreign.map(|node| node.operator.clone()).collect()
    }

    #[test]
    fn what_is_no_polynomial_of_the_images_is_foreign() {
        let (two, half) = (Constant::Int(2), Constant::Float(0.5));
        let constants = [two, half, Constant::None, Constant::Bool(false), Constant::Bool(true)];
        assert_eq!(foreign(vec![node("aten::sigmoid", &[1], &[2])], &[]), ["aten::sigmoid"]);
        assert!(foreign(vec![node("aten::sigmoid", &[5], &[2])], &[]).is_empty(), "of weights alone");
        let shapes = vec![node("aten::zeros_like", &[1], &[3]), node("aten::exp", &[3], &[2])];
        assert!(foreign(shapes, &[]).is_empty(), "of shapes alone");
        let powers = vec![node("aten::pow", &[1, 30], &[3]), node("aten::pow", &[1, 31], &[4])];
        assert_eq!(foreign(powers, &constants), ["aten::pow"]);
        let quotients = vec![node("aten::div", &[1, 30], &[3]), node("aten::div", &[30, 1], &[4])];
        assert_eq!(foreign(quotients, &constants), ["aten::div"]);
        let norm = |training| node("aten::batch_norm", &[1, 5, 6, 7, 8, training], &[3]);
        assert!(foreign(vec![norm(33)], &constants).is_empty());
        assert_eq!(foreign(vec![norm(34)], &constants).len(), 1);
        let without = node("aten::batch_norm", &[1, 5, 6, 32, 32, 33], &[3]);
        assert_eq!(foreign(vec![without], &constants).len(), 1, "the statistics of the batch");
    }

    #[test]
    fn what_is_written_to_is_encrypted_for_all_who_see_it() {
        let writing = Node { writes: vec![3, 4], ..node("aten::copy_", &[4, 1], &[5]) };
        let nodes = vec![node("aten::zeros", &[], &[3]), node("aten::view", &[3], &[4]), writing];
        let graph = straight(nodes, 5, &[]);
        let encrypted = Encrypted::of(&graph);
        assert_eq!([0, 1, 3, 4, 5].map(|value| encrypted.has(value)), [false, true, true, true, true]);
    }

    #[test]
    fn conditions_and_loops_hand_on_what_decides_them() {
        let branch = Node { blocks: vec![1, 2], ..node("prim::If", &[3], &[6]) };
        let nodes = vec![node("aten::gt", &[1, 5], &[3]), branch];
        let blocks = vec![block(&[0, 1], &[0, 1], &[6]), block(&[], &[], &[4]), block(&[], &[], &[5])];
        let graph = graph(nodes, blocks, &[]);
        let encrypted = Encrypted::of(&graph);
        assert!(encrypted.has(6) && encrypted.is_foreign(&graph.nodes[1]));

        let around = Node { blocks: vec![1], ..node("prim::Loop", &[30, 31, 5, 6], &[7, 8]) };
        let nodes = vec![around, node("aten::add", &[10, 1], &[12])];
        // The first value that is carried takes in the images in its first turn, the second one stays what it is.
        let blocks = vec![block(&[0, 1], &[0], &[7]), block(&[9, 10, 11], &[1], &[31, 12, 11])];
        let graph = by_hand::graph(nodes, blocks, &[Constant::Int(3), Constant::Bool(true)]);
        let encrypted = Encrypted::of(&graph);
        assert_eq!([7, 10, 8, 11].map(|value| encrypted.has(value)), [true, true, false, false]);
        assert!(!encrypted.is_foreign(&graph.nodes[0]));
    }

    use super::super::by_hand;
}
