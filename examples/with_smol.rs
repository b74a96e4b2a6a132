//! heist within a smol program: a stream of jobs that smol paces, computed by the pool, told as they are done.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::time::Duration;

use heist::{Executor, as_completed};
use smol::channel;
use smol::stream::StreamExt;

/// Steps until a number reaches 1 by Collatz' rule.
fn steps(mut n: u64) -> u32 {
    let mut steps = 0;
    while n != 1 {
        n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
        steps += 1;
    }
    steps
}

async fn compute(ex: &Executor) -> Result<(), Box<dyn Error>> {
    // A producer at smol's pace.
    let (jobs, received) = channel::bounded(4);
    let producer = smol::spawn(async move {
        let mut ticks = smol::Timer::interval(Duration::from_millis(1));
        for n in [6, 27, 97, 871, 6171] {
            ticks.next().await;
            if jobs.send(n).await.is_err() {
                return;
            }
        }
    });

    // Every job is a task at once; its result is told when it is there.
    let mut running = as_completed([]);
    while let Ok(n) = received.recv().await {
        running.push(ex.submit(move || (n, steps(n))));
    }
    producer.await;
    let mut longest = (0, 0);
    while let Some((_, result)) = running.next_async().await {
        let (n, steps) = result?;
        longest = longest.max((steps, n));
    }
    println!("{} takes longest: {} steps", longest.1, longest.0);

    // And the other way: a task of the pool awaits a timer of smol's.
    let waited = ex.spawn(async {
        smol::Timer::after(Duration::from_millis(2)).await;
        "a task has awaited smol's timer"
    });
    println!("{}", waited.await?);
    Ok(())
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::new()?;
    smol::block_on(compute(&ex))
}
