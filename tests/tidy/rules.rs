//! The rules, each a function from files to complaints, and the tables that they go by.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::{Source, heads, is_word};

/// Where `unsafe` may stand, a file or a folder each, and what for.
pub(crate) const UNSAFE: &[(&str, &str)] = &[
    ("numa/src/sys.rs", "affinity masks are read and set by raw syscalls; the PU a thread runs on is asked for"),
    ("numa/src/sys_memory.rs", "memory is placed, taken and asked about by raw syscalls"),
    ("numa/src/sys_file.rs", "memfds, seals and room in files are had by raw calls"),
    ("numa/src/segment/shared.rs", "memory that other processes write to is atomic words; sealed memory is a slice"),
    ("numa/src/region/owned.rs", "a mapping is a slice of plain values"),
    ("numa/tests/placement/regions.rs", "a child waits between its fork and its exec"),
    ("src/actor/actor_ref.rs", "counted references to an actor"),
    ("src/actor/core.rs", "one allocation of an actor, shared by counted references; its state is whose turn it is"),
    ("src/actor/house.rs", "actors are listed by address"),
    ("src/actor/later.rs", "a handler borrows the state of its actor across awaits; its alarm has the turn"),
    ("src/actor/mailbox.rs", "messages are linked through themselves"),
    ("src/actor/mailbox_models.rs", "a model takes messages out of a mailbox"),
    ("src/actor/room.rs", "a place leads to the actor whose room it is in"),
    ("src/actor/spawn.rs", "an actor is born with one reference"),
    ("src/actor/turn.rs", "who has the turn has the actor"),
    ("src/data/crew.rs", "a job that lives on its caller's stack is lent to workers"),
    ("src/data/raw.rs", "placed memory is seen as slices of values once these are written"),
    ("src/error.rs", "an error travels in a task's state word"),
    ("src/rank/bell/futex.rs", "half of a word that processes share is what the kernel compares"),
    ("src/rank/codec/array.rs", "an array keeps where its values are"),
    ("src/rank/codec/image.rs", "the loaded segments of this program are found and read"),
    ("src/rank/codec/ship.rs", "a function is called by its place in the image"),
    ("src/fork.rs", "forks are noticed by pthread_atfork"),
    ("src/io/handler.rs", "a signal's handler is registered, and asked about"),
    ("src/rank/mpi/calls.rs", "MPI's functions are C's, and work on memory meanwhile"),
    ("src/rank/mpi/joined.rs", "a test is a program that uses MPI itself"),
    ("src/rank/mpi/library.rs", "a shared library is opened, its symbols are looked up"),
    ("src/rank/job/exit.rs", "the C library is asked to tell when the process exits"),
    ("src/primitive/lock.rs", "ThreadSanitizer is told of locks"),
    ("src/primitive/loom_twin.rs", "the freed memory of models is kept for a while"),
    ("src/scheduler/blocked.rs", "blocked tasks are known by their addresses"),
    ("src/scheduler/context.rs", "a thread's record points to its registry, its worker and the tasks on its stack"),
    ("src/primitive/std_twin.rs", "a core is told to fetch"),
    ("src/scheduler/entry.rs", "a word leads to a task or a batch"),
    ("src/scheduler/inbox.rs", "ready tasks are linked through themselves"),
    ("src/scheduler/observe.rs", "the stacks of other threads are looked at"),
    ("src/scheduler/models_shown.rs", "a looker promises what he has done"),
    ("src/scheduler/restart.rs", "tasks on the stacks of threads are ended by address"),
    ("src/scheduler/shown.rs", "frames lie on the stack of another thread"),
    ("src/scheduler/outstanding.rs", "promises are ended by address"),
    ("src/scheduler/slot.rs", "a slot holds the word of an entry"),
    ("src/sync/models.rs", "loom watches a cell that a lock hands on"),
    ("src/sync/permits.rs", "handles and permits that are out keep what they lead to, in one word"),
    ("src/scheduler/turns.rs", "turns are queued by the address of whose they are"),
    ("src/task", "one erased allocation per task, shared by counted references"),
    ("tests/allocations.rs", "the allocator of a test counts"),
    ("tests/fork.rs", "a test of fork() forks"),
    ("tests/signals.rs", "a test of signals forks"),
    ("tests/resident.rs", "the C library's allocator is trimmed"),
];

/// Who may read the environment, and what for.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("src/config.rs", "the settings of heist"),
    ("src/rank/mpi/launched.rs", "a test knows by it that it is a rank"),
    (
        "numa/src/topology/hwloc.rs",
        "hwloc's own variables: what they name, hwloc passes over in silence when it is wrong",
    ),
];

/// Who may import whom, lowest first: the layers below one's own, and one's neighbours where they are `mutual`.
const LAYERS: &[Layer] = &[
    Layer { modules: &["heist_numa", "primitive", "config", "error", "panics", "fork"], mutual: true },
    Layer { modules: &["counters"], mutual: true },
    Layer { modules: &["task"], mutual: true },
    Layer { modules: &["scheduler"], mutual: true },
    Layer { modules: &["future"], mutual: true },
    Layer { modules: &["forkjoin", "graph", "data", "io", "lease"], mutual: false },
    Layer { modules: &["sync", "actor"], mutual: false },
    Layer { modules: &["rank"], mutual: true },
    Layer {
        modules: &["executor", "builder", "global", "placement", "current", "secede", "diagnostics"],
        mutual: true,
    },
];

pub(crate) const MOST_LINES: usize = 800;

/// Crates in the tree of a default build of the library, itself counted.
pub(crate) const MOST_CRATES: usize = 15;

struct Layer {
    modules: &'static [&'static str],
    mutual: bool,
}

/// What the facade re-exports: each public name with the module it comes from.
fn facade(files: &[Source]) -> BTreeMap<&str, &str> {
    let mut names = BTreeMap::new();
    for lib in files.iter().filter(|file| file.path == "src/lib.rs") {
        for at in lib.places("use") {
            let statement = lib.code[at + 3..].split(';').next().unwrap_or_default();
            let path = statement.trim_start().trim_start_matches("crate::").trim_start_matches("self::");
            let Some(&module) = heads(path).first() else {
                continue;
            };
            let leaves = path
                .split([',', '{', '}'])
                .filter_map(|leaf| leaf.rsplit([':', ' ']).find(|word| !word.trim().is_empty()));
            names.extend(leaves.map(|leaf| (leaf.trim(), module)));
        }
    }
    names
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.modules.contains(&module))
}

pub(crate) fn opens_with_its_purpose(files: &[Source]) -> Vec<String> {
    let silent = files.iter().filter(|file| !file.text.starts_with("//! "));
    silent.map(|file| format!("{}:1: opens with no `//!` line that says what it is for", file.path)).collect()
}

pub(crate) fn short(files: &[Source]) -> Vec<String> {
    let lines = files.iter().map(|file| (file, file.text.lines().count()));
    lines
        .filter(|&(_, lines)| lines > MOST_LINES)
        .map(|(file, lines)| format!("{}: {lines} lines", file.path))
        .collect()
}

pub(crate) fn finished(files: &[Source]) -> Vec<String> {
    let unfinished = |file: &Source| file.refuse(&["todo!", "unimplemented!", "#[ignore"], "leaves work undone");
    files.iter().flat_map(unfinished).collect()
}

/// Where the library prints, and what.
const PRINTS: &[(&str, &str)] = &[("src/rank/job/last_words.rs", "why a job of ranks ends before its time")];

pub(crate) fn library_never_prints(files: &[Source]) -> Vec<String> {
    let words = ["print!", "println!", "eprint!", "eprintln!", "dbg!", "io::stdout", "io::stderr"];
    let may = |file: &&Source| PRINTS.iter().any(|(path, _)| *path == file.path);
    let library = files.iter().filter(|file| file.is_library() && !may(file));
    library.flat_map(|file| file.refuse(&words, "prints, and a library has no right to")).collect()
}

pub(crate) fn only_config_reads_the_environment(files: &[Source]) -> Vec<String> {
    let words = ["env::var", "env::var_os", "env::vars", "env::vars_os"];
    let is_ours = |text: &&String| text.starts_with("HEIST_") && text.chars().all(is_word);
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_library() && file.path != "src/config.rs") {
        if !ENVIRONMENT.iter().any(|(path, _)| *path == file.path) {
            complaints.extend(file.refuse(&words, "reads the environment; src/config.rs does that"));
        }
        let named = file.strings.iter().filter(is_ours);
        complaints.extend(named.map(|name| format!("{}: names {name}; src/config.rs reads it", file.path)));
    }
    complaints
}

pub(crate) fn layers_hold(files: &[Source]) -> Vec<String> {
    let facade = facade(files);
    let mut complaints = Vec::new();
    for file in files {
        let Some(own) = file.module() else { continue };
        let Some(level) = layer(own) else {
            complaints.push(format!("{}: the module `{own}` is in no layer of tests/tidy.rs", file.path));
            continue;
        };
        for (at, name) in file.root_names(|name| layer(name).is_some()) {
            let used = facade.get(name).copied().unwrap_or(name);
            let allowed = layer(used).is_some_and(|other| other < level || other == level && LAYERS[level].mutual);
            if used != own && !allowed {
                complaints.push(file.complaint(at, &format!("`{own}` may not use `{used}`")));
            }
        }
    }
    complaints
}

pub(crate) fn unsafe_where_listed(files: &[Source], list: &[(&str, &str)]) -> Vec<String> {
    let under = |file: &Source, place: &str| Path::new(&file.path).starts_with(place);
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| !list.iter().any(|(place, _)| under(file, place))) {
        complaints.extend(file.refuse(&["unsafe"], "stands in a file that tests/tidy.rs does not list"));
    }
    for (place, _) in list {
        let mut there = files.iter().filter(|file| under(file, place)).peekable();
        if there.peek().is_some() && there.all(|file| file.places("unsafe").is_empty()) {
            complaints.push(format!("{place}: listed for `unsafe`, and has none"));
        }
    }
    complaints
}

/// Complaints about a script: its path, its text, its permission bits.
pub(crate) fn runs(path: &str, text: &str, mode: u32) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("#!") {
        complaints.push(format!("{path}:1: a script that opens with no shebang"));
    }
    if mode & 0o111 != 0o111 {
        complaints.push(format!("{path}: a script that may not be executed"));
    }
    complaints
}

/// The crates of `cargo tree --prefix none`, which repeats the shared ones.
pub(crate) fn crates(tree: &str) -> BTreeSet<String> {
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    tree.lines().filter(|line| !line.is_empty()).map(name).collect()
}
