//! How does a file become text? Item by item, a blank line between them, and the banner last.

use crate::digest::Digest;
use crate::emit::{File, Item, Plan};

/// How a banner begins: the sign of a file that is ours to overwrite and remove.
pub const MARK: &str = "// @generated from ";

/// The text of a file.
pub fn render(plan: &Plan, file: File) -> String {
    let mut parts = vec![
        file.docs
            .iter()
            .map(|line| format!("//! {line}\n"))
            .collect::<String>(),
    ];
    parts.extend(file.items.into_iter().map(item));
    let body = join(&parts);
    let version = env!("CARGO_PKG_VERSION");
    let (sources, inputs, text) = (&plan.sources, &plan.inputs.0, Digest::of_text(&body).0);
    format!(
        "{MARK}{sources} by logpipe-build {version}. Do not edit: change the schema and run `logpipe generate`.\n\
         // digest: {inputs} {text}\n\n{body}"
    )
}

/// Whether a text is what `render` would say again, as far as its own banner tells.
pub fn is_current(plan: &Plan, text: &str) -> bool {
    let Some((banner, rest)) = text.split_once('\n') else {
        return false;
    };
    let Some((digest, body)) = rest.split_once("\n\n") else {
        return false;
    };
    banner.starts_with(MARK)
        && digest == format!("// digest: {} {}", plan.inputs.0, Digest::of_text(body).0)
}

/// Whether two texts differ at most in their digests. Such a file is left alone: another generator that writes the same
/// is no reason to touch every file.
pub fn is_same(old: &str, new: &str) -> bool {
    let parts = |text| {
        str::split_once(text, '\n')
            .map(|(banner, rest)| (banner, rest.split_once('\n').map(|(_, body)| body)))
    };
    parts(old) == parts(new)
}

/// A blank line between items, but not between lines of one kind that read as a list.
fn join(parts: &[String]) -> String {
    let mut out = String::new();
    let mut last: Option<&String> = None;
    for part in parts {
        let is_list = |head| {
            last.is_some_and(|last: &String| last.starts_with(head)) && part.starts_with(head)
        };
        if last.is_some() && !is_list("pub mod ") && !is_list("pub use ") {
            out.push('\n');
        }
        out.push_str(part);
        last = Some(part);
    }
    out
}

fn item(item: Item) -> String {
    match item {
        Item::Text(text) => text,
        Item::Rust(tokens) => match syn::parse2::<syn::File>(tokens.clone()) {
            Ok(file) => prettyplease::unparse(&file),
            // A fault of the emitter, not of a schema: rustc will show the place.
            Err(_) => format!("{tokens}\n"),
        },
    }
}
