//! What a worker needs to know of its host.
