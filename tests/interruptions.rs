//! Runs that are interrupted, share a file, or lose the place they write to: rows that were there stay, and what is written
//! is whole.
#![cfg(feature = "libtorch")]

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{polyact, rows, text, weights};

/// Starts the program on one thread, without waiting for it.
fn start(arguments: &[&str]) -> Child {
    let threads: &[&str] = if arguments[0] == "report" { &[] } else { &["--threads", "1"] };
    let command = [env!("CARGO_BIN_EXE_polyact")].iter().chain(arguments).chain(threads).copied();
    // No run here takes as long; one that hangs is killed, and its exit code is not the one expected.
    let mut timeout = Command::new("timeout");
    timeout.args(["--foreground", "--signal=KILL", "60"]).args(command);
    timeout.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until `happened`.
fn wait_for(happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(40), "it does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends the program that `timeout` started the signal.
fn signal(timeout: &Child, signal: &str) {
    let children = format!("/proc/{0}/task/{0}/children", timeout.id());
    wait_for(|| !fs::read_to_string(&children).unwrap().trim().is_empty());
    let program = fs::read_to_string(&children).unwrap();
    assert!(Command::new("kill").args([signal, program.trim()]).status().unwrap().success());
}

fn failed(output: &Output, code: i32, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let errors = stderr.lines().filter(|line| !line.starts_with("warning: ")).count();
    assert!(stderr.contains(part) && errors == 1, "expected `{part}` in: {stderr}");
}

/// A results file with a row.
fn with_a_row(path: &Path) -> Vec<u8> {
    let vgg = weights("vgg-fashion.pt");
    let arguments = ["--relu", "exact", "--limit", "2", "--quiet", "--out", text(path)];
    common::polyact_succeeds(&[&["eval", "--model", text(&vgg)], &arguments[..]].concat());
    fs::read(path).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Ctrl-C, the end of a cluster's time, and what nothing can catch.
const SIGNALS: [(&str, i32); 3] = [("-INT", 2), ("-TERM", 15), ("-KILL", 9)];

#[test]
fn a_run_that_is_stopped_leaves_the_rows_that_were_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let before = with_a_row(&path("results.csv"));
    let (vgg, results, predictions) = (weights("vgg-fashion.pt"), path("results.csv"), path("predictions.csv"));
    let (journal, images) = (path("results.csv.journal"), path("ranges.csv.images"));
    let (fifo, ranges, tables) = (path("fifo.csv"), path("ranges.csv"), path("tables.md"));
    let old = [(&ranges, "site,kind,range,index\n"), (&tables, "### old\n")];
    old.iter().for_each(|(path, content)| fs::write(path, content).unwrap());
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let running = |name: &str| match name {
        // The first batch is done.
        "sweep" => fs::metadata(&journal).is_ok_and(|journal| journal.len() > 200),
        "eval" => predictions.exists(),
        "calibrate" => images.exists(),
        _ => true,
    };
    for (name, arguments) in [
        ("eval", vec!["--relu-range", "16", "--out", text(&results), "--predictions", text(&predictions)]),
        ("sweep", vec!["--relu-range", "16", "32", "--out", text(&results)]),
        ("calibrate", vec!["--out", text(&ranges)]),
        ("report", vec![text(&fifo), "--markdown", text(&tables)]),
    ] {
        for (option, number) in SIGNALS {
            let model: &[&str] = if name == "report" { &[] } else { &["--quiet", "--model", text(&vgg)] };
            let child = start(&[&[name], model, &arguments].concat());
            wait_for(|| running(name));
            std::thread::sleep(Duration::from_millis(700));
            signal(&child, option);
            let output = child.wait_with_output().unwrap();
            // timeout reports a signal as shells do, and one that nothing can catch by its own.
            let killed = output.status.code() == Some(128 + number) || output.status.signal() == Some(number);
            assert!(killed, "{name} {option}: {output:?}");
            assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{name} {option}: {output:?}");
            assert_eq!(fs::read(&results).unwrap(), before, "{name} {option}");
            for (path, content) in &old {
                assert_eq!(fs::read_to_string(path).unwrap(), *content, "{name} {option}");
            }
            let _ = fs::remove_file(&journal);
            let _ = fs::remove_file(&predictions);
        }
    }
    let left = ["fifo.csv", "ranges.csv", "ranges.csv.densities", "ranges.csv.images", "results.csv", "tables.md"];
    assert_eq!(names(folder.path()), left);
}

#[test]
fn runs_that_begin_a_file_together_write_one_header_and_a_row_each() {
    let folder = tempfile::tempdir().unwrap();
    let (vgg, out) = (weights("vgg-fashion.pt"), folder.path().join("results.csv"));
    let arguments = ["eval", "--model", text(&vgg), "--relu-range", "16", "--limit", "20", "--quiet"];
    let runs: Vec<Child> = (0..6).map(|_| start(&[&arguments[..], &["--out", text(&out)]].concat())).collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let rows = rows(&out);
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| common::reproducible(row) == common::reproducible(&rows[0])), "{rows:?}");
}

#[test]
fn a_second_sweep_into_the_same_file_is_refused_while_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (vgg, out) = (weights("vgg-fashion.pt"), folder.path().join("results.csv"));
    let sweep = ["sweep", "--model", text(&vgg), "--relu-range", "16", "--quiet", "--out", text(&out)];
    let first = start(&[&sweep[..], &["--limit", "1000"]].concat());
    let journal = folder.path().join("results.csv.journal");
    wait_for(|| fs::metadata(&journal).is_ok_and(|journal| journal.len() > 200));
    failed(&polyact(&[&sweep[..], &["--resume"]].concat()), 1, "another run is writing it");
    assert!(first.wait_with_output().unwrap().status.success());
    assert_eq!(rows(&out).len(), 1);
}

#[test]
fn a_folder_that_vanishes_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let gone = |name: &str| folder.path().join("gone").join(name);
    let vgg = weights("vgg-fashion.pt");
    let (out, predictions) = (gone("out.csv"), gone("predictions.csv"));
    for (name, more) in [
        ("eval", vec!["--relu-range", "16", "--out", text(&out)]),
        ("eval", vec!["--relu-range", "16", "--predictions", text(&predictions)]),
        ("sweep", vec!["--relu-range", "16", "--out", text(&out)]),
        ("calibrate", vec!["--out", text(&out)]),
    ] {
        fs::create_dir(folder.path().join("gone")).unwrap();
        let child = start(&[&[name, "--model", text(&vgg), "--limit", "600", "--quiet"], &more[..]].concat());
        wait_for(|| out.exists() || predictions.exists());
        // Another file may come in while it is emptied.
        wait_for(|| fs::remove_dir_all(folder.path().join("gone")).is_ok());
        let output = child.wait_with_output().unwrap();
        failed(&output, 1, "No such file or directory");
        let place = more[more.len() - 2..].join(" ");
        assert!(String::from_utf8_lossy(&output.stderr).contains(&place), "{output:?}");
    }
}

/// A small disk of memory.
struct Disk(PathBuf);

impl Disk {
    /// None where mounting is not allowed.
    fn new(folder: &Path) -> Option<Disk> {
        let place = folder.join("disk");
        fs::create_dir(&place).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(&place).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Disk(place))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_takes_no_part_of_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::new(folder.path()) else {
        println!("left out: no file system can be mounted here");
        return;
    };
    let path = |name: &str| disk.0.join(name);
    let (vgg, out) = (weights("vgg-fashion.pt"), path("results.csv"));
    let before = with_a_row(&out);
    let header = before.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    // Whole rows until a part of one more fits.
    let row = &before[header..];
    let many = [&before[..], &row.repeat((4096 - before.len()) / row.len())].concat();
    fs::write(&out, &many).unwrap();
    while fs::write(path("filling"), vec![0; 1 << 14]).is_ok() {}
    for (name, more, flag) in [
        ("eval", &["--out", text(&out)][..], "--out "),
        ("sweep", &["--out", text(&out)], "journal "),
        ("eval", &["--predictions", text(&path("predictions.csv"))], "--predictions "),
        ("calibrate", &["--out", text(&path("ranges.csv"))], "--out "),
        ("report", &["--markdown", text(&path("table.md"))], "--markdown "),
    ] {
        let arguments = match name {
            "report" => vec![name, text(&out)],
            "calibrate" => vec![name, "--model", text(&vgg), "--limit", "400", "--quiet"],
            _ => vec![name, "--model", text(&vgg), "--relu-range", "16", "--limit", "400", "--quiet"],
        };
        let output = polyact(&[&arguments, more].concat());
        failed(&output, 1, "No space left on device");
        assert!(String::from_utf8_lossy(&output.stderr).contains(flag), "{output:?}");
        assert_eq!(fs::read(&out).unwrap(), many);
    }
}

#[test]
fn a_strict_sweep_goes_on_once_the_broken_image_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    common::python("small_archives.py", &[text(folder.path())]);
    let photograph = fs::read(common::root().join("tests/photographs/flowers/flower.jpg")).unwrap();
    for class in ["a", "b", "c", "d", "e", "f", "g"] {
        fs::create_dir_all(path("val").join(class)).unwrap();
        fs::write(path("val").join(class).join("1.jpg"), &photograph).unwrap();
    }
    let (out, other, model) = (path("results.csv"), path("other.csv"), path("Branches.pt"));
    let broken = path("val/e/1.jpg");
    fs::write(&broken, &photograph[..photograph.len() / 2]).unwrap();
    let input = ["--resize", "12", "--crop", "12", "--batch", "1", "--strict", "--quiet"];
    let sweep = ["sweep", "--model", text(&model), "--dataset", text(&path("val"))].map(str::to_owned);
    let run = |out: &Path, resume: &[&str]| {
        let sweep: Vec<&str> = sweep.iter().map(String::as_str).collect();
        polyact(&[&sweep, &input[..], &["--relu-range", "4", "8", "--out", text(out)], resume].concat())
    };
    failed(&run(&out, &[]), 1, "image e/1.jpg: the JPEG ends early");
    failed(&run(&out, &[]), 1, "a sweep was interrupted here");
    failed(&run(&out, &["--resume"]), 1, "image e/1.jpg: the JPEG ends early");
    fs::write(&broken, &photograph).unwrap();
    for (out, resume) in [(&out, &["--resume"][..]), (&other, &[])] {
        let output = run(out, resume);
        assert!(output.status.success(), "{output:?}");
    }
    let [resumed, whole] =
        [&out, &other].map(|out| rows(out).iter().map(|row| common::reproducible(row)).collect::<Vec<_>>());
    assert_eq!(resumed, whole);
    assert_eq!(resumed.len(), 2);
    // The three batches after the broken image alone would be too few.
    assert!(rows(&out).iter().all(|row| !common::column(row, "batch_seconds_spread").is_empty()));
}

#[test]
fn a_journal_that_does_not_fit_its_sweep_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (vgg, out) = (weights("vgg-fashion.pt"), folder.path().join("results.csv"));
    let journal = folder.path().join("results.csv.journal");
    let sweep = ["sweep", "--model", text(&vgg), "--relu-range", "2", "--limit", "200", "--quiet", "--out", text(&out)];
    let child = start(&sweep);
    wait_for(|| fs::metadata(&journal).is_ok_and(|journal| journal.len() > 200));
    signal(&child, "-KILL");
    child.wait_with_output().unwrap();
    let whole = fs::read_to_string(&journal).unwrap();
    let line = whole.lines().nth(1).unwrap();
    for (from, to, part) in [
        ("\"model\":0", "\"model\":7", "belongs to another sweep"),
        ("\"site\":", "\"site\":99", "does not fit the sweep"),
        ("\"first_image\":", "\"first_image\":99999", "does not fit the sweep"),
        ("\"broken\":[]", "\"broken\":[{\"index\":99999,\"reason\":\"\"}]", "does not fit the sweep"),
        ("\"shape\"", "\"form\"", "journal"),
    ] {
        assert!(line.contains(from), "{line}");
        fs::write(&journal, whole.replacen(from, to, 1)).unwrap();
        failed(&polyact(&[&sweep[..], &["--resume"]].concat()), 1, part);
    }
    let header = whole.lines().next().unwrap();
    fs::write(&journal, format!("{header}\n{}", format!("{line}\n").repeat(5))).unwrap();
    failed(&polyact(&[&sweep[..], &["--resume"]].concat()), 1, "does not fit the sweep");
    fs::write(&journal, &whole).unwrap();
    assert!(polyact(&[&sweep[..], &["--resume"]].concat()).status.success());
}

/// Stopped by each signal after so many lines of its journal, and the last one stopped twice.
#[test]
fn a_plan_that_is_stopped_ends_in_the_bytes_of_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let resnet = weights("resnet20-fashion.pt");
    let (ranges, out, front) = (path("ranges.csv"), path("plan.toml"), path("front.csv"));
    let journal = path("plan.toml.journal");
    let images = ["--model", text(&resnet), "--holdout", "300", "--limit", "300", "--quiet"];
    let calibrate = ["calibrate", "--weight", "margin", "--margin", "0.25", "--out", text(&ranges)];
    common::polyact_succeeds(&[&calibrate[..], &images].concat());
    let given = format!("file:{}", text(&ranges));
    let mut plan = vec!["plan", "--relu-range", &given, "--ckks", "autofhe", "--out", text(&out)];
    plan.extend(["--max-loss", "2", "--swaps", "12", "--front", text(&front)]);
    plan.extend(["fitted:3/channel", "fitted:7/channel", "fitted:15"].iter().flat_map(|spec| ["--candidate", spec]));
    plan.extend(images);
    let files = || [&out, &front, &path("plan.toml.images")].map(|path| fs::read(path).unwrap());
    let resumed = [&plan[..], &["--resume"]].concat();
    let stopped_after = |lines: usize, option: &str, resume: bool| {
        let child = start(if resume { &resumed } else { &plan });
        let count = || fs::read_to_string(&journal).unwrap_or_default().lines().count();
        wait_for(|| count() >= lines);
        signal(&child, option);
        child.wait_with_output().unwrap();
        assert!(journal.exists(), "it ended before it was stopped");
    };
    let whole = polyact(&plan);
    assert!(whole.status.success() && !journal.exists(), "{whole:?}");
    let expected = files();
    // A line for the run, one for margins, and one for each plan that was measured, of which the front has the header and some twice.
    let all = fs::read_to_string(&front).unwrap().lines().count();
    for (lines, (option, _)) in [1, 4, all / 2].into_iter().zip(SIGNALS) {
        stopped_after(lines, option, false);
        if lines == all / 2 {
            failed(&polyact(&plan), 1, "a plan was interrupted here; --resume goes on");
            stopped_after(lines + 1, "-KILL", true);
        }
        // As if it had been stopped within a line.
        let cut = [fs::read(&journal).unwrap(), b"{\"plan\":{\"activ".to_vec()].concat();
        fs::write(&journal, cut).unwrap();
        for path in [&out, &front] {
            let _ = fs::remove_file(path);
        }
        let goes_on = polyact(&resumed);
        assert!(goes_on.status.success() && !journal.exists(), "{goes_on:?}");
        assert_eq!(goes_on.stdout, whole.stdout);
        assert_eq!(files(), expected);
    }
    stopped_after(4, "-KILL", false);
    let kept = fs::read_to_string(&journal).unwrap();
    let other = [&resumed[..], &["--guard", "0.5"]].concat();
    failed(&polyact(&other), 1, "plan.toml.journal belongs to another plan");
    for (content, part) in [
        (kept.replacen("\"plan\":", "\"sweep\":", 1), "belongs to another plan"),
        (kept.replacen("\"margins\":", "\"margin\":", 1), "plan.toml.journal, line 2: unknown variant"),
        ("site,range\n".to_owned(), "plan.toml.journal, line 1: "),
    ] {
        fs::write(&journal, content).unwrap();
        failed(&polyact(&resumed), 1, part);
    }
    // The budget decides nothing of what was measured.
    fs::write(&journal, &kept).unwrap();
    assert!(polyact(&[&resumed[..], &["--batch", "50", "--minimize", "depth"]].concat()).status.success());
}
