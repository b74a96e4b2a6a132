//! Errors of tasks on their way to another rank.
//!
//! What went wrong, the chain to its root, the task's number, name and place of submission travel. Not so the value that a
//! task returned as its error, of which the text and that of its sources remain, nor backtraces.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::image::{Image, Named};
use super::malformed;
use crate::error::{CancelReason, Refusal, TaskError, TaskErrorKind, TaskId};

/// Errors that lead to each other; a longer chain is cut short.
const LONGEST: usize = 32;

/// An error as part of what is packed.
#[derive(Clone, Debug)]
pub(crate) struct Passed(pub(crate) TaskError);

impl Serialize for Passed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Chain::of(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Passed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let error = Chain::deserialize(deserializer)?.into_error();
        error.map(Passed).map_err(de::Error::custom)
    }
}

/// The error first, its root last.
#[derive(Serialize, Deserialize)]
struct Chain(Vec<Link>);

#[derive(Serialize, Deserialize)]
struct Link {
    what: What,
    task: Option<u64>,
    location: Option<Named>,
    name: Option<String>,
}

/// A [`TaskErrorKind`], but for the error it leads to, which comes next.
#[derive(Clone, Serialize, Deserialize)]
enum What {
    Panicked(String),
    Failed(Vec<String>),
    Cancelled {
        text: String,
        by: u8,
    },
    Dependency,
    PromiseDropped,
    ForeignFuture,
    Timeout,
    Stalled {
        cap: u64,
    },
    Closed(Named),
    Impossible(String),
    Io {
        what: Named,
        errno: Option<i32>,
        text: String,
    },
    Deadlock(Option<String>),
    ActorUnborn,
    ActorEnded {
        because: bool,
    },
    MailboxFull,
    Unwanted,
    Forked,
    Codec(String),
    RankLost {
        rank: u32,
        why: String,
    },
    WorldEnded,
    Refused {
        refusal: u8,
        text: String,
    },
    /// What the image has no name for, and the rest of a chain that is too long.
    Other(String),
}

/// In the order of their numbers.
const REFUSALS: [Refusal; 5] = [Refusal::Place, Refusal::Resource, Refusal::Key, Refusal::Repeat, Refusal::Options];

/// An error value of another rank: what it said, and what its sources said.
#[derive(Debug)]
struct Reported {
    text: String,
    source: Option<Box<Reported>>,
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Reported {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Chain {
    fn of(error: &TaskError) -> Self {
        let mut links = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            if links.len() == LONGEST {
                links.push(Link { what: What::Other(error.to_string()), task: None, location: None, name: None });
                break;
            }
            let parts = error.parts();
            let (what, inner) = told(parts.kind);
            links.push(Link {
                what,
                task: parts.task.map(|task| task.0),
                location: parts.location.and_then(|location| Image::this().ok()?.name_of(location)),
                name: parts.name.map(str::to_owned),
            });
            next = inner;
        }
        Self(links)
    }

    fn into_error(self) -> Result<TaskError, TaskError> {
        if self.0.len() > LONGEST + 1 {
            return Err(malformed("an error with too many causes"));
        }
        let mut inner = None;
        for link in self.0.into_iter().rev() {
            let kind = heard(link.what, &mut inner)?;
            if inner.is_some() {
                return Err(malformed("an error with a cause that it cannot have"));
            }
            let location = match link.location {
                Some(named) => Some(Image::this()?.location(named).ok_or_else(|| malformed("an error from nowhere"))?),
                None => None,
            };
            inner = Some(TaskError::of_parts(kind, link.task.map(TaskId), location, link.name.map(Cow::Owned)));
        }
        inner.ok_or_else(|| malformed("no error where one was to be"))
    }
}

fn named(text: &'static str) -> Option<Named> {
    Image::this().ok()?.name_of_text(text)
}

/// The kind, and the error that it leads to.
fn told(kind: &TaskErrorKind) -> (What, Option<&TaskError>) {
    let what = match kind {
        TaskErrorKind::Dependency(root) => return (What::Dependency, Some(root)),
        TaskErrorKind::ActorUnborn(root) => return (What::ActorUnborn, Some(root)),
        TaskErrorKind::ActorEnded(cause) => return (What::ActorEnded { because: cause.is_some() }, cause.as_ref()),
        TaskErrorKind::Panicked { message, backtrace: _ } => What::Panicked(message.clone()),
        TaskErrorKind::Failed(source) => What::Failed(texts(&**source)),
        TaskErrorKind::Cancelled(reason) => {
            What::Cancelled { text: reason.text().to_owned(), by: reason.number() as u8 }
        }
        TaskErrorKind::PromiseDropped => What::PromiseDropped,
        TaskErrorKind::ForeignFuture => What::ForeignFuture,
        TaskErrorKind::Timeout => What::Timeout,
        TaskErrorKind::Stalled { cap } => What::Stalled { cap: *cap as u64 },
        TaskErrorKind::Closed(what) => named(what).map_or_else(|| What::Other((*what).to_owned()), What::Closed),
        TaskErrorKind::Impossible(text) => What::Impossible(text.clone()),
        TaskErrorKind::Io { what, source } => match named(what) {
            Some(what) => What::Io { what, errno: source.raw_os_error(), text: source.to_string() },
            None => What::Other(format!("{what}: {source}")),
        },
        TaskErrorKind::Deadlock { circle } => What::Deadlock(circle.clone()),
        TaskErrorKind::MailboxFull => What::MailboxFull,
        TaskErrorKind::Unwanted => What::Unwanted,
        TaskErrorKind::Forked => What::Forked,
        TaskErrorKind::Codec(text) => What::Codec(text.clone()),
        TaskErrorKind::RankLost { rank, why } => What::RankLost { rank: *rank, why: why.clone() },
        TaskErrorKind::WorldEnded => What::WorldEnded,
        TaskErrorKind::Refused { refusal, text } => {
            let number = REFUSALS.iter().position(|known| known == refusal).unwrap_or_default();
            What::Refused { refusal: number as u8, text: text.clone() }
        }
    };
    (what, None)
}

fn texts(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.take(LONGEST).map(ToString::to_string).collect()
}

fn reported(mut texts: Vec<String>) -> Box<dyn std::error::Error + Send + Sync> {
    texts.truncate(LONGEST);
    let mut all = texts.into_iter().rev();
    let last = Reported { text: all.next().unwrap_or_default(), source: None };
    Box::new(all.fold(last, |source, text| Reported { text, source: Some(Box::new(source)) }))
}

/// The kind again, which takes the error it leads to.
fn heard(what: What, inner: &mut Option<TaskError>) -> Result<TaskErrorKind, TaskError> {
    let mut cause = || inner.take().ok_or_else(|| malformed("an error without its cause"));
    let text = |named: Named| Image::this()?.text(named).ok_or_else(|| malformed("an error of nothing"));
    Ok(match what {
        What::Dependency => TaskErrorKind::Dependency(cause()?),
        What::ActorUnborn => TaskErrorKind::ActorUnborn(cause()?),
        What::ActorEnded { because: true } => TaskErrorKind::ActorEnded(Some(cause()?)),
        What::ActorEnded { because: false } => TaskErrorKind::ActorEnded(None),
        What::Panicked(message) => TaskErrorKind::Panicked { message, backtrace: None },
        What::Failed(texts) => TaskErrorKind::Failed(reported(texts)),
        What::Cancelled { text, by } => {
            let reason = CancelReason::of_number(text, by.into());
            TaskErrorKind::Cancelled(reason.ok_or_else(|| malformed("a cancellation by nobody"))?)
        }
        What::PromiseDropped => TaskErrorKind::PromiseDropped,
        What::ForeignFuture => TaskErrorKind::ForeignFuture,
        What::Timeout => TaskErrorKind::Timeout,
        What::Stalled { cap } => TaskErrorKind::Stalled { cap: cap as usize },
        What::Closed(what) => TaskErrorKind::Closed(text(what)?),
        What::Impossible(text) => TaskErrorKind::Impossible(text),
        What::Io { what, errno, text: said } => {
            let source = errno.map_or_else(|| std::io::Error::other(said), std::io::Error::from_raw_os_error);
            TaskErrorKind::Io { what: text(what)?, source }
        }
        What::Deadlock(circle) => TaskErrorKind::Deadlock { circle },
        What::MailboxFull => TaskErrorKind::MailboxFull,
        What::Unwanted => TaskErrorKind::Unwanted,
        What::Forked => TaskErrorKind::Forked,
        What::Codec(text) => TaskErrorKind::Codec(text),
        What::RankLost { rank, why } => TaskErrorKind::RankLost { rank, why },
        What::WorldEnded => TaskErrorKind::WorldEnded,
        What::Refused { refusal, text } => {
            let refusal = REFUSALS.get(usize::from(refusal)).ok_or_else(|| malformed("a refusal of nothing"))?;
            TaskErrorKind::Refused { refusal: *refusal, text }
        }
        What::Other(text) => TaskErrorKind::Failed(reported(vec![text])),
    })
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::rank::codec::pack;

    fn there_and_back(error: &TaskError) -> TaskError {
        let bytes = postcard::to_stdvec(&Passed(error.clone())).unwrap();
        postcard::from_bytes::<Passed>(&bytes).unwrap().0
    }

    fn of_task(kind: TaskErrorKind) -> TaskError {
        TaskError::of_task(kind, TaskId(77), Location::caller()).named(Some("the name".into()))
    }

    fn all() -> Vec<TaskError> {
        let io = |errno| TaskErrorKind::Io { what: "a socket", source: std::io::Error::from_raw_os_error(errno) };
        let parse = "x".parse::<i32>().unwrap_err();
        let mut all: Vec<_> = [
            TaskErrorKind::Panicked { message: "no".to_owned(), backtrace: None },
            TaskErrorKind::Failed(parse.into()),
            TaskErrorKind::Cancelled("superseded".into()),
            TaskErrorKind::Cancelled(CancelReason::EXECUTOR_CLOSED),
            TaskErrorKind::Cancelled(CancelReason::EXECUTOR_RESTARTED),
            TaskErrorKind::PromiseDropped,
            TaskErrorKind::ForeignFuture,
            TaskErrorKind::Timeout,
            TaskErrorKind::Stalled { cap: 12 },
            TaskErrorKind::Closed("queue"),
            TaskErrorKind::Impossible("nine of eight".to_owned()),
            io(13),
            TaskErrorKind::Deadlock { circle: None },
            TaskErrorKind::Deadlock { circle: Some("a waits for b".to_owned()) },
            TaskErrorKind::ActorEnded(None),
            TaskErrorKind::MailboxFull,
            TaskErrorKind::Unwanted,
            TaskErrorKind::Forked,
            TaskErrorKind::Codec("torn".to_owned()),
            TaskErrorKind::RankLost { rank: 3, why: "killed".to_owned() },
            TaskErrorKind::WorldEnded,
        ]
        .map(of_task)
        .into();
        all.extend(REFUSALS.map(|refusal| of_task(TaskErrorKind::Refused { refusal, text: "refused".to_owned() })));
        let dependents: Vec<_> = all.iter().map(TaskError::for_dependents).collect();
        let unborn: Vec<_> = all.iter().map(|error| of_task(TaskErrorKind::ActorUnborn(error.clone()))).collect();
        let ended: Vec<_> = all.iter().map(|error| of_task(TaskErrorKind::ActorEnded(Some(error.clone())))).collect();
        all.into_iter().chain(dependents).chain(unborn).chain(ended).collect()
    }

    #[test]
    fn what_arrives_says_the_same() {
        let predicates: [fn(&TaskError) -> bool; 27] = [
            TaskError::is_dependency,
            TaskError::is_panic,
            TaskError::is_failed,
            TaskError::is_cancelled,
            TaskError::is_promise_dropped,
            TaskError::is_foreign_future,
            TaskError::is_timeout,
            TaskError::is_stalled,
            TaskError::is_deadlock,
            TaskError::is_forked,
            TaskError::is_io,
            TaskError::is_closed,
            TaskError::is_impossible,
            TaskError::is_actor_ended,
            TaskError::is_mailbox_full,
            TaskError::is_impossible_place,
            TaskError::is_unsatisfiable,
            TaskError::is_key_taken,
            TaskError::is_not_repeatable,
            TaskError::is_unsupported,
            TaskError::is_codec,
            TaskError::is_rank_lost,
            TaskError::is_world_ended,
            |error| error.location().is_some(),
            |error| error.cancel_reason().is_some_and(CancelReason::is_executor_closed),
            |error| error.cancel_reason().is_some_and(CancelReason::is_restart),
            |error| std::error::Error::source(error).is_some(),
        ];
        for error in all() {
            let arrived = there_and_back(&error);
            assert_eq!(arrived.to_string(), error.to_string());
            assert_eq!((arrived.task(), arrived.name()), (error.task(), error.name()));
            assert_eq!(arrived.location(), error.location());
            assert_eq!(arrived.panic_message(), error.panic_message());
            assert_eq!(arrived.root().to_string(), error.root().to_string());
            for (number, predicate) in predicates.iter().enumerate() {
                // The source of an error of the system is known by its number.
                assert_eq!(predicate(&arrived), predicate(&error), "predicate {number} of {error}");
            }
        }
    }

    #[test]
    fn the_sources_of_an_error_arrive_as_texts() {
        let inner = std::io::Error::other("the disk");
        let error = of_task(TaskErrorKind::Failed(Box::new(Reported {
            text: "no row".to_owned(),
            source: Some(Box::new(Reported { text: inner.to_string(), source: None })),
        })));
        let arrived = there_and_back(&error);
        let failed = std::error::Error::source(&arrived).unwrap();
        assert_eq!(failed.to_string(), "no row");
        assert_eq!(failed.source().unwrap().to_string(), "the disk");
    }

    #[test]
    fn a_chain_has_an_end() {
        let mut error = of_task(TaskErrorKind::Forked);
        for _ in 0..100 {
            error = of_task(TaskErrorKind::ActorEnded(Some(error)));
        }
        let Chain(links) = Chain::of(&error);
        assert_eq!(links.len(), LONGEST + 1);
        assert!(there_and_back(&error).is_actor_ended());
        let deep = vec![What::Dependency; 100_000].into_iter();
        let deep = Chain(deep.map(|what| Link { what, task: None, location: None, name: None }).collect());
        assert!(postcard::from_bytes::<Passed>(&pack(&deep).unwrap().bytes).is_err());
    }

    #[test]
    fn corrupt_errors_are_refused_or_others() {
        let mut random = fastrand::Rng::with_seed(5);
        let whole: Vec<_> = all().into_iter().map(|error| postcard::to_stdvec(&Passed(error)).unwrap()).collect();
        for bytes in whole.iter().cycle().take(30_000) {
            let mut bytes = bytes.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            if let Ok(Passed(error)) = postcard::from_bytes(&bytes) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
