//! The fewest bootstrappings for a network, with their places, and with them the choice of what stands at the sites.
//!
//! A value that is bootstrapped serves all who take it from then on, so it might as well be bootstrapped when it is made: each value
//! is, or is not. The operations are gone through in their order. What lies before matters to what lies behind by the levels of the
//! values that are still taken, so of all ways to the same levels only those remain of which none has both fewer bootstrappings and
//! less loss. Values that the same operations take at the same price count by the least of their levels, which keeps networks that
//! join all earlier features (DenseNet) as narrow as others. The result is optimal: no placement and no choice has fewer
//! bootstrappings at the same loss.

use std::collections::HashMap;

use super::circuit::{Circuit, Operation};
use super::form::{Form, Way};
use super::parameters::Parameters;

/// One of the things that can stand at a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub form: Form,
    /// What it costs otherwise, such as accuracy; these add up.
    pub loss: f64,
}

/// A network whose sites have choices.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    pub circuit: &'a Circuit,
    pub parameters: &'a Parameters,
    /// Of each site, at least one.
    pub choices: &'a [Vec<Choice>],
}

/// That the levels do not suffice, however often is bootstrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("{name} takes more than the {levels} levels that there are after a bootstrapping under {parameters}")]
    TooDeep { name: String, levels: u32, parameters: String },
    #[error("the network has too many values that are taken later on for the search; it gave up at {0}")]
    TooWide(String),
}

/// Where bootstrappings go.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// How many, counted by ciphertexts.
    pub bootstraps: u64,
    /// Of the choices together.
    pub loss: f64,
    /// Which choice each site has.
    pub choices: Vec<usize>,
    /// Of each node.
    pub nodes: Vec<Placed>,
}

/// What becomes of the result of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placed {
    /// Levels that it has left when it is computed.
    pub left: u32,
    /// Whether it is bootstrapped then.
    pub bootstrapped: bool,
    /// Bootstrappings inside, between the stages of what stands at a site, as they are counted for one ciphertext.
    pub inside: u32,
}

/// The most ways that are kept at once.
const WIDEST: usize = 2_000_000;

/// A way to compute all up to some operation.
#[derive(Debug, Clone)]
struct Label {
    /// Of each class of values that are taken later.
    levels: Vec<u8>,
    bootstraps: u64,
    loss: f64,
    /// The last decision on the way.
    trace: usize,
}

/// A decision, and the one before it.
#[derive(Debug, Clone, Copy)]
struct Decision {
    before: usize,
    choice: usize,
    placed: Placed,
}

/// Values that are taken later, by whom and at which price; equal ones are one class.
struct Classes {
    /// Of each node that is taken later, its class.
    of: HashMap<usize, usize>,
    count: usize,
}

impl Classes {
    /// Behind the operation `at`.
    fn behind(at: usize, uses: &[Vec<(usize, u32)>]) -> Classes {
        let mut known: HashMap<Vec<(usize, u32)>, usize> = HashMap::new();
        let mut of = HashMap::new();
        for (node, uses) in uses.iter().enumerate().take(at + 1) {
            let later: Vec<(usize, u32)> = uses.iter().copied().filter(|(user, _)| *user > at).collect();
            if !later.is_empty() {
                let next = known.len();
                of.insert(node, *known.entry(later).or_insert(next));
            }
        }
        Classes { of, count: known.len() }
    }
}

/// The levels that a node takes of an operand, but for what stands at a site.
pub(super) fn price(circuit: &Circuit, parameters: &Parameters, node: usize, shortcut: bool) -> u32 {
    let first = circuit.first_layer() == Some(node);
    match circuit.nodes[node].operation {
        Operation::Convolution | Operation::Linear if first => parameters.first_layer,
        Operation::Convolution => parameters.convolution,
        Operation::Linear => parameters.linear,
        Operation::AveragePool => parameters.average_pool,
        Operation::Addition if shortcut => parameters.shortcut,
        Operation::Scaling => parameters.scaling,
        Operation::Product => 1,
        Operation::Input | Operation::Addition | Operation::Site(_) | Operation::Free | Operation::Foreign => 0,
    }
}

/// All placements of which none has both fewer bootstrappings and less loss than another, the fewest first.
///
/// # Errors
/// [`PlacementError`].
pub fn front(problem: Problem) -> Result<Vec<Placement>, PlacementError> {
    let ciphertexts = problem.circuit.ciphertexts(problem.parameters.slots);
    let prices: Vec<Price> = ciphertexts.into_iter().map(|count| Price { inside: count, behind: count }).collect();
    placements(problem, &prices)
}

/// What a bootstrapping costs inside of what stands at a node, and one of its result.
#[derive(Debug, Clone, Copy)]
struct Price {
    inside: u64,
    behind: u64,
}

/// The same by these prices, one a node.
fn placements(problem: Problem, prices: &[Price]) -> Result<Vec<Placement>, PlacementError> {
    let Problem { circuit, parameters, choices } = problem;
    let last = circuit.nodes.len() - 1;
    let mut uses = vec![Vec::new(); circuit.nodes.len()];
    for (user, node) in circuit.nodes.iter().enumerate() {
        for operand in &node.operands {
            uses[operand.node].push((user, price(circuit, parameters, user, operand.shortcut)));
        }
    }
    // The logits are taken by whoever decrypts them.
    uses[last].push((last + 1, 0));
    let mut decisions =
        vec![Decision { before: 0, choice: 0, placed: Placed { left: parameters.levels, ..Placed::default() } }];
    let mut classes = Classes::behind(0, &uses);
    let mut labels =
        vec![Label { levels: vec![parameters.levels as u8; classes.count], bootstraps: 0, loss: 0.0, trace: 0 }];
    for (at, node) in circuit.nodes.iter().enumerate().skip(1) {
        let operands: Vec<(usize, u32)> = node
            .operands
            .iter()
            .map(|operand| (classes.of[&operand.node], price(circuit, parameters, at, operand.shortcut)))
            .collect();
        let next = Classes::behind(at, &uses);
        // What becomes of the classes that there were.
        let mut merged = vec![None; classes.count];
        classes
            .of
            .iter()
            .filter_map(|(node, class)| Some((class, next.of.get(node)?)))
            .for_each(|(class, to)| merged[*class] = Some(*to));
        let own = next.of.get(&at).copied();
        let steps = Steps { problem, price: prices[at], node: at, ways: HashMap::new() };
        let mut found = Found { own, merged, count: next.count, decisions: &mut decisions, best: HashMap::new() };
        steps.follow(&labels, &operands, &mut found);
        labels = found.kept();
        if labels.is_empty() {
            let (name, levels) = (node.name.clone(), parameters.levels);
            return Err(PlacementError::TooDeep { name, levels, parameters: parameters.name.clone() });
        }
        if labels.len() > WIDEST {
            return Err(PlacementError::TooWide(node.name.clone()));
        }
        classes = next;
    }
    labels.sort_by(|a, b| a.bootstraps.cmp(&b.bootstraps).then(a.loss.total_cmp(&b.loss)));
    let mut best = f64::INFINITY;
    labels.retain(|label| {
        label.loss < best && {
            best = label.loss;
            true
        }
    });
    Ok(labels.iter().map(|label| traced(circuit, choices.len(), &decisions, label)).collect())
}

/// One operation, in all ways.
struct Steps<'a> {
    problem: Problem<'a>,
    node: usize,
    price: Price,
    /// Through the choices of a site, by levels and choice.
    ways: HashMap<(u32, usize), Vec<Way>>,
}

/// The labels behind an operation, the best of each levels and bootstrappings.
struct Found<'a> {
    /// The class of the result, if anybody takes it.
    own: Option<usize>,
    merged: Vec<Option<usize>>,
    count: usize,
    decisions: &'a mut Vec<Decision>,
    best: HashMap<(Vec<u8>, u64), Label>,
}

impl Steps<'_> {
    fn follow(mut self, labels: &[Label], operands: &[(usize, u32)], found: &mut Found) {
        let Problem { circuit, parameters, choices, .. } = self.problem;
        let site = match circuit.nodes[self.node].operation {
            Operation::Site(site) => Some(site),
            _ => None,
        };
        for label in labels {
            let level = |&(class, price): &(usize, u32)| u32::from(label.levels[class]).checked_sub(price);
            let Some(left) =
                operands.iter().map(level).try_fold(parameters.levels, |least, level| Some(least.min(level?)))
            else {
                continue;
            };
            let Some(site) = site else {
                self.reach(label, 0, 0.0, Way { left, bootstraps: 0 }, found);
                continue;
            };
            for (at, choice) in choices[site].iter().enumerate() {
                let ways = self.ways.entry((left, at)).or_insert_with(|| choice.form.ways(parameters, left)).clone();
                for way in ways {
                    self.reach(label, at, choice.loss, way, found);
                }
            }
        }
    }

    /// The result with and without a bootstrapping.
    fn reach(&self, label: &Label, choice: usize, loss: f64, way: Way, found: &mut Found) {
        let most = self.problem.parameters.levels;
        let placed = Placed { left: way.left, bootstrapped: false, inside: way.bootstraps };
        let bootstraps = label.bootstraps + u64::from(way.bootstraps) * self.price.inside;
        found.add(label, way.left, bootstraps, loss, Decision { before: label.trace, choice, placed });
        if way.left < most && found.own.is_some() {
            let placed = Placed { bootstrapped: true, ..placed };
            found.add(
                label,
                most,
                bootstraps + self.price.behind,
                loss,
                Decision { before: label.trace, choice, placed },
            );
        }
    }
}

impl Found<'_> {
    fn add(&mut self, label: &Label, level: u32, bootstraps: u64, loss: f64, decision: Decision) {
        let mut levels = vec![u8::MAX; self.count];
        let mut lower = |class: usize, level: u8| levels[class] = levels[class].min(level);
        self.merged.iter().zip(&label.levels).for_each(|(to, &level)| {
            if let Some(to) = to {
                lower(*to, level)
            }
        });
        if let Some(own) = self.own {
            lower(own, level as u8);
        }
        let loss = label.loss + loss;
        let entry = self.best.entry((levels, bootstraps));
        if let std::collections::hash_map::Entry::Occupied(known) = &entry
            && known.get().loss <= loss
        {
            return;
        }
        self.decisions.push(decision);
        let trace = self.decisions.len() - 1;
        let levels = entry.key().0.clone();
        *entry.or_insert_with(|| Label { levels: Vec::new(), bootstraps, loss, trace }) =
            Label { levels, bootstraps, loss, trace };
    }

    /// Those than which none is better: as many levels everywhere, no more bootstrappings, no more loss. In an order that does not
    /// depend on how they were found.
    fn kept(self) -> Vec<Label> {
        let mut labels: Vec<Label> = self.best.into_values().collect();
        labels.sort_by(|a, b| {
            let sum = |label: &Label| label.levels.iter().map(|&level| u32::from(level)).sum::<u32>();
            let order = a.bootstraps.cmp(&b.bootstraps).then(sum(b).cmp(&sum(a)));
            order.then(a.loss.total_cmp(&b.loss)).then_with(|| a.levels.cmp(&b.levels))
        });
        let mut kept: Vec<Label> = Vec::new();
        for label in labels {
            let better = |other: &Label| {
                other.loss <= label.loss && other.levels.iter().zip(&label.levels).all(|(more, level)| more >= level)
            };
            // All before have no more bootstrappings.
            if !kept.iter().any(better) {
                kept.push(label);
            }
        }
        kept
    }
}

/// The decisions that lead to a label.
fn traced(circuit: &Circuit, sites: usize, decisions: &[Decision], label: &Label) -> Placement {
    let mut nodes = vec![Placed::default(); circuit.nodes.len()];
    let mut choices = vec![0; sites];
    let mut at = label.trace;
    for node in (0..circuit.nodes.len()).rev() {
        let Decision { before, choice, placed } = decisions[at];
        nodes[node] = placed;
        if let Operation::Site(site) = circuit.nodes[node].operation {
            choices[site] = choice;
        }
        at = before;
    }
    Placement { bootstraps: label.bootstraps, loss: label.loss, choices, nodes }
}

/// The fewest bootstrappings where one form stands at each site; of several ways to have so few, one that bootstraps where ranges tell
/// that the numbers are small enough, as far as that is possible.
///
/// # Errors
/// [`PlacementError`].
pub fn fewest(circuit: &Circuit, parameters: &Parameters, forms: &[Form]) -> Result<Placement, PlacementError> {
    let choices: Vec<Vec<Choice>> = forms.iter().map(|form| vec![Choice { form: form.clone(), loss: 0.0 }]).collect();
    // More than all that could be outside of ranges.
    let one = circuit.nodes.len() as u64 + 1;
    let price = |(count, outside): (u64, bool)| Price { inside: count * one, behind: count * one + u64::from(outside) };
    let prices: Vec<Price> =
        circuit.ciphertexts(parameters.slots).into_iter().zip(circuit.outside_of_ranges()).map(price).collect();
    let fewest = placements(Problem { circuit, parameters, choices: &choices }, &prices)?.swap_remove(0);
    Ok(Placement { bootstraps: fewest.bootstraps / one, ..fewest })
}

#[cfg(test)]
mod tests {
    use super::super::circuit::resnet;
    use super::*;
    use proptest::prelude::*;

    /// All ways to bootstrap results and to choose, one after the other: the least loss for each number of bootstrappings.
    fn by_force(problem: Problem) -> HashMap<u64, f64> {
        let Problem { circuit, parameters, choices, .. } = problem;
        let mut best: HashMap<u64, f64> = HashMap::new();
        let nodes = circuit.nodes.len();
        let sites = choices.len();
        let combinations: usize = choices.iter().map(Vec::len).product();
        for chosen in 0..combinations {
            let mut rest = chosen;
            let chosen: Vec<usize> = choices.iter().map(|all| (rest % all.len(), rest /= all.len()).0).collect();
            for bootstrapped in 0u32..1 << (nodes - 1) {
                let mut levels = vec![parameters.levels; nodes];
                let mut possible = true;
                for at in 1..nodes {
                    let node = &circuit.nodes[at];
                    let own = match node.operation {
                        Operation::Site(site) => choices[site][chosen[site]].form.levels(parameters),
                        _ => 0,
                    };
                    let takes = |shortcut| own + price(circuit, parameters, at, shortcut);
                    let left =
                        node.operands.iter().map(|operand| levels[operand.node].checked_sub(takes(operand.shortcut)));
                    match left.collect::<Option<Vec<u32>>>() {
                        Some(left) => levels[at] = left.into_iter().min().unwrap(),
                        None => possible = false,
                    }
                    if bootstrapped >> (at - 1) & 1 == 1 {
                        levels[at] = parameters.levels;
                    }
                }
                if possible {
                    let loss: f64 = (0..sites).map(|site| choices[site][chosen[site]].loss).sum();
                    let known = best.entry(u64::from(bootstrapped.count_ones())).or_insert(f64::INFINITY);
                    *known = known.min(loss);
                }
            }
        }
        best
    }

    /// Sites, layers and additions of earlier results at random; every result is taken.
    fn network(kinds: &[(u8, usize, usize)]) -> Circuit {
        let mut circuit = Circuit::new();
        let mut sites = 0;
        for &(kind, a, b) in kinds {
            let count = circuit.nodes.len();
            let (a, b) = (count - 1 - a % count.min(3), count - 1 - b % count);
            match kind {
                0 => circuit.push(Operation::Convolution, &[a], "convolution"),
                1 => circuit.push(Operation::Addition, &[a, b], "addition"),
                _ => {
                    sites += 1;
                    circuit.push(Operation::Site(sites - 1), &[a], "site")
                }
            };
        }
        let taken: Vec<usize> =
            circuit.nodes.iter().flat_map(|node| node.operands.iter().map(|operand| operand.node)).collect();
        let loose: Vec<usize> = (0..circuit.nodes.len()).filter(|node| !taken.contains(node)).collect();
        circuit.push(Operation::Addition, &loose, "logits");
        circuit
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]
        #[test]
        fn no_placement_has_fewer_bootstrappings_at_the_same_loss(
            kinds in prop::collection::vec((0u8..4, 0usize..8, 0usize..8), 2..8), levels in 3u32..7, losses in prop::collection::vec(1u32..100, 16)
        ) {
            let circuit = network(&kinds);
            let parameters = format!("levels={levels}").parse::<Parameters>().unwrap();
            let parameters = Parameters { convolution: 2, shortcut: 1, ..parameters };
            let choice = |degree, loss: u32| Choice { form: Form::polynomial(degree), loss: f64::from(loss) };
            let choices: Vec<Vec<Choice>> = circuit
                .sites()
                .map(|(site, _)| vec![choice(7, losses[site % 8]), choice(3, 50 + losses[8 + site % 8])])
                .collect();
            let problem = Problem { circuit: &circuit, parameters: &parameters, choices: &choices };
            let found = front(problem);
            let expected = by_force(problem);
            let Ok(found) = found else { prop_assert!(expected.is_empty()); return Ok(()) };
            let fewest = *expected.keys().min().unwrap();
            prop_assert_eq!(found[0].bootstraps, fewest);
            for placement in &found {
                prop_assert_eq!(placement.loss, expected[&placement.bootstraps]);
                let chosen: f64 = placement.choices.iter().zip(&choices).map(|(&at, all)| all[at].loss).sum();
                prop_assert_eq!(placement.loss, chosen);
                prop_assert_eq!(placement.nodes.iter().filter(|node| node.bootstrapped).count() as u64, placement.bootstraps);
            }
            let least = expected.values().copied().fold(f64::INFINITY, f64::min);
            prop_assert_eq!(found.last().unwrap().loss, least);
        }
    }

    /// A network that joins all earlier features stays narrow.
    #[test]
    fn features_that_are_joined_count_as_one() {
        let mut circuit = Circuit::new();
        let mut features = vec![circuit.push(Operation::Convolution, &[0], "stem")];
        for layer in 0..40 {
            let joined = circuit.push(Operation::Free, &features, "cat");
            let site = circuit.push(Operation::Site(layer), &[joined], "relu");
            features.push(circuit.push(Operation::Convolution, &[site], "conv"));
        }
        circuit.push(Operation::Linear, &[*features.last().unwrap()], "linear");
        let parameters = "levels=16".parse().unwrap();
        let placement = fewest(&circuit, &parameters, &vec![Form::polynomial(31); 40]).unwrap();
        // A feature is joined with all later ones, so every one but the first two and the last must be as fresh as those.
        assert_eq!(placement.bootstraps, 38);
    }

    #[test]
    fn ciphertexts_count_where_they_are() {
        let mut circuit = resnet(1);
        // The first block is four ciphertexts wide, and what follows one.
        circuit
            .nodes
            .iter_mut()
            .enumerate()
            .for_each(|(at, node)| node.elements = Some(if at < 8 { 400 } else { 100 }));
        let parameters = Parameters {
            slots: Some(100),
            ..Parameters { levels: 14, ..Parameters::parse("x", "levels = 14").unwrap() }
        };
        let forms = vec![Form::polynomial(127); 7];
        let wide = fewest(&circuit, &parameters, &forms).unwrap();
        let narrow = fewest(&circuit, &Parameters { slots: None, ..parameters.clone() }, &forms).unwrap();
        assert!(wide.bootstraps > narrow.bootstraps, "{} {}", wide.bootstraps, narrow.bootstraps);
        let counted: u64 = wide
            .nodes
            .iter()
            .zip(circuit.ciphertexts(parameters.slots))
            .filter(|(node, _)| node.bootstrapped)
            .map(|(_, count)| count)
            .sum();
        assert_eq!(counted, wide.bootstraps);
    }

    #[test]
    fn compositions_are_cut_where_one_chain_is_too_short() {
        let orion: Parameters = "orion".parse().unwrap();
        let relu = Form { degrees: vec![15, 15, 27], product: true, rounds: 1, parallel: 1 };
        assert!(relu.levels(&orion) > orion.levels);
        let placement = fewest(&resnet(3), &orion, &vec![relu; 19]).unwrap();
        let inside: u32 = placement.nodes.iter().map(|node| node.inside).sum();
        assert!(inside > 0 && placement.bootstraps < 60, "{} {inside}", placement.bootstraps);
        let error = fewest(&resnet(3), &orion, &vec![Form::polynomial(2047); 19]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("relu takes more than the 10 levels that there are after a bootstrapping under orion"),
            "{error}"
        );
    }

    /// Between two layers no range tells how large the numbers are; as few bootstrappings are possible behind the site.
    #[test]
    fn bootstrappings_go_where_ranges_are_known() {
        let mut circuit = Circuit::new();
        let mut x = circuit.push(Operation::Convolution, &[0], "first");
        for site in 0..3 {
            x = circuit.push(Operation::Site(site), &[x], "site");
            x = circuit.push(Operation::Convolution, &[x], "project");
            x = circuit.push(Operation::Convolution, &[x], "expand");
        }
        let parameters: Parameters = "levels=7".parse().unwrap();
        let placement = fewest(&circuit, &parameters, &vec![Form::polynomial(7); 3]).unwrap();
        let outside = circuit.outside_of_ranges();
        let placed = |node: usize| placement.nodes[node].bootstrapped;
        assert!(placement.bootstraps > 0);
        assert_eq!((0..circuit.nodes.len()).filter(|&node| placed(node) && outside[node]).count(), 0);
        let names = |node: &usize| circuit.nodes[*node].name.as_str();
        let found: Vec<usize> = (0..circuit.nodes.len()).filter(|&node| outside[node]).collect();
        assert_eq!(found.iter().map(names).collect::<Vec<_>>(), ["images", "project", "project", "project", "expand"]);
    }
}
