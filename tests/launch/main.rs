//! What holds for the ranks of a job under real launchers: they find each other, work on cores of their own, leave together;
//! and whatever goes wrong with one of them ends all, soon, with one message.
//!
//! `HEIST_REQUIRE` names what must be there, with commas: `openmpi`, `mpich`, `slurm`, `hosts`, or `all`. `LAUNCH_REPEATS` says how often
//! each failure is tried.

mod behind;
mod bound;
mod failures;
mod hosts;
mod programs;
#[path = "../ranks/spmd.rs"]
mod spmd;
mod together;
mod work;

/// What the ranks run: this test, named by whoever started them.
#[test]
fn the_program_of_the_ranks() {
    programs::run();
}
