// The workload `spawn` for the peers in C++: the same tasks and sum as in src/spawn.
#pragma once

#include "peer.hpp"

namespace spawn {

using peer::Clock;
using peer::Run;

inline std::uint64_t task(std::uint64_t i) { return (i * 0x9e37'79b9'7f4a'7c15) >> 32; }

inline int measure(const peer::Args& args, const std::function<Run()>& run) {
    std::uint64_t expected = 0;
    for (std::uint64_t i = 0; i < args.tasks; ++i) expected += task(i);
    return peer::measure(args, "submit", peer::Part::until, expected, run);
}

}  // namespace spawn
