//! heist within a tokio program: async code awaits what the pool computes, and tasks of the pool await what tokio brings.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::time::Duration;

use heist::Executor;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// What a request costs: too much for a thread that serves connections.
fn primes_below(n: u64) -> usize {
    (2..n).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

async fn serve(ex: &Executor) -> Result<(), Box<dyn Error>> {
    // Requests come now and then, as from a socket.
    let (requests, mut received) = mpsc::channel(8);
    tokio::spawn(async move {
        for n in [1_000, 10_000, 20_000, 30_000] {
            sleep(Duration::from_millis(1)).await;
            if requests.send(n).await.is_err() {
                return;
            }
        }
    });

    // Each becomes a task of the pool; tokio's thread only awaits it.
    while let Some(n) = received.recv().await {
        let primes = ex.submit(move || primes_below(n)).await?;
        println!("{primes} primes below {n}");
    }

    // A task of the pool awaits a channel that tokio fills: its core is free meanwhile.
    let (numbers, mut received) = mpsc::channel::<u64>(8);
    let sum = ex.spawn(async move {
        let mut sum = 0;
        while let Some(number) = received.recv().await {
            sum += number;
        }
        sum
    });
    for number in 1..=100 {
        numbers.send(number).await?;
    }
    drop(numbers);
    println!("the pool has added up {}", sum.await?);

    // tokio's own timeout, around a task that takes too long; what nobody wants any more is cancelled.
    let (_never, slow) = ex.promise::<u64>();
    if timeout(Duration::from_millis(5), async { (&slow).await }).await.is_err() {
        slow.cancel("took too long");
        println!("given up: {}", slow.cancelled());
    }
    Ok(())
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let ex = Executor::new()?;
    tokio.block_on(serve(&ex))?;
    ex.shutdown(heist::Shutdown::Wait);
    Ok(())
}
