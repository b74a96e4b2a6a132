//! A pipeline with locks: orders are read, checked and booked, each stage a task that follows the one before. Booking takes
//! money from one account to another, under the locks of both; taken at once, they make no circle of waits.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use heist::prelude::*;
use heist::{Lock, MultiLock};

const ACCOUNTS: usize = 5;
const START: i64 = 100;

/// An account whose balance is read and written by whoever holds its lock.
#[derive(Default)]
struct Account {
    lock: Lock,
    balance: AtomicI64,
}

impl Account {
    /// Two steps on purpose: without the lock, another one's would be lost in between.
    fn add(&self, amount: i64) {
        let before = self.balance.load(Ordering::Relaxed);
        self.balance.store(before + amount, Ordering::Relaxed);
    }
}

struct Order {
    from: usize,
    to: usize,
    amount: i64,
}

/// Why an order is not booked.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.0)
    }
}

impl Error for Refused {}

fn read(line: &str) -> Result<Order, Refused> {
    let fields: Vec<i64> = line.split(' ').map_while(|field| field.parse().ok()).collect();
    let &[from, to, amount] = &fields[..] else { return Err(Refused(format!("'{line}' is no order"))) };
    let account = |number| usize::try_from(number).map_err(|_| Refused(format!("there is no account {number}")));
    Ok(Order { from: account(from)?, to: account(to)?, amount })
}

fn check(order: &Order) -> Result<(), Refused> {
    if order.from.max(order.to) < ACCOUNTS && order.from != order.to && order.amount > 0 {
        return Ok(());
    }
    Err(Refused(format!("{} from {} to {}", order.amount, order.from, order.to)))
}

fn book(accounts: &[Account], order: &Order) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (from, to) = (&accounts[order.from], &accounts[order.to]);
    let _both = MultiLock::new([&from.lock, &to.lock]).lock()?;
    if from.balance.load(Ordering::Relaxed) < order.amount {
        return Err(Refused(format!("account {} has not got {}", order.from, order.amount)).into());
    }
    from.add(-order.amount);
    to.add(order.amount);
    Ok(())
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::new()?;
    let accounts: Arc<Vec<Account>> = Arc::new((0..ACCOUNTS).map(|_| Account::default()).collect());
    accounts.iter().for_each(|account| account.add(START));
    let lines = (0..5000).map(|n| match n % 100 {
        98 => "an order".to_owned(),
        99 => format!("{} {} 1", n % 5, ACCOUNTS),
        _ => format!("{} {} {}", n % 5, (n * 7 + 1 + n % 5) % 5, 1 + n % 3),
    });
    let booked = lines.map(|line| {
        let order = ex.submit_result(move || read(&line));
        let checked = ex.submit_result_after(&order, check);
        let accounts = Arc::clone(&accounts);
        ex.submit_result_after((order, checked), move |(order, _checked)| book(&accounts, order))
    });
    let results = ex.gather_results(booked.collect::<Vec<_>>());
    let (booked, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let reasons = refused.iter().filter(|result| {
        let error = result.as_ref().err().map(TaskError::root);
        error.is_some_and(|error| error.downcast_ref::<Refused>().is_some())
    });
    let total: i64 = accounts.iter().map(|account| account.balance.load(Ordering::Relaxed)).sum();
    println!("{} orders booked, {} refused; the accounts have {total} together", booked.len(), refused.len());
    assert_eq!(reasons.count(), refused.len());
    assert!(booked.len() > 1000 && refused.len() >= 100);
    assert_eq!(total, START * ACCOUNTS as i64);
    Ok(())
}
