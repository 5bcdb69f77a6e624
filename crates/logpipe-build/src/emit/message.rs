//! `generated/person/mod.rs`: how are all versions of a message handled? By a method each, so that a version that
//! nobody handles is a compile error.

use quote::{format_ident, quote};

use super::upcasts::{self, plain};
use super::{File, Item, docs, module_of, root_of, variant_of};
use crate::catalog::{Catalog, Message};

pub(super) fn file(catalog: &Catalog, versions: &[Message]) -> File {
    let mut items = modules(versions);
    items.extend([
        latest_alias(catalog, versions),
        any(catalog, versions),
        versions_of(versions),
        handler_trait(catalog, versions),
        handler_function(&versions[0]),
        dispatch(versions),
        closures(versions),
        closures_handle(catalog, versions),
    ]);
    items.extend(upcasts::items(catalog, versions));
    items.extend(latest(versions));
    items.extend(versions.iter().map(|message| batch(catalog, message)));
    File {
        docs: vec![format!(
            "{}: its versions, and what handles them.",
            docs::code(&versions[0].wire)
        )],
        items,
    }
}

fn modules(versions: &[Message]) -> Vec<Item> {
    let modules = versions.iter().map(module_of);
    modules
        .map(|module| Item::Rust(quote!(pub mod #module;)))
        .collect()
}

fn latest_alias(catalog: &Catalog, versions: &[Message]) -> Item {
    let newest = &versions[versions.len() - 1];
    let (module, root) = (module_of(newest), root_of(catalog, newest));
    let docs = docs::lines(&[
        "The newest version. It moves when one is added: for reading, not for sending.",
    ]);
    Item::Rust(quote!(#docs pub type Latest = #module::#root;))
}

fn any(catalog: &Catalog, versions: &[Message]) -> Item {
    let docs = docs::lines(&[format!(
        "A {} of any version.",
        docs::code(&versions[0].wire)
    )]);
    let variants = versions.iter().map(|message| {
        let docs = docs::lines(&[docs::code(&message.source)]);
        let (variant, module, root) = (
            variant_of(message),
            module_of(message),
            root_of(catalog, message),
        );
        quote!(#docs #variant(#module::#root),)
    });
    Item::Rust(quote! {
        #docs
        #[derive(Debug, Clone, PartialEq)]
        pub enum Any { #(#variants)* }
    })
}

fn versions_of(versions: &[Message]) -> Item {
    let wire = &versions[0].wire;
    let numbers = versions
        .iter()
        .map(|message| proc_macro2::Literal::u32_unsuffixed(message.version));
    let arms = versions.iter().map(|message| {
        let number = proc_macro2::Literal::u32_unsuffixed(message.version);
        let variant = variant_of(message);
        quote!(#number => body.decode_as(Self::#variant),)
    });
    let variants = versions.iter().map(variant_of).collect::<Vec<_>>();
    Item::Rust(quote! {
        impl ::logpipe::Versions for Any {
            const TYPE: &'static str = #wire;
            const VERSIONS: &'static [u32] = &[#(#numbers),*];

            fn decode(version: u32, body: ::logpipe::Body<'_>) -> Result<Self, ::logpipe::Failure> {
                match version {
                    #(#arms)*
                    _ => Err(body.unknown_version()),
                }
            }

            fn untyped(&self) -> &dyn ::logpipe::Untyped {
                match self {
                    #(Self::#variants(message) => message,)*
                }
            }
        }
    })
}

fn handler_trait(catalog: &Catalog, versions: &[Message]) -> Item {
    let (wire, module) = (plain(&versions[0].wire), &versions[0].rust);
    let list = versions
        .iter()
        .map(|message| format!("v{}", message.version))
        .collect::<Vec<_>>()
        .join(", ");
    let message = format!("`{{Self}}` does not handle `{wire}` messages");
    let label = format!("`{module}::Handler` is missing");
    let note = format!("implement `{module}::Handler<{{S}}>`: one method per schema file: {list}");
    let docs = docs::lines(&[
        format!(
            "Handles every version of {}: one method per schema file.",
            docs::code(&versions[0].wire)
        ),
        String::new(),
        "An error is tried again, then parked. Write the methods as `async fn`.".to_owned(),
    ]);
    let methods = versions.iter().map(|message| {
        let docs = docs::lines(&[docs::code(&message.source)]);
        let (module, root) = (module_of(message), root_of(catalog, message));
        quote! {
            #docs
            fn #module(
                &self,
                message: #module::#root,
                cx: &mut ::logpipe::Cx<S>,
            ) -> impl Future<Output = ::logpipe::Result> + Send;
        }
    });
    let deleted =
        docs::lines(&["A tombstone: the key was deleted. Parks unless you say otherwise."]);
    Item::Rust(quote! {
        #docs
        #[diagnostic::on_unimplemented(message = #message, label = #label, note = #note)]
        pub trait Handler<S: ::logpipe::Store = ::logpipe::Broker>: Send + Sync + 'static {
            #(#methods)*
            #deleted
            fn deleted(
                &self,
                _key: &[u8],
                _cx: &mut ::logpipe::Cx<S>,
            ) -> impl Future<Output = ::logpipe::Result> + Send {
                ::logpipe::Unhandled
            }
        }
    })
}

fn handler_function(message: &Message) -> Item {
    let docs = docs::lines(&[format!(
        "The route of {} to a handler.",
        docs::code(&message.wire)
    )]);
    Item::Rust(quote! {
        #docs
        pub fn handler<S: ::logpipe::Store, H: Handler<S>>(handler: H) -> ::logpipe::Route<S> {
            ::logpipe::Route::new::<Any, H>(handler)
        }
    })
}

/// Without an `async` block: its state machine would be checked again for every type, at several times the cost.
fn dispatch(versions: &[Message]) -> Item {
    let arms = versions.iter().enumerate().map(|(index, message)| {
        let (variant, method) = (variant_of(message), module_of(message));
        // The futures of all versions as one type: the first or (the second or (.. the last)).
        let mut future = quote!(handler.#method(message, cx));
        if index + 1 < versions.len() {
            future = quote!(::logpipe::Either::Left(#future));
        }
        for _ in 0..index {
            future = quote!(::logpipe::Either::Right(#future));
        }
        quote!(Self::#variant(message) => #future,)
    });
    Item::Rust(quote! {
        impl<S: ::logpipe::Store, H: Handler<S>> ::logpipe::Dispatch<H, S> for Any {
            fn dispatch(
                self,
                handler: &H,
                cx: &mut ::logpipe::Cx<S>,
            ) -> impl Future<Output = ::logpipe::Result> + Send {
                match self {
                    #(#arms)*
                }
            }

            fn deleted(
                handler: &H,
                key: &[u8],
                cx: &mut ::logpipe::Cx<S>,
            ) -> impl Future<Output = ::logpipe::Result> + Send {
                handler.deleted(key, cx)
            }
        }
    })
}

/// A struct of closures: a literal has to name every field.
fn closures(versions: &[Message]) -> Item {
    let docs = docs::lines(&[format!(
        "A handler made of closures, one for each version of {}.",
        docs::code(&versions[0].wire)
    )]);
    let (params, fields): (Vec<_>, Vec<_>) = versions
        .iter()
        .map(|message| {
            let docs = docs::lines(&[docs::code(&message.source)]);
            let (param, field) = (variant_of(message), module_of(message));
            (param.clone(), quote!(#docs pub #field: #param,))
        })
        .unzip();
    Item::Rust(quote! {
        #docs
        pub struct Handlers<#(#params),*> { #(#fields)* }
    })
}

fn closures_handle(catalog: &Catalog, versions: &[Message]) -> Item {
    let params = versions.iter().map(variant_of).collect::<Vec<_>>();
    let bounds = versions.iter().map(|message| {
        let (param, module, root) = (
            variant_of(message),
            module_of(message),
            root_of(catalog, message),
        );
        quote!(#param: for<'a> ::logpipe::HandlerFn<'a, #module::#root, S>,)
    });
    let methods = versions.iter().map(|message| {
        let (module, root) = (module_of(message), root_of(catalog, message));
        quote! {
            fn #module(
                &self,
                message: #module::#root,
                cx: &mut ::logpipe::Cx<S>,
            ) -> impl Future<Output = ::logpipe::Result> + Send {
                ::logpipe::HandlerFn::call(&self.#module, message, cx)
            }
        }
    });
    Item::Rust(quote! {
        impl<S, #(#params),*> Handler<S> for Handlers<#(#params),*>
        where
            S: ::logpipe::Store,
            #(#bounds)*
        {
            #(#methods)*
        }
    })
}

/// The route that brings every version up to the newest; a type's only version is there already.
fn latest(versions: &[Message]) -> Vec<Item> {
    let docs = docs::lines(&[format!(
        "The route of {} to a closure that takes the newest version; older ones are brought up to it.",
        docs::code(&versions[0].wire)
    )]);
    let (newest, upcasts, route) = match versions.len() {
        1 => (None, quote!(_upcasts), quote!(on(function))),
        _ => (
            Some(newest(versions)),
            quote!(upcasts),
            quote!(latest::<Any, U, F>(upcasts, function)),
        ),
    };
    let function = Item::Rust(quote! {
        #docs
        pub fn latest<S, U, F>(#upcasts: U, function: F) -> ::logpipe::Route<S>
        where
            S: ::logpipe::Store,
            U: Upcasts + Send + Sync + 'static,
            F: AsyncFn(Latest, &mut ::logpipe::Cx<S>) -> ::logpipe::Result + for<'a> ::logpipe::HandlerFn<'a, Latest, S>,
        {
            ::logpipe::Route::#route
        }
    });
    newest.into_iter().chain([function]).collect()
}

/// Every version, step by step, as the newest.
fn newest(versions: &[Message]) -> Item {
    let arms = versions.iter().enumerate().map(|(index, message)| {
        let variant = variant_of(message);
        let mut newest = quote!(message);
        for pair in versions[index..].windows(2) {
            let step = format_ident!("{}_to_{}", module_of(&pair[0]), module_of(&pair[1]));
            newest = quote!(upcasts.#step(#newest));
        }
        quote!(Self::#variant(message) => #newest,)
    });
    Item::Rust(quote! {
        impl<U: Upcasts> ::logpipe::Newest<U> for Any {
            type Latest = Latest;

            fn newest(self, upcasts: &U) -> Latest {
                match self {
                    #(#arms)*
                }
            }
        }
    })
}

/// The route of one version to a closure that takes several messages at once.
fn batch(catalog: &Catalog, message: &Message) -> Item {
    let docs = docs::lines(&[format!(
        "The route of {} to a closure that takes a run of its messages in one transaction.",
        docs::code(&message.source)
    )]);
    let (module, root) = (module_of(message), root_of(catalog, message));
    let name = format_ident!("{module}_batch");
    Item::Rust(quote! {
        #docs
        pub fn #name<S, F>(function: F) -> ::logpipe::Route<S>
        where
            S: ::logpipe::Store,
            F: AsyncFn(&mut ::logpipe::Batch<#module::#root>, &mut ::logpipe::Cx<S>) -> ::logpipe::Result
                + for<'a> ::logpipe::BatchFn<'a, #module::#root, S>,
        {
            ::logpipe::Route::batch(function)
        }
    })
}
