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

/// How many numbers of an image a site takes, and how many it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub takes: u64,
    pub gives: u64,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub operation: Operation,
    pub operands: Vec<Operand>,
    /// Path of the module it is in.
    pub name: String,
    /// How many numbers an image has there; none where that is not known.
    pub elements: Option<u64>,
    /// By how much its weights enlarge an error that every number it takes has of its own: the norm of the weights of one result, root
    /// mean square over the results; none where that is not known.
    pub gain: Option<f64>,
    /// Of a linear layer, how many numbers a result is made of.
    pub takes: Option<u64>,
}

impl Node {
    fn new(operation: Operation, operands: Vec<Operand>, name: &str) -> Node {
        Node { operation, operands, name: name.to_owned(), elements: None, gain: None, takes: None }
    }
}

/// Operations in an order in which they can be computed. The first is [`Operation::Input`]; the last gives the logits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Circuit {
    pub nodes: Vec<Node>,
}

impl Circuit {
    /// With the images alone.
    pub fn new() -> Circuit {
        Circuit { nodes: vec![Node::new(Operation::Input, Vec::new(), "images")] }
    }

    /// Add an operation of the results of earlier nodes; its number. An operand of an addition is a shortcut where no convolution,
    /// linear layer or product gave it, while one gave another.
    pub fn push(&mut self, operation: Operation, operands: &[usize], name: &str) -> usize {
        let computed: Vec<bool> = operands.iter().map(|&node| self.is_computed(node)).collect();
        let joins = operation == Operation::Addition && computed.contains(&true);
        let operand = |(&node, computed): (&usize, &bool)| Operand { node, shortcut: joins && !computed };
        let operands = operands.iter().zip(&computed).map(operand).collect();
        self.nodes.push(Node::new(operation, operands, name));
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

    /// Say how many numbers of an image the `sites` take and give, as far as that is known, and with it all nodes that give as many as
    /// a site or a linear layer takes, or join what does; and what an average pool makes of errors, whose windows follow.
    pub fn measure(&mut self, sites: &[Option<Size>]) {
        let sized: Vec<(Option<Size>, usize)> =
            self.sites().map(|(site, node)| (sites.get(site).copied().flatten(), node)).collect();
        let mut taken = vec![None; self.nodes.len()];
        for (size, node) in sized {
            self.nodes[node].elements = size.map(|size| size.gives);
            taken[node] = size.map(|size| size.takes);
        }
        for at in (0..self.nodes.len()).rev() {
            let Node { operation, operands, elements, takes, .. } = self.nodes[at].clone();
            let of_operand = match operation {
                Operation::Site(_) => taken[at],
                Operation::Addition | Operation::Scaling => elements,
                Operation::Linear => takes,
                _ => None,
            };
            for operand in operands {
                let given = &mut self.nodes[operand.node];
                // A linear layer takes rows: of an image that gives several it takes less than the whole.
                if operation != Operation::Linear || given.operation == Operation::AveragePool {
                    given.elements = given.elements.or(of_operand);
                }
            }
        }
        for at in 0..self.nodes.len() {
            let Node { operation, operands, elements, gain, .. } = self.nodes[at].clone();
            let of_operands: Vec<Option<u64>> =
                operands.iter().map(|operand| self.nodes[operand.node].elements).collect();
            let node = &mut self.nodes[at];
            node.elements = match operation {
                Operation::Addition | Operation::Scaling => elements.or(of_operands.iter().flatten().max().copied()),
                Operation::Free => elements.or(of_operands.iter().copied().sum()),
                _ => elements,
            };
            // So many numbers are averaged, each with an error of its own.
            if let (Operation::AveragePool, None, Some(gives), [Some(takes), ..]) =
                (operation, gain, elements, &of_operands[..])
            {
                node.gain = (*takes > 0).then(|| (gives as f64 / *takes as f64).sqrt().min(1.0));
            }
        }
    }

    /// The nodes that are sites, by the number of the site.
    pub fn sites(&self) -> impl Iterator<Item = (usize, usize)> {
        self.nodes.iter().enumerate().filter_map(|(node, Node { operation, .. })| match operation {
            Operation::Site(site) => Some((*site, node)),
            _ => None,
        })
    }

    /// The nodes that take the result of each.
    pub fn users(&self) -> Vec<Vec<usize>> {
        let mut users = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            node.operands.iter().for_each(|operand| users[operand.node].push(at));
        }
        users
    }

    /// Of each node, whether no range of a site tells how large its numbers are: it is neither what a site gives, nor means of that, nor,
    /// as it is, what sites are given. A bootstrapping takes for granted that they are in [−1, 1] when they are divided by the range.
    pub fn outside_of_ranges(&self) -> Vec<bool> {
        let users = self.users();
        let is_site = |node: usize| matches!(self.nodes[node].operation, Operation::Site(_));
        let mut inside = vec![false; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            inside[at] = match node.operation {
                Operation::Site(_) => true,
                Operation::AveragePool | Operation::Free => node.operands.iter().all(|operand| inside[operand.node]),
                _ => !users[at].is_empty() && users[at].iter().all(|&user| is_site(user)),
            };
        }
        inside.into_iter().map(|inside| !inside).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool whose results a linear layer takes has windows as large as what it takes allows.
    #[test]
    fn sizes_follow_from_those_at_sites_and_layers() {
        let mut circuit = resnet(1);
        let last = circuit.nodes.len() - 1;
        circuit.nodes[last].takes = Some(64);
        circuit.measure(&[Some(Size { takes: 64 * 64, gives: 64 * 64 }); 7]);
        let pool = &circuit.nodes[last - 1];
        assert_eq!((pool.operation, pool.elements, pool.gain), (Operation::AveragePool, Some(64), Some(1.0 / 8.0)));
        assert_eq!(circuit.nodes[1].elements, Some(64 * 64));
        assert_eq!(circuit.nodes[last].elements, None);

        // A max-pool gives less than it takes.
        let mut pooled = Circuit::new();
        let layer = pooled.push(Operation::Convolution, &[0], "conv");
        let site = pooled.push(Operation::Site(0), &[layer], "pool");
        let mean = pooled.push(Operation::AveragePool, &[site], "mean");
        let linear = pooled.push(Operation::Linear, &[mean], "linear");
        pooled.nodes[linear].takes = Some(16);
        pooled.measure(&[Some(Size { takes: 1024, gives: 256 })]);
        let elements = [layer, site, mean].map(|node| pooled.nodes[node].elements);
        assert_eq!((elements, pooled.nodes[mean].gain), ([Some(1024), Some(256), Some(16)], Some(0.25)));
    }
}
