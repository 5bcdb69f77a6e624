// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: b6c5636d591337c68df55d59 3db91fdf99fc1b5341d9d323

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
pub mod lossy;
pub mod widen;

const _: () = ::logpipe::generated_for(1);

/// Routes of every message to one handler: a message that it does not handle is a compile error.
pub fn every<S, H>(handler: H) -> [::logpipe::Route<S>; 2]
where
    S: ::logpipe::Store,
    H: lossy::Handler<S> + widen::Handler<S>,
{
    let handler = ::std::sync::Arc::new(handler);
    [
        ::logpipe::Route::shared::<lossy::Any, H>(::std::sync::Arc::clone(&handler)),
        ::logpipe::Route::shared::<widen::Any, H>(::std::sync::Arc::clone(&handler)),
    ]
}
