//! What does a schema's `default` give? A method that reads a field with it, and a value for generated upcasts. The
//! codec never looks at it.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use super::{docs, literal, types};
use crate::catalog::{Catalog, Field, Format, Integer, Presence, Shape, Ty, TypeId, Value};

/// `impl Person { pub fn nickname_or_default(&self) -> &str { .. } }`, where a field that may be absent has a default.
pub(super) fn methods(catalog: &Catalog, id: TypeId) -> Option<TokenStream> {
    let ty = &catalog.types[id.0];
    let Shape::Struct { fields, .. } = &ty.shape else {
        return None;
    };
    let methods = fields
        .iter()
        .filter_map(|field| method(catalog, field))
        .collect::<Vec<_>>();
    let name = format_ident!("{}", ty.name);
    (!methods.is_empty()).then(|| quote!(impl #name { #(#methods)* }))
}

fn method(catalog: &Catalog, field: &Field) -> Option<TokenStream> {
    let default = field.default.as_ref()?;
    let nullable = match field.presence {
        Presence::Optional => false,
        Presence::OptionalNullable => true,
        Presence::Required | Presence::Nullable => return None,
    };
    let name = format_ident!("{}", field.rust);
    let method = format_ident!("{}_or_default", field.rust.trim_end_matches('_'));
    let docs = docs::lines(&[format!(
        "{}, or the schema's default where it is absent.",
        docs::code(&field.wire)
    )]);
    let ty = types::tokens(catalog, &field.value.ty);
    let text = match (default, &field.value.ty) {
        (Value::String(text), Ty::String) if !nullable => Some(text),
        _ => None,
    };
    let (returns, body) = if let Some(text) = text {
        (quote!(&str), quote!(self.#name.as_deref().unwrap_or(#text)))
    } else {
        let value = value(catalog, &field.value.ty, default, nullable, None);
        let value = if field.boxed && !nullable {
            quote!(Box::new(#value))
        } else {
            value
        };
        let ty = if field.boxed { quote!(Box<#ty>) } else { ty };
        let returns = if nullable { quote!(Option<#ty>) } else { ty };
        let present = if is_copy(catalog, &field.value.ty) {
            quote!(self.#name)
        } else {
            quote!(self.#name.clone())
        };
        let body = match default {
            _ if is_empty(&field.value.ty, default) && !nullable => {
                quote!(#present.unwrap_or_default())
            }
            _ if *default == Value::Null || is_literal(catalog, &field.value.ty) => {
                quote!(#present.unwrap_or(#value))
            }
            _ => quote!(#present.unwrap_or_else(|| #value)),
        };
        (returns, body)
    };
    Some(quote! {
        #docs
        #[must_use]
        pub fn #method(&self) -> #returns {
            #body
        }
    })
}

/// A default as an expression. `module` stands before the names of types, where they are not in scope.
pub(super) fn value(
    catalog: &Catalog,
    ty: &Ty,
    value: &Value,
    nullable: bool,
    module: Option<&proc_macro2::Ident>,
) -> TokenStream {
    if nullable {
        return match value {
            Value::Null => quote!(None),
            _ => {
                let value = self::value(catalog, ty, value, false, module);
                quote!(Some(#value))
            }
        };
    }
    let path = |id: &TypeId| {
        let name = format_ident!("{}", catalog.types[id.0].name);
        match module {
            Some(module) => quote!(#module::#name),
            None => quote!(#name),
        }
    };
    match (value, ty) {
        (Value::Bool(value), Ty::Bool) => quote!(#value),
        (Value::Number(number), Ty::Integer(integer)) => {
            number_literal(&literal::integer(number.floor()), Some(*integer))
        }
        (Value::Number(number), Ty::Number) => number_literal(&literal::float(number), None),
        (Value::String(text), Ty::String) => quote!(#text.to_owned()),
        (Value::List(items), Ty::List(_)) if items.is_empty() => quote!(Vec::new()),
        (Value::List(items), Ty::List(item)) => {
            let items = items
                .iter()
                .map(|value| self::value(catalog, &item.value.ty, value, item.nullable, module));
            quote!(vec![#(#items),*])
        }
        (Value::Object(members), Ty::Map(_)) if members.is_empty() => {
            quote!(::logpipe::types::Map::default())
        }
        (Value::String(text), Ty::Named(id))
            if matches!(catalog.types[id.0].shape, Shape::Enum { .. }) =>
        {
            let path = path(id);
            let Shape::Enum { variants, .. } = &catalog.types[id.0].shape else {
                return path;
            };
            match variants.iter().find(|variant| variant.wire == *text) {
                Some(variant) => {
                    let variant = format_ident!("{}", variant.rust);
                    quote!(#path::#variant)
                }
                None => quote!(#path::Other(#text.to_owned())),
            }
        }
        (value, Ty::Named(id)) if matches!(catalog.types[id.0].shape, Shape::Newtype(_)) => {
            let path = path(id);
            let Shape::Newtype(rules) = &catalog.types[id.0].shape else {
                return path;
            };
            let value = self::value(catalog, &rules.ty, value, false, module);
            quote!(#path(#value))
        }
        // What has no short literal is written as the schema has it, and read once `check` has seen that it fits.
        _ => {
            let text = json(value);
            quote!(::logpipe::types::from_schema(#text))
        }
    }
}

fn number_literal(text: &str, integer: Option<Integer>) -> TokenStream {
    // `integer` and `float` write literals; a sign in front makes it an expression.
    let (negative, digits) = text
        .strip_prefix('-')
        .map_or((false, text), |digits| (true, digits));
    let literal = digits.parse::<Literal>().unwrap_or_else(|_| match integer {
        Some(_) => Literal::u64_unsuffixed(0),
        None => Literal::f64_unsuffixed(0.0),
    });
    if negative {
        quote!(-#literal)
    } else {
        quote!(#literal)
    }
}

/// Whether it is what `Default` gives: of a list or a map, the empty one. An empty object may be a struct.
pub(super) fn is_empty(ty: &Ty, default: &Value) -> bool {
    match (default, ty) {
        (Value::List(items), Ty::List(_)) => items.is_empty(),
        (Value::Object(members), Ty::Map(_)) => members.is_empty(),
        _ => false,
    }
}

/// Whether a default of the type costs nothing to make, so that no closure has to put it off.
pub(super) fn is_literal(catalog: &Catalog, ty: &Ty) -> bool {
    !matches!(ty, Ty::Format(_)) && is_copy(catalog, ty)
}

fn is_copy(catalog: &Catalog, ty: &Ty) -> bool {
    match ty {
        Ty::Bool | Ty::Integer(_) | Ty::Number => true,
        Ty::Format(format) => !matches!(format, Format::Uri | Format::Email),
        Ty::Named(id) => matches!(catalog.types[id.0].shape, Shape::Enum { other: false, .. }),
        _ => false,
    }
}

/// A value as JSON.
fn json(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quote_json(text),
        Value::List(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{}:{}", quote_json(name), json(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

fn quote_json(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}
