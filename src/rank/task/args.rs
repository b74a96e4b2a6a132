//! What a function on another rank is called with: values, and futures whose values it gets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeSeq, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{TaskError, TaskId};
use crate::future::TaskFuture;
use crate::primitive::sync::Arc;
use crate::rank::codec::{Packed, lend_reference, pack, take_reference};
use crate::rank::object::{self, ObjectId};
use crate::rank::world::{Rank, Shared};

/// What is not larger than this goes with a message, rather than being fetched from where it is.
pub(crate) const SMALL: usize = 64 << 10;

/// What a function that is submitted to a [`World`](crate::World) is called with: a tuple of up to eight [`Arg`]s. The
/// function gets the tuple of their values.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let world = ex.world();
/// let (a, many) = (ex.submit(|| 2_u64), ex.map(0..3_u64, |n| n));
/// let f = world.submit(|(a, b, many)| a + b + many.iter().sum::<u64>(), (&a, 5_u64, heist::all(&many)));
/// assert_eq!(f.result()?, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A closure that captures something cannot travel:
///
/// ```compile_fail,E0308
/// let ex = heist::Executor::new().unwrap();
/// let captured = 7_u64;
/// let _ = ex.world().submit(|(n,)| n + captured, (1_u64,));
/// ```
pub trait Args {
    /// What the function gets.
    type Values: Send + 'static;
    #[doc(hidden)]
    type Read: ReadAll<Values = Self::Values>;

    #[doc(hidden)]
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    #[doc(hidden)]
    fn error(&self) -> Option<TaskError>;
    /// Whether all are values.
    #[doc(hidden)]
    fn is_here(&self) -> bool;
    /// The values, if all are.
    #[doc(hidden)]
    fn into_values(self) -> Option<Self::Values>;
}

/// One argument: any serde value, `&TaskFuture<T>`, of which the function gets the value once it is there, or several of
/// these by [`all`].
pub trait Arg {
    /// What the function gets.
    type Value: Send + 'static;
    #[doc(hidden)]
    type Read: Read<Value = Self::Value>;

    #[doc(hidden)]
    fn write<S: SerializeTuple>(&self, tuple: &mut S) -> Result<(), S::Error>;
    #[doc(hidden)]
    fn error(&self) -> Option<TaskError>;
    /// Whether it is a value.
    #[doc(hidden)]
    fn is_here(&self) -> bool {
        false
    }
    #[doc(hidden)]
    fn into_value(self) -> Option<Self::Value>
    where
        Self: Sized,
    {
        None
    }
}

/// How an argument is read where it arrives.
#[doc(hidden)]
pub trait Read: 'static {
    type Value: Send + 'static;
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self::Value, D::Error>;
}

/// How all of them are.
#[doc(hidden)]
pub trait ReadAll: 'static {
    type Values: Send + 'static;
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self::Values, D::Error>;
}

/// A value that is there.
#[doc(hidden)]
#[derive(Debug)]
pub struct ByValue<T>(PhantomData<fn() -> T>);
/// The value of a future.
#[doc(hidden)]
#[derive(Debug)]
pub struct OfFuture<T>(PhantomData<fn() -> T>);
/// The values of several.
#[doc(hidden)]
#[derive(Debug)]
pub struct OfAll<T>(PhantomData<fn() -> T>);

impl<E: Serialize + DeserializeOwned + Send + 'static> Arg for E {
    type Value = E;
    type Read = ByValue<E>;

    fn write<S: SerializeTuple>(&self, tuple: &mut S) -> Result<(), S::Error> {
        tuple.serialize_element(self)
    }
    fn error(&self) -> Option<TaskError> {
        None
    }
    fn is_here(&self) -> bool {
        true
    }
    fn into_value(self) -> Option<E> {
        Some(self)
    }
}

impl<T: DeserializeOwned + Send + 'static> Read for ByValue<T> {
    type Value = T;
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        T::deserialize(from)
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Arg for &TaskFuture<T> {
    type Value = T;
    type Read = OfFuture<T>;

    fn write<S: SerializeTuple>(&self, tuple: &mut S) -> Result<(), S::Error> {
        tuple.serialize_element(&Ahead(self))
    }
    fn error(&self) -> Option<TaskError> {
        TaskFuture::error(self)
    }
}

impl<T: DeserializeOwned + Send + 'static> Read for OfFuture<T> {
    type Value = T;
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        Ok(Arrived::<T>::deserialize(from)?.0)
    }
}

/// Several futures as one argument; made by [`all`].
#[derive(Debug)]
pub struct All<'a, T>(&'a [TaskFuture<T>]);

/// The values of all `futures` as one argument, a `Vec<T>`, of a function that is submitted to a [`World`](crate::World).
///
/// ```
/// let ex = heist::Executor::new()?;
/// let parts = ex.map(0..10_u64, |n| n);
/// let sum = ex.world().submit(|(parts,): (Vec<u64>,)| parts.iter().sum::<u64>(), (heist::all(&parts),));
/// assert_eq!(sum.result()?, 45);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn all<T>(futures: &[TaskFuture<T>]) -> All<'_, T> {
    All(futures)
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Arg for All<'_, T> {
    type Value = Vec<T>;
    type Read = OfAll<T>;

    fn write<S: SerializeTuple>(&self, tuple: &mut S) -> Result<(), S::Error> {
        tuple.serialize_element(&Several(self.0))
    }
    fn error(&self) -> Option<TaskError> {
        self.0.iter().find_map(TaskFuture::error)
    }
}

impl<T: DeserializeOwned + Send + 'static> Read for OfAll<T> {
    type Value = Vec<T>;
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        Ok(Vec::<Arrived<T>>::deserialize(from)?.into_iter().map(|arrived| arrived.0).collect())
    }
}

struct Several<'a, T>(&'a [TaskFuture<T>]);

impl<T: Serialize + Send + Sync + 'static> Serialize for Several<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|future| list.serialize_element(&Ahead(future)))?;
        list.end()
    }
}

/// The value of a future on its way: packed, if it is there and small, else referred to.
#[derive(Serialize, Deserialize)]
enum Sent {
    Here(Packed),
    At(u32),
}

struct Ahead<'a, T>(&'a TaskFuture<T>);

impl<T: Serialize + Send + Sync + 'static> Serialize for Ahead<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let there = match self.0.peek() {
            Some(Ok(value)) => Some(pack(value).map_err(S::Error::custom)?),
            Some(Err(error)) => return Err(S::Error::custom(error)),
            None => None,
        };
        let sent = match there {
            Some(packed) if packed.size() <= SMALL => Sent::Here(packed),
            large => {
                let place = lend_reference(object::refer(self.0)).ok_or_else(|| S::Error::custom(OUTSIDE))?;
                NEEDS.with_borrow_mut(|needs| needs.0.push((place, large.as_ref().map(Packed::size), self.0.id())));
                Sent::At(place)
            }
        };
        sent.serialize(serializer)
    }
}

pub(crate) const OUTSIDE: &str = "a future travels in heist's own messages only";

/// The value of a future that has arrived.
struct Arrived<T>(T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Arrived<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let gone = || D::Error::custom("an argument that was not sent");
        let (packed, world) = match Sent::deserialize(from)? {
            Sent::Here(packed) => (Arc::new(packed), None),
            Sent::At(place) => {
                let (reference, world) = take_reference(place).ok_or_else(gone)?;
                let (_reference, id) = reference.named(&world);
                (fetched(id).ok_or_else(gone)?, Some(world))
            }
        };
        let world = world.or_else(crate::rank::codec::world_of_unpacker).ok_or_else(gone)?;
        let packed = Arc::try_unwrap(packed).unwrap_or_else(|shared| (*shared).clone());
        packed.unpack(&world).map(Self).map_err(D::Error::custom)
    }
}

/// Of the arguments that this thread packs: the places of the futures that are not sent along, the bytes of those that are
/// here, and their numbers.
#[derive(Default)]
struct Needs(Vec<(u32, Option<usize>, TaskId)>);

thread_local! {
    static NEEDS: RefCell<Needs> = const { RefCell::new(Needs(Vec::new())) };
    /// What was fetched for the arguments that this thread unpacks.
    static FETCHED: RefCell<Vec<(ObjectId, Arc<Packed>)>> = const { RefCell::new(Vec::new()) };
}

fn fetched(id: ObjectId) -> Option<Arc<Packed>> {
    FETCHED.with_borrow(|all| all.iter().find(|(known, _)| *known == id).map(|(_, packed)| packed.clone()))
}

/// Arguments as they travel.
pub(super) struct Given {
    pub(super) packed: Packed,
    /// The places of the references among them whose values must be there first.
    pub(super) needs: Vec<u32>,
    /// The rank that has most of what is large among them, if all of that is done.
    pub(super) most: Option<Rank>,
}

impl Given {
    pub(super) fn of_item(item: &impl Serialize) -> Result<Self, TaskError> {
        pack(item).map(|packed| Self { packed, needs: Vec::new(), most: None })
    }

    pub(super) fn of_args<I: Args>(world: &Shared, args: &I) -> Result<Self, TaskError> {
        if let Some(error) = args.error() {
            return Err(error.for_dependents());
        }
        let before = NEEDS.take();
        let packed = pack(&Written(args));
        let Needs(needs) = NEEDS.replace(before);
        let packed = packed?;
        let mut bytes: HashMap<Rank, usize> = HashMap::new();
        let mut all_are_done = true;
        for (_, own, id) in &needs {
            let at = own.map(|size| (world.rank(), size)).or_else(|| world.awaited.at(*id));
            all_are_done &= at.is_some();
            if let Some((rank, size)) = at {
                *bytes.entry(rank).or_default() += size;
            }
        }
        let most = bytes.into_iter().max_by_key(|(rank, size)| (*size, *rank == world.rank())).map(|(rank, _)| rank);
        let most = most.filter(|_| all_are_done);
        Ok(Self { packed, needs: needs.into_iter().map(|(place, ..)| place).collect(), most })
    }
}

/// Arguments as they travel, and the places of the references among them whose values must be there first.
pub(crate) fn pack_args<I: Args>(world: &Shared, args: &I) -> Result<(Packed, Vec<u32>), TaskError> {
    Given::of_args(world, args).map(|given| (given.packed, given.needs))
}

struct Written<'a, I>(&'a I);

impl<I: Args> Serialize for Written<'_, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

/// What a function is called with, as it was read.
pub(crate) struct Received<R: ReadAll>(pub(crate) R::Values);

impl<'de, R: ReadAll> Deserialize<'de> for Received<R> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        R::read(from).map(Self)
    }
}

/// Has `call` find what was fetched.
pub(crate) fn with_fetched<X>(fetched: Vec<(ObjectId, Arc<Packed>)>, call: impl FnOnce() -> X) -> X {
    struct Before(Vec<(ObjectId, Arc<Packed>)>);
    impl Drop for Before {
        fn drop(&mut self) {
            let own = FETCHED.replace(std::mem::take(&mut self.0));
            drop(own);
        }
    }
    let _before = Before(FETCHED.replace(fetched));
    call()
}

/// No arguments.
impl Args for () {
    type Values = ();
    type Read = ();

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
    fn error(&self) -> Option<TaskError> {
        None
    }
    fn is_here(&self) -> bool {
        true
    }
    fn into_values(self) -> Option<()> {
        Some(())
    }
}

impl ReadAll for () {
    type Values = ();

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
        <()>::deserialize(from)
    }
}

macro_rules! tuple {
    ($count:literal, $($name:ident $index:tt $value:ident),+) => {
        impl<$($name: Arg),+> Args for ($($name,)+) {
            type Values = ($($name::Value,)+);
            type Read = ($($name::Read,)+);

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut tuple = serializer.serialize_tuple($count)?;
                $(self.$index.write(&mut tuple)?;)+
                tuple.end()
            }
            fn error(&self) -> Option<TaskError> {
                None$(.or_else(|| self.$index.error()))+
            }
            fn is_here(&self) -> bool {
                true $(&& self.$index.is_here())+
            }
            fn into_values(self) -> Option<Self::Values> {
                Some(($(self.$index.into_value()?,)+))
            }
        }

        impl<$($name: Read),+> ReadAll for ($($name,)+) {
            type Values = ($($name::Value,)+);

            fn read<'de, De: Deserializer<'de>>(from: De) -> Result<Self::Values, De::Error> {
                struct Each<$($name),+>(PhantomData<fn() -> ($($name,)+)>);
                impl<'de, $($name: Read),+> Visitor<'de> for Each<$($name),+> {
                    type Value = ($($name::Value,)+);
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("the arguments of a function")
                    }
                    fn visit_seq<Sq: SeqAccess<'de>>(self, mut list: Sq) -> Result<Self::Value, Sq::Error> {
                        $(let Some($value) = list.next_element::<One<$name>>()? else {
                            return Err(Sq::Error::invalid_length($index, &self));
                        };)+
                        Ok(($($value.0,)+))
                    }
                }
                from.deserialize_tuple($count, Each::<$($name),+>(PhantomData))
            }
        }
    };
}
tuple!(1, A 0 a);
tuple!(2, A 0 a, B 1 b);
tuple!(3, A 0 a, B 1 b, C 2 c);
tuple!(4, A 0 a, B 1 b, C 2 c, D 3 d);
tuple!(5, A 0 a, B 1 b, C 2 c, D 3 d, E 4 e);
tuple!(6, A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f);
tuple!(7, A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f, G 6 g);
tuple!(8, A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f, G 6 g, H 7 h);

/// One argument as it was read.
struct One<R: Read>(R::Value);

impl<'de, R: Read> Deserialize<'de> for One<R> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        R::read(from).map(Self)
    }
}
