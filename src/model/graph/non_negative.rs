//! Values of which the graph shows that none is negative.

use super::{Graph, Node};

/// All that comes out is non-negative if all that goes in is.
const KEEPS_SIGN: &[&str] = &[
    "aten::cat", "aten::concat", "aten::stack", "aten::dropout", "aten::dropout_", "aten::feature_dropout",
    "aten::add", "aten::add_", "aten::mul", "aten::mul_", "aten::avg_pool2d", "aten::adaptive_avg_pool2d",
    "aten::mean", "aten::view", "aten::reshape", "aten::flatten", "aten::permute", "aten::transpose",
    "aten::contiguous", "aten::clone", "aten::detach", "aten::slice", "aten::select", "aten::chunk", "aten::split",
    "aten::squeeze", "aten::unsqueeze", "aten::channel_shuffle", "aten::max_pool2d", "prim::ConstantChunk",
    "prim::ListConstruct", "prim::ListUnpack", "prim::TupleConstruct", "prim::TupleUnpack",
];

/// The values of a graph of which it shows that none is negative, wherever they are seen later.
pub(in super::super) struct NonNegative<'a> {
    graph: &'a Graph,
    values: Vec<bool>,
}

impl<'a> NonNegative<'a> {
    /// `is_rectifier` says which nodes give no negative value whatever they are given.
    pub fn of(graph: &'a Graph, is_rectifier: impl Fn(&Node) -> bool) -> NonNegative<'a> {
        let mut known = NonNegative { graph, values: vec![false; graph.values.len()] };
        for number in graph.order() {
            let node = &graph.nodes[number];
            if is_rectifier(node) || known.keeps(node) {
                for &output in &node.outputs {
                    known.values[output] = graph.is_final(output, number);
                }
            }
        }
        known
    }

    pub fn has(&self, value: usize) -> bool {
        self.values[value]
    }

    fn keeps(&self, node: &Node) -> bool {
        let positive = node.is("aten::sigmoid") || node.is("aten::softmax");
        let keeps = KEEPS_SIGN.contains(&node.operator.as_str()) && !node.inputs.is_empty();
        positive || keeps && node.inputs.iter().all(|&input| self.fits(input))
    }

    /// Indices, shapes and flags do not matter to the sign.
    fn fits(&self, input: usize) -> bool {
        self.has(input) || self.graph.number(input).map_or(!self.graph.holds_tensors(input), |number| number >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Constant;
    use super::super::by_hand::*;
    use super::*;

    fn non_negative(nodes: Vec<Node>, value: usize) -> bool {
        let graph = straight(nodes, value, &[Constant::Int(1), Constant::Float(-2.0)]);
        NonNegative::of(&graph, |node| node.function() == "aten::relu").has(value)
    }

    #[test]
    fn signs_pass_additions_and_movements_but_no_writes() {
        let relu = || node("aten::relu", &[1], &[2]);
        assert!(non_negative(vec![relu()], 2));
        assert!(non_negative(vec![relu(), node("aten::add", &[2, 2, 30], &[3])], 3));
        assert!(!non_negative(vec![relu(), node("aten::add", &[2, 2, 31], &[3])], 3), "less twice itself");
        assert!(!non_negative(vec![relu(), node("aten::add", &[2, 1, 30], &[3])], 3));
        assert!(!non_negative(vec![relu(), node("aten::sub", &[2, 2, 30], &[3])], 3));
        let written = Node { writes: vec![2, 3], ..node("aten::sub_", &[2, 1, 30], &[3]) };
        assert!(!non_negative(vec![relu(), written], 2));
    }
}
