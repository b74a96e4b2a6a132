//! What a rank starts is no rank.

use std::process::Command;

use crate::config;

/// Keeps a program that this one starts from taking itself for a rank of the job: it is not told what the launcher has told
/// this process. What the user has set for MPI or for the batch system it is told.
///
/// ```
/// use std::process::Command;
/// let mut command = Command::new("true");
/// assert!(heist::detach_command(&mut command).status()?.success());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn detach_command(command: &mut Command) -> &mut Command {
    config::launcher_variables().into_iter().fold(command, |command, name| command.env_remove(name))
}
