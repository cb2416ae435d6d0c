//! Why images are decided otherwise: how near their margins are to what the approximation changes.

use crate::evaluation::Prediction;

/// Images of which the margin is below so many times the root of the mean square change may be decided otherwise.
const NEAR: f64 = 3.0;

/// The margins of images, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Decisions(Vec<Decision>);

#[derive(Debug)]
struct Decision {
    margin: f64,
    change: f64,
    differs: bool,
}

impl Decisions {
    pub fn add(&mut self, prediction: &Prediction) {
        let &Prediction { margin, change, exact, approximate, .. } = prediction;
        self.0.push(Decision { margin, change, differs: exact != approximate });
    }

    /// A line; nothing where no margin changed, or one is no number.
    pub fn text(&self) -> String {
        let count = self.0.len().max(1) as f64;
        let change = (self.0.iter().map(|decision| decision.change * decision.change).sum::<f64>() / count).sqrt();
        if !(change > 0.0 && change.is_finite()) {
            return String::new();
        }
        let near = |decision: &&Decision| decision.margin < NEAR * change;
        let of = |differs: bool| self.0.iter().filter(move |decision| decision.differs || !differs);
        let (named, all) = (of(false).filter(near).count(), of(true).count());
        let found = of(true).filter(near).count();
        format!(
            "margins of the exact logits change by {change:.3e} (root mean square); {named} images, {:.2} %, are nearer to another class \
             than {NEAR} times that, {found} of the {all} decided otherwise among them\n",
            100.0 * named as f64 / count
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_near_to_another_class_are_counted() {
        let mut decisions = Decisions::default();
        let mut add = |margin, change, approximate| {
            decisions.add(&Prediction {
                index: 0,
                label: 0,
                exact: Some(0),
                approximate: Some(approximate),
                margin,
                change,
            });
        };
        // A root mean square change of 1: images below 3 are near.
        for (margin, change, approximate) in [(0.5, -1.0, 1), (2.9, 1.0, 0), (3.1, -1.0, 0), (9.0, 1.0, 1)] {
            add(margin, change, approximate);
        }
        let text = decisions.text();
        assert!(
            text.contains("1.000e0") && text.contains("2 images, 50.00 %") && text.contains("1 of the 2 decided"),
            "{text}"
        );
        assert_eq!(Decisions::default().text(), "");
    }
}
