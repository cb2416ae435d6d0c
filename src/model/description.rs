//! The frozen graph as the C++ side describes it, taken over; and what was decided on it, handed back.

use std::collections::HashMap;

use super::bridge::{ConstantKind, RawConstant, RawGraph, RawLayouts, RawTaken};
use super::graph::{Block, Constant, Graph, Layouts, Node, Value};

/// The graph that `raw` describes.
pub(super) fn described(raw: RawGraph) -> Graph {
    let nodes = raw.nodes.into_iter().map(|node| Node {
        operator: node.operator_name,
        name: node.name,
        inputs: node.inputs,
        outputs: node.outputs,
        blocks: node.blocks,
        writes: node.writes,
        turns: u32::try_from(node.turns).ok(),
        axis: node.axis,
        packs: node.packs,
        gain: (node.gain >= 0.0).then_some(node.gain),
        takes: u64::try_from(node.takes).ok(),
        ..Node::default()
    });
    let blocks = raw.blocks.into_iter().map(|block| Block {
        parameters: block.parameters,
        nodes: block.nodes,
        returns: block.returns,
        ..Block::default()
    });
    let values = raw.values.into_iter().map(|value| Value {
        is_tensor: value.is_tensor,
        holds_tensors: value.holds_tensors,
        is_plain: value.is_plain,
        constant: constant(value.constant),
        ..Value::default()
    });
    Graph::of(nodes.collect(), blocks.collect(), values.collect())
}

fn constant(raw: RawConstant) -> Option<Constant> {
    Some(match raw.kind {
        ConstantKind::None => Constant::None,
        ConstantKind::Bool => Constant::Bool(raw.integer != 0),
        ConstantKind::Int => Constant::Int(raw.integer),
        ConstantKind::Float => Constant::Float(raw.number),
        ConstantKind::Ints => Constant::Ints(raw.integers),
        _ => return None,
    })
}

/// What was decided on a graph of `nodes` nodes.
pub(super) fn raw(layouts: Layouts, nodes: usize) -> RawLayouts {
    let flags =
        |of: &HashMap<usize, usize>| (0..nodes).map(|node| of.get(&node).map_or(-1, |&flag| flag as i64)).collect();
    let taken = layouts.taken.iter().map(|&(node, operand)| RawTaken { node, operand }).collect();
    RawLayouts { results: flags(&layouts.results), convolutions: flags(&layouts.convolutions), taken }
}
