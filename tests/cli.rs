//! The built program as users and scripts drive it, on real files: results, reproducibility, and everything that can be
//! wrong with what it is given.
#![cfg(feature = "libtorch")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{column, fails, polyact, polyact_succeeds, python, reproducible, rows, text, weights};

/// A dataset of IDX files with a given header and content.
fn dataset(folder: &Path, sizes: &[u32], labels: &[u8]) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let idx = |sizes: &[u32], bytes: Vec<u8>| {
        let mut file = vec![0, 0, 8, sizes.len() as u8];
        sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
        file.extend(bytes);
        file
    };
    let count = sizes.iter().product::<u32>();
    fs::write(folder.join("x-images-idx3-ubyte"), idx(sizes, (0..count).map(|i| (i * 7) as u8).collect())).unwrap();
    fs::write(folder.join("x-labels-idx1-ubyte"), idx(&[labels.len() as u32], labels.to_vec())).unwrap();
    folder.to_owned()
}

#[test]
fn paper_14_keeps_the_bundled_models_and_paper_6_does_not() {
    for model in ["resnet20-fashion.pt", "vgg-fashion.pt"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("results.csv");
        for relu in ["paper:14", "paper:6"] {
            let model = weights(model);
            let common = ["eval", "--model", text(&model), "--relu-range", "16", "--quiet", "--out", text(&out)];
            polyact_succeeds(&[common.as_slice(), &["--relu", relu]].concat());
        }
        let rows = rows(&out);
        let number = |row: usize, name: &str| column(&rows[row], name).parse::<f64>().unwrap();
        assert!(number(0, "top1_exact") >= 92.0, "{model}");
        assert!(number(0, "top1_diff").abs() <= 0.1, "{model}: {:?}", rows[0]);
        assert!(number(0, "agreement") >= 99.5, "{model}: {:?}", rows[0]);
        assert_eq!(number(0, "overflow_values"), 0.0, "{model}");
        assert_eq!(number(0, "images"), 10_000.0);
        assert!(number(1, "agreement") < 95.0, "{model}: paper:6 must visibly fail: {:?}", rows[1]);
    }
}

#[test]
fn a_row_does_not_depend_on_batch_threads_or_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results.csv");
    for model in ["resnet20-fashion.pt", "vgg-fashion.pt"] {
        let model = weights(model);
        for (batch, threads) in [("64", "2"), ("64", "2"), ("1", "1"), ("256", "1"), ("256", "2"), ("7", "2")] {
            let arguments = ["--batch", batch, "--threads", threads, "--limit", "600", "--relu", "paper:9"];
            let common = ["eval", "--model", text(&model), "--relu-range", "16", "--quiet", "--out", text(&out)];
            polyact_succeeds(&[common.as_slice(), &arguments].concat());
        }
    }
    let rows = rows(&out);
    for rows in rows.chunks(6) {
        for row in rows {
            assert_eq!(reproducible(row), reproducible(&rows[0]));
        }
        // The same batch and threads give the same bits.
        assert_eq!(column(&rows[0], "max_logit_error"), column(&rows[1], "max_logit_error"));
    }
}

/// Every column is the same on AVX2 and AVX-512, the margins of all images included, as long as libtorch's own kernels are; the
/// portable form, which does not fuse multiplication and addition, may differ in what max_logit_error shows.
#[test]
fn a_row_does_not_depend_on_the_width_of_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let present: Vec<String> = polyact::activation::Isa::present().map(|isa| isa.to_string()).collect();
    let mut compared = 0;
    for (model, arithmetic) in [("resnet20-fashion.pt", "f64"), ("vgg-fashion.pt", "f64"), ("vgg-fashion.pt", "f32")] {
        let model = weights(model);
        let runs: Vec<(String, Vec<String>, String)> = present
            .iter()
            .map(|isa| {
                let out = folder.path().join("results.csv");
                let predictions = folder.path().join("predictions.csv");
                let _ = fs::remove_file(&out);
                let common = ["eval", "--model", text(&model), "--relu-range", "16", "--quiet", "--out", text(&out)];
                let more = ["--limit", "600", "--relu", "paper:9", "--arithmetic", arithmetic, "--instructions", isa];
                polyact_succeeds(&[&common[..], &more, &["--predictions", text(&predictions)]].concat());
                (isa.clone(), rows(&out).remove(0), fs::read_to_string(predictions).unwrap())
            })
            .collect();
        let (_, widest, margins) = runs.last().unwrap();
        for (isa, row, found) in &runs {
            assert_eq!(reproducible(row), reproducible(widest), "{isa}");
            let error = |row: &[String]| column(row, "max_logit_error").parse::<f64>().unwrap();
            if isa == "portable" {
                assert!((error(row) - error(widest)).abs() <= 2e-3 * error(widest), "{row:?}");
            } else {
                assert_eq!(error(row), error(widest), "{isa}");
                assert_eq!(found, margins, "{isa}");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 3 * present.len());
}

/// f32 on Chebyshev series has the accuracy of f64, holds degrees that f64 does not, and has a column that says so.
#[test]
fn activations_can_be_computed_in_f32() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results.csv");
    let eval = |model: &str, more: &[&str]| {
        let model = weights(model);
        let common = ["eval", "--model", text(&model), "--limit", "500", "--quiet"];
        polyact(&[common.as_slice(), more].concat())
    };
    for model in ["resnet20-fashion.pt", "vgg-fashion.pt"] {
        for more in [&["--arithmetic", "f32"][..], &[], &["--arithmetic", "f32", "--relu", "minimax:63,63"]] {
            let output = eval(model, &[&["--relu-range", "16", "--out", text(&out)], more].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let shown = String::from_utf8(output.stdout).unwrap();
            assert_eq!(shown.contains(" in f32 on [-16,16]"), !more.is_empty(), "{shown}");
        }
    }
    for rows in rows(&out).chunks(3) {
        let arithmetic: Vec<String> = rows.iter().map(|row| column(row, "arithmetic")).collect();
        assert_eq!(arithmetic, ["f32", "f64", "f32"]);
        let number = |row: usize, name: &str| column(&rows[row], name).parse::<f64>().unwrap();
        assert!(number(0, "agreement") >= 99.5 && number(2, "agreement") >= 99.0, "{rows:?}");
        assert!((number(0, "top1") - number(1, "top1")).abs() <= 0.2, "{rows:?}");
        let errors = [0, 1].map(|row| number(row, "max_logit_error"));
        assert!((errors[0] / errors[1] - 1.0).abs() <= 0.1, "that of the approximation outweighs it: {errors:?}");
    }
    let unresolved = ["--arithmetic", "f32", "--relu-range", "16", "--relu", "minimax:63,63,63,63@1e-7"];
    let output = eval("vgg-fashion.pt", &unresolved);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let part = "f32 does not resolve what so small an epsilon asks for";
    assert!(!output.status.success() && stderr.contains(part) && stderr.lines().count() == 1, "{stderr}");
    let output = eval("vgg-fashion.pt", &["--arithmetic", "f16"]);
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("expected f64 or f32"));
}

/// Networks that were trained with ReLU do not survive most single polynomials, and a good fit of high degree keeps some.
#[test]
fn single_polynomials_stand_in_for_relu_and_max() {
    let resnet = weights("resnet20-fashion.pt");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results.csv");
    let common =
        ["eval", "--model", text(&resnet), "--limit", "256", "--relu-range", "16", "--quiet", "--out", text(&out)];
    for relu in ["square", "aq", "chebyshev:27", "leastsq:27", "leastsq:127"] {
        polyact_succeeds(&[common.as_slice(), &["--relu", relu]].concat());
    }
    let rows = rows(&out);
    let of = |name: &str| rows.iter().map(|row| column(row, name)).collect::<Vec<String>>();
    assert_eq!(of("relu"), ["square", "aq", "chebyshev:27", "leastsq:27", "leastsq:127"]);
    assert_eq!(of("depth"), ["1", "2", "5", "5", "7"]);
    let agreement: Vec<f64> = of("agreement").iter().map(|value| value.parse().unwrap()).collect();
    assert!(agreement[0] < 50.0 && agreement[4] > agreement[2], "{agreement:?}");

    let vgg = weights("vgg-fashion.pt");
    let vgg = ["eval", "--model", text(&vgg), "--relu-range", "16", "--relu", "chebyshev:27", "--limit", "256"];
    fails(&[vgg.as_slice(), &["--maxpool", "square"]].concat(), 2, "square and aq are no max; leave max-pools exact");
    let table = polyact_succeeds(&vgg);
    assert!(table.contains("4 maxpool as chebyshev:27 on [-16,16], depth 10"), "{table}");
    let table = polyact_succeeds(&[vgg.as_slice(), &["--maxpool", "exact"]].concat());
    assert!(
        table.contains("7 relu as chebyshev:27 on [-16,16], depth 5") && table.contains("4 maxpool exact"),
        "{table}"
    );
    fails(&["eval", "--model", vgg[2], "--relu", "leastsq:128"], 2, "from 1 to 127");
}

#[test]
fn values_outside_the_range_are_told_with_site_and_image() {
    let vgg = weights("vgg-fashion.pt");
    let arguments = ["eval", "--model", text(&vgg), "--relu-range", "2", "--limit", "100"];
    let table = polyact_succeeds(&arguments);
    assert!(table.contains("left their range") && table.contains("features.2"), "{table}");
    let json = polyact_succeeds(&[arguments.as_slice(), &["--json"]].concat());
    let row: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(row["overflow_values"].as_u64() > Some(0) && row["overflow_images"].as_u64() > Some(0), "{json}");
    assert!(row["overflow_site"].as_str().unwrap().starts_with("features."), "{json}");
}

#[test]
fn overflow_can_stop_the_run_or_be_clipped() {
    let folder = tempfile::tempdir().unwrap();
    let (vgg, report) = (weights("vgg-fashion.pt"), folder.path().join("overflow.csv"));
    let common = ["eval", "--model", text(&vgg), "--relu-range", "4", "--first", "300", "--quiet"];
    // A range of 4 is a little too small for a few images.
    let counted = polyact_succeeds(&[&common, ["--json", "--overflow-report", text(&report)].as_slice()].concat());
    let counted: serde_json::Value = serde_json::from_str(&counted).unwrap();
    assert!(counted["overflow_images"].as_u64() > Some(0));
    let lines = rows(&report);
    let images: Vec<usize> = lines.iter().map(|line| line[8].parse().unwrap()).collect();
    assert!(images.is_sorted_by(|a, b| a >= b), "{lines:?}");
    assert_eq!(lines[0][1], counted["overflow_site"].as_str().unwrap());
    let (worst, needed): (f64, f64) = (lines[0][10].parse().unwrap(), lines[0][11].parse().unwrap());
    assert!(needed >= worst && needed <= worst + 1e-4);

    let stopped = polyact(&[&common, ["--on-overflow", "error"].as_slice()].concat());
    assert_eq!(stopped.status.code(), Some(3));
    let message = String::from_utf8(stopped.stderr).unwrap();
    assert!(message.contains("features.") && message.contains("|x| = 4."), "{message}");

    let clipped = polyact_succeeds(&[&common, ["--on-overflow", "clip", "--json"].as_slice()].concat());
    let clipped: serde_json::Value = serde_json::from_str(&clipped).unwrap();
    assert_eq!(clipped["on_overflow"], "clip");
    assert!(clipped["overflow_values"].as_u64() > Some(0), "clipped values are counted");
    let error = |row: &serde_json::Value| row["max_logit_error"].as_f64().unwrap_or(f64::INFINITY);
    assert!(error(&clipped) < error(&counted), "{clipped} {counted}");
}

/// Two copies of the model side by side on the CPU stand for two devices.
#[test]
fn devices_share_the_images_and_give_the_row_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let vgg = weights("vgg-fashion.pt");
    for device in ["cpu", "cpu,cpu,cpu"] {
        let (out, predictions) = (path("r.csv"), path(&format!("{device}.csv")));
        polyact_succeeds(&[
            "eval",
            "--model",
            text(&vgg),
            "--relu-range",
            "16",
            "--limit",
            "1000",
            "--batch",
            "30",
            "--device",
            device,
            "--out",
            &out,
            "--predictions",
            &predictions,
            "--quiet",
        ]);
    }
    let rows = rows(Path::new(&path("r.csv")));
    assert_eq!(column(&rows[1], "device"), "cpu+cpu+cpu");
    let device = polyact::report::COLUMNS.iter().position(|&name| name == "device").unwrap();
    let mut alike = rows[1].clone();
    alike[device] = "cpu".to_owned();
    assert_eq!(reproducible(&alike), reproducible(&rows[0]));
    let [one, three] = ["cpu.csv", "cpu,cpu,cpu.csv"].map(|name| fs::read(path(name)).unwrap());
    assert_eq!(one, three, "predictions are in order");
}

#[test]
fn a_site_in_a_branch_that_is_not_taken_is_calibrated_as_not_reached() {
    let folder = tempfile::tempdir().unwrap();
    python("small_archives.py", &[text(folder.path())]);
    let [model, out] = ["Branches.pt", "ranges.csv"].map(|name| folder.path().join(name));
    let images = dataset(&folder.path().join("images"), &[4, 3, 12, 12], &[0, 1, 2, 3]);
    let common = ["--model", text(&model), "--dataset", text(&images), "--quiet"];
    let told = polyact_succeeds(&[&["calibrate", "--out", text(&out)], &common[..]].concat());
    let lines = rows(&out);
    assert_eq!(lines.len(), 2);
    let values = |line: &[String]| line[13].parse::<u64>().unwrap();
    let unreached = lines.iter().find(|line| values(line) == 0).unwrap();
    assert_eq!(lines.iter().map(|line| values(line)).max(), Some(4 * 6 * 12 * 12));
    assert!(told.contains(&format!("{}: not reached by any image", unreached[0])), "{told}");
    // What people copy from the text holds what was measured, as the file does.
    for line in &lines {
        let shown = told.lines().find(|shown| shown.split_whitespace().nth(1) == Some(&line[0]));
        assert_eq!(shown.and_then(|shown| shown.split_whitespace().last()), Some(line[2].as_str()), "{told}");
        assert!(values(line) == 0 || line[2].parse::<f64>().unwrap() >= line[6].parse().unwrap(), "{line:?}");
    }
    let range = format!("file:{}", text(&out));
    polyact_succeeds(&[&["eval", "--relu-range", &range], &common[..]].concat());
}

#[test]
fn plans_and_range_files_set_single_sites() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        fs::write(folder.path().join(name), content).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let vgg = weights("vgg-fashion.pt");
    let listing = polyact_succeeds(&["inspect", "--model", text(&vgg), "--json"]);
    let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
    let names: Vec<&str> = listing["sites"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    let lines: Vec<String> = names.iter().map(|name| format!("{name},16")).collect();
    let ranges = format!("file:{}", file("ranges.csv", &format!("site,range\n{}\n", lines.join("\n"))));
    let eval = |more: &[&str]| {
        let common = ["eval", "--model", text(&vgg), "--limit", "300", "--json", "--quiet"];
        let json = polyact_succeeds(&[&common, more].concat());
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    };
    let (one, many) = (eval(&["--relu-range", "16"]), eval(&["--relu-range", &ranges]));
    assert_eq!(one["max_logit_error"], many["max_logit_error"]);
    assert!(many["relu_range"].as_str().unwrap().starts_with("file:ranges.csv#"), "{many}");

    let all_exact = file("exact.toml", "[[sites]]\nmatch = '*'\nactivation = 'exact'\n");
    let exact = eval(&["--plan", &all_exact]);
    assert_eq!((exact["max_logit_error"].as_f64(), exact["depth"].as_u64()), (Some(0.0), None));
    let last = format!("[[sites]]\nmatch = '{}'\nrange = 0.001\n", names[names.len() - 1]);
    let narrow = eval(&["--relu-range", &ranges, "--plan", &file("narrow.toml", &last)]);
    assert_eq!(narrow["overflow_site"].as_str(), names.last().copied());
    assert!(narrow["plan"].as_str().unwrap().starts_with("file:narrow.toml#"));

    let eval = ["eval", "--model", text(&vgg), "--relu-range"];
    let short = format!("file:{}", file("short.csv", "site,range\nfeatures.2,3\n"));
    fails(&[&eval, [short.as_str()].as_slice()].concat(), 1, "no line for site features.5; it has features.2");
    let wrong = file("wrong.toml", "[[sites]]\nmatch = 'feature.2'\nrange = 3\n");
    fails(&[&eval, ["9", "--plan", &wrong].as_slice()].concat(), 1, "did you mean `features.2");
}

#[test]
fn exact_everywhere_changes_nothing() {
    let vgg = weights("vgg-fashion.pt");
    let json = polyact_succeeds(&["eval", "--model", text(&vgg), "--relu", "exact", "--limit", "200", "--json"]);
    let row: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(row["agreement"], 100.0);
    assert_eq!(row["max_logit_error"], 0.0);
    assert!(row["relu_range"].is_null() && row["depth"].is_null());
}

#[test]
fn plain_and_gzipped_and_named_files_are_the_same_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let source = common::root().join("datasets/fashion-mnist");
    let digest = |dataset: &Path| {
        let vgg = weights("vgg-fashion.pt");
        let common = ["eval", "--model", text(&vgg), "--relu", "exact", "--limit", "10", "--json"];
        let json = polyact_succeeds(&[common.as_slice(), &["--dataset", text(dataset)]].concat());
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["dataset_sha256"].as_str().unwrap().to_owned()
    };
    let expected = digest(Path::new("bundled"));
    assert_eq!(digest(&source), expected);
    for name in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        let packed = fs::read(source.join(format!("{name}.gz"))).unwrap();
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut plain).unwrap();
        fs::write(folder.path().join(name), plain).unwrap();
    }
    assert_eq!(digest(&folder.path().join("t10k-images-idx3-ubyte")), expected);
}

#[test]
fn bad_models_datasets_and_paths_end_in_one_line_and_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    python("small_archives.py", &[&path("")]);
    let vgg = weights("vgg-fashion.pt");
    let vgg = text(&vgg);
    let with_model =
        |model: &str| vec!["eval".to_owned(), "--model".into(), model.into(), "--relu-range".into(), "9".into()];
    let check = |arguments: Vec<String>, more: &[&str], part: &str| {
        let all: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        fails(&all, 1, part);
    };
    check(with_model(&path("missing.pt")), &[], "missing.pt cannot be opened");
    check(with_model(&path("truncated.pt")), &[], "truncated.pt is truncated or damaged");
    check(with_model(&path("state_dict.pt")), &[], "state_dict");
    check(
        with_model(&path("ConvolutionalOutput.pt")),
        &["--dataset", text(&dataset(&folder.path().join("rgb"), &[2, 3, 12, 12], &[0, 1]))],
        "[2, 6, 12, 12]",
    );

    let small = folder.path().join("small");
    let with_data = |labels: &[u8]| path_text(&dataset(&small, &[3, 28, 28], labels));
    check(
        with_model(vgg),
        &["--dataset", &with_data(&[0, 10, 1])],
        "image 1 has the label 10, but the model has 10 classes",
    );
    check(with_model(vgg), &["--dataset", &with_data(&[0, 1])], "2 labels for 3 images");
    check(with_model(vgg), &["--dataset", &path("nowhere")], "nowhere");
    fs::create_dir(path("hollow")).unwrap();
    check(with_model(vgg), &["--dataset", &path("hollow")], "no known layout");
    let gz = folder.path().join("gz");
    fs::create_dir(&gz).unwrap();
    let source = common::root().join("datasets/fashion-mnist");
    let whole = fs::read(source.join("t10k-images-idx3-ubyte.gz")).unwrap();
    fs::write(gz.join("t10k-images-idx3-ubyte.gz"), &whole[..whole.len() / 2]).unwrap();
    check(with_model(vgg), &["--dataset", &path("gz")], "its labels are missing");
    fs::copy(source.join("t10k-labels-idx1-ubyte.gz"), gz.join("t10k-labels-idx1-ubyte.gz")).unwrap();
    check(with_model(vgg), &["--dataset", &path("gz")], "gzip data are damaged or cut short");

    check(with_model(vgg), &["--out", &path("no/such/folder/results.csv")], "--out");
    fs::write(path("notes.csv"), "a,b\n1,2\n").unwrap();
    check(with_model(vgg), &["--out", &path("notes.csv")], "is no results file");
    fails(&["design", "--degrees", "3", "--out", &path("no/such/folder/d.json")], 1, "--out");
}

fn path_text(path: &Path) -> String {
    text(path).to_owned()
}

#[test]
fn bad_usage_is_told_with_what_is_allowed_and_code_2() {
    let folder = tempfile::tempdir().unwrap();
    python("small_archives.py", &[text(folder.path())]);
    let no_site = folder.path().join("NoSite.pt");
    let rgb = dataset(&folder.path().join("rgb"), &[2, 3, 12, 12], &[0, 1]);
    let vgg = weights("vgg-fashion.pt");
    let eval = ["eval", "--model", text(&vgg)];
    let with = |more: &[&'static str]| [eval.as_slice(), more].concat();
    fails(&with(&[]), 2, "--relu-range is needed");
    fails(&with(&["--relu", "exact", "--maxpool", "paper:14"]), 2, "--maxpool-range is needed");
    fails(&with(&["--relu", "tanh"]), 2, "`minimax:15,27,29`");
    fails(&with(&["--relu", "paper:15"]), 2, "4 to 14");
    fails(&with(&["--relu", "minimax:15,28"]), 2, "degree 28 is even");
    fails(&with(&["--relu", "minimax:15@2"]), 2, "epsilon");
    for range in ["0", "-3", "nan", "inf", "wide"] {
        let arguments = [eval.as_slice(), &["--relu-range", range]].concat();
        fails(&arguments, 2, "is no range");
    }
    fails(&with(&["--relu-range", "9", "--batch", "0"]), 2, "positive whole number");
    fails(&with(&["--relu-range", "9", "--limit", "-1"]), 2, "--limit");
    fails(&with(&["--relu-range", "9", "--device", "tpu"]), 2, "expected cpu, cuda or cuda:N");
    fails(&with(&["--relu-range", "9", "--std", "0"]), 2, "--std 0: expected a positive number");
    fails(&with(&["--relu-range", "9", "--mean", "1,2"]), 2, "--mean: 2 values for 1 channels");
    fails(&with(&["--relu-range", "9", "--input-size", "28x28"]), 2, "3x224x224");
    fails(
        &[with(&["--relu-range", "9"]).as_slice(), &["--dataset", text(&rgb)]].concat(),
        2,
        "the model takes 1x28x28",
    );
    let no_site = ["eval", "--model", text(&no_site), "--relu-range", "9", "--dataset", text(&rgb)];
    fails(&no_site, 2, "has no ReLU and no max-pool");
    fails(&["inspect", "--model", no_site[2], "--input-size", "1x12x12"], 1, "[1, 1, 12, 12]");
    fails(&["design"], 2, "--degrees");
    fails(&["design", "--degrees", "15,28"], 2, "degree 28 is even");
    fails(&["design", "--degrees", "15", "--epsilon", "1.5"], 2, "epsilon");
    fails(&["design", "--degrees", "15", "--precision", "1"], 2, "--precision");
    fails(&["design", "--alpha", "3"], 2, "4 to 14");
    let function = |name: &'static str, interval: &'static str| {
        vec!["design", "--degree", "5", "--function", name, "--interval", interval]
    };
    fails(&function("swish", "-8,8"), 2, "known are relu, sigmoid, silu");
    fails(&function("silu", "8"), 2, "two numbers such as -8,8");
    fails(&function("silu", "8,-8"), 2, "[8,-8] is no interval");
    fails(&function("step", "-8,8"), 2, "leave a gap there");
    fails(&function("relu", "0,8"), 2, "itself a polynomial");
    fails(&["design", "--function", "silu", "--interval", "-8,8"], 2, "--degree");
    fails(&["design", "--function", "silu", "--interval", "-8,8", "--degree", "128"], 2, "1..=127");
    fails(&[function("silu", "-8,8").as_slice(), &["--alpha", "14"]].concat(), 2, "cannot be used with");
    let union = ["--interval=9,10", "--method", "chebyshev"];
    fails(&[function("silu", "-8,8").as_slice(), &union].concat(), 2, "takes a single interval");
    if !tch::Cuda::is_available() {
        fails(&with(&["--relu-range", "9", "--device", "cuda"]), 2, "--device cuda:0");
    }
}

#[test]
fn rows_that_were_there_survive_a_run_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results.csv");
    let vgg = weights("vgg-fashion.pt");
    let good = ["eval", "--model", text(&vgg), "--relu-range", "20", "--limit", "20", "--quiet", "--out", text(&out)];
    polyact_succeeds(&good);
    let before = fs::read(&out).unwrap();
    let bad = dataset(&folder.path().join("bad"), &[30, 28, 28], &[11; 30]);
    fails(&[good.as_slice(), &["--dataset", text(&bad)]].concat(), 1, "label 11");
    assert_eq!(fs::read(&out).unwrap(), before);
}

#[test]
fn inspect_lists_sites_as_table_and_as_json() {
    let vgg = weights("vgg-fashion.pt");
    let table = polyact_succeeds(&["inspect", "--model", text(&vgg)]);
    assert!(table.contains("features.6") && table.contains("2x2 stride 2") && table.contains("24x28x28"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&polyact_succeeds(&["inspect", "--model", text(&vgg), "--json"])).unwrap();
    assert_eq!(json["totals"]["maxpool"], 4);
    // Seven ReLUs, and four pools of two rounds each.
    assert_eq!(json["totals"]["longest_path"], 15);
    assert!(table.contains("15 activations one after another"), "{table}");
    assert_eq!(json["sites"][0]["elements"], 24 * 28 * 28);
}

/// Levels and products of whole networks by hand: 19 ReLUs in a row; 7 ReLUs and 4 pools of two rounds. Images lost and won
/// against a count of the predictions.
#[test]
fn a_run_costs_the_whole_network_and_counts_what_changed_sides() {
    let folder = tempfile::tempdir().unwrap();
    let predictions = folder.path().join("predictions.csv");
    for (name, relu, depth, products) in [
        ("resnet20-fashion", "paper:14", 285, 570),
        ("vgg-fashion", "paper:14", 225, 450),
        ("vgg-fashion", "paper:8", 120, 210),
    ] {
        let model = weights(&format!("{name}.pt"));
        let arguments = ["eval", "--model", text(&model), "--relu", relu, "--relu-range", "16", "--limit", "500"];
        let more = ["--quiet", "--json", "--predictions", text(&predictions)];
        let row: serde_json::Value =
            serde_json::from_str(&polyact_succeeds(&[&arguments[..], &more].concat())).unwrap();
        assert_eq!((&row["total_depth"], &row["total_mults"]), (&depth.into(), &products.into()), "{name} {relu}");
        let mut reader = csv::Reader::from_path(&predictions).unwrap();
        let sides: Vec<[bool; 2]> =
            reader.records().map(Result::unwrap).map(|line| [line[2] == line[3], line[2] == line[4]]).collect();
        let count = |side: [bool; 2]| sides.iter().filter(|&&found| found == side).count();
        let [lost, won] = [count([true, false]), count([false, true])];
        assert_eq!((&row["top1_lost"], &row["top1_won"]), (&lost.into(), &won.into()), "{name} {relu}");
        let [b, c, n] = [lost, won, sides.len()].map(|count| count as f64);
        let error = 100.0 * (b + c - (b - c) * (b - c) / n).sqrt() / n;
        assert!((row["top1_diff_se"].as_f64().unwrap() - error).abs() <= 0.0005, "{row}");
    }
    let exact = ["--relu", "exact", "--limit", "20", "--quiet", "--json"];
    let model = weights("resnet20-fashion.pt");
    let row = polyact_succeeds(&[&["eval", "--model", text(&model)], &exact[..]].concat());
    let row: serde_json::Value = serde_json::from_str(&row).unwrap();
    assert!(row["total_depth"].is_null() && row["total_mults"].is_null() && row["until"].is_null(), "{row}");
}

#[test]
fn a_function_is_designed_as_table_json_and_csv() {
    let design = ["design", "--function", "gelu", "--degree", "4", "--interval=-3,3"];
    let table = polyact_succeeds(&design);
    assert!(table.contains("gelu on [-3,3]") && table.contains("depth 3, non-scalar multiplications 2"), "{table}");
    let json = polyact_succeeds(&[design.as_slice(), &["--format", "json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["intervals"], serde_json::json!([[-3.0, 3.0]]));
    assert_eq!(json["extrema"].as_array().unwrap().len(), 7);
    // The line x/2 of GELU: 3/2 of T_1 on [-3,3].
    assert_eq!(json["chebyshev"][1]["f64"], 1.5);
    assert_eq!(json["monomial"][1]["f64"], 0.5);
    let csv = polyact_succeeds(&[design.as_slice(), &["--format", "csv", "--method", "leastsq"]].concat());
    assert_eq!(csv.lines().count(), 1 + 2 * 5, "{csv}");
    assert!(csv.lines().any(|line| line.starts_with("gelu,\"[-3,3]\",4,leastsq,")), "{csv}");
}

/// What a command wrote it writes again, over every other of its formats.
#[test]
fn formats_replace_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let of_sign = ["table", "json", "csv", "list", "lattigo", "openfhe", "orion"];
    let commands: [(&str, &[&str], &[&str]); 4] = [
        ("a", &["design", "--degrees", "3,3", "--epsilon", "0.1"], &of_sign),
        (
            "a",
            &["design", "--function", "step", "--interval=-8,-0.1", "--interval=0.1,8", "--degree", "5"],
            &of_sign[..3],
        ),
        ("b", &["search", "--alpha", "4"], &of_sign[..3]),
        ("b", &["search", "--error", "0.1", "--front"], &of_sign[..3]),
    ];
    let every = || {
        commands.iter().flat_map(|(file, command, formats)| formats.iter().map(move |format| (file, command, format)))
    };
    for (file, command, format) in every().chain(every().rev()) {
        let out = folder.path().join(file);
        polyact_succeeds(&[command, &["--format", format, "--out", text(&out)][..]].concat());
        assert!(fs::metadata(&out).unwrap().len() > 0);
    }
}

#[test]
fn output_into_a_closed_pipe_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_polyact"))
        .args(["design", "--degrees", "63,63", "--epsilon", "0.01", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
