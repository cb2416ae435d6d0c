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

/// The rows of noise gains: degrees, margin, log2 of the ReLU error, gain at 1 and inside, log2 of the overshoot, scale.
#[test]
fn quoted_noise_gains_are_those_of_the_designs() {
    use polyact::minimax::{Composite, DEFAULT_BITS, Epsilon, paper_set, to_f64};
    let page = std::fs::read_to_string(root().join("docs/mathematics.md")).unwrap();
    let table = page.split("| degrees | margin |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut rows = 0;
    for line in table.lines().skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (degrees, margin) = (cells[0].split(' ').next().unwrap(), cells[1].parse().unwrap());
        let degrees: Vec<u32> = degrees.split(',').map(|degree| degree.parse().unwrap()).collect();
        let alpha = cells[0].split("(paper:").nth(1).map(|rest| rest.trim_end_matches(')').parse().unwrap());
        let epsilon = alpha.map_or(Epsilon::Best, |alpha| Epsilon::Given(paper_set(alpha).unwrap().epsilon));
        let design = Composite::with_margin(&degrees, &epsilon, margin, DEFAULT_BITS).unwrap();
        let gain = design.noise_gain();
        let error = format!("{:.3}", to_f64(&design.relu_error).log2());
        let gains = [gain.at_ends[1], gain.inside, gain.overshoot.unwrap().log2()].map(|x| format!("{x:.1}"));
        let scale = design.least_scale(1 << 16).unwrap().to_string();
        assert_eq!(cells[2..], [error, gains[0].clone(), gains[1].clone(), gains[2].clone(), scale], "{line}");
        rows += 1;
    }
    assert_eq!(rows, 11);
    // What the text says of a margin of 0.01, and of the published epsilon beside the best.
    let bits = |composite: &Composite| to_f64(&composite.relu_error).log2();
    let degrees = &[15, 27, 29];
    let best = Composite::design(degrees, &Epsilon::Best, DEFAULT_BITS).unwrap();
    let wide = Composite::with_margin(degrees, &Epsilon::Best, 0.01, DEFAULT_BITS).unwrap();
    let published = paper_set(14).unwrap().epsilon;
    let larger = Composite::design(degrees, &Epsilon::Given(published), DEFAULT_BITS).unwrap();
    let costs = [&wide, &larger].map(|composite| format!("costs {:.3} bits", bits(composite) - bits(&best)));
    assert_eq!(costs, ["costs 0.014 bits", "costs 0.042 bits"]);
    assert!(costs.iter().all(|cost| page.contains(cost)) && page.contains("is 5 % above the best"));
    assert_eq!(format!("{:.2}", published / best.epsilon), "1.05");
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
