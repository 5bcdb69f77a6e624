//! `generated/mod.rs`: what is there? The messages, what fits them together, and a handler of everything.

use proc_macro2::Literal;
use quote::{format_ident, quote};

use super::{File, INTERFACE, Item, by_module, docs};
use crate::catalog::Catalog;

pub(super) fn file(catalog: &Catalog) -> File {
    let mut items = Vec::new();
    // What the schemas' authors decide, how many schemas there are and members in them included, is not for the user's lints to judge.
    items.push(Item::Text(
        "#![allow(\n    \
            clippy::doc_markdown,\n    \
            clippy::enum_variant_names,\n    \
            clippy::large_enum_variant,\n    \
            clippy::module_inception,\n    \
            clippy::needless_pass_by_value,\n    \
            clippy::option_option,\n    \
            clippy::struct_excessive_bools,\n    \
            clippy::struct_field_names,\n    \
            clippy::too_many_lines,\n    \
            reason = \"names, shapes, prose and counts are those of the schemas\"\n\
        )]\n"
            .to_owned(),
    ));
    items.push(Item::Rust(quote!(
        pub mod dispatch;
    )));
    let groups = by_module(catalog);
    for versions in &groups {
        let messages = &catalog.messages[versions.clone()];
        let module = format_ident!("{}", messages[0].rust);
        items.push(Item::Rust(quote!(pub mod #module;)));
    }
    let interface = Literal::u32_unsuffixed(INTERFACE);
    items.push(Item::Rust(
        quote!(const _: () = ::logpipe::generated_for(#interface);),
    ));
    if !groups.is_empty() {
        items.push(every(catalog, &groups));
    }
    File {
        docs: vec!["The messages of this crate, generated from its schemas.".to_owned()],
        items,
    }
}

/// One route per message, all to one handler.
fn every(catalog: &Catalog, groups: &[std::ops::Range<usize>]) -> Item {
    let modules = groups
        .iter()
        .map(|versions| format_ident!("{}", catalog.messages[versions.start].rust));
    let modules = modules.collect::<Vec<_>>();
    let count = Literal::usize_unsuffixed(modules.len());
    let docs = docs::lines(&[
        "Routes of every message to one handler: a message that it does not handle is a compile error.",
    ]);
    Item::Rust(quote! {
        #docs
        pub fn every<S, H>(handler: H) -> [::logpipe::Route<S>; #count]
        where
            S: ::logpipe::Store,
            H: #(#modules::Handler<S>)+*,
        {
            let handler = ::std::sync::Arc::new(handler);
            [#(::logpipe::Route::shared::<#modules::Any, H>(::std::sync::Arc::clone(&handler)),)*]
        }
    })
}
