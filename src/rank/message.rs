//! What the parts of a world send each other.

use super::codec::Packed;

/// The part of a world that a message is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Between the ranks themselves: who leaves, who is alive.
    Control = 0,
    /// An answer; the ticket says to what.
    Reply = 1,
    /// Tasks and their results.
    Task = 2,
    /// Counts of objects, and what is asked of them.
    Object = 3,
    /// Who has work, and who wants some.
    Balance = 4,
    /// Memory that is lent, and data that is spread.
    Data = 5,
    /// Data of collective calls.
    Collective = 6,
    /// Letters to actors.
    Actor = 7,
    /// What is asked of the owner of a name.
    Sync = 8,
}

impl Kind {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        let all = [
            Self::Control,
            Self::Reply,
            Self::Task,
            Self::Object,
            Self::Balance,
            Self::Data,
            Self::Collective,
            Self::Actor,
            Self::Sync,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One message, on its way or kept.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    /// What an answer is to carry; 0 when none is wanted.
    pub(crate) ticket: u64,
    pub(crate) packed: Packed,
}
