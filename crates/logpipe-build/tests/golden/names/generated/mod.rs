// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: b7ce7163b09894e720cd4150 2903828c2b1feae96275e3e5

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
    clippy::too_many_lines,
    reason = "names, shapes, prose and counts are those of the schemas"
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
