//! What ranks tell the owner of a name, and what it answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{TaskError, TaskErrorKind};
use crate::rank::identity::Type;

/// What may have a name. Each kind has names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Kind {
    Queue,
    Variable,
    Lock,
    Semaphore,
    Event,
    Barrier,
    Dataset,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Variable => "variable",
            Self::Lock => "lock",
            Self::Semaphore => "semaphore",
            Self::Event => "event",
            Self::Barrier => "barrier",
            Self::Dataset => "dataset",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) name: Box<str>,
}

/// What all who use a name are to agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Like {
    /// Of the values in it.
    pub(super) values: Option<Type>,
    /// The bound of a queue, the permits of a semaphore, how many a barrier is for.
    pub(super) size: Option<u64>,
}

impl Like {
    /// How something that is so differs from something like `other`.
    pub(super) fn unlike(&self, other: &Self, kind: Kind) -> String {
        match (&self.values, self.size) {
            (Some(values), _) if self.values != other.values => format!("with values of type {values}"),
            (_, None) => "without a bound".to_owned(),
            (_, Some(size)) => match kind {
                Kind::Semaphore => format!("with {size} permits"),
                Kind::Barrier => format!("for {size}"),
                _ => format!("with the bound {size}"),
            },
        }
    }
}

/// What is told to the owner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// A handle is made, of this number. To be answered by [`Answer::Done`].
    Open { handle: u64, key: Key, like: Like },
    /// It is gone.
    Close { handle: u64 },
    /// Something is asked of what a handle leads to. Who does not wait is answered at once.
    Call { handle: u64, wish: u64, op: Op, waits: bool },
    /// A wish is given up; it is answered all the same.
    Withdraw { wish: u64 },
    /// Permits are given back.
    Release { token: u64 },
    /// Items that were got are wanted no more: they go back to the front.
    Return { handle: u64 },
    /// Of published futures.
    Dataset(Dataset),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Op {
    Put,
    Get { count: u64 },
    GetAll,
    Set,
    Value,
    Delete,
    Acquire { count: u64 },
    Wait,
    Raise,
    Clear,
    End,
    State,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Dataset {
    Publish { name: Box<str>, values: Type, replace: bool },
    Unpublish { name: Box<str> },
    Get { name: Box<str>, values: Type },
    Names,
}

/// What the owner answers; values come beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    /// Yes or no; of a barrier, whether this was the last one.
    Is(bool),
    /// Permits, by the number of their grant.
    Granted {
        token: u64,
    },
    /// Values, in the order in which they were put.
    Items,
    State {
        count: u64,
        closed: bool,
    },
    Names(Vec<String>),
    Refused(Refused),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Refused {
    /// It cannot be had at once.
    Busy,
    /// The wish was withdrawn before it could be met.
    Withdrawn,
    Closed,
    Impossible(String),
    /// The name stands for something else.
    Taken(String),
    /// A rank is lost, for which somebody waits.
    Lost {
        rank: u32,
        why: String,
    },
}

impl Refused {
    pub(super) fn into_error(self, kind: Kind) -> TaskError {
        TaskError::new(match self {
            Self::Busy | Self::Withdrawn => TaskErrorKind::Timeout,
            Self::Closed => TaskErrorKind::Closed(kind.name()),
            Self::Impossible(text) | Self::Taken(text) => TaskErrorKind::Impossible(text),
            Self::Lost { rank, why } => TaskErrorKind::RankLost { rank, why },
        })
    }
}
