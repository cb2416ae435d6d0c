//! The sites of a network, and what else in it is no polynomial.

use std::collections::HashMap;

use super::graph::{Encrypted, Graph, ImageAxes, Node, NonNegative};
use super::operator::{Inputs, Misfit, Replacement, SiteKind, recognised};
use crate::activation::{Activation, Interval};

/// One ReLU or max-pool of a network.
#[derive(Debug, Clone)]
pub struct Site {
    /// Position in execution order, from 0.
    pub index: usize,
    /// Module path, `layer1.0.relu`; `layer1.0.relu#2` for the second use of the same module.
    pub name: String,
    pub kind: SiteKind,
    /// The axis of the input along which the images of a batch follow each other, 0 too where they do row by row; none where
    /// the graph does not show it.
    pub image_axis: Option<usize>,
    /// Whether the graph shows that no input is below zero.
    pub non_negative: bool,
}

/// Why an activation does not fit a site.
#[derive(Debug, Clone, thiserror::Error)]
#[error("site {index} ({name}): {misfit}")]
pub struct SiteError {
    pub index: usize,
    pub name: String,
    pub misfit: Misfit,
}

impl Site {
    /// Whether `activation` can stand in here for inputs in `range`.
    ///
    /// # Errors
    /// [`SiteError`]: one polynomial in the place of max, a parabola in that of ReLU6, a pool over too many values.
    pub fn check(&self, activation: &Activation, range: Interval) -> Result<(), SiteError> {
        let inputs = Inputs { range, clip: false, non_negative: self.non_negative };
        self.replacement(activation, inputs).map(drop)
    }

    /// What stands in here by `activation`, for such `inputs`.
    pub(super) fn replacement(
        &self,
        activation: &Activation,
        inputs: Inputs,
    ) -> Result<Box<dyn Replacement>, SiteError> {
        let found = self.kind.operator().replacement(activation, inputs);
        found.map_err(|misfit| SiteError { index: self.index, name: self.name.clone(), misfit })
    }
}

/// A node of the graph that is neither a site nor a polynomial, and stays as it is.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// libtorch's name, `aten::sigmoid`.
    pub operator: String,
    /// Module path.
    pub name: String,
    /// Whether its result is the network's output, where an order-preserving function does not change top-1.
    pub at_output: bool,
}

/// The sites of `graph` in the order of execution, the nodes that they are, and what else is no polynomial of the images.
pub(super) fn found_in(graph: &Graph) -> (Vec<Site>, Vec<usize>, Vec<Foreign>) {
    let encrypted = Encrypted::of(graph);
    let rectifies = |node: &Node| recognised(graph, node).is_some_and(|kind| kind.operator().is_non_negative());
    let non_negative = NonNegative::of(graph, rectifies);
    let axes = ImageAxes::of(graph);
    let (mut sites, mut nodes, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for number in graph.order() {
        let node = graph.node(number);
        match (recognised(graph, node), node.inputs.first()) {
            (Some(kind), Some(&input)) if encrypted.has(input) => {
                let count = uses.entry(&node.name).or_insert(0);
                *count += 1;
                let name = if *count == 1 { node.name.clone() } else { format!("{}#{count}", node.name) };
                let (image_axis, non_negative) = (axes.axis(input), non_negative.has(input));
                sites.push(Site { index: sites.len(), name, kind, image_axis, non_negative });
                nodes.push(number);
            }
            _ if encrypted.is_foreign(node) => foreign.push(Foreign {
                operator: node.operator.clone(),
                name: node.name.clone(),
                at_output: node.outputs.iter().any(|&output| graph.reaches_output(output)),
            }),
            _ => {}
        }
    }
    (sites, nodes, foreign)
}
