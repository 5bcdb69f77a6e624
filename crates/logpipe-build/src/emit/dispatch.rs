//! `generated/dispatch.rs`: which code is it for a type and version? Data: the sorted table, and a perfect hash over it.

use proc_macro2::Literal;
use quote::{format_ident, quote};

use super::{File, Item, by_module, docs, literal};
use crate::catalog::{Catalog, Message};
use crate::{hash, name};

pub(super) fn file(catalog: &Catalog) -> File {
    let mut messages = catalog.messages.iter().collect::<Vec<_>>();
    messages.sort_by(|a, b| (&a.wire, a.version).cmp(&(&b.wire, b.version)));

    let mut items = vec![Item::Text(schemas(&messages))];
    items.extend(perfect_hash(&messages));
    items.extend(any_message(catalog));
    File {
        docs: vec![
            "From the type and version of an envelope to the code that knows it.".to_owned(),
        ],
        items,
    }
}

/// The table, a schema per line: prettyplease would give each eight.
fn schemas(messages: &[&Message]) -> String {
    let rows = messages.iter().map(|message| {
        let (wire, source) = (literal::string(&message.wire), literal::string(&message.source));
        let (version, content) = (message.version, literal::string(&message.hashes.content));
        format!("    ::logpipe::Schema {{ message_type: {wire}, version: {version}, source: {source}, sha256: {content} }},\n")
    });
    let rows = rows.collect::<String>();
    let body = if rows.is_empty() {
        "&[]".to_owned()
    } else {
        format!("&[\n{rows}]")
    };
    format!(
        "/// Every schema of this crate, sorted by type and version.\npub static SCHEMAS: &[::logpipe::Schema] = {body};\n"
    )
}

fn perfect_hash(messages: &[&Message]) -> Vec<Item> {
    let keys = messages
        .iter()
        .map(|message| (message.wire.as_str(), message.version))
        .collect::<Vec<_>>();
    let table = hash::Table::of(&keys);
    let seeds = table
        .seeds
        .iter()
        .map(|&seed| Literal::u32_unsuffixed(seed));
    let slots = table
        .slots
        .iter()
        .map(|&slot| Literal::usize_unsuffixed(slot));
    let find = docs::lines(&["The index in [`SCHEMAS`] of a type and version, in constant time."]);
    vec![
        Item::Rust(quote! {
            static TABLE: ::logpipe::dispatch::Table = ::logpipe::dispatch::Table {
                seeds: &[#(#seeds),*],
                slots: &[#(#slots),*],
            };
        }),
        Item::Rust(quote! {
            #find
            #[must_use]
            pub fn find(message_type: &str, version: u32) -> Option<usize> {
                TABLE.find(SCHEMAS, message_type, version)
            }
        }),
    ]
}

fn any_message(catalog: &Catalog) -> Vec<Item> {
    let groups = by_module(catalog);
    let heads = groups
        .iter()
        .map(|versions| &catalog.messages[versions.start])
        .collect::<Vec<_>>();
    let variants = heads.iter().map(|message| {
        let docs = docs::lines(&[docs::code(&message.wire)]);
        let (variant, module) = (
            format_ident!("{}", name::variant(&message.rust)),
            format_ident!("{}", message.rust),
        );
        quote!(#docs #variant(super::#module::Any),)
    });
    let names = heads
        .iter()
        .map(|message| format_ident!("{}", name::variant(&message.rust)))
        .collect::<Vec<_>>();
    // The table's index of a type's versions: they stand beside each other there.
    let arms = groups.iter().zip(&names).map(|(versions, variant)| {
        let message = &catalog.messages[versions.start];
        let first = catalog
            .messages
            .iter()
            .filter(|other| other.wire < message.wire)
            .count();
        let first_index = Literal::usize_unsuffixed(first);
        let last_index = Literal::usize_unsuffixed(first + versions.len() - 1);
        let indices = match versions.len() {
            1 => quote!(#first_index),
            _ => quote!(#first_index..=#last_index),
        };
        quote!(Some(#indices) => body.decode_any(version, Self::#variant),)
    });
    let docs = docs::lines(&["Any message of this crate, for a loop of your own."]);
    // Said again, not taken from each `Any`: that would be two more constants of each type for the compiler to look up.
    let routes = groups.iter().map(|versions| {
        let versions = &catalog.messages[versions.clone()];
        let wire = &versions[0].wire;
        let numbers = versions
            .iter()
            .map(|message| Literal::u32_unsuffixed(message.version));
        quote!((#wire, &[#(#numbers),*]))
    });
    vec![
        Item::Rust(quote! {
            #docs
            #[derive(Debug, Clone, PartialEq)]
            pub enum AnyMessage { #(#variants)* }
        }),
        Item::Rust(quote! {
            impl ::logpipe::AnyOf for AnyMessage {
                const TYPES: &'static [(&'static str, &'static [u32])] = &[#(#routes),*];

                fn decode(message_type: &str, version: u32, body: ::logpipe::Body<'_>) -> Result<Self, ::logpipe::Failure> {
                    match find(message_type, version) {
                        #(#arms)*
                        _ if Self::TYPES.iter().any(|(known, _)| *known == message_type) => Err(body.unknown_version()),
                        _ => Err(body.unknown_type()),
                    }
                }

                fn untyped(&self) -> &dyn ::logpipe::Untyped {
                    match *self {
                        #(Self::#names(ref any) => ::logpipe::Versions::untyped(any),)*
                    }
                }
            }
        }),
    ]
}
