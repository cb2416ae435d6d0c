//! Runs beside each other, in the shape of the paper's tables: a row an activation, a column a model.

use super::reader::{ReadError, SavedResults, SavedRow};
use crate::activation::Spec;

/// The runs of some results files.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// In the order in which the files have them first.
    pub models: Vec<Model>,
    pub blocks: Vec<Block>,
    /// What a reader should know about the files; a sentence each.
    pub warnings: Vec<String>,
}

/// A network and where it ran.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name, and what else tells it from others of that name.
    pub label: String,
    pub name: String,
    pub sha256: String,
    pub device: String,
    pub dtype: String,
    /// Operators that are not polynomial and stayed exact, as the column `not_polynomial_ops` has them.
    pub remaining: String,
}

/// All runs on the same images with the same range.
#[derive(Debug, Clone)]
pub struct Block {
    /// Dataset, images and range, and what else tells the block from others.
    pub label: String,
    pub dataset: String,
    pub images: u64,
    pub dataset_sha256: String,
    /// How images became inputs, `3x224x224, resize 256 bilinear, crop 224, …`; empty in files of versions that do not say it.
    pub preparation: String,
    /// The bound B, or the file that has one for each site; empty where a plan has them all.
    pub range: String,
    /// Whether inputs beyond it were clipped.
    pub clipped: bool,
    /// The exact top-1 in percent of each model, where it has a run here.
    pub exact: Vec<Option<f64>>,
    /// By depth, then multiplications.
    pub lines: Vec<Line>,
}

/// One activation.
#[derive(Debug, Clone)]
pub struct Line {
    /// What stands in for ReLU and max.
    pub activation: String,
    /// The degrees of its stages; empty where the activation does not say them.
    pub degrees: String,
    pub depth: Option<u32>,
    pub mults: Option<u32>,
    /// A run of each model.
    pub runs: Vec<Option<Run>>,
}

/// What came out of a run, in percent.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub top1: f64,
    pub top1_diff: f64,
    pub agreement: f64,
    /// Images with an input out of range.
    pub overflow_images: u64,
    /// Bits of precision that the results of all sites need; empty where the file does not tell.
    pub precision_bits: Option<f64>,
    /// Images of which this run and the exact network do not both have the label or both miss it; at most so many where the
    /// file does not count them.
    differing: f64,
    /// No other activation of this block has a better top-1 for this model, or none that is better beyond chance.
    pub best: bool,
    /// File and line.
    place: String,
}

impl Block {
    /// What its networks were given: dataset, number of images, their digest, and how they were prepared.
    pub(super) fn inputs(&self) -> (&str, u64, &str, &str) {
        (&self.dataset, self.images, &self.dataset_sha256, &self.preparation)
    }
}

impl Comparison {
    /// The runs of `files` side by side. Where two runs differ in nothing that a table shows, the later one stands.
    ///
    /// # Errors
    /// [`ReadError::Value`]: a field that is no number.
    pub fn of(files: &[SavedResults]) -> Result<Comparison, ReadError> {
        let mut comparison = Comparison::default();
        for file in files {
            for row in &file.rows {
                comparison.add(file, row)?;
            }
        }
        comparison.finish();
        Ok(comparison)
    }

    fn add(&mut self, file: &SavedResults, row: &SavedRow) -> Result<(), ReadError> {
        let text = |column| file.field(row, column).to_owned();
        let (relu, maxpool) = (text("relu"), text("maxpool"));
        let place = format!("{} line {}", file.path.display(), row.line);
        let plan = text("plan");
        let exact = |spec: &str| spec.is_empty() || spec == "exact";
        if exact(&relu) && exact(&maxpool) && plan.is_empty() {
            self.warnings.push(format!("{place}: nothing is approximated; it stands in no table"));
            return Ok(());
        }
        let model = Model {
            label: String::new(),
            name: joined([text("model"), labelled("output ", &text("output"))]),
            sha256: text("model_sha256"),
            device: text("device"),
            dtype: text("dtype"),
            remaining: text("not_polynomial_ops"),
        };
        let key = |model: &Model| [&model.name, &model.sha256, &model.device, &model.dtype].map(String::clone);
        let remaining = model.remaining.clone();
        let model = position_or_push(&mut self.models, model, |a, b| key(a) == key(b));
        // Files of older versions do not say it.
        if !remaining.is_empty() {
            self.models[model].remaining = remaining;
        }
        let block = Block {
            label: String::new(),
            dataset: text("dataset"),
            images: file.required(row, "images")?,
            dataset_sha256: text("dataset_sha256"),
            preparation: joined([
                text("input"),
                labelled("resize ", &text("resize")),
                text("interpolation"),
                labelled("crop ", &text("crop")),
                labelled("mean ", &text("mean")),
                labelled("std ", &text("std")),
            ]),
            range: both(&bound(&text("relu_range")), &bound(&text("maxpool_range"))),
            clipped: text("on_overflow") == "clip",
            exact: Vec::new(),
            lines: Vec::new(),
        };
        let block = position_or_push(&mut self.blocks, block, |a, b| {
            a.inputs() == b.inputs() && (&a.range, a.clipped) == (&b.range, b.clipped)
        });
        // Files of older versions have no such column: all was f64.
        let single = Some(file.field(row, "arithmetic")).filter(|&name| name == "f32").unwrap_or_default();
        let line = Line {
            activation: joined([both(&relu, &maxpool), labelled("plan ", &plan), labelled("in ", single)]),
            degrees: [&relu, &maxpool].into_iter().find_map(|spec| degrees(spec)).unwrap_or_default(),
            depth: file.value(row, "depth")?,
            mults: file.value(row, "mults")?,
            runs: Vec::new(),
        };
        let percent = |column, least: f64| match file.required(row, column)? {
            value if (least..=100.0).contains(&value) => Ok(value),
            _ => Err(file.invalid(row, column)),
        };
        let images: u64 = file.required(row, "images")?;
        let agreement = percent("agreement", 0.0)?;
        let counted = |column| file.value::<u64>(row, column);
        let differing = match (counted("top1_lost")?, counted("top1_won")?) {
            (Some(lost), Some(won)) => lost as f64 + won as f64,
            // Files of older versions.
            _ => (100.0 - agreement) / 100.0 * images as f64,
        };
        let run = Run {
            differing,
            top1: percent("top1", 0.0)?,
            top1_diff: percent("top1_diff", -100.0)?,
            agreement,
            overflow_images: file.required(row, "overflow_images")?,
            precision_bits: file.value(row, "precision_bits")?,
            best: false,
            place,
        };
        let top1_exact = percent("top1_exact", 0.0)?;

        let block = &mut self.blocks[block];
        put(&mut block.exact, model, top1_exact);
        let line = position_or_push(&mut block.lines, line, |a, b| {
            (&a.activation, a.depth, a.mults) == (&b.activation, b.depth, b.mults)
        });
        if let Some(before) = put(&mut block.lines[line].runs, model, run.clone())
            && (before.top1, before.top1_diff, before.agreement) != (run.top1, run.top1_diff, run.agreement)
        {
            self.warnings.push(format!(
                "{} and {} are runs of the same settings with different results; the second is shown",
                before.place, run.place
            ));
        }
        Ok(())
    }

    /// Order, labels, and the best.
    fn finish(&mut self) {
        let models = self.models.len();
        for block in &mut self.blocks {
            block.exact.resize(models, None);
            block.lines.iter_mut().for_each(|line| line.runs.resize(models, None));
            block.lines.sort_by(|a, b| order(a).cmp(&order(b)));
            for model in 0..models {
                let runs = || block.lines.iter().filter_map(|line| line.runs[model].as_ref());
                let Some(best) = runs().max_by(|a, b| a.top1.total_cmp(&b.top1)).cloned() else { continue };
                let runs = block.lines.iter_mut().filter_map(|line| line.runs[model].as_mut());
                runs.for_each(|run| run.best = best.top1 - run.top1 <= noise(&best, run, block.images));
            }
        }
        let details =
            |model: &Model| (model.name.clone(), vec![short(&model.sha256), model.device.clone(), model.dtype.clone()]);
        let models = labels(&self.models.iter().map(details).collect::<Vec<_>>());
        self.models.iter_mut().zip(models).for_each(|(model, label)| model.label = label);
        let details = |block: &Block| {
            let clipped = if block.clipped { "clipped".to_owned() } else { String::new() };
            let images = format!("{} images", block.images);
            let name = joined([block.dataset.clone(), images, labelled("range ", &block.range), clipped]);
            (name, vec![format!("digest {}", short(&block.dataset_sha256)), block.preparation.clone()])
        };
        let blocks = labels(&self.blocks.iter().map(details).collect::<Vec<_>>());
        self.blocks.iter_mut().zip(blocks).for_each(|(block, label)| block.label = label);
    }
}

fn position_or_push<T>(list: &mut Vec<T>, item: T, same: impl Fn(&T, &T) -> bool) -> usize {
    list.iter().position(|other| same(other, &item)).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

/// Put `value` at `index`, and give back what was there.
fn put<T>(list: &mut Vec<Option<T>>, index: usize, value: T) -> Option<T> {
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    list[index].replace(value)
}

/// What there is of `parts`, with commas.
fn joined<const N: usize>(parts: [String; N]) -> String {
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// `text` after `label`; nothing of nothing.
fn labelled(label: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{label}{text}") }
}

/// What holds for ReLU and max together: once where they are alike, or where the model has only one of them.
fn both(relu: &str, maxpool: &str) -> String {
    match (relu, maxpool) {
        (_, "") => relu.to_owned(),
        ("", _) => format!("max-pool {maxpool}"),
        _ if relu == maxpool => relu.to_owned(),
        _ => format!("{relu}, max-pool {maxpool}"),
    }
}

/// Two standard errors of the difference in top-1 between two runs on the same images, in points. Only images of which one of
/// them has the label and the other has not make a difference, and there one of them differs from the exact network.
fn noise(a: &Run, b: &Run, images: u64) -> f64 {
    let images = images.max(1) as f64;
    2.0 * 100.0 * (a.differing + b.differing).sqrt() / images
}

/// A number without needless decimals; anything else as it is.
fn bound(text: &str) -> String {
    text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| number.to_string())
}

/// The degrees that a SPEC says. A file of coefficients may by now be another or none, and is not opened.
fn degrees(spec: &str) -> Option<String> {
    let spec = Some(spec).filter(|spec| !spec.starts_with("file:"))?;
    let (degrees, _) = spec.parse::<Spec>().ok()?.composition()?;
    Some(degrees.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
}

/// By depth, then multiplications, then name; what has no depth comes last.
fn order(line: &Line) -> (u32, u32, &str) {
    (line.depth.unwrap_or(u32::MAX), line.mults.unwrap_or(u32::MAX), &line.activation)
}

/// The beginning of a digest, enough to tell two from each other.
pub(super) fn short(sha256: &str) -> String {
    sha256.chars().take(8).collect()
}

/// Each name, with those of its details in which another of the same name differs.
pub(super) fn labels(items: &[(String, Vec<String>)]) -> Vec<String> {
    let label = |(name, details): &(String, Vec<String>)| {
        let namesakes: Vec<&Vec<String>> = items.iter().filter(|item| item.0 == *name).map(|item| &item.1).collect();
        let differing = |i: &usize| namesakes.iter().any(|other| other[*i] != details[*i]);
        let told: Vec<&str> = (0..details.len()).filter(differing).map(|i| details[i].as_str()).collect();
        if told.is_empty() { name.clone() } else { format!("{name} ({})", told.join(", ")) }
    };
    items.iter().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Row, samples};

    fn compared(rows: &[Row]) -> Comparison {
        Comparison::of(&[samples::saved("a.csv", rows)]).unwrap()
    }

    fn activations(block: &Block) -> Vec<&str> {
        block.lines.iter().map(|line| line.activation.as_str()).collect()
    }

    #[test]
    fn lines_are_ordered_by_depth_then_multiplications() {
        let run = |relu: &str, cost| samples::run("net", relu, cost, 90.0, 91.0);
        let without = Row { depth: None, mults: None, ..run("square", (0, 0)) };
        let rows = [
            without,
            run("paper:11", (12, 21)),
            run("paper:6", (6, 8)),
            run("minimax:63", (6, 7)),
            run("paper:5", (5, 8)),
            run("file:no-such.json", (13, 1)),
        ];
        let comparison = compared(&rows);
        assert_eq!(
            activations(&comparison.blocks[0]),
            ["paper:5", "minimax:63", "paper:6", "paper:11", "file:no-such.json", "square"]
        );
        let degrees: Vec<&str> = comparison.blocks[0].lines.iter().map(|line| line.degrees.as_str()).collect();
        assert_eq!(degrees, ["13", "63", "3,7", "7,7,27", "", ""]);
    }

    /// A network without max-pools and one that has them approximated alike stand in one line.
    #[test]
    fn models_with_and_without_pools_share_a_line_where_pools_are_like_relus() {
        let run = |model: &str, maxpool: Option<&str>, range: Option<&str>| Row {
            maxpool: maxpool.map(str::to_owned),
            maxpool_range: range.map(str::to_owned),
            ..samples::run(model, "paper:14", (15, 30), 90.0, 91.0)
        };
        let rows = [
            run("resnet", None, None),
            run("vgg", Some("paper:14"), Some("16.0")),
            run("vgg", Some("exact"), None),
            run("vgg", Some("paper:14"), Some("20.0")),
        ];
        let comparison = compared(&rows);
        let labels: Vec<&str> = comparison.blocks.iter().map(|block| block.label.as_str()).collect();
        assert_eq!(labels, ["data, 1000 images, range 16", "data, 1000 images, range 16, max-pool 20"]);
        assert_eq!(activations(&comparison.blocks[0]), ["paper:14", "paper:14, max-pool exact"]);
        assert!(comparison.blocks[0].lines[0].runs.iter().all(Option::is_some));
        assert_eq!(comparison.blocks[1].exact, [None, Some(91.0)]);
    }

    #[test]
    fn all_the_best_are_best() {
        let rows = [("paper:4", 93.0), ("paper:5", 93.5), ("paper:6", 93.5)]
            .map(|(relu, top1)| samples::run("net", relu, (relu.len() as u32, 1), top1, 93.4));
        let best: Vec<bool> =
            compared(&rows).blocks[0].lines.iter().map(|line| line.runs[0].as_ref().unwrap().best).collect();
        assert_eq!(best, [false, true, true]);
    }

    /// Two of 1000 images are lost or won by each: 2·√4/1000, 0.4 points. Files of older versions say no more than that two of
    /// 1000 get other classes.
    #[test]
    fn what_noise_can_explain_is_not_worse() {
        let rows = [("paper:4", 93.0), ("paper:5", 93.2), ("paper:6", 93.5)].map(|(relu, top1)| Row {
            agreement: 90.0,
            top1_lost: 2,
            ..samples::run("net", relu, (relu.len() as u32, 1), top1, 93.4)
        });
        let best = |file: SavedResults| -> Vec<bool> {
            let comparison = Comparison::of(&[file]).unwrap();
            comparison.blocks[0].lines.iter().map(|line| line.runs[0].as_ref().unwrap().best).collect()
        };
        assert_eq!(best(samples::saved("a.csv", &rows)), [false, true, true]);
        let agreeing = rows.map(|row| Row { agreement: 99.8, top1_lost: 900, ..row });
        let mut older = samples::saved("a.csv", &agreeing);
        let at = older.columns.iter().position(|column| column == "top1_lost").unwrap();
        older.columns.truncate(at);
        older.rows.iter_mut().for_each(|row| row.fields.truncate(at));
        assert_eq!(best(older), [false, true, true]);
    }

    #[test]
    fn images_prepared_in_another_way_are_in_another_table() {
        let run = samples::run("net", "paper:4", (4, 4), 90.0, 91.0);
        let row = |crop, mean: &str| Row { crop, mean: mean.into(), input: "3x224x224".into(), ..run.clone() };
        let comparison = compared(&[row(Some(224), "0,0,0"), row(None, "0,0,0"), row(None, "0.5,0.5,0.5")]);
        let labels: Vec<&str> = comparison.blocks.iter().map(|block| block.label.as_str()).collect();
        let expected = ["crop 224, mean 0,0,0", "mean 0,0,0", "mean 0.5,0.5,0.5"]
            .map(|prepared| format!("data, 1000 images, range 16 (3x224x224, {prepared})"));
        assert_eq!(labels, expected);
    }

    #[test]
    fn what_differs_behind_equal_names_is_told() {
        let run = samples::run("net", "paper:4", (4, 4), 90.0, 91.0);
        let rows = [
            run.clone(),
            Row { model_sha256: "abcdefghijk".into(), ..run.clone() },
            Row { device: "cuda:0".into(), dataset_sha256: "0123456789".into(), ..run.clone() },
            Row { model: "other".into(), ..run.clone() },
        ];
        let comparison = compared(&rows);
        let models: Vec<&str> = comparison.models.iter().map(|model| model.label.as_str()).collect();
        assert_eq!(models, ["net (of net, cpu)", "net (abcdefgh, cpu)", "net (of net, cuda:0)", "other"]);
        let blocks: Vec<&str> = comparison.blocks.iter().map(|block| block.label.as_str()).collect();
        assert_eq!(blocks[0], "data, 1000 images, range 16 (digest of data)");
        assert_eq!(blocks[1], "data, 1000 images, range 16 (digest 01234567)");
    }

    #[test]
    fn a_plan_is_another_activation_and_clipping_another_range() {
        let run = samples::run("net", "paper:4", (4, 4), 90.0, 91.0);
        let planned = Row { plan: Some("p.toml".into()), ..run.clone() };
        let alone = Row { relu: Some("exact".into()), relu_range: None, ..planned.clone() };
        let rows = [run.clone(), planned, Row { on_overflow: "clip".into(), ..run }, alone];
        let comparison = compared(&rows);
        assert!(comparison.warnings.is_empty(), "{:?}", comparison.warnings);
        assert_eq!(activations(&comparison.blocks[0]), ["paper:4", "paper:4, plan p.toml"]);
        let labels: Vec<&str> = comparison.blocks.iter().map(|block| block.label.as_str()).collect();
        let expected = ["data, 1000 images, range 16", "data, 1000 images, range 16, clipped", "data, 1000 images"];
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_run_that_is_there_twice_is_told_where_it_differs_and_exact_runs_always() {
        let run = samples::run("net", "paper:4", (4, 4), 90.0, 91.0);
        let exact = Row { relu: Some("exact".into()), relu_range: None, depth: None, mults: None, ..run.clone() };
        let rows = [run.clone(), run.clone(), Row { top1: 89.0, top1_diff: -2.0, ..run }, exact];
        let comparison = compared(&rows);
        assert_eq!(comparison.blocks[0].lines[0].runs[0].as_ref().unwrap().top1, 89.0);
        let [different, exact] = &comparison.warnings[..] else { panic!("{:?}", comparison.warnings) };
        assert!(different.starts_with("a.csv line 3 and a.csv line 4 are runs of the same settings"), "{different}");
        assert!(exact.starts_with("a.csv line 5: nothing is approximated"), "{exact}");
    }
}
