//! What `polyact plan` measured, as a table, a CSV file and points of a figure.

use std::path::Path;

use super::Failure;
use crate::evaluation::{Minimize, Tally};
use crate::report::plan_front::{Group, Point};
use crate::report::{Align, table};

/// What a plan was measured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The same at every site.
    Uniform,
    /// Of the front that is predicted.
    Plan,
    /// One that differs from another at a site or two.
    Swap,
    /// Drawn at random.
    Random,
    /// What the search finds with all it has, or with one lever off.
    Lever(&'static str),
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Uniform => "uniform",
            Kind::Plan => "plan",
            Kind::Swap => "swap",
            Kind::Random => "random",
            Kind::Lever(name) => name,
        }
    }
}

/// A choice for all sites, on the calibration images.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub kind: Kind,
    pub name: String,
    /// Which candidate each site has.
    pub choices: Vec<usize>,
    /// None where an activation does not fit the levels.
    pub bootstraps: Option<u64>,
    /// Along the longest path.
    pub total_depth: Option<u32>,
    /// Of all sites.
    pub depth_sum: u64,
    pub mults: u64,
    /// Agreement in percent as the sensitivities have it.
    pub predicted: f64,
    pub agreement: f64,
    /// In points of top-1.
    pub difference: f64,
    pub overflow_images: usize,
    pub minimize: Minimize,
}

impl Minimize {
    /// As figures name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Minimize::Bootstraps => "bootstrappings",
            Minimize::Depth => "levels of all activations",
            Minimize::Mults => "products of ciphertexts",
        }
    }
}

impl Measured {
    /// Of what is to be least.
    pub fn cost(&self) -> Option<u64> {
        match self.minimize {
            Minimize::Bootstraps => self.bootstraps,
            Minimize::Depth => Some(self.depth_sum),
            Minimize::Mults => Some(self.mults),
        }
    }

    pub fn point(&self) -> Point {
        let cost = self.cost().map_or(f64::NAN, |cost| cost as f64);
        let group = match self.kind {
            Kind::Plan => Group::Planned,
            Kind::Uniform => Group::Uniform,
            Kind::Swap => Group::Swapped,
            Kind::Random | Kind::Lever(_) => Group::Random,
        };
        Point { cost, predicted: self.predicted, agreement: self.agreement, group }
    }
}

fn known<T: ToString>(number: Option<T>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

pub(super) fn front_csv(measured: &[Measured]) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "kind", "name", "bootstraps", "total_depth", "depth_sum", "total_mults", "agreement_predicted", "agreement",
        "top1_diff", "overflow_images",
    ])?;
    for plan in measured {
        writer.write_record([
            plan.kind.name().to_owned(),
            plan.name.clone(),
            known(plan.bootstraps),
            known(plan.total_depth),
            plan.depth_sum.to_string(),
            plan.mults.to_string(),
            format!("{:.3}", plan.predicted),
            format!("{:.3}", plan.agreement),
            format!("{:.3}", plan.difference),
            plan.overflow_images.to_string(),
        ])?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::Output(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What `polyact plan` has to tell.
pub(super) struct Told<'a> {
    pub minimize: Minimize,
    pub measured: &'a [Measured],
    /// Which of them is the plan.
    pub found: usize,
    pub levers: &'a [Measured],
    /// Between predicted and measured agreement of random plans.
    pub rank_correlation: Option<f64>,
    pub out: &'a Path,
    /// Of the plan on images that were not used.
    pub tally: &'a Tally,
}

/// The table of what was measured, and the plan on images that were not used.
pub(super) fn for_people(told: &Told<'_>) -> String {
    let &Told { minimize, measured, found, levers, rank_correlation, out, tally } = told;
    let header = [
        ("on calibration images", Align::Left),
        ("bootstrappings", Align::Right),
        ("depth", Align::Right),
        ("mults", Align::Right),
        ("predicted", Align::Right),
        ("agreement", Align::Right),
        ("difference", Align::Right),
        ("images out", Align::Right),
    ];
    // Of swaps only the one that is the plan; how many there were is told below.
    let shown = |(at, plan): &(usize, &Measured)| matches!(plan.kind, Kind::Uniform | Kind::Plan) || *at == found;
    let mut sorted: Vec<&Measured> = measured.iter().enumerate().filter(shown).map(|(_, plan)| plan).collect();
    sorted.sort_by_key(|plan| (plan.kind != Kind::Uniform, plan.cost().unwrap_or(u64::MAX), plan.depth_sum));
    sorted.dedup_by(|a, b| a.kind == Kind::Plan && a.kind == b.kind && a.name == b.name);
    let rows = sorted.iter().map(|plan| {
        vec![
            plan.name.clone(),
            known(plan.bootstraps),
            known(plan.total_depth),
            plan.mults.to_string(),
            format!("{:.2}", plan.predicted),
            format!("{:.2}", plan.agreement),
            format!("{:+.3}", plan.difference),
            plan.overflow_images.to_string(),
        ]
    });
    let mut text = table(&header, rows);
    let count = |kind: Kind| measured.iter().filter(|plan| plan.kind == kind).count();
    let (swaps, random) = (count(Kind::Swap), count(Kind::Random));
    if swaps > 0 {
        let said = if measured[found].kind == Kind::Swap { "the last row is one of" } else { "none is cheaper of" };
        text += &format!("{said} {swaps} swaps that were measured\n");
    }
    if let Some(correlation) = rank_correlation {
        text += &format!(
            "rank correlation (Spearman) of predicted and measured agreement over {random} random plans: {correlation:.3}\n"
        );
    }
    if !levers.is_empty() {
        text += &format!("\nthe least {} within the budget\n", minimize.name());
    }
    for plan in levers {
        text += &format!(
            "{:<18} {:>5}  agreement {:.2} %, difference {:+.3} points: {}\n",
            plan.kind.name(),
            known(plan.cost()),
            plan.agreement,
            plan.difference,
            plan.name
        );
    }
    let score = &tally.score;
    let difference = score.top1() - score.top1_exact();
    let half = 1.96 * score.difference_standard_error();
    text + &format!(
        "\nthe least {} within the budget: {}\non {} other images: top-1 {:.3} %, exact {:.3} %, difference {difference:+.3} points \
             (95 % interval {:+.3} to {:+.3}), agreement {:.3} %, {} images out of range\n",
        minimize.name(),
        out.display(),
        score.images(),
        score.top1(),
        score.top1_exact(),
        difference - half,
        difference + half,
        score.agreement(),
        tally.overflow_images,
    )
}
