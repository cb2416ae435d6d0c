//! The progress bar: images done, their rate, and the time left.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Drawn on a terminal only.
pub(super) fn progress_bar(images: usize, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(images as u64), target);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} images  {rate}  {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// A failed write ends the bar's line early, and no more.
fn rate(state: &ProgressState, text: &mut dyn std::fmt::Write) {
    let _ = write!(text, "{:.1} images/s", state.per_sec());
}
