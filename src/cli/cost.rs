//! `polyact cost`: levels and bootstrappings of a network under a parameter set.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use super::configuration::{SubstitutionOptions, file};
use super::cost_precision::{Needed, needed_precision, rounded, sensitivity};
use super::cost_times::Seconds;
use super::encryption::circuit;
use super::options::{DeviceOptions, ModelOptions, name_of};
use super::output::Files;
use super::plot::{FIGURES, PlotFile, plot_file};
use super::preparation::InputOptions;
use super::warnings::tell_not_polynomial;
use super::{Failure, print};
use crate::ckks::placement::{Placed, Placement, fewest};
use crate::ckks::rule::when_needed;
use crate::ckks::security::Guideline;
use crate::ckks::times::estimate;
use crate::ckks::{Circuit, Form, Operation, Parameters};
use crate::evaluation::{Designs, Precision, Substitution};
use crate::minimax::MAX_DEGREE;
use crate::model::Model;
use crate::report::{Align, levels, table};

/// Tell what a network takes under encryption: levels, the fewest bootstrappings and where they go, products of ciphertexts
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    input: InputOptions,
    #[command(flatten)]
    substitution: SubstitutionOptions,
    /// Levels after a bootstrapping and what operations take: levels=16, autofhe, orion, lattigo:N16QP1546H192H32,
    /// lattigo:N16QP1767H32768H32, openfhe, or file:params.toml
    #[arg(long, value_name = "PARAMS")]
    ckks: Parameters,
    /// Tell by this calibration with --weight margin how many bits of precision each site needs [default: that of --relu-range]
    #[arg(long, value_name = "file:RANGES")]
    sensitivity: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Draw the levels along the network into FILE.svg or FILE.png
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    plot: Option<PlotFile>,
}

const EXAMPLES: &str = "Examples:
  polyact cost --model weights/resnet20-fashion.pt --relu paper:13 --relu-range 16 --ckks autofhe
  polyact cost --model weights/resnet20-fashion.pt --relu leastsq:31 --relu-range 16 --ckks levels=12 --plot levels.svg
  polyact cost --model resnet50.pt --plan plan.toml --relu-range file:ranges.csv --ckks file:params.toml --json

docs/cost.md explains the parameter sets and the table.";

#[derive(Serialize)]
struct Cost {
    version: &'static str,
    model: String,
    model_sha256: String,
    parameters: String,
    source: String,
    modulus: Option<Moduli>,
    estimated_seconds: Option<Seconds>,
    levels: u32,
    /// The fewest that are possible, counted by ciphertexts.
    bootstraps: u64,
    /// When bootstrapping waits until an operation needs it; none where that takes more levels at once than there are.
    bootstraps_when_needed: Option<u64>,
    /// Levels along the longest path through the sites.
    total_depth: Option<u32>,
    /// Products of two ciphertexts at all sites, for one ciphertext at each.
    total_mults: Option<u64>,
    not_polynomial: usize,
    exact_sites: usize,
    precision: Option<Needed>,
    /// Of the polynomials at the sites, each once.
    degrees: Vec<Degree>,
    operations: Vec<Row>,
}

/// The moduli that the levels ask for.
#[derive(Serialize)]
struct Moduli {
    log_q: u32,
    log_p: u32,
    log_qp: u32,
    /// The least ring dimension with 128 bits of security for a uniform ternary secret, by the Homomorphic Encryption Standard; none if
    /// it has none that large.
    ring_by_standard: Option<u32>,
    /// The same by the newer guidelines of ePrint 2024/463.
    ring_by_guidelines: Option<u32>,
    /// Non-zero coefficients of a secret that these tables do not cover.
    sparse_secret: Option<u64>,
}

/// A degree, and those that spend levels better.
#[derive(Serialize)]
struct Degree {
    degree: u32,
    levels: u32,
    /// The largest degree that takes as many levels.
    largest: u32,
    /// The largest that takes one less.
    largest_of_one_less: Option<u32>,
}

/// One operation.
#[derive(Serialize)]
struct Row {
    name: String,
    operation: &'static str,
    /// Of a site.
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<String>,
    /// Levels that it takes of what it is given, the most of any operand.
    takes: u32,
    /// Levels of its result, before it is bootstrapped.
    left: u32,
    bootstrapped: bool,
    /// Bootstrappings between the stages of what stands at the site.
    inside: u32,
    ciphertexts: u64,
    /// Of a site, how precise its results must be where no other has errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<f64>,
}

impl Arguments {
    pub(super) fn device(&self) -> &DeviceOptions {
        &self.model.device
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let plot = arguments.plot.as_ref().map(PlotFile::path);
    let files = arguments.substitution.files(Files::default()).reads("--model", &*arguments.model.model);
    let named = arguments.sensitivity.as_deref();
    files.reads("--sensitivity", named.and_then(file)).writes("--plot", plot, FIGURES).check()?;
    let configuration = arguments.substitution.read()?;
    let sensitivity = sensitivity(named, &configuration)?;
    let models = arguments.model.load()?;
    let model = &models[0];
    let substitution = configuration.resolve(model.sites(), &mut Designs::default())?;
    let circuit = circuit(model, arguments.input.size(model.preprocess()))?;
    tell_not_polynomial(model);
    let needed = sensitivity.as_ref().and_then(|known| needed_precision(model.sites(), &substitution, known));
    let cost = cost(arguments, model, &substitution, &circuit, needed.as_ref())?;
    if let Some(file) = &arguments.plot {
        let level = |row: &Row| levels::Level {
            name: row.name.clone(),
            left: row.left,
            bootstrapped: row.bootstrapped,
            site: row.activation.is_some(),
        };
        let all: Vec<levels::Level> = cost.operations.iter().map(level).collect();
        let title = format!("{}, {} bootstrappings under {}", cost.model, cost.bootstraps, cost.parameters);
        file.write(&levels::figure(&title, cost.levels, &all))?;
    }
    print(&if arguments.json { serde_json::to_string_pretty(&cost)? + "\n" } else { for_people(&cost) })
}

fn cost(
    arguments: &Arguments,
    model: &Model,
    substitution: &Substitution,
    circuit: &Circuit,
    needed: Option<&Precision>,
) -> Result<Cost, Failure> {
    let parameters = &arguments.ckks;
    let forms = substitution.forms(model.sites());
    let placement = fewest(circuit, parameters, &forms)?;
    let total = substitution.total(model.sites(), model.graph());
    let products: Vec<u64> =
        substitution.costs(model.sites()).iter().map(|cost| u64::from(cost.multiplications)).collect();
    let time = parameters.times.as_ref().and_then(|times| {
        Seconds::new(parameters, estimate(times, circuit, parameters, &forms, &products, &placement))
    });
    let exact = substitution.sites.iter().filter(|site| site.approximation.is_none()).count();
    if exact > 0 {
        eprintln!(
            "warning: {exact} of {} sites stay exact, which no scheme computes; they are counted as if removed",
            forms.len()
        );
    }
    Ok(Cost {
        version: env!("CARGO_PKG_VERSION"),
        model: name_of(&arguments.model.model),
        model_sha256: model.sha256().to_owned(),
        parameters: parameters.name.clone(),
        source: parameters.source.clone(),
        modulus: moduli(parameters),
        estimated_seconds: time,
        levels: parameters.levels,
        bootstraps: placement.bootstraps,
        bootstraps_when_needed: when_needed(circuit, parameters, &forms).ok().map(|placement| placement.bootstraps),
        total_depth: total.and_then(|total| total.depth),
        total_mults: total.and_then(|total| total.multiplications),
        not_polynomial: model.foreign().iter().filter(|node| !node.at_output).count(),
        exact_sites: exact,
        precision: needed.map(Needed::of),
        degrees: degrees(parameters, &forms),
        operations: rows(circuit, parameters, substitution, &placement, needed),
    })
}

fn moduli(parameters: &Parameters) -> Option<Moduli> {
    let chain = parameters.chain()?;
    let bits = chain.log_qp();
    let secret = parameters.noise.and_then(|noise| noise.secret.filter(|&secret| secret < noise.ring / 4));
    Some(Moduli {
        log_q: chain.log_q(),
        log_p: chain.log_p(),
        log_qp: bits,
        ring_by_standard: Guideline::Standard.least_dimension(bits),
        ring_by_guidelines: Guideline::Guidelines.least_dimension(bits),
        sparse_secret: secret,
    })
}

impl Moduli {
    fn text(&self) -> String {
        let Moduli { log_q, log_p, log_qp, ring_by_standard, ring_by_guidelines, sparse_secret } = self;
        let ring = |ring: &Option<u32>| ring.map_or_else(|| "none".to_owned(), |ring| format!("2^{}", ring.ilog2()));
        let mut text = format!(
            "modulus         log Q {log_q} + log P {log_p} = {log_qp} bits; the least ring with 128 bits of security for a uniform ternary secret \
             is {} by the HE standard, {} by ePrint 2024/463\n",
            ring(ring_by_standard),
            ring(ring_by_guidelines)
        );
        if let Some(secret) = sparse_secret {
            text += &format!(
                "                which say nothing of this set's secret with {secret} non-zero coefficients\n"
            );
        }
        text
    }
}

fn degrees(parameters: &Parameters, forms: &[Form]) -> Vec<Degree> {
    let all: BTreeSet<u32> = forms.iter().flat_map(|form| form.degrees.iter().copied()).collect();
    let of_one = |degree: u32| {
        let levels = parameters.depth(degree);
        let largest = parameters.economic(levels, MAX_DEGREE).unwrap_or(degree);
        let largest_of_one_less = parameters.economic(levels.saturating_sub(1), MAX_DEGREE);
        Degree { degree, levels, largest, largest_of_one_less }
    };
    all.into_iter().map(of_one).collect()
}

fn rows(
    circuit: &Circuit,
    parameters: &Parameters,
    substitution: &Substitution,
    placement: &Placement,
    needed: Option<&Precision>,
) -> Vec<Row> {
    let after = |node: usize| {
        let Placed { left, bootstrapped, .. } = placement.nodes[node];
        if bootstrapped { parameters.levels } else { left }
    };
    let ciphertexts = circuit.ciphertexts(parameters.slots);
    let row = |(at, node): (usize, &crate::ckks::Node)| {
        let Placed { left, bootstrapped, inside } = placement.nodes[at];
        let given = node.operands.iter().map(|operand| after(operand.node)).max().unwrap_or(left);
        let site = match node.operation {
            Operation::Site(site) => Some(site),
            _ => None,
        };
        let activation = site.map(|site| substitution.sites[site].spec.to_string());
        Row {
            name: node.name.clone(),
            operation: node.operation.name(),
            activation,
            takes: given.saturating_sub(left),
            left,
            bootstrapped,
            inside,
            ciphertexts: ciphertexts[at],
            bits: site.and_then(|site| needed?.sites[site]).map(rounded),
        }
    };
    circuit.nodes.iter().enumerate().map(row).collect()
}

fn for_people(cost: &Cost) -> String {
    let mut header = vec![
        ("operation", Align::Left),
        ("name", Align::Left),
        ("activation", Align::Left),
        ("levels left", Align::Right),
        ("bootstrapped", Align::Right),
    ];
    if cost.precision.is_some() {
        header.push(("bits needed", Align::Right));
    }
    let shown = cost.operations.iter().filter(|row| row.activation.is_some() || row.bootstrapped);
    let rows = shown.map(|row| {
        let times = u64::from(row.inside) * row.ciphertexts + if row.bootstrapped { row.ciphertexts } else { 0 };
        let place = match (row.inside, row.bootstrapped) {
            (0, false) => String::new(),
            (0, true) => format!("{times} behind"),
            (_, false) => format!("{times} inside"),
            (_, true) => format!("{times} inside and behind"),
        };
        let activation = row.activation.clone().unwrap_or_default();
        let bits = row.bits.map(|bits| format!("{bits:.1}")).unwrap_or_default();
        let mut cells = vec![row.operation.to_owned(), row.name.clone(), activation, row.left.to_string(), place, bits];
        cells.truncate(header.len());
        cells
    });
    let mut text = table(&header, rows);
    text += &format!("\n{} under {}, {} levels after a bootstrapping\n", cost.model, cost.parameters, cost.levels);
    text += &match cost.bootstraps_when_needed {
        Some(needed) => format!(
            "bootstrappings  {}, the fewest possible; {needed} when each waits until it is needed\n",
            cost.bootstraps
        ),
        None => format!(
            "bootstrappings  {}, the fewest possible; an activation takes more levels than there are, and is cut between its stages\n",
            cost.bootstraps
        ),
    };
    let known = |number: Option<String>| number.unwrap_or_else(|| "unknown".to_owned());
    text += &format!(
        "activations     depth {} along the longest path, ",
        known(cost.total_depth.map(|depth| depth.to_string()))
    );
    text += &format!("{} products of ciphertexts\n", known(cost.total_mults.map(|mults| mults.to_string())));
    for Degree { degree, levels, largest, largest_of_one_less } in
        cost.degrees.iter().filter(|of| of.largest > of.degree)
    {
        let less = largest_of_one_less.map_or_else(String::new, |less| format!(", and {less} one less"));
        text += &format!("degree {degree:<8} takes {levels} levels, as many as {largest}{less}\n");
    }
    text += &cost.precision.as_ref().map(Needed::text).unwrap_or_default();
    text += &cost.modulus.as_ref().map(Moduli::text).unwrap_or_default();
    text += &cost.estimated_seconds.as_ref().map(Seconds::text).unwrap_or_default();
    if !cost.source.is_empty() {
        text += &format!("source          {}\n", cost.source);
    }
    text
}
