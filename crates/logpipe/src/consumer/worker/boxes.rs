//! Where do records lie on their way through a lane? In boxes that are used again: an allocator that many are taken from
//! and given back to at once is slower than all else that happens to a small record.

use crate::handler::Current;

/// Empty boxes that a lane keeps: a few runs of them.
const MOST: usize = 256;

#[derive(Default)]
#[expect(clippy::vec_box, reason = "the boxes are what is kept")]
pub(in crate::consumer) struct Boxes(Vec<Box<Current>>);

impl Boxes {
    /// A box with that in it.
    pub(super) fn fill(&mut self, current: Current) -> Box<Current> {
        match self.0.pop() {
            Some(mut free) => {
                *free = current;
                free
            }
            None => Box::new(current),
        }
    }

    /// Takes the box of a record that is done with.
    pub(in crate::consumer) fn keep(&mut self, mut done: Box<Current>) {
        if self.0.len() < MOST {
            done.clear();
            self.0.push(done);
        }
    }
}
