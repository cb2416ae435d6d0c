//! Random networks, and networks as people publish them, in PyTorch and in the library: exact and swapped logits, what is
//! counted, and what is claimed of the sites. tests/python/differential.py makes the networks and compares.
//!
//! `DIFFERENTIAL_RUNS=100000` sets how many random ones, `DIFFERENTIAL_SEED=1000000` draws others,
//! `DIFFERENTIAL_WITHOUT=linear,fork` leaves operators out, as those that are known to fail.
#![cfg(feature = "libtorch")]

mod common;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::together::{self, Work};
use common::{polyact_succeeds, read_f32, root, text};
use polyact::activation::{Activation, Interval, Spec};
use polyact::model::{Model, ModelError, Sites};
use serde::Deserialize;
use serde_json::{Value, json};
use tch::{Device, Tensor};

/// The published set of this α: its error is seen in every logit, and it is cheap.
const ALPHA: u32 = 7;

/// Networks that one Python process makes, since TorchScript keeps all it compiled.
const RUNS_OF_A_PROCESS: usize = 1000;

#[derive(Deserialize)]
struct Question {
    network: String,
    archive: String,
    images: String,
    shape: Vec<i64>,
    passes: Vec<Pass>,
}

/// A pass over the first `count` images.
#[derive(Deserialize)]
struct Pass {
    what: String,
    count: i64,
    relu: Option<f64>,
    maxpool: Option<f64>,
    threads: Option<i32>,
}

/// What a script has compared.
#[derive(Default, Deserialize)]
struct Done {
    #[serde(default)]
    failures: Vec<Failure>,
    /// Of passes that are made together and alone.
    #[serde(skip)]
    work: Work,
    networks: usize,
    operators: BTreeMap<String, usize>,
    left_out: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Failure {
    kind: String,
    detail: String,
    network: String,
    source: String,
}

impl Done {
    fn add(&mut self, more: Done) {
        self.failures.extend(more.failures);
        self.networks += more.networks;
        self.work.together += more.work.together;
        self.work.alone += more.work.alone;
        for (all, more) in [(&mut self.operators, more.operators), (&mut self.left_out, more.left_out)] {
            for (name, count) in more {
                *all.entry(name).or_default() += count;
            }
        }
    }

    /// The failures as a person reads them.
    fn report(&self) -> String {
        self.failures.iter().map(Failure::to_string).collect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}, {}: {}\n\n{}", self.network, self.kind, self.detail, self.source)
    }
}

/// A wrong answer that the comparison must notice.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    OneLogit,
    ExactForSwapped,
    OneCountMore,
    OtherImage,
    NonNegative,
    OtherKind,
}

/// Run the script and answer what it asks, with the lie of each network.
fn compare(arguments: &[&str], lie: impl Fn(&str) -> Lie) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let design = folder.path().join("design.json");
    let alpha = ALPHA.to_string();
    polyact_succeeds(&["design", "--alpha", &alpha, "--format", "json", "--out", text(&design)]);
    let mut script = Command::new(root().join(".venv/bin/python"))
        .args(["-W", "ignore"])
        .arg(root().join("tests/python/differential.py"))
        .args(arguments)
        .args([text(folder.path()), text(&design), &alpha])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python is there once scripts/setup ran");
    let (mut answers, questions) = (script.stdin.take().unwrap(), BufReader::new(script.stdout.take().unwrap()));
    let (mut done, mut failures): (Option<Done>, Vec<Failure>) = (None, Vec::new());
    let mut work = Work::default();
    for line in questions.lines() {
        let mut line: Value = serde_json::from_str(&line.unwrap()).expect("JSON");
        if let Some(question) = line.get_mut("ask") {
            let question: Question = serde_json::from_value(question.take()).expect("a question");
            let answer = answer(&question, &mut work).map(|answer| told(answer, lie(&question.network)));
            let answer = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
            writeln!(answers, "{answer}").unwrap();
        } else if let Some(failure) = line.get_mut("failure") {
            let failure: Failure = serde_json::from_value(failure.take()).expect("a failure");
            if lie(&failure.network) == Lie::None {
                // At once: a run of many hours may be cut off.
                eprintln!("{failure}");
            }
            failures.push(failure);
        } else {
            done = Some(serde_json::from_value(line["done"].take()).expect("a summary"));
        }
    }
    assert!(script.wait().unwrap().success(), "{arguments:?}: the script failed");
    Done { failures, work, ..done.expect("a summary") }
}

fn answer(question: &Question, work: &mut Work) -> Result<Value, ModelError> {
    let model = Model::load(Path::new(&question.archive), Device::Cpu)?;
    let images = Tensor::from_slice(&read_f32(Path::new(&question.images))).view(question.shape.as_slice());
    let sites = model.sites().iter().map(|site| {
        let window = site.kind.window();
        let non_negative = window.is_some() && site.non_negative;
        let may_pad = window.is_some_and(|window| window.ceil_mode || window.padding != [0, 0]);
        json!({ "name": site.name, "kind": site.kind.to_string(), "non_negative": non_negative, "may_pad": may_pad })
    });
    let sites: Vec<Value> = sites.collect();
    let passes: Vec<Value> = question.passes.iter().map(|pass| run(&model, &images, pass)).collect();
    tch::set_num_threads(1);
    let sign = Activation::design(&Spec::Paper { alpha: ALPHA }).expect("published").expect("a composition");
    let compared =
        together::compare(&model, &images, &sign).unwrap_or_else(|error| panic!("{}: {error}", question.network));
    work.together += compared.together;
    work.alone += compared.alone;
    Ok(json!({ "sites": sites, "passes": passes }))
}

fn run(model: &Model, images: &Tensor, pass: &Pass) -> Value {
    let forward = || -> Result<(Tensor, Sites), ModelError> {
        let table = table(model, pass)?;
        Ok((model.forward(&images.narrow(0, 0, pass.count), &table)?, table))
    };
    tch::set_num_threads(pass.threads.unwrap_or(1));
    match forward() {
        Ok((logits, table)) => told_by(&logits, &table, model.sites().len()),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn table(model: &Model, pass: &Pass) -> Result<Sites, ModelError> {
    let sign = Activation::design(&Spec::Paper { alpha: ALPHA }).expect("published").expect("a composition");
    let (relu, max_pool) = (pass.relu.unwrap_or(1.0), pass.maxpool.unwrap_or(1.0));
    let range = |pools: bool| Interval::symmetric(if pools { max_pool } else { relu });
    let choices = model.sites().iter().map(|site| Some((&sign, range(site.kind.is_pool()))));
    match pass.what.as_str() {
        "exact" => Ok(model.exact()),
        "observed" => Ok(model.observed(&[])),
        what => model.table(choices, what == "clipped"),
    }
}

fn told_by(logits: &Tensor, table: &Sites, sites: usize) -> Value {
    let (images, classes) = logits.size2().expect("logits are a matrix");
    let logits = Vec::<f32>::try_from(logits.contiguous().view(-1)).expect("f32");
    let logits: Vec<_> = logits.chunks((classes as usize).max(1)).take(images as usize).collect();
    let counts = (0..sites).map(|site| {
        let overflow = table.take_overflow(site);
        json!({ "values": overflow.values, "unattributed": overflow.unattributed, "images": overflow.images })
    });
    let counts: Vec<Value> = counts.collect();
    let extremes: Vec<_> = (0..sites).map(|site| table.take_statistics(site)).map(|of| [of.min, of.max]).collect();
    json!({ "logits": logits, "counts": counts, "extremes": extremes })
}

/// What `lie` makes of an answer.
fn told(mut answer: Value, lie: Lie) -> Value {
    let mut at = |place: &str, change: fn(&Value) -> Value| {
        if let Some(value) = answer.pointer_mut(place) {
            *value = change(value);
        }
    };
    match lie {
        Lie::None => {}
        Lie::OneLogit => at("/passes/0/logits/1/2", |logit| (1.1 * logit.as_f64().unwrap_or(0.0) + 0.1).into()),
        Lie::ExactForSwapped => answer["passes"][1] = answer["passes"][0].clone(),
        Lie::OneCountMore => at("/passes/3/counts/0/values", |count| (count.as_u64().unwrap_or(0) + 100).into()),
        Lie::OtherImage => at("/passes/3/counts/0/images", |_| json!({ "7": 1.0 })),
        Lie::NonNegative => {
            for site in answer["sites"].as_array_mut().into_iter().flatten() {
                site["non_negative"] = true.into();
            }
        }
        Lie::OtherKind => at("/sites/0/kind", |_| "tanh".into()),
    }
    answer
}

fn honest(_: &str) -> Lie {
    Lie::None
}

fn variable(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

fn compare_random(first: usize, runs: usize) -> Done {
    let mut done = Done::default();
    for from in (first..first + runs).step_by(RUNS_OF_A_PROCESS) {
        let count = RUNS_OF_A_PROCESS.min(first + runs - from);
        done.add(compare(&["random", &from.to_string(), &count.to_string()], honest));
    }
    done
}

#[test]
fn random_networks_are_what_they_are_in_pytorch() {
    let (runs, seed) = (variable("DIFFERENTIAL_RUNS", 1000), variable("DIFFERENTIAL_SEED", 0));
    let half = runs / 2;
    let done = std::thread::scope(|threads| {
        let other = threads.spawn(|| compare_random(seed + half, runs - half));
        let mut done = compare_random(seed, half);
        done.add(other.join().unwrap());
        done
    });
    println!("{} networks compared; operators and the networks that have them:", done.networks);
    let mut operators: Vec<_> = done.operators.iter().collect();
    operators.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    for (name, count) in operators {
        println!("{count:7}  {name}");
    }
    println!("not compared:");
    for (reason, count) in &done.left_out {
        println!("{count:7}  {reason}");
    }
    println!("sites computed for passes with something in common: {:?}", done.work);
    assert!(5 * done.work.together < 4 * done.work.alone, "{:?}", done.work);
    println!("{} failures", done.failures.len());
    assert!(done.failures.is_empty(), "\n{}", done.report());
    assert!(done.networks > runs * 3 / 4, "{} of {runs} networks", done.networks);
}

#[test]
fn wrong_answers_are_noticed() {
    // Of fifteen networks each, how many can show it at least: those with a site, with a padded pool of negative values,
    // and so on.
    const LIES: [(Lie, &str, usize); 6] = [
        (Lie::OneLogit, "exact logits", 12),
        (Lie::ExactForSwapped, "swapped logits", 7),
        (Lie::OneCountMore, "counts", 7),
        (Lie::OtherImage, "images", 3),
        (Lie::NonNegative, "padding", 2),
        (Lie::OtherKind, "sites", 5),
    ];
    let of = |network: &str| {
        let seed = network.strip_prefix("seed ").and_then(|rest| rest.split(',').next()).expect("a seed");
        LIES[seed.parse::<usize>().expect("a number") % LIES.len()]
    };
    let done = compare(&["random-as-found", "0", "90"], |network| of(network).0);
    for (lie, kind, least) in LIES {
        let noticed = |failure: &&Failure| of(&failure.network).0 == lie && failure.kind == kind;
        let count = done.failures.iter().filter(noticed).count();
        println!("{lie:?}: {count} of 15 networks");
        assert!(count >= least, "{lie:?}: {count} of 15 networks");
    }
}

#[test]
fn published_networks_are_what_they_are_in_pytorch() {
    let done = compare(&["published", "1"], honest);
    println!("{} networks, not compared: {:?}", done.networks, done.left_out);
    assert!(done.failures.is_empty(), "{}", done.report());
    assert!(done.networks >= 50);
}

#[test]
fn networks_that_went_wrong_once_are_right() {
    let folder = root().join("tests/corpus/networks");
    let done = compare(&["corpus", text(&folder)], honest);
    assert!(done.failures.is_empty(), "{}", done.report());
    assert_eq!(done.networks, 2 * std::fs::read_dir(folder).unwrap().count());
}
