//! Whether passes that are made together give what each gives alone.

use polyact::activation::{Activation, Interval};
use polyact::model::{Model, Overflow, Sites};
use tch::{Device, Kind, Tensor};

/// The most sites that are replaced one by one.
const SINGLE: usize = 6;

/// How many sites were computed for some passes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    pub together: usize,
    pub alone: usize,
}

/// What stands at every site: the range, in which the same activation stands, or none for the function itself.
type Choices = Vec<Option<f64>>;

/// Configurations that begin alike in many ways, with ranges that inputs leave.
fn configurations(sites: usize) -> Vec<(Choices, bool)> {
    let all = |range| vec![Some(range); sites];
    let changed = |of: &Choices, site: usize, to| {
        let mut changed = of.clone();
        changed[site] = to;
        changed
    };
    let (exact, wide) = (vec![None; sites], all(1.5));
    let mut found = vec![(exact.clone(), false), (wide.clone(), false), (all(0.4), false), (wide.clone(), true)];
    for at in 0..sites.min(SINGLE) {
        let site = at * sites / sites.min(SINGLE);
        found.push((changed(&exact, site, Some(0.4)), false));
        found.push((changed(&wide, site, None), false));
    }
    let first_half = |other: f64| (0..sites).map(|site| Some(if site < sites / 2 { 1.5 } else { other })).collect();
    found.push((first_half(3.0), false));
    found.push((changed(&first_half(3.0), sites - 1, Some(2.0)), false));
    // One that is there already, and one that differs by clipping only.
    found.push((wide, false));
    found.push((first_half(3.0), true));
    found
}

fn table(model: &Model, activation: &Activation, (choices, clip): &(Choices, bool)) -> Sites {
    let of_site = |(site, choice): (&polyact::model::Site, &Option<f64>)| {
        let range = choice.map(Interval::symmetric);
        range.filter(|&range| site.check(activation, range).is_ok()).map(|range| (activation, range))
    };
    // A pool over many values may have no room for this activation.
    let choices: Vec<_> = model.sites().iter().zip(choices).map(of_site).collect();
    model.table(choices, *clip).expect("each was checked")
}

/// All bits of the logits.
fn bits(logits: &Tensor) -> Vec<u64> {
    let numbers = logits.to_device(Device::Cpu).to_kind(Kind::Double).contiguous().view(-1);
    Vec::<f64>::try_from(numbers).expect("numbers").into_iter().map(f64::to_bits).collect()
}

/// What a table counted: at each site, what left the range, and the shape of its first input.
fn counted(sites: &Sites) -> Vec<(Overflow, Option<Vec<i64>>)> {
    let of_site = |site| (sites.take_overflow(site), sites.shape(site).map(<[i64]>::to_vec));
    (0..sites.count()).map(of_site).collect()
}

/// Pass `images` through `model` with many configurations, together and one by one. The work, or in what the passes differ.
pub fn compare(model: &Model, images: &Tensor, activation: &Activation) -> Result<Work, String> {
    let configurations = match model.sites().len() {
        0 => vec![(vec![], false), (vec![], true)],
        sites => configurations(sites),
    };
    let tables = || configurations.iter().map(|one| table(model, activation, one)).collect::<Vec<_>>();
    let (together, alone) = (tables(), tables());
    let logits: Vec<_> =
        alone.iter().map(|sites| model.forward(images, sites).map_err(|error| error.to_string())).collect();
    let passed = match model.forward_all(images, &together.iter().collect::<Vec<_>>()) {
        Ok(passed) => passed,
        // If one fails, all do.
        Err(error) if logits.iter().any(|alone| alone.as_ref().is_err_and(|alone| *alone == error.to_string())) => {
            return Ok(Work::default());
        }
        Err(error) => return Err(format!("together: {error}")),
    };
    let mut work = Work::default();
    for (at, logits) in logits.into_iter().enumerate() {
        let what = |problem: &str| format!("configuration {at}, {:?}: {problem}", configurations[at]);
        let logits = [bits(&passed[at].logits), bits(&logits.map_err(|error| what(&format!("alone: {error}")))?)];
        if logits[0] != logits[1] {
            return Err(what(&format!("logits {logits:?}")));
        }
        work.together += together[at].computed();
        work.alone += alone[at].computed();
        let counts = [counted(&together[at]), counted(&alone[at])];
        if counts[0] != counts[1] {
            return Err(what(&format!("counts {counts:?}")));
        }
    }
    if work.together > work.alone { Err(format!("{work:?}")) } else { Ok(work) }
}
