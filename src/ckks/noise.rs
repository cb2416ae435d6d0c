//! What CKKS adds to the numbers that it computes with: the standard deviation of the error in a slot, by the kind of operation.
//!
//! A ciphertext holds its numbers times the scale Δ in the coefficients of a polynomial of degree N − 1. An error there whose
//! coefficients have the variance V is one of the standard deviation √(N/2·V)/Δ in the real part of each slot. The variances are
//! those of Costache, Curtis, Hales, Murphy, Ogilvie and Player (ePrint 2022/162), with h non-zero coefficients in the secret
//! (2N/3 of a uniform ternary one) and σ the standard deviation of the errors: (h + 1)/12 of a rescaling, and of a key switch by the
//! hybrid method behind its division; σ²(N + h + 1) + 1/12 of a fresh encryption with a public key whose masks are ternary, σ²(4N/3 + 1)
//! where the secret is uniform; where that is divided by a special prime, (h + 1)/12 + 1/12.

use serde::Deserialize;

/// What the errors of a parameter set follow from.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// The ring dimension N, a power of two.
    pub ring: u64,
    /// log2 of the scale Δ.
    pub scale: f64,
    /// Non-zero coefficients of the secret; none of a uniform ternary one.
    #[serde(default)]
    pub secret: Option<u64>,
    /// Standard deviation of the errors of keys and encryptions.
    #[serde(default = "sigma")]
    pub sigma: f64,
    /// Whether a fresh encryption is divided by a special prime, as in SEAL and Lattigo.
    #[serde(default)]
    pub divided: bool,
    /// −log2 of the standard deviation that a bootstrapping adds to numbers in [−1, 1].
    pub bootstrapping: f64,
}

/// Of OpenFHE and SEAL: 8/√(2π), as the standard of homomorphic encryption proposes it (Albrecht et al., 2018).
fn sigma() -> f64 {
    3.19
}

/// The rings that CKKS is used in.
const RINGS: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 20;

impl Noise {
    /// What is impossible in it, in a line.
    ///
    /// # Errors
    /// The line.
    pub fn check(&self) -> Result<(), String> {
        let Noise { ring, scale, secret, sigma, bootstrapping, .. } = *self;
        if !ring.is_power_of_two() || !RINGS.contains(&ring) {
            return Err(format!("`ring` is {ring}; a power of two from 1024 to 1048576 is possible"));
        }
        if !(1.0..=120.0).contains(&scale) {
            return Err(format!("`scale` is {scale}; from 1 to 120 bits are possible"));
        }
        if secret.is_some_and(|secret| secret == 0 || secret > ring) {
            return Err(format!("`secret` must be from 1 to the ring dimension, {ring}"));
        }
        if !(sigma > 0.0 && sigma <= 1e6) {
            return Err(format!("`sigma` is {sigma}; expected a number above 0"));
        }
        if !(0.0..=200.0).contains(&bootstrapping) {
            return Err(format!("`bootstrapping` is {bootstrapping}; from 0 to 200 bits are possible"));
        }
        Ok(())
    }

    fn secret(&self) -> f64 {
        self.secret.map_or(2.0 / 3.0 * self.ring as f64, |secret| secret as f64)
    }

    /// In a slot, of coefficients with this variance.
    fn slot(&self, variance: f64) -> f64 {
        (self.ring as f64 / 2.0 * variance).sqrt() / self.scale.exp2()
    }

    /// Of a ciphertext that was just encrypted.
    pub fn fresh(&self) -> f64 {
        let encoded = 1.0 / 12.0;
        self.slot(match self.divided {
            true => (1.0 + self.secret()) / 12.0 + encoded,
            // 2N/3 of the mask, h of the secret.
            false => self.sigma.powi(2) * (2.0 / 3.0 * self.ring as f64 + self.secret() + 1.0) + encoded,
        })
    }

    /// What a rescaling adds, as behind each product.
    pub fn rescaling(&self) -> f64 {
        self.slot((1.0 + self.secret()) / 12.0)
    }

    /// What a rotation adds, with special primes as large as what they are to divide.
    pub fn key_switching(&self) -> f64 {
        self.rescaling()
    }

    /// What a bootstrapping of numbers in [−1, 1] adds.
    pub fn bootstrapping(&self) -> f64 {
        (-self.bootstrapping).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(log_ring: u32, scale: f64, divided: bool) -> Noise {
        Noise { ring: 1 << log_ring, scale, secret: None, sigma: 3.19, divided, bootstrapping: 20.0 }
    }

    /// log2 of standard deviations on ciphertexts: SEAL 4, and OpenFHE 1.6, whose decoding adds as much variance again.
    #[test]
    fn errors_are_those_of_ciphertexts() {
        let near =
            |found: f64, measured: f64, off: f64| assert!((found.log2() - measured).abs() < off, "{found} {measured}");
        for (log_ring, measured) in [(12, -26.10), (13, -25.12), (14, -24.11)] {
            near(noise(log_ring, 40.0, false).fresh() * 2f64.sqrt(), measured, 0.05);
            near(noise(log_ring, 50.0, false).fresh() * 2f64.sqrt(), measured - 10.0, 0.05);
        }
        for (log_ring, fresh, rotation) in [(13, -29.57, -27.07), (14, -28.58, -25.67)] {
            let noise = noise(log_ring, 40.0, true);
            near(noise.fresh(), fresh, 0.02);
            // SEAL has one special prime: its rotations add more.
            assert!(noise.key_switching().log2() < rotation);
        }
        // A product of uniform numbers by known ones, of variance 1/3 each, and its rescaling.
        let seal = noise(13, 40.0, true);
        near((seal.fresh().powi(2) / 3.0 + seal.rescaling().powi(2)).sqrt(), -29.36, 0.05);
        near((2.0 * seal.fresh().powi(2) / 3.0 + seal.rescaling().powi(2)).sqrt(), -29.19, 0.05);
        let openfhe = noise(12, 40.0, false);
        let rotated = openfhe.fresh().hypot(openfhe.key_switching());
        near(rotated * 2f64.sqrt(), -26.10, 0.05);
        // In a ring of 2^16 with a sparse secret: 2^9.5 for Δ = 1.
        let sparse = Noise { secret: Some(192), ..noise(16, 40.0, true) };
        near(sparse.rescaling(), -30.5, 0.01);
    }

    #[test]
    fn what_cannot_be_is_told() {
        let good = noise(16, 40.0, false);
        assert_eq!(good.check(), Ok(()));
        for (bad, said) in [
            (Noise { ring: 1000, ..good }, "`ring`"),
            (Noise { scale: f64::NAN, ..good }, "`scale`"),
            (Noise { secret: Some(0), ..good }, "`secret`"),
            (Noise { sigma: 0.0, ..good }, "`sigma`"),
            (Noise { bootstrapping: -1.0, ..good }, "`bootstrapping`"),
        ] {
            assert!(bad.check().unwrap_err().starts_with(said));
        }
    }
}
