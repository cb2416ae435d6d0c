//! Results files as the built program reports and merges them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{fails, polyact, polyact_succeeds, text};
use polyact::report::{COLUMNS, Results, Row};

/// A results file with a run of each of these activations.
fn results(folder: &Path, name: &str, alphas: &[u32]) -> PathBuf {
    let path = folder.join(name);
    let file = Results::open(&path).unwrap();
    for alpha in alphas {
        let row = Row {
            model: "net".into(),
            dataset: "images".into(),
            images: 100,
            relu: Some(format!("paper:{alpha}")),
            relu_range: Some("16".into()),
            top1: 80.0 + f64::from(*alpha),
            top1_exact: 95.0,
            agreement: 99.0,
            depth: Some(*alpha),
            mults: Some(2 * alpha),
            ..Row::default()
        };
        file.append(&row).unwrap();
    }
    path
}

#[test]
fn tables_go_to_stdout_or_where_they_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = results(folder.path(), "a.csv", &[14, 4]);
    let path = |name: &str| folder.path().join(name);
    let table = polyact_succeeds(&["report", text(&file)]);
    let rows: Vec<&str> = table.lines().filter(|line| line.contains("paper:")).collect();
    assert!(rows[0].starts_with("| paper:4 | 5 | 4 | 8 | 84.000 |"), "{table}");
    assert!(rows[1].starts_with("| paper:14 | 15,27,29 | 14 | 28 | **94.000** |"), "{table}");

    let (markdown, latex, page, plot) = (path("t.md"), path("t.tex"), path("t.html"), path("t.svg"));
    let to = ["--markdown", text(&markdown), "--latex", text(&latex), "--html", text(&page), "--plot", text(&plot)];
    assert_eq!(polyact_succeeds(&[&["report", text(&file), "--views", "depth,mults"], &to[..]].concat()), "");
    assert_eq!(fs::read_to_string(&markdown).unwrap(), table);
    assert!(fs::read_to_string(&latex).unwrap().contains("paper:4 & 5 & 4 & 8 & 84.000"));
    let (page, plot) = (fs::read_to_string(&page).unwrap(), fs::read_to_string(&plot).unwrap());
    assert!(page.contains(plot.trim()), "the page has the figure");
    assert_eq!(plot.matches("class=\"mark\"").count(), 4);
}

#[test]
fn overflow_reports_are_drawn_below_the_results() {
    let folder = tempfile::tempdir().unwrap();
    let file = results(folder.path(), "a.csv", &[4, 14]);
    let [overflow, none, plot] = ["o.csv", "none.csv", "t.svg"].map(|name| folder.path().join(name));
    let header =
        "index,site,kind,activation,range,values,not_a_number,images,first_here,first_image,worst,needed_range";
    fs::write(
        &overflow,
        format!("{header}\n4,b,relu,paper:7,4,9,8,7,5,0,8e0,7.9\n1,a,relu,paper:7,4,3,0,3,3,1,4e0,4.1\n"),
    )
    .unwrap();
    fs::write(&none, format!("{header}\n")).unwrap();
    let arguments = ["report", text(&file), "--views", "depth", "--plot", text(&plot)];
    let output = polyact(&[&arguments, &["--overflow", text(&overflow), text(&none)][..]].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.lines().count() == 1, "{stderr}");
    assert!(stderr.contains("none.csv: no input left its range"), "{stderr}");
    let svg = fs::read_to_string(&plot).unwrap();
    assert_eq!((svg.matches("class=\"mark\"").count(), svg.matches("class=\"bar\"").count()), (2 + 2, 2));

    fails(&["report", text(&file), "--overflow", text(&overflow)], 2, "--overflow: it is drawn by --plot and --html");
    let refused = |bad: &Path, part: &str| fails(&[&arguments, &["--overflow", text(bad)][..]].concat(), 1, part);
    refused(&file, "a.csv, line 1: no column `index`; an overflow report");
    fs::write(&none, format!("{header}\n1,a,relu\n")).unwrap();
    refused(&none, "none.csv, line 2: 3 fields where");
}

#[test]
fn damaged_files_are_refused_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let header = COLUMNS.join(",");
    let check = |path: &str, part: &str| fails(&["report", path], 1, part);
    check("nowhere.csv", "nowhere.csv: ");
    check(&file("empty.csv", b""), "empty.csv is empty");
    check(&file("other.csv", b"a,b\n1,2\n"), "other.csv, line 1: no column `model`");
    check(&file("short.csv", format!("{header}\nnet,images\n").as_bytes()), "short.csv, line 2: 2 fields where");
    check(&file("latin.csv", &[header.as_bytes(), b"\nM\xfcnster\n"].concat()), "latin.csv, line 2: not UTF-8");
    let good = fs::read_to_string(results(folder.path(), "good.csv", &[4])).unwrap();
    check(&file("word.csv", good.replace("84.000", "good").as_bytes()), "word.csv, line 2: `good` is no top1");
    let good = folder.path().join("good.csv");
    fails(&["report", text(&good), "--plot", "figure.pdf"], 2, ".svg or .png");
    fails(
        &["report", text(&good), "--plot", text(&folder.path().join("f.svg")), "--views", "range"],
        2,
        "nothing to draw",
    );
    fails(&["report", text(&good), "--latex", "missing-folder/t.tex"], 1, "--latex missing-folder/t.tex: ");
    fails(&["report"], 2, "RESULTS.csv");
}

#[test]
fn of_a_file_that_is_cut_the_whole_rows_are_reported_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = results(folder.path(), "a.csv", &[4, 14]);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let output = polyact(&["report", text(&file)]);
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success());
    assert!(stdout.contains("paper:4 ") && !stdout.contains("paper:14"), "{stdout}");
    assert_eq!(stderr.lines().count(), 1);
    assert!(stderr.starts_with("warning: ") && stderr.contains("a.csv, line 3: cut short"), "{stderr}");
}

#[test]
fn shards_merge_into_the_file_that_one_run_would_have_written() {
    let folder = tempfile::tempdir().unwrap();
    let shards = [results(folder.path(), "0.csv", &[4, 5]), results(folder.path(), "1.csv", &[6])];
    let whole = results(folder.path(), "whole.csv", &[4, 5, 6]);
    let merged = folder.path().join("merged.csv");
    let arguments = ["report", text(&shards[0]), text(&shards[1]), "--merge", text(&merged)];
    assert_eq!(polyact_succeeds(&arguments), "");
    assert_eq!(fs::read_to_string(&merged).unwrap(), fs::read_to_string(&whole).unwrap());

    let before = fs::read(&merged).unwrap();
    let again = ["report", text(&whole), text(&shards[1]), "--merge", text(&merged)];
    fails(&again, 1, "1.csv, line 2: the run of");
    assert_eq!(fs::read(&merged).unwrap(), before, "a merge that fails leaves the file as it was");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "and nothing beside it");
}
