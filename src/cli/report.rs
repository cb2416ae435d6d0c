//! `polyact report`: results files as tables, figures and a page; the shards of a sweep as one file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::plot::{PlotFile, plot_file};
use super::{Failure, print};
use crate::report::{Comparison, SavedResults, View, figure, html, latex, markdown, merge, read, write_whole};

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
        default_value = "depth,mults,agreement,range"
    )]
    views: Vec<View>,
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
  polyact report shard-0.csv shard-1.csv --merge results.csv --html results.html";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files: Vec<SavedResults> = arguments.results.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    for file in &files {
        let path = file.path.display();
        if file.rows.is_empty() {
            eprintln!("warning: {path} has no runs");
        }
        if let Some(line) = file.cut {
            eprintln!("warning: {path}, line {line}: cut short, and left out; end it with a line break if it is whole");
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
    let figure = figure(&comparison, &arguments.views);
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

fn write(flag: &'static str, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |source| Failure::File { flag, path: path.display().to_string(), source };
    write_whole(path, bytes).map_err(failed)
}
