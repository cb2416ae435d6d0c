//! The choice of what stands at the sites where costs simply add up, as products do.

/// For each total cost that is worth it, the choices with the least total loss, the cheapest first; each of `sites` has pairs of a
/// cost and a loss. No choice of the same cost has less loss, and none that is cheaper has as little.
pub fn front(sites: &[Vec<(usize, f64)>]) -> Vec<(usize, f64, Vec<usize>)> {
    let most: usize = sites.iter().filter_map(|choices| choices.iter().map(|(cost, _)| *cost).max()).sum();
    let mut best = vec![f64::INFINITY; most + 1];
    best[0] = 0.0;
    // Of each site and total, the choice that leads there.
    let mut choices = Vec::with_capacity(sites.len());
    for site in sites {
        let mut next = vec![f64::INFINITY; most + 1];
        let mut chosen = vec![0; most + 1];
        for (before, &loss) in best.iter().enumerate().filter(|(_, loss)| loss.is_finite()) {
            for (choice, &(cost, more)) in site.iter().enumerate() {
                if loss + more < next[before + cost] {
                    (next[before + cost], chosen[before + cost]) = (loss + more, choice);
                }
            }
        }
        best = next;
        choices.push(chosen);
    }
    let mut least = f64::INFINITY;
    let worth = best.iter().enumerate().filter(|&(_, &loss)| {
        loss < least && {
            least = loss;
            true
        }
    });
    let traced = |(total, &loss): (usize, &f64)| {
        let mut rest = total;
        let mut of_sites: Vec<usize> = choices
            .iter()
            .zip(sites)
            .rev()
            .map(|(chosen, site)| {
                let choice = chosen[rest];
                rest -= site[choice].0;
                choice
            })
            .collect();
        of_sites.reverse();
        (total, loss, of_sites)
    };
    worth.map(traced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_choice_is_better(sites in prop::collection::vec(prop::collection::vec((0usize..6, 0u32..50), 1..4), 1..6)) {
            let sites: Vec<Vec<(usize, f64)>> =
                sites.into_iter().map(|all| all.into_iter().map(|(cost, loss)| (cost, f64::from(loss))).collect()).collect();
            let found = front(&sites);
            let combinations: usize = sites.iter().map(Vec::len).product();
            for number in 0..combinations {
                let mut rest = number;
                let chosen: Vec<(usize, f64)> = sites.iter().map(|all| { let at = rest % all.len(); rest /= all.len(); all[at] }).collect();
                let (cost, loss) = chosen.iter().fold((0, 0.0), |(cost, loss), (more, worse)| (cost + more, loss + worse));
                prop_assert!(found.iter().any(|(total, least, _)| *total <= cost && *least <= loss));
            }
            for (total, loss, choices) in &found {
                let sum = choices.iter().zip(&sites).fold((0, 0.0), |(cost, loss), (&at, all)| (cost + all[at].0, loss + all[at].1));
                prop_assert_eq!(sum, (*total, *loss));
            }
        }
    }
}
