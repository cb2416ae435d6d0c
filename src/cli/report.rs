//! `polyact report`: results files as tables, figures and a page; the shards of a sweep as one file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Files, write};
use super::plot::{FIGURES, PlotFile, plot_file};
use super::{Failure, print};
use crate::report::{Comparison, Overflow, SavedResults, View, figure, html, latex, markdown, merge, read};

/// Turn results files into tables, figures and a page, or into one file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Results files, as `polyact eval --out` writes them; those of older versions too
    #[arg(required = true, value_name = "RESULTS.csv")]
    results: Vec<PathBuf>,
    /// Write the tables in Markdown to FILE [default: to stdout, if nothing else is asked for]
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the tables in LaTeX to FILE; they need the package booktabs
    #[arg(long, value_name = "FILE")]
    latex: Option<PathBuf>,
    /// Draw accuracy and agreement into FILE.svg or FILE.png
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    plot: Option<PlotFile>,
    /// What to draw; what the results say nothing about is left out
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "VIEW,…",
        default_value = "depth,mults,lost,agreement,range"
    )]
    views: Vec<View>,
    /// Add to --plot and --html, for each of these files of `polyact eval --overflow-report`, the sites at which images left
    /// their range, and the ranges needed
    #[arg(long, value_name = "overflow.csv", num_args = 1..)]
    overflow: Vec<PathBuf>,
    /// Write a page with tables, figure, settings and digests to FILE; it needs no other file and no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Join the shards of one sweep into FILE; a run that is there twice is refused
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  polyact report results.csv
  polyact report results.csv --latex table.tex --plot accuracy.svg --views depth,range
  polyact report results.csv --overflow overflow.csv --html results.html
  polyact report shard-0.csv shard-1.csv --merge results.csv --html results.html";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.overflow.is_empty() && arguments.plot.is_none() && arguments.html.is_none() {
        return Err(Failure::Usage("--overflow: it is drawn by --plot and --html; give one of these".to_owned()));
    }
    Files::default()
        .reads_all("the command", arguments.results.iter().map(PathBuf::as_path))
        .reads_all("--overflow", arguments.overflow.iter().map(PathBuf::as_path))
        .writes("--merge", arguments.merge.as_deref(), &[b"model,dataset,"])
        .writes("--plot", arguments.plot.as_ref().map(PlotFile::path), FIGURES)
        .writes("--markdown", arguments.markdown.as_deref(), &[b"### "])
        .writes("--latex", arguments.latex.as_deref(), &[b"% needs", b"\\begin{table}"])
        .writes("--html", arguments.html.as_deref(), &[b"<!DOCTYPE html>"])
        .check()?;
    let files: Vec<SavedResults> = arguments.results.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    for file in &files {
        let path = file.path.display();
        if file.rows.is_empty() {
            eprintln!("warning: {path} has no runs");
        }
        warn_of_cut(&file.path, file.cut);
    }
    let overflows: Vec<Overflow> =
        arguments.overflow.iter().map(|path| Overflow::read(path)).collect::<Result<_, _>>()?;
    for (path, overflow) in arguments.overflow.iter().zip(&overflows) {
        warn_of_cut(path, overflow.cut);
        if overflow.is_empty() {
            eprintln!("warning: {}: no input left its range, so there is nothing to draw", path.display());
        }
    }
    if let Some(path) = &arguments.merge {
        write("--merge", path, &merge(&files)?)?;
    }
    let (markdown_to, latex_to, html_to) = (&arguments.markdown, &arguments.latex, &arguments.html);
    let shown = markdown_to.is_some() || latex_to.is_some() || html_to.is_some() || arguments.plot.is_some();
    if arguments.merge.is_some() && !shown {
        return Ok(());
    }

    let comparison = Comparison::of(&files)?;
    comparison.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    let mut figure = figure(&comparison, &arguments.views);
    figure.rows.extend(overflows.iter().filter(|overflow| !overflow.is_empty()).map(Overflow::panels));
    if let Some(file) = &arguments.plot {
        if figure.rows.is_empty() {
            return Err(Failure::Usage("--plot: the results have nothing to draw for --views".to_owned()));
        }
        file.write(&figure)?;
    }
    if let Some(path) = markdown_to {
        write("--markdown", path, markdown(&comparison).as_bytes())?;
    }
    if let Some(path) = latex_to {
        write("--latex", path, latex(&comparison).as_bytes())?;
    }
    if let Some(path) = html_to {
        write("--html", path, html(&comparison, &figure, &files).as_bytes())?;
    }
    if shown { Ok(()) } else { print(&markdown(&comparison)) }
}

fn warn_of_cut(path: &Path, line: Option<u64>) {
    if let Some(line) = line {
        let path = path.display();
        eprintln!("warning: {path}, line {line}: cut short, and left out; end it with a line break if it is whole");
    }
}
