//! Sizes of cells that are recycled.

/// A size class. Cells of a class are as large as its size and aligned to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

const SIZES: [usize; 8] = [64, 80, 96, 128, 192, 256, 384, 512];
/// Number of classes.
pub(super) const CLASSES: usize = SIZES.len();
/// The strictest alignment of a recycled cell.
const ALIGN: usize = 16;
/// The fewest bytes of a cell.
pub(super) const SMALLEST: usize = SIZES[0];

impl Class {
    /// The smallest class with room; `None` for what is too large, or too strictly aligned, to be recycled.
    pub(in crate::task) const fn of(size: usize, align: usize) -> Option<Self> {
        let mut class = 0;
        while class < CLASSES {
            if size <= SIZES[class] && align <= ALIGN {
                return Some(Self(class as u8));
            }
            class += 1;
        }
        None
    }

    #[inline]
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// Bytes of a cell.
    pub(super) const fn size(self) -> usize {
        SIZES[self.0 as usize]
    }

    #[cfg(test)]
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..CLASSES as u8).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_class_with_room_is_chosen() {
        let size = |size, align| Class::of(size, align).map(Class::size);
        assert_eq!(size(1, 8), Some(64));
        assert_eq!(size(64, 16), Some(64));
        assert_eq!(size(65, 8), Some(80));
        assert_eq!(size(512, 8), Some(512));
        assert_eq!(size(513, 8), None);
        assert_eq!(size(64, 32), None);
    }

    #[test]
    fn sizes_keep_the_alignment() {
        assert!(Class::all().all(|class| class.size().is_multiple_of(ALIGN)));
    }
}
