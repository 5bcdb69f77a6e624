//! What is generated? One Rust file per schema file, one module per message, the table of all of them.
//!
//! Everything was decided before: emitting can't fail, and reads the catalog alone. Generated code names everything
//! by its full path, for it can't know what stands beside it.

mod defaults;
mod dispatch;
mod docs;
mod literal;
mod message;
mod root;
mod types;
mod upcasts;
mod version;
mod wire;

use std::collections::BTreeSet;

use proc_macro2::TokenStream;

use crate::catalog::{Catalog, Message, TypeId};
use crate::digest::Digest;
use crate::layout;
use types::Derives;

/// The number of the seam between generated code and the run time; the run time knows the same one.
const INTERFACE: u32 = 1;

/// A file to generate, known by what it is made from.
pub struct Plan {
    /// Relative to the folder of generated code: `person/v1.rs`.
    pub path: String,
    /// Where it comes from, for its banner: `schemas/person.v1.json`.
    pub sources: String,
    /// Over everything that decides what stands in it.
    pub inputs: Digest,
    kind: Kind,
}

enum Kind {
    Root,
    Dispatch,
    /// All versions of a message, as a range of the catalog's messages.
    Message(std::ops::Range<usize>),
    /// One version of a message.
    Version(usize),
}

/// What stands in a file, before it is text.
pub struct File {
    /// Its own documentation.
    pub docs: Vec<String>,
    /// In the order in which they are read.
    pub items: Vec<Item>,
}

/// A piece of a file, with a blank line around it.
pub enum Item {
    /// For prettyplease.
    Rust(TokenStream),
    /// As it is.
    Text(String),
}

/// The files of a catalog.
pub fn plan(catalog: &Catalog) -> Vec<Plan> {
    let all = Digest::of_messages(&catalog.messages);
    let mut plans = vec![
        Plan {
            path: "mod.rs".into(),
            sources: "schemas".into(),
            inputs: all.clone(),
            kind: Kind::Root,
        },
        Plan {
            path: "dispatch.rs".into(),
            sources: "schemas".into(),
            inputs: all,
            kind: Kind::Dispatch,
        },
    ];
    for versions in by_module(catalog) {
        let messages = &catalog.messages[versions.clone()];
        // A version may take types from an older one, and says so: it is made from all of them.
        let inputs = Digest::of_messages(messages);
        let module = &messages[0].rust;
        plans.push(Plan {
            path: format!("{module}/mod.rs"),
            sources: messages
                .iter()
                .map(|message| message.source.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            inputs: inputs.clone(),
            kind: Kind::Message(versions.clone()),
        });
        for index in versions {
            let message = &catalog.messages[index];
            plans.push(Plan {
                path: format!("{module}/v{}.rs", message.version),
                sources: message.source.clone(),
                inputs: inputs.clone(),
                kind: Kind::Version(index),
            });
        }
    }
    plans
}

/// Writes files of one catalog.
pub struct Emitter<'a> {
    catalog: &'a Catalog,
    derives: Derives,
    boxed: BTreeSet<TypeId>,
}

impl<'a> Emitter<'a> {
    /// Looks at the whole catalog once.
    pub fn new(catalog: &'a Catalog) -> Self {
        Self {
            catalog,
            derives: Derives::new(catalog),
            boxed: layout::boxed(catalog),
        }
    }

    /// What stands in a planned file.
    pub fn file(&self, plan: &Plan) -> File {
        match &plan.kind {
            Kind::Root => root::file(self.catalog),
            Kind::Dispatch => dispatch::file(self.catalog),
            Kind::Message(versions) => {
                message::file(self.catalog, &self.catalog.messages[versions.clone()])
            }
            Kind::Version(index) => {
                let message = &self.catalog.messages[*index];
                version::file(self.catalog, &self.derives, &self.boxed, message)
            }
        }
    }
}

/// The messages of each module, as ranges: the catalog is sorted by module, then version.
fn by_module(catalog: &Catalog) -> Vec<std::ops::Range<usize>> {
    let mut start = 0;
    let chunks = catalog.messages.chunk_by(|a, b| a.rust == b.rust);
    chunks
        .map(|chunk| {
            let range = start..start + chunk.len();
            start = range.end;
            range
        })
        .collect()
}

/// `v1`
fn module_of(message: &Message) -> proc_macro2::Ident {
    quote::format_ident!("v{}", message.version)
}

/// `V1`
fn variant_of(message: &Message) -> proc_macro2::Ident {
    quote::format_ident!("V{}", message.version)
}

/// The root's name: `Person`.
fn root_of(catalog: &Catalog, message: &Message) -> proc_macro2::Ident {
    quote::format_ident!("{}", catalog.types[message.root.0].name)
}
