//! Does every type have a value that ends? One that requires itself, in itself or through others, has none: no message
//! could ever be sent.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Check, Presence, Rules, Shape, Ty, TypeId};

/// A type that requires itself, by way of this field; a list or map has none, it requires an item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Endless {
    pub(crate) ty: TypeId,
    pub(crate) field: Option<usize>,
}

/// One of each circle of types that require each other, in the order of types.
pub(crate) fn endless(catalog: &Catalog) -> Vec<Endless> {
    let needs = (0..catalog.types.len())
        .map(|id| needs(catalog, TypeId(id)))
        .collect::<Vec<_>>();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (id, needs) in needs.iter().enumerate() {
        for &(_, TypeId(other)) in needs {
            needed_by[other].push(id);
        }
    }
    // A type ends once all that it needs does; whatever is never counted down to nothing waits for itself, or for
    // another that does.
    let mut waits = needs.iter().map(Vec::len).collect::<Vec<_>>();
    let mut ended = (0..waits.len())
        .filter(|&id| waits[id] == 0)
        .collect::<Vec<_>>();
    while let Some(id) = ended.pop() {
        for &other in &needed_by[id] {
            waits[other] -= 1;
            if waits[other] == 0 {
                ended.push(other);
            }
        }
    }

    let mut found = Vec::new();
    let mut walked = vec![false; needs.len()];
    for start in (0..needs.len()).filter(|&id| waits[id] > 0) {
        // From need to need, until a type comes again: in this walk it is a circle, else that one was found.
        let (mut way, mut on_way, mut here) = (Vec::new(), BTreeSet::new(), start);
        while !walked[here] {
            walked[here] = true;
            on_way.insert(here);
            let next = needs[here]
                .iter()
                .find(|(_, TypeId(other))| waits[*other] > 0);
            let Some(&(field, TypeId(next))) = next else {
                break;
            };
            way.push((TypeId(here), field));
            here = next;
        }
        if on_way.contains(&here) {
            let circle = way.iter().skip_while(|(id, _)| id.0 != here);
            // A list is only as endless as what it holds: a member is the better place.
            let best = circle.min_by_key(|(id, field)| (field.is_none(), *id));
            found.extend(best.map(|&(ty, field)| Endless { ty, field }));
        }
    }
    found.sort_by_key(|endless| endless.ty);
    found
}

/// What every value of a type holds, by field.
fn needs(catalog: &Catalog, id: TypeId) -> Vec<(Option<usize>, TypeId)> {
    match &catalog.types[id.0].shape {
        Shape::Struct { fields, .. } => {
            let required = fields
                .iter()
                .enumerate()
                .filter(|(_, field)| field.presence == Presence::Required);
            required
                .filter_map(|(index, field)| Some((Some(index), need(&field.value)?)))
                .collect()
        }
        Shape::Newtype(rules) => need(rules).map(|id| (None, id)).into_iter().collect(),
        Shape::Enum { .. } => Vec::new(),
    }
}

/// The type that every value with these rules holds. Recursion ends with the rules: it does not enter types.
fn need(rules: &Rules) -> Option<TypeId> {
    let at_least_one = |check: &Check| match check {
        Check::MinItems(count) | Check::MinProperties(count) => *count > 0,
        _ => false,
    };
    match &rules.ty {
        Ty::Named(id) => Some(*id),
        Ty::List(item) | Ty::Map(item) if !item.nullable => {
            let held = rules.checks.iter().any(at_least_one);
            held.then(|| need(&item.value)).flatten()
        }
        _ => None,
    }
}
