//! What heist promises, a module per promise.

mod as_completed;
mod awaiting;
mod blocked;
mod bounds;
mod callback;
mod cancel;
mod close;
mod data;
mod errors;
mod executors;
mod gather;
mod idle;
mod nested;
mod release;
mod spread;
mod submit;
mod support;
mod wait;
mod workers;
