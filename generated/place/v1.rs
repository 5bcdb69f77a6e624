// @generated from schemas/place.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 8c812c26e88900bd28e3b634 718abbc99c0865a64ecea0eb

//! `place`, version 1.

/// Somewhere that can be found on a map.
#[derive(Debug, Clone, PartialEq)]
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
        uuid: "uuid" required;
        name: "name" required, min_chars(1), max_chars(200);
        latitude: "latitude" required, min("-90"), max("90");
        longitude: "longitude" required, min("-180"), max("180");
    }
}

::logpipe::message! { Place = "place" version 1, key uuid; }
