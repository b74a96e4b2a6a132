//! Recordings of hosts, `*.host` here: one line for all files that have the same text and whose paths differ only in
//! the numbers of CPUs, nodes and caches; `%` in the text is the first of these.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use heist_numa::CpuSet;

/// A recorded host.
pub(crate) struct Recording {
    pub(crate) name: String,
    text: String,
}

/// A recorded host's files, below a directory that is removed on drop.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Recording {
    /// All of them, by name.
    pub(crate) fn all() -> Vec<Recording> {
        let entries = fs::read_dir(folder()).unwrap();
        let paths =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "host"));
        let mut all: Vec<_> = paths
            .map(|path| Recording {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                text: fs::read_to_string(path).unwrap(),
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(all.len() > 40, "only {} recordings were found", all.len());
        all
    }

    /// What hwloc says of one type of object: their PUs, and of domains also the id.
    pub(crate) fn hwloc(&self, kind: &str) -> Vec<String> {
        let prefix = format!("= {kind} ");
        let told = self.text.lines().find_map(|line| line.strip_prefix(&prefix));
        told.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    /// Writes the files.
    pub(crate) fn lay_out(&self) -> Tree {
        static TREES: AtomicUsize = AtomicUsize::new(0);
        let number = TREES.fetch_add(1, Ordering::Relaxed);
        let root = base().join(format!("heist-recorded-{}-{number}", process::id()));
        for line in self.text.lines().filter(|line| !line.starts_with(['#', '='])) {
            let (path, text) = line.split_once('\t').unwrap();
            let text = text.replace("\\n", "\n").replace("\\0", "\0") + "\n";
            for path in expand(path) {
                let id: String =
                    path.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
                write(&root.join("sys/devices/system").join(&path), &text.replace('%', &id));
            }
        }
        Tree { root }
    }
}

/// The folder of the recordings, whichever package's tests these are.
fn folder() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["tests/hosts", "numa/tests/hosts"].map(|folder| package.join(folder));
    folders.into_iter().find(|folder| folder.is_dir()).unwrap()
}

/// Where trees are laid out: in memory, if it can be had, since they are of thousands of files.
fn base() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { env::temp_dir() }
}

/// The paths that `cpu{0-3,8}/cache/index{0-1}/type` stands for.
fn expand(path: &str) -> Vec<String> {
    let Some((head, rest)) = path.split_once('{') else {
        return vec![path.to_owned()];
    };
    let (numbers, tail) = rest.split_once('}').unwrap();
    let tails = expand(tail);
    let numbers: CpuSet = numbers.parse().unwrap();
    numbers.iter().flat_map(|number| tails.iter().map(move |tail| format!("{head}{number}{tail}"))).collect()
}

/// A path that ends with a slash is a directory.
fn write(path: &Path, text: &str) {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        fs::create_dir_all(path).unwrap();
    } else if fs::write(path, text).is_err() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Tree {
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}
