//! Signals: told to everybody who listens, an orderly end when asked for, the system's default otherwise. A binary of its
//! own, since a signal is everybody's in a process.

mod again;
#[path = "it/support.rs"]
#[allow(dead_code, reason = "shared with tests/it")]
mod support;

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures::StreamExt;

use again::{again, ended, part};
use heist::Shutdown;
use heist::io::{Signal, Signals};
use signal_hook::low_level::raise;

use support::{Count, SOON, busy, executor, guard, until};

fn send(signal: Signal) {
    raise(signal.raw()).unwrap();
}

#[test]
fn every_listener_gets_every_signal_it_listens_for() {
    guard(|| {
        let ex = executor(2);
        let listen = |signals: &[Signal]| Arc::new(Signals::new(signals.iter().copied()).unwrap());
        let both = listen(&[Signal::USER_1, Signal::USER_2, Signal::USER_1]);
        let one = listen(&[Signal::USER_2]);
        let (awaits, blocks) = (both.clone(), one.clone());
        let awaits = ex.spawn(async move { [awaits.next().await.unwrap(), awaits.next().await.unwrap()] });
        let blocks = ex.submit(move || blocks.wait().unwrap());
        send(Signal::USER_1);
        send(Signal::USER_2);
        assert_eq!(awaits.result().unwrap(), [Signal::USER_1, Signal::USER_2]);
        assert_eq!(blocks.result().unwrap(), Signal::USER_2);
        assert!(both.try_next().is_none() && one.try_next().is_none());
        assert!(one.wait_timeout(Duration::ZERO).unwrap_err().is_timeout());
        send(Signal::USER_2);
        assert_eq!(one.wait_timeout(SOON).unwrap(), Signal::USER_2);
        until("the other has it too", || both.try_next() == Some(Signal::USER_2));
    });
}

#[test]
fn signals_are_a_stream() {
    guard(|| {
        let signals = Signals::new([Signal::CONTINUE]).unwrap();
        let ex = executor(1);
        let told = ex.spawn(signals.take(2).collect::<Vec<_>>());
        until("both are told", || {
            send(Signal::CONTINUE);
            told.done()
        });
        assert_eq!(told.result().unwrap(), [Signal::CONTINUE; 2]);
    });
}

#[test]
fn what_cannot_be_listened_for_is_refused() {
    for number in [4, 8, 9, 11, 19] {
        let error = Signals::new(Signal::from_raw(number)).unwrap_err();
        assert!(error.is_io(), "{error}");
    }
    assert_eq!((Signal::from_raw(0), Signal::from_raw(-1), Signal::from_raw(65)), (None, None, None));
}

#[test]
fn a_blocked_wait_ends_with_its_executor() {
    guard(|| {
        let ex = executor(1);
        let (started, is_started) = mpsc::channel();
        let (sender, receiver) = mpsc::channel();
        ex.submit(move || {
            let signals = Signals::new([Signal::HANGUP]).unwrap();
            started.send(()).unwrap();
            sender.send(signals.wait()).unwrap();
        })
        .detach();
        is_started.recv_timeout(SOON).unwrap();
        ex.close();
        assert!(receiver.recv_timeout(SOON).unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn the_first_signal_lets_everything_run_and_the_second_cancels() {
    let name = "the_first_signal_lets_everything_run_and_the_second_cancels";
    if part().is_none() {
        again(name, "both", &[]);
        return;
    }
    let ex = executor(1);
    let by_signals = ex.shutdown_on_signals().unwrap();
    assert_eq!(by_signals.received(), None);
    let (hold, ran) = (busy(&ex), Count::default());
    let queued = ex.submit({
        let ran = ran.clone();
        move || ran.add()
    });
    send(Signal::INTERRUPT);
    until("nothing is taken any more", || ex.submit(|| ()).cancelled());
    assert_eq!(by_signals.received(), Some(Signal::INTERRUPT));
    assert!(!queued.done(), "it is let run");
    drop(hold);
    assert_eq!(queued.result().unwrap(), 1);
    ex.shutdown(Shutdown::Wait);

    let ex = executor(1);
    let by_signals = ex.shutdown_on_signals().unwrap();
    let (_promise, never) = ex.promise::<()>();
    send(Signal::TERMINATE);
    until("it has come", || by_signals.received() == Some(Signal::TERMINATE));
    assert!(!never.done());
    send(Signal::INTERRUPT);
    assert!(never.result().unwrap_err().cancel_reason().unwrap().is_executor_closed());
    assert_eq!(by_signals.received(), Some(Signal::TERMINATE), "the one that began it");
}

/// How a process ends that is sent SIGTERM after it was made ready by `prepare`.
#[track_caller]
fn killed(name: &str, prepare: impl FnOnce()) {
    if part().is_some() {
        prepare();
        send(Signal::TERMINATE);
        // The handler has run on this thread before `raise` returned.
        return;
    }
    assert_eq!(ended(name, "killed", &[]).status.signal(), Some(Signal::TERMINATE.raw()));
}

#[test]
fn the_default_holds_again_once_it_is_dropped() {
    killed("the_default_holds_again_once_it_is_dropped", || {
        let ex = executor(1);
        drop(ex.shutdown_on_signals().unwrap());
        let first = Signals::new([Signal::TERMINATE]).unwrap();
        let second = Signals::new([Signal::TERMINATE]).unwrap();
        drop(first);
        send(Signal::TERMINATE);
        assert_eq!(second.wait().unwrap(), Signal::TERMINATE, "one listens still");
    });
}

#[test]
fn the_default_holds_again_for_every_signal_that_ends_a_process() {
    let name = "the_default_holds_again_for_every_signal_that_ends_a_process";
    if let Some(number) = part() {
        let signal = Signal::from_raw(number.parse().unwrap()).unwrap();
        let signals = Signals::new([signal]).unwrap();
        send(signal);
        assert_eq!(signals.wait().unwrap(), signal);
        drop(signals);
        send(signal);
        return;
    }
    for number in [libc::SIGIO, libc::SIGPWR, libc::SIGSTKFLT, libc::SIGRTMIN(), libc::SIGRTMAX()] {
        assert_eq!(ended(name, &number.to_string(), &[]).status.signal(), Some(number));
    }
}

#[test]
fn the_default_holds_in_a_child_without_listeners() {
    killed("the_default_holds_in_a_child_without_listeners", || {
        let ex = executor(1);
        let _by_signals = ex.shutdown_on_signals().unwrap();
        // SAFETY: the child only sends itself a signal, which ends it, or leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            send(Signal::TERMINATE);
            // SAFETY: leaves without running what belongs to the parent's threads.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: the child is this process's and not yet waited for.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status), "the child goes on: {status:#x}");
        assert!(!ex.submit(|| ()).cancelled(), "the parent was not told");
    });
}

#[test]
fn signals_do_what_they_do_by_default_once_the_executor_has_ended() {
    let name = "signals_do_what_they_do_by_default_once_the_executor_has_ended";
    if part().is_none() {
        assert_eq!(ended(name, "ended", &[]).status.signal(), Some(Signal::TERMINATE.raw()));
        return;
    }
    let ex = executor(1);
    let _by_signals = ex.shutdown_on_signals().unwrap();
    drop(ex);
    send(Signal::TERMINATE);
    until("it ends the process", || false);
}

#[test]
fn a_third_signal_ends_the_process() {
    let name = "a_third_signal_ends_the_process";
    if part().is_none() {
        assert_eq!(ended(name, "third", &[]).status.signal(), Some(Signal::INTERRUPT.raw()));
        return;
    }
    let ex = executor(1);
    let _by_signals = ex.shutdown_on_signals().unwrap();
    let _busy = busy(&ex);
    let (_promise, never) = ex.promise::<()>();
    send(Signal::INTERRUPT);
    until("the first has come", || ex.submit(|| ()).cancelled());
    send(Signal::INTERRUPT);
    assert!(never.result().is_err());
    until("the third ends the process", || {
        send(Signal::INTERRUPT);
        false
    });
}

#[test]
fn a_handler_that_was_there_before_is_called_too_and_nobody_is_killed() {
    let name = "a_handler_that_was_there_before_is_called_too_and_nobody_is_killed";
    if part().is_none() {
        again(name, "before", &[]);
        return;
    }
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::TERMINATE.raw(), flag.clone()).unwrap();
    let signals = Signals::new([Signal::TERMINATE]).unwrap();
    send(Signal::TERMINATE);
    assert_eq!(signals.wait().unwrap(), Signal::TERMINATE);
    assert!(flag.swap(false, Ordering::SeqCst));
    drop(signals);
    send(Signal::TERMINATE);
    assert!(flag.load(Ordering::SeqCst));
}
