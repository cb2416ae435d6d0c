//! Calls between the folders of `src` go down only, as docs/architecture.md draws it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod common;

/// What each folder may use. `LEAVES` may be used by all but minimax, and use nothing.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("cli", &["report", "evaluation", "model", "dataset", "activation", "fitting", "ckks", "minimax"]),
    ("report", &["activation", "minimax"]),
    ("evaluation", &["model", "dataset", "activation", "fitting", "ckks", "minimax"]),
    ("model", &["dataset", "activation", "fitting", "ckks"]),
    ("dataset", &[]),
    ("activation", &["minimax"]),
    ("fitting", &[]),
    ("ckks", &[]),
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

/// The modules that `rest` of a path begins with: `a` of `a::b`, `a` and `b` of `{a::c, b}`.
fn first_names(rest: &str) -> impl Iterator<Item = String> {
    let list = rest.strip_prefix('{').map(|list| list.split('}').next().unwrap_or(list));
    let starts: Vec<&str> = list.map_or_else(|| vec![rest], |list| list.split(',').map(str::trim).collect());
    let name = |text: &str| text.chars().take_while(|&c| c.is_ascii_lowercase() || c == '_').collect::<String>();
    let names: Vec<String> = starts.into_iter().map(name).collect();
    names.into_iter()
}

/// Of one folder of `src`, which of its files and folders names which other ones, tests left out.
fn neighbours(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = common::root().join("src").join(folder);
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let entries: Vec<PathBuf> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    let known: BTreeSet<String> = entries.iter().map(|path| name(path)).collect();
    let mut neighbours = BTreeMap::new();
    for entry in entries.iter().filter(|path| name(path) != "mod") {
        let files = if entry.is_dir() { rust_files(entry) } else { vec![entry.clone()] };
        let mut used = BTreeSet::new();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            let text = std::fs::read_to_string(file).unwrap();
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
            let up = if entry.is_dir() && name(file) != "mod" { "super::super::" } else { "super::" };
            for prefix in [up.to_owned(), format!("crate::{folder}::")] {
                for (at, _) in text.match_indices(&prefix).filter(|&(at, _)| !text[..at].ends_with("super::")) {
                    used.extend(first_names(&text[at + prefix.len()..]).filter(|name| known.contains(name)));
                }
            }
        }
        used.remove(&name(entry));
        neighbours.insert(name(entry), used);
    }
    neighbours
}

/// Two files that use each other are one idea in two places.
#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut edges = 0;
    for (folder, _) in MAY_USE {
        let mut neighbours = neighbours(folder);
        edges += neighbours.values().map(BTreeSet::len).sum::<usize>();
        // What uses nothing that is left is in no circle.
        while let Some(free) = neighbours.iter().find(|(_, used)| used.is_empty()).map(|(name, _)| name.clone()) {
            neighbours.remove(&free);
            neighbours.values_mut().for_each(|used| _ = used.remove(&free));
        }
        assert!(neighbours.is_empty(), "src/{folder}: {neighbours:?}");
    }
    assert!(edges > 100, "{edges}");
}
