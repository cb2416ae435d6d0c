//! Figures as the built program writes them.

mod common;

use std::fs;

use common::{fails, polyact_succeeds, text};

#[test]
fn design_draws_svg_and_png_beside_what_it_prints() {
    let folder = tempfile::tempdir().unwrap();
    let plain = polyact_succeeds(&["design", "--alpha", "7"]);
    for name in ["figure.svg", "figure.png"] {
        let path = folder.path().join(name);
        assert_eq!(polyact_succeeds(&["design", "--alpha", "7", "--plot", text(&path)]), plain);
        let bytes = fs::read(&path).unwrap();
        if name.ends_with("svg") {
            let svg = String::from_utf8(bytes).unwrap();
            let document = roxmltree::Document::parse(&svg).unwrap();
            assert!(document.descendants().any(|node| node.attribute("aria-label") == Some("Stage 2: degree 7")));
        } else {
            assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
        }
    }
    // The table has the error of ReLU as a line of blocks, the worst of them at full height.
    assert!(
        plain.lines().any(|line| line.trim_start().chars().all(|c| ('▁'..='█').contains(&c)) && line.contains('█'))
    );
}

#[test]
fn a_plot_that_cannot_be_written_ends_the_command_before_its_work() {
    for name in ["figure.pdf", "figure"] {
        fails(&["design", "--alpha", "7", "--plot", name], 2, ".svg or .png");
    }
    fails(&["design", "--alpha", "7", "--plot", "missing-folder/figure.svg"], 1, "--plot missing-folder/figure.svg: ");
}
