//! Slices of plain values that many have and nobody changes, and that travel as they are.

use std::fmt;
use std::ops::{Bound, Deref, RangeBounds};
use std::ptr::NonNull;

use heist_numa::Pod;
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{self, Serialize, Serializer};

use super::blob::{Blob, Room};
use super::packed::{Raw, is_open, lend_blob, take_blob};
use crate::error::{Error, ErrorKind};

/// Bytes up to which values are written into the message.
const SMALL: usize = 256;

/// A slice of plain values that many have and nobody changes. Clones share the memory.
///
/// Between ranks it travels as the bytes it is, without being serialised, wherever it stands in arguments and results of
/// remote tasks. Those of a MiB or more that [`build`](Self::build) has made are mapped by the other ranks of the host, and
/// not copied; a vector that was turned into one is copied once for all of them. As a serde value of anything but heist's own
/// messages it is an error.
///
/// ```
/// use heist::Array;
/// let squares = Array::build(1_000, |values: &mut [u64]| {
///     values.iter_mut().zip(0..).for_each(|(value, i)| *value = i * i);
/// })?;
/// let few = squares.part(10..13);
/// assert_eq!(few[..], [100, 121, 144]);
/// assert_eq!(Array::from(vec![1.5, 2.5]).iter().sum::<f64>(), 4.0);
/// # Ok::<(), heist::Error>(())
/// ```
pub struct Array<T> {
    start: NonNull<T>,
    len: usize,
    /// Keeps the values at `start`.
    blob: Blob,
}

// SAFETY: it lends its values to read and gives none away.
unsafe impl<T: Sync> Send for Array<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Array<T> {}

impl<T: Pod + Send + Sync> Array<T> {
    const FITS: () = {
        assert!(size_of::<T>() > 0, "an array of nothing has no bytes");
        assert!(align_of::<T>() <= align_of::<u128>(), "values of arrays are aligned to 16 bytes at most");
    };

    /// `len` values, zero at first and then written by `fill`, in memory that the ranks of this host can share if there are
    /// several, and there is enough of it for that to be worth it.
    ///
    /// # Errors
    /// [`Error::is_memory`] when there is not enough.
    ///
    /// ```
    /// let ones = heist::Array::build(3, |values: &mut [f32]| values.fill(1.0))?;
    /// assert_eq!(ones[..], [1.0; 3]);
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn build(len: usize, fill: impl FnOnce(&mut [T])) -> Result<Self, Error> {
        Self::fill_room(len, Room::for_ranks, fill)
    }

    /// As [`build`](Self::build), in memory that other processes of the host can map whatever its size, if the kernel has any.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    ///
    /// ```
    /// let ones = heist::Array::build_shared(3, |values: &mut [f32]| values.fill(1.0))?;
    /// assert!(ones.is_shared());
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn build_shared(len: usize, fill: impl FnOnce(&mut [T])) -> Result<Self, Error> {
        Self::fill_room(len, Room::shared, fill)
    }

    fn fill_room(
        len: usize,
        room: impl FnOnce(usize) -> Result<Room, heist_numa::Error>,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<Self, Error> {
        () = Self::FITS;
        // As many as no memory holds are more bytes than any has.
        let memory = |source| Error::new(ErrorKind::Memory(source));
        let mut room = room(len.saturating_mul(size_of::<T>())).map_err(memory)?;
        fill(bytemuck::cast_slice_mut(&mut room));
        let blob = room.close().map_err(memory)?;
        Self::of_blob(&blob).ok_or_else(|| Error::new(ErrorKind::Shape("values that are not aligned".to_owned())))
    }

    /// The values that the bytes of a blob are, if they are whole and aligned.
    pub(crate) fn of_blob(blob: &Blob) -> Option<Self> {
        () = Self::FITS;
        let values: &[T] = bytemuck::try_cast_slice(blob).ok()?;
        Some(Self { start: NonNull::from_ref(values).cast(), len: values.len(), blob: blob.clone() })
    }

    /// Some of the values, in the same memory.
    ///
    /// # Panics
    /// As slices do, when there are no such values.
    ///
    /// ```
    /// let all = heist::Array::from(vec![1, 2, 3, 4]);
    /// assert_eq!(all.part(2..)[..], [3, 4]);
    /// ```
    #[must_use]
    pub fn part(&self, range: impl RangeBounds<usize>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len,
        };
        let values = &self[start..end];
        let bytes = start * size_of::<T>()..end * size_of::<T>();
        let blob = self.blob.part(bytes).unwrap_or_else(|| self.blob.clone());
        Self { start: NonNull::from_ref(values).cast(), len: values.len(), blob }
    }

    /// The values as a vector: the one that it was made of, if nobody else has it, else a copy.
    ///
    /// ```
    /// assert_eq!(heist::Array::from(vec![1, 2]).into_vec(), [1, 2]);
    /// ```
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.blob.into_vec().unwrap_or_else(|blob| bytemuck::cast_slice(&blob).to_vec())
    }

    /// Whether it lies in memory that other processes of the host can map.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.blob.is_in_segment()
    }
}

#[cfg(test)]
impl<T> Array<T> {
    fn blob(&self) -> &Blob {
        &self.blob
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: so many values, which the blob keeps where they are and as they are.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self { start: self.start, len: self.len, blob: self.blob.clone() }
    }
}

impl<T: Pod + Send + Sync> From<Vec<T>> for Array<T> {
    fn from(values: Vec<T>) -> Self {
        () = Self::FITS;
        let start = NonNull::from_ref(values.as_slice()).cast();
        Self { start, len: values.len(), blob: Blob::of_vec(values) }
    }
}

impl<T: Pod + Send + Sync> From<&[T]> for Array<T> {
    fn from(values: &[T]) -> Self {
        values.to_vec().into()
    }
}

impl<T: Pod + Send + Sync> FromIterator<T> for Array<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}

impl<T: Pod + Send + Sync> Default for Array<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<'a, T> IntoIterator for &'a Array<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> AsRef<[T]> for Array<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: PartialEq> PartialEq for Array<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Array<T> {}

impl<T: fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What stands in the message: the bytes, or where beside it they are.
#[derive(serde::Serialize, serde::Deserialize)]
enum Wire<'a> {
    #[serde(borrow)]
    Within(Raw<'a>),
    Beside(u32),
}

const OUTSIDE: &str = "arrays travel only in heist's own messages; elsewhere take their values";

impl<T: Pod + Send + Sync> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wire = if self.blob.len() <= SMALL && !self.is_shared() && is_open() {
            Some(Wire::Within(Raw(&self.blob)))
        } else {
            lend_blob(self.blob.clone()).map(Wire::Beside)
        };
        wire.ok_or_else(|| ser::Error::custom(OUTSIDE))?.serialize(serializer)
    }
}

impl<'de, T: Pod + Send + Sync> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !is_open() {
            return Err(de::Error::custom(OUTSIDE));
        }
        let blob = match Wire::deserialize(deserializer)? {
            Wire::Within(Raw(bytes)) => aligned(bytes).map_err(de::Error::custom)?,
            Wire::Beside(place) => take_blob(place).ok_or_else(|| de::Error::custom("an array without its bytes"))?,
        };
        if let Some(array) = Self::of_blob(&blob) {
            return Ok(array);
        }
        let blob = aligned(&blob).map_err(de::Error::custom)?;
        Self::of_blob(&blob).ok_or_else(|| de::Error::custom("an array of parts of values"))
    }
}

/// A copy where every value may lie.
fn aligned(bytes: &[u8]) -> Result<Blob, heist_numa::Error> {
    let mut room = Room::of(bytes.len())?;
    room.copy_from_slice(bytes);
    room.close()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::codec::blob::{Lent, WORTH_A_SEGMENT};
    use crate::rank::codec::pack;

    fn there_and_back<T: Pod + Send + Sync>(array: &Array<T>) -> Array<T> {
        pack(array).unwrap().unpack_alone().unwrap()
    }

    #[test]
    fn what_is_large_is_not_copied() {
        let values = Array::from((0..10_000_u64).collect::<Vec<_>>());
        let part = values.part(17..9_000);
        let packed = pack(&(&values, &part, &values)).unwrap();
        assert!(packed.bytes.len() < 16);
        let arrived = there_and_back(&part);
        assert_eq!((arrived.as_ptr(), arrived.len()), (part.as_ptr(), part.len()));
    }

    #[test]
    fn arrays_of_all_sizes_arrive() {
        for len in [0, 1, 3, 32, 33, 1000, 300_000] {
            let values: Array<f64> = (0..len).map(f64::from).collect();
            assert_eq!(there_and_back(&values), values);
            let shared = Array::build_shared(len as usize, |to: &mut [f64]| to.copy_from_slice(&values)).unwrap();
            assert!(shared.is_shared());
            assert_eq!(there_and_back(&shared), values);
            let built = Array::build(len as usize, |to: &mut [f64]| to.copy_from_slice(&values)).unwrap();
            assert_eq!(built, values);
        }
    }

    #[test]
    fn bytes_that_lie_anyhow_are_copied_to_where_values_may() {
        let bytes = Blob::copy_of(&[7; 801]);
        for start in 0..4 {
            let part = bytes.part(start..start + 400).unwrap();
            let mut packed = pack(&Array::from(vec![0_u32; 100])).unwrap();
            packed.blobs = vec![part];
            let array: Array<u32> = packed.unpack_alone().unwrap();
            assert_eq!(array[..], [0x0707_0707; 100]);
        }
    }

    #[test]
    fn bytes_that_are_no_values_are_an_error() {
        let array = Array::from(vec![0_u8; 1001]);
        assert!(pack(&array).unwrap().unpack_alone::<Array<u32>>().is_err_and(|error| error.is_codec()));
        let mut packed = pack(&array).unwrap();
        packed.blobs.clear();
        assert!(packed.unpack_alone::<Array<u8>>().is_err());
        let twice = pack(&[&array, &array]).unwrap();
        let mut bytes = twice.bytes.clone();
        *bytes.last_mut().unwrap() = 0;
        let both = crate::rank::codec::Packed { bytes, ..twice };
        assert!(both.unpack_alone::<[Array<u8>; 2]>().is_err(), "each blob is taken once");
    }

    #[test]
    fn outside_of_messages_it_is_an_error() {
        for len in [1, 10_000] {
            let error = postcard::to_stdvec(&Array::from(vec![1_u8; len])).unwrap_err();
            assert_eq!(error, postcard::Error::SerdeSerCustom);
        }
        let packed = pack(&Array::from(vec![1_u8; 2])).unwrap();
        assert!(postcard::from_bytes::<Array<u8>>(&packed.bytes).is_err());
    }

    #[test]
    fn a_vector_comes_back_if_nobody_else_has_it() {
        let values = vec![1_u16, 2, 3];
        let at = values.as_ptr();
        let array = Array::from(values);
        let other = array.clone();
        let copy = array.into_vec();
        assert_ne!(copy.as_ptr(), at);
        assert_eq!(other.part(1..=1)[..], [2]);
        let back = other.into_vec();
        assert_eq!((back.as_ptr(), back), (at, copy));
    }

    #[test]
    fn a_segment_is_mapped_by_its_address_once() {
        let array = Array::build_shared(1_000, |values: &mut [u32]| values.fill(9)).unwrap();
        let (lent, kept) = array.part(5..).blob().lend().unwrap();
        let arrived = Array::<u32>::of_blob(&lent.attach().unwrap()).unwrap();
        assert_eq!((arrived.len(), arrived.as_ptr()), (995, array[5..].as_ptr()), "it is this process's own");
        drop((array, arrived, kept));
        assert!(lent.attach().is_err_and(|error| error.is_codec()));
    }

    #[test]
    fn a_heap_array_is_copied_to_a_segment_once() {
        let array: Array<u8> = vec![3; WORTH_A_SEGMENT].into();
        let ((one, _one), (other, _other)) = (array.blob().lend().unwrap(), array.clone().blob().lend().unwrap());
        assert_eq!(one, other);
        assert!(array.is_shared());
        assert_eq!(one.attach().unwrap()[..], array[..]);
        assert!(Array::from(vec![3_u8; WORTH_A_SEGMENT - 1]).blob().lend().is_none());
        let large = Array::from(vec![4_u8; 5 * WORTH_A_SEGMENT]);
        let (few, _kept) = large.part(7..7 + WORTH_A_SEGMENT).blob().lend().unwrap();
        assert!(!large.is_shared() && few.attach().unwrap()[..] == large[..WORTH_A_SEGMENT]);
        for (start, len) in [(0, u64::MAX), (u64::MAX, 1), (1, WORTH_A_SEGMENT as u64), (1 << 40, 0)] {
            assert!(Lent { start, len, ..one.clone() }.attach().is_err());
        }
    }
}
