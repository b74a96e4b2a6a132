//! What `heist::io` promises, a module per promise.

use std::time::Duration;

use heist::io;

mod actors;
#[path = "../again/mod.rs"]
#[allow(dead_code, reason = "shared")]
mod again;
#[path = "../../examples/monitor.rs"]
mod monitor;
mod place;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "shared with tests/it")]
mod support;
mod timers;
mod watched;

#[test]
fn what_waits_may_be_sent_and_shared() {
    fn both<T: Send + Sync>() {}
    fn sent(_: &(impl Send + Sync)) {}
    both::<heist::ActorTimer>();
    both::<io::Sleep>();
    both::<io::Interval>();
    both::<io::Watched<std::net::TcpStream>>();
    both::<io::Ready<'_>>();
    both::<io::Signals>();
    both::<io::NextSignal<'_>>();
    both::<heist::ShutdownOnSignals>();
    sent(&io::timeout(Duration::ZERO, async {}));
}

#[test]
fn the_example_of_a_monitor_runs() {
    support::guard(|| monitor::main().unwrap());
}
