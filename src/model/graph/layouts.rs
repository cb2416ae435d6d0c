//! Which values may lie in memory otherwise than PyTorch shows them, with nobody seeing it.
//!
//! A convolution makes such a value, and operators that do not look at strides hand it on. Each has a flag, which says at run
//! time whether it does lie otherwise; values with equal flags do so under the same condition.

use std::collections::{HashMap, HashSet};

use super::{Graph, Node};

/// Operators that make of a contiguous first operand a contiguous result, and the same values of one that lies otherwise.
/// Other tensors among their operands are constants. Sites are such too.
const FOLLOWERS: &[&str] = &[
    "aten::batch_norm", "aten::avg_pool2d", "aten::adaptive_avg_pool2d", "aten::mean", "aten::sum", "aten::add",
    "aten::sub", "aten::rsub", "aten::mul", "aten::div", "aten::neg", "aten::abs", "aten::square", "aten::pow",
    "aten::sqrt", "aten::exp", "aten::sigmoid", "aten::tanh", "aten::silu", "aten::gelu", "aten::mish", "aten::elu",
    "aten::leaky_relu", "aten::softplus", "aten::hardswish", "aten::hardsigmoid", "aten::hardtanh", "aten::clamp",
    "aten::clamp_min", "aten::clamp_max",
];

/// Of these, the second operand may be such a value too.
const MEETERS: &[&str] = &["aten::add", "aten::sub", "aten::mul"];

/// The layouts of a graph, by node, whose numbers are those of the graph.
#[derive(Debug, Default, PartialEq)]
pub(in super::super) struct Layouts {
    /// The flag of the result, where it may lie otherwise.
    pub results: HashMap<usize, usize>,
    /// The flag under which a convolution runs.
    pub convolutions: HashMap<usize, usize>,
    /// The nodes, and which of their operands, that take a value as it lies.
    pub taken: HashSet<(usize, usize)>,
}

/// Who uses a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    Node(usize),
    /// A block returns it.
    Return(usize),
}

struct Spreading<'a> {
    graph: &'a Graph,
    /// The users of each value, and as which operand.
    uses: Vec<Vec<(User, usize)>>,
    /// Nodes whose results lie as PyTorch has them from the first.
    barred: HashSet<usize>,
    found: Layouts,
    next: usize,
}

impl Layouts {
    /// Of a graph whose sites are known.
    pub fn of(graph: &Graph) -> Layouts {
        let mut uses = vec![Vec::new(); graph.values.len()];
        for (number, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().enumerate().for_each(|(at, &input)| uses[input].push((User::Node(number), at)));
        }
        for (number, block) in graph.blocks.iter().enumerate() {
            block.returns.iter().enumerate().for_each(|(at, &value)| uses[value].push((User::Return(number), at)));
        }
        let (barred, found) = (HashSet::new(), Layouts::default());
        let mut spreading = Spreading { graph, uses, barred, found, next: 0 };
        loop {
            spreading.spread();
            if !spreading.bar_what_is_written_later() {
                break;
            }
        }
        spreading.note_what_is_taken();
        spreading.found
    }
}

/// The value that a node gives, if it gives one; of a pool with positions, which are a site where nobody asks for these, the
/// largest values.
fn result(node: &Node) -> Option<usize> {
    (node.outputs.len() == 1 || node.site.is_some()).then(|| node.outputs.first().copied()).flatten()
}

fn in_place(node: &Node) -> bool {
    node.operator.ends_with('_')
}

impl Spreading<'_> {
    fn flag(&self, value: usize) -> Option<usize> {
        let (node, offset) = self.graph.values[value].from?;
        (offset == 0).then(|| self.found.results.get(&node).copied()).flatten()
    }

    fn spread(&mut self) {
        (self.found, self.next) = (Layouts::default(), 0);
        for number in self.graph.order() {
            self.spread_node(number);
        }
    }

    fn new_flag(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn spread_node(&mut self, number: usize) {
        let graph = self.graph;
        let node = &graph.nodes[number];
        if node.packs {
            let own = self.flag(node.inputs[0]).unwrap_or_else(|| self.new_flag());
            self.found.convolutions.insert(number, own);
            if !self.barred.contains(&number) {
                self.found.results.insert(number, own);
            }
            return;
        }
        if self.barred.contains(&number) || result(node).is_none() {
            return;
        }
        let Some(operands) = self.joined(node).map_or_else(|| self.operands(node), |list| Some(list.inputs.clone()))
        else {
            return;
        };
        if let Some(common) = self.common_flag(&operands, !in_place(node)) {
            self.found.results.insert(number, common);
        }
    }

    /// What a concatenation joins, if its list is its own.
    fn joined(&self, node: &Node) -> Option<&Node> {
        let joins = node.is("aten::cat") || node.is("aten::concat");
        let list = joins.then(|| self.graph.giver(node.inputs[0])).flatten()?;
        let own = list.is("prim::ListConstruct") && self.uses[list.outputs[0]].len() == 1;
        (own && !list.inputs.is_empty()).then_some(list)
    }

    /// The operands of a follower that are no constants; none of what is no follower, or takes too many of them.
    fn operands(&self, node: &Node) -> Option<Vec<usize>> {
        let graph = self.graph;
        let function = node.function();
        let first = *node.inputs.first()?;
        // What is written in another block may be written in some turns only.
        let in_one_block = !in_place(node) || graph.block_of(first) == Some(node.place.0);
        if !in_one_block || node.site.is_none() && !FOLLOWERS.contains(&function) {
            return None;
        }
        if node.site.is_some() {
            return Some(vec![first]);
        }
        let most = if MEETERS.contains(&function) { 2 } else { 1 };
        let matters = |value: usize| graph.values[value].is_tensor && !graph.values[value].is_plain;
        let operands = || node.inputs.iter().enumerate().filter(|&(_, &input)| matters(input));
        let fits = operands().all(|(at, _)| at < most) && (!in_place(node) || operands().any(|(at, _)| at == 0));
        fits.then(|| operands().map(|(_, &input)| input).collect())
    }

    /// The flag of what comes of `operands`; none if one of them has none.
    fn common_flag(&mut self, operands: &[usize], may_differ: bool) -> Option<usize> {
        let flags: Vec<usize> = operands.iter().map(|&operand| self.flag(operand)).collect::<Option<_>>()?;
        let &last = flags.last()?;
        match flags.iter().all(|&flag| flag == last) {
            true => Some(last),
            false => may_differ.then(|| self.new_flag()),
        }
    }

    /// Whether a user takes a flagged value as it lies.
    fn stays(&self, user: User, at: usize) -> bool {
        let graph = self.graph;
        let User::Node(number) = user else { return false };
        let node = &graph.nodes[number];
        let is_flagged = |node: &Node| result(node).is_some_and(|value| self.flag(value).is_some());
        if node.packs {
            return at == 0;
        }
        if node.is("prim::ListConstruct") {
            let [(User::Node(join), _)] = self.uses[node.outputs[0]][..] else { return false };
            let join = &graph.nodes[join];
            return self.joined(join).is_some() && is_flagged(join);
        }
        let operands = if MEETERS.contains(&node.function()) { 2 } else { 1 };
        let follows = node.site.is_some() || FOLLOWERS.contains(&node.function());
        follows && is_flagged(node) && at < operands
    }

    /// A value that others use is copied for them, and nobody may write to either afterwards.
    fn bar_what_is_written_later(&mut self) -> bool {
        let found = self.found.results.keys().copied().filter(|&number| {
            let value = self.graph.nodes[number].outputs[0];
            self.uses[value].iter().any(|&(user, at)| !self.stays(user, at) && !self.is_over_before(value, user))
        });
        let found: Vec<usize> = found.collect();
        self.barred.extend(&found);
        !found.is_empty()
    }

    /// Whether all that `value` may see is written for the last time before `user` runs.
    fn is_over_before(&self, value: usize, user: User) -> bool {
        let graph = self.graph;
        let mut writers = graph.nodes.iter().enumerate().filter(|(_, node)| node.writes.contains(&value)).peekable();
        if writers.peek().is_none() {
            return true;
        }
        let Some(block) = graph.block_of(value) else { return false };
        let reader = match user {
            User::Node(number) => graph.place_in(block, number),
            User::Return(returning) if returning == block => Some(usize::MAX),
            User::Return(returning) => graph.blocks[returning].owner.and_then(|owner| graph.place_in(block, owner)),
        };
        let Some(reader) = reader else { return false };
        writers.all(|(writer, _)| graph.place_in(block, writer).is_some_and(|at| at < reader))
    }

    fn note_what_is_taken(&mut self) {
        let flagged = self.found.results.keys().map(|&number| self.graph.nodes[number].outputs[0]);
        let uses = flagged.flat_map(|value| &self.uses[value]);
        let taken = uses.filter(|&&(user, at)| self.stays(user, at)).filter_map(|&(user, at)| match user {
            User::Node(number) => Some((number, at)),
            User::Return(_) => None,
        });
        self.found.taken = taken.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::*;
    use super::*;

    fn convolution(input: usize, output: usize) -> Node {
        Node { packs: true, ..node("aten::conv2d", &[input], &[output]) }
    }

    fn relu(input: usize, output: usize) -> Node {
        Node { site: Some(0), ..node("aten::relu", &[input], &[output]) }
    }

    fn results(nodes: Vec<Node>, returned: usize) -> Vec<Option<usize>> {
        let count = nodes.len();
        let layouts = Layouts::of(&straight(nodes, returned, &[]));
        (0..count).map(|number| layouts.results.get(&number).copied()).collect()
    }

    #[test]
    fn sites_hand_on_what_convolutions_make_and_views_do_not() {
        let nodes = vec![convolution(1, 2), relu(2, 3), convolution(3, 4), node("aten::view", &[4], &[5])];
        assert_eq!(results(nodes, 5), [Some(0), Some(0), Some(0), None]);
        let nodes = || vec![convolution(1, 2), relu(2, 3), node("aten::view", &[3], &[4]), convolution(4, 5)];
        assert_eq!(results(nodes(), 5), [Some(0), Some(0), None, Some(1)]);
        let taken = Layouts::of(&straight(nodes(), 5, &[])).taken;
        assert_eq!(taken, HashSet::from([(1, 0)]), "the view gets it as PyTorch has it");
    }

    #[test]
    fn sums_of_two_conditions_have_a_third() {
        let nodes = |in_place: bool| {
            let add = node(if in_place { "aten::add_" } else { "aten::add" }, &[2, 3], &[4]);
            vec![convolution(1, 2), convolution(1, 3), add]
        };
        assert_eq!(results(nodes(false), 4), [Some(0), Some(1), Some(2)]);
        assert_eq!(results(nodes(true), 4), [Some(0), Some(1), None], "one of them cannot become the third");
        let weights = vec![convolution(1, 2), node("aten::add", &[2, 9], &[3])];
        assert_eq!(results(weights, 3), [Some(0), None], "a tensor of any layout");
    }

    #[test]
    fn what_is_written_while_others_hold_a_copy_lies_as_pytorch_has_it() {
        let writing = Node { writes: vec![2, 3, 4], ..node("aten::relu_", &[2], &[4]) };
        let viewed = |late: bool| {
            let (view, write) = (node("aten::view", &[2], &[3]), Node { site: Some(0), ..writing.clone() });
            if late { vec![convolution(1, 2), write, view] } else { vec![convolution(1, 2), view, write] }
        };
        assert_eq!(results(viewed(true), 3), [Some(0), Some(0), None]);
        assert_eq!(results(viewed(false), 4), [None, None, None]);
    }

    #[test]
    fn concatenations_hand_on_lists_of_their_own() {
        let nodes = |users: usize| {
            let mut nodes = vec![convolution(1, 2), convolution(2, 3), node("prim::ListConstruct", &[2, 3], &[21])];
            nodes.extend((0..users).map(|user| node("aten::cat", &[21, 22], &[4 + user])));
            nodes
        };
        assert_eq!(results(nodes(1), 4)[3], Some(0));
        assert_eq!(results(nodes(2), 4)[3], None);
    }
}
