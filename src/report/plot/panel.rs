//! One pair of axes: title, legend, curves and marks.

use std::fmt::Write;

use super::scale::Scale;
use super::text::Label;

/// What is drawn for a curve: colour, dashes and marker each tell curves apart alone, so that grey prints stay legible.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub color: &'static str,
    /// SVG's stroke-dasharray; empty for a whole line.
    pub dashes: &'static str,
    /// Points.
    pub width: f64,
}

/// The colours of Okabe and Ito, which colour-blind people tell apart (Color Universal Design, 2008), the darker first;
/// their yellow is too light for lines.
const COLORS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9"];
/// Of viridis (van der Walt and Smith, 2015), whose lightness is monotone, also to colour-blind eyes and in grey; its light
/// end cannot be seen on white.
const GRADES: [&str; 8] = ["#44bf70", "#22a884", "#21918c", "#2a788e", "#355f8d", "#414487", "#482475", "#440154"];
const DASHES: [&str; 7] = ["", "5 1.6", "1.6 1.6", "5 1.6 1.2 1.6", "9 2", "1.2 3", "5 1.6 1.2 1.6 1.2 1.6"];

impl Style {
    /// How many curves are told apart by each of colour, dashes and marker.
    pub const DISTINCT: usize = 7;

    /// The style of the curve with this number.
    pub fn of(index: usize) -> Style {
        Style { color: COLORS[index % COLORS.len()], dashes: DASHES[index % DASHES.len()], width: 1.1 }
    }

    /// The style of the curve with this number of `count` that come in an order: from light to dark.
    pub fn graded(index: usize, count: usize) -> Style {
        let rank = (index + 1) * GRADES.len() / count.max(1);
        Style { color: GRADES[rank.clamp(1, GRADES.len()) - 1], dashes: "", width: 0.9 }
    }

    /// Of a bound or another line to compare with.
    pub fn reference(index: usize) -> Style {
        Style { color: "#444444", dashes: ["3 2", "1 1.4"][index % 2], width: 0.8 }
    }
}

/// The shape at a point.
#[derive(Debug, Clone, Copy)]
pub struct Marker {
    shape: usize,
    hollow: bool,
}

/// SVG paths around (0, 0), of about equal area.
const SHAPES: [&str; 7] = [
    "M2.1 0a2.1 2.1 0 1 0 -4.2 0a2.1 2.1 0 1 0 4.2 0z",
    "M-1.9 -1.9h3.8v3.8h-3.8z",
    "M0 -2.5l2.4 4.3h-4.8z",
    "M0 -2.7l2.7 2.7l-2.7 2.7l-2.7 -2.7z",
    "M0 2.5l2.4 -4.3h-4.8z",
    "M-.8 -2.4h1.6v1.6h1.6v1.6h-1.6v1.6h-1.6v-1.6h-1.6v-1.6h1.6z",
    "M0 -2.7l.8 1.7l1.8 .2l-1.3 1.3l.3 1.9l-1.6 -.9l-1.6 .9l.3 -1.9l-1.3 -1.3l1.8 -.2z",
];

impl Marker {
    /// The marker of the curve with this number; hollow where the shapes come a second time.
    pub fn of(index: usize) -> Marker {
        Marker { shape: index % SHAPES.len(), hollow: (index / SHAPES.len()) % 2 == 1 }
    }

    /// Only the outline of this marker.
    pub fn hollow(self) -> Marker {
        Marker { hollow: true, ..self }
    }
}

/// How points are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    Not,
    Straight,
    /// A value holds until the next point.
    Stairs,
    /// A bar from 0 to each point, instead of a line.
    Bars,
}

/// Points joined by a line, marked, or both.
#[derive(Debug, Clone)]
pub struct Curve {
    /// What the legend says; none for a curve that needs no word.
    pub name: Option<Label>,
    /// Values. A point that is not finite interrupts the line.
    pub points: Vec<(f64, f64)>,
    pub style: Style,
    pub join: Join,
    pub marker: Option<Marker>,
    /// What stands left of the first point, for curves that are too many for a legend.
    pub label: Option<Label>,
    /// Whether the points stand in the strip at the foot of the axes, where y counts rows from 0: for what the scale has no
    /// place for.
    pub at_foot: bool,
}

impl Curve {
    /// A line without markers.
    pub fn line(style: Style, points: Vec<(f64, f64)>) -> Curve {
        Curve { name: None, points, style, join: Join::Straight, marker: None, label: None, at_foot: false }
    }

    /// Markers without a line.
    pub fn marks(style: Style, marker: Marker, points: Vec<(f64, f64)>) -> Curve {
        Curve { join: Join::Not, marker: Some(marker), ..Curve::line(style, points) }
    }

    /// This curve, with a word in the legend.
    pub fn named(self, name: impl Into<Label>) -> Curve {
        Curve { name: Some(name.into()), ..self }
    }
}

/// What an axis says and how it is scaled; it covers the values of the curves.
#[derive(Debug, Clone)]
pub struct Axis {
    /// The quantity, with its unit.
    pub label: Label,
    pub scale: Scale,
    /// Free space at both ends, as a part of the axis.
    pub margin: f64,
    /// What stands at values of the x axis instead of numbers, if there is room for all of it.
    pub names: Vec<(f64, Label)>,
    /// Values that the axis covers whether or not a curve has them, so that panels can have the same axes.
    pub covers: Vec<f64>,
    /// What the strip at the foot means, where curves stand there.
    pub foot: Option<Label>,
}

impl Axis {
    /// An axis with numbers.
    pub fn new(label: impl Into<Label>, scale: Scale, margin: f64) -> Axis {
        Axis { label: label.into(), scale, margin, names: Vec::new(), covers: Vec::new(), foot: None }
    }
}

/// One pair of axes with what is drawn between them.
#[derive(Debug, Clone)]
pub struct Panel {
    pub title: Label,
    pub x: Axis,
    pub y: Axis,
    /// The later ones lie above the earlier ones.
    pub curves: Vec<Curve>,
}

const TITLE_SIZE: f64 = 8.0;
const TEXT_SIZE: f64 = 7.0;
const LINE_HEIGHT: f64 = 10.0;
/// From the axes to the numbers at the ticks, and from these to the axis's label.
const GAP: f64 = 3.5;
/// The length of the line in a legend, and the space between two entries.
const KEY: f64 = 17.0;
const KEY_GAP: f64 = 8.0;
/// The least distance of upright names at the x axis, and the most that they take below it.
const NAME_DISTANCE: f64 = 7.5;
const NAME_LENGTH: f64 = 72.0;
/// The height of a digit, and how far a marker reaches, as parts of the size of text.
const DIGIT: f64 = 0.72;
const REACH: f64 = 0.4;
/// The height of a row in the strip at the foot.
const ROW: f64 = 5.6;
/// Half the width of a bar on its axis.
const HALF_BAR: f64 = 0.35;
const INK: &str = "#222222";

/// From the lowest to the highest place of the curves, with the margins.
struct Extent {
    low: f64,
    high: f64,
}

impl Extent {
    fn of(axis: &Axis, values: impl Iterator<Item = f64>) -> Extent {
        let places = values.filter(|value| value.is_finite()).map(|value| axis.scale.place(value));
        let (low, high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p), h.max(p)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        // A single value stands in the middle.
        let widened = if high - low > 1e-12 * high.abs() { 0.0 } else { 0.5 };
        let margin = axis.margin * (high - low);
        Extent { low: low - widened - margin, high: high + widened + margin }
    }

    fn part(&self, axis: &Axis, value: f64) -> f64 {
        (axis.scale.place(value) - self.low) / (self.high - self.low)
    }

    fn ticks(&self, axis: &Axis, count: usize) -> Vec<(f64, Label)> {
        axis.scale.ticks(axis.scale.value(self.low), axis.scale.value(self.high), count)
    }
}

impl Panel {
    fn extents(&self) -> (Extent, Extent) {
        let points = || self.curves.iter().flat_map(Curve::drawn);
        let above = self.curves.iter().filter(|curve| !curve.at_foot).flat_map(Curve::drawn);
        let base = self.curves.iter().filter(|curve| curve.join == Join::Bars).map(|_| 0.0);
        // A name, and a bar above it, takes its share of the axis.
        let names = self.x.names.iter().flat_map(|name| [name.0 - 0.5, name.0 + 0.5]);
        (
            Extent::of(&self.x, points().map(|p| p.0).chain(names).chain(self.x.covers.iter().copied())),
            Extent::of(&self.y, above.map(|p| p.1).chain(base).chain(self.y.covers.iter().copied())),
        )
    }

    /// The numbers of the y axis along this height; none if nothing stands above the strip at the foot.
    fn y_ticks(&self, height: f64) -> Vec<(f64, Label)> {
        let strip = self.strip();
        if strip > 0.0
            && self.y.covers.is_empty()
            && self.curves.iter().all(|curve| curve.at_foot || curve.points.is_empty())
        {
            return Vec::new();
        }
        self.extents().1.ticks(&self.y, ((height - strip) / 16.0) as usize)
    }

    /// The height of the strip at the foot; 0 if no curve stands there.
    fn strip(&self) -> f64 {
        let rows = self.curves.iter().filter(|curve| curve.at_foot).flat_map(Curve::drawn).map(|(_, row)| row + 1.0);
        ROW * rows.fold(0.0, f64::max)
    }

    /// The space that numbers and label of the y axis take left of axes of this height.
    pub(super) fn left(&self, height: f64) -> f64 {
        let ticks = self.y_ticks(height);
        let labels = ticks.iter().map(|(_, label)| label).chain(&self.y.foot);
        let widest = labels.map(|label| label.width(TEXT_SIZE)).fold(0.0, f64::max);
        LINE_HEIGHT + GAP + widest + GAP
    }

    /// The space that numbers or names and label of the x axis take below axes of this width.
    pub(super) fn below(&self, width: f64) -> f64 {
        let numbers = if self.has_names(width) { self.name_length() + GAP } else { LINE_HEIGHT };
        numbers + LINE_HEIGHT + GAP
    }

    /// Whether the names of the x axis stand far enough from each other along this width.
    fn has_names(&self, width: f64) -> bool {
        let horizontal = self.extents().0;
        let mut places: Vec<f64> = self.x.names.iter().map(|name| horizontal.part(&self.x, name.0)).collect();
        places.sort_by(f64::total_cmp);
        !places.is_empty() && places.windows(2).all(|pair| (pair[1] - pair[0]) * width >= NAME_DISTANCE)
    }

    fn name_length(&self) -> f64 {
        self.x.names.iter().map(|name| name.1.width(TEXT_SIZE)).fold(0.0, f64::max).min(NAME_LENGTH)
    }

    /// The space that title and legend take above axes of this width. The legend stands there, not among the curves,
    /// so that it can never hide one.
    pub(super) fn above(&self, width: f64) -> f64 {
        LINE_HEIGHT * (1.0 + self.legend(width).len() as f64) + GAP
    }

    /// The entries of the legend, in lines no wider than `width` where that is possible.
    fn legend(&self, width: f64) -> Vec<Vec<(&Curve, &Label)>> {
        let mut lines: Vec<Vec<(&Curve, &Label)>> = Vec::new();
        let mut used = f64::INFINITY;
        for entry in self.curves.iter().filter_map(|curve| Some((curve, curve.name.as_ref()?))) {
            let wide = key_width(entry.0) + entry.1.width(TEXT_SIZE) + KEY_GAP;
            if used + wide - KEY_GAP > width {
                lines.push(Vec::new());
                used = 0.0;
            }
            used += wide;
            lines.last_mut().into_iter().for_each(|line| line.push(entry));
        }
        lines
    }

    /// SVG of the panel, with `letter` before its title. The title's line begins `above` points over the upper left corner
    /// of the axes at (`left`, `top`).
    pub(super) fn draw(
        &self,
        letter: char,
        above: f64,
        (left, top): (f64, f64),
        (width, height): (f64, f64),
    ) -> String {
        let (horizontal, vertical) = self.extents();
        let x = |value: f64| left + width * horizontal.part(&self.x, value);
        let (bottom, right) = (top + height, left + width);
        let floor = bottom - self.strip();
        let y = |value: f64| top + (floor - top) * (1.0 - vertical.part(&self.y, value));
        let row = |number: f64| bottom - ROW * (number + 0.5);
        let mut svg = String::new();

        let has_names = self.has_names(width);
        let numbers = || horizontal.ticks(&self.x, (width / 20.0).min(7.0) as usize);
        for (value, label) in if has_names { self.x.names.clone() } else { numbers() } {
            let at = x(value);
            let _ = write!(svg, r##"<path d="M{at:.2} {top:.2}V{bottom:.2}" stroke="#dddddd" stroke-width=".5"/>"##);
            if has_names {
                let size = fitting(&label, TEXT_SIZE, NAME_LENGTH);
                svg += &upright(&label, size, at + 0.36 * size, bottom + GAP + label.width(size));
            } else {
                svg += &text(&label, TEXT_SIZE, at - label.width(TEXT_SIZE) / 2.0, bottom + LINE_HEIGHT);
            }
        }
        for (value, label) in self.y_ticks(height) {
            let at = y(value);
            let _ = write!(svg, r##"<path d="M{left:.2} {at:.2}H{right:.2}" stroke="#dddddd" stroke-width=".5"/>"##);
            svg += &text(&label, TEXT_SIZE, left - GAP - label.width(TEXT_SIZE), at + 0.36 * TEXT_SIZE);
        }
        if floor < bottom {
            let _ = write!(svg, r#"<path d="M{left:.2} {floor:.2}H{right:.2}" stroke="{INK}" stroke-width=".5"/>"#);
            if let Some(label) = &self.y.foot {
                let middle = (floor + bottom) / 2.0 + 0.36 * TEXT_SIZE;
                svg += &text(label, TEXT_SIZE, left - GAP - label.width(TEXT_SIZE), middle);
            }
        }
        for curve in &self.curves {
            svg += &if curve.at_foot { curve.draw(&x, &row) } else { curve.draw(&x, &y) };
        }
        svg += &self.labels(left, &x, &y);
        let _ = write!(
            svg,
            r#"<path d="M{left:.2} {top:.2}V{bottom:.2}H{right:.2}" fill="none" stroke="{INK}" stroke-width=".8"/>"#
        );

        // What is too long gets smaller, so that panels beside each other never overlap.
        let size = fitting(&self.x.label, TEXT_SIZE, width);
        let middle = left + (width - self.x.label.width(size)) / 2.0;
        svg += &text(&self.x.label, size, middle, bottom + self.below(width) - GAP + 1.0);
        let size = fitting(&self.y.label, TEXT_SIZE, height + LINE_HEIGHT);
        let (at, turned) = (left - self.left(height) + TEXT_SIZE, top + (height + self.y.label.width(size)) / 2.0);
        svg += &upright(&self.y.label, size, at, turned);

        let mut line = top - above + TITLE_SIZE;
        let (letter, title) = (Label::plain(&format!("({letter})  ")), self.title.clone().bold());
        let indent = letter.width(TITLE_SIZE);
        svg += &text(&letter, TITLE_SIZE, left, line);
        svg += &text(&title, fitting(&title, TITLE_SIZE, width - indent), left + indent, line);
        for entries in self.legend(width) {
            line += LINE_HEIGHT;
            let mut at = left;
            for (curve, name) in entries {
                let key = key_width(curve);
                let size = fitting(name, TEXT_SIZE, width - key);
                svg += &curve.key(at, line - 0.36 * TEXT_SIZE);
                svg += &text(name, size, at + key, line);
                at += key + name.width(size) + KEY_GAP;
            }
        }
        svg
    }

    /// The labels of the curves: left of their first points but right of the axis at `edge`, or above that where marks or
    /// other labels are.
    fn labels(&self, edge: f64, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) -> String {
        let reach = REACH * TEXT_SIZE;
        let around = |(a, b): (f64, f64)| [x(a) - reach, y(b) - reach, x(a) + reach, y(b) + reach];
        let marked = self.curves.iter().filter(|curve| curve.marker.is_some());
        let mut taken: Vec<[f64; 4]> = marked.flat_map(Curve::drawn).map(around).collect();
        let mut svg = String::new();
        for (curve, label) in self.curves.iter().filter_map(|curve| Some((curve, curve.label.as_ref()?))) {
            let Some((a, b)) = curve.drawn().next() else { continue };
            let (width, mut bottom) = (label.width(TEXT_SIZE), y(b) + DIGIT * TEXT_SIZE / 2.0);
            let left = (x(a) - reach - GAP - width).max(edge + GAP);
            let place = |bottom: f64| [left, bottom - TEXT_SIZE, left + width, bottom];
            while taken.iter().any(|other| overlap(other, &place(bottom))) {
                bottom -= 1.0;
            }
            taken.push(place(bottom));
            svg += &text(label, TEXT_SIZE, left, bottom);
        }
        svg
    }
}

/// Whether two boxes (left, top, right, bottom) have a point in common.
fn overlap(a: &[f64; 4], b: &[f64; 4]) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

impl Curve {
    /// The points that have a place.
    fn drawn(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    fn draw(&self, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) -> String {
        let (mut path, mut marks, mut pen_down) = (String::new(), String::new(), false);
        for &(a, b) in &self.points {
            let there = a.is_finite() && b.is_finite();
            if there {
                let (x, y) = (x(a), y(b));
                let _ = match (pen_down, self.join) {
                    (false, _) => write!(path, "M{x:.2} {y:.2}"),
                    (true, Join::Stairs) => write!(path, "H{x:.2}V{y:.2}"),
                    (true, _) => write!(path, "L{x:.2} {y:.2}"),
                };
                if let Some(marker) = self.marker {
                    marks += &self.mark(marker, "mark", x, y);
                }
            }
            pen_down = there;
        }
        match self.join {
            Join::Not => marks,
            Join::Bars => {
                self.drawn().map(|(a, b)| self.bar((x(a - HALF_BAR), x(a + HALF_BAR)), y(0.0), y(b))).collect()
            }
            Join::Straight | Join::Stairs => self.stroke(&path) + &marks,
        }
    }

    fn bar(&self, (left, right): (f64, f64), bottom: f64, top: f64) -> String {
        let color = self.style.color;
        format!(r#"<path class="bar" d="M{left:.2} {bottom:.2}V{top:.2}H{right:.2}V{bottom:.2}z" fill="{color}"/>"#)
    }

    fn stroke(&self, path: &str) -> String {
        let Style { color, dashes, width } = self.style;
        let dashes = if dashes.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dashes}""#) };
        format!(
            r#"<path d="{path}" fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"{dashes}/>"#
        )
    }

    fn mark(&self, marker: Marker, class: &str, x: f64, y: f64) -> String {
        let (path, color) = (SHAPES[marker.shape], self.style.color);
        let fill = if marker.hollow { "#ffffff" } else { color };
        format!(
            r#"<path class="{class}" transform="translate({x:.2} {y:.2})" d="{path}" fill="{fill}" stroke="{color}" stroke-width=".7"/>"#
        )
    }

    /// The sample of line and marker in a legend, from (`x`, `y`) to the right.
    fn key(&self, x: f64, y: f64) -> String {
        let wide = key_width(self) - GAP;
        let line = match self.join {
            Join::Not => String::new(),
            Join::Bars => self.bar((x, x + wide), y + REACH * TEXT_SIZE, y - REACH * TEXT_SIZE).replace("bar", "key"),
            Join::Straight | Join::Stairs => self.stroke(&format!("M{x:.2} {y:.2}h{wide:.2}")),
        };
        line + &self.marker.map(|marker| self.mark(marker, "key", x + wide / 2.0, y)).unwrap_or_default()
    }
}

fn key_width(curve: &Curve) -> f64 {
    let wide = if matches!(curve.join, Join::Not | Join::Bars) { 6.0 } else { KEY };
    wide + GAP
}

/// The size, at most `size`, in which `label` is no wider than `width`.
fn fitting(label: &Label, size: f64, width: f64) -> f64 {
    size * (width / label.width(size)).min(1.0)
}

fn text(label: &Label, size: f64, x: f64, y: f64) -> String {
    let (outlines, said) = (label.outlines(size), super::escape(&label.text()));
    format!(r#"<g role="img" aria-label="{said}" fill="{INK}" transform="translate({x:.2} {y:.2})">{outlines}</g>"#)
}

/// Text that reads upwards, with the start of its base line at (`x`, `y`).
fn upright(label: &Label, size: f64, x: f64, y: f64) -> String {
    format!(r#"<g transform="translate({x:.2} {y:.2}) rotate(-90)">{}</g>"#, text(label, size, 0.0, 0.0))
}
