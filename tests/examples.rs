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
#[path = "../examples/recursion.rs"]
mod recursion;

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
