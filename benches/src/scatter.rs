//! A slice is cut into chunks, one a worker, in memory of its domain; beside the same number of threads that copy it
//! into memory of the same pages.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use heist::{Executor, Partition};
use heist_numa::{PageSize, Region, affinity, pin};

use crate::one::Args;
use crate::report::{Report, Series, timed};

/// Into memory that is taken for it, and into memory that held other values before.
pub const WORKLOADS: &[&str] = &["fresh", "warm"];

/// Who can do it.
pub const RUNTIMES: &[&str] = &["heist", "memcpy"];

/// Bytes that a thread copies in one go.
const PIECE: usize = 2 << 20;

/// Scatters [`Args::tasks`] MiB some times, and looks whether they have come.
///
/// # Errors
///
/// When the runtime is unknown, there is not enough memory, and when a value is wrong.
pub fn measure(args: &Args) -> Result<Report, String> {
    let len = usize::try_from(args.tasks << 20).map_err(|_| "more than memory holds")? / size_of::<u64>();
    let values: Vec<u64> = (0..len as u64).collect();
    let warm = args.workload == "warm";
    let mut copy = match args.runtime.as_str() {
        "heist" => heist(&values, args.workers, warm)?,
        "memcpy" => memcpy(&values, args.workers, warm)?,
        _ => return Err("no runtime of that name".into()),
    };
    let mut total = Series::new("total", "ms");
    copy()?;
    for _ in 0..args.repeats {
        total.samples.push(copy()?.as_secs_f64() * 1e3);
    }
    Ok(Report { series: vec![total] })
}

type Copying<'a> = Box<dyn FnMut() -> Result<Duration, String> + 'a>;

fn heist(values: &[u64], workers: usize, warm: bool) -> Result<Copying<'_>, String> {
    let ex = Executor::builder().workers(workers).build().map_err(|error| error.to_string())?;
    let mut kept = None;
    Ok(Box::new(move || {
        let (parts, took, _) = timed(|| match kept.take() {
            Some(parts) if warm => heist::Scattered::refill(parts, values),
            _ => ex.scatter_slice(values, Partition::per_worker()),
        });
        let parts = parts.map_err(|error| error.to_string())?;
        for chunk in &parts {
            let chunk = chunk.value().map_err(|error| error.to_string())?;
            if chunk.first() != values.get(chunk.range().start) {
                return Err("another value".into());
            }
        }
        kept = warm.then_some(parts);
        Ok(took)
    }))
}

fn memcpy(values: &[u64], workers: usize, warm: bool) -> Result<Copying<'_>, String> {
    let mut kept = None;
    Ok(Box::new(move || {
        let (region, took, _) = timed(|| {
            let mut region = match kept.take() {
                Some(region) => region,
                None => Region::<u64>::builder().pages(PageSize::Huge).allocate(values.len())?,
            };
            copy(values, &mut region, workers);
            Ok(region)
        });
        let region = region.map_err(|error: heist_numa::Error| error.to_string())?;
        if black_box(region.last()) != values.last() {
            return Err("another value".into());
        }
        kept = warm.then_some(region);
        Ok(took)
    }))
}

/// Copies by so many threads, each on a PU of its own.
fn copy(from: &[u64], to: &mut [u64], threads: usize) {
    let piece = PIECE / size_of::<u64>();
    let pieces = Mutex::new(from.chunks(piece).zip(to.chunks_mut(piece)));
    let pus: Vec<_> = affinity().map_or(vec![], |pus| pus.iter().collect());
    thread::scope(|scope| {
        for thread in 0..threads {
            let (pieces, pu) = (&pieces, pus.get(thread));
            scope.spawn(move || {
                if let Some(&pu) = pu {
                    let _ = pin(pu);
                }
                let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some((from, to)) = next() {
                    to.copy_from_slice(from);
                }
            });
        }
    });
}
