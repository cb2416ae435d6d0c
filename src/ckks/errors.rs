//! Where the errors of a network come in: at the inputs and the results of its sites, and at its logits.
//!
//! Between two sites everything is linear, so an error is the same wherever on the way it is added, but for the layers that it still
//! passes. Each operation's own error, that of its rescalings and of a bootstrapping of its result, is therefore counted at the inputs
//! of the sites that its result goes to; where a second layer lies between, as if it were added behind that. A convolution rotates
//! what it is given and sums multiples of that: the errors of rotations are counted at what it is given, behind which the weights make
//! the same of them. All are standard deviations of independent errors, in units of half the range of the site; those of the logits in
//! units of that of the last site.

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
    /// Of each site; none of a site that stays exact, through which errors pass.
    pub sites: Vec<SiteErrors>,
    pub logits: f64,
}

/// The errors of `circuit` where `forms` stand at the sites and bootstrappings are placed so; `inside` is of what stands at each site.
pub fn errors(
    circuit: &Circuit,
    parameters: &Parameters,
    noise: &Noise,
    placement: &Placement,
    forms: &[Form],
    inside: &[Amplification],
) -> Errors {
    let users = users(circuit);
    let stays = |node: usize| match circuit.nodes[node].operation {
        Operation::Site(site) => forms[site].degrees.is_empty(),
        _ => false,
    };
    let (rescaling, bootstrapping) = (noise.rescaling().powi(2), noise.bootstrapping().powi(2));
    let mut sites = vec![SiteErrors::default(); forms.len()];
    let mut logits = 0.0;
    for (at, node) in circuit.nodes.iter().enumerate() {
        let placed = placement.nodes[at];
        let mut own = match node.operation {
            Operation::Input => noise.fresh().powi(2),
            Operation::Site(site) if !stays(at) => {
                let (form, inside) = (&forms[site], inside[site]);
                let times = f64::from(form.rounds * form.parallel);
                times * inside.rescalings.powi(2) * rescaling
                    + f64::from(placed.inside) * inside.cuts.powi(2) * bootstrapping
            }
            Operation::Site(_) | Operation::Addition | Operation::Free | Operation::Foreign => 0.0,
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
        match node.operation {
            Operation::Site(site) if !stays(at) => sites[site].behind = own,
            _ if own > 0.0 => {
                let (reached, ends) = reached(circuit, &users, at, stays);
                reached.into_iter().for_each(|site| sites[site].before += own);
                logits += if ends { own } else { 0.0 };
            }
            _ => {}
        }
    }
    let deviation = |SiteErrors { before, behind }| SiteErrors { before: before.sqrt(), behind: behind.sqrt() };
    Errors { sites: sites.into_iter().map(deviation).collect(), logits: logits.sqrt() }
}

/// What is bootstrapped though it is neither what a site gives nor, as it is, what one is given: the nodes. Whether their numbers are
/// in [−1, 1] then, which the scheme takes for granted, no range of a site tells.
pub fn bootstrapped_elsewhere(circuit: &Circuit, placement: &Placement) -> Vec<usize> {
    let users = users(circuit);
    let is_site = |node: usize| matches!(circuit.nodes[node].operation, Operation::Site(_));
    let elsewhere = |&node: &usize| {
        placement.nodes[node].bootstrapped && !is_site(node) && !users[node].iter().all(|&user| is_site(user))
    };
    (1..circuit.nodes.len()).filter(elsewhere).collect()
}

/// The nodes that take the result of each.
fn users(circuit: &Circuit) -> Vec<Vec<usize>> {
    let mut users = vec![Vec::new(); circuit.nodes.len()];
    for (at, node) in circuit.nodes.iter().enumerate() {
        node.operands.iter().for_each(|operand| users[operand.node].push(at));
    }
    users
}

/// Whether an operation sums rotated ciphertexts.
fn rotates(operation: Operation) -> bool {
    matches!(operation, Operation::Convolution | Operation::Linear | Operation::AveragePool)
}

/// The sites that the result of a node goes to, each once, and whether it goes to the logits.
fn reached(circuit: &Circuit, users: &[Vec<usize>], from: usize, stays: impl Fn(usize) -> bool) -> (Vec<usize>, bool) {
    let mut seen = vec![false; circuit.nodes.len()];
    let (mut open, mut sites) = (vec![from], Vec::new());
    while let Some(node) = open.pop() {
        for &user in &users[node] {
            if std::mem::replace(&mut seen[user], true) {
                continue;
            }
            match circuit.nodes[user].operation {
                Operation::Site(site) if !stays(user) => sites.push(site),
                _ => open.push(user),
            }
        }
    }
    let last = circuit.nodes.len() - 1;
    (sites, from == last || seen[last])
}

#[cfg(test)]
mod tests {
    use super::super::circuit::resnet;
    use super::super::placement::fewest;
    use super::*;

    const NOISE: Noise =
        Noise { ring: 1 << 16, scale: 40.0, secret: Some(192), sigma: 3.2, divided: true, bootstrapping: 26.0 };

    fn of_resnet(forms: &[Form], levels: u32) -> (Circuit, Placement, Errors) {
        let (circuit, parameters) = (resnet(1), format!("levels={levels}").parse().unwrap());
        let placement = fewest(&circuit, &parameters, forms).unwrap();
        let inside = vec![Amplification { rescalings: 2.0, cuts: 0.5 }; forms.len()];
        let errors = errors(&circuit, &parameters, &NOISE, &placement, forms, &inside);
        (circuit, placement, errors)
    }

    /// A ResNet of three blocks with so many levels that nothing is bootstrapped.
    #[test]
    fn errors_come_in_where_operations_are() {
        let (_, placement, errors) = of_resnet(&vec![Form::polynomial(3); 7], 60);
        assert_eq!(placement.bootstraps, 0);
        let (rescaling, fresh) = (NOISE.rescaling(), NOISE.fresh());
        let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
        // Encryption, its rotations, and the first convolution.
        near(errors.sites[0].before, (fresh.powi(2) + 2.0 * rescaling.powi(2)).sqrt());
        // One convolution each; the shortcut brings what its site added itself.
        for site in 1..7 {
            near(errors.sites[site].before, rescaling);
        }
        // Twice that of a rescaling inside, and the rotations of the next layer, the average pool behind the last.
        for site in 0..7 {
            near(errors.sites[site].behind, 5f64.sqrt() * rescaling);
        }
        // Average pool, its rotations for the linear layer, linear layer.
        near(errors.logits, 3f64.sqrt() * rescaling);
    }

    #[test]
    fn bootstrappings_add_theirs_where_they_are() {
        let forms = vec![Form::polynomial(15); 7];
        let (circuit, placement, errors) = of_resnet(&forms, 9);
        assert!(placement.bootstraps > 0);
        let (mut at_sites, mut elsewhere) = (0, 0);
        for (node, placed) in placement.nodes.iter().enumerate().filter(|(_, placed)| placed.bootstrapped) {
            let large = |error: f64| assert!(error >= NOISE.bootstrapping() && error < 1.01 * NOISE.bootstrapping());
            match circuit.nodes[node].operation {
                Operation::Site(site) => {
                    large(errors.sites[site].behind);
                    at_sites += 1;
                }
                _ => elsewhere += 1,
            }
            assert!(placed.left < 9);
        }
        let far = errors.sites.iter().filter(|site| site.before > 0.9 * NOISE.bootstrapping()).count();
        assert_eq!((at_sites + elsewhere) as u64, placement.bootstraps);
        assert!(far >= usize::from(elsewhere > 0));
    }

    /// Errors pass through what stays exact, and a convolution behind an addition with a shortcut is nothing a site is given.
    #[test]
    fn exact_sites_are_passed_through() {
        let mut forms = vec![Form::polynomial(3); 7];
        forms[1] = Form::default();
        let (_, _, errors) = of_resnet(&forms, 60);
        assert_eq!(errors.sites[1], SiteErrors::default());
        // Two convolutions, and the rotations of the second.
        let expected = 3f64.sqrt() * NOISE.rescaling();
        assert!((errors.sites[2].before / expected - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_bootstrapped_outside_of_ranges_is_found() {
        let (circuit, mut placement, _) = of_resnet(&vec![Form::polynomial(3); 7], 60);
        assert!(bootstrapped_elsewhere(&circuit, &placement).is_empty());
        let named = |name: &str| circuit.nodes.iter().position(|node| node.name == name).unwrap();
        // The second convolution goes to an addition, the sum to a site.
        for (name, told) in [("conv2", true), ("add", false), ("relu1", false), ("pool", true)] {
            placement.nodes[named(name)].bootstrapped = true;
            assert_eq!(bootstrapped_elsewhere(&circuit, &placement).contains(&named(name)), told, "{name}");
        }
    }
}
