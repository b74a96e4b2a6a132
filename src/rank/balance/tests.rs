//! Work on worlds of this process.
