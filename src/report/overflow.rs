//! The figure of overflow reports: where along the network images left their range, and how far.

use std::path::Path;

use super::plot::{Axis, Curve, Join, Label, Marker, Panel, Scale, Style};
use super::ranges::{range_steps, site_axis};
use super::reader::{ReadError, SavedResults, read_overflow};

/// The sites of an overflow report.
#[derive(Debug, Clone)]
pub struct Overflow {
    /// The name of the file, without its extension.
    name: String,
    sites: Vec<Site>,
    /// The number of the last line of the file if it is cut short and left out.
    pub cut: Option<u64>,
}

#[derive(Debug, Clone)]
struct Site {
    index: usize,
    name: String,
    range: f64,
    first_here: u64,
    needed: Option<f64>,
}

/// Counts and ranges further apart than this are drawn logarithmically.
const WIDE: f64 = 20.0;

impl Overflow {
    /// Read a file that `polyact eval --overflow-report` wrote.
    ///
    /// # Errors
    /// [`ReadError`] names file and line: no such file, no overflow report, or a damaged line.
    pub fn read(path: &Path) -> Result<Overflow, ReadError> {
        let file = read_overflow(path)?;
        let mut sites = file.rows.iter().map(|row| Site::of(&file, row)).collect::<Result<Vec<Site>, _>>()?;
        sites.sort_by_key(|site| site.index);
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Overflow { name, sites, cut: file.cut })
    }

    /// Whether no input left its range.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// How many images were lost at each site; and its range beside the one that would have held them. Sites whose inputs
    /// left no range are not in the report, and have an empty place.
    pub fn panels(&self) -> Vec<Panel> {
        let axis = || site_axis(self.sites.iter().map(|site| (site.index, site.name.as_str())));
        let lost: Vec<(f64, f64)> = self.sites.iter().map(|site| (site.index as f64, site.first_here as f64)).collect();
        let most = lost.iter().map(|point| point.1).fold(0.0, f64::max);
        let counts = if most > WIDE { Scale::SymmetricLog(1.0) } else { Scale::Whole };
        let bars = Curve { join: Join::Bars, ..Curve::line(Style::of(0), lost) };
        let needed: Vec<(f64, f64)> =
            self.sites.iter().filter_map(|site| Some((site.index as f64, site.needed?))).collect();
        let set = || self.sites.iter().map(|site| site.range);
        let all = || set().chain(needed.iter().map(|point| point.1));
        let (least, largest) = all().fold((f64::INFINITY, 0.0), |(l, h): (f64, f64), x| (l.min(x), h.max(x)));
        let scale = if largest > WIDE * least { Scale::Log } else { Scale::Linear };
        vec![
            Panel {
                title: format!("Images lost: {}", self.name).into(),
                x: axis(),
                y: Axis::new("images first out of range", counts, 0.0),
                curves: vec![bars],
            },
            Panel {
                title: format!("Ranges: {}", self.name).into(),
                x: axis(),
                y: Axis::new(Label::marked("range $B$"), scale, 0.06),
                curves: vec![
                    range_steps(self.sites.iter().map(|site| (site.index, site.range))).named("as it was"),
                    Curve::marks(Style::of(1), Marker::of(0), needed).named("needed by the images lost here"),
                ],
            },
        ]
    }
}

impl Site {
    fn of(file: &SavedResults, row: &super::SavedRow) -> Result<Site, ReadError> {
        let positive = |column: &'static str| match file.value::<f64>(row, column)? {
            Some(range) if !(range > 0.0 && range.is_finite()) => Err(file.invalid(row, column)),
            range => Ok(range),
        };
        Ok(Site {
            index: file.required(row, "index")?,
            name: file.required(row, "site")?,
            range: positive("range")?.ok_or_else(|| file.invalid(row, "range"))?,
            first_here: file.required(row, "first_here")?,
            needed: positive("needed_range")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::Figure;

    const HEADER: &str =
        "index,site,kind,activation,range,values,not_a_number,images,first_here,first_image,worst,needed_range";

    fn read(lines: &str) -> Result<Overflow, ReadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("overflow.csv");
        std::fs::write(&path, format!("{HEADER}\n{lines}")).unwrap();
        Overflow::read(&path)
    }

    /// A bar a site, as high as its count, along the network; a mark where images were lost.
    #[test]
    fn sites_come_in_the_order_of_the_network() {
        let lines = "18,b.relu,relu,paper:12,4,9,8,750,647,0,7.9e0,7.9219\n2,a.relu,relu,paper:12,4,3,0,3,3,1,4.1,4.1183\n\
                     7,c.relu,relu,paper:12,4,9,9,3,0,1,inf,\n";
        let overflow = read(lines).unwrap();
        let [lost, ranges] = &overflow.panels()[..] else { panic!("two panels") };
        assert_eq!(lost.curves[0].points, [(2.0, 3.0), (7.0, 0.0), (18.0, 647.0)]);
        assert_eq!(ranges.curves[1].points, [(2.0, 4.1183), (18.0, 7.9219)]);
        let svg = Figure::of("overflow", &overflow.panels()).svg();
        assert_eq!((svg.matches("class=\"bar\"").count(), svg.matches("class=\"mark\"").count()), (3, 2));
        for name in ["a.relu", "b.relu", "c.relu"] {
            assert_eq!(svg.matches(&format!("aria-label=\"{name}\"")).count(), 2);
        }
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn damaged_reports_are_refused_with_file_and_line() {
        let good = "1,a,relu,paper:12,4,9,8,750,647,0,7.9e0,7.9";
        for (bad, part) in [
            ("x,a,relu,paper:12,4,9,8,750,647,0,7.9e0,7.9", "line 3: `x` is no index"),
            ("1,a,relu,paper:12,0,9,8,750,647,0,7.9e0,7.9", "line 3: `0` is no range"),
            ("1,a,relu,paper:12,,9,8,750,647,0,7.9e0,7.9", "line 3: `` is no range"),
            ("1,a,relu,paper:12,4,9,8,750,-1,0,7.9e0,7.9", "line 3: `-1` is no first_here"),
            ("1,a,relu,paper:12,4,9,8,750,1,0,7.9e0,inf", "line 3: `inf` is no needed_range"),
            ("1,a", "line 3: 2 fields where"),
        ] {
            let error = read(&format!("{good}\n{bad}\n")).unwrap_err().to_string();
            assert!(error.contains("overflow.csv") && error.contains(part), "{error}");
        }
    }
}
