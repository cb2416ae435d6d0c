//! What an evaluation says, as a row for programs and as text for people.

use tch::Device;

use super::options::{ModelOptions, by_x};
use super::substitution::Substitution;
use crate::dataset::{Dataset, Interpolation, Preparation};
use crate::evaluation::{Evaluation, Score};
use crate::model::Model;
use crate::report::{Align, Row, table};

/// All that went into an evaluation, and what came out.
pub(super) struct Summary<'a> {
    pub options: &'a ModelOptions,
    pub model: &'a Model,
    pub dataset: &'a Dataset,
    pub preparation: &'a Preparation,
    pub substitution: &'a Substitution,
    pub batch: usize,
    pub evaluation: &'a Evaluation,
}

impl Summary<'_> {
    /// The row of the results file.
    pub fn row(&self) -> Row {
        let Summary { model, evaluation, substitution, .. } = self;
        let score = &evaluation.score;
        let worst =
            evaluation.overflows.iter().max_by_key(|overflow| (overflow.values, std::cmp::Reverse(overflow.site)));
        let (cost, seconds) = (substitution.cost(), evaluation.approximate_time.as_secs_f64());
        Row {
            model: self.options.model.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            dataset: self.dataset.name().to_owned(),
            images: score.images(),
            relu: substitution.relu.name(),
            maxpool: substitution.maxpool.name(),
            relu_range: substitution.relu.range(),
            maxpool_range: substitution.maxpool.range(),
            top1: score.top1(),
            top1_exact: score.top1_exact(),
            top1_diff: score.top1() - score.top1_exact(),
            top5: score.top5(),
            top5_exact: score.top5_exact(),
            top5_diff: score.top5().zip(score.top5_exact()).map(|(top5, exact)| top5 - exact),
            agreement: score.agreement(),
            max_logit_error: score.max_logit_error(),
            overflow_images: evaluation.overflow_images,
            overflow_values: evaluation.overflow_values(),
            overflow_site: worst.map(|overflow| model.sites()[overflow.site].name.clone()),
            depth: cost.map(|cost| cost.depth),
            mults: cost.map(|cost| cost.multiplications),
            seconds,
            images_per_second: score.images() as f64 / seconds,
            device: match model.device() {
                Device::Cuda(index) => format!("cuda:{index}"),
                _ => "cpu".to_owned(),
            },
            dtype: "float32".to_owned(),
            batch: self.batch,
            model_sha256: model.sha256().to_owned(),
            dataset_sha256: evaluation.dataset_sha256.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seconds_exact: evaluation.exact_time.as_secs_f64(),
            top1_se: score.top1_standard_error(),
            broken_images: evaluation.broken.len(),
        }
    }

    /// The text for people.
    pub fn text(&self, row: &Row) -> String {
        let evaluation = self.evaluation;
        let mut text = format!("{} on {}, {} images", row.model, row.dataset, row.images);
        if !evaluation.broken.is_empty() {
            text += &format!(", {} more could not be read", evaluation.broken.len());
        }
        text += &format!("\ninput {}\n", self.input());
        for (kind, substitute) in [("relu", &self.substitution.relu), ("maxpool", &self.substitution.maxpool)] {
            let (count, spec) = (substitute.sites, &substitute.spec);
            match &substitute.sign {
                Some((sign, range)) => {
                    let cost = sign.cost();
                    text += &format!(
                        "{count} {kind} as {spec} on [-{range},{range}], depth {}, {} multiplications each\n",
                        cost.depth, cost.multiplications
                    );
                }
                None if count > 0 => text += &format!("{count} {kind} exact\n"),
                None => {}
            }
        }
        text += &accuracy(&evaluation.score, row);
        text += &format!(
            "agreement {:.3} %, largest difference of a logit {:.3e}, standard error of top-1 {:.3}\n",
            row.agreement, row.max_logit_error, row.top1_se
        );
        text + &overflow(self.model, evaluation)
    }

    /// How images became inputs.
    fn input(&self) -> String {
        let Preparation { transform, mean, std } = self.preparation;
        let mut text = by_x(self.evaluation.shape);
        if let Some(side) = transform.resize {
            let kind = if transform.interpolation == Interpolation::Bicubic { "bicubic" } else { "bilinear" };
            text += &format!(", resize {side} {kind}");
        }
        if let Some(side) = transform.crop {
            text += &format!(", crop {side}");
        }
        let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        format!("{text}, mean {}, std {}", list(mean), list(std))
    }
}

fn accuracy(score: &Score, row: &Row) -> String {
    let percent = |value: f64| format!("{value:.3}");
    let optional = |value: Option<f64>| value.map(percent).unwrap_or_default();
    let rate = |seconds: f64| format!("{:.1}", score.images() as f64 / seconds);
    let header = [
        ("", Align::Left),
        ("top-1 %", Align::Right),
        ("top-5 %", Align::Right),
        ("seconds", Align::Right),
        ("images/s", Align::Right),
    ];
    let difference = |value: f64| format!("{:+.3}", if value == 0.0 { 0.0 } else { value });
    let line = |name: &str, top1: f64, top5: Option<f64>, seconds: f64| {
        vec![name.to_owned(), percent(top1), optional(top5), format!("{seconds:.2}"), rate(seconds)]
    };
    let rows = [
        line("exact", row.top1_exact, row.top5_exact, row.seconds_exact),
        line("approximate", row.top1, row.top5, row.seconds),
        vec![
            "difference".to_owned(),
            difference(row.top1_diff),
            row.top5_diff.map(difference).unwrap_or_default(),
            format!("x{:.2}", row.seconds / row.seconds_exact),
            String::new(),
        ],
    ];
    format!("\n{}\n", table(&header, rows))
}

/// The sites whose inputs left their range, in the order of the network, and the range that would have held.
fn overflow(model: &Model, evaluation: &Evaluation) -> String {
    let images = evaluation.score.images();
    let mut text = match evaluation.overflow_images {
        0 => return "no input left its range\n".to_owned(),
        count => format!("inputs of {count} of {images} images left their range:\n"),
    };
    let header = [
        ("site", Align::Right),
        ("name", Align::Left),
        ("values", Align::Right),
        ("NaN", Align::Right),
        ("images", Align::Right),
        ("first image", Align::Right),
        ("largest |x|", Align::Right),
    ];
    text += &table(
        &header,
        evaluation.overflows.iter().map(|overflow| {
            vec![
                overflow.site.to_string(),
                model.sites()[overflow.site].name.clone(),
                overflow.values.to_string(),
                overflow.not_a_number.to_string(),
                overflow.images.to_string(),
                overflow.first_image.to_string(),
                format!("{:.4e}", overflow.worst),
            ]
        }),
    );
    if let Some(first) = evaluation.overflows.first() {
        text += &format!(
            "the first of them, {}, needs a range above {:.4}; what comes after it may only follow from that\n",
            model.sites()[first.site].name,
            first.worst
        );
    }
    if evaluation.score.not_finite() > 0 {
        text += &format!(
            "the logits of {} images are no longer finite and count as wrong\n",
            evaluation.score.not_finite()
        );
    }
    text
}
