//! Which values of a network belong to which image of the batch.

use super::{Block, Graph, Node};

/// Operators that treat each value, or the values along axes that hold no image, alike, wherever the images lie.
const POINTWISE: &[&str] = &[
    "polyact::view", "aten::relu", "aten::relu6", "aten::threshold", "aten::clamp", "aten::clamp_min",
    "aten::clamp_max", "aten::hardtanh", "aten::sigmoid", "aten::tanh", "aten::silu", "aten::gelu", "aten::mish",
    "aten::elu", "aten::selu", "aten::celu", "aten::leaky_relu", "aten::prelu", "aten::softplus", "aten::hardswish",
    "aten::hardsigmoid", "aten::exp", "aten::log", "aten::sqrt", "aten::rsqrt", "aten::abs", "aten::neg",
    "aten::square", "aten::pow", "aten::reciprocal", "aten::sign", "aten::floor", "aten::round", "aten::erf",
    "aten::add", "aten::sub", "aten::rsub", "aten::mul", "aten::div", "aten::maximum", "aten::minimum",
    "aten::addcmul", "aten::lerp", "aten::where", "aten::gt", "aten::lt", "aten::ge", "aten::le", "aten::eq",
    "aten::ne", "aten::masked_fill", "aten::dropout", "aten::contiguous", "aten::clone", "aten::detach", "aten::to",
    "aten::type_as", "aten::alias", "aten::copy", "aten::fill", "aten::zero", "aten::zeros_like", "aten::ones_like",
    "aten::full_like", "aten::empty_like", "aten::softmax", "aten::log_softmax", "aten::layer_norm", "aten::linear",
];

/// Operators that work image by image along the first axis.
const BY_IMAGE: &[&str] = &[
    "aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::_convolution", "aten::convolution",
    "aten::_convolution_mode", "aten::conv_transpose1d", "aten::conv_transpose2d", "aten::max_pool1d",
    "aten::max_pool2d", "aten::max_pool2d_with_indices", "aten::avg_pool1d", "aten::avg_pool2d",
    "aten::adaptive_avg_pool1d", "aten::adaptive_avg_pool2d", "aten::adaptive_max_pool2d", "aten::batch_norm",
    "aten::group_norm", "aten::instance_norm", "aten::feature_dropout", "aten::constant_pad_nd", "aten::pad",
    "aten::reflection_pad2d", "aten::replication_pad2d", "aten::upsample_nearest2d", "aten::upsample_bilinear2d",
    "aten::pixel_shuffle", "aten::pixel_unshuffle", "aten::channel_shuffle",
];

const PRODUCTS: &[&str] = &["aten::matmul", "aten::bmm", "aten::baddbmm", "aten::mm", "aten::addmm"];

const RESHAPES: &[&str] = &[
    "aten::view", "aten::_unsafe_view", "aten::reshape", "aten::view_as", "aten::reshape_as", "aten::flatten",
    "aten::unflatten", "aten::squeeze", "aten::unsqueeze",
];

const PERMUTES: &[&str] =
    &["aten::permute", "aten::transpose", "aten::swapaxes", "aten::swapdims", "aten::t", "aten::numpy_T"];

/// Operators along one axis, the operand after the first.
const ALONG_AXIS: &[&str] = &[
    "aten::slice", "aten::narrow", "aten::split", "aten::split_with_sizes", "aten::chunk", "aten::tensor_split",
    "prim::ConstantChunk", "aten::select", "aten::unbind", "aten::cat", "aten::concat", "aten::stack",
    "aten::index_select", "aten::cumsum",
];

const REDUCTIONS: &[&str] =
    &["aten::mean", "aten::sum", "aten::amax", "aten::amin", "aten::norm", "aten::logsumexp", "aten::var", "aten::std"];

/// What hands on tensors, alone or in lists.
const CARRIERS: &[&str] = &[
    "prim::ListConstruct", "prim::TupleConstruct", "prim::ListUnpack", "prim::TupleUnpack", "prim::TupleIndex",
    "aten::__getitem__",
];

/// How the images of the batch lie in a tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Nothing of the tensor belongs to an image.
    #[default]
    Constant,
    /// The values of an image follow each other, image by image, when the tensor is read row by row.
    Leading {
        /// The first axis is the images, or what each of them was split into, image by image.
        whole: bool,
        rank: Rank,
    },
    /// Along `axis`, which is not the first one, the images follow each other.
    Axis {
        axis: usize,
        rank: Rank,
    },
    Unknown,
}

/// Number of axes; none where the graph does not tell.
type Rank = Option<usize>;

impl Place {
    fn rank(self) -> Rank {
        match self {
            Place::Leading { rank, .. } | Place::Axis { rank, .. } => rank,
            Place::Constant | Place::Unknown => None,
        }
    }

    fn with_rank(self, rank: Rank) -> Place {
        match self {
            Place::Leading { whole, .. } => Place::Leading { whole, rank },
            Place::Axis { axis, .. } => Place::Axis { axis, rank },
            place => place,
        }
    }

    /// The axis that holds the images.
    fn axis(self) -> Option<usize> {
        match self {
            Place::Leading { whole: true, .. } => Some(0),
            Place::Axis { axis, .. } => Some(axis),
            _ => None,
        }
    }

    /// Where the images lie when their axis went to `to`.
    fn moved(self, to: usize) -> Place {
        match to {
            0 => Place::Leading { whole: true, rank: self.rank() },
            axis => Place::Axis { axis, rank: self.rank() },
        }
    }
}

/// An axis counted from the first; none where it is counted from the last and the rank is not known.
fn counted(axis: Option<i64>, rank: Rank) -> Option<usize> {
    let axis = axis?;
    let from_first = if axis < 0 { axis + rank? as i64 } else { axis };
    usize::try_from(from_first).ok()
}

/// Where the images lie in all values of a graph whose input is a batch of images [N, C, H, W]. Where an operator is not known,
/// or does with the batch what the graph does not show, the place is unknown.
pub(in super::super) struct ImageAxes<'a> {
    graph: &'a Graph,
    places: Vec<Place>,
}

impl<'a> ImageAxes<'a> {
    pub fn of(graph: &'a Graph) -> ImageAxes<'a> {
        let mut axes = ImageAxes { graph, places: vec![Place::Constant; graph.values.len()] };
        if let Some(images) = graph.input() {
            axes.places[images] = Place::Leading { whole: true, rank: Some(4) };
            axes.follow(&graph.blocks[0]);
        }
        axes
    }

    /// Along which axis of `value` the images lie: 0 if they follow each other row by row; none if it is unknown.
    pub fn axis(&self, value: usize) -> Option<usize> {
        match self.places[value] {
            Place::Leading { .. } => Some(0),
            place => place.axis(),
        }
    }

    fn follow(&mut self, block: &Block) {
        let graph = self.graph;
        for node in block.nodes.iter().map(|&node| &graph.nodes[node]) {
            match node.operator.as_str() {
                "prim::If" => self.follow_conditional(node),
                "prim::Loop" => self.follow_loop(node),
                _ => self.follow_node(node),
            }
        }
    }

    fn follow_node(&mut self, node: &Node) {
        let graph = self.graph;
        for &inner in &node.blocks {
            self.follow(&graph.blocks[inner]);
        }
        let place = self.result(node);
        if place != Place::Constant {
            node.outputs.iter().for_each(|&output| self.places[output] = place);
        }
    }

    fn follow_conditional(&mut self, node: &Node) {
        let graph = self.graph;
        for &branch in &node.blocks {
            self.follow(&graph.blocks[branch]);
        }
        for (number, &output) in node.outputs.iter().enumerate() {
            let mut ends = node.blocks.iter().map(|&branch| self.places[graph.blocks[branch].returns[number]]);
            let first = ends.next().unwrap_or_default();
            self.places[output] = if ends.all(|other| other == first) { first } else { Place::Unknown };
        }
    }

    /// What a turn leaves elsewhere than it found it has no place; the second round finds what that does to the others.
    fn follow_loop(&mut self, node: &Node) {
        let body = &self.graph.blocks[node.blocks[0]];
        let carried = &body.parameters[1..];
        for (&value, &input) in carried.iter().zip(&node.inputs[2..]) {
            self.places[value] = self.places[input];
        }
        loop {
            self.follow(body);
            let mut same = true;
            for (&value, &returned) in carried.iter().zip(&body.returns[1..]) {
                if self.places[value] != self.places[returned] && self.places[value] != Place::Unknown {
                    self.places[value] = Place::Unknown;
                    same = false;
                }
            }
            if same {
                break;
            }
        }
        for (&output, &value) in node.outputs.iter().zip(carried) {
            self.places[output] = self.places[value];
        }
    }

    /// The place that all operands have which have one.
    fn of_operands(&self, node: &Node) -> Place {
        let mut common = Place::Constant;
        for &input in node.inputs.iter().filter(|&&input| self.graph.holds_tensors(input)) {
            let ranks = || Some(common.rank()?.max(self.places[input].rank()?));
            common = match (common, self.places[input]) {
                (common, Place::Constant) => common,
                (Place::Constant, place) => place,
                (Place::Leading { whole, .. }, Place::Leading { whole: too, .. }) => {
                    Place::Leading { whole: whole && too, rank: ranks() }
                }
                (Place::Axis { axis, .. }, Place::Axis { axis: other, .. }) if axis == other => {
                    Place::Axis { axis, rank: ranks() }
                }
                _ => return Place::Unknown,
            };
        }
        common
    }

    fn result(&self, node: &Node) -> Place {
        let place = self.of_operands(node);
        let function = node.function();
        let is_in = |list: &[&str]| list.contains(&function);
        if matches!(place, Place::Constant | Place::Unknown) || is_in(CARRIERS) || is_in(POINTWISE) {
            return place;
        }
        let result = if is_in(BY_IMAGE) {
            (place.axis() == Some(0)).then_some(place)
        } else if is_in(RESHAPES) {
            Some(self.reshaped(node, place))
        } else if is_in(PERMUTES) {
            self.permuted(node, place)
        } else if is_in(PRODUCTS) {
            self.product(node, place)
        } else if is_in(ALONG_AXIS) {
            self.along_axis(node, place)
        } else if is_in(REDUCTIONS) {
            self.reduced(node, place)
        } else {
            None
        };
        result.unwrap_or(Place::Unknown)
    }

    /// Of two factors with images both must have them along the same of the axes that are not summed over.
    fn product(&self, node: &Node, place: Place) -> Option<Place> {
        place.axis()?;
        let factors = node.inputs.iter().filter(|&&input| self.places[input] != Place::Constant).count();
        let batched = matches!(node.function(), "aten::bmm" | "aten::baddbmm") || place.rank() > Some(2);
        (factors < 2 || batched).then_some(place)
    }

    fn along_axis(&self, node: &Node, place: Place) -> Option<Place> {
        let function = node.function();
        let third = matches!(function, "aten::split" | "aten::split_with_sizes" | "aten::chunk" | "aten::tensor_split");
        let given = match function {
            "prim::ConstantChunk" => Some(node.axis),
            _ => node.inputs.get(if third { 2 } else { 1 }).and_then(|&input| self.graph.integer(input)),
        };
        let adds = function == "aten::stack";
        let removes = matches!(function, "aten::select" | "aten::unbind");
        let rank = place.rank();
        let along = counted(given, if adds { rank.map(|rank| rank + 1) } else { rank })?;
        let axis = place.axis()?;
        let place = place.with_rank(match (adds, removes) {
            (true, _) => rank.map(|rank| rank + 1),
            (_, true) => rank.map(|rank| rank.saturating_sub(1)),
            _ => rank,
        });
        if adds && along <= axis {
            return Some(place.moved(axis + 1));
        }
        if along == axis {
            return (function == "aten::slice" && self.takes_all(node)).then_some(place);
        }
        Some(if removes && along < axis { place.moved(axis - 1) } else { place })
    }

    /// Whether a slice is of the whole axis: x[:].
    fn takes_all(&self, slice: &Node) -> bool {
        let is = |operand: usize, end: i64| {
            slice
                .inputs
                .get(operand)
                .is_some_and(|&value| self.graph.is_none(value) || self.graph.integer(value) == Some(end))
        };
        let step = slice.inputs.get(4).and_then(|&value| self.graph.integer(value));
        is(2, 0) && is(3, i64::MAX) && step == Some(1)
    }

    fn reduced(&self, node: &Node, place: Place) -> Option<Place> {
        let &[_, dims, keep, ..] = node.inputs.as_slice() else { return None };
        let dims = self.graph.integers(dims).filter(|dims| !dims.is_empty())?;
        let axis = place.axis()?;
        let keep = self.graph.boolean(keep)?;
        let mut before = 0;
        for &dim in &dims {
            let at = counted(Some(dim), place.rank()).filter(|&at| at != axis)?;
            before += usize::from(at < axis);
        }
        if keep {
            return Some(place);
        }
        let place = place.with_rank(place.rank().map(|rank| rank.saturating_sub(dims.len())));
        Some(if before > 0 { place.moved(axis - before) } else { place })
    }

    /// Reading row by row stays as it is, whatever the new shape.
    fn reshaped(&self, node: &Node, place: Place) -> Place {
        let function = node.function();
        let operand = |at: usize| node.inputs.get(at).copied();
        let integer = |at: usize| operand(at).and_then(|value| self.graph.integer(value));
        let rank = place.rank();
        if matches!(function, "aten::unsqueeze" | "aten::squeeze" | "aten::flatten" | "aten::unflatten") {
            let more = rank.map(|rank| rank + 1);
            let first = counted(integer(1), if function == "aten::unsqueeze" { more } else { rank });
            let last = if function == "aten::flatten" { counted(integer(2), rank) } else { None };
            let images = if let Place::Axis { axis, .. } = place { axis } else { 0 };
            let behind = first.is_some_and(|first| first > images);
            let after = match (function, first, last) {
                ("aten::unsqueeze", _, _) => more,
                ("aten::squeeze", Some(_), _) => rank.map(|rank| rank.saturating_sub(1)),
                ("aten::flatten", Some(first), Some(last)) => rank.map(|rank| (rank + first).saturating_sub(last)),
                _ => None,
            };
            return match place {
                // Flattened from the first axis on, that is still the images one by one.
                Place::Leading { whole, .. } => {
                    let whole = whole && (behind || function == "aten::flatten" && first == Some(0));
                    Place::Leading { whole, rank: after }
                }
                Place::Axis { axis, .. } if behind => Place::Axis { axis, rank: after },
                _ => Place::Unknown,
            };
        }
        let Place::Leading { whole, .. } = place else { return Place::Unknown };
        let shape = operand(1).and_then(|shape| self.graph.giver(shape)).filter(|node| node.is("prim::ListConstruct"));
        match shape.map(|shape| shape.inputs.as_slice()) {
            Some(sizes @ [first, ..]) => {
                Place::Leading { whole: whole && self.is_multiple_of_images(*first), rank: Some(sizes.len()) }
            }
            _ => Place::Leading { whole: false, rank: None },
        }
    }

    fn permuted(&self, node: &Node, place: Place) -> Option<Place> {
        let from = place.axis()?;
        let integer = |at: usize| node.inputs.get(at).and_then(|&value| self.graph.integer(value));
        if node.function() == "aten::permute" {
            let dims = self.graph.integers(*node.inputs.get(1)?)?;
            let rank = Some(dims.len());
            let to = dims.iter().position(|&dim| counted(Some(dim), rank) == Some(from))?;
            return Some(place.with_rank(rank).moved(to));
        }
        if node.inputs.len() == 1 {
            return Some(place.moved(place.rank()?.checked_sub(1 + from)?));
        }
        let [a, b] = [1, 2].map(|operand| counted(integer(operand), place.rank()));
        let (a, b) = (a?, b?);
        Some(match from {
            from if from == a => place.moved(b),
            from if from == b => place.moved(a),
            _ => place,
        })
    }

    /// Whether a length is that of the images, or of parts of them.
    fn is_multiple_of_images(&self, value: usize) -> bool {
        let graph = self.graph;
        let Some(node) = graph.giver(value) else { return false };
        let first = node.inputs.first().copied();
        let leads = |tensor: Option<usize>| tensor.is_some_and(|tensor| self.places[tensor].axis() == Some(0));
        let second_is_zero = || node.inputs.get(1).and_then(|&index| graph.integer(index)) == Some(0);
        let of_sizes = || {
            let sizes = first.and_then(|sizes| graph.giver(sizes));
            sizes.is_some_and(|sizes| {
                sizes.is("aten::size") && sizes.inputs.len() == 1 && leads(sizes.inputs.first().copied())
            })
        };
        match node.operator.as_str() {
            "aten::size" => node.inputs.len() == 2 && second_is_zero() && leads(first),
            "prim::ListUnpack" => graph.values[value].from.is_some_and(|(_, offset)| offset == 0) && of_sizes(),
            "aten::__getitem__" => second_is_zero() && of_sizes(),
            "aten::mul" => node.inputs.iter().any(|&factor| self.is_multiple_of_images(factor)),
            "prim::NumToTensor" | "aten::Int" | "aten::IntImplicit" | "aten::ScalarImplicit" => {
                first.is_some_and(|number| self.is_multiple_of_images(number))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Constant;
    use super::super::by_hand::*;
    use super::*;

    fn axis(nodes: Vec<Node>, value: usize, constants: &[Constant]) -> Option<usize> {
        ImageAxes::of(&straight(nodes, value, constants)).axis(value)
    }

    #[test]
    fn images_are_followed_through_permutations() {
        let constants = [Constant::Ints(vec![2, 3, 0, 1]), Constant::Int(-1), Constant::Int(0), Constant::Bool(false)];
        let permuted = || node("aten::permute", &[1, 30], &[2]);
        assert_eq!(axis(vec![permuted()], 2, &constants), Some(2));
        let back = node("aten::transpose", &[2, 32, 31], &[3]);
        assert_eq!(axis(vec![permuted(), back.clone()], 3, &constants), Some(2), "other axes are exchanged");
        let selected = node("aten::select", &[2, 32, 32], &[3]);
        assert_eq!(axis(vec![permuted(), selected], 3, &constants), Some(1));
        let mean = node("aten::mean", &[2, 32, 33], &[3]);
        assert_eq!(axis(vec![permuted(), mean], 3, &constants), Some(1));
        let convolved = node("aten::conv2d", &[2, 9, 9], &[3]);
        assert_eq!(axis(vec![permuted(), convolved], 3, &constants), None, "another axis is taken for the batch");
    }

    #[test]
    fn shapes_that_begin_with_the_images_keep_them_apart() {
        let constants = [Constant::Int(0), Constant::Int(-1), Constant::Int(7)];
        let viewed = |first: usize| {
            vec![
                node("aten::size", &[1, 30], &[20]),
                node("prim::ListConstruct", &[first, 31], &[21]),
                node("aten::view", &[1, 21], &[4]),
                node("aten::linear", &[4, 9, 9], &[5]),
                node("aten::max_pool2d", &[4, 9], &[6]),
            ]
        };
        assert_eq!(axis(viewed(20), 5, &constants), Some(0));
        assert_eq!(axis(viewed(20), 6, &constants), Some(0));
        assert_eq!(axis(viewed(32), 5, &constants), Some(0), "still image by image, row by row");
        assert_eq!(axis(viewed(32), 6, &constants), None, "seven of whatever are no images");
    }

    #[test]
    fn what_depends_on_the_way_taken_is_unknown() {
        let constants = [Constant::Int(0), Constant::Int(1)];
        let branch = Node { blocks: vec![1, 2], ..node("prim::If", &[9], &[5]) };
        let of_branches = |other: Node| {
            let nodes = vec![branch.clone(), node("aten::relu", &[1], &[2]), other];
            let blocks = vec![block(&[0, 1], &[0], &[5]), block(&[], &[1], &[2]), block(&[], &[2], &[3])];
            ImageAxes::of(&graph(nodes, blocks, &constants)).axis(5)
        };
        assert_eq!(of_branches(node("aten::neg", &[1], &[3])), Some(0));
        assert_eq!(of_branches(node("aten::transpose", &[1, 30, 31], &[3])), None);
        // A loop that exchanges axes in every turn.
        let around = Node { blocks: vec![1], ..node("prim::Loop", &[31, 9, 1], &[5]) };
        let of_loop = |inside: Node| {
            let blocks = vec![block(&[0, 1], &[0], &[5]), block(&[6, 7], &[1], &[9, 8])];
            ImageAxes::of(&graph(vec![around.clone(), inside], blocks, &constants)).axis(5)
        };
        assert_eq!(of_loop(node("aten::relu", &[7], &[8])), Some(0));
        assert_eq!(of_loop(node("aten::transpose", &[7, 30, 31], &[8])), None);
    }
}
