//! Why images are decided otherwise: how near their margins are to what the approximation changes.

use std::collections::BTreeMap;

use crate::evaluation::Prediction;

/// Images of which the margin is below so many times the root of the mean square change may be decided otherwise.
const NEAR: f64 = 3.0;
/// Images of which the margin is below so many times the change that is foreseen of them, and of the usual one, may be decided
/// otherwise.
const FORESEEN: f64 = 1.1;

/// The margins of images, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Decisions(Vec<Decision>);

/// Of one image, by its position in the dataset.
#[derive(Debug)]
pub(super) struct Decision {
    pub index: usize,
    pub margin: f64,
    pub change: f64,
    pub differs: bool,
}

impl Decisions {
    pub fn add(&mut self, prediction: &Prediction) {
        let &Prediction { index, margin, change, exact, approximate, .. } = prediction;
        self.0.push(Decision { index, margin, change, differs: exact != approximate });
    }

    /// A line; nothing where no margin changed, or one is no number.
    pub fn text(&self) -> String {
        let count = self.0.len().max(1) as f64;
        let change = (self.0.iter().map(|decision| decision.change * decision.change).sum::<f64>() / count).sqrt();
        if !(change > 0.0 && change.is_finite()) {
            return String::new();
        }
        let near = |decision: &&Decision| decision.margin < NEAR * change;
        let of = |differs: bool| self.0.iter().filter(move |decision| decision.differs || !differs);
        let (named, all) = (of(false).filter(near).count(), of(true).count());
        let found = of(true).filter(near).count();
        format!(
            "margins of the exact logits change by {change:.3e} (root mean square); {named} images, {:.2} %, are nearer to another class \
             than {NEAR} times that, {found} of the {all} decided otherwise among them\n",
            100.0 * named as f64 / count
        )
    }

    /// How many of those that are decided otherwise are among those `near`, as a line.
    pub fn near_text(&self, near: &[(&Decision, f64)]) -> String {
        let found = near.iter().filter(|(decision, _)| decision.differs).count();
        let all = self.0.iter().filter(|decision| decision.differs).count();
        let share = 100.0 * near.len() as f64 / self.0.len().max(1) as f64;
        format!(
            "{} images, {share:.2} %, may be decided otherwise by the change of their margin that gradients foresee, {found} of the {all} \
             decided otherwise among them\n",
            near.len()
        )
    }

    /// The images that may be decided otherwise by the changes that are `foreseen`, the nearest first, with what is foreseen of each:
    /// whose margin is within the size of it and the median of all sizes.
    pub fn near(&self, foreseen: &BTreeMap<usize, f64>) -> Vec<(&Decision, f64)> {
        let mut sizes: Vec<f64> = foreseen.values().map(|change| change.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let usual = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
        let of = |decision: &Decision| foreseen.get(&decision.index).copied().unwrap_or(f64::NAN);
        let distance = |decision: &Decision| decision.margin / (of(decision).abs() + usual);
        let mut near: Vec<_> = self.0.iter().map(|decision| (decision, of(decision), distance(decision))).collect();
        // What is no number left a range, or was no number before.
        near.retain(|(_, _, distance)| *distance < FORESEEN || distance.is_nan());
        near.sort_by(|a, b| a.2.total_cmp(&b.2).then(a.0.index.cmp(&b.0.index)));
        near.into_iter().map(|(decision, predicted, _)| (decision, predicted)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of 1, 1, 0.5 and none, of which 1 is usual: margins below 1.1·(size + 1) are near.
    #[test]
    fn those_whose_margin_is_within_what_is_foreseen_are_named() {
        let decision = |index, margin| Decision { index, margin, change: 0.0, differs: false };
        let decisions = Decisions(vec![decision(3, 2.1), decision(5, 2.3), decision(8, 1.0), decision(9, 7.0)]);
        let foreseen = BTreeMap::from([(3, -1.0), (5, 1.0), (8, 0.5), (9, f64::NAN)]);
        let near: Vec<usize> = decisions.near(&foreseen).into_iter().map(|(decision, _)| decision.index).collect();
        assert_eq!(near, [8, 3, 9]);
        assert!(Decisions::default().near(&BTreeMap::new()).is_empty());
    }

    #[test]
    fn those_near_to_another_class_are_counted() {
        let mut decisions = Decisions::default();
        let mut add = |margin, change, approximate| {
            decisions.add(&Prediction {
                index: 0,
                label: 0,
                exact: Some(0),
                approximate: Some(approximate),
                margin,
                change,
            });
        };
        // A root mean square change of 1: images below 3 are near.
        for (margin, change, approximate) in [(0.5, -1.0, 1), (2.9, 1.0, 0), (3.1, -1.0, 0), (9.0, 1.0, 1)] {
            add(margin, change, approximate);
        }
        let text = decisions.text();
        assert!(
            text.contains("1.000e0") && text.contains("2 images, 50.00 %") && text.contains("1 of the 2 decided"),
            "{text}"
        );
        assert_eq!(Decisions::default().text(), "");
    }
}
