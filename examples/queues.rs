//! Producers and consumers over queues: more of them than workers, each a task. One that waits for a queue lends its core, and
//! a bounded queue keeps producers from running ahead.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

use heist::Queue;
use heist::prelude::*;

const PRODUCERS: u64 = 16;
const CONSUMERS: u64 = 16;
const EACH: u64 = 500;
/// Numbers that may lie in the queue of work.
const ROOM: usize = 8;

/// Whether `number` is a prime.
fn is_prime(number: u64) -> bool {
    number >= 2
        && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::new()?;
    let (numbers, primes) = (Queue::bounded(ROOM), Queue::unbounded());
    let producers = ex.map(0..PRODUCERS, {
        let numbers = numbers.clone();
        move |producer| (producer * EACH..(producer + 1) * EACH).try_for_each(|number| numbers.put(number)).is_ok()
    });
    let consumers = ex.map(0..CONSUMERS, {
        let (numbers, primes) = (numbers.clone(), primes.clone());
        move |_| {
            let mut looked_at = 0_u64;
            for number in numbers.iter() {
                looked_at += 1;
                if is_prime(number) && primes.put(number).is_err() {
                    break;
                }
            }
            looked_at
        }
    });
    assert!(ex.gather(producers)?.into_iter().all(|all_put| all_put));
    // What is in the queue is still taken; then it has ended.
    numbers.close();
    let looked_at: u64 = ex.gather(consumers)?.iter().sum();
    let mut primes = primes.get_all();
    primes.sort_unstable();
    println!("{} primes among {looked_at} numbers, the greatest is {:?}", primes.len(), primes.last());
    assert_eq!(looked_at, PRODUCERS * EACH);
    assert_eq!((primes.len(), primes.last()), (1007, Some(&7993)));
    Ok(())
}
