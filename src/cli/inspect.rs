//! `polyact inspect`: the sites of a model, and what in it is no polynomial.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::options::{DeviceOptions, ModelOptions};
use super::preparation::InputOptions;
use super::{Failure, print};
use crate::activation::Window;
use crate::model::{Model, ModelError, SiteKind};
use crate::report::{Align, table};

/// List the ReLU and max-pool sites of a model in execution order, and the other operators that are no polynomials
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    input: InputOptions,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  polyact inspect --model weights/resnet20-fashion.pt
  polyact inspect --model inception.pt --input-size 3x299x299 --json";

#[derive(Serialize)]
struct Inspection {
    model: String,
    model_sha256: String,
    input_size: [usize; 3],
    sites: Vec<InspectedSite>,
    not_polynomial: Vec<Remaining>,
    totals: Totals,
}

#[derive(Serialize)]
struct InspectedSite {
    index: usize,
    name: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<InspectedWindow>,
    /// Of one image, without the batch; none if the site did not run on an image of this size.
    input_shape: Option<Vec<i64>>,
    elements: Option<i64>,
}

#[derive(Serialize)]
struct InspectedWindow {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    ceil_mode: bool,
    padding_is_zero: bool,
}

#[derive(Serialize)]
struct Remaining {
    operator: String,
    name: String,
    at_output: bool,
}

#[derive(Default, Serialize)]
struct Totals {
    sites: usize,
    /// Of each kind how many.
    #[serde(flatten)]
    of_kind: BTreeMap<&'static str, usize>,
    relu_elements: i64,
    maxpool_elements: i64,
    /// Activations one after another along the longest path, a max-pool as the rounds of its tournament; none where the graph
    /// does not tell how often a loop turns.
    longest_path: Option<u32>,
}

impl Arguments {
    pub(super) fn device(&self) -> &DeviceOptions {
        &self.model.device
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let models = arguments.model.load()?;
    let model = &models[0];
    let inspection = inspect(model, arguments)?;
    if arguments.json {
        print(&(serde_json::to_string_pretty(&inspection)? + "\n"))
    } else {
        print(&for_people(&inspection))
    }
}

fn inspect(model: &Model, arguments: &Arguments) -> Result<Inspection, Failure> {
    let input_size = arguments.input.size(model.preprocess());
    let shapes = model.shapes(input_size).map_err(|error| hint(error, arguments))?;

    let rounds: Vec<u32> = model.sites().iter().map(|site| site.kind.window().map_or(1, Window::rounds)).collect();
    let longest_path = model.graph().longest_path(&rounds);
    let of_kind = SiteKind::NAMES.map(|(name, _)| (name, 0)).into();
    let mut totals = Totals { sites: model.sites().len(), of_kind, longest_path, ..Totals::default() };
    let mut sites = Vec::with_capacity(totals.sites);
    for (site, input_shape) in model.sites().iter().zip(shapes) {
        let elements = input_shape.as_ref().map(|shape| shape.iter().product::<i64>());
        *totals.of_kind.entry(site.kind.name()).or_default() += 1;
        *if site.kind.is_pool() { &mut totals.maxpool_elements } else { &mut totals.relu_elements } +=
            elements.unwrap_or(0);
        let window = site.kind.window().map(|&Window { kernel, stride, padding, dilation, ceil_mode }| {
            InspectedWindow { kernel, stride, padding, dilation, ceil_mode, padding_is_zero: site.non_negative }
        });
        let (index, name, kind) = (site.index, site.name.clone(), site.kind.to_string());
        sites.push(InspectedSite { index, name, kind, window, input_shape, elements });
    }
    let not_polynomial = model.foreign().iter().map(|node| Remaining {
        operator: node.operator.clone(),
        name: node.name.clone(),
        at_output: node.at_output,
    });
    Ok(Inspection {
        model: arguments.model.model.display().to_string(),
        model_sha256: model.sha256().to_owned(),
        input_size,
        sites,
        not_polynomial: not_polynomial.collect(),
        totals,
    })
}

fn hint(error: ModelError, arguments: &Arguments) -> Failure {
    match error {
        // What names another option has its own remedy.
        ModelError::Forward { ref reason, .. } if arguments.input.input_size.is_none() && !reason.contains("--") => {
            Failure::Usage(format!("{error}; say the input's shape with --input-size CxHxW"))
        }
        other => other.into(),
    }
}

fn for_people(inspection: &Inspection) -> String {
    let header = [
        ("site", Align::Right),
        ("name", Align::Left),
        ("kind", Align::Left),
        ("window", Align::Left),
        ("input", Align::Right),
        ("elements", Align::Right),
    ];
    let rows = inspection.sites.iter().map(|site| {
        let shape =
            site.input_shape.as_ref().map(|shape| shape.iter().map(i64::to_string).collect::<Vec<_>>().join("x"));
        vec![
            site.index.to_string(),
            site.name.clone(),
            site.kind.clone(),
            site.window.as_ref().map(describe).unwrap_or_default(),
            shape.unwrap_or_else(|| "not run".to_owned()),
            site.elements.map(|elements| elements.to_string()).unwrap_or_default(),
        ]
    });
    let mut text = table(&header, rows);
    for node in &inspection.not_polynomial {
        let place = if node.at_output { " (at the output)" } else { "" };
        text += &format!("warning: {} at {} is no polynomial and stays as it is{place}\n", node.operator, node.name);
    }
    let totals = &inspection.totals;
    let counts = |pools: bool| {
        let names = SiteKind::NAMES.into_iter().filter(|&(_, is_pool)| is_pool == pools).map(|(name, _)| name);
        names.map(|name| format!("{} {name}", totals.of_kind[name])).collect::<Vec<_>>().join(", ")
    };
    text += &format!(
        "{} sites: {} with {} elements an image; {} with {} elements an image\n",
        totals.sites,
        counts(false),
        totals.relu_elements,
        counts(true),
        totals.maxpool_elements,
    );
    text + &match totals.longest_path {
        Some(count) => format!(
            "{count} activations one after another along the longest path, a max-pool of n values as ⌈log2 n⌉ of them\n"
        ),
        None => "the longest path cannot be told, since the graph does not say how often a loop turns\n".to_owned(),
    }
}

/// `3x3 stride 2 padding 1`.
fn describe(window: &InspectedWindow) -> String {
    let pair = |[a, b]: [usize; 2]| {
        if a == b { a.to_string() } else { format!("{a}x{b}") }
    };
    let mut text = format!("{}x{} stride {}", window.kernel[0], window.kernel[1], pair(window.stride));
    if window.padding != [0, 0] {
        text += &format!(" padding {} ({})", pair(window.padding), if window.padding_is_zero { "0" } else { "-range" });
    }
    if window.dilation != [1, 1] {
        text += &format!(" dilation {}", pair(window.dilation));
    }
    if window.ceil_mode {
        text += " ceil";
    }
    text
}
