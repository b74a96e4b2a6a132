//! A set of PU ids, with the two notations the kernel has for it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{
    error::{Error, Kind},
    sys::PU_LIMIT,
};

const LIST: &str = "a CPU list: write ids below 524288 and ranges with commas, as in `0-3,8`";
const HEX_MAP: &str = "a CPU map: write 32-bit hexadecimal words with commas, the most significant \
                       first, as in `00000000,0000000f`";

/// A set of PU ids: any id, any gaps.
///
/// Reads and writes the kernel's list notation (`0-3,8`) through [`FromStr`] and [`Display`](fmt::Display);
/// the empty set is the empty text. Memory and the cost of whole-set operations grow with the number
/// of members, not with the highest id; single-member operations cost O(log members).
///
/// ```
/// use heist_numa::CpuSet;
///
/// let mut set: CpuSet = "0-3,8".parse()?;
/// set.insert(9);
/// set.remove(0);
/// assert_eq!(set.to_string(), "1-3,8-9");
/// assert_eq!(set, [1, 2, 3, 8, 9].into_iter().collect());
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CpuSet {
    ids: BTreeSet<usize>,
}

impl CpuSet {
    /// The empty set.
    ///
    /// ```
    /// assert!(heist_numa::CpuSet::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> CpuSet {
        CpuSet::default()
    }

    /// Reads the kernel's hexadecimal map: 32-bit words separated by commas, the most significant
    /// first. Blanks around the text are ignored; no text at all is the empty set.
    ///
    /// # Errors
    ///
    /// [`is_syntax`](Error::is_syntax) when a word is empty, longer than eight digits or not
    /// hexadecimal; the message names the text.
    ///
    /// ```
    /// let set = heist_numa::CpuSet::from_hex_map("00000001,0000000f")?;
    /// assert_eq!(set.to_string(), "0-3,32");
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn from_hex_map(text: &str) -> Result<CpuSet, Error> {
        parse_hex_map(text.trim()).ok_or_else(|| Error::from(Kind::Syntax { text: text.to_owned(), form: HEX_MAP }))
    }

    /// Adds `pu`; false when it was there already.
    ///
    /// ```
    /// let mut set = heist_numa::CpuSet::new();
    /// assert!(set.insert(4_000));
    /// assert!(!set.insert(4_000));
    /// ```
    pub fn insert(&mut self, pu: usize) -> bool {
        self.ids.insert(pu)
    }

    /// Takes `pu` out; false when it was not there.
    ///
    /// ```
    /// let mut set: heist_numa::CpuSet = [5].into_iter().collect();
    /// assert!(set.remove(5));
    /// assert!(!set.remove(5));
    /// ```
    pub fn remove(&mut self, pu: usize) -> bool {
        self.ids.remove(&pu)
    }

    /// Whether `pu` is a member.
    ///
    /// ```
    /// let set: heist_numa::CpuSet = "0-3".parse()?;
    /// assert!(set.contains(3) && !set.contains(4));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn contains(&self, pu: usize) -> bool {
        self.ids.contains(&pu)
    }

    /// The members, ascending.
    ///
    /// ```
    /// let set: heist_numa::CpuSet = "8,0-1".parse()?;
    /// assert!(set.iter().eq([0, 1, 8]));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator + '_ {
        self.ids.iter().copied()
    }

    /// The number of members, in O(1).
    ///
    /// ```
    /// assert_eq!("0-3,8".parse::<heist_numa::CpuSet>()?.len(), 5);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no member.
    ///
    /// ```
    /// assert!("".parse::<heist_numa::CpuSet>()?.is_empty());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The lowest member.
    ///
    /// ```
    /// assert_eq!("6-7".parse::<heist_numa::CpuSet>()?.first(), Some(6));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.ids.first().copied()
    }

    /// The PUs of both sets, in O(members).
    ///
    /// ```
    /// let (a, b): (heist_numa::CpuSet, heist_numa::CpuSet) = ("0-3".parse()?, "2-5".parse()?);
    /// assert_eq!(a.intersection(&b).to_string(), "2-3");
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn intersection(&self, other: &CpuSet) -> CpuSet {
        self.ids.intersection(&other.ids).copied().collect()
    }

    /// The PUs of either set, in O(members).
    ///
    /// ```
    /// let (a, b): (heist_numa::CpuSet, heist_numa::CpuSet) = ("0-3".parse()?, "2-5".parse()?);
    /// assert_eq!(a.union(&b).to_string(), "0-5");
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn union(&self, other: &CpuSet) -> CpuSet {
        self.ids.union(&other.ids).copied().collect()
    }

    /// The PUs of this set that are not in the other, in O(members).
    ///
    /// ```
    /// let (a, b): (heist_numa::CpuSet, heist_numa::CpuSet) = ("0-3".parse()?, "2-5".parse()?);
    /// assert_eq!(a.difference(&b).to_string(), "0-1");
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn difference(&self, other: &CpuSet) -> CpuSet {
        self.ids.difference(&other.ids).copied().collect()
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(pus: I) -> CpuSet {
        CpuSet { ids: pus.into_iter().collect() }
    }
}

/// Reads the list notation: ids and ascending ranges separated by commas, in any order, overlapping
/// or not, with blanks around them.
///
/// Fails with [`is_syntax`](Error::is_syntax) for anything else, and for ids from 524288 on, which no
/// mask can hold; the message names the text.
impl FromStr for CpuSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<CpuSet, Error> {
        parse_list(text.trim()).ok_or_else(|| Error::from(Kind::Syntax { text: text.to_owned(), form: LIST }))
    }
}

/// Writes the list notation, ascending, with ranges as long as they can be.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = ids.next() {
            let mut last = first;
            while let Some(next) = ids.next_if(|&id| id == last + 1) {
                last = next;
            }
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
            comma = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

fn parse_list(text: &str) -> Option<CpuSet> {
    let mut set = CpuSet::new();
    if text.is_empty() {
        return Some(set);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (parse_id(first)?, parse_id(last)?);
        if last < first {
            return None;
        }
        set.ids.extend(first..=last);
    }
    Some(set)
}

fn parse_id(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let id = text.parse().ok()?;
    (digits && id < PU_LIMIT).then_some(id)
}

fn parse_hex_map(text: &str) -> Option<CpuSet> {
    let mut set = CpuSet::new();
    if text.is_empty() {
        return Some(set);
    }
    for (index, word) in text.rsplit(',').enumerate() {
        let digits = word.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits || word.len() > 8 {
            return None;
        }
        let bits = u32::from_str_radix(word, 16).ok()?;
        set.ids.extend((0..32).filter(|bit| bits >> bit & 1 == 1).map(|bit| 32 * index + bit));
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Random;

    fn hex_map(set: &CpuSet) -> String {
        let words = set.iter().next_back().map_or(1, |last| last / 32 + 1);
        let word = |w| set.iter().filter(|id| id / 32 == w).fold(0u32, |bits, id| bits | 1 << (id % 32));
        let words: Vec<_> = (0..words).rev().map(|w| format!("{:08x}", word(w))).collect();
        words.join(",")
    }

    #[test]
    fn lists_and_maps_round_trip() {
        let mut random = Random::new(0x5eed);
        for round in 0..2_000 {
            let span = 1 + random.below(if round % 2 == 0 { 70 } else { 9_000 });
            let members = random.below(90);
            let set: CpuSet = (0..members).map(|_| random.below(span)).collect();
            assert_eq!(set.to_string().parse::<CpuSet>().unwrap(), set);
            assert_eq!(CpuSet::from_hex_map(&hex_map(&set)).unwrap(), set);
            assert!(set.iter().is_sorted());
        }
    }

    #[test]
    fn set_operations_agree_with_membership() {
        let mut random = Random::new(7);
        for _ in 0..200 {
            let a: CpuSet = (0..40).map(|_| random.below(130)).collect();
            let b: CpuSet = (0..40).map(|_| random.below(130)).collect();
            let (both, either, rest) = (a.intersection(&b), a.union(&b), a.difference(&b));
            for id in 0..130 {
                assert_eq!(both.contains(id), a.contains(id) && b.contains(id));
                assert_eq!(either.contains(id), a.contains(id) || b.contains(id));
                assert_eq!(rest.contains(id), a.contains(id) && !b.contains(id));
            }
            assert_eq!(both.len() + either.len(), a.len() + b.len());
        }
    }

    #[test]
    fn ranges_are_as_long_as_they_can_be() {
        for (text, shown) in [
            ("", ""),
            (" \n", ""),
            ("  0-3\n", "0-3"),
            ("3,2,1", "1-3"),
            ("0-4,2-6, 8 ", "0-6,8"),
            ("7-7", "7"),
            ("524287", "524287"),
        ] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), shown);
        }
        let highest: CpuSet = [usize::MAX - 1, usize::MAX].into_iter().collect();
        assert_eq!(highest.to_string(), format!("{}-{}", usize::MAX - 1, usize::MAX));
    }

    #[test]
    fn other_texts_are_named_in_the_error() {
        for text in ["x", "3-1", "0,,2", ",", "1-", "-1", "+1", "0-2-4", "0x1", "524288", "0-18446744073709551615"] {
            let error = text.parse::<CpuSet>().unwrap_err();
            assert!(error.is_syntax());
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
        for text in ["g", "0f,", "000000001", "+f", "0x0f", "f f"] {
            let error = CpuSet::from_hex_map(text).unwrap_err();
            assert!(error.is_syntax());
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
