//! Text as outlines: measured and drawn with fonts that are part of the program.

use std::fmt::Write;
use std::sync::LazyLock;

use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// A piece of text of one face on one level.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    text: String,
    font: Font,
    level: Level,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Font {
    Regular,
    Italic,
    Bold,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Level {
    Base,
    Super,
    Sub,
}

impl Level {
    /// Size, and rise of the base line, as parts of the size of the text around.
    fn scale_and_rise(self) -> (f64, f64) {
        match self {
            Level::Base => (1.0, 0.0),
            Level::Super => (0.7, 0.36),
            Level::Sub => (0.7, -0.16),
        }
    }
}

/// A line of text in a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Label(Vec<Run>);

impl Label {
    /// `text` as it stands.
    pub fn plain(text: &str) -> Label {
        Label(vec![Run { text: text.to_owned(), font: Font::Regular, level: Level::Base }])
    }

    /// A formula and words: letters between `$` are variables and set in italics, `^{…}` stands above the line and
    /// `_{…}` below it.
    pub fn marked(text: &str) -> Label {
        let mut runs: Vec<Run> = Vec::new();
        let (mut formula, mut level) = (false, Level::Base);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '$' => formula = !formula,
                '^' | '_' if characters.next_if_eq(&'{').is_some() => {
                    level = if character == '^' { Level::Super } else { Level::Sub };
                }
                '}' => level = Level::Base,
                _ => {
                    let font = if formula && character.is_alphabetic() { Font::Italic } else { Font::Regular };
                    match runs.last_mut() {
                        Some(run) if (run.font, run.level) == (font, level) => run.text.push(character),
                        _ => runs.push(Run { text: character.to_string(), font, level }),
                    }
                }
            }
        }
        Label(runs)
    }

    /// This label with more plain text after it.
    pub fn followed_by(mut self, text: &str) -> Label {
        self.0.extend(Label::plain(text).0);
        self
    }

    /// The upright letters of this label in bold.
    pub(super) fn bold(mut self) -> Label {
        self.0.iter_mut().filter(|run| run.font == Font::Regular).for_each(|run| run.font = Font::Bold);
        self
    }

    /// The characters alone, for readers that see no picture.
    pub(in crate::report) fn text(&self) -> String {
        self.0.iter().map(|run| run.text.as_str()).collect()
    }

    /// The width in points when set in `size` points.
    pub(super) fn width(&self, size: f64) -> f64 {
        self.0.iter().map(|run| size * run.level.scale_and_rise().0 * advance(run)).sum()
    }

    /// The outlines, as SVG path elements, with the start of the base line at (0, 0).
    pub(super) fn outlines(&self, size: f64) -> String {
        let (mut elements, mut x) = (String::new(), 0.0);
        for run in &self.0 {
            let (scale, rise) = run.level.scale_and_rise();
            let unit = size * scale / UNITS_PER_EM;
            let mut outline = Outline { path: String::new(), offset: 0.0, at: (0.0, 0.0) };
            for character in run.text.chars() {
                let (face, glyph) = glyph(run.font, character);
                face.outline_glyph(glyph, &mut outline);
                outline.offset += f32::from(face.glyph_hor_advance(glyph).unwrap_or(0));
            }
            if !outline.path.is_empty() {
                let y = -rise * size;
                let path = &outline.path;
                let _ = write!(
                    elements,
                    r#"<path transform="matrix({unit:.5} 0 0 {:.5} {x:.2} {y:.2})" d="{path}"/>"#,
                    -unit
                );
            }
            x += unit * f64::from(outline.offset);
        }
        elements
    }
}

impl<T: AsRef<str>> From<T> for Label {
    fn from(text: T) -> Label {
        Label::plain(text.as_ref())
    }
}

/// Of all the fonts here.
const UNITS_PER_EM: f64 = 1000.0;

/// Regular, italic, bold, and the operators that none of the three has.
static FACES: LazyLock<[Face<'static>; 4]> = LazyLock::new(|| {
    let fonts: [&'static [u8]; 4] = [
        include_bytes!("fonts/NotoSans-Regular.ttf"),
        include_bytes!("fonts/NotoSans-Italic.ttf"),
        include_bytes!("fonts/NotoSans-Bold.ttf"),
        include_bytes!("fonts/NotoSansMath-Regular.ttf"),
    ];
    fonts.map(|bytes| Face::parse(bytes, 0).expect("the fonts of the program are whole"))
});

/// Where the shape of `character` is; a box stands for what no font has.
fn glyph(font: Font, character: char) -> (&'static Face<'static>, GlyphId) {
    let [regular, italic, bold, operators] = &*FACES;
    let first = match font {
        Font::Regular => regular,
        Font::Italic => italic,
        Font::Bold => bold,
    };
    let found = [first, operators].into_iter().find_map(|face| Some((face, face.glyph_index(character)?)));
    found.unwrap_or((first, GlyphId(0)))
}

/// In em.
fn advance(run: &Run) -> f64 {
    let units = run.text.chars().map(|character| {
        let (face, glyph) = glyph(run.font, character);
        f64::from(face.glyph_hor_advance(glyph).unwrap_or(0))
    });
    units.sum::<f64>() / UNITS_PER_EM
}

/// Writes path data in whole font units, relative to the point before, which keeps them short.
struct Outline {
    path: String,
    offset: f32,
    at: (f32, f32),
}

impl Outline {
    fn command(&mut self, letter: char, points: &[(f32, f32)]) {
        self.path.push(letter);
        let mut first = true;
        for number in points.iter().flat_map(|&(x, y)| [x - self.at.0, y - self.at.1]) {
            // A minus separates numbers by itself.
            let number = number.round() as i32;
            let _ = write!(self.path, "{}{number}", if first || number < 0 { "" } else { " " });
            first = false;
        }
        self.at = points.last().copied().unwrap_or(self.at);
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.at = (0.0, 0.0);
        self.command('M', &[(x + self.offset, y)]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.command('l', &[(x + self.offset, y)]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.command('q', &[(x1 + self.offset, y1), (x + self.offset, y)]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let offset = self.offset;
        self.command('c', &[(x1 + offset, y1), (x2 + offset, y2), (x + offset, y)]);
    }

    fn close(&mut self) {
        self.path.push('z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_figures_say_has_a_shape() {
        let texts = "Stage 1: degree 15, error 1 − p(x) ±τ ε·2−α ≤ ≥ ∘ × % – ReLU, Größe, модель, ₀¹²³";
        for character in texts.chars() {
            assert_ne!(glyph(Font::Regular, character).1, GlyphId(0), "{character}");
        }
        for character in "xpτεαrABn".chars() {
            assert_ne!(glyph(Font::Italic, character).1, GlyphId(0), "{character}");
        }
        assert_eq!(glyph(Font::Regular, '字').1, GlyphId(0));
        assert!(FACES.iter().all(|face| f64::from(face.units_per_em()) == UNITS_PER_EM));
    }

    /// Noto Sans has advances of 572 units for each digit and 260 for a space.
    #[test]
    fn widths_are_the_sums_of_the_advances() {
        assert!((Label::plain("12 3").width(10.0) - (3.0 * 5.72 + 2.6)).abs() < 1e-9);
        assert!((Label::marked("1^{2}").width(10.0) - 1.7 * 5.72).abs() < 1e-9);
    }

    #[test]
    fn marks_change_face_and_level_and_are_no_text() {
        let label = Label::marked("error 1 − $p_{12}(x)$ of 10^{−3}");
        assert_eq!(label.text(), "error 1 − p12(x) of 10−3");
        let italic: String = label.0.iter().filter(|run| run.font == Font::Italic).map(|run| &*run.text).collect();
        assert_eq!(italic, "px");
        let levels: Vec<&str> =
            label.0.iter().filter(|run| run.level != Level::Base).map(|run| run.text.as_str()).collect();
        assert_eq!(levels, ["12", "−3"]);
        assert_eq!(Label::plain("a_{b}$^").text(), "a_{b}$^");
    }
}
