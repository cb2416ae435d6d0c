//! The figure of plans: what they keep by what they cost, with uniform settings beside them, and how well that was predicted.

use super::plot::{Axis, Curve, Figure, Label, Marker, Panel, Scale, Style};

/// What a plan was measured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Chosen site by site.
    Planned,
    /// The same at every site.
    Uniform,
    /// A planned one with another choice at a site or two.
    Swapped,
    /// Drawn at random.
    Random,
}

/// One choice for all sites.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub cost: f64,
    /// In percent, and so is the next.
    pub predicted: f64,
    pub agreement: f64,
    pub group: Group,
}

impl Point {
    /// Of some thousand images, one that differs shows; none is drawn at the foot.
    const FOOT: f64 = 0.01;

    /// Percent of images that are decided otherwise.
    fn disagreement(self) -> f64 {
        (100.0 - self.agreement).max(Point::FOOT)
    }

    /// The same as it is predicted.
    fn foreseen(self) -> f64 {
        (100.0 - self.predicted).max(Point::FOOT)
    }
}

/// The points of a group, by x; what is not finite is left out.
fn of_group(points: &[Point], group: Group, x: fn(Point) -> f64) -> Vec<(f64, f64)> {
    let mut all: Vec<(f64, f64)> = points
        .iter()
        .filter(|point| point.group == group && x(**point).is_finite() && point.agreement.is_finite())
        .map(|&point| (x(point), point.disagreement()))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    all
}

/// Disagreement by cost, and where there are random plans, by what is predicted.
pub fn figure(title: &str, cost: &str, points: &[Point]) -> Figure {
    const GROUPS: [(Group, usize, usize, &str); 4] = [
        (Group::Planned, 0, 0, "chosen site by site"),
        (Group::Swapped, 2, 2, "with swaps"),
        (Group::Uniform, 1, 3, "the same everywhere"),
        (Group::Random, 4, 1, "random"),
    ];
    let marks = |groups: &[(Group, usize, usize, &str)], x: fn(Point) -> f64| -> Vec<Curve> {
        let of = |&(group, style, marker, name): &(Group, usize, usize, &str)| {
            let points = of_group(points, group, x);
            (!points.is_empty()).then(|| Curve::marks(Style::of(style), Marker::of(marker), points).named(name))
        };
        groups.iter().filter_map(of).collect()
    };
    let by_cost: fn(Point) -> f64 = |point| point.cost;
    let mut curves = vec![Curve::line(Style::of(0), of_group(points, Group::Planned, by_cost))];
    curves.extend(marks(&GROUPS[..3], by_cost));
    let decided = || Axis::new(Label::from("images decided otherwise, %"), Scale::Log, 0.04);
    let mut rows = vec![vec![Panel {
        title: title.into(),
        x: Axis::new(Label::from(cost), Scale::Whole, 0.04),
        y: decided(),
        curves,
    }]];
    if points.iter().any(|point| point.group == Group::Random) {
        let ends =
            points.iter().flat_map(|point| [point.foreseen(), point.disagreement()]).filter(|end| end.is_finite());
        let (low, high) = ends.fold((f64::INFINITY, 0.0), |(low, high), end| (end.min(low), end.max(high)));
        let mut curves = vec![Curve::line(Style::reference(0), vec![(low, low), (high, high)]).named("as predicted")];
        curves.extend(marks(&GROUPS, Point::foreseen));
        rows.push(vec![Panel {
            title: "Predicted and measured".into(),
            x: Axis::new(Label::from("images predicted to be decided otherwise, %"), Scale::Log, 0.04),
            y: decided(),
            curves,
        }]);
    }
    Figure { title: format!("Plans: {title}"), rows, height: 1.3 * Figure::HEIGHT }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(cost: f64, agreement: f64, group: Group) -> Point {
        Point { cost, predicted: agreement + 0.5, agreement, group }
    }

    fn marks(svg: &str) -> usize {
        svg.matches("class=\"mark\"").count()
    }

    #[test]
    fn plans_and_uniform_settings_are_told_apart() {
        let mut points = vec![
            point(9.0, 99.0, Group::Planned),
            point(4.0, 90.0, Group::Planned),
            point(9.0, 98.0, Group::Uniform),
            point(f64::NAN, 99.0, Group::Uniform),
            point(18.0, 100.0, Group::Uniform),
        ];
        let svg = figure("net", "bootstrappings", &points).svg();
        assert_eq!(marks(&svg), 4);
        for (said, there) in [("chosen site by site", true), ("the same everywhere", true), ("with swaps", false)] {
            assert_eq!(svg.contains(&format!("aria-label=\"{said}\"")), there, "{said}");
        }
        // In the panel of predictions alone, which has the others once more, one that fits no levels included.
        points.extend([point(7.0, 97.0, Group::Random), point(8.0, 95.0, Group::Random)]);
        points.push(point(4.0, 91.0, Group::Swapped));
        let svg = figure("net", "bootstrappings", &points).svg();
        assert_eq!(marks(&svg), 5 + 8);
        for said in ["random", "with swaps", "as predicted"] {
            assert!(svg.contains(&format!("aria-label=\"{said}\"")), "{said}");
        }
    }
}
