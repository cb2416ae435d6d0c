//! Activations that are fitted to the inputs of their sites: what the built program makes of them, and what PyTorch and numpy say.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;

use common::{devices, polyact, polyact_succeeds, python, read_f32, root, text};
use polyact::activation::{Activation, Arithmetic, FittedSpec, Interval, SitePolynomials};
use polyact::evaluation::{Compositions, Densities, FitOptions, densities_bytes, fit_site};
use polyact::fitting::Density;
use polyact::model::{Model, Site, SiteKind};
use serde_json::Value;
use tch::Tensor;

/// Calibrate a bundled network on images that are then kept apart.
fn calibrated(folder: &Path, model: &str, more: &[&str]) -> String {
    let (out, model) = (folder.join("ranges.csv"), root().join("weights").join(model));
    let all = ["calibrate", "--model", text(&model), "--holdout", "1000", "--margin", "0.3", "--out", text(&out)];
    polyact_succeeds(&[&all, more, &["--quiet"]].concat());
    format!("file:{}", out.display())
}

fn eval(model: &str, more: &[&str]) -> Value {
    let model = root().join("weights").join(model);
    let all = ["eval", "--model", text(&model), "--holdout", "1000", "--limit", "1000", "--json", "--quiet"];
    serde_json::from_str(&polyact_succeeds(&[&all, more].concat())).unwrap()
}

fn number(row: &Value, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row}"))
}

const RESNET: &str = "resnet20-fashion.pt";

/// One polynomial is better fitted than not, better with a higher degree, and better for each channel; and every one keeps its inputs.
#[test]
fn fits_keep_more_than_what_knows_no_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let ranges = calibrated(folder.path(), RESNET, &[]);
    let agreement = |spec: &str, depth: u64| {
        let row = eval(RESNET, &["--relu", spec, "--relu-range", &ranges]);
        assert_eq!((row["relu"].as_str(), row["depth"].as_u64()), (Some(spec), Some(depth)), "{row}");
        assert!(number(&row, "overflow_images") <= 2.0, "{row}");
        number(&row, "agreement")
    };
    assert!(agreement("fitted:31", 5) >= agreement("leastsq:31", 5).max(98.5));
    let site = agreement("fitted:15", 4);
    let channel = agreement("fitted:15/channel", 4);
    assert!(site >= 96.0 && channel >= site.max(98.0), "{site} {channel}");
    assert!(agreement("fitted:31/channel", 5) >= 99.0);
    assert!(agreement("fitted:7,7", 7) >= agreement("minimax:7,7", 7) + 1.0);
}

/// The fields of an object as the schema has them.
fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Every object of `text` has the fields that docs/sites.schema.json names, which docs/coefficients.md explains.
fn check_schema(text: &str) {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let schema: Value = serde_json::from_str(&read("docs/sites.schema.json")).unwrap();
    let page = read("docs/coefficients.md");
    let written: Value = serde_json::from_str(text).unwrap();
    let (site, form) = (&schema["properties"]["sites"]["items"], &written["sites"][0]);
    let polynomial = &site["properties"]["polynomials"]["items"];
    let mut pairs = vec![(&schema, &written), (site, form)];
    pairs.extend(form["polynomials"].get(0).map(|first| (polynomial, first)));
    pairs.extend(form["composition"].is_object().then(|| (&site["properties"]["composition"], &form["composition"])));
    for (schema, object) in pairs {
        assert_eq!(fields(&schema["properties"]), fields(object));
        assert_eq!(schema["required"].as_array().unwrap().len(), fields(object).len());
        fields(object).iter().for_each(|name| assert!(page.contains(&format!("`{name}`")), "{name}"));
    }
}

#[test]
fn pools_take_fits_to_the_differences_in_their_tournaments() {
    let folder = tempfile::tempdir().unwrap();
    let ranges = calibrated(folder.path(), "vgg-fashion.pt", &[]);
    let row = |pool: &str| eval("vgg-fashion.pt", &["--relu", "exact", "--maxpool", pool, "--maxpool-range", &ranges]);
    let fitted = row("fitted:31");
    assert_eq!((fitted["maxpool"].as_str(), fitted["overflow_images"].as_u64()), (Some("fitted:31"), Some(0)));
    assert!(number(&fitted, "agreement") >= 97.5, "{fitted}");
    assert!(number(&row("fitted:63"), "agreement") >= 98.5);
    let refused = polyact(&[
        "eval",
        "--model",
        text(&root().join("weights/vgg-fashion.pt")),
        "--limit",
        "10",
        "--relu",
        "fitted:7/channel",
        "--relu-range",
        &ranges,
    ]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("--maxpool fitted:15"), "{told}");
}

/// Batches and threads decide nothing of densities and rows, and what was written down gives the row again.
#[test]
fn fits_are_reproducible_and_can_be_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let ranges = calibrated(folder.path(), RESNET, &["--batch", "100", "--threads", "2"]);
    let bytes = || std::fs::read(path("ranges.csv.densities")).unwrap();
    let first = bytes();
    // In the place of the first, which is a file of the same kind whatever its bytes are.
    calibrated(folder.path(), RESNET, &["--batch", "33", "--threads", "1"]);
    assert!(first == bytes(), "the densities differ");
    for spec in ["fitted:7/channel", "fitted:15@0.01", "fitted:7,7"] {
        let fits = path(&format!("{}.json", spec.replace(['/', ':', ','], "-")));
        let row = eval(RESNET, &["--relu", spec, "--relu-range", &ranges, "--fits", &fits]);
        let again = eval(RESNET, &["--relu", &format!("file:{fits}"), "--batch", "33"]);
        for column in ["top1", "agreement", "max_logit_error", "overflow_values", "depth", "mults", "total_depth"] {
            assert_eq!(row[column], again[column], "{spec} {column}");
        }
        let text = std::fs::read_to_string(&fits).unwrap();
        check_schema(&text);
        let read = SitePolynomials::parse(&text).unwrap();
        assert_eq!((read.sites.len(), read.sites[3].activation.as_str()), (19, spec));
        // As docs/mathematics.md has it.
        for composition in read.sites.iter().filter_map(|site| site.composition.as_ref()) {
            let epsilon: f64 = composition.spec.strip_prefix("minimax:7,7@").unwrap().parse().unwrap();
            assert!((0.035..0.065).contains(&epsilon), "{epsilon}");
        }
        assert!(read.sites.iter().all(|site| (1e-9..=site.worst).contains(&site.rms.unwrap())), "{spec}");
    }
}

/// Behind sites that are replaced already, each meets what it will meet: that is better than what the exact network gives it, and the
/// same for any batch.
#[test]
fn fits_in_the_order_of_execution_follow_what_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (fits, ranges) = (path("fits.json"), calibrated(folder.path(), RESNET, &[]));
    let in_order = |batch: &str| {
        calibrated(folder.path(), RESNET, &["--sequential", "fitted:7/channel", "--fits", &fits, "--batch", batch]);
        let text = std::fs::read_to_string(&fits).unwrap();
        SitePolynomials::parse(&text).unwrap()
    };
    let (first, again) = (in_order("128"), in_order("50"));
    for (a, b) in first.sites.iter().zip(&again.sites) {
        assert_eq!((&a.site, a.polynomials.len()), (&b.site, b.polynomials.len()));
        // Convolutions of other batches round otherwise, and later sites see it.
        let [rms, other] = [a, b].map(|site| site.rms.unwrap());
        assert!((rms / other - 1.0).abs() < 1e-3 && a.mean.unwrap().abs() < 1e-6, "{}: {rms} {other}", a.site);
    }
    let row = eval(RESNET, &["--relu", &format!("file:{fits}")]);
    let apart = eval(RESNET, &["--relu", "fitted:7/channel", "--relu-range", &ranges]);
    assert!(number(&row, "agreement") >= number(&apart, "agreement") - 0.3, "{row} {apart}");
    assert!(number(&row, "agreement") >= 95.5 && number(&row, "overflow_images") <= 5.0, "{row}");
    let refused = polyact(&[
        "calibrate",
        "--model",
        text(&root().join("weights").join(RESNET)),
        "--limit",
        "10",
        "--out",
        &path("r.csv"),
        "--sequential",
        "fitted:7,7",
        "--fits",
        &fits,
    ]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(2) && told.contains("--sequential fitted:7,7: it is to be one polynomial"),
        "{told}"
    );
}

#[test]
fn what_is_missing_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let model = root().join("weights").join(RESNET);
    let error = |more: &[&str]| {
        let output = polyact(&[&["eval", "--model", text(&model), "--limit", "10"], more].concat());
        assert!(!output.status.success(), "{more:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = error(&["--relu", "fitted:15", "--relu-range", "8"]);
    assert!(told.contains("--relu-range is to be file:ranges.csv") && told.contains("polyact calibrate"), "{told}");
    let ranges = calibrated(folder.path(), RESNET, &[]);
    let told = error(&["--relu", "fitted:7", "--relu-range", &ranges, "--guard", "0.001"]);
    assert!(told.contains("fitted:7 at site relu: a polynomial of degree 7 strays by"), "{told}");
    std::fs::write(folder.path().join("ranges.csv.densities"), "nothing").unwrap();
    let told = error(&["--relu", "fitted:7", "--relu-range", &ranges]);
    assert!(told.contains("ranges.csv.densities: it is no file of densities"), "{told}");
    // What is not fitted needs no densities.
    let row = eval(RESNET, &["--relu", "paper:8", "--relu-range", &ranges]);
    assert!(number(&row, "agreement") > 98.0, "{row}");
}

/// The sums of squared gradients in the bins are those of PyTorch's autograd.
#[test]
fn weights_are_the_squared_gradients_of_the_margin() {
    let folder = tempfile::tempdir().unwrap();
    python("margin_gradients.py", &[text(folder.path())]);
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("gradients.json")).unwrap()).unwrap();
    for device in devices() {
        let model = Model::load(&folder.path().join("model.pt"), device).unwrap();
        let images =
            Tensor::from_slice(&read_f32(&folder.path().join("input.bin"))).view([-1, 3, 8, 8]).to_device(device);
        let table = model.exact();
        // In two parts: what is summed does not depend on the batch.
        for part in [images.narrow(0, 0, 3), images.narrow(0, 3, 4)] {
            model.weigh(&part, &table).unwrap();
        }
        for site in model.sites() {
            let sums: Vec<f64> = serde_json::from_value(expected["sums"][&site.name].clone()).unwrap();
            let count = expected["counts"][&site.name].as_u64().unwrap();
            let found = table.take_weighted(site.index);
            let weight = |density: &Density| density.bins().map(|bin| bin.weight).sum::<f64>();
            if site.kind.is_pool() {
                // Of four values, two pairs meet first and then the winners; who loses has no weight.
                assert_eq!(found.iter().map(Density::values).collect::<Vec<_>>(), [10 * count, 5 * count]);
                let sum: f64 = sums.iter().sum();
                for density in &found {
                    // After a ReLU, ties are many, and both of a tie count.
                    assert!(weight(density) >= sum * (1.0 - 1e-4), "{} {sum}", weight(density));
                }
                assert!((weight(&found[1]) / sum - 1.0).abs() < 1e-4, "{} {sum}", weight(&found[1]));
                continue;
            }
            assert_eq!(found.len(), sums.len(), "{}", site.name);
            for (density, sum) in found.iter().zip(sums) {
                assert_eq!(density.values(), count, "{}", site.name);
                assert!(
                    (weight(density) - sum).abs() <= 1e-4 * sum + 1e-12,
                    "{}: {} {sum}",
                    site.name,
                    weight(density)
                );
            }
        }
    }
}

/// The fit to a histogram is as good as the fit to the values, and no better.
#[test]
fn a_fit_is_that_of_numpy_to_the_values_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site { index: 0, name: "relu".into(), kind: SiteKind::relu(), image_axis: Some(0), non_negative: false };
    // A sum of sines has a density with no symmetry.
    let values: Vec<f32> =
        (0..50_000).map(|i| i as f32).map(|i| (i * 0.7).sin() + 0.6 * (i * 1.3).cos() - 0.3).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.path().join("values.bin"), bytes).unwrap();
    let mut density = Density::default();
    density.add(values.iter().copied());
    let densities = Densities::parse(&densities_bytes(0.0, &[], [("relu", &[density][..])].into_iter())).unwrap();
    for degree in [3, 7, 15, 31] {
        let spec = FittedSpec { degrees: vec![degree], by_channel: false, share: 1e-3 };
        let options = FitOptions { guard: f64::INFINITY, arithmetic: Arithmetic::F64 };
        let range = Interval { low: -2.5, high: 3.0 };
        let fit = fit_site(&spec, &site, range, &densities, options, &mut Compositions::default()).unwrap();
        let Activation::Fitted(fitted) = &fit.activation else { panic!("{:?}", fit.activation) };
        let series = &fitted.series()[0];
        let form = serde_json::json!({"sites": [{"polynomials": [
            {"interval": [series.low, series.high], "chebyshev": series.coefficients}
        ]}]});
        std::fs::write(folder.path().join("sites.json"), form.to_string()).unwrap();
        let [values, sites] = ["values.bin", "sites.json"].map(|name| folder.path().join(name));
        let printed = python("weighted_fit.py", &[text(&values), text(&sites), "0.001"]);
        let rms: Vec<f64> = printed.split_whitespace().map(|number| number.parse().unwrap()).collect();
        assert!((rms[0] / rms[1] - 1.0).abs() < 0.01, "degree {degree}: {rms:?}");
        assert!((fit.certificate.rms / rms[0] - 1.0).abs() < 0.02, "degree {degree}: {:?} {rms:?}", fit.certificate);
    }
}
