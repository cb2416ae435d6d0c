//! Where the errors of a network come in: at the inputs and the results of its sites, and at its logits.
//!
//! Between two sites everything is linear, so an error is the same wherever on the way it is added, but for the layers that it still
//! passes, which make `Node::gain` times as much of it. Each operation's own error, that of its rescalings and of a bootstrapping of its
//! result, is therefore carried along the graph to the inputs of the sites that its result goes to. A convolution rotates what it is
//! given and sums multiples of that: the errors of rotations are counted at what it is given, behind which the weights make the same of
//! them. Errors that meet are taken to be independent, and of what is joined the larger error counts.
//!
//! A scheme holds numbers in [−1, 1]. The images are encrypted as they are; what goes to a site is held in units of the largest number
//! that the site takes, what a site gives likewise; what lies between in units of what it was made of. All errors are standard
//! deviations, in the numbers of the network.

use super::amplification::Amplification;
use super::circuit::{Circuit, Operation};
use super::form::Form;
use super::noise::Noise;
use super::parameters::Parameters;
use super::placement::{Placement, price};

/// The standard deviations at one site.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SiteErrors {
    /// Of what is added to its inputs.
    pub before: f64,
    /// Of what is added to its results.
    pub behind: f64,
}

/// The standard deviations of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Errors {
    /// Of what is added to the images.
    pub images: f64,
    /// Of each site; none of a site that stays exact, through which errors pass.
    pub sites: Vec<SiteErrors>,
    pub logits: f64,
}

/// What stands at a site, as far as errors go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replaced {
    /// The largest number that the site takes; what comes out is as large at most.
    pub unit: f64,
    /// Of errors inside, in this unit.
    pub inside: Amplification,
}

/// The errors of `circuit` where `forms` stand at the sites and bootstrappings are placed so; `replaced` is what they are, none of a
/// site that stays exact.
pub fn errors(
    circuit: &Circuit,
    parameters: &Parameters,
    noise: &Noise,
    placement: &Placement,
    forms: &[Form],
    replaced: &[Option<Replaced>],
) -> Errors {
    let users = circuit.users();
    let replaced = |node: usize| match circuit.nodes[node].operation {
        Operation::Site(site) => replaced[site].map(|of| (site, of)),
        _ => None,
    };
    let units = units(circuit, &users, |node| replaced(node).map(|(_, of)| of.unit));
    let (rescaling, bootstrapping) = (noise.rescaling().powi(2), noise.bootstrapping().powi(2));
    let mut errors = Errors { images: 0.0, sites: vec![SiteErrors::default(); forms.len()], logits: 0.0 };
    // Variances of what has come in on the way to each result and was not drawn before.
    let mut carried = vec![0.0; circuit.nodes.len()];
    for (at, node) in circuit.nodes.iter().enumerate() {
        let placed = placement.nodes[at];
        let of_operands = node.operands.iter().map(|operand| carried[operand.node]);
        let came: f64 = match node.operation {
            Operation::Free => of_operands.fold(0.0, f64::max),
            _ => of_operands.sum(),
        };
        let mut own = match node.operation {
            Operation::Input => noise.fresh().powi(2),
            Operation::Site(_) => replaced(at).map_or(0.0, |(site, of)| {
                let times = f64::from(forms[site].rounds * forms[site].parallel);
                times * of.inside.rescalings.powi(2) * rescaling
                    + f64::from(placed.inside) * of.inside.cuts.powi(2) * bootstrapping
            }),
            Operation::Addition | Operation::Free | Operation::Foreign => 0.0,
            _ => {
                let levels = node.operands.iter().map(|operand| price(circuit, parameters, at, operand.shortcut)).max();
                f64::from(levels.unwrap_or(1).max(1)) * rescaling
            }
        };
        if placed.bootstrapped {
            own += bootstrapping;
        }
        if users[at].iter().any(|&user| rotates(circuit.nodes[user].operation)) {
            own += noise.key_switching().powi(2);
        }
        own *= units[at].powi(2);
        match replaced(at) {
            Some((site, _)) => errors.sites[site] = SiteErrors { before: came.sqrt(), behind: own.sqrt() },
            None if node.operation == Operation::Input => errors.images = own.sqrt(),
            None => carried[at] = came * node.gain.unwrap_or(1.0).powi(2) + own,
        }
    }
    errors.logits = carried.last().map_or(0.0, |variance| variance.sqrt());
    errors
}

/// In which units the numbers of each node are held, where those of the sites that are replaced are so large.
fn units(circuit: &Circuit, users: &[Vec<usize>], of_site: impl Fn(usize) -> Option<f64>) -> Vec<f64> {
    let mut units: Vec<Option<f64>> = vec![None; circuit.nodes.len()];
    for at in (0..circuit.nodes.len()).rev() {
        let takes = |&user: &usize| match circuit.nodes[user].operation {
            Operation::Site(_) => of_site(user).or(units[user]),
            Operation::Addition | Operation::Free | Operation::Foreign => units[user],
            _ => None,
        };
        let largest = users[at].iter().filter_map(takes).reduce(f64::max);
        units[at] = of_site(at).or(largest);
    }
    let mut held = Vec::with_capacity(units.len());
    for (at, node) in circuit.nodes.iter().enumerate() {
        let made_of = node.operands.iter().map(|operand| held[operand.node]).reduce(f64::max);
        held.push(if at == 0 { 1.0 } else { units[at].or(made_of).unwrap_or(1.0) });
    }
    held
}

/// Whether an operation sums rotated ciphertexts.
fn rotates(operation: Operation) -> bool {
    matches!(operation, Operation::Convolution | Operation::Linear | Operation::AveragePool)
}

#[cfg(test)]
mod tests {
    use super::super::circuit::resnet;
    use super::super::placement::fewest;
    use super::*;

    const NOISE: Noise =
        Noise { ring: 1 << 16, scale: 40.0, secret: Some(192), sigma: 3.2, divided: true, bootstrapping: 26.0 };

    /// A ResNet of three blocks whose sites take numbers up to 4, and whose layers make twice as much of errors.
    fn of_resnet(forms: &[Form], levels: u32) -> (Circuit, Placement, Errors) {
        let mut circuit = resnet(1);
        circuit.nodes.iter_mut().filter(|node| rotates(node.operation)).for_each(|node| node.gain = Some(2.0));
        let parameters = format!("levels={levels}").parse().unwrap();
        let placement = fewest(&circuit, &parameters, forms).unwrap();
        let inside = Amplification { rescalings: 2.0, cuts: 0.5 };
        let of = |form: &Form| (!form.degrees.is_empty()).then_some(Replaced { unit: 4.0, inside });
        let replaced: Vec<Option<Replaced>> = forms.iter().map(of).collect();
        let errors = errors(&circuit, &parameters, &NOISE, &placement, forms, &replaced);
        (circuit, placement, errors)
    }

    fn near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn errors_come_in_where_operations_are() {
        let (_, placement, errors) = of_resnet(&vec![Form::polynomial(3); 7], 60);
        assert_eq!(placement.bootstraps, 0);
        let (rescaling, fresh) = (NOISE.rescaling(), NOISE.fresh());
        // Encryption and the rotations of the first convolution, of numbers as they are.
        near(errors.images, fresh.hypot(rescaling));
        // One convolution each; the shortcut brings what its site added itself.
        for site in 0..7 {
            near(errors.sites[site].before, 4.0 * rescaling);
        }
        // Twice that of a rescaling inside, and the rotations of the next layer, the average pool behind the last.
        for site in 0..7 {
            near(errors.sites[site].behind, 4.0 * 5f64.sqrt() * rescaling);
        }
        // The average pool and its rotations for the linear layer, which makes twice as much of them; the linear layer.
        near(errors.logits, 4.0 * (2.0 * 4.0 + 1f64).sqrt() * rescaling);
    }

    #[test]
    fn bootstrappings_add_theirs_where_they_are() {
        let forms = vec![Form::polynomial(15); 7];
        let (circuit, placement, errors) = of_resnet(&forms, 9);
        assert!(placement.bootstraps > 0);
        let one = 4.0 * NOISE.bootstrapping();
        let (mut at_sites, mut elsewhere) = (0, 0);
        for (node, placed) in placement.nodes.iter().enumerate().filter(|(_, placed)| placed.bootstrapped) {
            match circuit.nodes[node].operation {
                Operation::Site(site) => {
                    let error = errors.sites[site].behind;
                    assert!(error >= one && error < 1.01 * one);
                    at_sites += 1;
                }
                _ => elsewhere += 1,
            }
            assert!(placed.left < 9);
        }
        let far = errors.sites.iter().filter(|site| site.before > 0.9 * one).count();
        assert_eq!((at_sites + elsewhere) as u64, placement.bootstraps);
        assert!(far >= usize::from(elsewhere > 0));
    }

    /// Errors pass through what stays exact, and the layer behind it enlarges them.
    #[test]
    fn exact_sites_are_passed_through() {
        let mut forms = vec![Form::polynomial(3); 7];
        forms[1] = Form::default();
        let (_, _, errors) = of_resnet(&forms, 60);
        assert_eq!(errors.sites[1], SiteErrors::default());
        // Twice what the first convolution and the rotations of the second add, and what the second adds.
        near(errors.sites[2].before, 4.0 * (2.0 * 4.0 + 1f64).sqrt() * NOISE.rescaling());
    }

    /// What is joined has the error of its worse part, and what goes to two sites the unit of the wider.
    #[test]
    fn joined_values_are_held_in_one_unit() {
        let mut circuit = Circuit::new();
        let layer = circuit.push(Operation::Convolution, &[0], "conv");
        let sites = [0, 1].map(|site| circuit.push(Operation::Site(site), &[layer], "site"));
        let joined = circuit.push(Operation::Free, &sites, "cat");
        circuit.push(Operation::Linear, &[joined], "linear");
        let (parameters, forms) = ("levels=30".parse().unwrap(), vec![Form::polynomial(3); 2]);
        let placement = fewest(&circuit, &parameters, &forms).unwrap();
        let replaced = [2.0, 8.0].map(|unit| Some(Replaced { unit, inside: Amplification::default() }));
        let errors = errors(&circuit, &parameters, &NOISE, &placement, &forms, &replaced);
        for site in errors.sites {
            near(site.before, 8.0 * NOISE.rescaling());
            assert_eq!(site.behind, 0.0);
        }
        // Rotations of what was joined, and the linear layer.
        near(errors.logits, 8.0 * 2f64.sqrt() * NOISE.rescaling());
    }
}
