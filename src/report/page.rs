//! A comparison as one HTML page that needs nothing but itself.

use std::fmt::Write;

use super::comparison::Comparison;
use super::plot::{Figure, escape};
use super::reader::SavedResults;
use super::tables;

const STYLE: &str = "\
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; font-variant-numeric: tabular-nums; }
thead { border-bottom: 1px solid; } th, td { padding: .15rem .7rem; text-align: right; vertical-align: top; }
th[colspan] { text-align: center; } th:nth-child(-n+2):not([colspan]), td:nth-child(-n+2), .settings * { text-align: left; }
p { font-size: .85rem; color: #555; } code { font-size: .8rem; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } table, svg { break-inside: avoid; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } h2 { break-after: avoid; } }
";

/// The page: tables, figure, and of which files, models and images they are.
pub fn html(comparison: &Comparison, figure: &Figure, files: &[SavedResults]) -> String {
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" \
         content=\"width=device-width\"/>\n<title>polyact report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Accuracy with polynomial activations</h1>\n"
    );
    text += &tables::html(comparison);
    if !figure.rows.is_empty() {
        let _ = write!(text, "<h2>Figures</h2>\n{}", figure.svg());
    }
    let models = comparison
        .models
        .iter()
        .map(|model| [model.label.clone(), format!("{}, {}", model.device, model.dtype), model.sha256.clone()]);
    text += &settings("Models", ["model", "ran on", "SHA-256"], models);
    let mut datasets: Vec<[String; 4]> = Vec::new();
    for block in &comparison.blocks {
        let (name, images, sha256, preparation) = block.inputs();
        let dataset = [name.to_owned(), images.to_string(), preparation.to_owned(), sha256.to_owned()];
        if !datasets.contains(&dataset) {
            datasets.push(dataset);
        }
    }
    text += &settings("Images", ["dataset", "images", "input", "SHA-256"], datasets.into_iter());
    let files = files.iter().map(|file| {
        let mut versions: Vec<&str> = file.rows.iter().map(|row| file.field(row, "version")).collect();
        versions.sort_unstable();
        versions.dedup();
        [file.path.display().to_string(), file.rows.len().to_string(), versions.join(", ")]
    });
    text += &settings("Files", ["results", "runs", "polyact"], files);
    for warning in &comparison.warnings {
        let _ = writeln!(text, "<p>{}</p>", escape(warning));
    }
    text + "</body>\n</html>\n"
}

/// A table of which the last column is code.
fn settings<const N: usize>(title: &str, head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut text = format!("<h2>{title}</h2>\n<table class=\"settings\">\n<thead><tr>");
    head.iter().for_each(|cell| text += &format!("<th>{cell}</th>"));
    text += "</tr></thead>\n<tbody>\n";
    for row in rows {
        let cell = |(i, cell): (usize, &String)| match escape(cell) {
            value if i + 1 == N => format!("<td><code>{value}</code></td>"),
            name => format!("<td>{name}</td>"),
        };
        let _ = writeln!(text, "<tr>{}</tr>", row.iter().enumerate().map(cell).collect::<String>());
    }
    text + "</tbody>\n</table>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{View, figure, samples};

    /// HTML that is XML too, apart from the doctype: nothing is left open, whatever the names are.
    #[test]
    fn the_page_stands_alone_and_is_well_formed() {
        let name = "<net> & \"co\"";
        let rows =
            [("paper:4", 4), ("paper:14", 15)].map(|(relu, depth)| samples::run(name, relu, (depth, 4), 90.0, 91.0));
        let files = [samples::saved("a.csv", &rows)];
        let comparison = Comparison::of(&files).unwrap();
        let page = html(&comparison, &figure(&comparison, &[View::Depth, View::Mults]), &files);
        let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        let document = roxmltree::Document::parse(body).unwrap();
        let count = |name| document.descendants().filter(|node| node.tag_name().name() == name).count();
        assert_eq!((count("table"), count("svg"), count("script"), count("link"), count("img")), (4, 1, 0, 0, 0));
        let links = ["href", "src"];
        assert!(!document.descendants().any(|node| links.iter().any(|link| node.has_attribute(*link))));
        let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
        for text in [name, "of data", "of <net> & \"co\"", "a.csv", "1000"] {
            assert!(texts.contains(&text), "{text}: {texts:?}");
        }
    }
}
