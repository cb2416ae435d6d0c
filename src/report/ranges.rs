//! The figure of a calibration: what every site along the network is given, and the range that holds it.

use super::plot::{Axis, Curve, Figure, Join, Label, Marker, Panel, Scale, Style};

/// What was measured at a site, in absolute values.
#[derive(Debug, Clone)]
pub struct Site {
    pub name: String,
    pub is_pool: bool,
    pub range: f64,
    /// The largest |x|.
    pub largest: f64,
    /// The |x| that 50 %, 99 % and 99.9 % of the values do not exceed.
    pub quantiles: [f64; 3],
}

/// Values below this part of the widest range say no more than that: inputs behind a ReLU are zero as often as not.
const FLOOR: f64 = 1e-3;

/// Ranges, largest inputs and quantiles of the sites, which are in the order of the network. Max-pools have hollow marks;
/// what lies below the axis is marked at its foot.
pub fn figure(title: &str, sites: &[Site]) -> Figure {
    let widest = sites.iter().map(|site| site.range.max(site.largest)).filter(|x| x.is_finite()).fold(0.0, f64::max);
    let floor = FLOOR * widest;
    let mut curves = vec![range_steps(sites.iter().map(|site| site.range).enumerate()).named("range")];
    let mut foot = Vec::new();
    for (i, name) in ["largest |x|", "99.9 %", "99 %", "50 %"].into_iter().enumerate() {
        let quantity = |site: &Site| if i == 0 { site.largest } else { site.quantiles[3 - i] };
        let (style, marker) = (Style::of(i + 1), Marker::of(i));
        let points = |pools: bool| {
            let sites = sites.iter().enumerate().filter(move |(_, site)| site.is_pool == pools);
            sites.map(move |(index, site)| (index as f64, quantity(site)))
        };
        foot.extend(points(false).chain(points(true)).filter(|point| point.1 < floor).map(|point| (point.0, floor)));
        let above = |pools: bool| points(pools).filter(|point| point.1 >= floor).collect();
        curves.push(Curve::marks(style, marker, above(false)).named(name));
        curves.push(Curve::marks(style, marker.hollow(), above(true)));
    }
    foot.sort_by(|a, b| a.0.total_cmp(&b.0));
    foot.dedup();
    if sites.iter().any(|site| site.is_pool) {
        curves.push(Curve::marks(Style::reference(0), Marker::of(0).hollow(), Vec::new()).named("at a max-pool"));
    }
    if !foot.is_empty() {
        let below = Curve::marks(Style::reference(0), Marker::of(4), foot);
        curves.push(below.named("below a thousandth of the widest"));
    }
    let panel = Panel {
        title: title.into(),
        x: site_axis(sites.iter().map(|site| site.name.as_str()).enumerate()),
        y: Axis::new(Label::marked("|$x$| at a site"), Scale::Log, 0.04),
        curves,
    };
    Figure {
        title: format!("Inputs of the activations: {title}"),
        rows: vec![vec![panel]],
        height: 1.5 * Figure::HEIGHT,
    }
}

/// The ranges as a short line at each site.
pub(super) fn range_steps(ranges: impl Iterator<Item = (usize, f64)>) -> Curve {
    const HALF: f64 = 0.45;
    let step = |(index, range): (usize, f64)| {
        let index = index as f64;
        [(index - HALF, range), (index + HALF, range), (f64::NAN, f64::NAN)]
    };
    let style = Style { width: 1.4, ..Style::of(0) };
    Curve { join: Join::Straight, ..Curve::line(style, ranges.flat_map(step).collect()) }
}

/// The sites by their index, with their names where there is room.
pub(super) fn site_axis<'a>(names: impl Iterator<Item = (usize, &'a str)>) -> Axis {
    let names = names.map(|(index, name)| (index as f64, name.into())).collect();
    Axis { names, ..Axis::new("site, in the order of execution", Scale::Whole, 0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str, is_pool: bool, quantiles: [f64; 3]) -> Site {
        Site { name: name.to_owned(), is_pool, range: 8.0, largest: 6.0, quantiles }
    }

    fn marks(figure: &Figure) -> usize {
        figure.svg().matches("class=\"mark\"").count()
    }

    /// Four marks a site, those below the axis at its foot once a site; a legend entry for what there is.
    #[test]
    fn every_quantity_of_every_site_is_marked() {
        let relu = site("a.relu", false, [0.5, 3.0, 5.0]);
        let pool = site("b.pool", true, [0.0, 2.0, 4.0]);
        let nothing = site("c.relu", false, [0.0; 3]);
        assert_eq!(marks(&figure("net", std::slice::from_ref(&relu))), 4);
        let svg = figure("net", std::slice::from_ref(&relu)).svg();
        assert!(!svg.contains("max-pool") && !svg.contains("thousandth"));
        let all = figure("net", &[relu.clone(), pool.clone(), Site { largest: 0.0, ..nothing }]);
        assert_eq!(marks(&all), 4 + 4 + 1);
        let svg = all.svg();
        for said in
            ["a.relu", "b.pool", "c.relu", "at a max-pool", "below a thousandth of the widest", "range", "largest |x|"]
        {
            assert!(svg.contains(&format!("aria-label=\"{said}\"")), "{said}");
        }
        let unbounded = Site { largest: f64::INFINITY, quantiles: [1.0, 2.0, f64::NAN], ..pool };
        assert_eq!(marks(&figure("net", &[unbounded])), 2, "what is no number has no place");
    }

    /// Names give way to numbers where they would lie on each other.
    #[test]
    fn many_sites_are_numbered() {
        for (count, named) in [(50, true), (151, false)] {
            let sites: Vec<Site> = (0..count).map(|i| site(&format!("relu#{i}"), false, [1.0, 2.0, 3.0])).collect();
            let svg = figure("net", &sites).svg();
            assert_eq!(svg.contains("aria-label=\"relu#1\""), named, "{count}");
            assert_eq!(svg.contains("aria-label=\"100\""), !named, "{count}");
        }
    }
}
