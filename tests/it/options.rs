//! What can be said about a task: names, places, and what comes of wrong ones.

use heist::{Place, Priority};

use crate::support::{executor, guard};

#[test]
fn names_are_shown_by_futures_and_errors() {
    guard(|| {
        let ex = executor(1);
        let named = ex.task().name("potrf").submit(|| -> u32 { panic!("singular") });
        assert!(format!("{named:?}").contains("potrf"));
        let error = named.result().unwrap_err();
        assert!(error.to_string().contains("potrf") && error.to_string().contains("singular"), "{error}");
        assert_eq!(error.name(), Some("potrf"));
        let dependent = ex.submit_after(&named, |n| n + 1).result().unwrap_err();
        assert_eq!(dependent.name(), Some("potrf"));
        let owned = ex.task().name(format!("tile {}", 3)).submit(|| 1);
        assert!(format!("{owned:?}").contains("tile 3"));
    });
}

#[test]
fn a_task_without_a_name_is_called_as_its_closure() {
    let ex = executor(1);
    let own = "a_task_without_a_name_is_called_as_its_closure::{{closure}}";
    assert!(format!("{:?}", ex.submit(|| 1)).contains(own));
    assert!(format!("{:?}", ex.submit_result(|| Ok::<_, String>(1))).contains(own));
    assert!(format!("{:?}", ex.submit_after(ex.submit(|| 1), |n| n + 1)).contains(own));
    assert!(format!("{:?}", ex.map([1], |n| n + 1)[0]).contains(own));
    let state = String::new();
    assert!(format!("{:?}", ex.map([1], move |n| state.len() + n)[0]).contains(own));
    assert!(format!("{:?}", ex.spawn(async { 1 })).contains("a_task_without_a_name_is_called_as_its_closure"));
    assert!(format!("{:?}", ex.task().submit(|| 1)).contains(own));
    assert!(format!("{:?}", ex.task().after(ex.submit(|| 1)).submit(|n| n + 1)).contains(own));
}

#[test]
fn everything_can_be_said_at_once_and_in_any_order() {
    guard(|| {
        let ex = heist::Executor::builder().workers(2).resource("gpu", 1).build().unwrap();
        let (a, b) = (ex.submit(|| 1), ex.submit(|| 2));
        let task =
            || ex.task().strict().place(Place::Worker(1)).resource("gpu", 1).priority(Priority::HIGH).name("all");
        let once = task().after((&a, &b)).submit(|(a, b)| a + b);
        let again = task().retries(2).after((&a, &b)).submit(|(a, b)| a * b);
        let results = task().after([&a, &b]).retries(0).submit_after_results(|[a, b]| a.is_ok() && b.is_ok());
        assert_eq!((once.result().unwrap(), again.result().unwrap(), results.result().unwrap()), (3, 2, true));
        assert!(format!("{:?}", task().key("k")).contains("Key(k)"));
    });
}

#[test]
fn an_impossible_place_is_an_error_from_the_start() {
    let ex = executor(2);
    let places = [Place::Worker(2), Place::Worker(usize::MAX), Place::Domain(10_000)];
    for place in places {
        let loose = ex.task().place(place).submit(|| 1);
        let strict = ex.task().strict().place(place).retries(1).submit(|| 1);
        for future in [loose, strict] {
            let error = future.error().unwrap();
            assert!(error.is_impossible_place() && error.to_string().contains("numbered from 0"), "{error}");
        }
    }
    assert_eq!(ex.task().place(Place::Any).strict().submit(|| 1).result().unwrap(), 1);
}

#[test]
fn unknown_and_unsatisfiable_resources_are_errors_from_the_start() {
    let ex = heist::Executor::builder().workers(1).resource("gpu", 2).build().unwrap();
    let unknown = ex.task().resource("fpga", 1).submit(|| 1).error().unwrap();
    assert!(unknown.is_unsatisfiable() && unknown.to_string().contains("Builder::resource(\"fpga\""), "{unknown}");
    let too_much = ex.task().resource("gpu", 3).submit(|| 1).error().unwrap();
    assert!(too_much.is_unsatisfiable() && too_much.to_string().contains("has 2"), "{too_much}");
    assert_eq!(ex.task().resource("gpu", 0).submit(|| 1).result().unwrap(), 1);
}

#[test]
fn what_a_std_future_cannot_have_is_an_error_from_the_start() {
    let ex = heist::Executor::builder().workers(1).resource("gpu", 2).build().unwrap();
    assert!(ex.task().resource("gpu", 1).spawn(async { 1 }).error().unwrap().is_unsupported());
    assert!(ex.task().place(Place::Worker(0)).spawn(async { 1 }).error().unwrap().is_unsupported());
    assert_eq!(ex.task().priority(Priority::HIGH).spawn(async { 1 }).result().unwrap(), 1);
}

#[test]
fn maps_carry_what_was_said() {
    let ex = executor(2);
    let offset = ex.submit(|| 100);
    let squares = ex.task().name("square").map(0..3, |i| i * i);
    assert!(squares.iter().all(|future| format!("{future:?}").contains("square")));
    let moved = ex.task().priority(Priority::LOW).map_after(squares.iter().map(|s| (s, &offset)), |(s, o)| s + o);
    assert_eq!(ex.gather(moved).unwrap(), [100, 101, 104]);
    assert!(ex.task().name("none").map(std::iter::empty::<u8>(), |i| i).is_empty());
    let [good, bad] = &ex.task().map_result(["7", "x"], str::parse::<i32>)[..] else { unreachable!() };
    assert!(good.result().unwrap() == 7 && bad.result().unwrap_err().is_failed());
}

#[test]
fn a_future_of_another_executor_is_refused() {
    let (ex, other) = (executor(1), executor(1));
    let foreign = other.submit(|| 1);
    assert!(ex.task().after(&foreign).submit(|n| n + 1).error().unwrap().is_foreign_future());
}

#[test]
fn a_priority_shows_in_no_id() {
    let ex = executor(1);
    let plain = ex.submit(|| 1);
    for priority in [Priority::LOWEST, Priority::LOW, Priority::NORMAL, Priority::HIGH, Priority::HIGHEST] {
        let task = ex.task().priority(priority).submit(|| 1);
        let number = |id: heist::TaskId| id.to_string()[1..].parse::<u64>().unwrap();
        assert!(number(task.id()) > number(plain.id()) && number(task.id()) < number(plain.id()) + 10_000);
    }
}
