//! How precise the results of sites must be, so that a network decides as before.
//!
//! An error of a value that a site gives changes the margin of its image's decision by the gradient times the error, to first order. If
//! all values of a site have independent normal errors of the standard deviation σ, as those of a bootstrapping are, the margin's
//! variance is σ² Σ g², with the sums of squared gradients of a calibration by the margin; and an image whose lead is m stays with the
//! probability Φ(m/σ').

use super::densities::Densities;
use crate::fitting::Density;
use crate::model::Site;

/// Bits of precision: −log2 of the standard deviation of errors in units of the largest number that a site takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Precision {
    /// Where the errors of this site are the only ones; none of one that stays exact, or that no decision depends on.
    pub sites: Vec<Option<f64>>,
    /// Where all sites have as many bits.
    pub all: f64,
}

/// The fewest bits that are looked for, and the most.
const BITS: [f64; 2] = [-20.0, 60.0];

/// At how many bits the part `share` of decisions stays, where the numbers at each site are held in units of its `units`, none where it
/// stays exact. None where the calibration has no images or no gradients.
pub fn precision(sites: &[Site], units: &[Option<f64>], densities: &Densities, share: f64) -> Option<Precision> {
    let leads = Leads::of(&densities.leads)?;
    let variance = |(site, unit): (&Site, &Option<f64>)| {
        let known = densities.sites.get(&site.name).filter(|known| known.iter().any(Density::is_weighted))?;
        // What meets last in a pool is what it gives.
        let last = if site.kind.is_pool() { known.len().saturating_sub(1) } else { 0 };
        let squares: f64 = known[last..].iter().flat_map(Density::bins).map(|bin| bin.weight).sum();
        Some(unit.as_ref()?.powi(2) * squares / densities.leads.len() as f64)
    };
    let variances: Vec<Option<f64>> = sites.iter().zip(units).map(variance).collect();
    let all = leads.bits(variances.iter().flatten().sum(), share)?;
    let sites = variances.iter().map(|variance| leads.bits((*variance)?, share)).collect();
    Some(Precision { sites, all })
}

/// How the leads of images are distributed: evenly between some of those that were met, as many images in each bin as there are bins. The
/// few decisions that errors change are those of the smallest leads, and the smallest of a sample are chance.
struct Leads {
    /// From, to, and the part of the images.
    bins: Vec<[f64; 3]>,
}

impl Leads {
    fn of(leads: &[f32]) -> Option<Leads> {
        let mut sorted: Vec<f64> = leads.iter().copied().map(f64::from).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let size = (count as f64).sqrt().ceil() as usize;
        let mut from = 0.0;
        let of_bin = |leads: &[f64]| {
            let to = *leads.last()?;
            Some([std::mem::replace(&mut from, to), to, leads.len() as f64 / count as f64])
        };
        let bins = sorted.chunks(size.max(1)).map_while(of_bin).collect();
        (count > 0).then_some(Leads { bins })
    }

    /// The part of the decisions that stay where margins have normal errors of this standard deviation.
    fn stay(&self, deviation: f64) -> f64 {
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let beyond = |t: f64| libm::erfc(t / std::f64::consts::SQRT_2) / 2.0;
        // ∫ Φ(−t) dt up to t, less what it is up to infinity.
        let integral = |t: f64| if t.is_finite() { t * beyond(t) - density(t) } else { 0.0 };
        let change = |&[from, to, part]: &[f64; 3]| {
            let [a, b] = [from / deviation, to / deviation];
            part * if b - a > 1e-9 { (integral(b) - integral(a)) / (b - a) } else { beyond(a) }
        };
        1.0 - self.bins.iter().map(change).sum::<f64>()
    }

    /// The least bits at which `share` of the decisions stay, where errors of one unit give the margins this variance.
    fn bits(&self, variance: f64, share: f64) -> Option<f64> {
        let stay = |bits: f64| self.stay(variance.sqrt() * (-bits).exp2());
        let [mut low, mut high] = BITS;
        if variance <= 0.0 || stay(high) < share {
            return None;
        }
        while high - low > 1e-3 {
            let middle = (low + high) / 2.0;
            if stay(middle) < share { low = middle } else { high = middle }
        }
        Some(high)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::SiteKind;

    fn site(index: usize, name: &str) -> Site {
        Site { index, name: name.to_owned(), kind: SiteKind::relu(), image_axis: Some(0), non_negative: false }
    }

    #[test]
    fn bits_are_those_at_which_decisions_stay() {
        let density = |squares: f64| {
            let mut density = Density::default();
            density.add_weighted([(1.0, squares as f32)]);
            density
        };
        // Of 400 images with leads from 0 to 10, Σ g² = 2 and 6 over both channels.
        let sites = BTreeMap::from([
            ("a".to_owned(), vec![density(800.0)]),
            ("b".to_owned(), vec![density(800.0), density(1600.0)]),
        ]);
        let leads = (1..=400).rev().map(|i| i as f32 / 40.0).collect();
        let densities = Densities { margin: 0.0, leads, sites, sha256: String::new() };
        let of = |units: [Option<f64>; 3]| {
            precision(&[site(0, "a"), site(1, "b"), site(2, "c")], &units, &densities, 0.99).unwrap()
        };
        // Of leads that are even from 0 to 10, an error of the deviation σ changes σ/(10·√(2π)).
        let expected = |variance: f64| (variance.sqrt() / (0.1 * (2.0 * std::f64::consts::PI).sqrt())).log2();
        let near = |found: f64, variance: f64| assert!((found - expected(variance)).abs() < 2e-3, "{found} {variance}");
        let found = of([Some(1.0), Some(1.0), Some(1.0)]);
        near(found.sites[0].unwrap(), 2.0);
        near(found.sites[1].unwrap(), 6.0);
        near(found.all, 8.0);
        assert_eq!(found.sites[2], None);
        // Twice the unit, a bit more; a site that stays exact has no errors.
        let other = of([Some(2.0), None, None]);
        near(other.all, 4.0 * 2.0);
        assert_eq!(other.sites[1], None);
        let none = |densities: &Densities, unit| precision(&[site(0, "a")], &[unit], densities, 0.99);
        assert_eq!(none(&densities, None), None);
        assert_eq!(none(&Densities { sites: densities.unweighted().sites, ..densities.clone() }, Some(1.0)), None);
        assert_eq!(none(&Densities { leads: Vec::new(), ..densities.clone() }, Some(1.0)), None);
        // Leads that are all alike, and one that is infinite, as a network of one class has.
        let alike = Densities { leads: vec![1.0; 9], ..densities.clone() };
        assert!(none(&alike, Some(1.0)).unwrap().all > 0.0);
        assert!(none(&Densities { leads: vec![f32::INFINITY; 4], ..densities }, Some(1.0)).is_some());
    }
}
