//! Which step from a version to the next loses nothing? Proven for what shapes and rules say; all else needs a decision.
//!
//! A step may be generated when every value that the older version allows has exactly one place in the newer one:
//! members stay or are added as optional or with a default, types stay or widen, rules stay or widen. Members that
//! are gone, rules that are new or narrower, and types that merely look alike are decisions: somebody has to say what
//! becomes of the data.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::catalog::{
    Catalog, Check, Field, Integer, Item, Message, Presence, Rules, Shape, Ty, TypeId, Unknown,
    Variant,
};
use crate::rule;

/// From one present version to the next.
#[derive(Debug, Default)]
pub struct Step {
    /// What somebody has to decide; empty where the step loses nothing.
    pub decisions: Vec<Decision>,
    /// How the fields of each struct are filled, for every pair of structs that meet.
    pub structs: BTreeMap<(TypeId, TypeId), Vec<Fill>>,
    /// How a list or map that holds itself becomes another one, for every pair of them that meets.
    pub recursive: BTreeMap<(TypeId, TypeId), Convert>,
    /// Every pair of types that is converted as a whole from somewhere inside; recursion included.
    pub calls: BTreeSet<(TypeId, TypeId)>,
}

/// A place where data would be lost or made up.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// The member, as its path of names: `home.street`.
    pub member: String,
    /// Where it stands in the schema that has it: `/properties/email`.
    pub pointer: String,
    /// `is new and required`
    pub why: String,
}

/// Where the value of a new field comes from, in the order of the new struct's fields.
#[derive(Debug)]
pub enum Fill {
    /// From the old field at this index.
    From(usize, Convert),
    /// Absent.
    Absent,
    /// The default of the new field.
    Default,
}

/// How a value becomes one of the newer type.
#[derive(Debug, Clone, PartialEq)]
pub enum Convert {
    /// By moving it.
    Same,
    /// By `From`: a number into a wider one.
    Widen,
    /// By the function of two structs, enums, or lists and maps that hold themselves.
    Call(TypeId, TypeId),
    /// A string of an enum that is now any string.
    Spell(TypeId),
    /// Out of a newtype, then on.
    Unwrap(Box<Convert>),
    /// On, then into a newtype.
    Wrap(TypeId, Box<Convert>),
    /// Item by item.
    List(Box<Convert>, Nulls),
    /// Value by value.
    Map(Box<Convert>, Nulls),
}

/// Whether items can be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// In neither version.
    Never,
    /// In the newer one alone.
    Gained,
    /// In both.
    Kept,
}

/// The steps of a message, each from one present version to the next.
pub fn steps(catalog: &Catalog, versions: &[Message]) -> Vec<Step> {
    versions
        .windows(2)
        .map(|pair| step(catalog, &pair[0], &pair[1]))
        .collect()
}

fn step(catalog: &Catalog, from: &Message, to: &Message) -> Step {
    let mut walk = Walk {
        catalog,
        step: Step::default(),
        open: BTreeMap::new(),
        waiting: VecDeque::new(),
        path: Vec::new(),
        at: String::new(),
    };
    walk.meet(from.root, to.root);
    // A loop, for structs may nest deeper than the stack.
    while let Some(pair) = walk.waiting.pop_front() {
        (walk.path, walk.at) = (pair.path, pair.at);
        walk.structs(pair.from, pair.to);
    }
    walk.step
}

/// Two structs that met, and where.
struct Pair {
    from: TypeId,
    to: TypeId,
    path: Vec<String>,
    at: String,
}

/// A type where it is used: by its name, wherever that stands, else by its address in the catalog.
type Spot = (Option<TypeId>, usize);

fn spot(ty: &Ty) -> Spot {
    match ty {
        Ty::Named(id) => (Some(*id), 0),
        _ => (None, std::ptr::from_ref(ty).addr()),
    }
}

/// So many names lead to a decision; of a longer way its end is told.
const NAMES: usize = 12;

struct Walk<'a> {
    catalog: &'a Catalog,
    step: Step,
    /// The pairs that are being converted, one of them a newtype at least; whether one was met inside itself.
    open: BTreeMap<(Spot, Spot), bool>,
    waiting: VecDeque<Pair>,
    path: Vec<String>,
    /// The pointer of the member that is looked at.
    at: String,
}

impl<'a> Walk<'a> {
    fn decide(&mut self, why: impl Into<String>) {
        let decision = Decision {
            member: self.path.join("."),
            pointer: self.at.clone(),
            why: why.into(),
        };
        if self.step.decisions.last() != Some(&decision) {
            self.step.decisions.push(decision);
        }
    }

    /// Looks at a member; its path and place are those of what is found meanwhile.
    fn at_field(&mut self, field: &Field, look: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.at, field.origin.pointer.clone());
        self.path.push(field.wire.clone());
        look(self);
        self.path.pop();
        self.at = before;
    }

    /// Two structs become one another. Where they meet again, inside themselves or elsewhere, that is known.
    fn meet(&mut self, from: TypeId, to: TypeId) {
        if let Entry::Vacant(unknown) = self.step.structs.entry((from, to)) {
            unknown.insert(Vec::new());
            let path = self.path[self.path.len().saturating_sub(NAMES)..].to_vec();
            let at = self.at.clone();
            self.waiting.push_back(Pair { from, to, path, at });
        }
    }

    fn structs(&mut self, from: TypeId, to: TypeId) {
        let catalog: &'a Catalog = self.catalog;
        let (
            Shape::Struct {
                fields: old,
                unknown: old_unknown,
                checks: old_checks,
            },
            Shape::Struct {
                fields: new,
                unknown: new_unknown,
                checks: new_checks,
            },
        ) = (&catalog.types[from.0].shape, &catalog.types[to.0].shape)
        else {
            return;
        };

        let index = |fields: &'a [Field]| {
            let names = fields.iter().enumerate();
            names
                .map(|(index, field)| (field.wire.as_str(), index))
                .collect::<BTreeMap<_, _>>()
        };
        let (old_names, new_names) = (index(old), index(new));
        for field in old {
            if !new_names.contains_key(field.wire.as_str()) {
                self.at_field(field, |walk| walk.decide("is gone"));
            }
        }
        let mut fills = Vec::new();
        for field in new {
            let fill = match old_names.get(field.wire.as_str()) {
                Some(&index) => self.kept(&old[index], field, index),
                None => match (field.presence, &field.default) {
                    (Presence::Optional | Presence::OptionalNullable, _) => Fill::Absent,
                    (_, Some(_)) => Fill::Default,
                    (_, None) => {
                        self.at_field(field, |walk| walk.decide("is new and required"));
                        Fill::Absent
                    }
                },
            };
            fills.push(fill);
        }

        let added = fills.iter().any(|fill| !matches!(fill, Fill::From(..)));
        match (old_unknown, new_unknown) {
            (Unknown::Keep, Unknown::Keep) if added => {
                self.decide(
                    "has new members, and an older message may keep unknown ones of that name",
                );
            }
            (Unknown::Keep, Unknown::Ignore | Unknown::Reject) => {
                self.decide("no longer keeps unknown members")
            }
            _ => {}
        }
        let filled = fills.iter().any(|fill| matches!(fill, Fill::Default));
        for check in new_checks {
            let counts_more = matches!(check, Check::MaxProperties(_)) && filled;
            if counts_more || !implied(old_checks, &Ty::Any, check) {
                self.decide("limits the number of its members in a new way");
            }
        }
        self.step.structs.insert((from, to), fills);
    }

    /// A member that both versions have.
    fn kept(&mut self, old: &'a Field, new: &'a Field, index: usize) -> Fill {
        let mut convert = Convert::Same;
        self.at_field(new, |walk| {
            match (old.presence, new.presence) {
                (old, new) if old == new => {}
                (Presence::Required, _) | (_, Presence::OptionalNullable) => {}
                (Presence::Optional, Presence::Required) if new.default.is_some() => {}
                (_, Presence::Required) => walk.decide("is now required"),
                (_, Presence::Nullable) => walk.decide("may no longer be absent"),
                (_, Presence::Optional) => walk.decide("may no longer be null"),
            }
            convert = walk.rules(&old.value, &new.value);
        });
        Fill::From(index, convert)
    }

    fn rules(&mut self, old: &'a Rules, new: &'a Rules) -> Convert {
        let convert = self.convert(&old.ty, &new.ty);
        let (old, new) = (self.flatten(old), self.flatten(new));
        for check in &new.1 {
            if !implied(&old.1, old.0, check) {
                self.decide(format!("has a new or narrower rule: {}", name_of(check)));
            }
        }
        if new.1.contains(&Check::UniqueItems) && !is_injective(&convert) {
            self.decide("must stay unique, though its items change");
        }
        convert
    }

    /// A type and all rules on it, those of its names included.
    fn flatten(&self, rules: &'a Rules) -> (&'a Ty, Vec<Check>) {
        let mut checks = rules.checks.clone();
        let mut ty = &rules.ty;
        // A chain of names ends: none is longer than the arena.
        for _ in 0..self.catalog.types.len() {
            let Ty::Named(id) = ty else { break };
            let Shape::Newtype(inner) = &self.catalog.types[id.0].shape else {
                break;
            };
            checks.extend(inner.checks.iter().cloned());
            ty = &inner.ty;
        }
        (ty, checks)
    }

    fn convert(&mut self, old: &'a Ty, new: &'a Ty) -> Convert {
        let types = &self.catalog.types;
        match (old, new) {
            (Ty::Named(a), Ty::Named(b))
                if a == b
                    || (types[a.0].home == types[b.0].home
                        && types[a.0].name == types[b.0].name) =>
            {
                Convert::Same
            }
            (Ty::Named(a), Ty::Named(b)) => match (&types[a.0].shape, &types[b.0].shape) {
                (Shape::Struct { .. }, Shape::Struct { .. }) => {
                    self.meet(*a, *b);
                    self.call(*a, *b)
                }
                (
                    Shape::Enum {
                        variants: old,
                        other: old_other,
                    },
                    Shape::Enum {
                        variants: new,
                        other,
                    },
                ) => {
                    self.enums(old, *old_other, new, *other);
                    self.call(*a, *b)
                }
                (Shape::Newtype(_), _) | (_, Shape::Newtype(_)) => self.newtypes(old, new),
                _ => self.changed(),
            },
            (Ty::Named(a), new) => match &types[a.0].shape {
                Shape::Newtype(_) => self.newtypes(old, new),
                Shape::Enum { .. } if *new == Ty::String => Convert::Spell(*a),
                _ => self.changed(),
            },
            (old, Ty::Named(b)) => match &types[b.0].shape {
                Shape::Newtype(_) => self.newtypes(old, new),
                _ => self.changed(),
            },
            (Ty::Integer(old), Ty::Integer(new)) if old != new => {
                let (old, new) = (rule::range(*old), rule::range(*new));
                if new.0 <= old.0 && old.1 <= new.1 {
                    Convert::Widen
                } else {
                    self.changed()
                }
            }
            // Every integer of 32 bits is an f64; 64 bits are not.
            (Ty::Integer(old), Ty::Number) if !matches!(old, Integer::I64 | Integer::U64) => {
                Convert::Widen
            }
            (Ty::List(old), Ty::List(new)) => match self.items(old, new) {
                (Convert::Same, Nulls::Never | Nulls::Kept) => Convert::Same,
                (convert, nulls) => Convert::List(Box::new(convert), nulls),
            },
            (Ty::Map(old), Ty::Map(new)) => match self.items(old, new) {
                (Convert::Same, Nulls::Never | Nulls::Kept) => Convert::Same,
                (convert, nulls) => Convert::Map(Box::new(convert), nulls),
            },
            (old, new) if old == new => Convert::Same,
            _ => self.changed(),
        }
    }

    /// Out of a newtype, or into one, or both. Lists and maps may hold themselves, so that a pair may meet inside
    /// itself: two of them have a function then, which calls itself.
    fn newtypes(&mut self, old: &'a Ty, new: &'a Ty) -> Convert {
        let (pair, types) = ((spot(old), spot(new)), &self.catalog.types);
        let ids = pair.0.0.zip(pair.1.0);
        if let Some(met_itself) = self.open.get_mut(&pair) {
            *met_itself = true;
            return match ids {
                Some((a, b)) => self.call(a, b),
                None => {
                    self.decide("holds itself in another way");
                    Convert::Same
                }
            };
        }
        if let Some((a, b)) = ids.filter(|ids| self.step.recursive.contains_key(ids)) {
            return self.call(a, b);
        }
        let within = |ty: &Ty| match ty {
            Ty::Named(id) => match &types[id.0].shape {
                Shape::Newtype(inner) => Some((*id, &inner.ty)),
                _ => None,
            },
            _ => None,
        };
        self.open.insert(pair, false);
        let convert = match (within(old), within(new)) {
            (Some((_, inner)), _) => Convert::Unwrap(Box::new(self.convert(inner, new))),
            (None, Some((id, inner))) => Convert::Wrap(id, Box::new(self.convert(old, inner))),
            (None, None) => Convert::Same,
        };
        match (self.open.remove(&pair), ids) {
            (Some(true), Some((a, b))) => {
                self.step.recursive.insert((a, b), convert);
                self.call(a, b)
            }
            _ => convert,
        }
    }

    fn items(&mut self, old: &'a Item, new: &'a Item) -> (Convert, Nulls) {
        let nulls = match (old.nullable, new.nullable) {
            (false, false) => Nulls::Never,
            (false, true) => Nulls::Gained,
            (true, true) => Nulls::Kept,
            (true, false) => {
                self.decide("may no longer hold null");
                Nulls::Kept
            }
        };
        (self.rules(&old.value, &new.value), nulls)
    }

    fn enums(&mut self, old: &[Variant], old_other: bool, new: &[Variant], other: bool) {
        // A newer version that keeps other strings keeps these; one that has the string has a variant for it.
        let kept = new
            .iter()
            .map(|variant| &variant.wire)
            .collect::<BTreeSet<_>>();
        if !other && old.iter().any(|variant| !kept.contains(&variant.wire)) {
            self.decide("no longer allows every value that it had");
        }
        if old_other && !other {
            self.decide("no longer keeps other values");
        }
    }

    fn call(&mut self, from: TypeId, to: TypeId) -> Convert {
        self.step.calls.insert((from, to));
        Convert::Call(from, to)
    }

    fn changed(&mut self) -> Convert {
        self.decide("changes its type");
        Convert::Same
    }
}

/// Whether two values that differ still differ afterwards, as far as that is plain: a struct may fill a default in.
fn is_injective(convert: &Convert) -> bool {
    match convert {
        Convert::Call(..) => false,
        Convert::Same | Convert::Widen | Convert::Spell(_) => true,
        Convert::Unwrap(inner)
        | Convert::Wrap(_, inner)
        | Convert::List(inner, _)
        | Convert::Map(inner, _) => is_injective(inner),
    }
}

/// Whether every value that keeps the old rules keeps this one.
fn implied(old: &[Check], ty: &Ty, new: &Check) -> bool {
    let range = match ty {
        Ty::Integer(integer) => Some(rule::range(*integer)),
        _ => None,
    };
    let by_range = match (new, range) {
        (Check::Min(bound), Some((low, _))) => *bound <= low.into(),
        (Check::Above(bound), Some((low, _))) => *bound < low.into(),
        (Check::Max(bound), Some((_, high))) => *bound >= high.into(),
        (Check::Below(bound), Some((_, high))) => *bound > high.into(),
        (Check::MinChars(0) | Check::MinItems(0) | Check::MinProperties(0), _) => true,
        _ => false,
    };
    by_range
        || old.iter().any(|old| match (old, new) {
            (Check::MinChars(old), Check::MinChars(new))
            | (Check::MinItems(old), Check::MinItems(new))
            | (Check::MinProperties(old), Check::MinProperties(new)) => old >= new,
            (Check::MaxChars(old), Check::MaxChars(new))
            | (Check::MaxItems(old), Check::MaxItems(new))
            | (Check::MaxProperties(old), Check::MaxProperties(new)) => old <= new,
            (Check::Min(old), Check::Min(new))
            | (Check::Above(old), Check::Min(new) | Check::Above(new)) => old >= new,
            (Check::Min(old), Check::Above(new)) => old > new,
            (Check::Max(old), Check::Max(new))
            | (Check::Below(old), Check::Max(new) | Check::Below(new)) => old <= new,
            (Check::Max(old), Check::Below(new)) => old < new,
            (Check::MultipleOf(old), Check::MultipleOf(new)) => old.is_multiple_of(new),
            (old, new) => old == new,
        })
}

/// As the schema calls it.
fn name_of(check: &Check) -> &'static str {
    match check {
        Check::MinChars(_) => "minLength",
        Check::MaxChars(_) => "maxLength",
        Check::Pattern { .. } => "pattern",
        Check::Min(_) => "minimum",
        Check::Max(_) => "maximum",
        Check::Above(_) => "exclusiveMinimum",
        Check::Below(_) => "exclusiveMaximum",
        Check::MultipleOf(_) => "multipleOf",
        Check::MinItems(_) => "minItems",
        Check::MaxItems(_) => "maxItems",
        Check::UniqueItems => "uniqueItems",
        Check::MinProperties(_) => "minProperties",
        Check::MaxProperties(_) => "maxProperties",
        Check::Const(_) => "const",
    }
}
