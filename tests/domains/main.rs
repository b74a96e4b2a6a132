//! What holds on every domain of the host, one or many; and on made-up hosts of many. A binary of its own, for guests.

#[path = "../again/mod.rs"]
mod again;
mod made_up;
mod peak;
mod placed;
mod scheduling;
