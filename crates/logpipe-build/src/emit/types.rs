//! What Rust type does each shape become? Plain data that anybody could have written by hand.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::docs;
use crate::catalog::{
    Catalog, Field, Format, Hint, Integer, Item, Presence, Shape, Ty, Type, TypeId, Unknown,
};

/// What can be derived beyond `Debug`, `Clone` and `PartialEq`, for every type of the catalog.
pub(super) struct Derives {
    eq: Vec<bool>,
}

impl Derives {
    /// A type is `Eq` and `Hash` unless some part of it is a float; types in a cycle are what the rest of the cycle lets
    /// them be.
    pub(super) fn new(catalog: &Catalog) -> Self {
        let mut eq = vec![true; catalog.types.len()];
        loop {
            let before = eq.clone();
            for (id, ty) in catalog.types.iter().enumerate() {
                eq[id] = eq[id]
                    && match &ty.shape {
                        Shape::Struct { fields, .. } => {
                            fields.iter().all(|field| is_eq(&field.value.ty, &eq))
                        }
                        Shape::Enum { .. } => true,
                        Shape::Newtype(rules) => is_eq(&rules.ty, &eq),
                    };
            }
            if eq == before {
                return Self { eq };
            }
        }
    }

    fn of(&self, id: TypeId, shape: &Shape) -> TokenStream {
        match shape {
            Shape::Enum { other: false, .. } => {
                quote!(#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)])
            }
            // Its wire table brings `Debug`.
            Shape::Struct { .. } if self.eq[id.0] => quote!(#[derive(Clone, PartialEq, Eq, Hash)]),
            Shape::Struct { .. } => quote!(#[derive(Clone, PartialEq)]),
            _ if self.eq[id.0] => quote!(#[derive(Debug, Clone, PartialEq, Eq, Hash)]),
            _ => quote!(#[derive(Debug, Clone, PartialEq)]),
        }
    }
}

fn is_eq(ty: &Ty, eq: &[bool]) -> bool {
    match ty {
        Ty::Number => false,
        Ty::List(item) | Ty::Map(item) => is_eq(&item.value.ty, eq),
        Ty::Named(id) => eq[id.0],
        Ty::Bool | Ty::Integer(_) | Ty::String | Ty::Format(_) | Ty::Any => true,
    }
}

/// The definition of one type.
pub(super) fn define(catalog: &Catalog, derives: &Derives, id: TypeId) -> TokenStream {
    let ty = &catalog.types[id.0];
    let docs = docs::attributes(&ty.docs, &ty.name, &fallback(catalog, ty));
    let derive = derives.of(id, &ty.shape);
    let name = format_ident!("{}", ty.name);
    match &ty.shape {
        Shape::Struct {
            fields, unknown, ..
        } => {
            let fields = fields.iter().map(|field| define_field(catalog, field));
            let unknown = (*unknown == Unknown::Keep).then(|| {
                let docs = docs::lines(&["Members that the schema does not declare."]);
                quote!(#docs pub unknown: ::logpipe::types::Map<::logpipe::types::Value>,)
            });
            quote!(#docs #derive pub struct #name { #(#fields)* #unknown })
        }
        Shape::Enum { variants, other } => {
            let variants = variants.iter().map(|variant| {
                let docs = docs::lines(&[docs::code(&variant.wire)]);
                let name = format_ident!("{}", variant.rust);
                quote!(#docs #name,)
            });
            let other = other.then(|| {
                let docs = docs::lines(&["Any other string."]);
                quote!(#docs Other(String),)
            });
            quote!(#docs #derive pub enum #name { #(#variants)* #other })
        }
        Shape::Newtype(rules) => {
            let inner = tokens(catalog, &rules.ty);
            let field = docs::lines(&["The value itself."]);
            quote!(#docs #derive pub struct #name(#field pub #inner);)
        }
    }
}

fn define_field(catalog: &Catalog, field: &Field) -> TokenStream {
    let docs = docs::attributes(
        &field.docs,
        &field.wire,
        &format!("{}.", docs::code(&field.wire)),
    );
    let name = format_ident!("{}", field.rust);
    let ty = field_type(catalog, field);
    quote!(#docs pub #name: #ty,)
}

/// The type of a field, with its box and options.
fn field_type(catalog: &Catalog, field: &Field) -> TokenStream {
    let mut ty = tokens(catalog, &field.value.ty);
    if field.boxed {
        ty = quote!(Box<#ty>);
    }
    match field.presence {
        Presence::Required => ty,
        Presence::Optional | Presence::Nullable => quote!(Option<#ty>),
        Presence::OptionalNullable => quote!(Option<Option<#ty>>),
    }
}

/// A use of a type, as the module of its message names it.
pub(super) fn tokens(catalog: &Catalog, ty: &Ty) -> TokenStream {
    let item = |item: &Item| {
        let ty = tokens(catalog, &item.value.ty);
        if item.nullable {
            quote!(Option<#ty>)
        } else {
            ty
        }
    };
    match ty {
        Ty::Bool => quote!(bool),
        Ty::Integer(integer) => {
            let name = format_ident!("{}", integer_name(*integer));
            quote!(#name)
        }
        Ty::Number => quote!(f64),
        Ty::String => quote!(String),
        Ty::Format(format) => {
            let name = format_ident!("{}", format_name(*format));
            quote!(::logpipe::types::#name)
        }
        Ty::List(of) => {
            let of = item(of);
            quote!(Vec<#of>)
        }
        Ty::Map(of) => {
            let of = item(of);
            quote!(::logpipe::types::Map<#of>)
        }
        Ty::Named(id) => {
            let name = format_ident!("{}", catalog.types[id.0].name);
            quote!(#name)
        }
        Ty::Any => quote!(::logpipe::types::Value),
    }
}

pub(super) fn integer_name(integer: Integer) -> &'static str {
    match integer {
        Integer::U8 => "u8",
        Integer::U16 => "u16",
        Integer::U32 => "u32",
        Integer::U64 => "u64",
        Integer::I8 => "i8",
        Integer::I16 => "i16",
        Integer::I32 => "i32",
        Integer::I64 => "i64",
    }
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Uuid => "Uuid",
        Format::DateTime => "Timestamp",
        Format::Date => "Date",
        Format::Time => "Time",
        Format::Duration => "Duration",
        Format::Email => "Email",
        Format::Uri => "Uri",
        Format::Ipv4 => "Ipv4Addr",
        Format::Ipv6 => "Ipv6Addr",
    }
}

/// What the docs say of a type that its schema says nothing about.
fn fallback(catalog: &Catalog, ty: &Type) -> String {
    match &ty.hint {
        Hint::Message => {
            let message = catalog
                .messages
                .iter()
                .find(|message| catalog.types[message.root.0].origin == ty.origin);
            let wire = message.map_or(ty.name.as_str(), |message| message.wire.as_str());
            format!("A {} message.", docs::code(wire))
        }
        Hint::Definition(key) => format!("The definition {}.", docs::code(key)),
        Hint::Within(parent, place) => {
            format!(
                "What {} holds in [`{}`].",
                docs::code(place),
                catalog.types[parent.0].name
            )
        }
    }
}
