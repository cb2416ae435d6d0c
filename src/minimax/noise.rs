//! How many bits of scale a composition needs, so that the noise of an encryption does not spoil its error.
//!
//! A fresh encryption under a public key has, with a uniform ternary secret, in every coefficient the variance
//! V = σ²·(4N/3 + 1) + 1/12, N the dimension of the ring, σ = 3.19: the noise of the key times the random u of the
//! encryption, that of the two parts, and the rounding of the encoding. A slot sums the coefficients with N roots of unity,
//! of which its real part has half: standard deviation √(N/2·V), divided by the scale. The evaluation multiplies it by the
//! [noise gain](super::NoiseGain), and adds nothing that counts beside that: see [`Composite::least_scale`].
//!
//! Lattigo divides a fresh encryption by a special prime, which leaves V = (2N/3 + 1)/12 + 1/12, a sixteenth of the deviation. Then what
//! is added on the way counts as well, by each rescaling (2N/3 + 1)/12: see [`Composite::least_scale_in_lattigo`].

use super::composite::Composite;
use super::real::to_f64;

/// Standard deviation of the errors that the libraries draw.
const SIGMA: f64 = 3.19;
/// Standard deviations of noise that are reckoned with at the ends, where few values lie: the gain is large only within a
/// few times the overshoot of them.
const AT_ENDS: f64 = 2.0;
/// And elsewhere, the largest among the slots of a ciphertext: of 2^15 Gaussian values 2 are beyond.
const ELSEWHERE: f64 = 4.0;
/// From where on it is the ends.
const END: f64 = super::gain::INSIDE;
/// Errors of ReLU below this are not resolved by f64, in which they are compared with noise.
const LEAST_ERROR: f64 = 1e-12;

/// Standard deviation of the noise in a slot of a fresh encryption in a ring of `dimension`, at scale 1; at scale 2^s it is
/// 2^s times smaller. A doubling of the dimension doubles it.
pub fn fresh_noise(dimension: u32) -> f64 {
    let dimension = f64::from(dimension);
    let variance = SIGMA * SIGMA * (4.0 * dimension / 3.0 + 1.0) + 1.0 / 12.0;
    (dimension / 2.0 * variance).sqrt()
}

/// Standard deviation of the noise in a slot that a rescaling adds in a ring of `dimension`, at scale 1, with a uniform ternary secret.
fn rescaling_noise(dimension: u32) -> f64 {
    let dimension = f64::from(dimension);
    (dimension / 2.0 * (1.0 + 2.0 * dimension / 3.0) / 12.0).sqrt()
}

/// What the rescalings inside a composition add to its ReLU, in standard deviations of one of them, by the noise gain: followed operation
/// by operation for compositions of degrees 3 to 31, it is up to 1.3 times the gain at the ends and mostly 2 to 4 elsewhere.
fn rescalings_inside(gain: f64) -> f64 {
    (1.3 * gain).max(4.0)
}

/// The bits of the least scales in OpenFHE and in Lattigo at which the noise of fresh encryptions of numbers in [−1, 1] stays below
/// `allowed` behind one polynomial with this noise gain, by 4 standard deviations; `size` is what it gives at most.
pub fn least_scales_of_polynomial(gain: f64, size: f64, allowed: f64, dimension: u32) -> [u32; 2] {
    let inside = size * rescalings_inside(gain / size);
    let lattigo = rescaling_noise(dimension) * (2.0 * gain * gain + inside * inside).sqrt();
    [fresh_noise(dimension) * gain, lattigo].map(|noise| (ELSEWHERE * noise / allowed).log2().ceil().max(1.0) as u32)
}

impl Composite {
    /// α: the largest whole number with a ReLU error of at most 2^−α.
    pub fn whole_bits(&self) -> i32 {
        -to_f64(&self.relu_error).log2().ceil() as i32
    }

    /// The bits of the least scale at which |r(x) − ReLU(x)| on fresh encryptions of |x| ≤ 1 stays at most 2^−α, α being
    /// the whole bits of the ReLU error, in a ring of `dimension`: 2 standard deviations of noise are allowed for where
    /// |x| > 0.99 and 4 elsewhere. For one bit less of scale half the dimension is needed.
    ///
    /// Bisected on ciphertexts of OpenFHE 1.6 with automatic scaling (FLEXIBLEAUTO), for 14 sets at N = 2^12 and 5 at
    /// 2^14, it is the same bits to −1 and +2. Rescaling to fixed scales (FIXEDAUTO) drifts, and takes up to 6 bits more;
    /// a bootstrapping brings a noise of its own.
    ///
    /// `None` for errors below 1e-12, which f64 does not resolve.
    pub fn least_scale(&self, dimension: u32) -> Option<u32> {
        let noise = fresh_noise(dimension);
        self.least_scale_with(|gain| noise * gain)
    }

    /// The same in Lattigo: the noise of an encryption and of the rescaling of x/B, both of which the gain multiplies, and of the rescalings
    /// inside. It is forecast and not bisected: Orion, which carries Lattigo, hands numbers over in float32, whose noise is larger.
    pub fn least_scale_in_lattigo(&self, dimension: u32) -> Option<u32> {
        let rescaling = rescaling_noise(dimension);
        self.least_scale_with(|gain| rescaling * (2.0 * gain * gain + rescalings_inside(gain).powi(2)).sqrt())
    }

    /// With a noise whose standard deviation at scale 1 follows from the noise gain at an input.
    fn least_scale_with(&self, noise: impl Fn(f64) -> f64) -> Option<u32> {
        if to_f64(&self.relu_error) < LEAST_ERROR {
            return None;
        }
        let allowed = (-f64::from(self.whole_bits())).exp2();
        let needed = self.samples().into_iter().map(|sample| {
            let deviations = if sample.x > END { AT_ENDS } else { ELSEWHERE };
            deviations * noise(sample.gain) / (allowed - sample.error).max(0.0)
        });
        let bits = needed.fold(1.0, f64::max).log2().ceil();
        bits.is_finite().then_some(bits as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minimax::{ALPHAS, DEFAULT_BITS, Epsilon, paper_set};

    /// Measured on OpenFHE at scale 2^40: log2 of the standard deviation as decoded, where decoding adds the same variance
    /// once more.
    #[test]
    fn the_noise_of_an_encryption_is_what_was_measured() {
        for (dimension, measured) in [(1 << 12, -26.10), (1 << 13, -25.12), (1 << 14, -24.11)] {
            let decoded = (fresh_noise(dimension) * 2f64.sqrt()).log2() - 40.0;
            assert!((decoded - measured).abs() < 0.03, "{dimension}: {decoded} {measured}");
        }
    }

    /// The least bits of scale with a worst error of at most 2^−α, bisected on OpenFHE's ciphertexts (FLEXIBLEAUTO).
    #[test]
    fn least_scales_are_near_those_bisected_on_ciphertexts() {
        let paper = ALPHAS.skip(2).map(|alpha| {
            let set = paper_set(alpha).unwrap();
            Composite::design(set.degrees, &Epsilon::Given(set.epsilon), DEFAULT_BITS).unwrap()
        });
        let sets: [&[u32]; 5] = [&[7, 7, 13], &[15, 15, 27], &[15, 27, 29], &[3, 3, 5, 5, 5], &[3, 3, 5, 5, 5, 5, 5]];
        let best = sets.map(|degrees| Composite::design(degrees, &Epsilon::Best, DEFAULT_BITS).unwrap());
        let composites: Vec<Composite> = paper.chain(best).collect();
        let alphas = composites.iter().map(Composite::whole_bits);
        assert_eq!(alphas.collect::<Vec<i32>>(), [6, 7, 8, 9, 10, 11, 12, 13, 14, 10, 13, 14, 10, 14]);
        let measured = [26, 27, 29, 31, 30, 32, 31, 32, 36, 31, 34, 38, 30, 33];
        let scales = |dimension: u32, composites: &[&Composite]| -> Vec<u32> {
            composites.iter().map(|composite| composite.least_scale(dimension).unwrap()).collect()
        };
        let all: Vec<&Composite> = composites.iter().collect();
        let found = scales(1 << 12, &all);
        assert_eq!(found, [27, 28, 29, 33, 31, 32, 32, 33, 36, 32, 36, 39, 29, 35]);
        assert!(found.iter().zip(measured).all(|(&found, measured)| (measured - 1..=measured + 2).contains(&found)));
        let some = [1, 4, 7, 8, 13].map(|i| all[i]);
        let found = scales(1 << 14, &some);
        assert_eq!(found, [30, 33, 35, 38, 37]);
        assert!(found.iter().zip([29, 32, 34, 37, 36]).all(|(&found, measured)| found == measured + 1));
    }

    /// By hand: x itself at a tolerance of 2^-10, 4 standard deviations of 2^17.65 being 2^19.65.
    #[test]
    fn one_polynomial_needs_what_its_gain_asks_for() {
        assert!((fresh_noise(1 << 16).log2() - 17.35).abs() < 0.1, "{}", fresh_noise(1 << 16).log2());
        let [openfhe, lattigo] = least_scales_of_polynomial(1.0, 1.0, (-10f64).exp2(), 1 << 16);
        assert_eq!(openfhe, (fresh_noise(1 << 16).log2() + 12.0).ceil() as u32);
        assert!(lattigo < openfhe);
        let steeper = least_scales_of_polynomial(8.0, 1.0, (-10f64).exp2(), 1 << 16);
        assert_eq!(steeper[0], openfhe + 3);
    }

    /// A sixteenth of the noise of an encryption is four bits less, of which rescalings take one to two and a half.
    #[test]
    fn lattigo_needs_a_little_less_scale() {
        assert!((fresh_noise(1 << 16) / rescaling_noise(1 << 16) - 15.63).abs() < 0.01);
        for alpha in ALPHAS.skip(2) {
            let set = paper_set(alpha).unwrap();
            let composite = Composite::design(set.degrees, &Epsilon::Given(set.epsilon), DEFAULT_BITS).unwrap();
            let [openfhe, lattigo] = [composite.least_scale(1 << 16), composite.least_scale_in_lattigo(1 << 16)];
            let saved = openfhe.unwrap() - lattigo.unwrap();
            assert!((1..=3).contains(&saved), "alpha {alpha}: {openfhe:?} {lattigo:?}");
        }
    }

    #[test]
    fn a_margin_saves_scale_and_errors_beyond_f64_have_none() {
        let design = |degrees: &[u32], margin| {
            Composite::with_margin(degrees, &Epsilon::Best, margin, DEFAULT_BITS).unwrap().least_scale(1 << 16)
        };
        assert_eq!(design(&[15, 27, 29], 0.0), Some(43));
        assert_eq!(design(&[15, 27, 29], 0.01), Some(39));
        let small = Composite::design(&[63; 7], &Epsilon::Given(3e-11), DEFAULT_BITS).unwrap();
        assert!(to_f64(&small.relu_error) > 0.0 && small.least_scale(1 << 16).is_none());
    }
}
