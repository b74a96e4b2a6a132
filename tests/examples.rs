//! Every example that ends by itself runs, and finds its result right.

#[path = "../examples/deadline.rs"]
mod deadline;
#[path = "../examples/early_stopping.rs"]
mod early_stopping;
#[path = "../examples/iteration.rs"]
mod iteration;
#[path = "../examples/parameter_server.rs"]
mod parameter_server;
#[path = "../examples/pipeline.rs"]
mod pipeline;
#[path = "../examples/queues.rs"]
mod queues;
#[cfg(feature = "ranks")]
#[path = "../examples/ranks.rs"]
mod ranks;
#[path = "../examples/recursion.rs"]
mod recursion;
#[cfg(feature = "ranks")]
#[path = "../examples/spmd.rs"]
mod spmd;

use std::error::Error;

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn a_collection_ends_at_its_deadline() -> Outcome {
    deadline::main()
}

#[test]
fn an_iteration_converges() -> Outcome {
    iteration::main()
}

#[test]
fn a_recursion_ends() -> Outcome {
    recursion::main()
}

#[test]
fn a_sweep_stops_early() -> Outcome {
    early_stopping::main()
}

#[test]
fn a_pipeline_books_each_order_once() -> Outcome {
    pipeline::main()
}

#[test]
fn producers_and_consumers_end() -> Outcome {
    queues::main()
}

#[test]
fn a_parameter_server_learns() -> Outcome {
    parameter_server::main()
}

#[cfg(feature = "ranks")]
#[test]
fn one_rank_directs_others() -> Outcome {
    ranks::main()
}

#[cfg(feature = "ranks")]
#[test]
fn ranks_run_the_same_program() -> Outcome {
    spmd::main()
}
