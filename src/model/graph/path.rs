//! What sites take along the longest path through a graph, and all together.

use super::{Graph, Node};

/// The most turns of a loop that are followed one by one.
const MOST_TURNS: u32 = 10_000;

impl Graph {
    /// The levels that sites take along the longest path from the input to the output, with `levels` of each site, in their
    /// order. None where a path runs through sites in a loop whose turns the graph does not tell.
    pub fn longest_path(&self, levels: &[u32]) -> Option<u32> {
        let mut paths = Paths { graph: self, levels, longest: vec![0; self.values.len()], is_bounded: true };
        paths.follow(0);
        let returns = self.blocks.first().map_or(&[][..], |block| &block.returns);
        let longest = returns.iter().map(|&value| paths.longest[value]).max().unwrap_or(0);
        paths.is_bounded.then_some(longest)
    }

    /// What all sites together take of `each`, in their order, in one pass: a site in a loop as often as it turns, both branches
    /// of a condition. None where the graph does not tell how often a loop turns that takes something.
    pub fn sum(&self, each: &[u64]) -> Option<u64> {
        if self.blocks.is_empty() { Some(0) } else { self.sum_of(0, each) }
    }

    fn sum_of(&self, block: usize, each: &[u64]) -> Option<u64> {
        let mut sum = 0;
        for node in self.blocks[block].nodes.iter().map(|&node| &self.nodes[node]) {
            sum += node.site.and_then(|site| each.get(site)).copied().unwrap_or(0);
            for &inner in &node.blocks {
                sum += match (node.operator.as_str(), self.sum_of(inner, each)?) {
                    ("prim::Loop", inside @ 1..) => inside * u64::from(node.turns?),
                    (_, inside) => inside,
                };
            }
        }
        Some(sum)
    }
}

/// The longest paths to all values.
struct Paths<'a> {
    graph: &'a Graph,
    levels: &'a [u32],
    longest: Vec<u32>,
    is_bounded: bool,
}

impl Paths<'_> {
    fn follow(&mut self, block: usize) {
        let graph = self.graph;
        for &node in &graph.blocks[block].nodes {
            let node = &graph.nodes[node];
            match node.operator.as_str() {
                "prim::If" => self.follow_conditional(node),
                "prim::Loop" => self.follow_loop(node),
                _ => self.follow_node(node),
            }
        }
    }

    fn follow_node(&mut self, node: &Node) {
        for &block in &node.blocks {
            self.follow(block);
        }
        let before = node.inputs.iter().map(|&value| self.longest[value]).max().unwrap_or(0);
        let after = before + node.site.and_then(|site| self.levels.get(site)).copied().unwrap_or(0);
        for &value in node.outputs.iter().chain(&node.writes) {
            self.reach(value, after);
        }
    }

    fn follow_conditional(&mut self, node: &Node) {
        for &branch in &node.blocks {
            self.follow(branch);
            self.carry(&self.graph.blocks[branch].returns, &node.outputs);
        }
    }

    /// A loop takes the number of turns, the first condition, and what is carried; its body takes the turn and what is
    /// carried, and gives the next condition and what is carried.
    fn follow_loop(&mut self, node: &Node) {
        let Some(body) = node.blocks.first().map(|&body| &self.graph.blocks[body]) else { return };
        self.carry(&node.inputs[2..], &body.parameters[1..]);
        self.carry(&node.inputs[2..], &node.outputs);
        // After as many turns as values are carried, each that still grows does so for ever.
        let known = node.turns.filter(|&turns| turns <= MOST_TURNS);
        let turns = known.unwrap_or(node.outputs.len() as u32 + 2);
        for turn in 0..turns {
            let before = self.longest.clone();
            self.follow(node.blocks[0]);
            self.carry(&body.returns[1..], &body.parameters[1..]);
            self.carry(&body.returns[1..], &node.outputs);
            if before == self.longest {
                return;
            }
            if known.is_none() && turn + 1 == turns {
                self.is_bounded = false;
            }
        }
    }

    fn carry(&mut self, from: &[usize], to: &[usize]) {
        for (&from, &to) in from.iter().zip(to) {
            self.reach(to, self.longest[from]);
        }
    }

    fn reach(&mut self, value: usize, levels: u32) {
        self.longest[value] = self.longest[value].max(levels);
    }
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::*;
    use super::*;

    fn site(index: usize, input: usize, output: usize) -> Node {
        Node { site: Some(index), ..node("aten::relu", &[input], &[output]) }
    }

    #[test]
    fn shortcuts_count_by_their_longer_side() {
        let nodes = vec![site(0, 0, 1), site(1, 1, 2), node("aten::add", &[0, 2], &[3]), site(2, 0, 4)];
        let graph = graph(nodes, vec![block(&[0], &[0, 1, 2, 3], &[3])], &[]);
        assert_eq!(graph.longest_path(&[3, 4, 100]), Some(7), "the last site leads nowhere");
        assert_eq!(graph.longest_path(&[0, 0, 0]), Some(0));
    }

    #[test]
    fn what_is_written_in_place_is_seen_by_all_that_see_the_memory() {
        let in_place = Node { writes: vec![1], ..site(0, 1, 2) };
        let nodes = vec![node("aten::view", &[0], &[1]), in_place, node("aten::add", &[1, 0], &[3])];
        assert_eq!(graph(nodes, vec![block(&[0], &[0, 1, 2], &[3])], &[]).longest_path(&[5]), Some(5));
    }

    #[test]
    fn branches_count_by_the_longer_one() {
        let branch = Node { blocks: vec![1, 2], ..node("prim::If", &[9], &[5]) };
        let nodes = vec![branch, site(0, 0, 2), site(1, 0, 3), site(2, 3, 4)];
        let blocks = vec![block(&[0], &[0], &[5]), block(&[], &[1], &[2]), block(&[], &[2, 3], &[4])];
        assert_eq!(graph(nodes, blocks, &[]).longest_path(&[9, 2, 3]), Some(9));
    }

    #[test]
    fn loops_count_as_often_as_they_run() {
        let around = |turns| Node { blocks: vec![1], turns, ..node("prim::Loop", &[8, 9, 0], &[5]) };
        let longest = |turns, returned: usize| {
            let nodes = vec![around(turns), site(0, 2, 3)];
            graph(nodes, vec![block(&[0], &[0], &[5]), block(&[1, 2], &[1], &[9, returned])], &[]).longest_path(&[4])
        };
        let sum = |turns| {
            let nodes = vec![around(turns), site(0, 2, 3), site(1, 0, 4)];
            graph(nodes, vec![block(&[0], &[0, 2], &[5]), block(&[1, 2], &[1], &[9, 3])], &[]).sum(&[5, 7])
        };
        assert_eq!([Some(3), Some(0), None].map(sum), [Some(22), Some(7), None]);
        assert_eq!(longest(Some(3), 3), Some(12));
        assert_eq!(longest(Some(0), 3), Some(0));
        assert_eq!(longest(None, 3), None);
        assert_eq!(longest(None, 2), Some(0), "what is carried does not pass the site");
    }
}
