// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: a5c831205d0ca7fa11853f6c 00dc871acd465a07116dfb61

//! The messages of this crate, generated from its schemas.

#![allow(
    clippy::doc_markdown,
    clippy::enum_variant_names,
    clippy::large_enum_variant,
    clippy::module_inception,
    clippy::needless_pass_by_value,
    clippy::option_option,
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "names, shapes and prose are those of the schemas"
)]

pub mod dispatch;
pub mod com_acme_type_of;

const _: () = ::logpipe::generated_for(1);

/// Routes of every message to one handler: a message that it does not handle is a compile error.
pub fn every<S, H>(handler: H) -> [::logpipe::Route<S>; 1]
where
    S: ::logpipe::Store,
    H: com_acme_type_of::Handler<S>,
{
    let handler = ::std::sync::Arc::new(handler);
    [
        ::logpipe::Route::shared::<
            com_acme_type_of::Any,
            H,
        >(::std::sync::Arc::clone(&handler)),
    ]
}
