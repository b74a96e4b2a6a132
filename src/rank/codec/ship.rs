//! Functions travel by name: as their place in the image, which is the same in every process of one build.
//!
//! With the place of the function goes that of a [`Descriptor`], a constant that says what type the function has and
//! leads to the code that can call such a one. Whoever receives both checks that they lead into the constants and the
//! code of this image, and to what they should, before he calls anything.

use std::any::TypeId;

use serde::{Deserialize, Serialize};

use super::image::{Image, fold};
use super::malformed;
use crate::error::TaskError;

/// What functions are shipped for: how they are called where they arrive.
pub(crate) trait Purpose: 'static {
    /// What is at hand there.
    type Given<'a>;
    /// What is made of it.
    type Gives: 'static;
}

/// A purpose that functions of the type `F` serve.
pub(crate) trait Calls<F: Function>: Purpose {
    fn call(function: F, given: Self::Given<'_>) -> Self::Gives;
}

/// A type of functions that capture nothing.
///
/// # Safety
/// It is a pointer to a function, and `address` gives it.
pub(crate) unsafe trait Function: Copy + 'static {
    fn address(self) -> usize;
}

// SAFETY: the pointer itself.
unsafe impl<R: 'static> Function for fn() -> R {
    fn address(self) -> usize {
        self as usize
    }
}

// SAFETY: the pointer itself.
unsafe impl<A: 'static, R: 'static> Function for fn(A) -> R {
    fn address(self) -> usize {
        self as usize
    }
}

// SAFETY: the pointer itself.
unsafe impl<S: 'static, A: 'static, R: 'static> Function for for<'a> fn(&'a mut S, A) -> R {
    fn address(self) -> usize {
        self as usize
    }
}

type Trampoline<P> = for<'a> fn(usize, <P as Purpose>::Given<'a>) -> <P as Purpose>::Gives;

/// What descriptors begin with.
const MAGIC: [u64; 2] = [0x6865_6973_745f_666e, 0xa37c_15f1_4e0b_9d62];

/// What stands in the constants of the image for a type of functions and a purpose.
#[repr(C)]
struct Descriptor<P: Purpose> {
    magic: [u64; 2],
    purpose: TypeId,
    function: TypeId,
    trampoline: Trampoline<P>,
}

/// The same, of which nothing is known yet but that it is there.
#[repr(C)]
struct Words {
    magic: [u64; 2],
    purpose: [u8; 16],
    function: [u8; 16],
    trampoline: usize,
}

impl<P: Purpose> Descriptor<P> {
    const fn of<F: Function>() -> Self
    where
        P: Calls<F>,
    {
        Self { magic: MAGIC, purpose: TypeId::of::<P>(), function: TypeId::of::<F>(), trampoline: trampoline::<P, F> }
    }
}

/// Calls the function at `code`, which is an `F`: only descriptors lead here, and [`Shipped::open`] has found the one that was
/// sent with it.
fn trampoline<P: Calls<F>, F: Function>(code: usize, given: P::Given<'_>) -> P::Gives {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    let code: *const () = std::ptr::with_exposed_provenance(code);
    // SAFETY: the address of a function of this type, which is a pointer to one.
    let function = unsafe { std::mem::transmute_copy::<*const (), F>(&code) };
    P::call(function, given)
}

fn bits(id: TypeId) -> [u8; 16] {
    // SAFETY: so many bytes without gaps.
    unsafe { std::mem::transmute::<TypeId, [u8; 16]>(id) }
}

/// A function on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shipped {
    function: u64,
    descriptor: u64,
    seal: u64,
}

impl Shipped {
    fn new(function: u64, descriptor: u64, of: [u8; 16]) -> Self {
        let of = u128::from_le_bytes(of);
        let seal = fold(fold(function, descriptor), fold(of as u64, (of >> 64) as u64));
        Self { function, descriptor, seal }
    }
}

/// The name of `function` for who shall call it for the purpose `P`.
pub(crate) fn ship<P: Calls<F>, F: Function>(function: F) -> Result<Shipped, TaskError> {
    let image = Image::this()?;
    let descriptor = const { &Descriptor::<P>::of::<F>() };
    let at = image.place(std::ptr::from_ref(descriptor).expose_provenance());
    let shipped = Shipped::new(image.place(function.address()), at, bits(TypeId::of::<F>()));
    // What cannot be opened here cannot be opened there.
    shipped.open::<P>().map(|_| shipped)
}

impl Shipped {
    /// The function that it names, in this process.
    pub(crate) fn open<P: Purpose>(&self) -> Result<Opened<P>, TaskError> {
        const { assert!(size_of::<Words>() == size_of::<Descriptor<P>>()) };
        const { assert!(align_of::<Words>() == align_of::<Descriptor<P>>()) };
        let image = Image::this()?;
        let code = image.code(self.function).ok_or_else(|| {
            malformed(
                "a function that is not in the code of this program; those of libraries opened later cannot travel",
            )
        })?;
        let at = image.constant(self.descriptor, size_of::<Words>()).ok_or_else(|| {
            malformed("a function without a descriptor in this program's constants (linked without RELRO?)")
        })?;
        let at = std::ptr::with_exposed_provenance::<Words>(at);
        if !at.is_aligned() {
            return Err(malformed("a function whose descriptor is not aligned"));
        }
        // SAFETY: aligned, in memory that can be read and that nobody writes; any bits are these integers.
        let words = unsafe { at.read() };
        let is_code = |address| image.code(image.place(address)).is_some();
        if words.magic != MAGIC || !is_code(words.trampoline) {
            return Err(malformed("a function whose descriptor is none"));
        }
        if words.purpose != bits(TypeId::of::<P>())
            || *self != Self::new(self.function, self.descriptor, words.function)
        {
            return Err(malformed("a function that its descriptor does not fit"));
        }
        // SAFETY: what begins so and leads to code is a descriptor, and of this purpose; constants live as long as code does.
        let descriptor = unsafe { &*at.cast::<Descriptor<P>>() };
        Ok(Opened { code, trampoline: descriptor.trampoline })
    }
}

/// A function that has arrived.
pub(crate) struct Opened<P: Purpose> {
    code: usize,
    trampoline: Trampoline<P>,
}

impl<P: Purpose> Opened<P> {
    /// Calls it. A panic of the function is one of this.
    pub(crate) fn call(&self, given: P::Given<'_>) -> P::Gives {
        (self.trampoline)(self.code, given)
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::process::{Command, Stdio};

    use super::*;

    /// Functions of numbers.
    struct Number;

    impl Purpose for Number {
        type Given<'a> = u64;
        type Gives = u64;
    }

    impl<A: From<u64> + 'static, R: Into<u64> + 'static> Calls<fn(A) -> R> for Number {
        fn call(function: fn(A) -> R, given: u64) -> u64 {
            function(A::from(given)).into()
        }
    }

    /// Functions that change a state.
    struct Handler;

    impl Purpose for Handler {
        type Given<'a> = (&'a mut dyn Any, u64);
        type Gives = Option<u64>;
    }

    impl<S: 'static, A: From<u64> + 'static, R: Into<u64> + 'static> Calls<fn(&mut S, A) -> R> for Handler {
        fn call(function: fn(&mut S, A) -> R, (state, number): (&mut dyn Any, u64)) -> Option<u64> {
            Some(function(state.downcast_mut()?, A::from(number)).into())
        }
    }

    fn number<A: From<u64> + 'static, R: Into<u64> + 'static>(function: fn(A) -> R) -> Shipped {
        ship::<Number, _>(function).unwrap()
    }

    fn handler<S: 'static, A: From<u64> + 'static, R: Into<u64> + 'static>(function: fn(&mut S, A) -> R) -> Shipped {
        ship::<Handler, _>(function).unwrap()
    }

    fn square(x: u64) -> u64 {
        x * x
    }

    fn plus<const K: u64, T: From<u64> + Into<u64>>(x: T) -> T {
        T::from(x.into() + K)
    }

    /// Each with what it makes of 7.
    fn numbers() -> [(Shipped, u64); 4] {
        [
            (number(square), 49),
            (number(plus::<5, u64>), 12),
            (number(plus::<6, u64>), 13),
            (number(|x: u64| x * 100 + 1), 701),
        ]
    }

    fn pushes() -> Shipped {
        handler(|all: &mut Vec<u64>, one: u64| {
            all.push(one);
            all.len() as u64
        })
    }

    #[test]
    fn a_function_is_called_by_its_name() {
        for (shipped, expected) in numbers() {
            assert_eq!(shipped.open::<Number>().unwrap().call(7), expected);
        }
        let push = pushes().open::<Handler>().unwrap();
        let mut all = vec![1_u64];
        assert_eq!((push.call((&mut all, 4)), push.call((&mut all, 5))), (Some(2), Some(3)));
        assert_eq!(all, [1, 4, 5]);
        assert_eq!(push.call((&mut 0_u8, 4)), None);
    }

    #[test]
    fn another_purpose_is_refused() {
        assert!(numbers()[0].0.open::<Handler>().is_err_and(|error| error.is_codec()));
        assert!(pushes().open::<Number>().is_err());
    }

    #[test]
    fn whatever_is_corrupt_is_refused() {
        let good = numbers()[0].0;
        let other = pushes();
        let mut state = 7_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let mut bad = good;
            let field = match random() % 3 {
                0 => &mut bad.function,
                1 => &mut bad.descriptor,
                _ => &mut bad.seal,
            };
            *field = match random() % 5 {
                0 => random(),
                1 => random() % (1 << 24),
                2 => field.wrapping_add(random() % 64),
                3 => [other.function, other.descriptor, other.seal][random() as usize % 3],
                _ => *field ^ 1 << (random() % 64),
            };
            assert!(bad == good || bad.open::<Number>().is_err(), "{bad:x?} for {good:x?}");
        }
    }

    /// Starts this test once more, and has that process call what this one names.
    #[test]
    fn another_process_finds_the_same_functions() {
        const TO: &str = "heist-ship:";
        let call_all = |text: &str| {
            let bytes: Vec<u8> = text.split(',').map(|byte| byte.parse().unwrap()).collect();
            let (print, all): (u64, Vec<Shipped>) = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(print, Image::this().unwrap().fingerprint());
            all.iter().map(|shipped| shipped.open::<Number>().unwrap().call(7)).collect::<Vec<_>>()
        };
        let expected = numbers().map(|(_, expected)| expected);
        if let Some(text) = std::env::args().find_map(|arg| arg.strip_prefix(TO).map(str::to_owned)) {
            assert_eq!(call_all(&text), expected);
            return;
        }
        let print = Image::this().unwrap().fingerprint();
        let bytes = postcard::to_stdvec(&(print, numbers().map(|(shipped, _)| shipped).to_vec())).unwrap();
        let text: Vec<String> = bytes.iter().map(u8::to_string).collect();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            &format!("{}::another_process_finds_the_same_functions", module_path!().split_once("::").unwrap().1),
        ]);
        child.args(["--skip", &format!("{TO}{}", text.join(","))]);
        let output = child.stdin(Stdio::null()).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    }
}
