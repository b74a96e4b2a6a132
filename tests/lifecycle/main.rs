//! The life of a task, from every start to every end: runs, drops, statuses.

mod corners;
mod product;
mod watchdog;

use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn the_full_product_of_lives() {
    let now = Arc::new(Mutex::new(String::new()));
    let told = now.clone();
    watchdog::within(
        Duration::from_secs(900),
        move || told.lock().unwrap().clone(),
        move || {
            let cases = product::every_case();
            assert!(cases.len() > 4_000, "{} cases are not the full product", cases.len());
            let wrong: Vec<_> = cases
                .iter()
                .filter_map(|case| {
                    *now.lock().unwrap() = format!("{case:?}");
                    product::check(case).err()
                })
                .collect();
            let some = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
            assert!(wrong.is_empty(), "{} of {} cases are wrong, such as\n{some}", wrong.len(), cases.len());
        },
    );
}
