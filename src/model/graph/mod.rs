//! The frozen graph of a network: nodes, the values that flow between them, and the blocks of branches and loops.
//!
//! libtorch runs the graph; what follows from its shape is computed here: what depends on the images, where these lie, what
//! is no polynomial, what is never negative, what may lie otherwise in memory, the longest path.

mod circuit;
mod encrypted;
mod images;
mod layouts;
mod non_negative;
mod path;

pub(super) use encrypted::Encrypted;
pub(super) use images::ImageAxes;
pub(super) use layouts::Layouts;
pub(super) use non_negative::NonNegative;

/// Nodes in blocks, with the values between them. Nodes, values and blocks are numbered from 0; block 0 is the graph itself,
/// which is given the module and the images. Constants are values without a node.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    blocks: Vec<Block>,
    values: Vec<Value>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// libtorch's name, `aten::conv2d`.
    pub operator: String,
    /// Path of the module that it is, or is in, then with what it does: `layer1.0.relu`, `layer1.0.add`.
    pub name: String,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
    /// The branches of a condition, the body of a loop.
    pub blocks: Vec<usize>,
    /// The values that see memory to which the node may write.
    pub writes: Vec<usize>,
    /// How often the body of a loop runs, if the graph says it.
    pub turns: Option<u32>,
    /// Of `prim::ConstantChunk`, along which axis.
    pub axis: i64,
    /// Whether it is a convolution whose weights can be packed for the CPU.
    pub packs: bool,
    /// By how much its weights enlarge an independent error, root mean square over its results.
    pub gain: Option<f64>,
    /// Of a linear layer, how many numbers a result is made of.
    pub takes: Option<u64>,
    /// Which site it is.
    pub site: Option<usize>,
    /// The block it stands in, and its place there; [`Graph::of`] fills it in.
    pub place: (usize, usize),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    pub parameters: Vec<usize>,
    pub nodes: Vec<usize>,
    pub returns: Vec<usize>,
    /// The node it is in; [`Graph::of`] fills it in.
    pub owner: Option<usize>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Value {
    pub is_tensor: bool,
    /// Whether it is a tensor or holds some.
    pub holds_tensors: bool,
    /// Whether it is fixed, and has no say in how a result lies in memory.
    pub is_plain: bool,
    /// What it is, if that is fixed and a plain value.
    pub constant: Option<Constant>,
    /// The node that gives it, and as which of its outputs; [`Graph::of`] fills it in.
    pub from: Option<(usize, usize)>,
    /// The block that is given it, if one is.
    pub parameter_of: Option<usize>,
}

/// A value that the graph fixes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Ints(Vec<i64>),
}

impl Graph {
    /// The graph of these nodes, blocks and values.
    pub(super) fn of(nodes: Vec<Node>, blocks: Vec<Block>, values: Vec<Value>) -> Graph {
        Graph { nodes, blocks, values }.linked()
    }

    /// With the places of nodes, blocks and values filled in.
    fn linked(mut self) -> Graph {
        for (number, block) in self.blocks.iter().enumerate() {
            for (position, &node) in block.nodes.iter().enumerate() {
                self.nodes[node].place = (number, position);
            }
        }
        for (number, node) in self.nodes.iter().enumerate() {
            for (offset, &value) in node.outputs.iter().enumerate() {
                self.values[value].from = Some((number, offset));
            }
            for &block in &node.blocks {
                self.blocks[block].owner = Some(number);
            }
        }
        for (number, block) in self.blocks.iter().enumerate() {
            for &value in &block.parameters {
                self.values[value].parameter_of = Some(number);
            }
        }
        self
    }

    pub(super) fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The images.
    fn input(&self) -> Option<usize> {
        self.blocks.first()?.parameters.get(1).copied()
    }

    /// All nodes in the order of execution, those of inner blocks before the node that holds them.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        if !self.blocks.is_empty() {
            self.order_of(0, &mut order);
        }
        order
    }

    fn order_of(&self, block: usize, order: &mut Vec<usize>) {
        for &node in &self.blocks[block].nodes {
            for &inner in &self.nodes[node].blocks {
                self.order_of(inner, order);
            }
            order.push(node);
        }
    }

    /// Number `sites`, nodes, from 0.
    pub(super) fn set_sites(&mut self, sites: &[usize]) {
        for (index, &node) in sites.iter().enumerate() {
            self.nodes[node].site = Some(index);
        }
    }

    pub(super) fn holds_tensors(&self, value: usize) -> bool {
        self.values[value].holds_tensors
    }

    pub(super) fn constant(&self, value: usize) -> Option<&Constant> {
        self.values[value].constant.as_ref()
    }

    pub(super) fn is_none(&self, value: usize) -> bool {
        self.constant(value) == Some(&Constant::None)
    }

    /// A constant whole number.
    pub(super) fn integer(&self, value: usize) -> Option<i64> {
        match self.constant(value) {
            Some(&Constant::Int(integer)) => Some(integer),
            _ => None,
        }
    }

    /// A constant number.
    pub(super) fn number(&self, value: usize) -> Option<f64> {
        match self.constant(value) {
            Some(&Constant::Int(integer)) => Some(integer as f64),
            Some(&Constant::Float(number)) => Some(number),
            _ => None,
        }
    }

    pub(super) fn boolean(&self, value: usize) -> Option<bool> {
        match self.constant(value) {
            Some(&Constant::Bool(boolean)) => Some(boolean),
            _ => None,
        }
    }

    /// A constant list of whole numbers, or one for a list of one.
    pub(super) fn integers(&self, value: usize) -> Option<Vec<i64>> {
        match (self.constant(value), self.giver(value)) {
            (Some(Constant::Int(integer)), _) => Some(vec![*integer]),
            (Some(Constant::Ints(list)), _) => Some(list.clone()),
            (None, Some(node)) if node.operator == "prim::ListConstruct" => {
                node.inputs.iter().map(|&element| self.integer(element)).collect()
            }
            _ => None,
        }
    }

    /// The node that gives `value`.
    pub(super) fn giver(&self, value: usize) -> Option<&Node> {
        self.values[value].from.map(|(node, _)| &self.nodes[node])
    }

    /// Whether anything takes `value`.
    pub(super) fn is_used(&self, value: usize) -> bool {
        self.users(value).next().is_some() || self.blocks.iter().any(|block| block.returns.contains(&value))
    }

    /// The block that `value` is defined in; none of constants.
    fn block_of(&self, value: usize) -> Option<usize> {
        let Value { from, parameter_of, .. } = self.values[value];
        from.map(|(node, _)| self.nodes[node].place.0).or(parameter_of)
    }

    /// The nodes that are given `value`.
    fn users(&self, value: usize) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.inputs.contains(&value))
    }

    /// Whether `value` leaves the network, through nothing but tuples.
    pub(super) fn reaches_output(&self, value: usize) -> bool {
        let returned = self.blocks.first().is_some_and(|graph| graph.returns.contains(&value));
        returned || {
            let tuples = self.users(value).filter(|node| node.operator == "prim::TupleConstruct");
            tuples.flat_map(|node| &node.outputs).any(|&tuple| self.reaches_output(tuple))
        }
    }

    /// Whether all that the output `value` of node `giver` may see stays as it is once this node has run.
    fn is_final(&self, value: usize, giver: usize) -> bool {
        let (block, position) = self.nodes[giver].place;
        let writers = self.nodes.iter().enumerate().filter(|(_, node)| node.writes.contains(&value));
        writers
            .filter(|&(writer, _)| writer != giver)
            .all(|(writer, _)| self.place_in(block, writer).is_some_and(|writes_at| writes_at < position))
    }

    /// The place in `block` of `node`, or of the node around it there; none if it is not inside.
    fn place_in(&self, block: usize, mut node: usize) -> Option<usize> {
        loop {
            let (of, position) = self.nodes[node].place;
            if of == block {
                return Some(position);
            }
            node = self.blocks[of].owner?;
        }
    }
}

impl Node {
    /// libtorch's name without the underscore of a variant in place.
    pub fn function(&self) -> &str {
        match self.operator.strip_suffix('_') {
            Some(plain) if !plain.ends_with('_') && plain.len() > 1 => plain,
            _ => &self.operator,
        }
    }

    fn is(&self, operator: &str) -> bool {
        self.operator == operator
    }
}

/// Graphs for tests, written down by hand.
#[cfg(test)]
pub(super) mod by_hand {
    use super::*;

    /// Values 0 (the module) and 1 (the images) are given to block 0. Those below 20 are tensors, those below 30 are not, and
    /// `constants` follow from 30 on.
    pub fn graph(nodes: Vec<Node>, blocks: Vec<Block>, constants: &[Constant]) -> Graph {
        let tensors = (0..30).map(|number| {
            let is_tensor = number < 20;
            Value { is_tensor, holds_tensors: is_tensor, ..Value::default() }
        });
        let constant =
            |constant: &Constant| Value { constant: Some(constant.clone()), is_plain: true, ..Value::default() };
        Graph::of(nodes, blocks, tensors.chain(constants.iter().map(constant)).collect())
    }

    /// A graph of one block that returns `returned`.
    pub fn straight(nodes: Vec<Node>, returned: usize, constants: &[Constant]) -> Graph {
        let all: Vec<usize> = (0..nodes.len()).collect();
        graph(nodes, vec![block(&[0, 1], &all, &[returned])], constants)
    }

    pub fn node(operator: &str, inputs: &[usize], outputs: &[usize]) -> Node {
        Node { operator: operator.into(), inputs: inputs.to_vec(), outputs: outputs.to_vec(), ..Node::default() }
    }

    pub fn block(parameters: &[usize], nodes: &[usize], returns: &[usize]) -> Block {
        Block { parameters: parameters.to_vec(), nodes: nodes.to_vec(), returns: returns.to_vec(), ..Block::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::by_hand::*;
    use super::*;

    #[test]
    fn functions_are_named_without_the_mark_of_what_is_done_in_place() {
        let function = |operator| node(operator, &[], &[]).function().to_owned();
        assert_eq!(function("aten::relu_"), "aten::relu");
        assert_eq!(function("aten::relu"), "aten::relu");
        assert_eq!(function("aten::__and__"), "aten::__and__");
    }

    #[test]
    fn what_leaves_the_network_does_so_through_tuples_alone() {
        let nodes = vec![
            node("aten::sigmoid", &[1], &[2]),
            node("prim::TupleConstruct", &[2, 1], &[3]),
            node("aten::relu", &[1], &[4]),
            node("aten::add", &[4, 4], &[5]),
            node("prim::TupleConstruct", &[3, 5], &[6]),
        ];
        let graph = straight(nodes, 6, &[]);
        assert_eq!([2, 3, 4, 5, 6].map(|value| graph.reaches_output(value)), [true, true, false, true, true]);
    }

    #[test]
    fn a_value_is_final_where_nobody_writes_to_it_later() {
        let writing = |operator, inputs: &[usize], output, writes: &[usize]| Node {
            writes: writes.to_vec(),
            ..node(operator, inputs, &[output])
        };
        // y = relu(x); y += x; z = relu_(y)
        let nodes = vec![
            node("aten::relu", &[1], &[2]),
            writing("aten::add_", &[2, 1], 3, &[2, 3, 4]),
            writing("aten::relu_", &[3], 4, &[2, 3, 4]),
        ];
        let graph = straight(nodes, 4, &[]);
        assert!(!graph.is_final(2, 0) && !graph.is_final(3, 1) && graph.is_final(4, 2));
        // A branch behind it writes.
        let branch = Node { blocks: vec![1], ..node("prim::If", &[9], &[]) };
        let nodes = vec![node("aten::relu", &[1], &[2]), branch, writing("aten::zero_", &[2], 3, &[2, 3])];
        let blocks = vec![block(&[0, 1], &[0, 1], &[2]), block(&[], &[2], &[])];
        let graph = by_hand::graph(nodes, blocks, &[]);
        assert!(!graph.is_final(2, 0) && graph.is_final(3, 2));
    }

    #[test]
    fn lists_of_constants_are_constants() {
        let constants = [Constant::Int(2), Constant::Int(-1), Constant::Ints(vec![3, 4]), Constant::None];
        let lists = vec![node("prim::ListConstruct", &[30, 31], &[2]), node("prim::ListConstruct", &[30, 1], &[3])];
        let graph = straight(lists, 2, &constants);
        assert_eq!(graph.integers(2), Some(vec![2, -1]));
        assert_eq!(graph.integers(3), None);
        assert_eq!(graph.integers(30), Some(vec![2]));
        assert_eq!(graph.integers(32), Some(vec![3, 4]));
        assert_eq!(graph.integers(33), None);
    }
}
