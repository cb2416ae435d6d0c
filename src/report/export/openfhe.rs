//! A C++ header for OpenFHE, with the evaluation of series in the fewest products, and a program that evaluates every site with it.

use std::fmt::Write;

use super::said;
use crate::activation::{SitePolynomial, SitePolynomials};

/// The class `Series` and what it needs, which `polyact design` writes too.
pub const SERIES: &str = include_str!("series.h");

/// The program.
pub(super) const MAIN: &str = include_str!("openfhe_main.cpp");

pub(super) fn header(sites: &SitePolynomials) -> String {
    let mut text = include_str!("openfhe.h").replace("@SERIES@\n", SERIES);
    text +=
        "\nnamespace activation {\n\n// All sites that are approximate.\ninline const std::vector<Site> SITES = {\n";
    for site in sites.sites.iter().filter(|site| !site.is_exact()) {
        text += &entry(site);
    }
    text + "};\n\n}  // namespace activation\n"
}

fn entry(site: &SitePolynomial) -> String {
    let [low, high] = site.range.unwrap_or_default();
    let mut text =
        format!("    // {}\n    {{{:?}, {:?}, {low:e}, {high:e}, {:e}, ", said(site), site.site, site.kind, site.worst);
    let bound = site.composition.as_ref().map_or(0.0, |composition| composition.bound);
    let _ = write!(text, "{bound:e}, {{");
    for stage in site.composition.iter().flat_map(|composition| &composition.stages) {
        let _ = write!(text, "\n        {{{}}},", numbers(stage));
    }
    text += "}, {";
    for polynomial in &site.polynomials {
        let [low, high] = polynomial.interval;
        let _ = write!(text, "\n        {{{low:e}, {high:e}, {{{}}}}},", numbers(&polynomial.chebyshev));
    }
    text + "}},\n"
}

fn numbers(coefficients: &[f64]) -> String {
    coefficients.iter().map(|c| format!("{c:e}")).collect::<Vec<_>>().join(", ")
}
