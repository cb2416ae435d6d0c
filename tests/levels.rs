//! `polyact cost` and `polyact plan`, and the bootstrappings of rows.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;

use common::{polyact, polyact_succeeds, root, text};
use serde_json::Value;

const RESNET: &str = "weights/resnet20-fashion.pt";
const VGG: &str = "weights/vgg-fashion.pt";

fn in_root() {
    std::env::set_current_dir(root()).unwrap();
}

fn cost(model: &str, options: &[&str]) -> Value {
    let mut arguments = vec!["cost", "--model", model, "--relu-range", "16", "--json"];
    arguments.extend(options);
    serde_json::from_str(&polyact_succeeds(&arguments)).unwrap()
}

/// The bundled ResNet-20 has the operations of the published one, so that its counts are those of FHE-MP-CNN and of AutoFHE's rule:
/// 18 for depth 14, and 8, 9 and 14 for depths 3, 6 and 7.
#[test]
fn the_bundled_network_takes_the_published_numbers_of_bootstrappings() {
    in_root();
    for (relu, expected) in [("paper:13", 18), ("leastsq:7", 8), ("leastsq:63", 9), ("leastsq:127", 14)] {
        let cost = cost(RESNET, &["--relu", relu, "--ckks", "autofhe"]);
        assert_eq!(cost["bootstraps_when_needed"], expected, "{relu}");
        assert!(cost["bootstraps"].as_u64().unwrap() <= expected, "{relu}");
        let operations = cost["operations"].as_array().unwrap();
        let bootstrapped = operations.iter().filter(|row| row["bootstrapped"] == true).count() as u64;
        let inside: u64 = operations.iter().map(|row| row["inside"].as_u64().unwrap()).sum();
        assert_eq!(cost["bootstraps"], bootstrapped + inside);
        assert!(operations.iter().all(|row| row["left"].as_u64().unwrap() <= 16));
        assert_eq!(operations.iter().filter(|row| row["operation"] == "site").count(), 19);
    }
    // A tournament of max of 28 levels is cut, which no rule does that waits.
    let pools = cost(VGG, &["--relu", "paper:13", "--ckks", "autofhe"]);
    assert!(pools["bootstraps_when_needed"].is_null() && pools["bootstraps"].as_u64().unwrap() > 7, "{pools}");
}

/// log2 of Q·P as the set's name has it, in a ring that is large enough but for what no table says of its secret.
#[test]
fn the_modulus_asks_for_a_ring() {
    in_root();
    let lattigo = ["--relu", "leastsq:15", "--ckks", "lattigo:N16QP1546H192H32"];
    let modulus = &cost(RESNET, &lattigo)["modulus"];
    assert_eq!((&modulus["log_qp"], &modulus["log_p"]), (&1546.into(), &305.into()));
    assert_eq!((&modulus["ring_by_standard"], &modulus["sparse_secret"]), (&65536.into(), &192.into()));
    let shorter = cost(RESNET, &["--relu", "leastsq:15", "--ckks", "lattigo:N16QP1546H192H32,levels=6"]);
    assert_eq!(shorter["modulus"]["log_qp"], 1546 - 3 * 40);
    assert!(cost(RESNET, &["--relu", "leastsq:15", "--ckks", "autofhe"])["modulus"].is_null());
    let arguments = [&["cost", "--model", RESNET, "--relu-range", "16"][..], &lattigo].concat();
    let told = polyact_succeeds(&arguments);
    assert!(told.contains("log Q 1241 + log P 305 = 1546 bits") && told.contains("192 non-zero"), "{told}");
}

/// Orion's fit is 25.44 s for a bootstrapping to 10 levels, ANT-ACE's table 34.556 s.
#[test]
fn times_are_estimated_by_the_table_that_is_named() {
    in_root();
    let of = |ckks: &str| cost(RESNET, &["--relu", "leastsq:31", "--ckks", ckks]);
    for (ckks, seconds, has_products) in [("orion", 25.44, false), ("orion,times=ant-ace", 34.556, true)] {
        let cost = of(ckks);
        let (times, bootstraps) = (&cost["estimated_seconds"], cost["bootstraps"].as_f64().unwrap());
        assert!((times["bootstrapping"].as_f64().unwrap() - bootstraps * seconds).abs() < 0.01 * bootstraps, "{times}");
        assert_eq!(times["products"].is_f64(), has_products, "{times}");
        // Between those of products at level 1 and at level 10, 0.074 and 0.193 s.
        let each = times["products"].as_f64().map(|all| all / cost["total_mults"].as_f64().unwrap());
        assert!(each.is_none_or(|each| (0.074..0.193).contains(&each)), "{each:?}");
    }
    assert!(of("autofhe")["estimated_seconds"].is_null());
    let beyond = &of("levels=18,times=ant-ace")["estimated_seconds"];
    assert!(beyond["bootstrapping"].is_null() && beyond["source"].as_str().unwrap().contains("ANT-ACE"), "{beyond}");
}

/// The end of the output that docs/cost.md shows.
#[test]
fn quoted_output_of_cost_is_the_output() {
    in_root();
    let page = std::fs::read_to_string("docs/cost.md").unwrap();
    let blocks: Vec<&str> = page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 1);
    let (command, quoted) = blocks[0].split_once('\n').unwrap();
    let arguments: Vec<&str> = command.strip_prefix("$ polyact ").unwrap().split(' ').collect();
    let output = polyact_succeeds(&arguments);
    let (start, end) = quoted.split_once("…\n").unwrap();
    assert!(output.starts_with(start) && output.ends_with(end), "{quoted}\n{output}");
}

#[test]
fn levels_are_drawn_and_told_and_what_does_not_fit_is_named() {
    in_root();
    let folder = tempfile::tempdir().unwrap();
    let (plot, parameters) = (folder.path().join("levels.svg"), folder.path().join("own.toml"));
    let arguments = ["cost", "--model", RESNET, "--relu", "leastsq:31", "--relu-range", "16", "--ckks", "levels=12"];
    let told = polyact_succeeds(&[&arguments[..], &["--plot", text(&plot)]].concat());
    assert!(told.contains("bootstrappings  10, the fewest possible; 10 when each waits"), "{told}");
    assert!(std::fs::read_to_string(&plot).unwrap().contains("bootstrapped"));
    std::fs::write(&parameters, "levels = 12\nslots = 4096\n").unwrap();
    let own = format!("file:{}", text(&parameters));
    let wide = cost(RESNET, &["--relu", "leastsq:31", "--ckks", &own]);
    // 16 channels of 28x28 are more than 4,096 numbers.
    assert!(
        wide["bootstraps"].as_u64().unwrap() > 10 && wide["operations"][1]["ciphertexts"] == 4,
        "{}",
        wide["bootstraps"]
    );
    let refused = |ckks: &str| {
        String::from_utf8(
            polyact(&["cost", "--model", RESNET, "--relu", "leastsq:127", "--relu-range", "16", "--ckks", ckks]).stderr,
        )
        .unwrap()
    };
    let openfhe = cost(RESNET, &["--relu", "leastsq:16", "--ckks", "openfhe"]);
    let degree = &openfhe["degrees"][0];
    assert_eq!(
        ["degree", "levels", "largest", "largest_of_one_less"].map(|field| degree[field].as_u64().unwrap()),
        [16, 5, 27, 13]
    );
    assert!(refused("levels=6").contains("relu takes more than the 6 levels"), "{}", refused("levels=6"));
    assert!(refused("seal").contains("expected levels=16"), "{}", refused("seal"));
}

#[test]
fn rows_have_the_bootstrappings_of_their_parameter_set() {
    in_root();
    let row = |options: &[&str]| -> Value {
        let mut arguments = vec!["eval", "--model", RESNET, "--limit", "20", "--relu-range", "16", "--quiet", "--json"];
        arguments.extend(options);
        serde_json::from_str(&polyact_succeeds(&arguments)).unwrap()
    };
    let counted = row(&["--relu", "leastsq:63", "--bootstraps", "autofhe"]);
    assert_eq!((&counted["bootstraps"], &counted["parameters"]), (&9.into(), &"autofhe".into()));
    assert!(row(&["--relu", "leastsq:63"])["bootstraps"].is_null());
}

fn calibrated(folder: &Path, model: &str, weight: &str) -> String {
    let ranges = folder.join(format!("{weight}.csv"));
    let arguments = [
        "calibrate", "--model", model, "--holdout", "1000", "--limit", "1000", "--margin", "0.25", "--weight", weight,
        "--quiet",
    ];
    polyact_succeeds(&[&arguments[..], &["--out", text(&ranges)]].concat());
    format!("file:{}", text(&ranges))
}

/// A plan keeps its budget where it was chosen, costs less than what is the same everywhere, and gives the row that was promised; batches
/// and threads decide nothing.
#[test]
fn a_plan_keeps_its_budget_at_the_least_cost() {
    in_root();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    let ranges = calibrated(folder.path(), RESNET, "margin");
    let plan = |out: &str, more: &[&str]| {
        let front = path(&format!("{out}.csv"));
        let out = path(out);
        let mut arguments = vec![
            "plan", "--model", RESNET, "--holdout", "1000", "--limit", "1000", "--relu-range", &ranges, "--ckks",
            "autofhe",
        ];
        // Without the highest degree and the compositions, which take most of the time of fitting.
        let degrees =
            ["fitted:3/channel", "fitted:7/channel", "fitted:15/channel", "fitted:31/channel", "fitted:63/channel"];
        arguments.extend(degrees.iter().flat_map(|spec| ["--candidate", spec]));
        arguments.extend(["--max-loss", "0.3", "--swaps", "12", "--out", &out, "--front", &front, "--quiet"]);
        arguments.extend(more);
        let told = polyact_succeeds(&arguments);
        (told, std::fs::read_to_string(&out).unwrap(), std::fs::read_to_string(&front).unwrap())
    };
    let more = ["--plot", &path("front.svg"), "--ablation", &path("levers.csv"), "--random-plans", "12"];
    let (told, first, front) = plan("plan.toml", &more);
    let rows: Vec<Vec<&str>> = front.lines().skip(1).map(|line| line.split(',').rev().collect()).collect();
    // From the end: images out of range, difference, agreement, the predicted one, products, sum of depths, depth, bootstrappings.
    let number = |row: &[&str], at: usize| row[at].parse::<f64>().unwrap();
    let kept = |row: &&Vec<&str>| number(row, 1) >= -0.3;
    let of = |kind: &str| rows.iter().filter(|row| row.last() == Some(&kind)).collect::<Vec<_>>();
    let cheapest =
        |kind: &str| of(kind).into_iter().filter(kept).map(|row| number(row, 7)).fold(f64::INFINITY, f64::min);
    assert!(cheapest("plan") < cheapest("uniform") && cheapest("plan") <= 8.0, "{front}");
    assert!(of("plan").iter().all(|row| (number(row, 3) - number(row, 2)).abs() < 25.0), "{front}");
    assert!(told.contains("the least bootstrappings within the budget"), "{told}");
    // Swaps begin at the plan below the cheapest that keeps the budget, and never end above it.
    let swaps = of("swap");
    assert!((1..=12).contains(&swaps.len()) && swaps.iter().all(|row| number(row, 7) < cheapest("plan")), "{front}");
    assert!(told.contains(&format!("{} swaps that were measured", swaps.len())), "{told}");
    // A swap that keeps the budget without agreeing more than the plan it begins at is one by chance.
    let least = if told.contains("the last row is one of") { cheapest("swap") } else { cheapest("plan") };
    // Random plans spread over what is predicted, and are measured in much the same order.
    let predicted: Vec<f64> = of("random").into_iter().map(|row| number(row, 3)).collect();
    assert!(predicted.len() == 12 && predicted.windows(2).all(|pair| pair[0] > pair[1]), "{predicted:?}");
    assert!(100.0 - predicted[11] > 3.0 * (100.0 - predicted[0]), "{predicted:?}");
    let (_, correlation) = told.split_once("agreement over 12 random plans: ").unwrap();
    assert!(correlation.split_once('\n').unwrap().0.parse::<f64>().unwrap() > 0.8, "{told}");
    let figure = std::fs::read_to_string(path("front.svg")).unwrap();
    assert!(["the same everywhere", "as predicted", "with swaps"].iter().all(|said| figure.contains(said)));
    let levers = std::fs::read_to_string(path("levers.csv")).unwrap();
    let kinds: Vec<&str> = levers.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(
        kinds,
        ["all levers", "without gradients", "without channels", "without swaps", "without choice"],
        "{levers}"
    );
    let (_, again, _) = plan("again.toml", &["--batch", "37", "--threads", "1"]);
    assert_eq!(first, again);
    let row: Value = serde_json::from_str(&polyact_succeeds(&[
        "eval",
        "--model",
        RESNET,
        "--holdout",
        "1000",
        "--limit",
        "1000",
        "--relu",
        "exact",
        "--relu-range",
        &ranges,
        "--plan",
        &path("plan.toml"),
        "--bootstraps",
        "autofhe",
        "--quiet",
        "--json",
    ]))
    .unwrap();
    let promised = format!("top-1 {:.3} %", row["top1"].as_f64().unwrap());
    assert!(told.contains(&promised) && row["bootstraps"].as_f64() == Some(least), "{told} {row}");
    assert!(row["top1_diff"].as_f64().unwrap() > -1.5, "{row}");
}

#[test]
fn what_a_plan_lacks_is_told_with_what_to_do() {
    in_root();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("plan.toml");
    let refused = |ranges: &str, more: &[&str]| {
        let mut arguments = vec![
            "plan",
            "--model",
            RESNET,
            "--relu-range",
            ranges,
            "--ckks",
            "autofhe",
            "--out",
            text(&out),
            "--quiet",
        ];
        arguments.extend(more);
        let output = polyact(&arguments);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let plain = calibrated(folder.path(), RESNET, "inputs");
    let told = refused(&plain, &["--holdout", "1000", "--limit", "1000", "--max-loss", "1"]);
    assert!(told.contains("make it with `polyact calibrate --weight margin`"), "{told}");
    assert!(refused(&plain, &["--max-loss", "1"]).contains("--holdout is needed"));
    assert!(refused(&plain, &["--holdout", "1000"]).contains("--max-loss"));
    let weighted = calibrated(folder.path(), RESNET, "margin");
    let told = refused(
        &weighted,
        &["--holdout", "1000", "--limit", "1000", "--min-agreement", "100", "--candidate", "fitted:7"],
    );
    assert!(told.contains("no plan of these candidates has an agreement of at least 100 %; the nearest is"), "{told}");
}
