//! The number of a signal.

use std::fmt;

use signal_hook::consts;

/// One more than the highest number of a signal.
pub(super) const SIGNALS: usize = 65;

/// A signal of the system.
///
/// ```
/// use heist::io::Signal;
/// assert_eq!(Signal::INTERRUPT.to_string(), "SIGINT");
/// assert_eq!(Signal::from_raw(15), Some(Signal::TERMINATE));
/// assert_eq!(Signal::from_raw(1000), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(u8);

impl Signal {
    /// SIGINT: a person has pressed Ctrl-C.
    pub const INTERRUPT: Self = Self(consts::SIGINT as u8);
    /// SIGTERM: somebody, such as a batch system, asks the process to end.
    pub const TERMINATE: Self = Self(consts::SIGTERM as u8);
    /// SIGHUP: the terminal is gone.
    pub const HANGUP: Self = Self(consts::SIGHUP as u8);
    /// SIGQUIT: a person has pressed Ctrl-\.
    pub const QUIT: Self = Self(consts::SIGQUIT as u8);
    /// SIGUSR1: means what the program says.
    pub const USER_1: Self = Self(consts::SIGUSR1 as u8);
    /// SIGUSR2: means what the program says.
    pub const USER_2: Self = Self(consts::SIGUSR2 as u8);
    /// SIGCHLD: a child has ended.
    pub const CHILD: Self = Self(consts::SIGCHLD as u8);
    /// SIGALRM: an alarm of the system's has gone off.
    pub const ALARM: Self = Self(consts::SIGALRM as u8);
    /// SIGCONT: the process goes on after a stop.
    pub const CONTINUE: Self = Self(consts::SIGCONT as u8);
    /// SIGWINCH: the terminal has another size.
    pub const WINDOW_CHANGE: Self = Self(consts::SIGWINCH as u8);

    /// The signal with a number, from 1 to 64.
    #[must_use]
    pub fn from_raw(number: i32) -> Option<Self> {
        u8::try_from(number).ok().filter(|&number| number > 0 && usize::from(number) < SIGNALS).map(Self)
    }

    /// Its number.
    #[must_use]
    pub fn raw(self) -> i32 {
        self.0.into()
    }

    pub(super) fn index(self) -> usize {
        self.0.into()
    }

    pub(super) fn byte(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_hook::low_level::signal_name(self.raw()) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
