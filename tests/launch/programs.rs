//! What the ranks run.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use heist::{Executor, Rank, Shutdown, Sum};

use crate::behind::{FOLDER, PROGRAM};

/// Runs the program that this process was started for, if it was started for one.
pub(crate) fn run() {
    let Ok(program) = env::var(PROGRAM) else { return };
    match program.split_once(' ').unwrap_or((&program, "")) {
        ("closure", _) => closure(),
        ("collective", _) => collective(),
        ("equals", "drop") => equals(drop),
        ("equals", "wait") => equals(|ex| ex.shutdown(Shutdown::Wait)),
        ("equals", "in a task") => equals(in_a_task),
        ("equals", "never") => {
            Executor::builder().build_global().unwrap();
            equals_of(Executor::global().unwrap(), drop);
        }
        ("serves", _) => serves(),
        ("far", how) => far(how),
        ("joins", _) => joins(),
        ("twice", _) => twice(),
        ("masks", _) => masks(),
        ("child", _) => child(),
        ("wait", _) => wait(),
        ("work", _) => crate::work::run(),
        ("signals", _) => ends_by_signals(),
        ("bad", "task") => bad_task(),
        ("first", how) => as_first(how),
        ("last", how) => as_last(how),
        (other, _) => panic!("no program `{other}`"),
    }
}

/// Leaves a file for the test.
pub(crate) fn leave(name: &str, text: &str) {
    let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
    let unfinished = folder.join(format!(".{}", process::id()));
    fs::write(&unfinished, text).unwrap();
    fs::rename(&unfinished, folder.join(name)).unwrap();
}

/// Tells that this rank is about to fail.
fn fails() {
    leave("failing", "");
}

fn has(name: &str) -> bool {
    PathBuf::from(env::var_os(FOLDER).unwrap()).join(name).exists()
}

fn until(what: impl Fn() -> bool) {
    while !what() {
        thread::park_timeout(Duration::from_millis(5));
    }
}

fn closure() {
    let value = heist::launch(|ex| {
        let world = ex.world();
        leave("world", &format!("{} of {}", world.rank().0, world.size()));
        ex.submit(|| 6 * 7).result().unwrap()
    });
    let value = value.unwrap();
    leave(&format!("value-{}", process::id()), &format!("{value:?}"));
}

/// All ranks do the same, together; then they have things by name.
fn collective() {
    let ex = Executor::new().unwrap();
    let world = ex.world();
    let (all, count) = (world.collective(), world.size());
    crate::spmd::check(&all).unwrap();
    let Rank(rank) = world.rank();
    for number in 0..8 {
        let turns = world.queue::<u32>(&format!("turns {number}"), None).unwrap();
        all.barrier().unwrap();
        if rank == 0 {
            turns.put(0).unwrap();
        }
        for _ in 0..5 {
            let turn = turns.get().unwrap();
            turns.put(turn + 1).unwrap();
        }
        all.barrier().unwrap();
        let mut left = [turns.get_all().unwrap().iter().sum::<u32>()];
        all.all_reduce(&mut left, Sum).unwrap();
        assert_eq!(left, [5 * count as u32]);
    }
    let lock = world.lock("one at a time").unwrap();
    let before = lock.lock().map(|guard| guard.token()).unwrap();
    all.barrier().unwrap();
    assert!(lock.lock().unwrap().token() > before);
    let differs = match rank {
        0 => all.barrier(),
        _ => all.all_gather(&[rank]).map(drop),
    };
    assert!(count == 1 || differs.unwrap_err().is_mismatch());
    crate::spmd::check(&all).unwrap();
    leave(&format!("rank-{rank}"), &format!("{count} on {}", world.hosts()));
}

/// Each rank makes an executor; the last one has work for the longest time.
fn equals(end: impl FnOnce(Executor)) {
    equals_of(Executor::new().unwrap(), end);
}

fn equals_of(ex: Executor, end: impl FnOnce(Executor)) {
    let world = ex.world();
    let (rank, size) = (world.rank().0 as usize, world.size());
    leave(&format!("rank-{rank}"), &format!("{size}"));
    if rank + 1 == size {
        // The others have come to their ends, and wait for this one.
        until(|| (0..rank).all(|other| has(&format!("ends-{other}"))));
    }
    leave(&format!("ends-{rank}"), "");
    end(ex);
    let all = (0..size).all(|other| has(&format!("ends-{other}")));
    leave(&format!("left-{rank}"), &all.to_string());
}

/// The last handle is dropped where the end cannot be waited for.
fn in_a_task(ex: Executor) {
    let clone = ex.clone();
    let task = ex.submit(move || drop(clone));
    drop(ex);
    let _ = task.wait();
    // The process has nothing more to do, and exits: which waits for the others.
}

/// The first rank has work for the others when these have nothing more to do themselves.
fn serves() {
    let ex = Executor::new().unwrap();
    let world = ex.world();
    if world.rank() == Rank(0) {
        until(|| (1..world.size()).all(|rank| has(&format!("ends-{rank}"))));
        let tasks = (0..100_u64).map(|i| world.on(Rank((i % world.size() as u64) as u32)).submit(|(i,)| i * i, (i,)));
        let squares = ex.gather(tasks.collect::<Vec<_>>()).unwrap();
        leave("served", &squares.iter().sum::<u64>().to_string());
    }
    leave(&format!("ends-{}", world.rank().0), "");
}

/// A task goes wrong on the last rank, and the first waits for it.
fn far(how: &str) {
    let how = how.to_owned();
    let told = heist::launch(|ex| {
        let world = ex.world();
        let last = Rank(world.size() as u32 - 1);
        world.on(last).submit(|(how,): (String,)| go_wrong(&how), (how,)).result()
    });
    if let Some(told) = told.unwrap() {
        leave("told", &told.is_err_and(|error| error.is_panic()).to_string());
    }
}

/// A job is joined once: else each rank would take itself for the first.
fn twice() {
    heist::launch(|_| ()).unwrap();
    let again = heist::launch(|_| ());
    let ex = Executor::new().unwrap();
    let warned = ex.warnings().iter().any(|warning| warning.contains("this one is alone"));
    leave("again", &format!("{} {warned}", again.is_err_and(|error| error.is_join())));
}

/// Tells why it cannot join the others.
fn joins() {
    let error = Executor::new().err().filter(heist::Error::is_join);
    leave("joined", &error.map_or(String::new(), |error| error.to_string()));
}

fn masks() {
    let inherited = heist::numa::affinity().unwrap();
    let ex = Executor::new().unwrap();
    assert_eq!(heist::numa::affinity().unwrap(), inherited, "who makes an executor keeps its mask");
    let barrier = Arc::new(Barrier::new(ex.workers()));
    let masks = ex.map(0..ex.workers(), move |_| {
        barrier.wait();
        heist::numa::affinity().unwrap().to_string()
    });
    let masks = ex.gather(masks).unwrap().join(" ");
    let text = format!("{inherited}\n{masks}\n{}", ex.warnings().join("\n"));
    leave(&format!("mask-{}", ex.world().rank().0), &text);
}

/// Starts itself again, as a program that is no rank.
fn child() {
    if env::var_os("LAUNCH_CHILD").is_some() {
        let ex = Executor::new().unwrap();
        leave("child", &ex.world().size().to_string());
        return;
    }
    let made = heist::launch(|_| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(env::args_os().skip(1)).env("LAUNCH_CHILD", "1");
        assert!(heist::detach_command(&mut command).status().unwrap().success());
    });
    made.unwrap();
}

/// Works until it is ended.
fn wait() {
    let _ = heist::launch(|ex| {
        leave("works", "");
        ex.submit(|| until(|| false)).wait()
    });
}

/// Ends when it is told to.
fn ends_by_signals() {
    let ex = Executor::new().unwrap();
    let rank = ex.world().rank().0;
    let by_signals = ex.shutdown_on_signals().unwrap();
    leave(&format!("works-{rank}"), "");
    until(|| ex.submit(|| ()).cancelled());
    leave(&format!("told-{rank}"), &by_signals.received().is_some().to_string());
    drop(ex);
}

/// A panic of a task is a result as any other.
fn bad_task() {
    let told = heist::launch(|ex| ex.submit(|| -> u32 { panic!("a bad task") }).result().unwrap_err().is_panic());
    if let Some(told) = told.unwrap() {
        leave("told", &told.to_string());
    }
}

/// The closure of the first rank goes wrong.
fn as_first(how: &str) {
    let _ = heist::launch(|_| go_wrong(how));
}

/// The last rank goes wrong, while the others serve or wait.
fn as_last(how: &str) {
    let ex = Executor::new().unwrap();
    let world = ex.world();
    if world.rank() == Rank(world.size() as u32 - 1) {
        go_wrong(how);
    }
    drop(ex);
}

#[expect(clippy::disallowed_methods, reason = "an exit without a goodbye is what is tried")]
fn go_wrong(how: &str) {
    fails();
    match how {
        "panic" => panic!("a bad program"),
        "kill" => signal("KILL"),
        "stop" => signal("STOP"),
        "abort" => process::abort(),
        code => process::exit(code.parse().unwrap()),
    }
    until(|| false);
}

fn signal(name: &str) {
    Command::new("kill").args([format!("-{name}"), process::id().to_string()]).status().unwrap();
}
