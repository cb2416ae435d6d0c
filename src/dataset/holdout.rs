//! Images kept apart for calibration: drawn by a seed, the same on every machine and for ever.

use crate::digest;

/// Positions of images, in two parts, both ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdout {
    /// Those that are kept apart.
    pub drawn: Vec<usize>,
    /// All others.
    pub rest: Vec<usize>,
}

impl Holdout {
    /// Draw `count` of `images` images: those for which SHA-256 of seed and position is smallest.
    pub fn draw(images: usize, count: usize, seed: u64) -> Holdout {
        Holdout::draw_from((0..images).collect(), count, seed)
    }

    /// As [`Holdout::draw`], from the positions `candidates`.
    pub fn draw_from(candidates: Vec<usize>, count: usize, seed: u64) -> Holdout {
        let mut drawn = shuffled(candidates, seed);
        let mut rest = drawn.split_off(count.min(drawn.len()));
        drawn.sort_unstable();
        rest.sort_unstable();
        Holdout { drawn, rest }
    }
}

/// `images` in the order of SHA-256 of seed and position.
pub fn shuffled(mut images: Vec<usize>, seed: u64) -> Vec<usize> {
    images.sort_by_cached_key(|image| {
        let bytes = [seed.to_le_bytes(), (*image as u64).to_le_bytes()].concat();
        digest::of_bytes(&bytes)
    });
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_the_whole_and_a_seed_always_draws_the_same() {
        let holdout = Holdout::draw(1000, 100, 7);
        assert_eq!((holdout.drawn.len(), holdout.rest.len()), (100, 900));
        let mut all = [holdout.drawn.clone(), holdout.rest.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        assert_eq!(Holdout::draw(1000, 100, 7), holdout);
        assert_ne!(Holdout::draw(1000, 100, 8), holdout);
    }

    /// Computed apart from this program, with Python's hashlib.
    #[test]
    fn the_draw_is_the_documented_one() {
        assert_eq!(Holdout::draw(10, 3, 1).drawn, [2, 4, 7]);
    }
}
