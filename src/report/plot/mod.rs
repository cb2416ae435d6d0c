//! Figures as one would put them into a paper: panels with axes, legends and curves, as SVG or PNG.
//!
//! The SVG is written here, because a figure of this kind is no more than lines, markers and text, and then every
//! width and distance is known: legends get a place of their own above the axes, where they can hide nothing. Text is
//! drawn as outlines of fonts within the program, which every viewer, browser and converter shows alike; what it says
//! stands beside it as `aria-label`. The PNG is the same SVG, drawn by `resvg`.

mod panel;
mod scale;
mod text;

use std::path::Path;

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg;

pub use panel::{Axis, Curve, Join, Marker, Panel, Style};
pub use scale::{Scale, number};
pub use text::Label;

/// The width of a figure in points: two columns of a paper.
const WIDTH: f64 = 516.0;
/// Space around the figure, and between panels.
const BORDER: f64 = 4.0;
const GUTTER: f64 = 12.0;
/// Of a PNG.
const DOTS_PER_INCH: f64 = 300.0;
const POINTS_PER_INCH: f64 = 72.0;

/// Rows of panels; each row fills the width.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What the figure shows, for readers that see no picture.
    pub title: String,
    pub rows: Vec<Vec<Panel>>,
    /// Of the axes of each panel, in points.
    pub height: f64,
}

/// How a figure is stored, told by the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Svg,
    Png,
}

/// Why a figure cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("{0:?} is no name of a figure: it must end with .svg or .png")]
    Extension(String),
    #[error("a figure of {width}x{height} pixels cannot be drawn: {reason}")]
    Png { width: u32, height: u32, reason: String },
}

impl Format {
    /// The format that the extension of `path` says.
    ///
    /// # Errors
    /// [`PlotError::Extension`] for all but `svg` and `png`, in whatever case.
    pub fn of(path: &Path) -> Result<Format, PlotError> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("svg") => Ok(Format::Svg),
            Some("png") => Ok(Format::Png),
            _ => Err(PlotError::Extension(path.display().to_string())),
        }
    }
}

/// Panels in a row at most.
const PANELS_A_ROW: usize = 3;

impl Figure {
    /// The usual height of axes.
    pub const HEIGHT: f64 = 112.0;

    /// The panels in rows that differ by one panel at most.
    pub fn of(title: &str, panels: &[Panel]) -> Figure {
        let (count, rows) = (panels.len(), panels.len().div_ceil(PANELS_A_ROW));
        let row = |i: usize| panels[i * count / rows..(i + 1) * count / rows].to_vec();
        Figure { title: title.to_owned(), rows: (0..rows).map(row).collect(), height: Figure::HEIGHT }
    }

    /// The content of a file of this format. A PNG has 300 dots per inch: it is 2150 pixels wide.
    ///
    /// # Errors
    /// [`PlotError::Png`] if there is no memory for a figure so high.
    pub fn render(&self, format: Format) -> Result<Vec<u8>, PlotError> {
        match format {
            Format::Svg => Ok(self.svg().into_bytes()),
            Format::Png => png(&self.svg()),
        }
    }

    /// The figure as SVG, 516 points wide.
    pub fn svg(&self) -> String {
        // The axes of all rows begin below each other.
        let left = self.rows.iter().flatten().map(|panel| panel.left(self.height)).fold(0.0, f64::max);
        let (mut panels, mut top, mut letters) = (String::new(), BORDER, 'a'..='z');
        for row in &self.rows {
            let column = (WIDTH - 2.0 * BORDER + GUTTER) / row.len() as f64;
            let width = column - GUTTER - left;
            let above = row.iter().map(|panel| panel.above(width)).fold(0.0, f64::max);
            let below = row.iter().map(|panel| panel.below(width)).fold(0.0, f64::max);
            top += above;
            for (i, panel) in row.iter().enumerate() {
                let (corner, letter) = ((BORDER + column * i as f64 + left, top), letters.next().unwrap_or('…'));
                panels += &panel.draw(letter, above, corner, (width, self.height));
            }
            top += self.height + below + GUTTER;
        }
        let (height, title) = (top - GUTTER + BORDER, escape(&self.title));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}pt\" height=\"{height:.2}pt\" viewBox=\"0 0 {WIDTH} \
             {height:.2}\">\n<title>{title}</title>\n<rect width=\"100%\" height=\"100%\" \
             fill=\"#ffffff\"/>\n{panels}\n</svg>\n"
        )
    }
}

/// `text` as it may stand in an attribute or an element of XML, which has no sign for most control characters.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn png(svg: &str) -> Result<Vec<u8>, PlotError> {
    let failed = |(width, height): (u32, u32), reason: String| PlotError::Png { width, height, reason };
    let tree = usvg::Tree::from_str(svg, &usvg::Options::default()).map_err(|e| failed((0, 0), e.to_string()))?;
    let scale = WIDTH / POINTS_PER_INCH * DOTS_PER_INCH / f64::from(tree.size().width());
    let size = [tree.size().width(), tree.size().height()].map(|side| (f64::from(side) * scale).round() as u32);
    let mut pixels =
        Pixmap::new(size[0], size[1]).ok_or_else(|| failed((size[0], size[1]), "out of memory".to_owned()))?;
    pixels.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(scale as f32, scale as f32), &mut pixels.as_mut());
    encode(&pixels).map_err(|error| failed((size[0], size[1]), error.to_string()))
}

/// With the resolution, so that word processors and LaTeX give it the size of the SVG.
fn encode(pixels: &Pixmap) -> Result<Vec<u8>, png::EncodingError> {
    const METRES_PER_INCH: f64 = 0.0254;
    let dots = (DOTS_PER_INCH / METRES_PER_INCH).round() as u32;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: dots, yppu: dots, unit: png::Unit::Meter }));
    // The background is opaque, so alpha says nothing.
    let colors: Vec<u8> = pixels.data().chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&colors)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(title: &str, curves: usize) -> Panel {
        let axis = || Axis::new(title, Scale::Linear, 0.05);
        let points: Vec<(f64, f64)> = vec![(0.0, 1.0), (1.0, 3.0), (f64::NAN, 0.0), (2.0, -1.0)];
        let curve = |i| Curve {
            marker: Some(Marker::of(i)),
            ..Curve::line(Style::of(i), points.clone()).named(format!("{title} {i}"))
        };
        Panel { title: title.into(), x: axis(), y: axis(), curves: (0..curves).map(curve).collect() }
    }

    fn figure(title: &str) -> Figure {
        let rows = vec![vec![panel(title, 2), panel(title, 9)], vec![panel(title, 0)]];
        Figure { title: title.to_owned(), rows, height: Figure::HEIGHT }
    }

    #[test]
    fn a_png_has_the_width_of_two_columns_at_300_dots_per_inch() {
        let figure = figure("x");
        let png = figure.render(Format::Png).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(frame.width, 2150);
        let svg = figure.svg();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let height: f64 = document.root_element().attribute("height").unwrap().trim_end_matches("pt").parse().unwrap();
        assert_eq!(f64::from(frame.height), (height / 72.0 * 300.0).round());
        let dots = reader.info().pixel_dims.unwrap();
        assert_eq!((dots.xppu, dots.yppu, dots.unit), (11811, 11811, png::Unit::Meter));
        // The corners are background, and there is ink.
        assert!(pixels[..3] == [255; 3] && pixels[pixels.len() - 3..] == [255; 3]);
        assert!(pixels.iter().any(|&value| value < 64));
    }

    #[test]
    fn whatever_names_hold_the_svg_is_well_formed() {
        for title in ["a<b>&\"c\"'", "tab\tline\nend\r", "\u{1}\u{fffe}\0", "字🙂ε", ""] {
            let svg = figure(title).svg();
            let document = roxmltree::Document::parse(&svg).unwrap();
            let marks = document.descendants().filter(|node| node.attribute("class") == Some("mark")).count();
            assert_eq!(marks, 3 * (2 + 9), "{title:?}");
        }
    }

    /// All that is drawn of a figure, text included, lies within it.
    #[test]
    fn nothing_reaches_over_the_edge() {
        let svg = figure("a name of some length").svg();
        let tree = usvg::Tree::from_str(&svg, &usvg::Options::default()).unwrap();
        let (drawn, size) = (tree.root().abs_stroke_bounding_box(), tree.size());
        assert!(drawn.left() >= 0.0 && drawn.top() >= 0.0);
        assert!(drawn.right() <= size.width() + 0.01 && drawn.bottom() <= size.height() + 0.01, "{drawn:?} {size:?}");
    }

    #[test]
    fn the_extension_says_the_format() {
        assert_eq!(Format::of(Path::new("a/b.SVG")).unwrap(), Format::Svg);
        assert_eq!(Format::of(Path::new("b.x.png")).unwrap(), Format::Png);
        for name in ["b.pdf", "svg", "b", ".png"] {
            assert!(Format::of(Path::new(name)).unwrap_err().to_string().contains(".svg or .png"), "{name}");
        }
    }
}
