// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 02517374facb8fd22204010a c09ecab9347fb389fe77c5fe

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
pub mod order;
pub mod person;
pub mod place;
pub mod thing;

const _: () = ::logpipe::generated_for(1);

/// Routes of every message to one handler: a message that it does not handle is a compile error.
pub fn every<S, H>(handler: H) -> [::logpipe::Route<S>; 4]
where
    S: ::logpipe::Store,
    H: order::Handler<S> + person::Handler<S> + place::Handler<S> + thing::Handler<S>,
{
    let handler = ::std::sync::Arc::new(handler);
    [
        ::logpipe::Route::shared::<order::Any, H>(::std::sync::Arc::clone(&handler)),
        ::logpipe::Route::shared::<person::Any, H>(::std::sync::Arc::clone(&handler)),
        ::logpipe::Route::shared::<place::Any, H>(::std::sync::Arc::clone(&handler)),
        ::logpipe::Route::shared::<thing::Any, H>(::std::sync::Arc::clone(&handler)),
    ]
}
