//! What evaluated images add up to: of one configuration a [`Tally`], of all configurations together an [`Evaluation`].
//!
//! Both can be merged, part by part in the order of the images, and written down and read back without loss, so that an
//! evaluation can be split over devices and go on where it was interrupted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Score, Stretch, Timing, Until};
use crate::dataset::Broken;
use crate::model::Sites;

/// What one site met outside its range, over all images.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteOverflow {
    /// The site's index.
    pub site: usize,
    /// Values outside, those that are no number included.
    pub values: u64,
    /// Values that are no number.
    pub not_a_number: u64,
    /// The largest absolute value; 0 if none is a number.
    #[serde(with = "super::bits")]
    pub worst: f64,
    /// Values of an image that cannot be told, since the network mixes the images' axis with others before this site. They
    /// count in none of the figures below.
    pub unattributed: u64,
    /// Images with at least one such value.
    pub images: usize,
    /// Those of them that were inside at every earlier site: what they met here was not made by another site.
    pub first_here: usize,
    /// The largest absolute value of these: the smallest range that would have held them.
    #[serde(with = "super::bits")]
    pub needed: f64,
    /// The first of them, by its position in the dataset; none if no value could be attributed to an image.
    pub first_image: Option<usize>,
}

/// What came out of the images for one configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub score: Score,
    /// Sites that met values outside, in the order of the network.
    pub overflows: Vec<SiteOverflow>,
    /// Images with a value outside at any site.
    pub overflow_images: usize,
    /// Of the approximate passes.
    pub timing: Timing,
    /// What came out from cut to cut, where the run may stop at cuts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stretches: Vec<Stretch>,
    /// Where it stopped; none while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
}

/// What an evaluation had done when one of its configurations stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Images that could not be read until then.
    pub broken: usize,
    /// Of the exact passes until then.
    pub exact: Timing,
}

impl Tally {
    /// Values outside over all sites.
    pub fn overflow_values(&self) -> u64 {
        self.overflows.iter().map(|overflow| overflow.values).sum()
    }

    /// Take over what `sites` counted in one batch of the images at `indices`.
    pub(super) fn take_overflows(&mut self, sites: &Sites, indices: &[usize]) {
        let mut outside = BTreeSet::new();
        for site in 0..sites.count() {
            let batch = sites.take_overflow(site);
            if batch.values == 0 {
                continue;
            }
            let here = batch.images.iter().filter(|(image, _)| !outside.contains(*image));
            let (first_here, needed) = here.fold((0, 0f64), |(count, most), (_, &worst)| (count + 1, most.max(worst)));
            self.overflows.push(SiteOverflow {
                site,
                values: batch.values,
                not_a_number: batch.not_a_number,
                worst: batch.worst,
                unattributed: batch.unattributed,
                images: batch.images.len(),
                first_here,
                needed,
                first_image: batch.images.first_key_value().and_then(|(&image, _)| indices.get(image).copied()),
            });
            outside.extend(batch.images.into_keys());
        }
        self.overflow_images += outside.len();
    }

    /// Values outside of images that cannot be told, over all sites.
    pub fn unattributed(&self) -> u64 {
        self.overflows.iter().map(|overflow| overflow.unattributed).sum()
    }

    /// Close the stretch that ends after `position` images.
    fn cut(&mut self, position: usize) {
        let before = |count: fn(&Stretch) -> usize| self.stretches.iter().map(count).sum::<usize>();
        self.stretches.push(Stretch {
            images: position - before(|stretch| stretch.images),
            lost: self.score.lost() - before(|stretch| stretch.lost),
            won: self.score.won() - before(|stretch| stretch.won),
        });
    }

    fn merge(&mut self, later: Tally) {
        self.score.merge(&later.score);
        self.overflow_images += later.overflow_images;
        self.timing.merge(later.timing);
        for more in later.overflows {
            match self.overflows.binary_search_by_key(&more.site, |overflow| overflow.site) {
                Ok(at) => {
                    let overflow = &mut self.overflows[at];
                    overflow.values += more.values;
                    overflow.not_a_number += more.not_a_number;
                    overflow.worst = overflow.worst.max(more.worst);
                    overflow.unattributed += more.unattributed;
                    overflow.images += more.images;
                    overflow.first_here += more.first_here;
                    overflow.needed = overflow.needed.max(more.needed);
                    overflow.first_image = overflow.first_image.or(more.first_image);
                }
                Err(at) => self.overflows.insert(at, more),
            }
        }
    }
}

/// What came out of the images, for every configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Of each configuration, in the order of the tables of sites.
    pub tallies: Vec<Tally>,
    /// Of the exact passes.
    pub exact: Timing,
    /// Of all passes, exact and approximate: what several have in common counts once here, and in the timing of each.
    #[serde(default)]
    pub passes: Timing,
    /// Images that could not be read, in order. The scores rest on the others.
    pub broken: Vec<Broken>,
    /// Shape of the network's input: channels, height, width.
    pub shape: [usize; 3],
    /// Indices of the sites that ran, in one of the passes at least.
    pub ran: BTreeSet<usize>,
    /// SHA-256 as stored and label of each image evaluated, in order.
    pub images: Vec<([u8; 32], u32)>,
}

impl Evaluation {
    /// How many images of the scope are behind it, broken ones included.
    pub fn position(&self) -> usize {
        self.images.len() + self.broken.len()
    }

    /// Images that could not be read while `tally`, one of its tallies, was added to.
    pub fn broken_of(&self, tally: &Tally) -> usize {
        tally.stop.as_ref().map_or(self.broken.len(), |stop| stop.broken)
    }

    /// The exact passes over the images of `tally`, one of its tallies.
    pub fn exact_of<'a>(&'a self, tally: &'a Tally) -> &'a Timing {
        tally.stop.as_ref().map_or(&self.exact, |stop| &stop.exact)
    }

    /// The images that `tally`, one of its tallies, rests on.
    pub fn images_of(&self, tally: &Tally) -> &[([u8; 32], u32)] {
        &self.images[..tally.score.images().min(self.images.len())]
    }

    /// Whether no configuration goes on.
    pub(super) fn has_stopped(&self) -> bool {
        !self.tallies.is_empty() && self.tallies.iter().all(|tally| tally.stop.is_some())
    }

    /// Add what came out of the images that follow, to the configurations that go on; those stop for which `until` is reached
    /// at a cut.
    pub(super) fn add(&mut self, later: Evaluation, until: Option<&Until>) {
        self.tallies.resize(self.tallies.len().max(later.tallies.len()), Tally::default());
        for (tally, more) in self.tallies.iter_mut().zip(later.tallies) {
            if tally.stop.is_none() {
                tally.merge(more);
            }
        }
        self.exact.merge(later.exact);
        self.passes.merge(later.passes);
        self.broken.extend(later.broken);
        if !later.images.is_empty() {
            self.shape = later.shape;
        }
        self.ran.extend(later.ran);
        self.images.extend(later.images);
        let position = self.position();
        let Some(until) = until.filter(|until| until.cuts().binary_search(&position).is_ok()) else { return };
        for tally in self.tallies.iter_mut().filter(|tally| tally.stop.is_none()) {
            tally.cut(position);
            if until.is_reached(&tally.stretches) {
                tally.stop = Some(Stop { broken: self.broken.len(), exact: self.exact.clone() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(site: usize, worst: f64, first_image: usize) -> Evaluation {
        let mut score = Score::default();
        score.add(first_image, 0, &[1.0, 0.0], &[f64::INFINITY, 0.0]);
        let overflow = SiteOverflow {
            site,
            values: 2,
            not_a_number: 1,
            worst,
            unattributed: 0,
            images: 1,
            first_here: 1,
            needed: worst,
            first_image: Some(first_image),
        };
        let timing = Timing::of_batch(0, 1, 0.5);
        let tally = Tally { score, overflows: vec![overflow], overflow_images: 1, timing, ..Tally::default() };
        let images = vec![([first_image as u8; 32], 3)];
        Evaluation {
            tallies: vec![tally],
            exact: Timing::of_batch(0, 1, 0.25),
            passes: Timing::of_batch(0, 1, 0.5),
            broken: Vec::new(),
            shape: [1, 2, 3],
            ran: [site].into(),
            images,
        }
    }

    #[test]
    fn parts_add_up_site_by_site() {
        let mut all = Evaluation::default();
        for (site, worst, image) in [(4, 3.0, 0), (1, f64::INFINITY, 1), (4, 2.0, 2)] {
            all.add(part(site, worst, image), None);
        }
        let tally = &all.tallies[0];
        let sites: Vec<usize> = tally.overflows.iter().map(|overflow| overflow.site).collect();
        assert_eq!(sites, [1, 4]);
        let of_four = &tally.overflows[1];
        assert_eq!((of_four.values, of_four.worst, of_four.images, of_four.first_image), (4, 3.0, 2, Some(0)));
        assert_eq!(all.ran, [1, 4].into());
        assert_eq!((tally.overflow_values(), tally.overflow_images, tally.score.images()), (6, 3, 3));
        assert_eq!((all.images.len(), all.exact.seconds(), all.shape), (3, 0.75, [1, 2, 3]));
        assert_eq!(all.passes.seconds(), 1.5);
    }

    /// A configuration that stops at a cut rests on the images until then; the others go on.
    #[test]
    fn each_configuration_stops_by_itself() {
        let until = Until::new(40.0, 1_000);
        let batch = |images: usize, seconds: f64| {
            let tally = |differs: bool| {
                let mut score = Score::default();
                for i in 0..images {
                    // Lost and won in turn.
                    let (right, wrong) = ([1.0, 0.0], [0.0, 1.0]);
                    let (exact, approximate) = if differs && i % 2 == 1 { (wrong, right) } else { (right, wrong) };
                    score.add(i, 0, &exact, if differs { &approximate } else { &exact });
                }
                Tally { score, ..Tally::default() }
            };
            Evaluation {
                tallies: vec![tally(false), tally(true)],
                exact: Timing::of_batch(0, images, seconds),
                images: vec![([0; 32], 0); images],
                ..Evaluation::default()
            }
        };
        let mut all = Evaluation::default();
        for (images, stopped) in [(60, [false; 2]), (40, [true, false]), (11, [true, false])] {
            all.add(batch(images, 1.0), Some(&until));
            assert_eq!([0, 1].map(|i| all.tallies[i].stop.is_some()), stopped, "{:?}", all.tallies[1].stretches);
        }
        let [first, second] = [&all.tallies[0], &all.tallies[1]];
        assert_eq!((first.score.images(), second.score.images()), (100, 111));
        assert_eq!((all.exact_of(first).seconds(), all.exact_of(second).seconds()), (2.0, 3.0));
        assert_eq!((all.images_of(first).len(), all.images_of(second).len()), (100, 111));
        let counts: Vec<_> = second.stretches.iter().map(|one| (one.images, one.lost, one.won)).collect();
        assert_eq!(counts, [(100, 50, 50), (11, 6, 5)]);
        assert!(!all.has_stopped());
    }

    /// An interrupted evaluation goes on from what was written down, infinities included.
    #[test]
    fn an_evaluation_survives_writing_and_reading() {
        let before = part(1, f64::INFINITY, 7);
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), before);
    }
}
