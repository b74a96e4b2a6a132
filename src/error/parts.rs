//! What an error is made of, for those who pass it on to another process and make it anew there.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;

use super::{By, CancelReason, Cause, TaskError, TaskErrorKind, TaskId};

/// Of one error, without those that it leads to.
pub(crate) struct Parts<'a> {
    pub(crate) kind: &'a TaskErrorKind,
    pub(crate) task: Option<TaskId>,
    pub(crate) location: Option<&'static Location<'static>>,
    pub(crate) name: Option<&'a str>,
}

impl TaskError {
    pub(crate) fn parts(&self) -> Parts<'_> {
        let Cause { kind, task, location, name } = &*self.0;
        Parts { kind, task: *task, location: *location, name: name.as_deref() }
    }

    pub(crate) fn of_parts(
        kind: TaskErrorKind,
        task: Option<TaskId>,
        location: Option<&'static Location<'static>>,
        name: Option<Cow<'static, str>>,
    ) -> Self {
        Self(Arc::new(Cause { kind, task, location, name }))
    }
}

/// In the order of their numbers.
const ALL: [By; 3] = [By::Name, By::Close, By::Restart];

impl CancelReason {
    /// A number for who cancelled.
    pub(crate) fn number(&self) -> usize {
        ALL.iter().position(|by| *by == self.by).unwrap_or_default()
    }

    pub(crate) fn of_number(text: String, number: usize) -> Option<Self> {
        Some(Self { text: Cow::Owned(text), by: *ALL.get(number)? })
    }
}
