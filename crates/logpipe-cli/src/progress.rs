//! How far is long work? Drawn on standard error where that is a terminal, else nothing.

use indicatif::{ProgressBar, ProgressStyle};

/// Counts `what`, towards a total where that is known.
pub fn bar(total: Option<u64>, what: &str) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            format!("{{bar:40}} {{pos}} of {{len}} {what}, {{eta}} left"),
        ),
        None => (
            ProgressBar::new_spinner(),
            format!("{{spinner}} {{pos}} {what}, {{per_sec}}"),
        ),
    };
    let style = ProgressStyle::with_template(&template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
