//! Where does each type live, and which fields need a box? Decided here, so that emitting only reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Field, Hint, Home, Message, Rules, Shape, Ty, Type, TypeId};

/// Boxes what would contain itself, and moves equal definitions into their oldest home.
pub fn assign(catalog: &mut Catalog) {
    box_recursion(catalog);
    share_definitions(catalog);
}

/// The types that a message needs, the root first, then as a reader meets them.
pub fn reachable(catalog: &Catalog, root: TypeId) -> Vec<TypeId> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut stack = vec![root];
    while let Some(id) = stack.pop() {
        if seen.insert(id) {
            found.push(id);
            stack.extend(mentions(&catalog.types[id.0]).into_iter().rev());
        }
    }
    found
}

/// The module that belongs to a message.
pub fn home_of(message: &Message) -> Home {
    Home {
        module: message.rust.clone(),
        version: message.version,
    }
}

/// Every named type that a type is made of, in order, through lists and maps as well.
fn mentions(ty: &Type) -> Vec<TypeId> {
    fn visit(ty: &Ty, out: &mut Vec<TypeId>) {
        match ty {
            Ty::Named(id) => out.push(*id),
            Ty::List(item) | Ty::Map(item) => visit(&item.value.ty, out),
            _ => {}
        }
    }
    let mut out = Vec::new();
    match &ty.shape {
        Shape::Struct { fields, .. } => fields
            .iter()
            .for_each(|field| visit(&field.value.ty, &mut out)),
        Shape::Newtype(rules) => visit(&rules.ty, &mut out),
        Shape::Enum { .. } => {}
    }
    out
}

/// What a type holds in itself: lists and maps are on the heap already.
fn holds(ty: &Type) -> Vec<TypeId> {
    let named = |rules: &Rules| match rules.ty {
        Ty::Named(id) => Some(id),
        _ => None,
    };
    match &ty.shape {
        Shape::Struct { fields, .. } => fields
            .iter()
            .filter_map(|field| named(&field.value))
            .collect(),
        Shape::Newtype(rules) => named(rules).into_iter().collect(),
        Shape::Enum { .. } => Vec::new(),
    }
}

/// Boxes every field that stays within a cycle. Boxing just one of them would do, but then which one would depend on
/// where the walk began.
fn box_recursion(catalog: &mut Catalog) {
    let cycle = cycles(catalog);
    for (id, ty) in catalog.types.iter_mut().enumerate() {
        let Shape::Struct { fields, .. } = &mut ty.shape else {
            continue;
        };
        for field in fields {
            if let Ty::Named(target) = field.value.ty {
                field.boxed = cycle[id].is_some() && cycle[id] == cycle[target.0];
            }
        }
    }
}

/// The types that stand in a box somewhere.
pub(crate) fn boxed(catalog: &Catalog) -> BTreeSet<TypeId> {
    let fields = catalog.types.iter().flat_map(|ty| match &ty.shape {
        Shape::Struct { fields, .. } => fields.as_slice(),
        Shape::Enum { .. } | Shape::Newtype(_) => &[],
    });
    let targets = fields.filter_map(|field| match field.value.ty {
        Ty::Named(target) if field.boxed => Some(target),
        _ => None,
    });
    targets.collect()
}

/// The cycle that each type is part of: Tarjan's strongly connected components, with its own stack, for schemas may
/// chain deeper than ours.
fn cycles(catalog: &Catalog) -> Vec<Option<usize>> {
    struct Visit {
        id: usize,
        edges: Vec<TypeId>,
        next: usize,
    }
    let count = catalog.types.len();
    let (mut order, mut low) = (vec![usize::MAX; count], vec![usize::MAX; count]);
    let mut component = vec![None; count];
    let (mut clock, mut open, mut is_open) = (0, Vec::new(), vec![false; count]);

    for start in 0..count {
        if order[start] != usize::MAX {
            continue;
        }
        let mut visits = vec![Visit {
            id: start,
            edges: holds(&catalog.types[start]),
            next: 0,
        }];
        while let Some(visit) = visits.last_mut() {
            let id = visit.id;
            if visit.next == 0 && order[id] == usize::MAX {
                (order[id], low[id]) = (clock, clock);
                clock += 1;
                open.push(id);
                is_open[id] = true;
            }
            if let Some(&TypeId(target)) = visit.edges.get(visit.next) {
                visit.next += 1;
                if order[target] == usize::MAX {
                    visits.push(Visit {
                        id: target,
                        edges: holds(&catalog.types[target]),
                        next: 0,
                    });
                } else if is_open[target] {
                    low[id] = low[id].min(order[target]);
                }
                continue;
            }
            let to_itself = visit.edges.contains(&TypeId(id));
            visits.pop();
            if let Some(parent) = visits.last() {
                low[parent.id] = low[parent.id].min(low[id]);
            }
            if low[id] == order[id] {
                let members =
                    open.split_off(open.iter().rposition(|&member| member == id).unwrap_or(0));
                for &member in &members {
                    is_open[member] = false;
                    if members.len() > 1 || to_itself {
                        component[member] = Some(id);
                    }
                }
            }
        }
    }
    component
}

/// A definition that is equal in its whole closure is defined in the lowest version that has it.
fn share_definitions(catalog: &mut Catalog) {
    // Definitions by module and name, in the order of versions: the lowest that matches wins.
    let mut known: BTreeMap<(String, String), Vec<TypeId>> = BTreeMap::new();
    for index in 0..catalog.messages.len() {
        let message = &catalog.messages[index];
        let home = home_of(message);
        let (module, root) = (message.rust.clone(), message.root);
        for id in reachable(catalog, root) {
            if !matches!(catalog.types[id.0].hint, Hint::Definition(_)) {
                continue;
            }
            let entry = known
                .entry((module.clone(), catalog.types[id.0].name.clone()))
                .or_default();
            if catalog.types[id.0].home != home {
                continue; // moved along with a definition that it is part of
            }
            match entry.iter().find_map(|&older| equal(catalog, older, id)) {
                Some(pairs) => {
                    for (older, newer) in pairs {
                        catalog.types[newer.0].home = catalog.types[older.0].home.clone();
                    }
                }
                None => entry.push(id),
            }
        }
    }
}

/// The pairs of types that make two types equal, if they are: in names, docs, shapes, rules and all that they mention.
fn equal(catalog: &Catalog, left: TypeId, right: TypeId) -> Option<BTreeSet<(TypeId, TypeId)>> {
    let mut pairs = BTreeSet::new();
    let mut open = vec![(left, right)];
    while let Some(pair) = open.pop() {
        if !pairs.insert(pair) {
            continue;
        }
        let (left, right) = (&catalog.types[pair.0.0], &catalog.types[pair.1.0]);
        // Two versions of a message stay two types, however equal: a definition that reaches them can't be shared.
        if left.name != right.name || left.docs != right.docs || left.hint == Hint::Message {
            return None;
        }
        match (&left.shape, &right.shape) {
            (
                Shape::Struct {
                    fields,
                    unknown,
                    checks,
                },
                Shape::Struct {
                    fields: other_fields,
                    unknown: other_unknown,
                    checks: other_checks,
                },
            ) => {
                if unknown != other_unknown
                    || checks != other_checks
                    || fields.len() != other_fields.len()
                {
                    return None;
                }
                for (field, other) in fields.iter().zip(other_fields) {
                    if !equal_fields(field, other, &mut open) {
                        return None;
                    }
                }
            }
            (Shape::Newtype(rules), Shape::Newtype(other)) => {
                if !equal_rules(rules, other, &mut open) {
                    return None;
                }
            }
            (Shape::Enum { .. }, Shape::Enum { .. }) if left.shape == right.shape => {}
            _ => return None,
        }
    }
    Some(pairs)
}

fn equal_fields(left: &Field, right: &Field, open: &mut Vec<(TypeId, TypeId)>) -> bool {
    left.wire == right.wire
        && left.rust == right.rust
        && left.presence == right.presence
        && left.default == right.default
        && left.docs == right.docs
        && left.boxed == right.boxed
        && equal_rules(&left.value, &right.value, open)
}

fn equal_rules(left: &Rules, right: &Rules, open: &mut Vec<(TypeId, TypeId)>) -> bool {
    left.checks == right.checks
        && match (&left.ty, &right.ty) {
            (Ty::Named(left), Ty::Named(right)) => {
                open.push((*left, *right));
                true
            }
            (Ty::List(left), Ty::List(right)) | (Ty::Map(left), Ty::Map(right)) => {
                left.nullable == right.nullable && equal_rules(&left.value, &right.value, open)
            }
            (left, right) => left == right,
        }
}
