//! Counting over images: top-1 and top-5 of both passes, their agreement, and the largest difference of their logits.

use serde::{Deserialize, Serialize};

use super::inference::{mcnemar, paired_standard_error, wilson};

/// Counts over the images so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    images: usize,
    classes: usize,
    top1: usize,
    top1_exact: usize,
    /// Images that the exact pass alone has right, and the approximate pass alone.
    lost: usize,
    won: usize,
    top5: usize,
    top5_exact: usize,
    agreements: usize,
    not_finite: usize,
    #[serde(with = "super::bits")]
    max_logit_error: f64,
}

/// Counts over the images of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassScore {
    pub images: usize,
    /// Images whose label has the largest logit of the exact pass.
    pub exact: usize,
    /// The same of the approximate pass.
    pub approximate: usize,
}

/// What both passes say of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Position in the dataset.
    pub index: usize,
    pub label: usize,
    /// Class of the largest logit; none if a logit is no number.
    pub exact: Option<usize>,
    pub approximate: Option<usize>,
    /// Largest minus second largest logit of the exact pass: what an error of the logits must bridge.
    pub margin: f64,
    /// By how much the approximate pass changes it: its logit of the exact pass's class less the largest other one, less the margin.
    /// Below the negative of the margin the image is decided otherwise.
    pub change: f64,
}

impl Score {
    /// Count one image: its position and label, and its logits in both passes.
    pub(super) fn add(&mut self, index: usize, label: usize, exact: &[f64], approximate: &[f64]) -> Prediction {
        self.images += 1;
        self.classes = exact.len();
        let (rank, rank_exact) = (rank(label, approximate), rank(label, exact));
        self.top1 += usize::from(rank < 1);
        self.top1_exact += usize::from(rank_exact < 1);
        self.lost += usize::from(rank_exact < 1 && rank >= 1);
        self.won += usize::from(rank < 1 && rank_exact >= 1);
        self.top5 += usize::from(rank < 5);
        self.top5_exact += usize::from(rank_exact < 5);
        let (first, first_exact) = (winner(approximate), winner(exact));
        self.agreements += usize::from(first_exact.is_some() && first_exact == first);
        self.not_finite += usize::from(approximate.iter().any(|logit| !logit.is_finite()));
        for (exact, approximate) in exact.iter().zip(approximate) {
            let error = (exact - approximate).abs();
            self.max_logit_error = self.max_logit_error.max(if error.is_nan() { f64::INFINITY } else { error });
        }
        let margin = margin(exact);
        let change = first_exact.map_or(f64::NAN, |class| lead(approximate, class) - margin);
        Prediction { index, label, exact: first_exact, approximate: first, margin, change }
    }

    /// Count what `other` counted as well.
    pub(super) fn merge(&mut self, other: &Score) {
        self.images += other.images;
        self.classes = self.classes.max(other.classes);
        self.top1 += other.top1;
        self.top1_exact += other.top1_exact;
        self.lost += other.lost;
        self.won += other.won;
        self.top5 += other.top5;
        self.top5_exact += other.top5_exact;
        self.agreements += other.agreements;
        self.not_finite += other.not_finite;
        self.max_logit_error = self.max_logit_error.max(other.max_logit_error);
    }

    /// Images counted.
    pub fn images(&self) -> usize {
        self.images
    }

    /// How many classes the logits have; 0 before the first image.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Percent of images whose label has the largest logit of the approximate pass.
    pub fn top1(&self) -> f64 {
        self.percent(self.top1)
    }

    /// The same of the exact pass.
    pub fn top1_exact(&self) -> f64 {
        self.percent(self.top1_exact)
    }

    /// Standard error of [`Score::top1`] in points, √(p(1−p)/n): what another draw of as many images would move it by.
    pub fn top1_standard_error(&self) -> f64 {
        let p = self.top1() / 100.0;
        100.0 * (p * (1.0 - p) / self.images.max(1) as f64).sqrt()
    }

    /// The 95 % interval of [`Score::top1`] in percent, of other images like these (Wilson).
    pub fn top1_interval(&self) -> [f64; 2] {
        wilson(self.top1, self.images).map(|end| 100.0 * end)
    }

    /// Images that the exact pass has right and the approximate pass wrong.
    pub fn lost(&self) -> usize {
        self.lost
    }

    /// Images that the approximate pass has right and the exact pass wrong.
    pub fn won(&self) -> usize {
        self.won
    }

    /// Standard error of [`Score::top1`] less [`Score::top1_exact`] in points, which are of the same images.
    pub fn difference_standard_error(&self) -> f64 {
        100.0 * paired_standard_error(self.lost, self.won, self.images)
    }

    /// Two-sided p of McNemar's exact test that both passes are right equally often.
    pub fn difference_p(&self) -> f64 {
        mcnemar(self.lost, self.won)
    }

    /// Whether the exact pass cannot be told from guessing among the classes: the 95 % interval of its top-1 (Wilson) reaches
    /// down to one in so many. Never of fewer than ten images.
    pub fn is_chance(&self) -> bool {
        let [low, _] = wilson(self.top1_exact, self.images);
        self.images >= 10 && self.classes > 1 && low <= 1.0 / self.classes as f64
    }

    /// Percent of images whose label is among the five largest logits of the approximate pass; `None` for fewer than
    /// six classes, where it says nothing.
    pub fn top5(&self) -> Option<f64> {
        (self.classes > 5).then(|| self.percent(self.top5))
    }

    /// The same of the exact pass.
    pub fn top5_exact(&self) -> Option<f64> {
        (self.classes > 5).then(|| self.percent(self.top5_exact))
    }

    /// Percent of images to which both passes give the same class.
    pub fn agreement(&self) -> f64 {
        self.percent(self.agreements)
    }

    /// Images of which some approximate logit is infinite or no number.
    pub fn not_finite(&self) -> usize {
        self.not_finite
    }

    /// The largest absolute difference of a logit between the passes; infinite if some logit is no number.
    pub fn max_logit_error(&self) -> f64 {
        self.max_logit_error
    }

    fn percent(&self, count: usize) -> f64 {
        100.0 * count as f64 / self.images.max(1) as f64
    }
}

impl ClassScore {
    /// Count an image of this class. An image with a logit that is no number counts as wrong.
    pub fn add(&mut self, prediction: &Prediction) {
        self.images += 1;
        self.exact += usize::from(prediction.exact == Some(prediction.label));
        self.approximate += usize::from(prediction.approximate == Some(prediction.label));
    }
}

/// How many classes come before `label`, the lower ones of equal logits among them; all, if any logit is no number.
fn rank(label: usize, logits: &[f64]) -> usize {
    let own = logits[label];
    if logits.iter().any(|logit| logit.is_nan()) {
        return usize::MAX;
    }
    logits.iter().enumerate().filter(|&(class, &logit)| logit > own || (logit == own && class < label)).count()
}

/// The class of the largest logit, the lowest of equals; none if any logit is no number.
fn winner(logits: &[f64]) -> Option<usize> {
    if logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    (0..logits.len()).reduce(|best, class| if logits[class] > logits[best] { class } else { best })
}

/// The logit of `class` less the largest other one.
fn lead(logits: &[f64], class: usize) -> f64 {
    let others = logits.iter().enumerate().filter(|&(other, _)| other != class).map(|(_, &logit)| logit);
    logits[class] - others.fold(f64::NEG_INFINITY, f64::max)
}

/// Largest minus second largest.
pub(super) fn margin(logits: &[f64]) -> f64 {
    let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for &logit in logits {
        if logit > first {
            (first, second) = (logit, first);
        } else if logit > second {
            second = logit;
        }
    }
    first - second
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds are those of statsmodels' proportion_confint(…, method="wilson"): 18 of 100 from 0.1170, 16 from 0.1009,
    /// 15 from 0.0931.
    #[test]
    fn chance_is_what_the_interval_does_not_exclude() {
        let score = |right, images| Score { images, classes: 10, top1_exact: right, ..Score::default() };
        assert!(
            [(0, 10), (1, 10), (15, 100), (1_000, 10_000)].into_iter().all(|(right, n)| score(right, n).is_chance())
        );
        assert!(
            [(18, 100), (16, 100), (9_000, 10_000), (0, 9)].into_iter().all(|(right, n)| !score(right, n).is_chance())
        );
    }

    #[test]
    fn ranks_and_agreement_are_counted() {
        let mut score = Score::default();
        let exact = [0.1, 0.9, 0.3, 0.2, 0.0, 0.5, -1.0];
        score.add(0, 1, &exact, &exact);
        let last = score.add(1, 4, &exact, &[0.1, 0.2, 0.3, 0.4, 0.9, 0.5, -1.0]);
        assert_eq!((score.top1(), score.top1_exact()), (100.0, 50.0));
        assert_eq!((score.top5(), score.top5_exact()), (Some(100.0), Some(50.0)));
        assert_eq!(score.agreement(), 50.0);
        assert_eq!(score.max_logit_error(), 0.9);
        // Of class 1, 0.2 less 0.9.
        assert!((last.change - (-0.7 - 0.4)).abs() < 1e-12);
        let expected = Prediction { index: 1, label: 4, exact: Some(1), approximate: Some(4), margin: 0.4, ..last };
        assert_eq!(last, expected);
        let mut of_class = ClassScore::default();
        of_class.add(&last);
        assert_eq!(of_class, ClassScore { images: 1, exact: 0, approximate: 1 });
        assert_eq!(score.top1_standard_error(), 0.0);
        assert_eq!((score.lost(), score.won()), (0, 1));
        assert!((score.difference_standard_error() - 50.0 / 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(score.difference_p(), 1.0);
    }

    #[test]
    fn equal_logits_go_to_the_lower_class() {
        let mut score = Score::default();
        score.add(0, 0, &[1.0, 1.0], &[1.0, 1.0]);
        score.add(1, 1, &[1.0, 1.0], &[1.0, 1.0]);
        assert_eq!((score.top1(), score.agreement()), (50.0, 100.0));
        assert_eq!(score.top5(), None);
    }

    #[test]
    fn a_logit_that_is_no_number_is_wrong_and_told() {
        let mut score = Score::default();
        score.add(0, 0, &[1.0, 0.0], &[f64::NAN, 0.0]);
        score.add(1, 0, &[1.0, 0.0], &[f64::INFINITY, f64::NAN]);
        assert_eq!((score.top1(), score.agreement(), score.not_finite()), (0.0, 0.0, 2));
        assert!(score.max_logit_error().is_infinite());
    }
}
