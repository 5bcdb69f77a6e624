//! How does an older version become a newer one? The trait of steps, with bodies for those that lose nothing.

use std::collections::BTreeMap;

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{Item, defaults, docs, module_of, root_of};
use crate::catalog::{Catalog, Field, Message, Presence, Shape, TypeId, Unknown, Variant};
use crate::name;
use crate::upcast::{self, Convert, Decision, Fill, Nulls, Step};

/// `trait Upcasts`, what implements it, and the functions of nested types.
pub(super) fn items(catalog: &Catalog, versions: &[Message]) -> Vec<Item> {
    let steps = upcast::steps(catalog, versions);
    let undecided = steps.iter().any(|step| !step.decisions.is_empty());
    let wire = docs::code(&versions[0].wire);
    let pairs = || {
        versions.windows(2).zip(&steps).map(|(pair, step)| Pair {
            catalog,
            from: &pair[0],
            to: &pair[1],
            step,
        })
    };

    let mut text = vec![format!(
        "How an older {wire} becomes the newest, step by step."
    )];
    text.push(String::new());
    text.push(match (versions.len(), undecided) {
        (1, _) => "There is one version, so there is nothing to decide.".to_owned(),
        (_, false) => "Every step keeps all that the older version says: [`Lossless`](::logpipe::Lossless) takes them.".to_owned(),
        (_, true) => "A step with a body keeps all that the older version says; the others need a decision.".to_owned(),
    });
    let trait_docs = docs::lines(&text);
    let words = undecided.then(|| on_unimplemented(versions, &steps));
    let methods = pairs().map(|pair| pair.method());
    let mut items = vec![Item::Rust(quote! {
        #trait_docs
        #words
        pub trait Upcasts {
            #(#methods)*
        }
    })];
    if !undecided {
        items.push(Item::Rust(quote!(impl Upcasts for ::logpipe::Lossless {})));
    }
    for pair in pairs().filter(|pair| pair.step.decisions.is_empty()) {
        items.extend(
            pair.step
                .calls
                .iter()
                .map(|&(from, to)| Item::Rust(pair.function(from, to))),
        );
    }
    items
}

/// The compiler's word names so many decisions of a step; the method's documentation has them all.
const TOLD: usize = 10;

/// What the compiler says to a service that asks for the newest version and has not decided.
fn on_unimplemented(versions: &[Message], steps: &[Step]) -> TokenStream {
    let wire = plain(&versions[0].wire);
    let message = format!("`{{Self}}` does not say how an older `{wire}` becomes the newest");
    let label = format!("a step of `{}::Upcasts` is missing", versions[0].rust);
    let decisions = versions
        .windows(2)
        .zip(steps)
        .filter(|(_, step)| !step.decisions.is_empty())
        .map(|(pair, step)| {
            let mut all = step
                .decisions
                .iter()
                .take(TOLD)
                .map(sentence)
                .collect::<Vec<_>>();
            if step.decisions.len() > TOLD {
                all.push(format!(
                    "and {} more, as its documentation says",
                    step.decisions.len() - TOLD
                ));
            }
            let all = all.join("; ");
            format!(
                "v{} -> v{} needs a decision: {all}",
                pair[0].version, pair[1].version
            )
        });
    let how = format!(
        "implement `{}::Upcasts` for a type of your own and hand it in",
        versions[0].rust
    );
    quote! {
        #[diagnostic::on_unimplemented(message = #message, label = #label, #(note = #decisions,)* note = #how)]
    }
}

/// `` `email` (/properties/email) is new and required ``
fn sentence(decision: &Decision) -> String {
    let Decision {
        member,
        pointer,
        why,
    } = decision;
    match member.is_empty() {
        true => format!("it {why}"),
        false => format!("`{}` ({}) {why}", plain(member), plain(pointer)),
    }
}

/// Schema text in a format string of the compiler's: on one line, braces doubled.
pub(super) fn plain(text: &str) -> String {
    let shown = text
        .chars()
        .flat_map(char::escape_debug)
        .collect::<String>();
    shown
        .replace("\\\"", "\"")
        .replace("\\'", "'")
        .replace('{', "{{")
        .replace('}', "}}")
}

/// One step.
struct Pair<'a> {
    catalog: &'a Catalog,
    from: &'a Message,
    to: &'a Message,
    step: &'a Step,
}

impl Pair<'_> {
    fn method(&self) -> TokenStream {
        let (old, new) = (module_of(self.from), module_of(self.to));
        let name = format_ident!("{old}_to_{new}");
        let (old_root, new_root) = (
            root_of(self.catalog, self.from),
            root_of(self.catalog, self.to),
        );
        let signature = quote!(fn #name(&self, message: #old::#old_root) -> #new::#new_root);
        if self.step.decisions.is_empty() {
            let docs = docs::lines(&["Loses nothing."]);
            let body = self.fill(self.from.root, self.to.root, &format_ident!("message"));
            quote!(#docs #signature { #body })
        } else {
            let mut text = vec!["Needs a decision:".to_owned(), String::new()];
            text.extend(self.step.decisions.iter().map(|decision| {
                let Decision {
                    member,
                    pointer,
                    why,
                } = decision;
                match member.is_empty() {
                    true => format!("* it {why}"),
                    false => format!("* {} ({}) {why}", docs::code(member), docs::code(pointer)),
                }
            }));
            let docs = docs::lines(&text);
            quote!(#docs #signature;)
        }
    }

    /// A private function for two types that meet within the message.
    fn function(&self, from: TypeId, to: TypeId) -> TokenStream {
        let name = self.function_name(from, to);
        let (old, new) = (self.path(from, self.from), self.path(to, self.to));
        let value = format_ident!("from");
        let body = match (
            &self.catalog.types[from.0].shape,
            &self.catalog.types[to.0].shape,
        ) {
            (
                Shape::Enum { variants, other },
                Shape::Enum {
                    variants: new_variants,
                    ..
                },
            ) => {
                fn by_wire(variants: &[Variant]) -> BTreeMap<&str, &Variant> {
                    let named = variants
                        .iter()
                        .map(|variant| (variant.wire.as_str(), variant));
                    named.collect()
                }
                let (old_wires, new_wires) = (by_wire(variants), by_wire(new_variants));
                let arms = variants.iter().map(|variant| {
                    let old_name = format_ident!("{}", variant.rust);
                    match new_wires.get(variant.wire.as_str()) {
                        Some(variant) => {
                            let new_name = format_ident!("{}", variant.rust);
                            quote!(#old::#old_name => #new::#new_name,)
                        }
                        None => {
                            let text = &variant.wire;
                            quote!(#old::#old_name => #new::Other(#text.to_owned()),)
                        }
                    }
                });
                // A string that only now is a variant is that variant.
                let known = new_variants
                    .iter()
                    .filter(|new| !old_wires.contains_key(new.wire.as_str()));
                let known = known.map(|variant| {
                    let (text, name) = (&variant.wire, format_ident!("{}", variant.rust));
                    quote!(#text => #new::#name,)
                });
                let known = known.collect::<Vec<_>>();
                let other = other.then(|| match known.is_empty() {
                    true => quote!(#old::Other(other) => #new::Other(other),),
                    false => quote!(#old::Other(other) => match other.as_str() { #(#known)* _ => #new::Other(other), },),
                });
                quote!(match #value { #(#arms)* #other })
            }
            _ => match self.step.recursive.get(&(from, to)) {
                Some(convert) => self.apply(convert, quote!(#value)),
                None => self.fill(from, to, &value),
            },
        };
        quote!(fn #name(#value: #old) -> #new { #body })
    }

    /// The struct literal of the newer type.
    fn fill(&self, from: TypeId, to: TypeId, value: &Ident) -> TokenStream {
        let (
            Shape::Struct {
                fields: old,
                unknown: old_unknown,
                ..
            },
            Shape::Struct {
                fields: new,
                unknown,
                ..
            },
        ) = (
            &self.catalog.types[from.0].shape,
            &self.catalog.types[to.0].shape,
        )
        else {
            return TokenStream::new();
        };
        let path = self.path(to, self.to);
        let fills = self
            .step
            .structs
            .get(&(from, to))
            .map_or(&[][..], Vec::as_slice);
        let fields = new.iter().zip(fills).map(|(field, fill)| {
            let name = format_ident!("{}", field.rust);
            let filled = match fill {
                Fill::Absent => quote!(None),
                Fill::Default => self.default_of(field),
                Fill::From(index, convert) => {
                    let old_name = format_ident!("{}", old[*index].rust);
                    self.kept(&old[*index], field, convert, quote!(#value.#old_name))
                }
            };
            quote!(#name: #filled,)
        });
        let unknown = match (old_unknown, unknown) {
            (Unknown::Keep, Unknown::Keep) => quote!(unknown: #value.unknown,),
            (_, Unknown::Keep) => quote!(unknown: ::logpipe::types::Map::default(),),
            _ => quote!(),
        };
        quote!(#path { #(#fields)* #unknown })
    }

    fn kept(&self, old: &Field, new: &Field, convert: &Convert, value: TokenStream) -> TokenStream {
        use Presence::{Nullable, Optional, OptionalNullable, Required};
        let item = format_ident!("value");
        let boxing = (old.boxed, new.boxed);
        // What happens to the value itself; nothing, if it can just be moved.
        let moved = *convert == Convert::Same && boxing.0 == boxing.1;
        let one = |value: TokenStream| {
            let value = if boxing.0 && !moved {
                quote!(*#value)
            } else {
                value
            };
            let converted = self.apply(convert, value);
            if boxing.1 && !moved {
                quote!(Box::new(#converted))
            } else {
                converted
            }
        };
        let each = || {
            if boxing == (false, false) {
                return self.each(convert, &item);
            }
            let body = one(quote!(#item));
            quote!(|#item| #body)
        };
        let mapped = |value: TokenStream| {
            if moved {
                return value;
            }
            let each = each();
            quote!(#value.map(#each))
        };
        match (old.presence, new.presence) {
            (Required, Required) => one(value),
            (Required, Optional | Nullable) => {
                let value = one(value);
                quote!(Some(#value))
            }
            (Required, OptionalNullable) => {
                let value = one(value);
                quote!(Some(Some(#value)))
            }
            (Optional, OptionalNullable) => {
                let value = mapped(value);
                quote!(#value.map(Some))
            }
            (Nullable, OptionalNullable) => {
                let value = mapped(value);
                quote!(Some(#value))
            }
            (OptionalNullable, _) if !moved => {
                let inner = mapped(quote!(#item));
                quote!(#value.map(|#item| #inner))
            }
            (Optional, Required) => {
                let default = self.default_of(new);
                let is_empty = |value| defaults::is_empty(&new.value.ty, value);
                if new.default.as_ref().is_some_and(is_empty) {
                    let value = mapped(value);
                    return quote!(#value.unwrap_or_default());
                }
                let literal = defaults::is_literal(self.catalog, &new.value.ty) && !new.boxed;
                match (moved, literal) {
                    (true, true) => quote!(#value.unwrap_or(#default)),
                    (true, false) => quote!(#value.unwrap_or_else(|| #default)),
                    (false, true) => {
                        let each = each();
                        quote!(#value.map_or(#default, #each))
                    }
                    (false, false) => {
                        let each = each();
                        quote!(#value.map_or_else(|| #default, #each))
                    }
                }
            }
            _ => mapped(value),
        }
    }

    fn apply(&self, convert: &Convert, value: TokenStream) -> TokenStream {
        match convert {
            Convert::Same => value,
            Convert::Widen => quote!(#value.into()),
            Convert::Call(from, to) => {
                let function = self.function_name(*from, *to);
                quote!(#function(#value))
            }
            Convert::Spell(from) => {
                let old = self.path(*from, self.from);
                let Shape::Enum { variants, other } = &self.catalog.types[from.0].shape else {
                    return value;
                };
                let arms = variants.iter().map(|variant| {
                    let (name, text) = (format_ident!("{}", variant.rust), &variant.wire);
                    quote!(#old::#name => #text.to_owned(),)
                });
                let other = other.then(|| quote!(#old::Other(other) => other,));
                quote!(match #value { #(#arms)* #other })
            }
            Convert::Unwrap(inner) => self.apply(inner, quote!(#value.0)),
            Convert::Wrap(to, inner) => {
                let (path, value) = (self.path(*to, self.to), self.apply(inner, value));
                quote!(#path(#value))
            }
            Convert::List(inner, nulls) => {
                let item = format_ident!("item");
                let each = match (&**inner, nulls) {
                    (Convert::Same, Nulls::Gained) => quote!(Some),
                    (_, Nulls::Never) => self.each(inner, &item),
                    _ => {
                        let body = self.inside(inner, *nulls, &item);
                        quote!(|#item| #body)
                    }
                };
                quote!(#value.into_iter().map(#each).collect())
            }
            Convert::Map(inner, nulls) => {
                let body = self.inside(inner, *nulls, &format_ident!("item"));
                quote!(#value.into_iter().map(|(name, item)| (name, #body)).collect())
            }
        }
    }

    /// An item that is a variable, null or not, for the newer version.
    fn inside(&self, convert: &Convert, nulls: Nulls, item: &Ident) -> TokenStream {
        match nulls {
            Nulls::Never => self.apply(convert, quote!(#item)),
            Nulls::Gained => {
                let body = self.apply(convert, quote!(#item));
                quote!(Some(#body))
            }
            Nulls::Kept => {
                let each = self.each(convert, item);
                quote!(#item.map(#each))
            }
        }
    }

    /// What `map` takes: a function where there is one, else a closure.
    fn each(&self, convert: &Convert, item: &Ident) -> TokenStream {
        match convert {
            Convert::Call(from, to) => {
                let function = self.function_name(*from, *to);
                quote!(#function)
            }
            Convert::Widen => quote!(Into::into),
            Convert::Wrap(to, inner) if **inner == Convert::Same => self.path(*to, self.to),
            _ => {
                let body = self.apply(convert, quote!(#item));
                quote!(|#item| #body)
            }
        }
    }

    fn default_of(&self, field: &Field) -> TokenStream {
        let Some(default) = &field.default else {
            return quote!(None);
        };
        let nullable = matches!(
            field.presence,
            Presence::Nullable | Presence::OptionalNullable
        );
        let value = defaults::value(
            self.catalog,
            &field.value.ty,
            default,
            nullable,
            Some(&module_of(self.to)),
        );
        if field.boxed {
            quote!(Box::new(#value))
        } else {
            value
        }
    }

    /// `v1::Address`: every version re-exports what it shares.
    fn path(&self, id: TypeId, message: &Message) -> TokenStream {
        let (module, name) = (
            module_of(message),
            format_ident!("{}", self.catalog.types[id.0].name),
        );
        quote!(#module::#name)
    }

    fn function_name(&self, from: TypeId, to: TypeId) -> Ident {
        let (old, new) = (module_of(self.from), module_of(self.to));
        let from = name::snake(&self.catalog.types[from.0].name);
        let to = name::snake(&self.catalog.types[to.0].name);
        if from == to {
            format_ident!("{old}_to_{new}_{from}")
        } else {
            format_ident!("{old}_to_{new}_{from}_to_{to}")
        }
    }
}
