//! What becomes of the reports of panics. A binary of its own, whose tests play in processes of their own: the panic hook
//! and stderr belong to the process.

mod again;

use std::sync::atomic::{AtomicUsize, Ordering};

use again::{again, part};
use heist::{Executor, PanicReport};

fn executor(report: PanicReport) -> Executor {
    Executor::builder().workers(1).panic_report(report).build().unwrap()
}

fn stderr(name: &str, part: &str) -> String {
    String::from_utf8(again(name, part, &[("RUST_BACKTRACE", "0")]).stderr).unwrap()
}

#[test]
fn reports_of_tasks_are_captured_or_kept() {
    let name = "reports_of_tasks_are_captured_or_kept";
    match part().as_deref() {
        None => {
            for silent in ["capture", "default"] {
                let said = stderr(name, silent);
                assert!(!said.contains("the task's own"), "{said}");
            }
            let said = stderr(name, "keep");
            assert_eq!(said.matches("the task's own").count(), 1, "{said}");
        }
        Some(part) => {
            let ex = match part {
                "keep" => executor(PanicReport::Keep),
                "capture" => executor(PanicReport::Capture),
                _ => Executor::builder().workers(1).build().unwrap(),
            };
            let error = ex.submit(|| panic!("the task's own")).result().unwrap_err();
            assert_eq!(error.panic_message(), Some("the task's own"));
            assert!(error.backtrace().is_some(), "RUST_BACKTRACE=0 or not, and kept or not");
        }
    }
}

#[test]
fn panics_of_other_threads_are_reported_as_ever() {
    let name = "panics_of_other_threads_are_reported_as_ever";
    if part().is_none() {
        let said = stderr(name, "capture");
        assert!(said.contains("of a plain thread"), "{said}");
        assert!(said.contains("of a thread made in a task"), "{said}");
        return;
    }
    let ex = executor(PanicReport::Capture);
    assert!(std::thread::spawn(|| panic!("of a plain thread")).join().is_err());
    let made = ex.submit(|| std::thread::spawn(|| panic!("of a thread made in a task")).join().is_err());
    assert!(made.result().unwrap());
}

#[test]
fn panics_caught_within_a_task_are_its_own_affair() {
    let name = "panics_caught_within_a_task_are_its_own_affair";
    if part().is_none() {
        stderr(name, "capture");
        return;
    }
    let ex = executor(PanicReport::Capture);
    let caught = ex.submit(|| std::panic::catch_unwind(|| panic!("inner")).is_err());
    assert!(caught.result().unwrap());
    let error = ex.submit(|| std::panic::panic_any(7)).into_result().unwrap().unwrap_err();
    assert_eq!(error.panic_message(), Some("Box<dyn Any>"));
}

#[test]
fn the_hook_that_was_there_is_called_once_however_many_executors() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let name = "the_hook_that_was_there_is_called_once_however_many_executors";
    if part().is_none() {
        stderr(name, "keep");
        return;
    }
    std::panic::set_hook(Box::new(|_| {
        CALLS.fetch_add(1, Ordering::SeqCst);
    }));
    let panic = |ex: &Executor| {
        assert!(ex.submit(|| panic!("counted")).result().is_err());
        CALLS.swap(0, Ordering::SeqCst)
    };
    let executors: Vec<_> = (0..5).map(|_| executor(PanicReport::Keep)).collect();
    assert_eq!(panic(&executors[0]), 1);
    let last = executor(PanicReport::Capture);
    assert_eq!(panic(&executors[0]), 0, "the executor built last decides");
    assert_eq!(panic(&last), 0);
    drop((executors, last));
    assert!(std::thread::spawn(|| panic!("outside")).join().is_err());
    assert_eq!(CALLS.swap(0, Ordering::SeqCst), 1);
}
