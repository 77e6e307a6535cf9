//! The shapes of records that one JavaScript environment knows, by number. A shape's number means nothing outside:
//! values carry the descriptor itself, and every environment gives out numbers of its own.

use std::rc::Rc;

use ahash::HashMap;

use crate::config::{MAX_DESCRIPTOR_BYTES, MAX_SHAPES};

/// Descriptors and their numbers, from 1 on. It never forgets one and stops at [`MAX_SHAPES`].
#[derive(Debug, Default)]
pub struct Shapes {
    numbers: HashMap<Rc<[u8]>, u32>,
    /// By number, which begins at 1.
    descriptors: Vec<Rc<[u8]>>,
}

impl Shapes {
    /// The number of a shape, which gets one if it has none; `None` when it is too long to be kept, or the table full.
    pub fn number_of(&mut self, descriptor: &[u8]) -> Option<u32> {
        if let Some(number) = self.numbers.get(descriptor) {
            return Some(*number);
        }
        if self.descriptors.len() >= MAX_SHAPES || descriptor.len() > MAX_DESCRIPTOR_BYTES {
            return None;
        }
        let descriptor: Rc<[u8]> = descriptor.into();
        self.descriptors.push(Rc::clone(&descriptor));
        let number = self.descriptors.len() as u32;
        self.numbers.insert(descriptor, number);
        Some(number)
    }

    /// The descriptor of the shape with that number.
    pub fn descriptor(&self, number: u32) -> Option<&[u8]> {
        let index = (number as usize).checked_sub(1)?;
        self.descriptors.get(index).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_keeps_its_number() {
        let mut shapes = Shapes::default();
        assert_eq!(shapes.number_of(b"[[\"a\"]]"), Some(1));
        assert_eq!(shapes.number_of(b"[[\"b\"]]"), Some(2));
        assert_eq!(shapes.number_of(b"[[\"a\"]]"), Some(1));
        assert_eq!(shapes.descriptor(2), Some(b"[[\"b\"]]".as_slice()));
    }

    #[test]
    fn numbers_that_were_not_given_out_name_nothing() {
        let shapes = Shapes::default();
        for number in [0, 1, u32::MAX] {
            assert_eq!(shapes.descriptor(number), None);
        }
    }

    #[test]
    fn a_full_table_knows_what_it_knew_and_takes_nothing_more() {
        let mut shapes = Shapes::default();
        for number in 1..=MAX_SHAPES {
            assert_eq!(shapes.number_of(number.to_string().as_bytes()), Some(number as u32));
        }
        assert_eq!(shapes.number_of(b"one more"), None);
        assert_eq!(shapes.number_of(b"1"), Some(1));
    }

    #[test]
    fn a_long_descriptor_is_not_kept() {
        let mut shapes = Shapes::default();
        assert_eq!(shapes.number_of(&vec![b'x'; MAX_DESCRIPTOR_BYTES + 1]), None);
        assert_eq!(shapes.number_of(&vec![b'x'; MAX_DESCRIPTOR_BYTES]), Some(1));
    }
}
