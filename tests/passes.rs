//! Passes that have something in common are made together, and each gives what it gives alone.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{TIMES, devices, polyact_succeeds, rows, text, together, weights};
use polyact::activation::{Activation, Interval, Spec};
use polyact::model::{Model, Sites};
use polyact::report::COLUMNS;
use tch::{Device, Kind, Tensor};

fn paper(alpha: u32) -> Activation {
    Activation::design(&Spec::Paper { alpha }).unwrap().unwrap()
}

/// Six images of noise.
fn images(device: Device) -> Tensor {
    tch::manual_seed(7);
    Tensor::randn([6, 1, 28, 28], (Kind::Float, Device::Cpu)).to_device(device)
}

#[test]
fn passes_made_together_give_what_each_gives_alone() {
    for device in devices() {
        for name in ["resnet20-fashion.pt", "vgg-fashion.pt"] {
            let model = Model::load(&weights(name), device).unwrap();
            let work = together::compare(&model, &images(device), &paper(7)).unwrap();
            assert!(3 * work.together < 2 * work.alone, "{name}: {work:?}");
        }
    }
}

/// With kernels of oneDNN that add a residual in another order than an addition of its own does.
#[test]
fn they_do_with_other_kernels_of_onednn() {
    let status = Command::new(std::env::current_exe().unwrap())
        .env("ONEDNN_MAX_CPU_ISA", "SSE41")
        .args(["--exact", "passes_made_together_give_what_each_gives_alone"])
        .status();
    assert!(status.unwrap().success());
}

/// The exact network, and each site of 19 replaced in turn: 19 sites in the exact pass, 19 where the first is replaced, and
/// 18 + 17 + … + 1 behind the others. Twice, since a pass leaves nothing behind.
#[test]
fn no_site_is_computed_twice_for_the_same_values() {
    for device in devices() {
        let model = Model::load(&weights("resnet20-fashion.pt"), device).unwrap();
        let (images, sign) = (images(device), paper(7));
        let one = |replaced: usize| (0..19).map(move |site| (site == replaced).then_some(16.0));
        let choices =
            |replaced: usize| one(replaced).map(|range| range.map(|range| (&sign, Interval::symmetric(range))));
        let tables: Vec<Sites> = (0..19).map(|site| model.table(choices(site), false).unwrap()).collect();
        let exact = model.exact();
        let all: Vec<&Sites> = std::iter::once(&exact).chain(&tables).collect();
        let computed = || all.iter().map(|table| table.computed()).sum::<usize>();
        for pass in 1..=2 {
            assert_eq!(model.forward_all(&images, &all).unwrap().len(), 20);
            assert_eq!(computed(), pass * (19 + 19 + 18 * 19 / 2), "pass {pass} on {device:?}");
        }
    }
}

/// Observers count in ways of their own, and have nothing in common with anybody.
#[test]
fn tables_that_observe_run_alone() {
    let model = Model::load(&weights("vgg-fashion.pt"), Device::Cpu).unwrap();
    let (observed, again, exact) = (model.observed(&[1.0]), model.observed(&[2.0]), model.exact());
    let images = images(Device::Cpu);
    model.forward_all(&images, &[&exact, &observed, &again]).unwrap();
    let sites = model.sites().len();
    assert_eq!([&exact, &observed, &again].map(Sites::computed), [sites; 3]);
    let [low, high] = [&observed, &again].map(|table| table.take_statistics(0));
    assert_eq!((low.values, low.largest), (high.values, high.largest));
    assert!(low.above[0] > high.above[0]);
}

/// The rows without what time has a say in, and without the place in a sweep.
fn outcomes(path: &Path) -> Vec<Vec<String>> {
    let keep = |row: Vec<String>| {
        let columns = COLUMNS.iter().zip(row).filter(|(name, _)| !TIMES.contains(name) && **name != "sweep");
        columns.map(|(_, value)| value).collect()
    };
    rows(path).into_iter().map(keep).collect()
}

/// With the built program: plans that replace one site each, and overflow on the way.
#[test]
fn a_sweep_over_plans_gives_the_rows_of_single_evaluations() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let model = weights("resnet20-fashion.pt");
    let plans: Vec<_> = [0, 3, 9, 18].map(|site| path(&format!("plan-{site}.toml"))).into();
    for (plan, site) in plans.iter().zip([0, 3, 9, 18]) {
        let range = if site == 3 { 0.5 } else { 16.0 };
        let rule = format!("[[sites]]\nmatch = {site}\nactivation = \"paper:8\"\nrange = {range}\n");
        std::fs::write(plan, rule).unwrap();
    }
    let common = ["--model", text(&model), "--relu", "exact", "--first", "150", "--batch", "64", "--quiet"];
    let swept = path("swept.csv");
    let plan_words: Vec<&str> = plans.iter().map(|plan| text(plan)).collect();
    let words = [&["sweep"], &common[..], &["--out", text(&swept), "--plan"], &plan_words].concat();
    polyact_succeeds(&words);
    let single = path("single.csv");
    for plan in &plans {
        polyact_succeeds(&[&["eval"], &common[..], &["--out", text(&single), "--plan", text(plan)]].concat());
    }
    let (swept, single) = (outcomes(&swept), outcomes(&single));
    assert_eq!((swept.len(), &swept), (4, &single));
    let overflow = COLUMNS.iter().position(|&name| name == "overflow_images").unwrap();
    assert_eq!([0, 1, 2, 3].map(|row| swept[row][overflow] != "0"), [false, true, false, false], "{swept:?}");
}
