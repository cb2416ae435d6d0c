//! The least scales of compositions, and warnings of what the noise of CKKS would spoil; for `design` and `export`.

#[cfg(feature = "libtorch")]
use std::collections::{BTreeMap, HashSet};

#[cfg(feature = "libtorch")]
use super::Failure;
#[cfg(feature = "libtorch")]
use crate::activation::{SiteComposition, SitePolynomials, Spec};
use crate::minimax::Composite;
#[cfg(feature = "libtorch")]
use crate::minimax::{DEFAULT_BITS, least_scales_of_polynomial};

/// The ring dimension that scales are told for, that in which networks with bootstrapping run.
pub(super) const RING: u32 = 1 << 16;
/// Bits of the scale that libraries come with.
const USUAL_SCALE: u32 = 40;
/// Five standard deviations of what a bootstrapping of OpenFHE adds at a scale of 59 bits.
const BOOTSTRAPPED: f64 = 3.6e-6;

/// A line on stderr for each thing that encrypted inputs would spoil. `asked` is what asked for the composition, and `margin` what
/// designs it for inputs a little beyond the range.
pub(super) fn tell_what_noise_does(asked: &str, composite: &Composite, margin: &str) {
    let gain = composite.noise_gain();
    let remedy = if composite.margin == 0.0 {
        format!("take {margin}, or a larger scale")
    } else {
        "take a larger scale".to_owned()
    };
    let scales = [composite.least_scale(RING), composite.least_scale_in_lattigo(RING)];
    if let Some(bits) = scales.into_iter().flatten().max().filter(|&bits| bits > USUAL_SCALE) {
        let most = gain.at_ends.iter().fold(gain.inside, |most, end| most.max(end.abs()));
        eprintln!(
            "warning: {asked}: noise is multiplied by up to {most:.1}, and {bits} bits of scale are needed, more than the usual \
             {USUAL_SCALE}; {remedy}"
        );
    }
    if let Some(overshoot) = gain.overshoot.filter(|&overshoot| overshoot < BOOTSTRAPPED) {
        eprintln!(
            "warning: {asked}: an input 2^{:.1} beyond 1 has twice the error, and the noise of a bootstrapping carries inputs there; take \
             {margin}, or keep inputs as far below the end",
            overshoot.log2(),
        );
    }
}

/// A line for each form that is exported: the least scales on inputs scaled into [−1, 1]; warnings of it go to stderr.
///
/// # Errors
/// A composition that cannot be designed.
#[cfg(feature = "libtorch")]
pub(super) fn of_sites(sites: &SitePolynomials) -> Result<String, Failure> {
    let mut forms: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    let mut text = String::new();
    let mut known = HashSet::new();
    for site in &sites.sites {
        let said = site.activation.as_str();
        if let Some(SiteComposition { spec, .. }) = &site.composition {
            let read = spec.parse::<Spec>().ok();
            let Some((degrees, epsilon)) = read.and_then(|spec| spec.composition()) else { continue };
            if !known.insert(spec) {
                continue;
            }
            let composite = Composite::design(&degrees, &epsilon, DEFAULT_BITS)?;
            tell_what_noise_does(
                spec,
                &composite,
                "ranges with a margin, as `polyact calibrate --margin` measures them",
            );
            if let Some((openfhe, lattigo)) = composite.least_scale(RING).zip(composite.least_scale_in_lattigo(RING)) {
                let within = format!("keep 2^-{} of the range", composite.whole_bits());
                text += &line(spec, [openfhe, lattigo], &within);
            }
        }
        for polynomial in &site.polynomials {
            let (gain, size) = polynomial.steepest();
            let least = least_scales_of_polynomial(gain, size, site.worst / 20.0, RING);
            let of_form = forms.entry(said).or_default();
            *of_form = std::array::from_fn(|i| of_form[i].max(least[i]));
        }
    }
    for (form, scales) in forms {
        if let Some(bits) = scales.into_iter().max().filter(|&bits| bits > USUAL_SCALE) {
            eprintln!(
                "warning: {form}: {bits} bits of scale are needed, more than the usual {USUAL_SCALE}; fit a lower degree, or take a larger \
                 scale"
            );
        }
        text += &line(form, scales, "add less than a twentieth to the error");
    }
    Ok(text)
}

#[cfg(feature = "libtorch")]
fn line(form: &str, [openfhe, lattigo]: [u32; 2], what: &str) -> String {
    format!("scale of {form}: {openfhe} bits in OpenFHE, {lattigo} in Lattigo {what} on fresh ciphertexts, N = 2^16\n")
}
