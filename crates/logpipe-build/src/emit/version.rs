//! `generated/person/v1.rs`: what is one version of a message? Its types, then their wire tables.

use std::collections::BTreeSet;

use quote::{format_ident, quote};

use super::{File, Item, defaults, docs, types, wire};
use crate::catalog::{Catalog, Message, TypeId};
use crate::layout;

pub(super) fn file(
    catalog: &Catalog,
    derives: &types::Derives,
    boxed: &BTreeSet<TypeId>,
    message: &Message,
) -> File {
    let home = layout::home_of(message);
    let (own, shared): (Vec<_>, Vec<_>) = layout::reachable(catalog, message.root)
        .into_iter()
        .partition(|id| catalog.types[id.0].home == home);

    let mut items = Vec::new();
    for id in shared {
        let ty = &catalog.types[id.0];
        let (version, name) = (
            format_ident!("v{}", ty.home.version),
            format_ident!("{}", ty.name),
        );
        items.push(Item::Rust(quote!(pub use super::#version::#name;)));
    }
    for &id in &own {
        items.push(Item::Rust(types::define(catalog, derives, id)));
        items.extend(defaults::methods(catalog, id).map(Item::Rust));
    }
    for &id in &own {
        items.push(Item::Text(wire::table(catalog, &catalog.types[id.0])));
        if boxed.contains(&id) {
            items.push(Item::Text(wire::boxed(&catalog.types[id.0])));
        }
    }
    items.push(Item::Text(wire::message(catalog, message)));
    File {
        docs: vec![format!(
            "{}, version {}.",
            docs::code(&message.wire),
            message.version
        )],
        items,
    }
}
