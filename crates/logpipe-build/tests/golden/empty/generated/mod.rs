// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 532f8827555e753178d52c0b b98a3707372e4b6c513193ff

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

const _: () = ::logpipe::generated_for(1);
