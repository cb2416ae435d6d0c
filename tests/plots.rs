//! Figures as the built program writes them.

mod common;

use std::fs;
use std::path::Path;

use common::{fails, polyact_succeeds, text};
use resvg::{tiny_skia::Rect, usvg};

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

/// The boxes around all words and numbers of a figure, and around its marks.
fn boxes(group: &usvg::Group, words: &mut Vec<Rect>, marks: &mut Vec<Rect>) {
    for node in group.children() {
        match node {
            usvg::Node::Group(group) => boxes(group, words, marks),
            // Words are filled, marks filled and stroked, everything else is stroked or the background.
            usvg::Node::Path(path) => match (path.fill(), path.stroke()) {
                (Some(fill), None) if fill.paint() != &usvg::Paint::Color(usvg::Color::white()) => {
                    words.push(path.abs_bounding_box());
                }
                // The lines of the grid are flat.
                (Some(_), Some(_)) if path.data().bounds().width() * path.data().bounds().height() > 0.0 => {
                    marks.push(path.abs_bounding_box());
                }
                _ => {}
            },
            _ => {}
        }
    }
}

#[test]
fn no_words_lie_on_others_or_on_marks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("figure.svg");
    for degrees in ["5", "15,15", "15,27,29", "63,63,15,63", "3,5,7,9,11,3,5", "127,3"] {
        polyact_succeeds(&["design", "--degrees", degrees, "--epsilon", "0.01", "--plot", text(&path)]);
        check_words(&path, degrees);
    }
    // Errors close to each other crowd the labels at the curves.
    for targets in [["--alpha", "4..10"], ["--error", "9.2e-3,9e-3,8.2e-3,8e-3,7.5e-3,6.7e-3,6e-3,5.5e-3,5e-3"]] {
        polyact_succeeds(&["search", "--front", targets[0], targets[1], "--plot", text(&path)]);
        check_words(&path, targets[1]);
    }
}

fn check_words(path: &Path, what: &str) {
    let tree = usvg::Tree::from_str(&fs::read_to_string(path).unwrap(), &usvg::Options::default()).unwrap();
    let (mut words, mut marks) = (Vec::new(), Vec::new());
    boxes(tree.root(), &mut words, &mut marks);
    assert!(words.len() > 15 && marks.len() > 3, "{what}: {} words, {} marks", words.len(), marks.len());
    for (i, word) in words.iter().enumerate() {
        // Neighbouring letters of one label may come this close to each other.
        const NEAR: f32 = 0.4;
        let (left, top) = (word.left() + NEAR, word.top() + NEAR);
        let Some(core) = Rect::from_ltrb(left, top, word.right() - NEAR, word.bottom() - NEAR) else { continue };
        for other in words[..i].iter().chain(&words[i + 1..]).chain(&marks) {
            assert!(core.intersect(other).is_none(), "{what}: {core:?} {other:?}");
        }
    }
}
