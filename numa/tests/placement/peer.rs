//! A test as a second process: this binary again, with one test and a role in it.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

/// What a peer's words begin with, since the harness prints to the same pipe.
const MARK: &str = "peer: ";

/// The role that this process has been started for, and what it is to look at.
pub(crate) fn role() -> Option<(String, String)> {
    Some((env::var("PLACEMENT_ROLE").ok()?, env::var("PLACEMENT_ARGUMENT").ok()?))
}

/// As a peer: tells the process that started it.
pub(crate) fn say(text: &str) {
    let line = format!("{MARK}{text}\n");
    io::stdout().write_all(line.as_bytes()).unwrap();
}

/// As a peer: waits until told to go on.
pub(crate) fn wait() {
    io::stdin().lines().next().unwrap().unwrap();
}

pub(crate) struct Peer {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the test again, which is to see its role.
    pub(crate) fn start(test: &str, role: &str, argument: &str) -> Peer {
        Peer::spawn(Command::new(env::current_exe().unwrap()), test, role, argument)
    }

    /// Starts it by a command that takes a program and its arguments.
    pub(crate) fn start_by(mut command: Command, test: &str, role: &str, argument: &str) -> Peer {
        command.arg(env::current_exe().unwrap());
        Peer::spawn(command, test, role, argument)
    }

    fn spawn(mut command: Command, test: &str, role: &str, argument: &str) -> Peer {
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
        command.env("PLACEMENT_ROLE", role).env("PLACEMENT_ARGUMENT", argument);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Peer { child, output }
    }

    /// The next that it says; `None` when it ended.
    pub(crate) fn try_hear(&mut self) -> Option<String> {
        let mut lines = (&mut self.output).lines().map(Result::unwrap);
        lines.find_map(|line| line.split_once(MARK).map(|(_, text)| text.to_owned()))
    }

    pub(crate) fn hear(&mut self) -> String {
        match self.try_hear() {
            Some(text) => text,
            None => panic!("the peer ended with {}", self.child.wait().unwrap()),
        }
    }

    /// Lets it go on and ends with it.
    pub(crate) fn finish(mut self) {
        // One that waits for nothing may have ended.
        _ = writeln!(self.child.stdin.take().unwrap());
        while self.try_hear().is_some() {}
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the peer ended with {status}");
    }

    /// Ends it as by `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}
