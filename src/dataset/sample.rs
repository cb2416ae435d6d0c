//! Which images of a dataset are used: all of them, the first ones, or some drawn by a seed; with or without a part that is
//! kept apart.

use std::collections::BTreeSet;
use std::fmt;

use super::{Dataset, Holdout, holdout};

/// How many images are used, and how they are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Every image.
    All,
    /// The first ones in the dataset's order.
    First(usize),
    /// This many, drawn by the seed from all images there are to choose from.
    Drawn(usize),
}

/// What is asked for, before the dataset is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    pub size: Size,
    /// How many images are kept apart for calibration.
    pub holdout: Option<usize>,
    /// Decides what is drawn and what is kept apart.
    pub seed: u64,
    /// Whether the images come in an order drawn by the seed, instead of that of the dataset.
    pub shuffled: bool,
}

/// Whether the images kept apart are those that are used or those that are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What [`Sampling::holdout`] leaves.
    Rest,
    /// What [`Sampling::holdout`] keeps apart; everything if nothing is.
    HeldOut,
}

/// The images that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Positions in the dataset, in the order of evaluation.
    pub images: Vec<usize>,
    /// How they were chosen, for the column `sampled`: `all`, `first 1000` or `1000 by seed 0`, followed by ` without 500 by
    /// seed 0` where images are kept apart, or by ` of 500 by seed 0` where these are used; then `, shuffled by seed 0`.
    pub description: String,
}

impl Sampling {
    /// Choose from `images` images; `None` if the part that is kept apart leaves none of them.
    pub fn choose(&self, images: usize, part: Part) -> Option<Sample> {
        let candidates = match (self.holdout, part) {
            (None, _) => (0..images).collect(),
            (Some(count), _) if count >= images => return None,
            (Some(count), Part::Rest) => Holdout::draw(images, count, self.seed).rest,
            (Some(count), Part::HeldOut) => Holdout::draw(images, count, self.seed).drawn,
        };
        let mut description = match self.size {
            Size::First(count) if count < candidates.len() => format!("first {count}"),
            Size::Drawn(count) if count < candidates.len() => format!("{count} by seed {}", self.seed),
            _ => "all".to_owned(),
        };
        match (self.holdout, part) {
            (Some(count), Part::Rest) => description += &format!(" without {count} by seed {}", self.seed),
            (Some(count), Part::HeldOut) => description += &format!(" of {count} by seed {}", self.seed),
            (None, _) => {}
        }
        let images = match self.size {
            Size::All => candidates,
            Size::First(count) => candidates.into_iter().take(count).collect(),
            Size::Drawn(count) => Holdout::draw_from(candidates, count, self.seed).drawn,
        };
        if !self.shuffled {
            return Some(Sample { images, description });
        }
        description += &format!(", shuffled by seed {}", self.seed);
        let images = holdout::shuffled(images, self.seed);
        Some(Sample { images, description })
    }
}

/// How many of a dataset's classes a sample meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    pub met: usize,
    pub classes: usize,
}

impl Coverage {
    /// Of `images` in `dataset`, if its images lie class by class and some classes are not met.
    pub fn missing(dataset: &Dataset, images: &[usize]) -> Option<Coverage> {
        let labels = dataset.labels();
        let classes: BTreeSet<u32> = labels.iter().copied().collect();
        let runs = 1 + labels.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let met: BTreeSet<u32> = images.iter().map(|&index| labels[index]).collect();
        let is_missing = runs == classes.len() && met.len() < classes.len();
        is_missing.then_some(Coverage { met: met.len(), classes: classes.len() })
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} classes", self.met, self.classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(size: Size, holdout: Option<usize>, part: Part) -> (Vec<usize>, String) {
        let sample = Sampling { size, holdout, seed: 1, shuffled: false }.choose(10, part).unwrap();
        (sample.images, sample.description)
    }

    /// The positions were computed apart from this program, with Python's hashlib:
    /// `sorted(range(10), key=lambda i: sha256(struct.pack("<QQ", 1, i)).digest())` is 2, 4, 7, 9, 0, 1, 3, 6, 8, 5.
    #[test]
    fn the_draw_is_the_documented_one() {
        let expected = |size, holdout, part, images: &[usize], description: &str| {
            assert_eq!(chosen(size, holdout, part), (images.to_vec(), description.to_owned()));
        };
        let all: Vec<usize> = (0..10).collect();
        expected(Size::All, None, Part::Rest, &all, "all");
        expected(Size::Drawn(10), None, Part::Rest, &all, "all");
        expected(Size::First(4), None, Part::HeldOut, &[0, 1, 2, 3], "first 4");
        expected(Size::Drawn(3), None, Part::Rest, &[2, 4, 7], "3 by seed 1");
        expected(Size::All, Some(3), Part::HeldOut, &[2, 4, 7], "all of 3 by seed 1");
        expected(Size::Drawn(2), Some(3), Part::HeldOut, &[2, 4], "2 by seed 1 of 3 by seed 1");
        expected(Size::Drawn(2), Some(3), Part::Rest, &[0, 9], "2 by seed 1 without 3 by seed 1");
        expected(Size::First(3), Some(3), Part::Rest, &[0, 1, 3], "first 3 without 3 by seed 1");
        let shuffled = |size| Sampling { size, holdout: None, seed: 1, shuffled: true }.choose(10, Part::Rest).unwrap();
        assert_eq!(shuffled(Size::All).images, [2, 4, 7, 9, 0, 1, 3, 6, 8, 5]);
        assert_eq!(shuffled(Size::All).description, "all, shuffled by seed 1");
        assert_eq!(shuffled(Size::First(4)).images, [2, 0, 1, 3]);
        let of = |images, seed| {
            Sampling { size: Size::Drawn(5), holdout: None, seed, shuffled: false }.choose(images, Part::Rest)
        };
        assert_eq!(of(1000, 0).unwrap().images, [425, 525, 619, 684, 865]);
        assert_eq!(of(50_000, 7).unwrap().images, [10_062, 25_677, 26_021, 31_590, 37_225]);
        assert_eq!(of(10, u64::MAX).unwrap().images, [4, 5, 7, 8, 9]);
    }

    #[test]
    fn a_holdout_that_leaves_nothing_is_none() {
        let sampling = Sampling { size: Size::All, holdout: Some(10), seed: 0, shuffled: false };
        assert_eq!(sampling.choose(10, Part::Rest), None);
    }
}
