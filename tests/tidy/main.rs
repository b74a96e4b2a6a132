//! Rules of this repository that no compiler checks: each runs on the repository itself, and on small bad samples that it
//! must refuse.

mod rules;
mod source;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rules::*;
use source::Source;

/// The files below `folder`, build output and hidden folders left out.
fn walk(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if !entry.file_type().unwrap().is_dir() {
            found.push(path);
        } else if name != "target" && !name.starts_with('.') {
            found.extend(walk(&path));
        }
    }
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn repository() -> Vec<Source> {
    let rust = walk("").into_iter().filter(|path| path.ends_with(".rs"));
    let files: Vec<_> = rust.map(|path| Source::new(&path, &read(&path))).collect();
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the walk missed src/lib.rs");
    files
}

#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The rule refuses the file `path` with this text, once.
#[track_caller]
fn refuses(rule: fn(&[Source]) -> Vec<String>, path: &str, text: &str) {
    let complaints = rule(&[Source::new(path, text)]);
    assert_eq!(complaints.len(), 1, "{text:?} in {path} gave {complaints:?}");
}

#[track_caller]
fn accepts(rule: fn(&[Source]) -> Vec<String>, path: &str, text: &str) {
    none(&rule(&[Source::new(path, text)]));
}

#[test]
fn every_file_opens_with_its_purpose() {
    none(&opens_with_its_purpose(&repository()));
    refuses(opens_with_its_purpose, "src/a.rs", "use std::fmt;\n//! Late.\n");
    refuses(opens_with_its_purpose, "src/a.rs", "");
}

#[test]
fn no_file_is_too_long() {
    none(&short(&repository()));
    refuses(short, "src/a.rs", &"\n".repeat(MOST_LINES + 1));
    accepts(short, "src/a.rs", &"\n".repeat(MOST_LINES));
}

#[test]
fn nothing_is_left_undone() {
    none(&finished(&repository()));
    refuses(finished, "tests/a.rs", "fn f() { todo!() }");
    refuses(finished, "tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}");
    accepts(finished, "tests/a.rs", "// todo!() was here\nfn f() -> &'static str { \"todo!()\" }");
}

#[test]
fn the_library_does_not_print() {
    none(&library_never_prints(&repository()));
    refuses(library_never_prints, "numa/src/a.rs", "fn f() { eprintln!(\"x\") }");
    refuses(library_never_prints, "src/a.rs", "fn f() { std::io::stdout().flush(); }");
    accepts(library_never_prints, "src/bin/a.rs", "fn f() { println!() }");
    accepts(library_never_prints, "src/a.rs", "/// println!()\nfn f() { my_println!() }");
}

#[test]
fn the_environment_is_read_in_one_place() {
    let rule = only_config_reads_the_environment;
    none(&rule(&repository()));
    refuses(rule, "src/a.rs", "fn f() { std::env::var_os(NAME); }");
    refuses(rule, "src/a.rs", "const NAME: &str = \"HEIST_SEED\";");
    accepts(rule, "src/config.rs", "fn f() { std::env::var(\"HEIST_SEED\"); }");
    accepts(rule, "src/a.rs", "/// Or HEIST_SEED.\nconst M: &str = \"HEIST_SEED is no number\";");
}

#[test]
fn imports_keep_to_the_layers() {
    none(&layers_hold(&repository()));
    refuses(layers_hold, "src/task/cell.rs", "use crate::scheduler::route;");
    refuses(layers_hold, "src/task/cell.rs", "use crate::{primitive::park, future::{Wait, Gather}};");
    refuses(layers_hold, "src/task/cell.rs", "use super::super::scheduler::route;");
    refuses(layers_hold, "src/graph.rs", "fn f(x: crate::data::Chunk) {}");
    refuses(layers_hold, "src/task.rs", "use crate::prelude::*;");
    refuses(layers_hold, "src/unheard_of.rs", "");
    accepts(layers_hold, "src/task/cell.rs", "use super::state; use crate::{task::raw, primitive::park};");
    accepts(layers_hold, "src/executor.rs", "use crate::{builder::Builder, future}; pub(crate) struct E;");
    accepts(layers_hold, "src/error.rs", "mod tests { use super::*; use super::Error; }");
}

#[test]
fn a_name_of_the_facade_stands_for_its_module() {
    let lib = || Source::new("src/lib.rs", "mod future;\npub use future::{TaskFuture, wait::{any as wait_any}};");
    for name in ["TaskFuture", "wait_any"] {
        let user = |path| Source::new(path, &format!("use crate::{name};"));
        assert_eq!(layers_hold(&[lib(), user("src/task.rs")]), ["src/task.rs:1: `task` may not use `future`"]);
        none(&layers_hold(&[lib(), user("src/sync.rs")]));
    }
}

#[test]
fn unsafe_stands_only_where_listed() {
    none(&unsafe_where_listed(&repository(), UNSAFE));
    let rule = |files: &[Source]| unsafe_where_listed(files, &[("src/raw", "")]);
    refuses(rule, "src/a.rs", "fn f() { unsafe { g() } }");
    refuses(rule, "src/rawer.rs", "unsafe impl Send for A {}");
    refuses(rule, "src/raw/a.rs", "fn listed_for_nothing() {}");
    accepts(rule, "src/raw/a.rs", "unsafe fn f() {}");
    accepts(rule, "src/a.rs", "#![deny(unsafe_code)] // unsafe\nconst C: (char, &str) = ('\"', r#\"unsafe \" \"#);");
}

#[test]
fn every_script_runs() {
    let data = [".txt", ".md", ".toml", ".json", ".csv"];
    let scripts = [walk("scripts"), walk(".ci")].concat();
    let scripts = scripts.iter().filter(|path| !data.iter().any(|end| path.ends_with(end)));
    let mode =
        |path: &str| fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap().permissions().mode();
    none(&scripts.flat_map(|path| runs(path, &read(path), mode(path))).collect::<Vec<_>>());
    assert_eq!(runs("scripts/a", "echo\n", 0o755).len(), 1);
    assert_eq!(runs("scripts/a", "#!/bin/sh\n", 0o644).len(), 1);
}

#[test]
fn a_default_build_is_small() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["tree", "--locked", "--package", "heist", "--edges", "normal,build", "--prefix", "none"];
    let tree = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let crates = crates(std::str::from_utf8(&tree.stdout).unwrap());
    assert!(crates.iter().any(|name| name.starts_with("heist v")), "no tree: {crates:?}");
    assert!(crates.len() <= MOST_CRATES, "{} crates: {crates:#?}", crates.len());
}

#[test]
fn a_crate_is_counted_once_for_each_version() {
    let tree = "heist v0.1.0 (/home/x/heist)\nlibc v0.2.1\nheist-numa v0.1.0 (/home/x)\nlibc v0.2.1 (*)\nlibc v0.1.0\n";
    assert_eq!(crates(tree).len(), 4);
}
