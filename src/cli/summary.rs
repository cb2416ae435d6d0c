//! What an evaluation says, as a row for programs and as text for people.

use std::collections::BTreeMap;

use super::cost_precision::needed_precision;
use super::decisions::Decisions;
use super::encryption::{Encrypted, over};
use crate::activation::{Arithmetic, Interval};
use crate::dataset::{Dataset, Interpolation, Preparation, Transform};
use crate::evaluation::{
    Configuration, Evaluation, Score, SiteOverflow, Substitution, Tally, Timing, Until, dataset_sha256,
};
use crate::minimax::cost::Cost;
use crate::model::{Foreign, Graph, Site};
use crate::report::{Align, Row, table};

/// What an evaluation was made of, the same for all its configurations.
pub(super) struct Setting<'a> {
    /// The archive's name.
    pub model: String,
    pub model_sha256: &'a str,
    pub graph: &'a Graph,
    pub sites: &'a [Site],
    /// Nodes that are neither sites nor polynomial.
    pub foreign: &'a [Foreign],
    /// Which of the network's outputs were taken for the logits, if there are several.
    pub output: Option<&'a str>,
    pub dataset: &'a Dataset,
    /// How the images were chosen.
    pub sampled: &'a str,
    /// How many images there were, and when the configurations stopped before the last.
    pub available: usize,
    pub until: Option<Until>,
    pub preparation: &'a Preparation,
    pub device: String,
    /// What the network computes in.
    pub dtype: &'static str,
    pub batch: usize,
    /// Of all configurations.
    pub encrypted: &'a Encrypted<'a>,
}

/// One configuration and what came out for it.
pub(super) struct Summary<'a> {
    pub setting: &'a Setting<'a>,
    /// Which of the configurations that were evaluated together it is.
    pub number: usize,
    pub configuration: &'a Configuration,
    pub substitution: &'a Substitution,
    pub evaluation: &'a Evaluation,
    /// Of each draw of noise.
    pub trials: &'a [Tally],
    /// Of the first.
    pub tally: &'a Tally,
}

impl Summary<'_> {
    /// The row of the results file.
    pub fn row(&self) -> Row {
        let Summary { setting, configuration, evaluation, tally, .. } = self;
        let Preparation { transform, mean, std } = setting.preparation;
        let encrypted = setting.encrypted;
        let drawn = encrypted.noise.is_some();
        let (top1, agreement) =
            (over(self.trials, |tally| tally.score.top1()), over(self.trials, |tally| tally.score.agreement()));
        let (score, exact) = (&tally.score, evaluation.exact_of(tally));
        let interval = setting.until.map(|until| until.interval(&tally.stretches));
        let cost = self.substitution.cost(setting.sites);
        let total = self.substitution.total(setting.sites, setting.graph);
        let has = |pools: bool| setting.sites.iter().any(|site| site.kind.is_pool() == pools);
        let approximates = |pools: bool| {
            let sites = setting.sites.iter().zip(&self.substitution.sites);
            sites.filter(|(site, _)| site.kind.is_pool() == pools).any(|(_, said)| said.approximation.is_some())
        };
        Row {
            model: setting.model.clone(),
            dataset: setting.dataset.name().to_owned(),
            images: score.images(),
            relu: has(false).then(|| configuration.relu.to_string()),
            maxpool: has(true).then(|| configuration.maxpool_spec().to_string()),
            relu_range: configuration.relu_range.as_ref().filter(|_| approximates(false)).map(ToString::to_string),
            maxpool_range: configuration.maxpool_ranges().filter(|_| approximates(true)).map(ToString::to_string),
            top1: score.top1(),
            top1_exact: score.top1_exact(),
            top1_diff: score.top1() - score.top1_exact(),
            top5: score.top5(),
            top5_exact: score.top5_exact(),
            top5_diff: score.top5().zip(score.top5_exact()).map(|(top5, exact)| top5 - exact),
            agreement: score.agreement(),
            max_logit_error: score.max_logit_error(),
            overflow_images: tally.overflow_images,
            overflow_values: tally.overflow_values(),
            overflow_site: by_harm(tally).first().map(|overflow| setting.sites[overflow.site].name.clone()),
            depth: cost.map(|cost| cost.depth),
            mults: cost.map(|cost| cost.multiplications),
            seconds: tally.timing.seconds(),
            images_per_second: score.images() as f64 / tally.timing.seconds(),
            device: setting.device.clone(),
            dtype: setting.dtype.to_owned(),
            batch: setting.batch,
            model_sha256: setting.model_sha256.to_owned(),
            dataset_sha256: dataset_sha256(evaluation.images_of(tally)),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seconds_exact: exact.seconds(),
            top1_se: score.top1_standard_error(),
            broken_images: evaluation.broken_of(tally),
            plan: configuration.plan.as_ref().map(ToString::to_string),
            on_overflow: if configuration.clip { "clip" } else { "count" }.to_owned(),
            sweep: None,
            arithmetic: configuration.arithmetic.to_string(),
            sampled: setting.sampled.to_owned(),
            not_polynomial: remaining(setting.foreign).count(),
            not_polynomial_ops: named(setting.foreign),
            not_run: self.not_run().count(),
            input: super::preparation::by_x(evaluation.shape),
            resize: transform.resize,
            crop: transform.crop,
            interpolation: transform.resize.map(|_| interpolation(transform).to_owned()),
            mean: listed(mean),
            std: listed(std),
            output: setting.output.map(str::to_owned),
            batch_seconds: tally.timing.median(),
            batch_seconds_spread: tally.timing.spread(),
            batch_seconds_exact: exact.median(),
            batch_seconds_exact_spread: exact.spread(),
            top1_lost: score.lost(),
            top1_won: score.won(),
            top1_diff_se: score.difference_standard_error(),
            total_depth: total.and_then(|total| total.depth),
            total_mults: total.and_then(|total| total.multiplications),
            until: setting.until.map(|until| until.width()),
            available: setting.until.map(|_| setting.available),
            top1_diff_low: interval.map(|[low, _]| low),
            top1_diff_high: interval.map(|[_, high]| high),
            guard: configuration.guard,
            bootstraps: encrypted.bootstraps.as_ref().map(|(_, counts)| counts[self.number]),
            parameters: encrypted.bootstraps.as_ref().map(|(parameters, _)| (*parameters).to_owned()),
            ckks: encrypted.noise.clone(),
            trials: drawn.then_some(encrypted.trials),
            top1_mean: drawn.then_some(top1.0),
            top1_spread: top1.1,
            agreement_mean: drawn.then_some(agreement.0),
            agreement_spread: agreement.1,
            precision_bits: self.precision_bits(),
        }
    }

    /// What the gradients of the calibration ask for, where it has been read and has some.
    fn precision_bits(&self) -> Option<f64> {
        let densities = self.configuration.relu_range.as_ref()?.densities().filter(|known| known.is_weighted())?;
        needed_precision(self.setting.sites, self.substitution, densities).map(|precision| precision.all)
    }

    /// The text for people.
    pub fn text(&self, row: &Row, decisions: &Decisions) -> String {
        let mut text = format!("{} on {}, {} images", row.model, row.dataset, row.images);
        if row.sampled != "all" {
            text += &format!(" ({})", row.sampled);
        }
        if row.broken_images > 0 {
            text += &format!(", {} more could not be read", row.broken_images);
        }
        text += &format!("\ninput {}\n", input(row));
        text += &self.activations();
        if let Some(operators) = &row.not_polynomial_ops {
            text += &format!("not polynomial, and left exact: {operators}\n");
        }
        if row.not_run > 0 {
            let names: Vec<&str> = self.not_run().map(|site| site.name.as_str()).collect();
            text += &format!("did not run, and nothing was replaced there: {}\n", names.join(", "));
        }
        if self.configuration.clip {
            text += "inputs beyond a range are clipped, as no encrypted circuit can\n";
        }
        text += &total_cost(row);
        text += &accuracy(row);
        text += &difference(&self.tally.score);
        text +=
            &format!("agreement {:.3} %, largest difference of a logit {:.3e}\n", row.agreement, row.max_logit_error);
        text += &decisions.text();
        if let (Some(count), Some(parameters)) = (row.bootstraps, &row.parameters) {
            text += &format!("bootstrappings {count} at least, under {parameters}\n");
        }
        text += &self.noise(row);
        text += &stopped(row);
        text += &batch_times(self.evaluation.exact_of(self.tally), &self.tally.timing);
        text + &overflow(self.setting.sites, self.tally)
    }

    /// What noise came in, and what its draws gave.
    fn noise(&self, row: &Row) -> String {
        let (Some(ckks), Some(met)) = (&row.ckks, self.setting.encrypted.met.get(self.number)) else {
            return String::new();
        };
        let all = || met.errors.sites.iter().flat_map(|site| [site.before, site.behind]).filter(|&error| error > 0.0);
        let (least, most) = all().fold((f64::INFINITY, 0f64), |(low, high), error| (low.min(error), high.max(error)));
        let mut text = format!(
            "noise of {ckks}: standard deviations from 2^{:.1} to 2^{:.1} of the ranges of sites, {:.1e} at the logits\n",
            least.log2(),
            most.log2(),
            met.noise.logits
        );
        if let (Some(trials), Some(top1), Some(spread), Some(agreement), Some(apart)) =
            (row.trials, row.top1_mean, row.top1_spread, row.agreement_mean, row.agreement_spread)
        {
            text += &format!(
                "over {trials} draws of it top-1 {top1:.3} % (standard deviation {spread:.3}), agreement {agreement:.3} % ({apart:.3}); all \
                 else is of the first\n"
            );
        }
        text
    }

    /// Sites that no pass came to.
    fn not_run(&self) -> impl Iterator<Item = &Site> {
        self.setting.sites.iter().filter(|site| !self.evaluation.ran.contains(&site.index))
    }

    /// A line for each activation of each kind of site.
    fn activations(&self) -> String {
        // Sites of one kind and cost, by what stands in for them.
        let mut groups: BTreeMap<(bool, String, String, Cost), Vec<Option<Interval>>> = BTreeMap::new();
        let costs = self.substitution.costs(self.setting.sites);
        for ((site, substitute), cost) in self.setting.sites.iter().zip(&self.substitution.sites).zip(costs) {
            if !self.evaluation.ran.contains(&site.index) {
                continue;
            }
            let range = substitute.approximation.as_ref().map(|(_, range)| *range);
            let key = (site.kind.is_pool(), substitute.spec.to_string(), site.kind.to_string(), cost);
            groups.entry(key).or_default().push(range);
        }
        let mut text = String::new();
        for ((_, spec, kind, cost), ranges) in groups {
            let count = ranges.len();
            let ranges: Vec<Interval> = ranges.into_iter().flatten().collect();
            let Some(&first) = ranges.first() else {
                text += &format!("{count} {kind} exact\n");
                continue;
            };
            let bounds = ranges.iter().map(|range| range.bound());
            let (least, most) = bounds.fold((f64::INFINITY, 0f64), |(low, high), b| (low.min(b), high.max(b)));
            let on = match ranges.iter().all(|&range| range == first) {
                true => format!("on [{},{}]", first.low, first.high),
                false => format!("with ranges from {least} to {most}"),
            };
            let single = if self.configuration.arithmetic == Arithmetic::F32 { " in f32" } else { "" };
            text += &format!(
                "{count} {kind} as {spec}{single} {on}, depth {}, {} multiplications each\n",
                cost.depth, cost.multiplications
            );
        }
        text
    }
}

/// What all approximate sites cost together.
fn total_cost(row: &Row) -> String {
    let (Some(depth), Some(products)) = (row.total_depth, row.total_mults) else {
        let of_a_loop =
            "levels and multiplications in all cannot be told, since the graph does not say how often a loop turns\n";
        return if row.depth.is_some() { of_a_loop.to_owned() } else { String::new() };
    };
    format!("in all {depth} levels of activations along the longest path, {products} multiplications\n")
}

/// How far the difference of top-1 is from chance.
fn difference(score: &Score) -> String {
    let [low, high] = score.top1_interval();
    let p = score.difference_p();
    let p = if p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") };
    format!(
        "{} images lost, {} won: standard error of the difference {:.3}, McNemar's exact p {p}\n95 % interval of the approximate \
         top-1 {low:.3} to {high:.3}\n",
        score.lost(),
        score.won(),
        score.difference_standard_error()
    )
}

/// What a run that may stop early says of all images.
fn stopped(row: &Row) -> String {
    match (row.until, row.available, row.top1_diff_low, row.top1_diff_high) {
        (Some(width), Some(available), Some(low), Some(high)) if row.images + row.broken_images < available => format!(
            "stopped after {} of {available} images: with 95 %, all would give a difference from {low:+.3} to {high:+.3}, within \
             {width} points\n",
            row.images + row.broken_images
        ),
        (Some(width), ..) => {
            format!("all images were needed: the difference was not known within {width} points before\n")
        }
        _ => String::new(),
    }
}

/// Operators that stay exact and are not polynomial. At the output one that keeps the order changes no class.
fn remaining(foreign: &[Foreign]) -> impl Iterator<Item = &Foreign> {
    foreign.iter().filter(|node| !node.at_output)
}

/// The operators that remain, in the order of the network, and how often each; none if none remains.
fn named(foreign: &[Foreign]) -> Option<String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for node in remaining(foreign) {
        match counts.iter_mut().find(|(operator, _)| *operator == node.operator) {
            Some((_, count)) => *count += 1,
            None => counts.push((&node.operator, 1)),
        }
    }
    let shown = counts.iter().map(|(operator, count)| match count {
        1 => (*operator).to_owned(),
        _ => format!("{operator} x{count}"),
    });
    (!counts.is_empty()).then(|| shown.collect::<Vec<_>>().join(", "))
}

fn interpolation(transform: &Transform) -> &'static str {
    match transform.interpolation {
        Interpolation::Bilinear => "bilinear",
        Interpolation::Bicubic => "bicubic",
    }
}

fn listed(values: &[f32]) -> String {
    values.iter().map(f32::to_string).collect::<Vec<_>>().join(",")
}

/// How images became inputs.
fn input(row: &Row) -> String {
    let mut text = row.input.clone();
    if let (Some(side), Some(interpolation)) = (row.resize, &row.interpolation) {
        text += &format!(", resize {side} {interpolation}");
    }
    if let Some(side) = row.crop {
        text += &format!(", crop {side}");
    }
    format!("{text}, mean {}, std {}", row.mean, row.std)
}

fn accuracy(row: &Row) -> String {
    let percent = |value: f64| format!("{value:.3}");
    let optional = |value: Option<f64>| value.map(percent).unwrap_or_default();
    let rate = |seconds: f64| format!("{:.1}", row.images as f64 / seconds);
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
            format!("x{:.2}", row.batch_seconds / row.batch_seconds_exact),
            String::new(),
        ],
    ];
    format!("\n{}\n", table(&header, rows))
}

/// How long a full batch takes, where there are enough of them to tell how much that varies.
fn batch_times(exact: &Timing, approximate: &Timing) -> String {
    match (batch_time(exact), batch_time(approximate)) {
        (Some(exact_time), Some(approximate_time)) => format!(
            "median of {} batches of {} images: exact {exact_time}, approximate {approximate_time}\n",
            exact.full_batches(),
            exact.full_batch()
        ),
        _ => String::new(),
    }
}

/// The median and the quartiles, `12.3 ms (half of them 12.1 to 12.6)`.
fn batch_time(timing: &Timing) -> Option<String> {
    let milliseconds = |seconds: f64| format!("{:.*}", if seconds < 0.1 { 2 } else { 0 }, 1e3 * seconds);
    let [first, third] = timing.quartiles()?.map(milliseconds);
    Some(format!("{} ms (half of them {first} to {third})", milliseconds(timing.median())))
}

/// Sites that met values outside, in the order of harm: those first at which most images left a range for the first time.
pub(super) fn by_harm(tally: &Tally) -> Vec<&SiteOverflow> {
    let mut overflows: Vec<&SiteOverflow> = tally.overflows.iter().collect();
    let harm = |overflow: &SiteOverflow| (overflow.first_here, overflow.images, overflow.unattributed);
    overflows.sort_by_key(|overflow| (std::cmp::Reverse(harm(overflow)), overflow.site));
    overflows
}

/// The most sites that the text names; the overflow report has them all.
const SITES_SHOWN: usize = 20;

/// The sites at which images left a range for the first time, the ranges that would have held them, and how much met values
/// outside behind these.
fn overflow(sites: &[Site], tally: &Tally) -> String {
    let images = tally.score.images();
    let mut text = match (tally.overflow_images, tally.overflow_values()) {
        (0, 0) => return "no input left its range\n".to_owned(),
        (0, _) => String::new(),
        (count, _) => format!("inputs of {count} of {images} images left their range:\n"),
    };
    let header = [
        ("site", Align::Right),
        ("name", Align::Left),
        ("values", Align::Right),
        ("NaN", Align::Right),
        ("images", Align::Right),
        ("first here", Align::Right),
        ("first image", Align::Right),
        ("largest |x|", Align::Right),
        ("needed range", Align::Right),
    ];
    let (first, behind): (Vec<_>, Vec<_>) = by_harm(tally).into_iter().partition(|overflow| overflow.first_here > 0);
    let (unattributed, behind): (Vec<_>, Vec<_>) = behind.into_iter().partition(|overflow| overflow.unattributed > 0);
    let (shown, more) = first.split_at(first.len().min(SITES_SHOWN));
    let rows = shown.iter().map(|overflow| {
        vec![
            overflow.site.to_string(),
            sites[overflow.site].name.clone(),
            overflow.values.to_string(),
            overflow.not_a_number.to_string(),
            overflow.images.to_string(),
            overflow.first_here.to_string(),
            overflow.first_image.map(|image| image.to_string()).unwrap_or_default(),
            format!("{:.4e}", overflow.worst),
            needed(overflow).map(|range| format!("{range:.4}")).unwrap_or_default(),
        ]
    });
    if !shown.is_empty() {
        text += &table(&header, rows);
    }
    if !more.is_empty() {
        let lost: usize = more.iter().map(|overflow| overflow.first_here).sum();
        text += &format!("{lost} images were first lost at {} other sites\n", more.len());
    }
    if !behind.is_empty() {
        let values: u64 = behind.iter().map(|overflow| overflow.values).sum();
        let sites = if behind.len() == 1 { "one other site" } else { &format!("{} other sites", behind.len()) };
        text += &format!("behind these, {values} values left their range at {sites}\n");
    }
    if !shown.is_empty() {
        text += "first here: images inside at every earlier site; a needed range is the smallest that holds these\n";
    }
    for overflow in unattributed {
        text += &format!(
            "{} values at {} left the range, up to |x| = {:.4e}; of which images cannot be told, since the network mixes the \
             images before that site\n",
            overflow.unattributed, sites[overflow.site].name, overflow.worst
        );
    }
    if tally.score.not_finite() > 0 {
        text += &format!(
            "the logits of {} images are no longer finite and count as wrong where they are no numbers\n",
            tally.score.not_finite()
        );
    }
    text
}

/// The smallest range with four decimals that would have held the images that left their range here first; none if there
/// is no such image, or it met no finite number.
pub(super) fn needed(overflow: &SiteOverflow) -> Option<f64> {
    let range = (overflow.needed * 1e4).ceil() / 1e4;
    (range > 0.0 && range.is_finite()).then_some(range)
}
