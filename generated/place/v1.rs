// @generated from schemas/place.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: b82fc9c682a0a1c9d9d5273f c3362377c95602c400074d2e

//! `place`, version 1.

/// Somewhere that can be found on a map.
#[derive(Clone, PartialEq)]
pub struct Place {
    /// Identifies the place.
    pub uuid: ::logpipe::types::Uuid,
    /// What people call it.
    pub name: String,
    /// Degrees north of the equator.
    pub latitude: f64,
    /// Degrees east of Greenwich.
    pub longitude: f64,
}

::logpipe::wire! {
    struct Place open {
        uuid: "uuid";
        name: "name", min_chars(1), max_chars(200);
        latitude: "latitude", min_decimal("-90"), max_decimal("90");
        longitude: "longitude", min_decimal("-180"), max_decimal("180");
    }
}

::logpipe::message! { Place = "place" version 1, of super::Any, key uuid; }
