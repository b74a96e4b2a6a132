//! Starts this test binary as ranks behind each launcher there is, and tells what came of it.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use std::{env, io, process};

/// In the ranks: what they run, and the folder where they leave what they have to tell.
pub(crate) const PROGRAM: &str = "LAUNCH_PROGRAM";
pub(crate) const FOLDER: &str = "LAUNCH_FOLDER";
/// The launchers that the caller insists on, with commas, or `all`.
const REQUIRE: &str = "HEIST_REQUIRE";
/// How often what goes wrong is to go wrong.
const REPEATS: &str = "LAUNCH_REPEATS";
/// How long anything may take in all, before it is ended.
const LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(5);

/// A way to start ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Launcher {
    pub(crate) name: &'static str,
    pub(crate) words: &'static [&'static str],
}

const OPEN_MPI: Launcher = Launcher { name: "openmpi", words: &["mpirun", "--oversubscribe"] };
const MPICH: Launcher = Launcher { name: "mpich", words: &["mpirun.mpich"] };
const SLURM_PMIX: Launcher = Launcher { name: "slurm", words: &["srun", "-Q", "-X", "-O", "--mpi=pmix"] };
const SLURM_PMI2: Launcher = Launcher { name: "slurm", words: &["srun", "-Q", "-X", "-O", "--mpi=pmi2"] };

/// Calls `test` with each launcher there is. One that is not is told of, or fails the test where the caller insists on it.
pub(crate) fn each(test: impl Fn(&Launcher)) {
    for launcher in [&OPEN_MPI, &MPICH, &SLURM_PMIX, &SLURM_PMI2] {
        if is_there(launcher) {
            test(launcher);
        }
    }
}

/// Calls `test` with the words that start ranks on so many hosts, so many on each, behind each `mpirun` there is.
pub(crate) fn on_hosts(hosts: usize, each: usize, test: impl Fn(&[&str])) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mpi-hosts");
    let (slots, ranks, hosts) = (format!("SLOTS={each}"), (hosts * each).to_string(), hosts.to_string());
    for (launcher, behind) in [("openmpi", &OPEN_MPI), ("mpich", &MPICH)] {
        if is_there(behind) && has_namespaces() {
            test(&["env", &slots, script, &hosts, launcher, "-n", &ranks, "--"]);
        }
    }
}

fn has_namespaces() -> bool {
    let tried = Command::new("unshare").args(["--net", "--mount", "ip", "link"]).output();
    let there = tried.is_ok_and(|output| output.status.success());
    let insisted = env::var(REQUIRE).unwrap_or_default().split(',').any(|one| one == "hosts" || one == "all");
    assert!(there || !insisted, "{REQUIRE} asks for hosts, and the system makes no network namespaces");
    there
}

/// As [`each`], as often as the caller wants.
pub(crate) fn again(test: impl Fn(&Launcher)) {
    let times = env::var(REPEATS).map_or(1, |times| times.parse().unwrap());
    (0..times).for_each(|_| each(&test));
}

/// As [`each`], with one.
pub(crate) fn under(name: &str, test: impl Fn(&Launcher)) {
    [&OPEN_MPI, &MPICH, &SLURM_PMIX]
        .into_iter()
        .filter(|launcher| launcher.name == name && is_there(launcher))
        .for_each(test);
}

fn is_there(launcher: &Launcher) -> bool {
    let tried =
        Command::new("timeout").args(["60"]).args(launcher.words).args(["-n", "1", "true"]).envs(AS_ROOT).output();
    need(launcher.name, tried).is_some()
}

/// That what was tried has worked, or else that the test is skipped, with the reason printed; fails where the caller insists.
pub(crate) fn need(what: &str, tried: io::Result<Output>) -> Option<()> {
    let reason = match tried {
        Ok(output) if output.status.success() => return Some(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let required = env::var(REQUIRE).unwrap_or_default();
    let insisted = required.split(',').any(|one| one == what || one == "all");
    assert!(!insisted, "{what} is required by {REQUIRE}: {reason}");
    // Past the capture of the test harness, which would keep it from sight.
    let _ = writeln!(io::stderr(), "skipped for want of {what}: {reason}");
    None
}

/// Without these, Open MPI starts nothing for root.
const AS_ROOT: [(&str, &str); 2] = [("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")];

/// Ranks that run.
pub(crate) struct Job {
    launcher: Child,
    out: JoinHandle<String>,
    err: JoinHandle<String>,
    pub(crate) folder: PathBuf,
    begun: Instant,
    told: String,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
    /// From the moment that a rank [told](super::programs::fails) that it would fail.
    pub(crate) took: Option<Duration>,
    /// Files that ranks left, by name.
    pub(crate) files: Vec<(String, String)>,
    pub(crate) begun_by: String,
    pub(crate) told: String,
}

/// Starts so many ranks of `program`.
pub(crate) fn start(launcher: &Launcher, ranks: usize, program: &str, variables: &[(&str, &str)]) -> Job {
    let ranks = ranks.to_string();
    start_behind(&[launcher.words, &["-n", &ranks]].concat(), program, variables)
}

pub(crate) fn start_behind(words: &[&str], program: &str, variables: &[(&str, &str)]) -> Job {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let folder = env::temp_dir().join(format!("launch-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed)));
    fs::create_dir(&folder).unwrap();
    let mut launcher = Command::new(words[0])
        .args(&words[1..])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "the_program_of_the_ranks", "--nocapture", "--test-threads=1"])
        .env(PROGRAM, program)
        .env(FOLDER, &folder)
        .envs(AS_ROOT)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (out, err) = (read(launcher.stdout.take().unwrap()), read(launcher.stderr.take().unwrap()));
    Job { launcher, out, err, folder, begun: Instant::now(), told: format!("{words:?} {program}") }
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Job {
    /// Waits until so many files with names that begin so have been left.
    pub(crate) fn wait_for(&self, files: usize, begin: &str) {
        self.wait(|| {
            let names = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
            (names.filter(|name| name.to_string_lossy().starts_with(begin)).count() >= files).then_some(())
        });
    }

    fn wait<T>(&self, what: impl FnMut() -> Option<T>) -> T {
        let mut what = what;
        loop {
            if let Some(there) = what() {
                return there;
            }
            self.look_again();
        }
    }

    /// Lets some time pass; ends all when there is none left.
    fn look_again(&self) {
        if self.begun.elapsed() > LIMIT {
            signal("KILL", self.launcher.id());
            processes_with(&self.mark()).iter().for_each(|pid| signal("KILL", pid.parse().unwrap()));
            panic!("{}: does not end", self.told);
        }
        std::thread::park_timeout(LOOK);
    }

    /// What all processes of the job have in their environments.
    fn mark(&self) -> String {
        format!("{FOLDER}={}", self.folder.display())
    }

    /// Interrupts the launcher, as Ctrl-C does, once: srun passes that on at once as it was started (`-X`).
    pub(crate) fn interrupt(self) -> Ended {
        signal("INT", self.launcher.id());
        self.end()
    }

    /// Waits for the launcher to end, and for all processes of the job.
    pub(crate) fn end(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.launcher.try_wait().unwrap() {
                break status;
            }
            self.look_again();
        };
        let ended = SystemTime::now();
        let mark = self.mark();
        self.wait(|| processes_with(&mark).is_empty().then_some(()));
        let files: Vec<_> = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let failing = files.iter().find(|path| path.ends_with("failing"));
        let took = failing.map(|path| ended.duration_since(fs::metadata(path).unwrap().modified().unwrap()));
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut files: Vec<_> = files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect();
        files.sort();
        fs::remove_dir_all(&self.folder).unwrap();
        let (out, err) = (self.out.join().unwrap(), self.err.join().unwrap());
        let told = format!("{}: {status}\n{out}{err}", self.told);
        Ended { status, out, err, took: took.map(Result::unwrap_or_default), files, begun_by: self.told, told }
    }
}

fn signal(name: &str, pid: u32) {
    Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
}

/// The processes that were started with this in their environment, less those that have ended.
fn processes_with(entry: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let has = |pid: &String| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|&byte| byte == 0).any(|other| other == entry.as_bytes())
    };
    all.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit())).filter(has).collect()
}

impl Ended {
    /// What heist has said.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.err.lines().chain(self.out.lines()).filter(|line| line.contains("heist: ")).collect()
    }

    /// What the file of that name holds.
    pub(crate) fn file(&self, name: &str) -> &str {
        let found = self.files.iter().find(|(other, _)| other == name);
        found.map_or_else(|| panic!("no {name}: {}", self.told), |(_, text)| text)
    }
}
