// oneTBB: a chain of `flow::continue_node`s, built for each run and let go by its first message. Values go through a
// variable, since such nodes pass on none.
#include <tbb/flow_graph.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <deque>

#include "peer.hpp"

using Node = tbb::flow::continue_node<tbb::flow::continue_msg>;

static peer::Run chain(std::uint64_t tasks) {
    std::uint64_t value = 0;
    tbb::flow::graph graph;
    std::deque<Node> nodes;
    for (std::uint64_t i = 0; i < tasks; ++i) {
        nodes.emplace_back(graph, [&value](const tbb::flow::continue_msg& done) {
            ++value;
            return done;
        });
        if (i > 0) tbb::flow::make_edge(nodes[i - 1], nodes[i]);
    }
    const auto opened = peer::Clock::now();
    nodes.front().try_put({});
    graph.wait_for_all();
    return {opened, peer::Clock::now(), value};
}

int main(int argc, char** argv) {
    const auto args = peer::parse(argc, argv);
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, std::size_t(args.workers) + 1);
    tbb::task_arena arena(args.workers, 1);
    return peer::measure(args, "propagate", peer::Part::from, args.tasks,
                         [&] { return arena.execute([&] { return chain(args.tasks); }); });
}
