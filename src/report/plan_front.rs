//! The figure of plans: what they keep by what they cost, with uniform settings beside them.

use super::plot::{Axis, Curve, Figure, Label, Marker, Panel, Scale, Style};

/// One choice for all sites.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub cost: f64,
    /// In percent.
    pub agreement: f64,
    /// Whether the sites were chosen one by one, and not alike.
    pub planned: bool,
}

/// Disagreement by cost; what is not finite is left out.
pub fn figure(title: &str, cost: &str, points: &[Point]) -> Figure {
    // Of some thousand images, one that differs shows; none is drawn at the foot.
    const FOOT: f64 = 0.01;
    let of = |planned: bool| {
        let mut all: Vec<(f64, f64)> = points
            .iter()
            .filter(|point| point.planned == planned && point.cost.is_finite() && point.agreement.is_finite())
            .map(|point| (point.cost, (100.0 - point.agreement).max(FOOT)))
            .collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        all
    };
    let curves = vec![
        Curve::line(Style::of(0), of(true)),
        Curve::marks(Style::of(0), Marker::of(0), of(true)).named("chosen site by site"),
        Curve::marks(Style::of(1), Marker::of(3), of(false)).named("the same everywhere"),
    ];
    let panel = Panel {
        title: title.into(),
        x: Axis::new(Label::from(cost), Scale::Whole, 0.04),
        y: Axis::new(Label::from("images decided otherwise, %"), Scale::Log, 0.04),
        curves,
    };
    Figure { title: format!("Plans: {title}"), rows: vec![vec![panel]], height: 1.3 * Figure::HEIGHT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_and_uniform_settings_are_told_apart() {
        let point = |cost, agreement, planned| Point { cost, agreement, planned };
        let points = [
            point(9.0, 99.0, true),
            point(4.0, 90.0, true),
            point(9.0, 98.0, false),
            point(f64::NAN, 99.0, false),
            point(18.0, 100.0, false),
        ];
        let svg = figure("net", "bootstrappings", &points).svg();
        assert_eq!(svg.matches("class=\"mark\"").count(), 4);
        for said in ["chosen site by site", "the same everywhere"] {
            assert!(svg.contains(&format!("aria-label=\"{said}\"")), "{said}");
        }
    }
}
