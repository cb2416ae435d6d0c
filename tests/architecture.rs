//! Calls between the folders of `src` go down only, as docs/architecture.md draws it.

use std::path::{Path, PathBuf};

mod common;

/// What each folder may use. `LEAVES` may be used by all but minimax, and use nothing.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("cli", &["report", "evaluation", "model", "dataset", "activation", "minimax"]),
    ("report", &["activation", "minimax"]),
    ("evaluation", &["model", "dataset", "activation", "minimax"]),
    ("model", &["activation"]),
    ("dataset", &[]),
    ("activation", &["minimax"]),
    ("minimax", &[]),
];
const LEAVES: [&str; 2] = ["bounded", "digest"];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn calls_go_down_only() {
    let mut crossings = 0;
    for (folder, allowed) in MAY_USE {
        for file in rust_files(&common::root().join("src").join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            for (at, _) in text.match_indices("crate::") {
                let rest = &text[at + "crate::".len()..];
                let target = rest.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_').next().unwrap();
                let is_leaf = LEAVES.contains(&target);
                if target == folder || !is_leaf && MAY_USE.iter().all(|(name, _)| *name != target) {
                    continue;
                }
                let may = allowed.contains(&target) || is_leaf && folder != "minimax";
                assert!(may, "{} uses crate::{target}", file.display());
                crossings += 1;
            }
        }
    }
    assert!(crossings > 50, "{crossings}");
    for leaf in LEAVES {
        let text = std::fs::read_to_string(common::root().join("src").join(leaf).with_extension("rs")).unwrap();
        assert!(!text.contains("crate::"), "{leaf}");
    }
}
