//! A network as the scheme sees it: operations on ciphertexts, each of results of earlier ones.

/// What a node does with its operands, as far as levels go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The encrypted images.
    Input,
    /// With weights that are known, batch norm folded in.
    Convolution,
    /// A linear layer with weights that are known.
    Linear,
    AveragePool,
    /// Of two ciphertexts or more.
    Addition,
    /// A product with numbers that no layer before or behind was given, such as a batch norm by itself.
    Scaling,
    /// Of two ciphertexts.
    Product,
    /// A site of this number.
    Site(usize),
    /// What moves values about, and sums with numbers that are known.
    Free,
    /// Neither a polynomial nor a site: it stays exact, and what it would take is not known.
    Foreign,
}

impl Operation {
    /// For people and files.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Input => "images",
            Operation::Convolution => "convolution",
            Operation::Linear => "linear",
            Operation::AveragePool => "average pool",
            Operation::Addition => "addition",
            Operation::Scaling => "scaling",
            Operation::Product => "product",
            Operation::Site(_) => "site",
            Operation::Free => "free",
            Operation::Foreign => "not polynomial",
        }
    }
}

/// A result that a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operand {
    /// The node that gives it, an earlier one.
    pub node: usize,
    /// Whether it comes to an addition around the layers that made the other operand, as the shortcut of a residual block does:
    /// without a convolution of its own on the way.
    pub shortcut: bool,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub operation: Operation,
    pub operands: Vec<Operand>,
    /// Path of the module it is in.
    pub name: String,
    /// How many numbers an image has there; none where that is not known.
    pub elements: Option<u64>,
}

/// Operations in an order in which they can be computed. The first is [`Operation::Input`]; the last gives the logits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Circuit {
    pub nodes: Vec<Node>,
}

impl Circuit {
    /// With the images alone.
    pub fn new() -> Circuit {
        let input =
            Node { operation: Operation::Input, operands: Vec::new(), name: "images".to_owned(), elements: None };
        Circuit { nodes: vec![input] }
    }

    /// Add an operation of the results of earlier nodes; its number. An operand of an addition is a shortcut where no convolution,
    /// linear layer or product gave it, while one gave another.
    pub fn push(&mut self, operation: Operation, operands: &[usize], name: &str) -> usize {
        let computed: Vec<bool> = operands.iter().map(|&node| self.is_computed(node)).collect();
        let joins = operation == Operation::Addition && computed.contains(&true);
        let operand = |(&node, computed): (&usize, &bool)| Operand { node, shortcut: joins && !computed };
        let operands = operands.iter().zip(&computed).map(operand).collect();
        self.nodes.push(Node { operation, operands, name: name.to_owned(), elements: None });
        self.nodes.len() - 1
    }

    /// Whether weights were multiplied with it last, but for what moves and scales.
    fn is_computed(&self, node: usize) -> bool {
        let Node { operation, operands, .. } = &self.nodes[node];
        match operation {
            Operation::Convolution | Operation::Linear | Operation::Product => true,
            Operation::Free | Operation::Scaling | Operation::AveragePool => {
                operands.first().is_some_and(|operand| self.is_computed(operand.node))
            }
            _ => false,
        }
    }

    /// Say how many numbers of an image the `sites` are given, as far as that is known, and with it all nodes that give as many as a
    /// site takes, or join what does.
    pub fn measure(&mut self, sites: &[Option<u64>]) {
        let given: Vec<(usize, Option<u64>)> =
            self.sites().map(|(site, node)| (node, sites.get(site).copied().flatten())).collect();
        for (node, elements) in given {
            self.nodes[node].elements = elements;
        }
        let alike = |operation| matches!(operation, Operation::Addition | Operation::Scaling | Operation::Site(_));
        for at in (0..self.nodes.len()).rev() {
            let Node { operation, operands, elements, .. } = self.nodes[at].clone();
            for operand in operands.iter().filter(|_| alike(operation)) {
                let given = &mut self.nodes[operand.node].elements;
                *given = given.or(elements);
            }
        }
        for at in 0..self.nodes.len() {
            let Node { operation, operands, elements, .. } = self.nodes[at].clone();
            let of_operands = operands.iter().map(|operand| self.nodes[operand.node].elements);
            self.nodes[at].elements = match operation {
                Operation::Addition | Operation::Scaling => elements.or(of_operands.flatten().max()),
                Operation::Free => elements.or(of_operands.sum()),
                _ => elements,
            };
        }
    }

    /// The nodes that are sites, by the number of the site.
    pub fn sites(&self) -> impl Iterator<Item = (usize, usize)> {
        self.nodes.iter().enumerate().filter_map(|(node, Node { operation, .. })| match operation {
            Operation::Site(site) => Some((*site, node)),
            _ => None,
        })
    }

    /// The first convolution or linear layer, which is given the images.
    pub fn first_layer(&self) -> Option<usize> {
        self.nodes.iter().position(|node| matches!(node.operation, Operation::Convolution | Operation::Linear))
    }

    /// How many ciphertexts each node gives where one holds `slots` numbers; 1 where that is not known.
    pub fn ciphertexts(&self, slots: Option<u64>) -> Vec<u64> {
        let count =
            |node: &Node| slots.zip(node.elements).map_or(1, |(slots, elements)| elements.div_ceil(slots).max(1));
        self.nodes.iter().map(count).collect()
    }
}

/// The ResNets for CIFAR of 6n+2 layers (He et al., arXiv 1512.03385, section 4.2), whose shortcuts have no parameters.
#[cfg(test)]
pub(super) fn resnet(blocks: usize) -> Circuit {
    let mut circuit = Circuit::new();
    let stem = circuit.push(Operation::Convolution, &[0], "conv1");
    let mut x = circuit.push(Operation::Site(0), &[stem], "relu");
    for block in 0..3 * blocks {
        let first = circuit.push(Operation::Convolution, &[x], "conv1");
        let relu = circuit.push(Operation::Site(2 * block + 1), &[first], "relu1");
        let second = circuit.push(Operation::Convolution, &[relu], "conv2");
        let sum = circuit.push(Operation::Addition, &[second, x], "add");
        x = circuit.push(Operation::Site(2 * block + 2), &[sum], "relu2");
    }
    let pool = circuit.push(Operation::AveragePool, &[x], "pool");
    circuit.push(Operation::Linear, &[pool], "linear");
    circuit
}
