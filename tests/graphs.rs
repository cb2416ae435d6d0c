//! Networks that are easily changed by laying values out differently, by working in place, or by moving operators: they
//! must stay PyTorch's, and what is said of them must be true.
#![cfg(feature = "libtorch")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ::polyact::activation::{Activation, Interval, Spec};
use ::polyact::model::{Model, Site};
use common::together::{self, Work};
use common::{by_kind, column, devices, fails, polyact, polyact_succeeds, python, read_f32, rows, text};
use tch::{Device, Tensor};

/// The archives that tests/python/graph_archives.py writes.
struct Graphs {
    folder: PathBuf,
}

const WAYS: [&str; 2] = ["script", "trace"];

impl Graphs {
    /// Written once for all tests of this program.
    fn new() -> &'static Graphs {
        static GRAPHS: OnceLock<Graphs> = OnceLock::new();
        GRAPHS.get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("graphs");
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            python("graph_archives.py", &[text(&folder)]);
            Graphs { folder }
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The names of all networks.
    fn names(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.folder).unwrap().map(|file| file.unwrap().file_name());
        let names = files.filter_map(|file| Some(file.to_str()?.strip_suffix(".script.pt")?.to_owned()));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Ten images of noise as an IDX dataset in a folder of this name.
    fn dataset(&self, name: &str) -> PathBuf {
        let folder = self.path(&format!("images-{name}"));
        fs::create_dir_all(&folder).unwrap();
        let header = |sizes: &[u8]| {
            let sizes = sizes.iter().flat_map(|&size| [0, 0, 0, size]);
            [0, 0, 8, (sizes.clone().count() / 4) as u8].into_iter().chain(sizes).collect::<Vec<u8>>()
        };
        let pixels = (0..10 * 3 * 12 * 12u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
        fs::write(folder.join("t-images-idx3-ubyte"), [header(&[10, 3, 12, 12]), pixels.collect()].concat()).unwrap();
        fs::write(folder.join("t-labels-idx1-ubyte"), [header(&[10]), (0..10).map(|i| i % 7).collect()].concat())
            .unwrap();
        folder
    }

    /// `eval` of a network on these.
    fn eval(&self, name: &str, more: &[&str]) -> Vec<String> {
        let (model, dataset) = (self.path(&format!("{name}.script.pt")), self.dataset(name));
        let common = ["eval", "--model", text(&model), "--dataset", text(&dataset), "--relu", "paper:7", "--quiet"];
        common.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    fn load(&self, name: &str, way: &str, device: Device) -> Model {
        Model::load(&self.path(&format!("{name}.{way}.pt")), device).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn input(&self, name: &str) -> Tensor {
        Tensor::from_slice(&read_f32(&self.path(&format!("{name}.in.bin")))).view([3, 3, 12, 12])
    }

    /// PyTorch's output; none if it refuses to run the network.
    fn expected(&self, name: &str) -> Option<Tensor> {
        let path = self.path(&format!("{name}.out.bin"));
        path.exists().then(|| Tensor::from_slice(&read_f32(&path)).view([3, -1]))
    }
}

fn paper(alpha: u32) -> Activation {
    Activation::design(&Spec::Paper { alpha }).unwrap().unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_device(Device::Cpu) - b).abs().max().double_value(&[])
}

/// Exact to the last bits, with sites that are nearly exact nearly so; twice, since a pass may write into its input; and
/// refused, not run, where PyTorch refuses.
#[test]
fn every_network_stays_pytorch_s() {
    let graphs = Graphs::new();
    let sign = paper(14);
    let (mut run, mut refused) = (0, 0);
    for (device, name) in
        devices().into_iter().flat_map(|device| graphs.names().into_iter().map(move |name| (device, name)))
    {
        let input = graphs.input(&name).to_device(device);
        let Some(expected) = graphs.expected(&name) else {
            let model = graphs.load(&name, "script", device);
            assert!(model.forward(&input, &model.exact()).is_err(), "{name}: PyTorch refuses to run it");
            if let Ok(sites) = by_kind(&model, Some((&sign, 40.0)), Some((&sign, 40.0))) {
                assert!(model.forward(&input, &sites).is_err(), "{name}, approximate: PyTorch refuses to run it");
            }
            refused += 1;
            continue;
        };
        for way in WAYS {
            let model = graphs.load(&name, way, device);
            let sites = by_kind(&model, Some((&sign, 40.0)), Some((&sign, 40.0))).unwrap();
            let largest = expected.abs().max().double_value(&[]).max(1.0);
            for pass in 0..2 {
                let off = difference(&model.forward(&input, &model.exact()).unwrap(), &expected);
                assert!(off <= 1e-5 * largest, "{name}.{way} on {device:?}, exact, pass {pass}: {off}");
                // Next to the steps of a function the nearest number is on the other side of one.
                if name == "Floored" {
                    continue;
                }
                let off = difference(&model.forward(&input, &sites).unwrap(), &expected);
                assert!(off <= 0.02 * largest, "{name}.{way} on {device:?}, approximate, pass {pass}: {off}");
            }
            run += 1;
        }
    }
    assert!(run >= 50 && refused >= 15, "{run} run, {refused} refused");
}

/// Whatever is written in place, seen through views, held in lists or computed in loops behind a branch.
#[test]
fn passes_made_together_give_what_each_gives_alone() {
    let graphs = Graphs::new();
    let sign = paper(7);
    let mut all = Work::default();
    for (device, name) in
        devices().into_iter().flat_map(|device| graphs.names().into_iter().map(move |name| (device, name)))
    {
        let input = graphs.input(&name).to_device(device);
        for way in WAYS.into_iter().filter(|way| graphs.path(&format!("{name}.{way}.pt")).exists()) {
            let Ok(model) = Model::load(&graphs.path(&format!("{name}.{way}.pt")), device) else { continue };
            let work = together::compare(&model, &input, &sign).unwrap_or_else(|error| panic!("{name}.{way}: {error}"));
            all.together += work.together;
            all.alone += work.alone;
        }
    }
    println!("{all:?}");
    assert!(5 * all.together < 4 * all.alone, "{all:?}");
}

#[test]
fn padding_is_zero_only_where_no_value_is_below_it() {
    let graphs = Graphs::new();
    let expected = [
        ("ViewAfterPool", true),
        ("Doubled", true),
        ("PoolUneven", true),
        ("LessThanZero", false),
        ("LessThanZeroThroughView", false),
    ];
    for ((name, shown), way) in expected.into_iter().flat_map(|one| WAYS.map(|way| (one, way))) {
        let model = graphs.load(name, way, Device::Cpu);
        let pools = model.sites().iter().filter(|site| site.kind.is_pool());
        let pools: Vec<bool> = pools.map(|site| site.non_negative).collect();
        assert!(
            !pools.is_empty() && pools.iter().all(|&non_negative| non_negative == shown),
            "{name}.{way}: {pools:?}"
        );
    }
}

/// Tasks and all; but not what no image has a say in.
#[test]
fn every_site_of_the_images_is_found_and_no_other() {
    let graphs = Graphs::new();
    for (name, sites) in [("Forked", 5), ("OfWeights", 1), ("Gate", 2), ("Looped", 1), ("Chosen", 1), ("Written", 1)] {
        assert_eq!(graphs.load(name, "script", Device::Cpu).sites().len(), sites, "{name}");
    }
}

#[test]
fn sites_have_the_names_of_the_modules() {
    let graphs = Graphs::new();
    let expected = fs::read_to_string(graphs.path("Members.names")).unwrap();
    assert!(expected.lines().count() == 17 && expected.contains("blocks.1.0.second.2.1"), "{expected}");
    for how in WAYS {
        let model = Model::load(&graphs.path(&format!("Members.{how}.pt")), Device::Cpu).unwrap();
        let names: Vec<&str> = model.sites().iter().map(|site| site.name.as_str()).collect();
        assert_eq!(names.join("\n"), expected, "{how}");
    }
}

#[test]
fn what_is_not_polynomial_is_told_and_nothing_else() {
    let graphs = Graphs::new();
    for (name, operators) in [
        ("Floored", &["aten::div"][..]),
        ("BatchStatistics", &["aten::batch_norm"]),
        ("Chosen", &["aten::gt", "prim::If"]),
        ("Same", &[]),
        ("Shuffled", &[]),
        ("Forked", &[]),
        ("StridesSeen", &[]),
        ("OfWeights", &[]),
    ] {
        for way in WAYS {
            // A trace has taken its branch.
            let operators = if (name, way) == ("Chosen", "trace") { &[] } else { operators };
            let model = graphs.load(name, way, Device::Cpu);
            let found: Vec<&str> = model.foreign().iter().map(|node| node.operator.as_str()).collect();
            assert_eq!(found, operators, "{name}.{way}");
        }
    }
}

/// One of three images is black, and the values beyond the range are the others' wherever the images lie at the site; where the
/// graph mixes them, the values are counted without an image.
#[test]
fn values_beyond_the_range_are_those_of_the_images_they_came_from() {
    let graphs = Graphs::new();
    let sign = paper(7);
    for (device, name, way) in devices().into_iter().flat_map(|device| {
        ["ViewAfterPool", "Rows", "SecondAxis", "Mixed"]
            .into_iter()
            .flat_map(move |name| WAYS.map(|way| (device, name, way)))
    }) {
        let model = graphs.load(name, way, device);
        let input = graphs.input(name).to_device(device);
        let _ = input.get(1).fill_(0.0);
        let sites = by_kind(&model, Some((&sign, 1.5)), None).unwrap();
        let _logits = model.forward(&input, &sites).unwrap();
        let overflow = sites.take_overflow(0);
        // Against a count in plain tensor operations: the first convolution's results.
        let observed = model.observed(&[1.5]);
        let _logits = model.forward(&input, &observed).unwrap();
        let statistics = observed.take_statistics(0);
        assert_eq!((overflow.values, overflow.worst), (statistics.above[0], statistics.largest), "{name}.{way}");
        let images: Vec<usize> = overflow.images.keys().copied().collect();
        if name == "Mixed" {
            assert_eq!((images, overflow.unattributed), (vec![], overflow.values), "{way}");
            assert_eq!(statistics.largest_image, None);
        } else {
            assert_eq!((images, overflow.unattributed), (vec![0, 2], 0), "{name}.{way}");
            assert!(matches!(statistics.largest_image, Some(0 | 2)), "{name}.{way}");
        }
    }
}

/// Clipping counts what it clips as counting does, what is not a number once, and invents no range.
#[test]
fn clipping_counts_what_counting_counts() {
    let graphs = Graphs::new();
    let sign = paper(7);
    for (device, name) in
        devices().into_iter().flat_map(|device| ["ViewAfterPool", "Rows", "Mixed"].map(|name| (device, name)))
    {
        let model = graphs.load(name, "script", device);
        let input = graphs.input(name).to_device(device);
        let _ = input.get(1).get(0).get(4).get(7).fill_(f64::NAN);
        for range in [1.5, 100.0] {
            let counted = |clip: bool| {
                let one = |site: &Site| (!site.kind.is_pool()).then_some((&sign, Interval::symmetric(range)));
                let sites = model.table(model.sites().iter().map(one), clip).unwrap();
                let _logits = model.forward(&input, &sites).unwrap();
                sites.take_overflow(0)
            };
            let (counting, clipping) = (counted(false), counted(true));
            assert_eq!(counting, clipping, "{name} on {device:?}, range {range}");
            // The 3x3 convolution spreads one NaN over 9 places of 6 channels.
            assert_eq!(clipping.not_a_number, 54, "{name}");
            if range == 100.0 {
                assert_eq!((clipping.values, clipping.worst), (54, 0.0), "{name}");
                let expected = if name == "Mixed" { BTreeMap::new() } else { BTreeMap::from([(1, 0.0)]) };
                assert_eq!(clipping.images, expected, "{name}");
            }
        }
    }
}

/// Another batch size, other threads, an input in another layout.
#[test]
fn passes_do_not_depend_on_each_other() {
    let graphs = Graphs::new();
    for name in ["ViewAfterPool", "CopyInPlace", "Looped", "Forked", "ShortcutInPlace", "InputInPlace", "Shuffled"] {
        let model = graphs.load(name, "script", Device::Cpu);
        let (input, expected) = (graphs.input(name), graphs.expected(name).unwrap());
        let before = input.copy();
        for rows in [3, 1, 2, 3] {
            // A loop over the size of the batch does something else for another one.
            if name == "Looped" && rows < 3 {
                continue;
            }
            let found = model.forward(&input.narrow(0, 0, rows), &model.exact()).unwrap();
            let off = difference(&found, &expected.narrow(0, 0, rows));
            assert!(off <= 1e-5, "{name}, {rows} images: {off}");
        }
        assert_eq!(input, before, "{name}: the images were changed");
    }
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

#[test]
fn the_row_says_what_stays_exact_and_what_did_not_run() {
    let graphs = Graphs::new();
    let out = graphs.path("r.csv");
    for (name, expected, said) in [
        ("Chosen", ["2", "aten::gt, prim::If", "0"], "\nnot polynomial, and left exact: aten::gt, prim::If\n"),
        ("Unreached", ["0", "", "1"], "\ndid not run, and nothing was replaced there: rare\n"),
    ] {
        let told = polyact_succeeds(&words(&graphs.eval(name, &["--relu-range", "30", "--out", text(&out)])));
        assert!(told.contains(said) && told.contains("\n1 relu as paper:7 on [-30,30]"), "{told}");
        let row = rows(&out).pop().unwrap();
        assert_eq!(
            ["not_polynomial", "not_polynomial_ops", "not_run"].map(|name| column(&row, name)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn values_whose_image_cannot_be_told_are_told_as_such() {
    let graphs = Graphs::new();
    let (out, report) = (graphs.path("mixed.csv"), graphs.path("mixed-overflow.csv"));
    let files = ["--relu-range", "0.1", "--out", text(&out), "--overflow-report", text(&report)];
    let told = polyact_succeeds(&words(&graphs.eval("Mixed", &files)));
    assert!(told.contains(" values at relu left the range") && !told.contains("no input left"), "{told}");
    let (row, line) = (rows(&out).pop().unwrap(), rows(&report).pop().unwrap());
    assert_eq!(column(&row, "overflow_images"), "0");
    assert!(column(&row, "overflow_values").parse::<u64>().unwrap() > 100);
    assert_eq!((&line[9], &line[12]), (&String::new(), &column(&row, "overflow_values")));
    let stop = ["--relu-range", "0.1", "--on-overflow", "error"];
    fails(&words(&graphs.eval("Mixed", &stop)), 3, "which image it is of cannot be told");
    fails(&words(&graphs.eval("Rows", &stop)), 3, "image 0: an input of relu left its range");
}

/// What lies behind the sites at which images were lost is one line.
#[test]
fn the_table_names_the_sites_at_which_images_were_first_lost() {
    let graphs = Graphs::new();
    let report = graphs.path("o.csv");
    let files = ["--relu-range", "0.1", "--maxpool", "exact", "--overflow-report", text(&report)];
    let told = polyact_succeeds(&words(&graphs.eval("ViewAfterPool", &files)));
    let sites: Vec<Vec<String>> = rows(&report);
    let behind: Vec<&Vec<String>> = sites.iter().filter(|site| site[8] == "0").collect();
    assert_eq!((sites.len(), behind.len()), (2, 1));
    assert!(
        told.contains(&format!("\nbehind these, {} values left their range at one other site\n", behind[0][5])),
        "{told}"
    );
    assert_eq!(told.lines().filter(|line| line.trim_start().starts_with("0  relu")).count(), 1, "{told}");
}

#[test]
fn a_site_that_meets_infinity_has_no_range() {
    let graphs = Graphs::new();
    let (model, dataset, out) = (graphs.path("Infinite.pt"), graphs.dataset("infinite"), graphs.path("infinite.csv"));
    let calibrate = ["calibrate", "--model", text(&model), "--dataset", text(&dataset), "--out", text(&out)];
    fails(&calibrate, 1, "image 0: an input of relu is infinite");
}

/// Even when quiet: what the figures rest on.
#[test]
fn accuracy_by_chance_and_images_of_a_plan_are_warned_of() {
    let graphs = Graphs::new();
    let (model, dataset) = (graphs.path("Rows.script.pt"), graphs.dataset("warned"));
    let (ranges, plan) = (graphs.path("warned.csv"), graphs.path("warned.toml"));
    let common = ["--model", text(&model), "--dataset", text(&dataset), "--quiet"];
    let files = ["--out", text(&ranges), "--plan-out", text(&plan)];
    polyact_succeeds(&[&["calibrate"], &common[..], &files].concat());
    let output = polyact(&[&["eval"], &common[..], &["--relu", "paper:7", "--plan", text(&plan)]].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("the ranges were measured on 10 of these 10 images"), "{told}");
    assert!(told.contains("is not better than chance among 7 classes"), "{told}");
}

/// What failed before its first batch, or had nothing to do, leaves no journal in the way of the next run.
#[test]
fn a_sweep_without_a_batch_leaves_no_journal() {
    let graphs = Graphs::new();
    let (model, dataset, out) = (graphs.path("Rows.script.pt"), graphs.dataset("journal"), graphs.path("journal.csv"));
    let sweep =
        ["sweep", "--model", text(&model), "--dataset", text(&dataset), "--relu", "paper:7", "--out", text(&out)];
    let sweep = [&sweep[..], &["--relu-range", "30", "--quiet"]].concat();
    let labels = fs::read(dataset.join("t-labels-idx1-ubyte")).unwrap();
    fs::write(dataset.join("t-labels-idx1-ubyte"), [&labels[..8], &[9; 10]].concat()).unwrap();
    fails(&sweep, 1, "label 9, but the model has 7 classes");
    assert!(!graphs.path("journal.csv.journal").exists());
    fs::write(dataset.join("t-labels-idx1-ubyte"), labels).unwrap();
    polyact_succeeds(&sweep);
    fails(&sweep, 2, "rows of this sweep are there already");
    assert!(!graphs.path("journal.csv.journal").exists());
}

/// Nothing is written before it is clear that every file is where it may be.
#[test]
fn outputs_destroy_neither_inputs_nor_each_other() {
    let graphs = Graphs::new();
    let (model, dataset) = (graphs.path("Rows.script.pt"), graphs.dataset("destroyed"));
    let (out, labels, results) = (graphs.path("d.csv"), graphs.path("labels.txt"), graphs.path("d-results.csv"));
    fs::write(&labels, "0\n1\n").unwrap();
    fs::write(&results, format!("{}\n", ::polyact::report::COLUMNS.join(","))).unwrap();
    let (synsets, design) = (graphs.path("synsets.txt"), graphs.path("d-design.json"));
    fs::write(&synsets, "index,image,of a kind\n").unwrap();
    polyact_succeeds(&["design", "--degrees", "3", "--format", "json", "--out", text(&design)]);
    let kept = || [&model, &labels, &results, &synsets, &design].map(|path| fs::read(path).unwrap());
    let before = kept();
    let eval = ["eval", "--model", text(&model), "--dataset", text(&dataset), "--relu", "exact"];
    let calibrate = ["calibrate", "--model", text(&model), "--dataset", text(&dataset)];
    for (command, more, part) in [
        (&eval[..], ["--out", text(&out), "--predictions", text(&out)], "--out writes this file"),
        (&eval, ["--per-class", text(&out), "--predictions", text(&out)], "--predictions writes this file"),
        (&eval, ["--quiet", "--per-class", text(&model), "--json"], "--model reads this file"),
        (&eval, ["--labels", text(&labels), "--predictions", text(&labels)], "--labels reads this file"),
        (&eval, ["--quiet", "--predictions", text(&results), "--json"], "of another kind"),
        (&calibrate, ["--quiet", "--out", text(&results), "--holdout=1"], "of another kind"),
        (&calibrate, ["--out", text(&out), "--plan-out", text(&out)], "--out writes this file"),
        (&calibrate, ["--out", text(&out), "--json", text(&design)], "of another kind"),
        (
            &eval,
            ["--devkit-synsets", text(&synsets), "--predictions", text(&synsets)],
            "--devkit-synsets reads this file",
        ),
        (&["design", "--format=json"], ["--degrees", "3", "--out", text(&results)], "of another kind"),
        (&["search", "--format=json"], ["--alpha", "4", "--out", text(&design)], "of another kind"),
    ] {
        let output = polyact(&[command, &more].concat());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && told.contains(part), "{more:?}: {told}");
        assert!(!out.exists(), "{more:?}");
    }
    #[cfg(unix)]
    {
        let link = graphs.path("d-link.csv");
        std::os::unix::fs::symlink(&out, &link).unwrap();
        fails(&[&eval[..], &["--out", text(&out), "--predictions", text(&link)]].concat(), 2, "--out writes this file");
    }
    fails(&["report", text(&results), "--merge", text(&results)], 2, "the command reads this file");
    assert!(kept() == before);
}

/// As Windows' editors and spreadsheet programs save them: a byte-order mark first, and lines that end in CR LF.
#[test]
fn files_with_a_byte_order_mark_are_read_everywhere() {
    let graphs = Graphs::new();
    let (model, dataset) = (graphs.path("Rows.script.pt"), graphs.dataset("marked"));
    let path = |name: &str| graphs.path(&format!("marked-{name}"));
    let marked = |name: &str, content: &str| {
        fs::write(path(name), format!("\u{feff}{}", content.replace('\n', "\r\n"))).unwrap();
        text(&path(name)).to_owned()
    };
    let ranges = format!("file:{}", marked("ranges.csv", "site,kind,range\nrelu,relu,30\n"));
    let plan = marked("plan.toml", "[[sites]]\nmatch = \"relu\"\nrange = 30\n");
    let list = polyact_succeeds(&["design", "--degrees", "7,7", "--format", "list"]);
    let list = format!("file:{}@7,7", marked("list.txt", &list));
    let json = polyact_succeeds(&["design", "--degrees", "7,7", "--format", "json"]);
    let json = format!("file:{}", marked("coefficients.json", &json));
    let out = marked("results.csv", &format!("{}\n", ::polyact::report::COLUMNS.join(",")));
    let common = ["--model", text(&model), "--dataset", text(&dataset), "--quiet", "--out", &out];
    for more in [["--relu-range", &ranges], ["--plan", &plan]] {
        for relu in ["paper:7", &list, &json] {
            polyact_succeeds(&[&["eval", "--relu", relu], &more[..], &common].concat());
        }
    }
    polyact_succeeds(&["report", &out]);
    assert_eq!(rows(Path::new(&out)).len(), 6);
    let toml = |path: &Path| format!("'{}'", text(path));
    let grid = format!("model = [{}]\ndataset = {}\nrelu_range = [30]\n", toml(&model), toml(&dataset));
    let grid = marked("sweep.toml", &grid);
    polyact_succeeds(&["sweep", "--config", &grid, "--quiet", "--out", text(&path("sweep.csv"))]);
}
