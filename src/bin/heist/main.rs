//! The `heist` program.
fn main() {}
