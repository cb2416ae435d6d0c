//! The figure of levels along a network: what every operation leaves, and where bootstrappings go.

use super::plot::{Axis, Curve, Figure, Label, Marker, Panel, Scale, Style};

/// What an operation leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Path of its module.
    pub name: String,
    /// Levels of its result.
    pub left: u32,
    /// Whether its result is bootstrapped.
    pub bootstrapped: bool,
    /// Whether it is a site.
    pub site: bool,
}

/// Levels after each operation, in the order of execution; `most` after a bootstrapping. Sites are marked, and rises are bootstrappings.
pub fn figure(title: &str, most: u32, levels: &[Level]) -> Figure {
    let line = levels.iter().enumerate().flat_map(|(at, level)| {
        let at = at as f64;
        let refreshed = level.bootstrapped.then_some((at, f64::from(most)));
        [Some((at, f64::from(level.left))), refreshed].into_iter().flatten()
    });
    let marks = |wanted: fn(&Level) -> bool| {
        let marked = levels.iter().enumerate().filter(|(_, level)| wanted(level));
        marked.map(|(at, level)| (at as f64, f64::from(level.left))).collect::<Vec<_>>()
    };
    let curves = vec![
        Curve::line(Style::of(0), line.collect()).named("levels left"),
        Curve::marks(Style::of(0), Marker::of(0), marks(|level| level.site && !level.bootstrapped))
            .named("behind a site"),
        Curve::marks(Style::of(1), Marker::of(3), marks(|level| level.bootstrapped)).named("bootstrapped"),
    ];
    let names = levels
        .iter()
        .enumerate()
        .filter(|(_, level)| level.site)
        .map(|(at, level)| (at as f64, level.name.as_str().into()));
    let panel = Panel {
        title: title.into(),
        x: Axis { names: names.collect(), ..Axis::new("operation, in the order of execution", Scale::Whole, 0.0) },
        y: Axis::new(Label::from("levels left"), Scale::Whole, 0.04),
        curves,
    };
    Figure { title: format!("Levels: {title}"), rows: vec![vec![panel]], height: 1.5 * Figure::HEIGHT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrappings_and_sites_are_marked() {
        let level = |name: &str, left, bootstrapped, site| Level { name: name.to_owned(), left, bootstrapped, site };
        let levels = [
            level("conv1", 14, false, false),
            level("relu", 2, true, true),
            level("conv2", 14, false, false),
            level("relu2", 6, false, true),
        ];
        let svg = figure("net", 16, &levels).svg();
        assert_eq!(svg.matches("class=\"mark\"").count(), 2);
        for said in ["levels left", "behind a site", "bootstrapped"] {
            assert!(svg.contains(&format!("aria-label=\"{said}\"")), "{said}");
        }
    }
}
