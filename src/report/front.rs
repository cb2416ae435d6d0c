//! The figure of a search: what each error costs, as a choice between depth and multiplications.

use super::plot::{Axis, Curve, Figure, Join, Label, Marker, Panel, Scale, Style, number};
use crate::minimax::{CostTable, Found, to_f64};

/// For each of the errors `targets`, the cheapest of the sets `front` that reach it: multiplications against depth, a
/// mark for each set that no other beats in both. A target that no set reaches has no curve; equal curves are drawn once,
/// with the labels of all their targets. `function` is what the errors and costs are those of,
/// and `costs` the table of the costs.
pub fn figure(front: &[Found], targets: &[f64], function: &str, costs: CostTable) -> Figure {
    let mut targets = targets.to_vec();
    targets.sort_by(|a, b| b.total_cmp(a));
    targets.dedup();
    let mut lines: Vec<(Vec<(f64, f64)>, String)> = Vec::new();
    for target in targets {
        let points = choices(front, target);
        match lines.last_mut() {
            Some((same, label)) if *same == points => *label += &format!(", {}", error(target)),
            _ => lines.push((points, error(target))),
        }
    }
    let count = lines.len();
    let curve = |(i, (points, label)): (usize, (Vec<(f64, f64)>, String))| Curve {
        marker: Some(Marker::of(i)),
        join: Join::Straight,
        label: Some(Label::marked(&label)),
        ..Curve::line(Style::graded(i, count), points)
    };
    let panel = Panel {
        title: format!(
            "The cheapest degree sets{}; at each curve, the error of {function} that they reach",
            costs.remark()
        )
        .into(),
        x: Axis::new(format!("depth of one {function} in levels"), Scale::Whole, 0.08),
        y: Axis::new(format!("non-scalar multiplications of one {function}"), Scale::Whole, 0.05),
        curves: lines.into_iter().enumerate().map(curve).collect(),
    };
    let title = format!("Depth and multiplications of {function} by its error{}", costs.remark());
    Figure { title, rows: vec![vec![panel]], height: 2.0 * Figure::HEIGHT }
}

/// Depth and multiplications of the sets that reach `target` and that none beats in both, by depth.
fn choices(front: &[Found], target: f64) -> Vec<(f64, f64)> {
    let reach = front.iter().filter(|found| to_f64(&found.error) <= target);
    let mut costs: Vec<(u32, u32)> = reach.map(|found| (found.cost.depth, found.cost.multiplications)).collect();
    costs.sort_unstable();
    let mut least = u32::MAX;
    costs.retain(|cost| {
        let better = cost.1 < least;
        least = least.min(cost.1);
        better
    });
    costs.into_iter().map(|(depth, mults)| (f64::from(depth), f64::from(mults))).collect()
}

/// 2^{−α} where the target is one, else in decimal digits.
fn error(target: f64) -> String {
    let alpha = target.log2();
    if alpha.fract() == 0.0 {
        return format!("2^{{{}}}", number(alpha, 0));
    }
    let text = format!("{target:e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{digits}·10^{{{}}}", power.replace('-', "−"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minimax::{MAX_SEARCHED_DEGREE, Objective, Purpose, Search};

    fn relu() -> Search {
        Search::new(Purpose::Relu, MAX_SEARCHED_DEGREE, CostTable::Published).unwrap()
    }

    /// The ends of each curve are the sets of least depth and of fewest multiplications, and between them every level
    /// saved costs multiplications.
    #[test]
    fn curves_run_from_the_least_depth_to_the_fewest_multiplications() {
        let mut search = relu();
        let targets: Vec<f64> = (4..8).map(|alpha| f64::exp2(-f64::from(alpha))).collect();
        let front = search.front(targets[0], targets[3]).unwrap();
        for &target in &targets {
            let points = choices(&front, target);
            for (objective, point) in [(Objective::Depth, points.first()), (Objective::Multiplications, points.last())]
            {
                let cost = search.cheapest(target, objective).unwrap().cost;
                assert_eq!(point, Some(&(f64::from(cost.depth), f64::from(cost.multiplications))), "{target}");
            }
            assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1), "{points:?}");
        }

        let svg = figure(&front, &[targets[3], targets[0], targets[1], targets[0]], "ReLU", CostTable::Published).svg();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let marks = document.descendants().filter(|node| node.attribute("class") == Some("mark")).count();
        assert_eq!(marks, [0, 1, 3].iter().map(|&i| choices(&front, targets[i]).len()).sum::<usize>());
        let said: Vec<&str> = document.descendants().filter_map(|node| node.attribute("aria-label")).collect();
        assert!(["2−4", "2−5", "2−7"].iter().all(|label| said.contains(label)), "{said:?}");
    }

    #[test]
    fn targets_that_the_same_sets_reach_share_a_curve() {
        let mut search = relu();
        let front = search.front(0.0625, 0.0624).unwrap();
        let svg = figure(&front, &[0.0624, 0.0625], "ReLU", CostTable::OpenFhe).svg();
        assert!(svg.contains("aria-label=\"2−4, 6.24·10−2\"") && svg.contains("sets, as in OpenFHE 1.5; at each"));
        assert_eq!(svg.matches("class=\"mark\"").count(), choices(&front, 0.0625).len());
    }
}
