//! `pattern`: does a text match anywhere?

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use regex::Regex;

use crate::codec::Fault;

/// What a source was compiled to. The generator compiled the same source, so there is a regex; without one nothing may
/// pass.
type Compiled = &'static Option<Regex>;

/// `pattern`, in the syntax of the regex crate: compiled when it is first needed, once per process and source.
///
/// Not a static at each place in a table: for each of them the compiler would run its initializer and see to it that
/// threads may share it.
pub(super) fn pattern(text: &str, source: &'static str) -> Result<(), Fault> {
    if compiled(source)
        .as_ref()
        .is_some_and(|regex| regex.is_match(text))
    {
        return Ok(());
    }
    Err(Fault::invalid(format!("does not match {source}")))
}

/// The one that this thread used last for a literal at that address, for a table asks for few, over and over.
fn compiled(source: &'static str) -> Compiled {
    const SLOTS: usize = 64;
    thread_local! {
        static KNOWN: Cell<[Option<(&'static str, Compiled)>; SLOTS]> = const { Cell::new([None; SLOTS]) };
    }
    // The upper bits of the product depend on all bits of the address.
    let slot = source.as_ptr().addr().wrapping_mul(0x9e37_79b9) >> 16 & (SLOTS - 1);
    KNOWN.with(|known| {
        let slot = &known.as_array_of_cells()[slot];
        match slot.get() {
            Some((of, compiled)) if std::ptr::eq(of, source) => compiled,
            _ => {
                let compiled = compiled_once(source);
                slot.set(Some((source, compiled)));
                compiled
            }
        }
    })
}

fn compiled_once(source: &'static str) -> Compiled {
    static COMPILED: OnceLock<RwLock<HashMap<&'static str, Compiled>>> = OnceLock::new();
    let all = COMPILED.get_or_init(RwLock::default);
    let known = all
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(source)
        .copied();
    known.unwrap_or_else(|| {
        let mut all = all.write().unwrap_or_else(PoisonError::into_inner);
        // Kept for ever: there are as many as the program has literals.
        all.entry(source)
            .or_insert_with(|| Box::leak(Box::new(Regex::new(source).ok())))
    })
}
