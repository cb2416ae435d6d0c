//! A comparison as tables for Markdown, LaTeX and HTML: a row an activation, two columns a model.

use std::fmt::Write;

use super::comparison::{Block, Comparison, Line, Run};
use super::plot::escape;

const HEAD: [&str; 4] = ["activation", "degrees", "depth", "mults"];
const MODEL_HEAD: [&str; 2] = ["top-1", "difference"];
/// What the columns are.
const LEGEND: &str = "Top-1 accuracy in percent, difference to the exact network in points; in bold the best, and what differs \
                      from it by at most two standard errors; depth in levels and non-scalar multiplications of one activation.";

/// The most models beside each other: twelve columns are as wide as a page.
const MODELS: usize = 4;

/// Some models of a block, few enough to stand beside each other.
struct Part<'a> {
    block: &'a Block,
    label: String,
    /// Of each model its place in the comparison, its name and its exact top-1.
    models: Vec<(usize, &'a str, f64)>,
}

/// The blocks, those of many models in parts that differ by one model at most.
fn parts(comparison: &Comparison) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for block in &comparison.blocks {
        let models = comparison.models.iter().zip(&block.exact).enumerate();
        let models: Vec<_> =
            models.filter_map(|(i, (model, exact))| Some((i, model.label.as_str(), (*exact)?))).collect();
        let (count, tables) = (models.len(), models.len().div_ceil(MODELS).max(1));
        for table in 0..tables {
            let (begin, end) = (table * count / tables, (table + 1) * count / tables);
            let label = match tables {
                1 => block.label.clone(),
                _ => format!("{}, networks {} to {end} of {count}", block.label, begin + 1),
            };
            parts.push(Part { block, label, models: models[begin..end].to_vec() });
        }
    }
    parts
}

impl Part<'_> {
    /// The lines in which one of the models has a run.
    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.block.lines.iter().filter(|line| self.runs(line).any(|run| run.is_some()))
    }

    /// The runs of `line`, one for each model.
    fn runs<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = Option<&'a Run>> {
        self.models.iter().map(|&(model, ..)| line.runs[model].as_ref())
    }

    /// Whose inputs left the range, and for how many images.
    fn note(&self) -> Option<String> {
        let models = self.models.iter().filter_map(|&(model, label, _)| {
            let runs = self.block.lines.iter().filter_map(|line| Some((line, line.runs[model].as_ref()?)));
            let left = runs.filter(|(_, run)| left_range(Some(run)));
            let counts: Vec<String> =
                left.map(|(line, run)| format!("{} of {}", run.overflow_images, line.activation)).collect();
            (!counts.is_empty()).then(|| format!("{label}: {}", counts.join(", ")))
        });
        let models: Vec<String> = models.collect();
        (!models.is_empty()).then(|| format!("Images with an input out of range. {}.", models.join("; ")))
    }

    /// What a reader must know besides.
    fn remarks(&self, comparison: &Comparison) -> Vec<String> {
        [self.remaining(comparison), self.precision()].into_iter().flatten().collect()
    }

    /// How precise the results of all sites must be.
    fn precision(&self) -> Option<String> {
        let models = self.models.iter().filter_map(|&(model, label, _)| {
            let bits = |line: &Line| {
                line.runs[model].as_ref()?.precision_bits.map(|bits| format!("{bits:.1} with {}", line.activation))
            };
            let all: Vec<String> = self.block.lines.iter().filter_map(bits).collect();
            (!all.is_empty()).then(|| format!("{label}: {}", all.join(", ")))
        });
        let models: Vec<String> = models.collect();
        (!models.is_empty()).then(|| {
            format!("Bits of precision at every site for 99.9 % of the calibration's decisions. {}.", models.join("; "))
        })
    }

    /// What stays exact in the networks though it would not run under encryption.
    fn remaining(&self, comparison: &Comparison) -> Option<String> {
        let operators = |&(model, label, _): &(usize, &str, f64)| match comparison.models[model].remaining.as_str() {
            "" => None,
            operators => Some(format!("{label}: {operators}")),
        };
        let models: Vec<String> = self.models.iter().filter_map(operators).collect();
        (!models.is_empty()).then(|| format!("Not polynomial, and left exact. {}.", models.join("; ")))
    }
}

/// The tables in Markdown, each under a heading.
pub fn markdown(comparison: &Comparison) -> String {
    let tables = parts(comparison).into_iter().map(|part| {
        let mut text = format!("### {}\n\n", markdown_text(&part.label));
        let mut header: Vec<String> = HEAD.map(str::to_owned).to_vec();
        for (_, label, exact) in &part.models {
            header.push(format!("{}, exact {exact:.3}: {}", markdown_text(label), MODEL_HEAD[0]));
            header.push(MODEL_HEAD[1].to_owned());
        }
        let rule = (0..header.len()).map(|i| if i < 2 { "---" } else { "--:" });
        let _ = write!(text, "| {} |\n|{}|\n", header.join(" | "), rule.collect::<Vec<_>>().join("|"));
        for line in part.lines() {
            let mut cells: Vec<String> = head(line).iter().map(|cell| markdown_text(cell)).collect();
            for run in part.runs(line) {
                let [top1, difference] = numbers(run, "−");
                let top1 = if is_best(run) { format!("**{top1}**") } else { top1 };
                cells.extend([top1 + if left_range(run) { "†" } else { "" }, difference]);
            }
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        let note = part.note().map(|note| format!("\n† {}\n", markdown_text(&note))).unwrap_or_default();
        let remarks =
            part.remarks(comparison).iter().map(|text| format!("\n{}\n", markdown_text(text))).collect::<String>();
        text + &note + &remarks + "\n"
    });
    tables.collect::<String>() + LEGEND + "\n"
}

/// The tables in LaTeX, each an environment `table`; needs the package booktabs.
pub fn latex(comparison: &Comparison) -> String {
    let mut text = "% needs \\usepackage{booktabs}\n".to_owned();
    for part in parts(comparison) {
        let (mut models, mut rules) = (" & & & ".to_owned(), String::new());
        for (i, (_, label, _)) in part.models.iter().enumerate() {
            let _ = write!(models, "& \\multicolumn{{2}}{{c}}{{{}}} ", latex_text(label));
            let _ = write!(rules, "\\cmidrule(lr){{{}-{}}}", 5 + 2 * i, 6 + 2 * i);
        }
        let titles = HEAD.iter().chain(part.models.iter().flat_map(|_| &MODEL_HEAD));
        let exact: String = part.models.iter().map(|(.., exact)| format!(" & {exact:.3} &")).collect();
        let _ = write!(
            text,
            "\\begin{{table}}\n  \\centering\n  \\caption{{{}. {LEGEND}}}\n  \\begin{{tabular}}{{llrr{}}}\n    \\toprule\n    \
             {models}\\\\\n    {rules}\n    {} \\\\\n    exact & & &{exact} \\\\\n    \\midrule\n",
            latex_text(&part.label),
            "rr".repeat(part.models.len()),
            titles.copied().collect::<Vec<_>>().join(" & "),
        );
        for line in part.lines() {
            let mut cells: Vec<String> = head(line).iter().map(|cell| latex_text(cell)).collect();
            for run in part.runs(line) {
                let [top1, difference] = numbers(run, "$-$");
                let top1 = if is_best(run) { format!("\\textbf{{{top1}}}") } else { top1 };
                cells.extend([top1 + if left_range(run) { "\\rlap{$^\\dagger$}" } else { "" }, difference]);
            }
            let _ = writeln!(text, "    {} \\\\", cells.join(" & "));
        }
        text += "    \\bottomrule\n  \\end{tabular}\n";
        if let Some(note) = part.note() {
            let _ = writeln!(text, "\n  \\medskip\\footnotesize $^\\dagger$ {}", latex_text(&note));
        }
        for remark in part.remarks(comparison) {
            let _ = writeln!(text, "\n  \\medskip\\footnotesize {}", latex_text(&remark));
        }
        text += "\\end{table}\n";
    }
    text
}

/// The tables in HTML, each under a heading.
pub(super) fn html(comparison: &Comparison) -> String {
    let mut text = format!("<p>{LEGEND}</p>\n");
    for part in parts(comparison) {
        let _ = writeln!(text, "<h2>{}</h2>\n<table>\n<thead>\n<tr>{}", escape(&part.label), "<th></th>".repeat(4));
        for (_, label, exact) in &part.models {
            let _ = writeln!(text, "<th colspan=\"2\">{}<br/>exact {exact:.3}</th>", escape(label));
        }
        let titles = HEAD.iter().chain(part.models.iter().flat_map(|_| &MODEL_HEAD));
        let titles: String = titles.map(|title| format!("<th>{title}</th>")).collect();
        let _ = writeln!(text, "</tr>\n<tr>{titles}</tr>\n</thead>\n<tbody>");
        for line in part.lines() {
            let mut cells: String = head(line).iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            for run in part.runs(line) {
                let [top1, difference] = numbers(run, "−");
                let top1 = if is_best(run) { format!("<b>{top1}</b>") } else { top1 };
                let dagger = if left_range(run) { "†" } else { "" };
                let _ = write!(cells, "<td>{top1}{dagger}</td><td>{difference}</td>");
            }
            let _ = writeln!(text, "<tr>{cells}</tr>");
        }
        let note = part.note().map(|note| format!("<p>† {}</p>\n", escape(&note))).unwrap_or_default();
        let remarks: String =
            part.remarks(comparison).iter().map(|text| format!("<p>{}</p>\n", escape(text))).collect();
        let _ = write!(text, "</tbody>\n</table>\n{note}{remarks}");
    }
    text
}

fn head(line: &Line) -> [String; 4] {
    let count = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    [line.activation.clone(), line.degrees.clone(), count(line.depth), count(line.mults)]
}

/// Top-1 and difference, with this sign for minus; empty without a run.
fn numbers(run: Option<&Run>, minus: &str) -> [String; 2] {
    let Some(run) = run else { return [String::new(), String::new()] };
    let difference = format!("{:+.3}", run.top1_diff);
    let difference = if run.top1_diff == 0.0 { "0.000".to_owned() } else { difference.replace('-', minus) };
    [format!("{:.3}", run.top1), difference]
}

fn is_best(run: Option<&Run>) -> bool {
    run.is_some_and(|run| run.best)
}

fn left_range(run: Option<&Run>) -> bool {
    run.is_some_and(|run| run.overflow_images > 0)
}

fn markdown_text(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if "\\`*_[]<>|&".contains(character) {
            escaped.push('\\');
        }
        escaped.push(if character.is_control() { ' ' } else { character });
    }
    escaped
}

/// `text` in commands that every encoding of fonts has, the old OT1 included, which has no straight quotes and ends with the
/// accents of western Europe. What it has no sign for is told by its code.
fn latex_text(text: &str) -> String {
    let mut escaped = String::new();
    let mut before = None;
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', character]),
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' => escaped += "\\textless{}",
            '>' => escaped += "\\textgreater{}",
            '|' => escaped += "\\textbar{}",
            '"' => escaped += "\\texttt{\\char34}",
            // In brackets, what begins a line would be an option of the end of the line before.
            '[' => escaped += "{[}",
            // Two of these become one sign.
            '-' | '\'' | '`' | ',' if before == Some(character) => escaped.extend(['{', '}', character]),
            '−' => escaped += "$-$",
            '–' => escaped += "--",
            'α' => escaped += "$\\alpha$",
            'ε' => escaped += "$\\varepsilon$",
            ' '..='~' => escaped.push(character),
            'À'..='ÿ' if !"ÐðÞþ×÷".contains(character) => escaped.push(character),
            _ if character.is_control() => escaped.push(' '),
            _ => escaped += &format!("\\texttt{{U+{:04X}}}", u32::from(character)),
        }
        before = Some(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Row, samples};

    /// Two models, two activations, two ranges; names that mean something in each of the three languages.
    fn comparison(name: &str) -> Comparison {
        let mut rows = Vec::new();
        for (model, exact) in [(name, 93.58), ("vgg", 93.89)] {
            for (relu, depth, mults, top1) in [("paper:14", 15, 30, 93.57), ("paper:4", 4, 4, 10.0)] {
                for range in [16.0, 20.5f64] {
                    rows.push(Row {
                        relu_range: Some(range.to_string()),
                        overflow_images: usize::from(relu == "paper:4" && model == "vgg"),
                        ..samples::run(model, relu, (depth, mults), top1 + range / 1000.0, exact)
                    });
                }
            }
        }
        Comparison::of(&[samples::saved("a.csv", &rows)]).unwrap()
    }

    #[test]
    fn the_precision_that_is_needed_is_told_of_each_network() {
        let mut rows = [("resnet", "fitted:31"), ("resnet", "fitted:15"), ("vgg", "fitted:31"), ("vgg", "paper:7")]
            .map(|(model, relu)| samples::run(model, relu, (5, 11), 93.0, 93.5));
        for (row, bits) in rows.iter_mut().zip([Some(10.98), Some(11.04), Some(9.0), None]) {
            row.precision_bits = bits;
        }
        let comparison = Comparison::of(&[samples::saved("a.csv", &rows)]).unwrap();
        let said = "Bits of precision at every site for 99.9 % of the calibration's decisions. resnet: 11.0 with fitted:15, \
                    11.0 with fitted:31; vgg: 9.0 with fitted:31.";
        assert!(markdown(&comparison).contains(said), "{}", markdown(&comparison));
        assert!(html(&comparison).contains(&escape(said)));
        assert!(latex(&comparison).contains("99.9 \\%"));
    }

    #[test]
    fn markdown_has_a_table_a_range_with_the_values_of_the_file() {
        let text = markdown(&comparison("resnet"));
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("### ")).collect();
        assert_eq!(headings, ["### data, 1000 images, range 16", "### data, 1000 images, range 20.5"]);
        assert!(text.contains("| resnet, exact 93.580: top-1 | difference | vgg, exact 93.890: top-1 | difference |"));
        assert!(text.contains("| paper:4 | 5 | 4 | 4 | 10.016 | −83.564 | 10.016† | −83.874 |"), "{text}");
        assert!(
            text.contains("| paper:14 | 15,27,29 | 15 | 30 | **93.586** | +0.006 | **93.586** | −0.304 |"),
            "{text}"
        );
        assert!(text.contains("† Images with an input out of range. vgg: 1 of paper:4."));
    }

    #[test]
    fn what_stays_exact_is_told_below_each_table() {
        let row = samples::run("vit", "paper:4", (4, 4), 90.0, 91.0);
        let row = Row { not_polynomial_ops: Some("aten::softmax x12, aten::gelu".into()), ..row };
        let older = Row { not_polynomial_ops: None, ..samples::run("vit", "paper:5", (5, 5), 90.5, 91.0) };
        let comparison = Comparison::of(&[samples::saved("a.csv", &[row, older])]).unwrap();
        let told = "Not polynomial, and left exact. vit: aten::softmax x12, aten::gelu.";
        for text in [markdown(&comparison), latex(&comparison), html(&comparison)] {
            assert_eq!(text.matches(told).count(), 1, "{text}");
        }
    }

    #[test]
    fn names_cannot_break_the_markdown() {
        let text = markdown(&comparison("a|b`c*d_e<i>[f](g)\n\\"));
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 2 * 4);
        for row in rows {
            let bare = row.replace("\\\\", "").replace("\\|", "");
            assert_eq!(bare.matches('|').count(), 9, "{row}");
        }
    }

    #[test]
    fn names_cannot_break_the_latex() {
        for name in ["resnet_20", "a&b%c$d#e_f{g}h~i^j\\k<l>m|n\"o", "}}{{", "\\"] {
            let text = latex(&comparison(name));
            let mut depth = 0i32;
            let mut characters = text.chars();
            while let Some(character) = characters.next() {
                match character {
                    '\\' => drop(characters.next()),
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                assert!(depth >= 0, "{name}: {text}");
            }
            assert_eq!(depth, 0, "{name}: {text}");
            let rows: Vec<&str> =
                text.lines().filter(|line| line.contains("paper:")).filter(|l| l.ends_with("\\\\")).collect();
            assert_eq!(rows.len(), 4);
            assert!(rows.iter().all(|row| row.matches(" & ").count() == 7), "{rows:?}");
            assert_eq!(text.matches("\\begin{table}").count(), text.matches("\\end{table}").count());
            assert_eq!(text.matches("\\textbf{93.586}").count(), 2);
        }
    }

    #[test]
    fn the_latex_needs_no_other_encoding_than_the_oldest() {
        for (text, expected) in [
            ("say \"this\"", "say \\texttt{\\char34}this\\texttt{\\char34}"),
            ("a--b''c", "a-{}-b'{}'c"),
            ("[x] Müller", "{[}x] Müller"),
            ("字, α = 4\t−1", "\\texttt{U+5B57}, $\\alpha$ = 4 $-$1"),
            ("ð\u{301}", "\\texttt{U+00F0}\\texttt{U+0301}"),
        ] {
            assert_eq!(latex_text(text), expected);
        }
        assert!(!latex(&comparison("\"quoted\"")).contains("textquotedbl"));
    }

    /// Of many models each stands in one table, and no table is wider than a page.
    #[test]
    fn many_models_stand_in_several_tables() {
        let run = |i: usize| samples::run(&format!("net{i:02}"), "paper:4", (4, 4), 90.0, 91.0);
        let mut rows: Vec<Row> = (0..22).map(run).collect();
        rows.push(samples::run("net21", "paper:14", (15, 30), 91.0, 91.0));
        let many = Comparison::of(&[samples::saved("a.csv", &rows)]).unwrap();
        let text = markdown(&many);
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("### ")).collect();
        assert_eq!(headings.len(), 6);
        assert_eq!(headings[1], "### data, 1000 images, range 16, networks 4 to 7 of 22");
        let count = |name: &str, from: &str| from.matches(name).count();
        for text in [text.clone(), latex(&many), html(&many)] {
            assert!((0..22).all(|i| count(&format!("net{i:02}"), &text) == 1), "{text}");
            // A line stands only where one of the models has a run.
            assert_eq!((count("paper:14", &text), count("paper:4", &text)), (1, 6));
        }
        assert!(text.lines().filter(|line| line.starts_with('|')).all(|line| count("|", line) <= 1 + 4 + 2 * MODELS));
    }

    #[test]
    fn html_is_well_formed_and_has_the_values() {
        let text = format!("<main>{}</main>", html(&comparison("<script>&\"")));
        let document = roxmltree::Document::parse(&text).unwrap();
        let count = |name| document.descendants().filter(|node| node.has_tag_name(name)).count();
        assert_eq!((count("table"), count("td"), count("b"), count("script")), (2, 2 * 2 * 8, 4, 0));
        let cells: Vec<&str> =
            document.descendants().filter(|n| n.has_tag_name("td")).filter_map(|n| n.text()).collect();
        assert!(cells.contains(&"10.016†") && cells.contains(&"−83.874"), "{cells:?}");
    }
}
