//! A function in MLIR for each site, of HEIR's `polynomial.eval` (lib/Dialect/Polynomial/IR in its repository).

use std::fmt::Write;

use super::{said, step};
use crate::activation::{SiteComposition, SitePolynomial, SitePolynomials};

pub(super) fn module(sites: &SitePolynomials) -> String {
    let mut text = format!(
        "// What stands in for the activations of one network, written by polyact {}. Each function is of one number; the attributes and\n\
         // the domain are the same where the operations are given tensors. That of a max-pool takes what meets in its tournament.\n\
         !series = !polynomial.polynomial<ring = <coefficientType = f64>>\n\n",
        env!("CARGO_PKG_VERSION"),
    );
    for site in sites.sites.iter().filter(|site| !site.is_exact()) {
        text += &function(site);
    }
    text
}

/// The body of a function, whose values are numbered.
#[derive(Default)]
struct Body {
    text: String,
    values: usize,
}

impl Body {
    fn push(&mut self, operation: &str) -> String {
        let value = format!("%v{}", self.values);
        self.values += 1;
        let _ = writeln!(self.text, "  {value} = {operation}");
        value
    }

    fn constant(&mut self, number: f64) -> String {
        self.push(&format!("arith.constant {number:e} : f64"))
    }

    fn binary(&mut self, operator: &str, a: &str, b: &str) -> String {
        self.push(&format!("arith.{operator} {a}, {b} : f64"))
    }

    fn series(&mut self, x: &str, coefficients: &[f64], [low, high]: [f64; 2]) -> String {
        let numbers: Vec<String> = coefficients.iter().map(|c| format!("{c:e} : f64")).collect();
        self.push(&format!(
            "polynomial.eval #polynomial.typed_chebyshev_polynomial<[{}]> : !series, {x} {{domain_lower = {low:e} : f64, domain_upper = \
             {high:e} : f64}} : f64",
            numbers.join(", "),
        ))
    }

    /// x·step(x/bound).
    fn composition(&mut self, x: &str, composition: &SiteComposition, bound: f64) -> String {
        let scale = self.constant(1.0 / bound);
        let mut t = self.binary("mulf", x, &scale);
        if let Some((last, first)) = composition.stages.split_last() {
            for stage in first {
                t = self.series(&t, stage, [-1.0, 1.0]);
            }
            t = self.series(&t, &step(last), [-1.0, 1.0]);
        }
        self.binary("mulf", x, &t)
    }

    /// What stands for ReLU at the site, or for ReLU6.
    fn activation(&mut self, x: &str, site: &SitePolynomial) -> String {
        match (&site.composition, site.polynomials.first()) {
            (Some(composition), _) if site.kind == "relu6" => {
                let six = self.constant(6.0);
                let behind = self.binary("subf", x, &six);
                let first = self.composition(x, composition, composition.bound);
                let second = self.composition(&behind, composition, composition.bound + 6.0);
                self.binary("subf", &first, &second)
            }
            (Some(composition), _) => self.composition(x, composition, composition.bound),
            (None, Some(polynomial)) => self.series(x, &polynomial.chebyshev, polynomial.interval),
            (None, None) => x.to_owned(),
        }
    }
}

fn function(site: &SitePolynomial) -> String {
    let name: String = site.site.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let mut body = Body::default();
    let (parameters, result) = match site.kind.as_str() {
        "maxpool" => {
            let difference = body.binary("subf", "%a", "%b");
            let larger = body.activation(&difference, site);
            ("%a: f64, %b: f64", body.binary("addf", "%b", &larger))
        }
        _ => ("%x: f64", body.activation("%x", site)),
    };
    format!(
        "// {}\nfunc.func @{name}({parameters}) -> f64 {{\n{}  return {result} : f64\n}}\n\n",
        said(site),
        body.text
    )
}
