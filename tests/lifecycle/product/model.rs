//! The options of a task's life, and what each combination of them must give.

use heist::Status;

/// How the task is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Submit,
    SubmitResult,
    Map,
    /// After one input.
    After,
    /// After four, one of them twice.
    AfterMany,
    ResultAfter,
    AfterResults,
    MapAfter,
    Promise,
    Spawn,
}

/// How far it is when its fate comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Waiting,
    Ready,
    Running,
    Done,
}

/// What the program does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Dropped,
    Detached,
    Cancelled,
    Awaited,
    DependedOn,
    /// By a task that runs whatever becomes of this one.
    DependedOnAnyway,
    DependedOnAndCancelled,
}

/// How its closure ends; for a promise, what it is given (`Panic`: it is dropped).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Value,
    Error,
    Panic,
}

/// What goes first, while the task is in its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Handle,
    Dependent,
    Executor,
}

/// What becomes of a clone of the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloneOf {
    None,
    DroppedBefore,
    DroppedAfter,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) workers: usize,
    pub(crate) way: Way,
    pub(crate) phase: Phase,
    pub(crate) fate: Fate,
    pub(crate) outcome: Outcome,
    pub(crate) first: First,
    pub(crate) clone: CloneOf,
}

/// What a case must give.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) closures: u64,
    pub(crate) runs: u64,
    /// Values, or errors and panics, that came into being.
    pub(crate) results: u64,
    /// What a handle tells in the phase, and in the end.
    pub(crate) before: Status,
    pub(crate) after: Status,
    /// What `cancel` returns.
    pub(crate) cancels: bool,
    /// Runs of the dependent with what its handle tells in the end; more than one where it is a race.
    pub(crate) dependent: Vec<(u64, Status)>,
}

impl Way {
    pub(crate) const ALL: [Self; 10] = [
        Self::Submit,
        Self::SubmitResult,
        Self::Map,
        Self::After,
        Self::AfterMany,
        Self::ResultAfter,
        Self::AfterResults,
        Self::MapAfter,
        Self::Promise,
        Self::Spawn,
    ];

    pub(crate) fn has_inputs(self) -> bool {
        matches!(self, Self::After | Self::AfterMany | Self::ResultAfter | Self::AfterResults | Self::MapAfter)
    }

    fn has_errors(self) -> bool {
        matches!(self, Self::SubmitResult | Self::ResultAfter | Self::Promise)
    }

    fn has(self, phase: Phase) -> bool {
        match phase {
            Phase::Waiting => self.has_inputs() || self == Self::Spawn,
            Phase::Ready => self != Self::Promise,
            Phase::Running | Phase::Done => true,
        }
    }
}

impl Fate {
    pub(crate) fn has_dependent(self) -> bool {
        matches!(self, Self::DependedOn | Self::DependedOnAnyway | Self::DependedOnAndCancelled)
    }

    pub(crate) fn cancels(self) -> bool {
        matches!(self, Self::Cancelled | Self::DependedOnAndCancelled)
    }
}

/// Every combination that can be; one of an option the others rule out is left out.
pub(crate) fn every_case() -> Vec<Case> {
    let mut cases = Vec::new();
    for workers in [1, 2] {
        for way in Way::ALL {
            for phase in [Phase::Waiting, Phase::Ready, Phase::Running, Phase::Done] {
                for fate in [
                    Fate::Dropped,
                    Fate::Detached,
                    Fate::Cancelled,
                    Fate::Awaited,
                    Fate::DependedOn,
                    Fate::DependedOnAnyway,
                    Fate::DependedOnAndCancelled,
                ] {
                    for outcome in [Outcome::Value, Outcome::Error, Outcome::Panic] {
                        for first in [First::Handle, First::Dependent, First::Executor] {
                            for clone in [CloneOf::None, CloneOf::DroppedBefore, CloneOf::DroppedAfter] {
                                cases.push(Case { workers, way, phase, fate, outcome, first, clone });
                            }
                        }
                    }
                }
            }
        }
    }
    cases.retain(|case| {
        case.way.has(case.phase)
            && (case.outcome != Outcome::Error || case.way.has_errors())
            && (case.first != First::Dependent || case.fate.has_dependent())
    });
    cases
}

/// The promises of the library, for one case.
pub(crate) fn expected(case: &Case) -> Expected {
    let Case { way, phase, fate, outcome, first, .. } = *case;
    let done = phase == Phase::Done;
    let closes = first == First::Executor;
    // A promise, and a future that is polled: the executor ends their futures when it closes.
    let is_promise = matches!(way, Way::Promise | Way::Spawn);
    let begun = done || phase == Phase::Running || way == Way::Spawn && phase == Phase::Waiting;
    let own = if outcome == Outcome::Value { Status::Finished } else { Status::Failed };

    let after = match () {
        () if done => own,
        () if fate.cancels() => Status::Cancelled,
        () if closes && !(begun && !is_promise) => Status::Cancelled,
        () => own,
    };
    let runs = begun || !(fate.cancels() || closes || fate == Fate::Dropped);
    let results = match way {
        // Fulfilled in any case; dropped, it makes no error of ours.
        Way::Promise => outcome != Outcome::Panic,
        // Dropped at its await.
        Way::Spawn if phase == Phase::Waiting => !(fate.cancels() || closes),
        _ => runs,
    };
    let before = match phase {
        Phase::Done => own,
        _ if is_promise || phase == Phase::Running => Status::Running,
        Phase::Ready => Status::Ready,
        _ => Status::Waiting,
    };
    let ran = (1, Status::Finished);
    let stopped = (0, Status::Cancelled);
    let dependent = match first {
        _ if !fate.has_dependent() => vec![(0, Status::Waiting)],
        // Nobody looks at it; it may have run where its input was there already.
        First::Dependent if done && (after == Status::Finished || fate == Fate::DependedOnAnyway) => {
            vec![(0, Status::Waiting), (1, Status::Waiting)]
        }
        First::Dependent => vec![(0, Status::Waiting)],
        First::Executor if done && (after == Status::Finished || fate == Fate::DependedOnAnyway) => vec![stopped, ran],
        First::Executor if fate == Fate::DependedOnAnyway => vec![stopped],
        First::Executor if after == Status::Finished => vec![stopped],
        First::Handle if fate == Fate::DependedOnAnyway => vec![ran],
        _ if after == Status::Finished => vec![ran],
        _ => vec![(0, after)],
    };
    Expected {
        closures: u64::from(way != Way::Promise),
        runs: u64::from(runs && way != Way::Promise),
        results: u64::from(results),
        before,
        after,
        cancels: !done,
        dependent,
    }
}
