//! What do the files say that becomes nothing? It is looked at all the same: a fault in what no message reaches yet is a
//! fault, and who defines what nothing refers to is told.

use std::collections::BTreeSet;

use super::Lowering;
use crate::catalog::{Catalog, Home};
use crate::diagnostic::{Report, quote};
use crate::dialect;
use crate::json::{Json, NodeId};
use crate::refs::{Documents, Place};

/// Tells of definitions in messages that nothing refers to. In a library they are an offer.
pub(super) fn unused(
    documents: &Documents<'_>,
    messages: &BTreeSet<Place>,
    reached: &BTreeSet<Place>,
    report: &mut Report,
) {
    let mut used = BTreeSet::new();
    for &place in reached {
        let mut here = Some(documents.at(place));
        // A reference into a definition uses it.
        while let Some(part) = here.filter(|part| {
            used.insert(Place {
                document: place.document,
                node: part.id(),
            })
        }) {
            here = part.parent().map(|(parent, _)| parent);
        }
    }
    for &root in messages {
        for definition in dialect::definitions(documents.at(root)) {
            let place = Place {
                node: definition.value.id(),
                ..root
            };
            if !used.contains(&place) {
                let message = format!(
                    "nothing refers to {}, so nothing is generated for it",
                    quote(definition.name)
                );
                let source = documents.source(root);
                report.warn(
                    source,
                    definition.span,
                    message,
                    "remove it, or refer to it",
                );
            }
        }
    }
}

/// Looks for faults in schemas that no message reached: roots of libraries, and definitions of all files.
pub(super) fn unreached(
    documents: &Documents<'_>,
    messages: &BTreeSet<Place>,
    lowered: &BTreeSet<Place>,
    report: &mut Report,
) {
    // What they become is for nobody.
    let mut catalog = Catalog::default();
    let home = Home {
        module: String::new(),
        version: 0,
    };
    let mut lowering = Lowering::new(documents, messages, report, &mut catalog, home);
    for document in 0..documents.count() {
        let root = Place {
            document,
            node: NodeId::default(),
        };
        let library = (!messages.contains(&root)).then_some(root);
        let schema: Json<'_> = documents.at(root);
        let definitions = dialect::definitions(schema)
            .into_iter()
            .map(|definition| Place {
                document,
                node: definition.value.id(),
            });
        for place in library.into_iter().chain(definitions) {
            if !lowered.contains(&place) {
                lowering.schema(place);
            }
        }
    }
    lowering.finish();
}
