//! The figures of a comparison: accuracy against cost and range, agreement.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::{Comparison, labels, short};
use super::plot::{Axis, Curve, Figure, Join, Label, Marker, Panel, Scale, Style};

/// A panel of the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum View {
    /// Top-1 against the depth of one activation
    Depth,
    /// Top-1 against its non-scalar multiplications
    Mults,
    /// What is lost of top-1 against depth, on a logarithmic axis
    Lost,
    /// Top-1 against the range, a line an activation; a panel a model
    Range,
    /// Agreement with the exact network against depth
    Agreement,
    /// Disagreement with it against depth, on a logarithmic axis, a line a form of activation; a panel a model
    Forms,
    /// The same against non-scalar multiplications
    FormsMults,
}

/// The runs of one model on one dataset.
struct Series {
    label: String,
    /// Exact top-1 in percent.
    exact: f64,
    points: Vec<Point>,
}

/// One run. What a file leaves empty is no number.
struct Point {
    activation: String,
    depth: f64,
    mults: f64,
    range: f64,
    top1: f64,
    agreement: f64,
}

const LEVELS: &str = "levels of an activation";
const MULTS: &str = "non-scalar multiplications of an activation";
const TOP1: &str = "top-1 in %";
const LOST: &str = "top-1 lost in points";
const AGREEMENT: &str = "agreement with exact in %";
const DISAGREEMENT: &str = "disagreement with exact in %";

/// What is had for a cost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gain {
    Top1,
    Agreement,
}

/// Ranges further apart than this are drawn logarithmically.
const WIDE: f64 = 20.0;

/// The figure with these views. A view of which the runs say nothing is left out, as is [`View::Range`] where no
/// activation was run with two ranges.
pub fn figure(comparison: &Comparison, views: &[View]) -> Figure {
    let series = series(comparison);
    let mut panels = Vec::new();
    for view in views {
        let of_networks = |panel: &dyn Fn(&[Series]) -> Option<Panel>| {
            alike(parts(&series, "networks").filter_map(|(part, which)| Some(titled(panel(part)?, &which))).collect())
        };
        panels.extend(match view {
            View::Depth => of_networks(&|part| cost_panel("Top-1 by depth", LEVELS, Gain::Top1, part, |run| run.depth)),
            View::Mults => {
                of_networks(&|part| cost_panel("Top-1 by multiplications", MULTS, Gain::Top1, part, |run| run.mults))
            }
            View::Agreement => {
                of_networks(&|part| cost_panel("Agreement by depth", LEVELS, Gain::Agreement, part, |run| run.depth))
            }
            View::Lost => of_networks(&lost_panel),
            View::Range => series.iter().flat_map(range_panels).collect(),
            View::Forms => {
                alike(series.iter().filter_map(|one| forms_panel("depth", LEVELS, one, |run| run.depth)).collect())
            }
            View::FormsMults => {
                let panel = |one: &Series| forms_panel("multiplications", MULTS, one, |run| run.mults);
                alike(series.iter().filter_map(panel).collect())
            }
        });
    }
    Figure::of("Accuracy of networks with polynomial activations", &panels)
}

/// `items` in parts that a panel can tell apart and that differ by one item at most, each with words for which of them it has;
/// the words are empty if one panel has all.
fn parts<'a, T>(items: &'a [T], what: &str) -> impl Iterator<Item = (&'a [T], String)> {
    let (count, parts) = (items.len(), items.len().div_ceil(Style::DISTINCT));
    let what = what.to_owned();
    (0..parts).map(move |i| {
        let (begin, end) = (i * count / parts, (i + 1) * count / parts);
        let which = if parts > 1 { format!(", {what} {} to {end} of {count}", begin + 1) } else { String::new() };
        (&items[begin..end], which)
    })
}

fn titled(panel: Panel, which: &str) -> Panel {
    Panel { title: panel.title.followed_by(which), ..panel }
}

/// Panels of one view with the same axes, so that they can be compared.
fn alike(mut panels: Vec<Panel>) -> Vec<Panel> {
    let curves = || panels.iter().flat_map(|panel| &panel.curves);
    let x: Vec<f64> = curves().flat_map(|curve| curve.points.iter().map(|point| point.0)).collect();
    let above = curves().filter(|curve| !curve.at_foot);
    let y: Vec<f64> = above.flat_map(|curve| curve.points.iter().map(|point| point.1)).collect();
    for panel in &mut panels {
        (panel.x.covers, panel.y.covers) = (x.clone(), y.clone());
    }
    panels
}

fn series(comparison: &Comparison) -> Vec<Series> {
    let mut datasets = Vec::new();
    for block in &comparison.blocks {
        let dataset = block.inputs();
        if !datasets.contains(&dataset) {
            datasets.push(dataset);
        }
    }
    let details = |&(name, images, sha256, preparation): &(&str, u64, &str, &str)| {
        (name.to_owned(), vec![format!("{images} images"), format!("digest {}", short(sha256)), preparation.to_owned()])
    };
    let names = labels(&datasets.iter().map(details).collect::<Vec<_>>());
    let mut list = Vec::new();
    for (dataset, name) in datasets.iter().zip(names) {
        for (index, model) in comparison.models.iter().enumerate() {
            let label = if datasets.len() > 1 { format!("{} on {name}", model.label) } else { model.label.clone() };
            let mut series = Series { label, exact: f64::NAN, points: Vec::new() };
            for block in &comparison.blocks {
                if block.inputs() != *dataset {
                    continue;
                }
                series.exact = block.exact[index].unwrap_or(series.exact);
                let number = |value: Option<u32>| value.map_or(f64::NAN, f64::from);
                series.points.extend(block.lines.iter().filter_map(|line| {
                    let run = line.runs[index].as_ref()?;
                    Some(Point {
                        activation: line.activation.clone() + if block.clipped { ", clipped" } else { "" },
                        depth: number(line.depth),
                        mults: number(line.mults),
                        range: block.range.parse().unwrap_or(f64::NAN),
                        top1: run.top1,
                        agreement: run.agreement,
                    })
                }));
            }
            if !series.points.is_empty() {
                list.push(series);
            }
        }
    }
    list
}

fn axis(label: impl Into<Label>, scale: Scale) -> Axis {
    Axis::new(label, scale, 0.04)
}

/// A horizontal line over the width of `points`, for the exact network.
fn exact_line(color: &'static str, exact: f64, points: &[(f64, f64)]) -> Curve {
    let ends = points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.0), h.max(p.0)));
    Curve::line(Style { color, ..Style::reference(1) }, vec![(ends.0, exact), (ends.1, exact)])
}

/// What runs reach for a cost: those on the Pareto front joined by its stairs, the others as hollow marks.
fn cost_panel(title: &str, x: &str, gain: Gain, series: &[Series], cost: fn(&Point) -> f64) -> Option<Panel> {
    let (mut behind, mut curves) = (Vec::new(), Vec::new());
    for (i, series) in series.iter().enumerate() {
        let gained = |run: &Point| if gain == Gain::Top1 { run.top1 } else { run.agreement };
        let points = series.points.iter().map(|run| (cost(run), gained(run)));
        let points: Vec<(f64, f64)> = points.filter(|point| point.0.is_finite()).collect();
        if points.is_empty() {
            continue;
        }
        let (style, marker) = (Style::of(i), Marker::of(i));
        if gain == Gain::Top1 {
            let line = exact_line(style.color, series.exact, &points);
            behind.push(if behind.is_empty() { line.named("exact") } else { line });
        }
        let front = pareto(&points);
        let others = points.into_iter().filter(|point| !front.contains(point)).collect();
        behind.push(Curve::marks(style, marker.hollow(), others));
        let front = Curve { marker: Some(marker), join: Join::Stairs, ..Curve::line(style, front) };
        curves.push(front.named(&series.label));
    }
    if behind.iter().any(|curve| curve.marker.is_some() && !curve.points.is_empty()) {
        let example = Curve::marks(Style::reference(0), Marker::of(0).hollow(), Vec::new());
        curves.push(example.named("behind the Pareto front"));
    }
    behind.extend(curves);
    let y = if gain == Gain::Top1 { TOP1 } else { AGREEMENT };
    let (x, y) = (axis(x, Scale::Whole), axis(y, Scale::Linear));
    (!behind.is_empty()).then(|| Panel { title: title.into(), x, y, curves: behind })
}

/// How far top-1 is below the exact one, by depth. A logarithm has no place for runs that lost nothing: they stand in a strip
/// at the foot of the axes, above each other where they have the same depth, so that none hides another.
fn lost_panel(series: &[Series]) -> Option<Panel> {
    let lost = |series: &Series| -> Vec<(f64, f64)> {
        let points = series.points.iter().map(|run| (run.depth, series.exact - run.top1));
        points.filter(|point| point.0.is_finite() && point.1.is_finite()).collect()
    };
    let (mut curves, mut foot) = (Vec::new(), Vec::new());
    let mut rows: BTreeMap<u64, usize> = BTreeMap::new();
    for (i, series) in series.iter().enumerate() {
        let (below, kept): (Vec<_>, Vec<_>) = lost(series).into_iter().partition(|point| point.1 > 0.0);
        if below.is_empty() && kept.is_empty() {
            continue;
        }
        curves.push(Curve::marks(Style::of(i), Marker::of(i), below).named(&series.label));
        let depths: BTreeSet<u64> = kept.iter().map(|point| point.0.to_bits()).collect();
        let points = kept.iter().map(|point| (point.0, rows.get(&point.0.to_bits()).copied().unwrap_or(0) as f64));
        foot.push(Curve { at_foot: true, ..Curve::marks(Style::of(i), Marker::of(i), points.collect()) });
        depths.into_iter().for_each(|depth| *rows.entry(depth).or_default() += 1);
    }
    let (x, mut y) = (axis(LEVELS, Scale::Whole), axis(LOST, Scale::Log));
    y.foot = (!rows.is_empty()).then(|| Label::plain("none"));
    (!curves.is_empty()).then(|| {
        curves.extend(foot);
        Panel { title: "Top-1 lost by depth".into(), x, y, curves }
    })
}

/// The form of an activation, and its place among the forms; of several, as for ReLU and max-pool, that of the first.
fn form(activation: &str) -> (usize, &'static str) {
    let activation = activation.split(", ").next().unwrap_or(activation);
    let (name, rest) = activation.split_once(':').unwrap_or((activation, ""));
    match name {
        "paper" => (0, "published compositions"),
        "minimax" => (1, "minimax compositions"),
        "leastsq" | "chebyshev" => (2, "one polynomial, of the range"),
        "fitted" if rest.contains("/channel") => (4, "one fitted a channel"),
        "fitted" if rest.contains(',') => (5, "fitted compositions"),
        "fitted" => (3, "one fitted a site"),
        _ => (6, "others"),
    }
}

/// The share of images on which the exact network says another class, by cost: a line through the best of each form.
fn forms_panel(by: &str, x: &str, series: &Series, cost: fn(&Point) -> f64) -> Option<Panel> {
    let mut forms: BTreeMap<(usize, &str), Vec<(f64, f64)>> = BTreeMap::new();
    for run in &series.points {
        let point = (cost(run), 100.0 - run.agreement);
        if point.0.is_finite() && point.1 > 0.0 {
            forms.entry(form(&run.activation)).or_default().push(point);
        }
    }
    let curves = forms.into_iter().map(|((place, name), points)| {
        let gained: Vec<(f64, f64)> = points.iter().map(|&(cost, off)| (cost, -off)).collect();
        let best = pareto(&gained).into_iter().map(|(cost, gain)| (cost, -gain)).collect();
        Curve { marker: Some(Marker::of(place)), ..Curve::line(Style::of(place), best) }.named(name)
    });
    let curves: Vec<Curve> = curves.collect();
    let title = format!("Disagreement by {by}: {}", series.label).into();
    let (x, y) = (axis(x, Scale::Whole), axis(DISAGREEMENT, Scale::Log));
    (!curves.is_empty()).then_some(Panel { title, x, y, curves })
}

/// The points (cost, gain) that no other beats in one without losing in the other, by cost.
fn pareto(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut front: Vec<(f64, f64)> = Vec::new();
    for point in sorted {
        if front.last().is_none_or(|last| point.1 > last.1) {
            front.push(point);
        }
    }
    front
}

/// Top-1 of a model against the range, a line for each activation that was run with several.
fn range_panels(series: &Series) -> Vec<Panel> {
    let mut activations: Vec<&str> = Vec::new();
    for point in &series.points {
        if !activations.contains(&point.activation.as_str()) {
            activations.push(&point.activation);
        }
    }
    let lines = activations.into_iter().filter_map(|activation| {
        let runs = series.points.iter().filter(|point| point.activation == activation && point.range.is_finite());
        let mut points: Vec<(f64, f64)> = runs.map(|point| (point.range, point.top1)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        (points.len() > 1).then_some((activation, points))
    });
    let lines: Vec<(&str, Vec<(f64, f64)>)> = lines.collect();
    let all: Vec<(f64, f64)> = lines.iter().flat_map(|line| line.1.iter().copied()).collect();
    let (least, largest) = all.iter().fold((f64::INFINITY, 0f64), |(l, h), point| (l.min(point.0), h.max(point.0)));
    let scale = if least > 0.0 && largest / least > WIDE { Scale::Log } else { Scale::Linear };
    let panels = parts(&lines, "activations").map(|(part, which)| {
        let mut curves = vec![exact_line(Style::reference(1).color, series.exact, &all).named("exact")];
        curves.extend(part.iter().enumerate().map(|(i, (name, points))| {
            Curve { marker: Some(Marker::of(i)), ..Curve::line(Style::of(i), points.clone()) }.named(*name)
        }));
        Panel {
            title: format!("Top-1 by range: {}{which}", series.label).into(),
            x: axis(Label::marked("range $B$"), scale),
            y: axis(TOP1, Scale::Linear),
            curves,
        }
    });
    alike(panels.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Row, samples};
    use proptest::prelude::*;

    fn marks(figure: &Figure) -> usize {
        let svg = figure.svg();
        let document = roxmltree::Document::parse(&svg).unwrap();
        document.descendants().filter(|node| node.attribute("class") == Some("mark")).count()
    }

    fn compared(rows: &[Row]) -> Comparison {
        Comparison::of(&[samples::saved("a.csv", rows)]).unwrap()
    }

    /// A line a form, through the runs of it that no other beats; a panel a model.
    #[test]
    fn forms_have_lines_of_their_own() {
        let run = |activation: &str, depth: u32, agreement: f64| Row {
            agreement,
            ..samples::run("resnet", activation, (depth, 2 * depth), 16.0, 93.0)
        };
        let rows = [
            run("paper:7", 7, 95.0),
            run("paper:10", 11, 99.9),
            run("leastsq:31", 5, 97.0),
            run("fitted:15", 4, 97.5),
            run("fitted:31", 5, 99.0),
            run("fitted:15/channel", 4, 99.0),
            run("fitted:7,7", 7, 98.0),
            run("fitted:15@0.9", 4, 50.0),
        ];
        assert_eq!(form("fitted:15, max-pool exact").1, "one fitted a site");
        for (view, of) in [(View::Forms, "depth"), (View::FormsMults, "multiplications")] {
            let figure = figure(&compared(&rows), &[view]);
            assert_eq!(marks(&figure), 7, "what is beaten by its own form has no mark");
            let svg = figure.svg();
            for name in [
                "published compositions", "one polynomial, of the range", "one fitted a site", "one fitted a channel",
                "fitted compositions",
            ] {
                assert!(svg.contains(&format!("aria-label=\"{name}\"")), "{name}");
            }
            assert!(svg.contains(&format!("Disagreement by {of}: resnet")), "{of}");
        }
    }

    /// Each run is a mark in each view that it can be in; views without anything to show are left out.
    #[test]
    fn every_run_is_marked_once_a_view() {
        let mut rows = Vec::new();
        for model in ["resnet", "vgg"] {
            for (alpha, depth) in [(4, 4), (7, 7), (14, 15)] {
                rows.push(samples::run(model, &format!("paper:{alpha}"), (depth, 2 * depth), f64::from(depth), 93.0));
            }
        }
        let one_range = compared(&rows);
        for view in [View::Depth, View::Mults, View::Agreement, View::Lost] {
            assert_eq!(marks(&figure(&one_range, &[view])), 6, "{view:?}");
        }
        assert!(figure(&one_range, &[View::Range]).rows.is_empty());

        rows.push(Row { relu_range: Some("50".into()), top1: 3.0, ..rows[0].clone() });
        rows.push(Row { relu: Some("square".into()), depth: None, mults: None, ..rows[0].clone() });
        let two_ranges = compared(&rows);
        assert_eq!(marks(&figure(&two_ranges, &[View::Range])), 2);
        assert_eq!(marks(&figure(&two_ranges, &[View::Depth, View::Range])), 7 + 2);
    }

    /// Twenty networks that lose something at depth 4 and nothing at 15.
    fn many() -> Comparison {
        let rows: Vec<Row> = (0..20)
            .flat_map(|i| {
                let lost = |depth: u32, top1| {
                    samples::run(&format!("net{i:02}"), &format!("paper:{depth}"), (depth, 9), top1, 93.0)
                };
                [lost(4, 60.0 + f64::from(i)), lost(14, 93.0)]
            })
            .collect();
        compared(&rows)
    }

    /// No two networks of a panel look alike, and panels of a view have the same axes.
    #[test]
    fn networks_that_one_panel_cannot_tell_apart_get_several() {
        for view in [View::Depth, View::Mults, View::Agreement, View::Lost] {
            let drawn = figure(&many(), &[view]);
            let panels: Vec<&Panel> = drawn.rows.iter().flatten().collect();
            assert_eq!((panels.len(), marks(&drawn)), (3, 40), "{view:?}");
            for panel in &panels {
                assert!(panel.curves.iter().filter(|curve| curve.name.is_some()).count() <= Style::DISTINCT + 2);
                assert_eq!((&panel.x.covers, &panel.y.covers), (&panels[0].x.covers, &panels[0].y.covers));
            }
            assert!(panels[1].title.text().ends_with(", networks 7 to 13 of 20"), "{}", panels[1].title.text());
        }
    }

    /// Runs that lost nothing have no place on a logarithm: they stand below all that lost something, each in its own.
    #[test]
    fn what_lost_nothing_stands_at_the_foot() {
        let drawn = figure(&many(), &[View::Lost]);
        for panel in drawn.rows.iter().flatten() {
            let (foot, above): (Vec<&Curve>, Vec<&Curve>) = panel.curves.iter().partition(|curve| curve.at_foot);
            let rows: Vec<f64> = foot.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)).collect();
            let expected: Vec<f64> = (0..rows.len()).map(|row| row as f64).collect();
            assert_eq!(rows, expected);
            assert!(above.iter().flat_map(|curve| &curve.points).all(|point| point.1 > 1.0));
        }
        let svg = drawn.svg();
        assert_eq!(svg.matches("aria-label=\"none\"").count(), 3);
        let lossless = compared(&[samples::run("net", "paper:14", (15, 30), 93.0, 93.0)]);
        let svg = figure(&lossless, &[View::Lost]).svg();
        assert!(svg.contains("aria-label=\"none\"") && svg.contains("aria-label=\"15\""), "{svg}");
        assert!(["1", "10", "100"].iter().all(|tick| !svg.contains(&format!("aria-label=\"{tick}\""))), "{svg}");
    }

    proptest! {
        /// On the front are the points that none beats, each once for equals.
        #[test]
        fn the_front_is_what_no_point_beats(points in proptest::collection::vec((0u8..6, 0u8..6), 1..20)) {
            let points: Vec<(f64, f64)> = points.into_iter().map(|(x, y)| (f64::from(x), f64::from(y))).collect();
            let front = pareto(&points);
            for point in &points {
                let beaten = points.iter().any(|other| other != point && other.0 <= point.0 && other.1 >= point.1);
                prop_assert_eq!(front.contains(point), !beaten, "{:?}", point);
            }
            prop_assert!(front.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
        }
    }
}
