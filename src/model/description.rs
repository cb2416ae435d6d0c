//! The frozen graph as the C++ side describes it, taken over.

use super::bridge::{ConstantKind, RawConstant, RawGraph};
use super::graph::{Block, Constant, Graph, Node, Value};

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
        ..Node::default()
    });
    let blocks = raw.blocks.into_iter().map(|block| Block {
        parameters: block.parameters,
        nodes: block.nodes,
        returns: block.returns,
        ..Block::default()
    });
    let values = raw.values.into_iter().map(|value| Value {
        holds_tensors: value.holds_tensors,
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
