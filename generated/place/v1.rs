// @generated from schemas/place.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 8ec30c44b4f4451b281e3b64 11069fcc9e6cad1860709c68

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

::logpipe::message! { Place = "place" version 1, of super::Any, key uuid; }
