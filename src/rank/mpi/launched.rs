//! The engine under real launchers: this test binary starts itself again as ranks.
//!
//! `HEIST_REQUIRE` names what must be there, with commas: `openmpi`, `mpich`, `slurm`, or `all`.

use std::env;
use std::fmt::Debug;
use std::process::{Command, Output};

use super::calls::Element;
use super::engine::{self, Engine, Hear, Job};
use super::{Family, MpiError, Op};
use crate::config;
use crate::rank::codec::{Blob, Frame};

/// Set in a rank.
const MEMBER: &str = "MEMBER_OF_A_TEST";
const LIMIT: &str = "120";

/// What a launcher says to this rank.
pub(super) fn job() -> Job {
    let number = |name: &str| env::var(name).ok()?.parse::<u32>().ok();
    let kinds = [
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", Family::OpenMpi),
        ("PMI_RANK", "PMI_SIZE", Family::Mpich),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", Family::OpenMpi),
    ];
    let found = kinds.into_iter().find_map(|(rank, size, family)| Some((number(rank)?, number(size)?, family)));
    let (rank, size, speaks_to) = found.expect("no launcher");
    let launcher = "the launcher".to_owned();
    Job { launcher, speaks_to, remedy: "use its own".into(), rank, size, library: None, longest: None }
}

/// In a rank: does `what` there, and gives nothing. Else: how to start ranks that do the test `name` of that file.
pub(super) fn members(file: &str, name: &str, what: impl FnOnce()) -> Option<Launch> {
    if env::var_os(MEMBER).is_none() {
        return Some(Launch { name: format!("rank::mpi::{file}::{name}") });
    }
    what();
    None
}

pub(super) struct Launch {
    name: String,
}

impl Launch {
    fn run(&self, words: &[&str]) -> Output {
        Command::new("timeout")
            .args(["-k", "5", LIMIT])
            .args(words)
            .arg(env::current_exe().unwrap())
            .args(["--exact", &self.name, "--nocapture", "--test-threads=1"])
            .env(MEMBER, "1")
            .envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")])
            .output()
            .unwrap()
    }

    fn succeed(&self, words: &[&str], ranks: usize) {
        let output = self.run(words);
        let told = String::from_utf8_lossy(&output.stdout);
        let ran = told.matches("1 passed").count();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && ran == ranks, "{words:?}: {}\n{told}{text}", output.status);
    }

    /// With 1 to 4 ranks under each launcher that is there.
    pub(super) fn everywhere(&self) {
        (1..=4).for_each(|ranks| self.with(ranks));
    }

    pub(super) fn with(&self, ranks: usize) {
        let count = &ranks.to_string();
        for (what, words) in [
            ("openmpi", &["mpirun", "--oversubscribe", "-n", count][..]),
            ("mpich", &["mpirun.mpich", "-n", count]),
            ("slurm", &["srun", "--mpi=pmix", "-O", "-n", count]),
            ("slurm", &["srun", "--mpi=pmi2", "-O", "-n", count]),
        ] {
            if is_there(what) {
                self.succeed(words, ranks);
            }
        }
    }
}

impl Launch {
    /// On so many hosts, which are made of this machine, with so many ranks each.
    pub(super) fn on_hosts(&self, hosts: usize, slots: usize) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mpi-hosts");
        let (slots, ranks) = (format!("SLOTS={slots}"), (hosts * slots).to_string());
        for what in ["openmpi", "mpich"] {
            if is_there(what) && is_there("hosts") {
                let words = ["env", &slots, script, &hosts.to_string(), what, "-n", &ranks, "--"];
                self.succeed(&words, ranks.parse().unwrap());
            }
        }
    }
}

fn is_there(what: &str) -> bool {
    let words = match what {
        "openmpi" => &["mpirun", "--version"][..],
        "mpich" => &["mpirun.mpich", "--version"],
        "hosts" => &["unshare", "--net", "--mount", "ip", "link"],
        _ => &["srun", "-n", "1", "true"],
    };
    let tried = Command::new("timeout").arg("60").args(words).output().unwrap();
    let found =
        tried.status.success() && (what != "openmpi" || String::from_utf8_lossy(&tried.stdout).contains("Open"));
    let required = config::required_by_tests();
    assert!(found || !required.split(',').any(|one| one == what || one == "all"), "{what} is required");
    found
}

fn start() -> Engine {
    engine::start(job()).unwrap()
}

#[test]
fn what_each_rank_gives_all_have() {
    let launch = members("launched", "what_each_rank_gives_all_have", || {
        let (job, engine) = (job(), start());
        assert_eq!((engine.world().rank(), engine.size()), (job.rank, job.size));
        for bytes in [0, 1, 1000, 100_000] {
            let own = |rank: u32| vec![rank as u8; bytes * rank as usize];
            let all = engine.all_gather(&own(job.rank)).unwrap();
            assert!(all.into_iter().eq((0..job.size).map(own)));
        }
        engine.leave().unwrap();
        engine.exit();
        assert!(engine.all_gather(&[]).unwrap_err().to_string().contains("leaves"));
    });
    if let Some(launch) = launch {
        launch.everywhere();
    }
}

/// Every reduction of small numbers, in one type.
fn reductions<T: Element + PartialEq + Debug + Sync>(engine: &Engine, of: fn(u8) -> T) {
    let (world, size) = (engine.world(), engine.size() as u8);
    let own: Vec<T> = (1..=3).map(|i| of(i * (1 + engine.world().rank() as u8))).collect();
    let expect = |fold: fn(u8, u8) -> u8| -> Vec<T> {
        (1..=3).map(|i| of((1..=size).map(|rank| i * rank).reduce(fold).unwrap_or_default())).collect()
    };
    type Fold = fn(u8, u8) -> u8;
    let cases: [(Op, Fold); 4] =
        [(Op::Sum, |a, b| a + b), (Op::Product, u8::wrapping_mul), (Op::Min, Ord::min), (Op::Max, Ord::max)];
    for (op, fold) in cases {
        // 3^4 * 4! is more than a byte holds.
        if op == Op::Product && size > 2 {
            continue;
        }
        let all = engine.wait(|done| world.all_reduce(engine, own.clone(), op, done)).unwrap();
        assert_eq!(all, expect(fold), "{op:?}");
        for root in 0..u32::from(size) {
            let at_root = engine.wait(|done| world.reduce(engine, root, own.clone(), op, done)).unwrap();
            assert!(root != engine.world().rank() || at_root == all, "{op:?}");
        }
    }
}

/// A frame that says from whom it comes and which of his it is, with parts around the lengths that matter.
fn frame(from: u32, number: usize) -> Frame {
    let pattern: Vec<u8> = (0..251_usize).map(|at| (at + number * 7 + from as usize) as u8).collect();
    let some = |length: usize| pattern.repeat(length.div_ceil(251))[..length].to_vec();
    let lengths = [0, 1, 100, 16 << 10, (16 << 10) + 1, 100_000, 400_001, 1 << 20];
    let length = |at: usize| lengths[(number * 5 + at) % lengths.len()];
    let blobs = (0..number % 4).map(|at| Blob::of_vec(some(length(at)))).collect();
    Frame { bytes: [vec![number as u8], some(length(7))].concat(), blobs }
}

fn exchange(longest: Option<usize>) {
    const EACH: usize = 32;
    let job = Job { longest, ..job() };
    let (rank, size) = (job.rank, job.size);
    let engine = &engine::start(job).unwrap();
    let (told, tell) = std::sync::mpsc::channel();
    let arrived = Box::new(move || {
        let _ = told.send(());
    });
    engine.hear(Hear { arrived, failed: Box::new(|why| panic!("{why}")) });
    let others = || (0..size).filter(|&other| other != rank);
    let sum = |done| engine.world().all_reduce(engine, vec![1_u32], Op::Sum, done);
    let half = EACH / 2;
    std::thread::scope(|scope| {
        // One thread sends to all the others, and in the middle of it all ranks do something together.
        scope.spawn(move || {
            for number in 0..EACH {
                if number == half {
                    assert_eq!(engine.wait(sum).unwrap(), [size]);
                }
                others().for_each(|to| engine.send(to, frame(rank, number)));
            }
        });
        let mut seen = vec![0; size as usize];
        while others().any(|from| seen[from as usize] < EACH) {
            tell.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
            while let Some((from, came)) = engine.take() {
                let number = seen[from as usize];
                let expected = frame(from, number);
                assert!(came.bytes == expected.bytes, "{number} from {from}");
                assert_eq!(came.blobs.len(), expected.blobs.len());
                assert!(came.blobs.iter().zip(&expected.blobs).all(|(came, expected)| **came == **expected));
                seen[from as usize] += 1;
            }
        }
    });
    engine.leave().unwrap();
    engine.exit();
    assert!(engine.take().is_none());
}

#[test]
fn frames_come_whole_and_in_order() {
    if let Some(launch) = members("launched", "frames_come_whole_and_in_order", || exchange(None)) {
        launch.everywhere();
        launch.on_hosts(2, 2);
    }
}

#[test]
fn frames_longer_than_mpi_can_count_go_in_pieces() {
    if let Some(launch) =
        members("launched", "frames_longer_than_mpi_can_count_go_in_pieces", || exchange(Some(30_000)))
    {
        launch.everywhere();
    }
}

#[test]
fn collectives() {
    let launch = members("launched", "collectives", || {
        let engine = &start();
        let (world, rank, size) = (engine.world(), engine.world().rank(), engine.size());
        reductions::<u8>(engine, |n| n);
        reductions::<i8>(engine, |n| n as i8);
        reductions::<u16>(engine, u16::from);
        reductions::<i16>(engine, i16::from);
        reductions::<u32>(engine, u32::from);
        reductions::<i32>(engine, i32::from);
        reductions::<u64>(engine, u64::from);
        reductions::<i64>(engine, i64::from);
        reductions::<f32>(engine, f32::from);
        reductions::<f64>(engine, f64::from);
        // Of the rank's number, as many as that and one.
        let own = |rank: u32| vec![f64::from(rank); rank as usize + 1];
        let all: Vec<f64> = (0..size).flat_map(own).collect();
        let counts: Vec<usize> = (0..size).map(|rank| rank as usize + 1).collect();
        for root in 0..size {
            let data = if rank == root { all.clone() } else { vec![0.0; all.len()] };
            assert_eq!(engine.wait(|done| world.broadcast(engine, root, data, done)).unwrap(), all);
            let gathered = engine.wait(|done| world.gather(engine, root, own(rank), counts.clone(), done)).unwrap();
            assert!(if rank == root { gathered == all } else { gathered.is_empty() });
            let data = all.clone();
            let part = engine.wait(|done| world.scatter(engine, root, data, counts.clone(), rank as usize + 1, done));
            assert_eq!(part.unwrap(), own(rank));
        }
        let gathered = engine.wait(|done| world.all_gather(engine, own(rank), counts.clone(), done)).unwrap();
        assert_eq!(gathered, all);
        // To rank r go r + 1 elements that say from whom.
        let data = vec![u64::from(rank); counts.iter().sum()];
        let received = vec![rank as usize + 1; size as usize];
        let came = engine.wait(|done| world.all_to_all(engine, data, counts.clone(), received, done)).unwrap();
        assert_eq!(came, (0..u64::from(size)).flat_map(|from| vec![from; rank as usize + 1]).collect::<Vec<_>>());

        // What does not fit is refused before MPI sees it.
        let wrong = engine.wait(|done| world.all_to_all(engine, vec![0_u8], vec![2; size as usize], vec![], done));
        assert!(wrong.is_err());
        assert!(engine.wait(|done| world.all_gather(engine, vec![0_u8], vec![], done)).is_err());

        // Two at once, in the order they were begun.
        let (told, tell) = std::sync::mpsc::channel();
        for (number, told) in [(0_u32, told.clone()), (1, told)] {
            let done = Box::new(move |sum: Result<Vec<u32>, MpiError>| told.send(sum.unwrap()).unwrap());
            world.all_reduce(engine, vec![number], Op::Sum, done);
        }
        let mut sums: Vec<_> = tell.into_iter().flatten().collect();
        sums.sort_unstable();
        assert_eq!(sums, [0, size]);

        let part = world.split(engine, (rank > 0).then_some(rank % 2), size - rank).unwrap();
        assert_eq!(part.is_none(), rank == 0);
        if let Some(part) = part {
            let like = (1..size).filter(|other| other % 2 == rank % 2).count() as u32;
            let before = (rank + 1..size).filter(|other| other % 2 == rank % 2).count() as u32;
            assert_eq!((part.rank(), part.size()), (before, like));
            let sum = engine.wait(|done| part.all_reduce(engine, vec![1_u64], Op::Sum, done)).unwrap();
            assert_eq!(sum, [u64::from(like)]);
        }
        engine.leave().unwrap();
        engine.exit();
    });
    if let Some(launch) = launch {
        launch.everywhere();
    }
}

#[test]
fn the_wrong_library_is_an_error_that_names_both_sides() {
    let launch = members("launched", "the_wrong_library_is_an_error_that_names_both_sides", || {
        let mut job = job();
        job.library = Some(if job.speaks_to == Family::OpenMpi { "libmpich.so.12" } else { "libmpi.so.40" }.into());
        let why = engine::start(job).map(|_| ()).unwrap_err().to_string();
        assert!(why.contains("rank 0 of 1") && why.contains("the launcher says rank"), "{why}");
        assert!(why.contains("use its own"), "{why}");
    });
    if let Some(launch) = launch {
        for (what, words) in
            [("openmpi", ["mpirun", "--oversubscribe", "-n", "2"].as_slice()), ("mpich", &["mpirun.mpich", "-n", "2"])]
        {
            if is_there(what) {
                launch.run(words);
                launch.succeed(words, 2);
            }
        }
    }
}

#[test]
fn no_library_is_an_error_that_says_what_to_do() {
    let job = Job {
        launcher: String::new(),
        speaks_to: Family::Mpich,
        remedy: String::new(),
        rank: 0,
        size: 1,
        library: Some("/nowhere/libmpi.so".into()),
        longest: None,
    };
    let why = engine::start(job).map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("/nowhere/libmpi.so"), "{why}");
}

#[test]
fn the_end_of_the_job_has_the_code_that_a_rank_asks_for() {
    let launch = members("launched", "the_end_of_the_job_has_the_code_that_a_rank_asks_for", || {
        let engine = start();
        if engine.world().rank() + 1 == engine.size() {
            engine.abort(7);
        }
        // Never comes to its end.
        drop(engine.all_gather(&[]));
        drop(engine.wait::<()>(std::mem::forget));
    });
    if let Some(launch) = launch {
        for (what, words) in
            [("openmpi", ["mpirun", "--oversubscribe", "-n", "2"].as_slice()), ("mpich", &["mpirun.mpich", "-n", "2"])]
        {
            if is_there(what) {
                assert_eq!(launch.run(words).status.code(), Some(7), "{words:?}");
            }
        }
    }
}
