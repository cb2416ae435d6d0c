//! When a run may stop: once the difference of top-1 is known well enough, over images in a random order.
//!
//! Each image gives d = +1 if the approximate pass alone is right, −1 if the exact pass alone is, 0 otherwise. What is asked
//! for is the mean m of d over all N images. A confidence sequence holds it with 95 % at all times at once, so that stopping
//! when it is narrow enough takes nothing from that (Waudby-Smith and Ramdas, "Estimating means of bounded random variables
//! by betting", JRSS B 86, 2024, sections 4 and 5). Two gamblers bet against a supposed m, one that it is larger, one that it
//! is smaller. Images are drawn in stretches between cuts, which are at the same numbers of images whatever the batch. After
//! n images with a sum S, the next one has the mean μ = (Nm − S)/(N − n), and in the stretch that begins there the capitals
//! are multiplied by 1 ± λ(d − μ) for each image. Images drawn without replacement are negatively associated (Joag-Dev and
//! Proschan, Ann. Statist. 11, 1983), so the product over a stretch has a mean of at most 1: if m is right, the capitals are
//! supermartingales, and by Ville's inequality either ever reaches 40 = 2/0.05 with a probability of at most 1/40. The
//! interval is of all m that neither gambler has refuted.
//!
//! The bets λ may depend on what came before. They are W/(2s²) for a width W and the variance s² of d so far, the best bet
//! where the interval gets that narrow, and less where the capital could be lost at once.

use serde::{Deserialize, Serialize};

/// ln of the capital that refutes a mean.
const REFUTED: f64 = 3.688_879_454_113_936;

/// The largest part of the capital that is put on one image.
const STAKE: f64 = 0.9;

/// The first cut, and how much later each next one is.
const FIRST_CUT: usize = 100;
const GROWTH: f64 = 1.1;

/// Stop when the 95 % interval of the difference in top-1 is narrower than a width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Until {
    width: f64,
    images: usize,
}

/// What the images between two cuts gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    pub images: usize,
    pub lost: usize,
    pub won: usize,
}

impl Until {
    /// For a `width` in points, from the interval's lower to its upper end, of what all `images` would give.
    pub fn new(width: f64, images: usize) -> Until {
        Until { width, images }
    }

    /// In points.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// After how many images a run may stop, ascending; the last is all of them.
    pub fn cuts(&self) -> Vec<usize> {
        let next = |cut: &usize| Some((*cut as f64 * GROWTH).ceil() as usize);
        let cuts = std::iter::successors(Some(FIRST_CUT), next).take_while(|&cut| cut < self.images);
        cuts.chain([self.images]).collect()
    }

    /// The interval of the difference over all images, in points, after these stretches from cut to cut; that difference
    /// itself after all images.
    pub fn interval(&self, stretches: &[Stretch]) -> [f64; 2] {
        let seen: usize = stretches.iter().map(|stretch| stretch.images).sum();
        if seen >= self.images {
            let sum: f64 = stretches.iter().map(|stretch| stretch.won as f64 - stretch.lost as f64).sum();
            return [100.0 * sum / seen.max(1) as f64; 2];
        }
        let bets = self.bets(stretches);
        let refutes = |side: f64, mean: f64| self.ln_capital(&bets, side, mean) >= REFUTED;
        // Where the gambler on this side no longer refutes the mean: capitals grow with the distance.
        let end = |side: f64| {
            let (mut refuted, mut open) = (-side, side);
            for _ in 0..60 {
                let middle = (refuted + open) / 2.0;
                if refutes(side, middle) { refuted = middle } else { open = middle }
            }
            100.0 * refuted
        };
        [end(1.0), end(-1.0)]
    }

    /// Whether the interval is narrow enough.
    pub fn is_reached(&self, stretches: &[Stretch]) -> bool {
        let [low, high] = self.interval(stretches);
        high - low <= self.width
    }

    /// The stretches, each with what is bet in it.
    fn bets<'a>(&self, stretches: &'a [Stretch]) -> Vec<(f64, &'a Stretch)> {
        let mut before = Stretch::default();
        let mut bets = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            let [n, lost, won] = [before.images, before.lost, before.won].map(|count| count as f64);
            let mean = (won - lost) / n.max(1.0);
            // As if one image more had d = ±1, so that no variance is 0.
            let variance = (1.0 + lost + won - n * mean * mean) / (n + 1.0);
            bets.push((self.width / 100.0 / (2.0 * variance), stretch));
            before.images += stretch.images;
            before.lost += stretch.lost;
            before.won += stretch.won;
        }
        bets
    }

    /// ln of the capital of the gambler who bets that the mean is larger than `mean`, for a `side` of 1, or smaller, for −1;
    /// infinite if the images that are left cannot make it `mean`.
    fn ln_capital(&self, bets: &[(f64, &Stretch)], side: f64, mean: f64) -> f64 {
        let (mut left, mut sum) = (self.images as f64, self.images as f64 * mean);
        let mut capital = 0.0;
        for (bet, stretch) in bets {
            let next = sum / left;
            if side * next < -1.0 {
                return f64::INFINITY;
            }
            // The worst image for the gambler is d = −side.
            let bet = bet.min(STAKE / (1.0 + side * next)) * side;
            let same = stretch.images - stretch.lost - stretch.won;
            for (count, d) in [(stretch.lost, -1.0), (stretch.won, 1.0), (same, 0.0)] {
                if count > 0 {
                    capital += count as f64 * (bet * (d - next)).ln_1p();
                }
            }
            left -= stretch.images as f64;
            sum -= stretch.won as f64 - stretch.lost as f64;
        }
        if side * sum < -left { f64::INFINITY } else { capital }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_do_not_depend_on_how_many_images_follow() {
        let cuts = |images| Until::new(1.0, images).cuts();
        assert_eq!(cuts(100), [100]);
        assert_eq!(cuts(150), [100, 111, 123, 136, 150]);
        assert_eq!(cuts(7), [7]);
        let (few, many) = (cuts(5_000), cuts(50_000));
        assert_eq!(few[..few.len() - 1], many[..few.len() - 1]);
    }

    /// Of few among many images that are all alike, with the whole stake: (1 + 0.9·δ)^n = 40 for a small δ.
    #[test]
    fn where_nothing_differs_the_interval_shrinks_as_one_in_n() {
        let until = Until::new(2.0, 100_000_000);
        let stretches = [Stretch { images: 100, ..Stretch::default() }; 100];
        let [low, high] = until.interval(&stretches);
        assert!((low + high).abs() < 1e-9, "{low} {high}");
        let least = 100.0 * REFUTED / (STAKE * 10_000.0);
        assert!(high > least && high < 1.2 * least, "{high} {least}");
    }

    #[test]
    fn nothing_is_known_before_the_first_image_and_all_after_the_last() {
        let until = Until::new(1.0, 200);
        let [low, high] = until.interval(&[]);
        assert!((low + 100.0).abs() < 1e-9 && (high - 100.0).abs() < 1e-9, "{low} {high}");
        let all = [Stretch { images: 100, lost: 3, won: 1 }, Stretch { images: 100, lost: 2, won: 0 }];
        assert_eq!(until.interval(&all), [-2.0, -2.0]);
        assert!(until.is_reached(&all) && !until.is_reached(&all[..1]));
        // One image is left: it decides within 1/200.
        let [low, high] = until.interval(&[Stretch { images: 199, lost: 0, won: 0 }]);
        assert!(low >= -0.5 - 1e-9 && high <= 0.5 + 1e-9, "{low} {high}");
    }

    /// The 64 bits of SplitMix (Steele, Lea and Flood, OOPSLA 2014).
    struct Random(u64);

    impl Random {
        /// In [0, 1).
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    /// A run over a set with `lost` and `won` of `images`, in a random order: how many it took, what it found in points, and
    /// its interval.
    fn run(until: Until, [images, lost, won]: [usize; 3], random: &mut Random) -> (usize, f64, [f64; 2]) {
        let mut left = Stretch { images, lost, won };
        let mut stretches = Vec::new();
        for cut in until.cuts() {
            let mut stretch = Stretch::default();
            while images - left.images < cut {
                let drawn = random.next() * left.images as f64;
                let (is_lost, is_won) = (drawn < left.lost as f64, drawn >= (left.images - left.won) as f64);
                for (counts, step) in [(&mut stretch, 1), (&mut left, usize::MAX)] {
                    counts.images = counts.images.wrapping_add(step);
                    counts.lost = counts.lost.wrapping_add(if is_lost { step } else { 0 });
                    counts.won = counts.won.wrapping_add(if is_won { step } else { 0 });
                }
            }
            stretches.push(stretch);
            if until.is_reached(&stretches) {
                break;
            }
        }
        let seen = images - left.images;
        let found = (won - left.won) as f64 - (lost - left.lost) as f64;
        (seen, 100.0 * found / seen as f64, until.interval(&stretches))
    }

    /// What stopping does to the interval and to the figure itself, simulated: the interval misses the truth in at most 5 of
    /// 100 runs, and the mean of the differences that are found is the truth within a tenth of the width.
    #[test]
    fn stopping_takes_nothing_from_the_interval_and_adds_no_bias() {
        const RUNS: usize = 400;
        let mut random = Random(1);
        for (width, counts) in [
            (0.2, [10_000, 2, 3]),
            (0.2, [10_000, 0, 0]),
            (0.2, [50_000, 10, 15]),
            (0.5, [50_000, 100, 50]),
            (1.0, [10_000, 191, 83]),
            (4.0, [10_000, 3_000, 200]),
            (4.0, [5_000, 250, 250]),
        ] {
            let [images, lost, won] = counts;
            let (until, truth) = (Until::new(width, images), 100.0 * (won as f64 - lost as f64) / images as f64);
            let (mut missed, mut sum, mut taken) = (0, 0.0, 0);
            for _ in 0..RUNS {
                let (count, found, [low, high]) = run(until, counts, &mut random);
                missed += usize::from(truth < low - 1e-9 || truth > high + 1e-9);
                sum += found - truth;
                taken += count;
            }
            let (bias, taken) = (sum / RUNS as f64, taken / RUNS);
            println!("width {width}, {counts:?}: {taken} images, missed {missed} of {RUNS}, bias {bias:.4}");
            assert!(missed <= RUNS / 20, "{width} {counts:?}: missed {missed}");
            assert!(bias.abs() < width / 10.0, "{width} {counts:?}: bias {bias}");
        }
    }
}
