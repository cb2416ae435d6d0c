//! Calibration and sweeps with the built program: the same rows as single evaluations, and the same rows again after
//! kills, in parts, and on other machines' terms.
#![cfg(feature = "libtorch")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{TIMES, column, fails, polyact_succeeds, reproducible, rows, text, weights};
use polyact::report::COLUMNS;

/// The models and axes of most tests: eight rows.
fn grid() -> Vec<String> {
    let (vgg, resnet) = (weights("vgg-fashion.pt"), weights("resnet20-fashion.pt"));
    let all =
        ["--model", text(&vgg), text(&resnet), "--relu", "paper:7", "exact", "--maxpool", "paper:10", "--relu-range"];
    let rest = ["9", "16", "--maxpool-range", "16", "--first", "400", "--batch", "20", "--quiet"];
    all.into_iter().chain(rest).map(str::to_owned).collect()
}

fn sweep(grid: &[String], more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|&word| word.to_owned());
    std::iter::once("sweep".to_owned()).chain(grid.iter().cloned()).chain(more).collect()
}

fn run(arguments: &[String]) -> String {
    polyact_succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A row of a sweep as a single evaluation writes it.
fn single(mut row: Vec<String>) -> Vec<String> {
    row[COLUMNS.iter().position(|&name| name == "sweep").unwrap()].clear();
    row
}

/// The rows without the columns that time has a say in. The batches are the same, so logits are too, to the last bit.
fn without_times(path: &Path) -> Vec<Vec<String>> {
    let keep = |row: Vec<String>| {
        let columns = COLUMNS.iter().zip(row);
        columns.filter(|(name, _)| !TIMES.contains(name)).map(|(_, value)| value).collect()
    };
    rows(path).into_iter().map(keep).collect()
}

#[test]
fn a_row_of_a_sweep_is_the_row_of_a_single_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let (swept, evaluated) = (folder.path().join("swept.csv"), folder.path().join("single.csv"));
    run(&sweep(&grid(), &["--out", text(&swept)]));
    let swept = rows(&swept);
    assert_eq!(swept.len(), 8);
    let vgg = weights("vgg-fashion.pt");
    polyact_succeeds(&[
        "eval",
        "--model",
        text(&vgg),
        "--relu",
        "paper:7",
        "--maxpool",
        "paper:10",
        "--relu-range",
        "16",
        "--maxpool-range",
        "16",
        "--first",
        "400",
        "--batch",
        "20",
        "--quiet",
        "--out",
        text(&evaluated),
    ]);
    assert!(column(&swept[1], "sweep").ends_with(":2/8"), "{swept:?}");
    let expected = single(swept[1].clone());
    let evaluated = rows(&evaluated);
    assert_eq!(reproducible(&expected), reproducible(&evaluated[0]));
    assert_eq!(column(&expected, "max_logit_error"), column(&evaluated[0], "max_logit_error"));
}

/// Whatever the batch, the threads and what else is evaluated: a row rests on the same images.
#[test]
fn a_run_stops_after_the_same_images_in_any_company() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (vgg, predictions) = (weights("vgg-fashion.pt"), path("predictions.csv"));
    let common = ["--model", text(&vgg), "--relu-range", "16", "--until", "3", "--limit", "1200", "--quiet", "--out"];
    let sweep = |out: &Path, more: &[&str]| {
        polyact_succeeds(&[&["sweep", "--relu", "paper:9", "paper:12"], &common[..], &[text(out)], more].concat());
        rows(out).into_iter().map(|row| reproducible(&single(row))).collect::<Vec<_>>()
    };
    let swept = sweep(&path("a.csv"), &[]);
    assert_eq!(sweep(&path("b.csv"), &["--batch", "7", "--threads", "1"]), swept);
    assert_eq!(sweep(&path("c.csv"), &["--device", "cpu,cpu"]).len(), 2);
    let images = |row: &[String]| column(row, "images").parse::<usize>().unwrap();
    let all = rows(&path("a.csv"));
    assert!(images(&all[1]) < images(&all[0]) && images(&all[1]) < 1200, "{all:?}");
    for (at, name) in ["available", "images"].into_iter().enumerate() {
        let of_devices = column(&rows(&path("c.csv"))[1], name);
        assert_eq!(of_devices, column(&all[1], name), "{at}");
    }
    let out = path("single.csv");
    let alone = ["eval", "--relu", "paper:12", "--predictions", text(&predictions)];
    let told = polyact_succeeds(&[&alone, &common[..], &[text(&out)]].concat());
    let expected = single(all[1].clone());
    assert_eq!(reproducible(&rows(&out)[0]), reproducible(&expected));
    assert!(told.contains(&format!("stopped after {} of 1200 images", images(&expected))), "{told}");
    assert_eq!(std::fs::read_to_string(&predictions).unwrap().lines().count(), 1 + images(&expected));
    let number = |name| column(&expected, name).parse::<f64>().unwrap();
    assert!(number("top1_diff_high") - number("top1_diff_low") <= 3.0);
    assert!((number("top1_diff_low")..=number("top1_diff_high")).contains(&number("top1_diff")));
}

#[test]
fn a_sweep_that_is_killed_again_and_again_ends_in_the_same_rows() {
    ends_in_the_same_rows(&[]);
}

/// Rows that end where their accuracy is known are killed before, there, and behind.
#[test]
fn so_does_one_whose_rows_stop_by_themselves() {
    ends_in_the_same_rows(&["--until", "1.5"]);
}

fn ends_in_the_same_rows(more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole.csv"), folder.path().join("killed.csv"));
    let grid = || [grid(), more.iter().map(|&word| word.to_owned()).collect()].concat();
    run(&sweep(&grid(), &["--out", text(&whole)]));
    if !more.is_empty() {
        let stopped = rows(&whole).iter().filter(|row| column(row, "images") != column(row, "available")).count();
        assert!(stopped > 0 && stopped < 8, "{stopped} of 8 rows stopped early");
    }
    let journal = folder.path().join("killed.csv.journal");
    let progress = || std::fs::metadata(&journal).map_or(0, |metadata| metadata.len());
    let mut kills = 0;
    // Each run goes on where the one before was killed: at any moment after it has got a little further.
    for attempt in 0u64.. {
        let before = progress();
        let mut child = Command::new(env!("CARGO_BIN_EXE_polyact"))
            .args(sweep(&grid(), &["--out", text(&killed), "--resume"]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = |child: &mut std::process::Child| child.try_wait().unwrap().is_none();
        while running(&mut child) && progress() <= before {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(attempt * 67 % 200));
        if !running(&mut child) {
            assert!(child.wait().unwrap().success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        let content = std::fs::read_to_string(&killed).unwrap();
        assert!(content.is_empty() || content.ends_with('\n'), "a row is there whole or not at all");
    }
    assert!(kills > 2, "the runs were too short to be killed");
    assert_eq!(without_times(&killed), without_times(&whole));
    assert!(!folder.path().join("killed.csv.journal").exists());
}

#[test]
fn shards_are_the_rows_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    run(&sweep(&grid(), &["--out", text(&path("whole.csv"))]));
    let mut parts = Vec::new();
    for part in ["1", "2", "3"] {
        let (out, shard) = (path(&format!("{part}.csv")), format!("{part}/3"));
        run(&sweep(&grid(), &["--out", text(&out), "--shard", &shard]));
        parts.extend(without_times(&out));
    }
    assert_eq!(parts, without_times(&path("whole.csv")));
}

#[test]
fn what_changed_under_an_interrupted_sweep_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("r.csv");
    let journal = folder.path().join("r.csv.journal");
    let arguments = |grid: &[String], more: &[&str]| sweep(grid, &[&["--out", text(&out)], more].concat());
    let refused = |arguments: &[String], code: i32, part: &str| {
        fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code, part);
    };
    // Killed after its first batches.
    let mut child = Command::new(env!("CARGO_BIN_EXE_polyact")).args(arguments(&grid(), &[])).spawn().unwrap();
    let lines = || std::fs::read_to_string(&journal).unwrap_or_default().lines().count();
    while lines() < 3 {
        assert!(child.try_wait().unwrap().is_none(), "the sweep ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    // It stands still while another one tries, and so is killed in its first model on any machine.
    assert!(Command::new("kill").args(["-STOP", &child.id().to_string()]).status().unwrap().success());
    refused(&arguments(&grid(), &["--resume"]), 1, "another run is writing it");
    child.kill().unwrap();
    child.wait().unwrap();

    refused(&arguments(&grid(), &[]), 1, "--resume goes on with it");
    let mut other = grid();
    *other.iter_mut().find(|word| *word == "9").unwrap() = "10".to_owned();
    refused(&arguments(&other, &["--resume"]), 1, "belongs to another sweep");
    // The journal's digest of the first image is no longer that of the data.
    let text = std::fs::read_to_string(&journal).unwrap();
    let at = text.find("\"images\":[[[").unwrap() + "\"images\":[[[".len();
    let digits = text[at..].find(',').unwrap();
    let changed = if &text[at..at + digits] == "1" { "2" } else { "1" };
    std::fs::write(&journal, format!("{}{changed}{}", &text[..at], &text[at + digits..])).unwrap();
    refused(&arguments(&grid(), &["--resume"]), 1, "image 0 is no longer what it was");
    std::fs::write(&journal, text).unwrap();
    run(&arguments(&grid(), &["--resume"]));
    assert_eq!(rows(&out).len(), 8);
    refused(&arguments(&grid(), &[]), 2, "--resume adds the others");
    assert!(run(&arguments(&grid(), &["--resume"])).contains("8 rows of this sweep were in"));
}

/// A batch that was refused is not behind the sweep.
#[test]
fn overflow_that_stops_a_sweep_stops_it_again_on_resume() {
    let folder = tempfile::tempdir().unwrap();
    let (vgg, out) = (weights("vgg-fashion.pt"), folder.path().join("r.csv"));
    let common = ["sweep", "--model", text(&vgg), "--relu-range", "4", "--first", "400", "--batch", "20", "--quiet"];
    let arguments = [&common, ["--on-overflow", "error", "--resume", "--out", text(&out)].as_slice()].concat();
    for _ in 0..2 {
        let output = common::polyact(&arguments);
        assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(rows(&out).is_empty());
}

#[test]
fn a_dry_run_shows_the_grid_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweep.toml");
    let vgg = weights("vgg-fashion.pt");
    let content = format!(
        "model = ['{}']\nrelu = ['paper:7', 'paper:9']\nrelu_range = [9, 16, 32]\nlimit = 64\nbatch = 20\n",
        text(&vgg)
    );
    std::fs::write(&file, content).unwrap();
    let shown = polyact_succeeds(&["sweep", "--config", text(&file), "--dry-run", "--shard", "2/2"]);
    assert!(shown.contains("3 of 6 rows on 64 images"), "{shown}");
    let several = ["--dry-run", "--device", "cpu,cpu"];
    let shown = polyact_succeeds(&[&["sweep", "--config", text(&file)], &several[..]].concat());
    assert!(shown.contains("6 of 6 rows on 64 images"), "{shown}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    fails(&["sweep", "--config", text(&file), "--relu", "exact", "--dry-run"], 2, "--relu");
    fails(&["sweep", "--config", text(&file), "--shard", "3/2", "--dry-run"], 2, "i from 1 to n");
    fails(&["sweep", "--model", text(&vgg), "--out", "/no/such/r.csv", "--relu-range", "9"], 1, "/no/such/r.csv");
    fails(&["sweep", "--model", text(&vgg), "--dry-run"], 2, "--relu-range is needed");
}

/// Calibrate `model` and return the ranges file.
fn calibrated(folder: &Path, more: &[&str]) -> PathBuf {
    let (vgg, out) = (weights("vgg-fashion.pt"), folder.join("ranges.csv"));
    let common = ["calibrate", "--model", text(&vgg), "--quiet", "--out", text(&out)];
    polyact_succeeds(&[&common, more].concat());
    out
}

#[test]
fn calibrated_ranges_hold_the_images_they_were_measured_on_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let ranges = calibrated(folder.path(), &["--limit", "300", "--margin", "0.01"]);
    let vgg = weights("vgg-fashion.pt");
    let eval = |ranges: &Path| {
        let argument = format!("file:{}", text(ranges));
        let common = ["eval", "--model", text(&vgg), "--relu-range", &argument, "--limit", "300", "--json"];
        let output = common::polyact(&common);
        let stderr = String::from_utf8(output.stderr).unwrap();
        (serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(), stderr)
    };
    let (row, stderr) = eval(&ranges);
    assert_eq!(row["overflow_values"], 0, "{row}");
    assert!(stderr.contains("measured on 300 of these 300 images"), "{stderr}");
    // A hundredth less than what was measured: some value is outside now.
    let tight = folder.path().join("tight.csv");
    let lines = rows(&ranges);
    let shrunk = lines.iter().map(|line| format!("{},{}\n", line[0], 0.98 * line[2].parse::<f64>().unwrap()));
    std::fs::write(&tight, format!("site,range\n{}", shrunk.collect::<String>())).unwrap();
    let (row, stderr) = eval(&tight);
    assert!(row["overflow_values"].as_u64() > Some(0), "{row}");
    assert!(stderr.is_empty(), "an edited copy has no list of images: {stderr}");
}

#[test]
fn the_images_kept_apart_are_not_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let ranges = format!("file:{}", text(&calibrated(folder.path(), &["--holdout", "500", "--seed", "7"])));
    let vgg = weights("vgg-fashion.pt");
    let eval = |seed: &str| {
        let out = folder.path().join(format!("{seed}.csv"));
        let common = ["eval", "--model", text(&vgg), "--relu-range", &ranges, "--holdout", "500", "--limit", "800"];
        let output = common::polyact(&[&common, ["--seed", seed, "--out", text(&out)].as_slice()].concat());
        assert!(output.status.success());
        (rows(&out), String::from_utf8(output.stderr).unwrap())
    };
    let (apart, stderr) = eval("7");
    assert!(stderr.is_empty(), "{stderr}");
    assert_eq!(column(&apart[0], "images"), "800");
    assert!(eval("8").1.contains("the ranges were measured on"), "another seed evaluates some of them");
}

#[test]
fn calibration_writes_what_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let [json, plan, plot] = ["r.json", "plan.toml", "r.svg"].map(|name| folder.path().join(name));
    let ranges = calibrated(
        folder.path(),
        &[
            "--limit",
            "200",
            "--round-up",
            "0.5",
            "--json",
            text(&json),
            "--plan-out",
            text(&plan),
            "--plot",
            text(&plot),
        ],
    );
    let measured: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let lines = rows(&ranges);
    assert_eq!(measured["sites"].as_array().unwrap().len(), lines.len());
    for line in &lines {
        let (range, largest): (f64, f64) = (line[2].parse().unwrap(), line[6].parse().unwrap());
        assert!(range >= largest && range < largest + 0.5 && (range * 2.0).fract() == 0.0, "{line:?}");
    }
    let svg = std::fs::read_to_string(&plot).unwrap();
    assert_eq!(svg.matches("class=\"mark\"").count(), 4 * lines.len());
    assert!(lines.iter().all(|line| svg.contains(&format!("aria-label=\"{}\"", line[0]))));
    assert!(measured["relu_vr"].as_str().unwrap().starts_with("/features/features.2/Relu="), "{measured}");
    let vgg = weights("vgg-fashion.pt");
    let max_error = |more: &[&str]| {
        let common = ["eval", "--model", text(&vgg), "--limit", "100", "--json", "--quiet"];
        let row: serde_json::Value = serde_json::from_str(&polyact_succeeds(&[&common, more].concat())).unwrap();
        row["max_logit_error"].as_f64().unwrap()
    };
    let file = format!("file:{}", text(&ranges));
    assert_eq!(max_error(&["--plan", text(&plan)]), max_error(&["--relu-range", &file]));
    fails(&["calibrate", "--model", text(&vgg), "--out", "/no/such/r.csv"], 1, "/no/such/r.csv");
    fails(&["calibrate", "--model", text(&vgg), "--out", text(&ranges), "--plot", "r.pdf"], 2, ".svg or .png");
    fails(&["calibrate", "--model", text(&vgg), "--out", text(&ranges), "--margin", "-1"], 2, "--margin");
    fails(&["calibrate", "--model", text(&vgg), "--out", text(&ranges), "--holdout", "10000"], 2, "--holdout 10000");
}
