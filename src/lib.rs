//! heist: an embedded work-stealing executor with live futures.
