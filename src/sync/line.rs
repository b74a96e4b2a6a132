//! The line of those who wait, first come, first served. Whoever leaves it leaves nothing behind.

use std::task::Waker;

use crate::panics;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;

/// No place.
const NONE: usize = usize::MAX;
/// Places that are kept when nobody waits.
const KEPT: usize = 16;

/// How one who waits is told to look again.
#[derive(Debug)]
pub(super) enum Wake {
    Thread(Arc<Parker>),
    Task(Waker),
}

impl Wake {
    /// To be called without the lock of the line: a waker is user code.
    pub(super) fn fire(self) {
        match self {
            Self::Thread(parker) => parker.wake(),
            Self::Task(waker) => panics::catch_drop(|| waker.wake()),
        }
    }
}

/// Lets go of a way to be told that is of no use any more. To be called without the lock of the line, too.
pub(super) fn let_go(wake: Option<Wake>) {
    if let Some(wake) = wake {
        panics::catch_drop(|| drop(wake));
    }
}

/// Tells all of them, in order.
pub(super) fn fire_all(wakes: Vec<Wake>) {
    wakes.into_iter().for_each(Wake::fire);
}

/// A place in a line. Who has it gives it back by [`Line::leave`].
#[derive(Debug)]
pub(super) struct Key(usize);

/// What became of one who waited.
#[derive(Debug)]
#[must_use]
pub(super) enum Told<W, G> {
    /// He has what he wanted.
    Granted(G),
    /// He cannot have it any more.
    Refused(W),
}

/// What one who leaves finds.
#[derive(Debug)]
#[must_use]
pub(super) enum Left<W, G> {
    /// He was still in line.
    Waiting(W),
    Told(Told<W, G>),
}

#[derive(Debug)]
enum State<W, G> {
    Free,
    Waiting(W),
    Told(Told<W, G>),
}

#[derive(Debug)]
struct Place<W, G> {
    state: State<W, G>,
    wake: Option<Wake>,
    before: usize,
    /// The next in line, or the next free place.
    after: usize,
}

/// Those who wait, each for something that a `W` describes and that comes as a `G`. Kept under the lock of whatever is
/// waited for. Every call is O(1).
#[derive(Debug)]
pub(super) struct Line<W, G> {
    places: Vec<Place<W, G>>,
    first: usize,
    last: usize,
    free: usize,
    /// Places that are not free, and how many of these wait.
    taken: usize,
    waiting: usize,
}

impl<W, G> Default for Line<W, G> {
    fn default() -> Self {
        Self { places: Vec::new(), first: NONE, last: NONE, free: NONE, taken: 0, waiting: 0 }
    }
}

impl<W, G> Line<W, G> {
    /// Whether nobody waits. Those who were told and have not left yet do not wait.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Goes to the end of the line.
    pub(super) fn join(&mut self, want: W, wake: Wake) -> Key {
        let place = Place { state: State::Waiting(want), wake: Some(wake), before: self.last, after: NONE };
        let key = match self.free {
            NONE => {
                self.places.push(place);
                self.places.len() - 1
            }
            key => {
                self.free = self.places[key].after;
                self.places[key] = place;
                key
            }
        };
        match self.last {
            NONE => self.first = key,
            last => self.places[last].after = key,
        }
        self.last = key;
        self.taken += 1;
        self.waiting += 1;
        Key(key)
    }

    /// What the first in line wants.
    pub(super) fn first(&mut self) -> Option<&mut W> {
        match self.places.get_mut(self.first).map(|place| &mut place.state) {
            Some(State::Waiting(want)) => Some(want),
            _ => None,
        }
    }

    /// Gives the first in line what `make` makes of what he wants; he is to be told.
    pub(super) fn grant(&mut self, make: impl FnOnce(W) -> G) -> Option<Wake> {
        self.tell(|want| Told::Granted(make(want)))
    }

    /// As [`grant`](Self::grant), for everybody.
    pub(super) fn grant_all(&mut self, mut make: impl FnMut(W) -> G) -> Vec<Wake> {
        std::iter::from_fn(|| self.grant(&mut make)).collect()
    }

    /// Tells everybody that it is over. `last` sees what each wanted.
    pub(super) fn refuse_all(&mut self, mut last: impl FnMut(&mut W)) -> Vec<Wake> {
        let mut refuse = |mut want| {
            last(&mut want);
            Told::Refused(want)
        };
        std::iter::from_fn(|| self.tell(&mut refuse)).collect()
    }

    fn tell(&mut self, tell: impl FnOnce(W) -> Told<W, G>) -> Option<Wake> {
        let key = self.first;
        let place = self.places.get_mut(key)?;
        let wake = place.wake.take();
        if let State::Waiting(want) = std::mem::replace(&mut place.state, State::Free) {
            place.state = State::Told(tell(want));
        }
        self.unlink(key);
        wake
    }

    /// Whether the one in this place was told.
    pub(super) fn is_told(&self, key: &Key) -> bool {
        matches!(self.places[key.0].state, State::Told(_))
    }

    /// From now on `wake` is how the one in this place is told. What comes back is to be dropped without the lock; it is
    /// `wake` itself if he was told before.
    pub(super) fn renew(&mut self, key: &Key, wake: Wake) -> Wake {
        match &mut self.places[key.0].wake {
            Some(own) => std::mem::replace(own, wake),
            None => wake,
        }
    }

    /// Gives the place back.
    pub(super) fn leave(&mut self, Key(key): Key) -> (Left<W, G>, Option<Wake>) {
        let place = &mut self.places[key];
        let wake = place.wake.take();
        let left = match std::mem::replace(&mut place.state, State::Free) {
            State::Waiting(want) => {
                self.unlink(key);
                Left::Waiting(want)
            }
            State::Told(told) => Left::Told(told),
            State::Free => unreachable!("a key is used up by leaving"),
        };
        self.taken -= 1;
        if self.taken == 0 && self.places.len() > KEPT {
            *self = Self::default();
        } else {
            self.places[key].after = self.free;
            self.free = key;
        }
        (left, wake)
    }

    fn unlink(&mut self, key: usize) {
        self.waiting -= 1;
        let (before, after) = (self.places[key].before, self.places[key].after);
        match before {
            NONE => self.first = after,
            before => self.places[before].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.places[after].before = before,
        }
    }
}

#[cfg(all(test, not(heist_loom)))]
mod tests {
    use super::*;

    fn wake() -> Wake {
        Wake::Task(Waker::noop().clone())
    }

    fn join(line: &mut Line<u32, u32>, want: u32) -> Key {
        line.join(want, wake())
    }

    #[test]
    fn the_first_to_come_is_the_first_to_be_served_also_when_some_leave() {
        let mut line = Line::default();
        let mut keys: Vec<_> = (0..5).map(|n| Some(join(&mut line, n))).collect();
        for gone in [0, 2, 4] {
            let (left, _) = line.leave(keys[gone].take().unwrap());
            assert!(matches!(left, Left::Waiting(n) if n as usize == gone));
        }
        keys.push(Some(join(&mut line, 5)));
        let mut served = Vec::new();
        while line
            .grant(|n| {
                served.push(n);
                n * 10
            })
            .is_some()
        {}
        assert_eq!(served, [1, 3, 5]);
        assert!(line.is_empty());
        for key in keys.into_iter().flatten() {
            assert!(line.is_told(&key));
            assert!(matches!(line.leave(key).0, Left::Told(Told::Granted(10 | 30 | 50))));
        }
    }

    #[test]
    fn a_crowd_that_has_left_leaves_no_places() {
        let mut line = Line::default();
        let keys: Vec<_> = (0..10_000).map(|n| join(&mut line, n)).collect();
        for key in keys {
            let _ = line.leave(key);
        }
        assert_eq!(line.places.capacity(), 0);
        let _key = join(&mut line, 1);
        assert_eq!(line.first(), Some(&mut 1));
    }

    #[test]
    fn everybody_is_refused_what_he_wanted() {
        let mut line = Line::default();
        let keys: Vec<_> = (0..3).map(|n| join(&mut line, n)).collect();
        assert_eq!(line.refuse_all(|want| *want += 1).len(), 3);
        for (n, key) in (1..).zip(keys) {
            assert!(matches!(line.leave(key).0, Left::Told(Told::Refused(want)) if want == n));
        }
    }
}
