//! A graph as the scheme sees it: the operations on what depends on the images.

use std::collections::HashMap;

use super::{Encrypted, Graph, Node};
use crate::ckks::{Circuit, Operation};

/// Of weights that are known, or products of two ciphertexts.
const LAYERS: &[&str] = &[
    "aten::linear", "aten::addmm", "aten::addmv", "aten::addbmm", "aten::matmul", "aten::mm", "aten::mv", "aten::bmm",
    "aten::baddbmm", "aten::dot", "aten::vdot", "aten::inner", "aten::outer", "aten::tensordot", "aten::kron",
    "aten::bilinear", "aten::einsum",
];

const AVERAGES: &[&str] = &[
    "aten::mean", "aten::avg_pool1d", "aten::avg_pool2d", "aten::avg_pool3d", "aten::adaptive_avg_pool1d",
    "aten::adaptive_avg_pool2d", "aten::adaptive_avg_pool3d",
];

/// Products where both operands are ciphertexts.
const PRODUCTS: &[&str] =
    &["aten::mul", "aten::multiply", "aten::square", "aten::addcmul", "aten::lerp", "aten::prod", "aten::pow"];

/// Of a ciphertext and numbers that are known.
const SCALINGS: &[&str] = &["aten::batch_norm", "aten::div", "aten::divide", "aten::true_divide"];

const ADDITIONS: &[&str] = &["aten::add", "aten::sub", "aten::subtract", "aten::rsub"];

impl Graph {
    /// The operations on ciphertexts, in the order of execution; none where some are inside loops or branches.
    pub fn circuit(&self) -> Option<Circuit> {
        let encrypted = Encrypted::of(self);
        let mut drawn = Drawing { graph: self, encrypted: &encrypted, circuit: Circuit::new(), nodes: HashMap::new() };
        drawn.nodes.insert(self.input()?, vec![0]);
        for &number in &self.blocks.first()?.nodes {
            let node = &self.nodes[number];
            let inside = node
                .blocks
                .iter()
                .any(|&block| self.blocks[block].nodes.iter().any(|&inner| drawn.touches(&self.nodes[inner])));
            if inside {
                return None;
            }
            drawn.draw(node);
        }
        let returned: Vec<usize> = self.blocks[0].returns.clone();
        let logits = drawn.of(&returned);
        let mut circuit = drawn.circuit;
        if logits != [circuit.nodes.len() - 1] {
            circuit.push(Operation::Free, &logits, "logits");
        }
        (!logits.is_empty()).then_some(circuit)
    }
}

struct Drawing<'a> {
    graph: &'a Graph,
    encrypted: &'a Encrypted<'a>,
    circuit: Circuit,
    /// The operations that each value is made of; several where it is a list.
    nodes: HashMap<usize, Vec<usize>>,
}

impl Drawing<'_> {
    fn touches(&self, node: &Node) -> bool {
        node.inputs.iter().chain(&node.outputs).any(|&value| self.encrypted.has(value))
    }

    /// The operations of all `values` together, each once.
    fn of(&self, values: &[usize]) -> Vec<usize> {
        let mut all: Vec<usize> = values.iter().filter_map(|value| self.nodes.get(value)).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn draw(&mut self, node: &Node) {
        let operands = self.of(&node.inputs);
        if operands.is_empty() || !node.outputs.iter().any(|&output| self.encrypted.has(output)) {
            return;
        }
        let result = match self.operation(node) {
            // A list, a view or the like is what it is made of.
            Operation::Free if operands.len() == 1 || node.operator.starts_with("prim::") => operands,
            operation => {
                let drawn = self.circuit.push(operation, &operands, &node.name);
                let known = &mut self.circuit.nodes[drawn];
                (known.gain, known.takes) = (node.gain, node.takes);
                vec![drawn]
            }
        };
        for &value in &node.outputs {
            self.nodes.insert(value, result.clone());
        }
        for &value in node.writes.iter().filter(|value| !node.outputs.contains(value)) {
            // Through a view only a part of what else sees the memory is written.
            let whole = node.inputs.first() == Some(&value);
            let before = if whole { Vec::new() } else { self.of(&[value]) };
            let mut all: Vec<usize> = before.into_iter().chain(result.iter().copied()).collect();
            all.sort_unstable();
            all.dedup();
            self.nodes.insert(value, all);
        }
    }

    fn operation(&self, node: &Node) -> Operation {
        if let Some(site) = node.site {
            return Operation::Site(site);
        }
        if self.encrypted.is_foreign(node) {
            return Operation::Foreign;
        }
        let function = node.function();
        let tensors =
            node.inputs.iter().filter(|&&value| self.encrypted.has(value) && self.graph.holds_tensors(value)).count();
        let squares = matches!(function, "aten::square" | "aten::pow" | "aten::prod");
        match function {
            _ if function.contains("conv") => Operation::Convolution,
            _ if LAYERS.contains(&function) && tensors < 2 => Operation::Linear,
            _ if AVERAGES.contains(&function) => Operation::AveragePool,
            _ if LAYERS.contains(&function) || PRODUCTS.contains(&function) && (tensors >= 2 || squares) => {
                Operation::Product
            }
            _ if PRODUCTS.contains(&function) || SCALINGS.contains(&function) => Operation::Scaling,
            _ if ADDITIONS.contains(&function) && tensors >= 2 => Operation::Addition,
            _ => Operation::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::*;
    use super::*;
    use crate::model::graph::Constant;

    fn site(number: usize, input: usize, output: usize) -> Node {
        Node { site: Some(number), writes: vec![input, output], ..node("aten::relu_", &[input], &[output]) }
    }

    /// relu_(conv(x)), and behind it a residual block, the mean over a list, a product and the linear layer.
    #[test]
    fn operations_are_those_on_ciphertexts() {
        let nodes = vec![
            node("aten::_convolution", &[1, 30], &[2]),
            site(0, 2, 3),
            node("aten::_convolution", &[2, 30], &[4]),
            node("aten::mul", &[4, 30], &[5]),
            node("aten::add", &[5, 3, 30], &[6]),
            node("prim::ListConstruct", &[6, 3], &[7]),
            node("aten::cat", &[7, 30], &[8]),
            node("aten::mul", &[8, 8], &[9]),
            node("aten::mul", &[9, 30], &[10]),
            node("aten::mean", &[10, 30], &[11]),
            node("aten::flatten", &[11, 30], &[12]),
            node("aten::linear", &[12, 30], &[13]),
        ];
        let circuit = straight(nodes, 13, &[Constant::Int(1)]).circuit().unwrap();
        let found: Vec<(Operation, Vec<(usize, bool)>)> = circuit
            .nodes
            .iter()
            .map(|node| {
                (node.operation, node.operands.iter().map(|operand| (operand.node, operand.shortcut)).collect())
            })
            .collect();
        let expected = vec![
            (Operation::Input, vec![]),
            (Operation::Convolution, vec![(0, false)]),
            (Operation::Site(0), vec![(1, false)]),
            (Operation::Convolution, vec![(2, false)]),
            (Operation::Scaling, vec![(3, false)]),
            (Operation::Addition, vec![(2, true), (4, false)]),
            (Operation::Free, vec![(2, false), (5, false)]),
            (Operation::Product, vec![(6, false)]),
            (Operation::Scaling, vec![(7, false)]),
            (Operation::AveragePool, vec![(8, false)]),
            (Operation::Linear, vec![(9, false)]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_runs_in_a_loop_is_not_drawn() {
        let around = Node { blocks: vec![1], turns: Some(3), ..node("prim::Loop", &[8, 9, 1], &[5]) };
        let nodes = vec![around, site(0, 2, 3)];
        let graph = graph(nodes, vec![block(&[0, 1], &[0], &[5]), block(&[1, 2], &[1], &[9, 3])], &[]);
        assert!(graph.circuit().is_none());
    }
}
