// oneTBB: one `task_arena::enqueue` at a time into an idle arena that keeps no slot for the submitter.
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "peer.hpp"

using peer::Clock;

static void pause(bool spin, std::chrono::microseconds length) {
    if (!spin) return std::this_thread::sleep_for(length);
    const auto end = Clock::now() + length;
    while (Clock::now() < end) continue;
}

// Nanoseconds from submission to the start of one task, for which the submitter waits by spinning.
static double once(tbb::task_arena& arena, bool spin, std::chrono::microseconds length) {
    std::atomic<bool> begun{false};
    Clock::time_point at;
    pause(spin, length);
    const auto submitted = Clock::now();
    arena.enqueue([&] {
        at = Clock::now();
        begun.store(true, std::memory_order_release);
    });
    while (!begun.load(std::memory_order_acquire)) continue;
    return std::chrono::duration<double, std::nano>(at - submitted).count();
}

int main(int argc, char** argv) {
    const auto args = peer::parse(argc, argv);
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, std::size_t(args.workers) + 1);
    tbb::task_arena arena(args.workers, 0);
    peer::Series p50{"p50", {}}, p99{"p99", {}}, max{"max", {}};
    for (int repeat = 0; repeat <= args.repeats; ++repeat) {
        std::vector<double> times;
        for (std::uint64_t i = 0; i < args.tasks; ++i)
            times.push_back(once(arena, args.workload == "spin", std::chrono::microseconds(args.pause)));
        if (repeat == 0) continue;
        std::sort(times.begin(), times.end());
        const auto at = [&](double share) {
            return times[std::max<std::size_t>(std::size_t(std::ceil(share * double(times.size()))), 1) - 1];
        };
        p50.samples.push_back(at(0.5));
        p99.samples.push_back(at(0.99));
        max.samples.push_back(at(1.0));
    }
    return peer::print({p50, p99, max});
}
