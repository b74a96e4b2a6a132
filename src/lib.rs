//! heist
#![allow(dead_code)]
mod error;
mod panics;
mod primitive;
mod task;
