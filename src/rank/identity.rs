//! Types as ranks name them to each other.

use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

/// A type of the program that all ranks run. Equal where the types are; the name is for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Type {
    number: u64,
    name: Cow<'static, str>,
}

impl Type {
    pub(super) fn of<T: 'static>() -> Self {
        Self { number: number(&TypeId::of::<T>()), name: Cow::Borrowed(type_name::<T>()) }
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Type {}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Paths are left out, of what is in brackets too.
        let mut rest = &*self.name;
        while let Some(end) = rest.find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':')) {
            let (path, after) = rest.split_at(end);
            f.write_str(last(path))?;
            let next = after.chars().next().map_or(0, char::len_utf8);
            f.write_str(&after[..next])?;
            rest = &after[next..];
        }
        f.write_str(last(rest))
    }
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// The same on every rank, as they run the same program.
pub(super) fn number<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_numbers_are_of_types() {
        let name = Type::of::<Vec<Option<String>>>().to_string();
        assert_eq!(name, "Vec<Option<String>>");
        assert!(Type::of::<u32>() == Type::of::<u32>() && Type::of::<u32>() != Type::of::<i32>());
    }
}
