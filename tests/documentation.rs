//! What the pages quote of `search` and `design` is what the program prints; the manual pages have every command and flag.

mod common;

use common::{polyact_succeeds, root};

/// The console blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join(page)).unwrap();
    page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A line `…` stands for lines left out.
#[test]
fn quoted_output_is_the_output() {
    let mut blocks = [blocks("docs/mathematics.md"), blocks("docs/polynomials.md"), blocks("README.md")].concat();
    // What depends on the machine is not quoted in whole.
    blocks.retain(|block| !block.starts_with("$ polyact eval"));
    assert!(blocks.len() >= 8);
    for block in blocks {
        let (command, quoted) = block.split_once('\n').unwrap();
        let arguments: Vec<&str> = command.strip_prefix("$ polyact ").unwrap().split(' ').collect();
        let output = polyact_succeeds(&arguments);
        match quoted.split_once("…\n") {
            None => assert_eq!(quoted, output, "{command}"),
            Some((start, end)) => {
                assert!(output.starts_with(start) && output.ends_with(end), "{command}: {quoted}\n{output}");
            }
        }
    }
}

/// The figures in the text around the first block.
#[test]
fn quoted_figures_are_those_of_alpha_14() {
    use polyact::minimax::{Composite, DEFAULT_BITS, Epsilon, to_f64};
    let design = Composite::design(&[15, 27, 29], &Epsilon::Given(17.0 / 16384.0), DEFAULT_BITS).unwrap();
    let ratios = design.stages.iter().map(|stage| to_f64(&(&stage.interval.1 / &stage.interval.0)));
    let ratios: Vec<String> = ratios.map(|ratio| format!("{ratio:.1}")).collect();
    assert_eq!(ratios, ["963.8", "76.4", "3.7"]);
    let slope: f64 = design.coefficients().iter().map(|stage| stage[0]).product();
    assert_eq!(format!("{slope:.0}"), "2229");
    let page = std::fs::read_to_string(root().join("docs/mathematics.md")).unwrap();
    for figure in ["0.974 and 0.571", "ratio 964", "ratio 76", "3.7,", "7.7 \\cdot 10^{-5}", "2229"] {
        assert!(page.contains(figure), "{figure}");
    }
}

/// The rows of depths and multiplications by degree, of which the first two are the published ones.
#[test]
fn quoted_costs_are_those_of_the_tables() {
    use polyact::minimax::CostTable;
    let page = std::fs::read_to_string(root().join("docs/mathematics.md")).unwrap();
    let mut rows = 0;
    for line in page.lines() {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let title = cells.next().unwrap();
        let (name, column) = title.rsplit_once(' ').unwrap_or(("`published`", title));
        let Some(table) = CostTable::ALL.into_iter().find(|table| name == format!("`{}`", table.name())) else {
            continue;
        };
        if !line.starts_with('|') || !["depth", "multiplications"].contains(&column) {
            continue;
        }
        let quoted: Vec<u32> = cells.map(|cell| cell.parse().unwrap()).collect();
        let costs = (3..=31).step_by(2).map(|degree| table.odd_polynomial(degree));
        let costs = costs.map(|cost| if column == "depth" { cost.depth } else { cost.multiplications });
        assert_eq!(quoted, costs.collect::<Vec<u32>>(), "{title}");
        rows += 1;
    }
    assert_eq!(rows, 6);
}

#[test]
fn every_command_has_a_manual_page_with_its_flags() {
    use clap::CommandFactory;
    let folder = tempfile::tempdir().unwrap();
    polyact_succeeds(&["man", common::text(folder.path())]);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("polyact.1").contains("Exit codes: 0 done"));
    for command in polyact::cli::Cli::command().get_subcommands() {
        let page = page(&format!("polyact-{}.1", command.get_name()));
        assert!(page.contains(".TH polyact-"), "{page}");
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            let flag = format!("\\-\\-{}", flag.replace('-', "\\-"));
            assert!(page.contains(&flag), "{flag}: {page}");
        }
    }
}
