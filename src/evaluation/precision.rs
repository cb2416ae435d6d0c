//! How precise the results of sites must be, so that a network decides as before.
//!
//! An error of a value that a site gives changes the margin of its image's decision by the gradient times the error, to first order. If
//! all values of a site have independent normal errors of the standard deviation σ, as those of a bootstrapping are, the margin's
//! variance is σ² Σ g², with the sums of squared gradients of a calibration by the margin; and an image whose lead is m stays with the
//! probability Φ(m/σ').

use super::densities::Densities;
use super::sensitivity::agreement;
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

/// At how many bits the part `share` of the calibration's images keep their decision, where the numbers at each site are held in units of
/// its `units`, none where it stays exact. None where the calibration has no gradients, or no share of its images that is as large.
pub fn precision(sites: &[Site], units: &[Option<f64>], densities: &Densities, share: f64) -> Option<Precision> {
    let leads: Vec<f64> = densities.leads.iter().copied().map(f64::from).collect();
    let variance = |(site, unit): (&Site, &Option<f64>)| {
        let known = densities.sites.get(&site.name).filter(|known| known.iter().any(Density::is_weighted))?;
        // What meets last in a pool is what it gives.
        let last = if site.kind.is_pool() { known.len().saturating_sub(1) } else { 0 };
        let squares: f64 = known[last..].iter().flat_map(Density::bins).map(|bin| bin.weight).sum();
        Some(unit.as_ref()?.powi(2) * squares / leads.len().max(1) as f64)
    };
    let variances: Vec<Option<f64>> = sites.iter().zip(units).map(variance).collect();
    let all = bits(&leads, variances.iter().flatten().sum(), share)?;
    let sites = variances.iter().map(|variance| bits(&leads, (*variance)?, share)).collect();
    Some(Precision { sites, all })
}

/// The least bits at which the margins' variance leaves `share` of the decisions; `variance` is that of errors of one unit.
fn bits(leads: &[f64], variance: f64, share: f64) -> Option<f64> {
    let stay = |bits: f64| agreement(leads, variance * (-2.0 * bits).exp2());
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
        // Of two images, Σ g² = 2 and 6 over both channels.
        let sites =
            BTreeMap::from([("a".to_owned(), vec![density(4.0)]), ("b".to_owned(), vec![density(4.0), density(8.0)])]);
        let densities = Densities { margin: 0.0, leads: vec![1.0, 1.0], sites, sha256: String::new() };
        let of = |units: [Option<f64>; 3], share| {
            precision(&[site(0, "a"), site(1, "b"), site(2, "c")], &units, &densities, share)
        };
        // Φ(1.96) = 0.975, so that the margin's deviation is to be 1/1.96.
        let expected = |variance: f64| (1.959_964 * variance.sqrt()).log2();
        let found = of([Some(1.0), Some(1.0), Some(1.0)], 0.975).unwrap();
        let near = |found: f64, variance: f64| assert!((found - expected(variance)).abs() < 2e-3, "{found} {variance}");
        near(found.sites[0].unwrap(), 2.0);
        near(found.sites[1].unwrap(), 6.0);
        near(found.all, 8.0);
        assert_eq!(found.sites[2], None);
        // Twice the unit, a bit more; a site that stays exact has no errors.
        let other = of([Some(2.0), None, None], 0.975).unwrap();
        near(other.all, 4.0 * 2.0);
        assert_eq!(other.sites[1], None);
        assert_eq!(of([None; 3], 0.975), None);
        let unweighted = Densities { sites: densities.unweighted().sites, ..densities.clone() };
        assert_eq!(precision(&[site(0, "a")], &[Some(1.0)], &unweighted, 0.975), None);
    }
}
