//! `uniqueItems`: is any item of a list equal to another, as JSON has equality?

use std::collections::HashSet;

use crate::codec::{Fault, FloatText, Wire, Writer};
use crate::types::{Decimal, Number};

/// `uniqueItems`
///
/// Items are compared by a spelling that equal values share: `1` and `1.0`, objects in any order. The spellings are
/// hashed with a random seed, so the time is linear whatever the sender chose.
pub(super) fn unique_items<T: Wire>(items: &[T]) -> Result<(), Fault> {
    if items.len() < 2 {
        return Ok(());
    }
    let mut canonical = Canonical(Vec::new());
    let mut ends = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        item.write(&mut canonical)
            .map_err(|fault| fault.item(index))?;
        ends.push(canonical.0.len());
    }
    let (mut start, mut seen) = (0, HashSet::with_capacity(items.len()));
    for (index, end) in ends.into_iter().enumerate() {
        if !seen.insert(&canonical.0[start..end]) {
            return Err(Fault::invalid("equal to an item before it").item(index));
        }
        start = end;
    }
    Ok(())
}

/// Writes one spelling for all that is equal. No spelling is the beginning of another.
struct Canonical(Vec<u8>);

impl Canonical {
    fn decimal(&mut self, number: &Decimal<'_>) {
        let mut text = Vec::new();
        number.canonical(&mut text);
        self.text(b'0', &text);
    }

    fn text(&mut self, tag: u8, text: &[u8]) {
        self.0.push(tag);
        self.0.extend_from_slice(&text.len().to_le_bytes());
        self.0.extend_from_slice(text);
    }
}

impl Writer for Canonical {
    /// Where each member begins.
    type Object = Vec<usize>;
    type List = ();

    fn null(&mut self) -> Result<(), Fault> {
        self.0.push(b'n');
        Ok(())
    }

    fn boolean(&mut self, value: bool) -> Result<(), Fault> {
        self.0.push(if value { b't' } else { b'f' });
        Ok(())
    }

    fn integer(&mut self, value: i128) -> Result<(), Fault> {
        self.number(&value.into())
    }

    fn float(&mut self, value: f64) -> Result<(), Fault> {
        let text = FloatText::of(value).ok_or_else(|| Fault::invalid("not a finite number"))?;
        self.decimal(&Decimal::parse(text.as_str()).unwrap_or(Decimal::ZERO));
        Ok(())
    }

    fn number(&mut self, value: &Number) -> Result<(), Fault> {
        self.decimal(&value.decimal());
        Ok(())
    }

    fn string(&mut self, value: &str) -> Result<(), Fault> {
        self.text(b'"', value.as_bytes());
        Ok(())
    }

    fn object(&mut self, members: usize) -> Result<Vec<usize>, Fault> {
        self.0.push(b'{');
        Ok(Vec::with_capacity(members))
    }

    fn member(&mut self, object: &mut Vec<usize>, name: &str) -> Result<(), Fault> {
        object.push(self.0.len());
        self.string(name)
    }

    fn end_object(&mut self, object: Vec<usize>) -> Result<(), Fault> {
        let Some(&start) = object.first() else {
            self.0.push(b'}');
            return Ok(());
        };
        let written = self.0.split_off(start);
        let ends = object
            .iter()
            .skip(1)
            .map(|at| at - start)
            .chain([written.len()]);
        let mut members: Vec<&[u8]> = object
            .iter()
            .zip(ends)
            .map(|(at, end)| &written[at - start..end])
            .collect();
        members.sort_unstable();
        members
            .iter()
            .for_each(|member| self.0.extend_from_slice(member));
        self.0.push(b'}');
        Ok(())
    }

    fn list(&mut self, _items: usize) -> Result<(), Fault> {
        self.0.push(b'[');
        Ok(())
    }

    fn item(&mut self, (): &mut ()) -> Result<(), Fault> {
        Ok(())
    }

    fn end_list(&mut self, (): ()) -> Result<(), Fault> {
        self.0.push(b']');
        Ok(())
    }
}
