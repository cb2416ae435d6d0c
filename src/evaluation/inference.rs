//! What counts over some images say of all images like them: intervals of proportions, and tests of paired differences.

/// z of a two-sided interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a proportion of which `right` of `images` were counted, both ends in [0, 1] (Wilson, JASA 22, 1927).
/// Of no images it is [0, 1].
pub fn wilson(right: usize, images: usize) -> [f64; 2] {
    if images == 0 {
        return [0.0, 1.0];
    }
    let n = images as f64;
    let p = right as f64 / n;
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    [centre - half, centre + half].map(|end| (end / (1.0 + Z * Z / n)).clamp(0.0, 1.0))
}

/// The standard error of (won − lost) / images, a difference of two proportions over the same images, of which only those
/// count that one of both has right: √(b + c − (b − c)²/n) / n (McNemar, Psychometrika 12, 1947).
pub fn paired_standard_error(lost: usize, won: usize, images: usize) -> f64 {
    let [b, c, n] = [lost, won, images.max(1)].map(|count| count as f64);
    // Rounding must not make a difference of all images, which has no spread, a negative one.
    ((b + c - (b - c) * (b - c) / n).max(0.0)).sqrt() / n
}

/// The two-sided p of McNemar's exact test: how likely `lost` and `won` differ as much or more if either is as likely for each
/// image, a binomial of 1/2; 1 where nothing was lost or won.
pub fn mcnemar(lost: usize, won: usize) -> f64 {
    let n = lost + won;
    // ln of the term k of the binomial, from k = 0 on.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = term.exp();
    for k in 1..=lost.min(won) {
        term += ((n + 1 - k) as f64 / k as f64).ln();
        tail += term.exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula in Python; 18 of 100 as statsmodels' proportion_confint(…, method="wilson") has it.
    #[test]
    fn wilson_s_interval_is_the_known_one() {
        for (right, images, low, high) in [
            (0, 10, 0.0, 0.277_532_799_862_889),
            (18, 100, 0.117_002_254_989, 0.266_673_583_863),
            (9_358, 10_000, 0.930_826_615_932, 0.940_438_691_088),
        ] {
            let [a, b] = wilson(right, images);
            assert!((a - low).abs() < 1e-6 && (b - high).abs() < 1e-6, "{right} of {images}: {a} {b}");
        }
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
        assert_eq!(wilson(7, 7)[1], 1.0);
    }

    #[test]
    fn errors_of_paired_differences_are_the_known_ones() {
        for (lost, won, expected) in [(2, 3, 0.000_223_6), (191, 83, 0.001_651_7)] {
            let error = paired_standard_error(lost, won, 10_000);
            assert!((error - expected).abs() < 1e-7, "{lost} {won}: {error}");
        }
        assert_eq!(paired_standard_error(0, 0, 100), 0.0);
        assert_eq!(paired_standard_error(7, 0, 7), 0.0);
        assert_eq!(paired_standard_error(0, 0, 0), 0.0);
    }

    /// Sums of binomial coefficients in exact integers.
    #[test]
    fn mcnemar_s_p_is_that_of_the_binomial() {
        for (lost, won, expected) in
            [(0, 0, 1.0), (2, 3, 1.0), (0, 5, 0.0625), (1, 9, 0.021_484_375), (191, 83, 5.789_337_115_393_946e-11)]
        {
            let p = mcnemar(lost, won);
            assert!((p / expected - 1.0).abs() < 1e-9, "{lost} {won}: {p}");
            assert_eq!(p, mcnemar(won, lost));
        }
        assert!(mcnemar(20_000, 30_000) < 1e-300);
    }
}
