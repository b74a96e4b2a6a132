//! What is said of an actor that is made on another rank.

use std::any::Any;
use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::actor::{ActorOptions, OnPanic, Reaction};
use crate::error::{Error, ErrorKind, TaskError};
use crate::rank::codec::ship::{Calls, Purpose, Shipped, ship};
use crate::task::Place;

/// [`ActorOptions`] on their way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct WireOptions {
    name: Option<String>,
    place: WirePlace,
    bound: Option<usize>,
    on_panic: WireReaction,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
enum WirePlace {
    #[default]
    Any,
    Worker(usize),
    Domain(usize),
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
enum WireReaction {
    #[default]
    Stop,
    Continue,
    Restart(Shipped),
}

/// Functions that make new states.
struct Renew;

impl Purpose for Renew {
    type Given<'a> = ();
    type Gives = Box<dyn Any>;
}

impl<A: 'static> Calls<fn() -> A> for Renew {
    fn call(function: fn() -> A, (): ()) -> Box<dyn Any> {
        Box::new(function())
    }
}

impl WireOptions {
    /// # Errors
    /// [`Error::is_setting`] for what another rank cannot be told.
    pub(super) fn of<A: Send + 'static>(options: ActorOptions<A>) -> Result<Self, Error> {
        let setting = |text: String| Error::new(ErrorKind::Setting(text));
        let parts = options.into_parts();
        if parts.bound == Some(0) {
            return Err(setting("a mailbox needs room for one message at least".to_owned()));
        }
        let place = match parts.place {
            Place::Any => WirePlace::Any,
            Place::Worker(worker) => WirePlace::Worker(worker),
            Place::Domain(domain) => WirePlace::Domain(domain),
        };
        let on_panic = match parts.on_panic {
            Reaction::Stop => WireReaction::Stop,
            Reaction::Continue => WireReaction::Continue,
            Reaction::RestartWith(factory) => {
                WireReaction::Restart(ship::<Renew, _>(factory).map_err(|error| setting(error.to_string()))?)
            }
            Reaction::Restart(_) => {
                let text =
                    "a closure that makes new states cannot go to another rank: OnPanic::restart_with takes a function";
                return Err(setting(text.to_owned()));
            }
        };
        Ok(Self { name: parts.name.map(Cow::into_owned), place, bound: parts.bound, on_panic })
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.bound.is_some()
    }

    /// Where they have arrived.
    pub(super) fn open<A: Send + 'static>(self) -> Result<ActorOptions<A>, TaskError> {
        let place = match self.place {
            WirePlace::Any => Place::Any,
            WirePlace::Worker(worker) => Place::Worker(worker),
            WirePlace::Domain(domain) => Place::Domain(domain),
        };
        let on_panic = match self.on_panic {
            WireReaction::Stop => OnPanic::stop(),
            WireReaction::Continue => OnPanic::go_on(),
            WireReaction::Restart(factory) => {
                let factory = factory.open::<Renew>()?;
                OnPanic::restart(move || {
                    let state = factory.call(()).downcast::<A>();
                    *state.unwrap_or_else(|_| unreachable!("it was sent with the constructor of such states"))
                })
            }
        };
        let mut options = ActorOptions::new().place(place).on_panic(on_panic);
        if let Some(name) = self.name {
            options = options.name(name);
        }
        if let Some(bound) = self.bound {
            options = options.mailbox(bound);
        }
        Ok(options)
    }
}
