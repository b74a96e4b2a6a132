// oneTBB: `task_group` and a slot a task inside, `task_arena::enqueue` and a slot a task outside.
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <atomic>
#include <thread>

#include "spawn.hpp"

using spawn::task;

// The submitter is one of the workers of the arena.
static spawn::Run inside(tbb::task_arena& arena, std::uint64_t tasks) {
    return arena.execute([&] {
        std::vector<std::uint64_t> slots(tasks);
        tbb::task_group group;
        for (std::uint64_t i = 0; i < tasks; ++i)
            group.run([i, slot = &slots[i]] { *slot = task(i); });
        const auto submitted = spawn::Clock::now();
        group.wait();
        std::uint64_t sum = 0;
        for (const auto value : slots) sum += value;
        return spawn::Run{submitted, spawn::Clock::now(), sum};
    });
}

// No slot of the arena is kept for the submitter, which waits for the slots in order.
static spawn::Run outside(tbb::task_arena& arena, std::uint64_t tasks) {
    constexpr std::uint64_t empty = ~std::uint64_t{0};  // no result: they have 32 bits
    std::vector<std::atomic<std::uint64_t>> slots(tasks);
    for (auto& slot : slots) slot.store(empty, std::memory_order_relaxed);
    for (std::uint64_t i = 0; i < tasks; ++i)
        arena.enqueue([i, slot = &slots[i]] { slot->store(task(i), std::memory_order_release); });
    const auto submitted = spawn::Clock::now();
    std::uint64_t sum = 0;
    for (const auto& slot : slots) {
        std::uint64_t value;
        while ((value = slot.load(std::memory_order_acquire)) == empty) std::this_thread::yield();
        sum += value;
    }
    return spawn::Run{submitted, spawn::Clock::now(), sum};
}

int main(int argc, char** argv) {
    const auto args = peer::parse(argc, argv);
    const bool within = args.workload == "inside";
    // One thread more than workers, since TBB counts the caller, which is no worker of the outside arena.
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                    std::size_t(args.workers) + (within ? 0 : 1));
    tbb::task_arena arena(args.workers, within ? 1 : 0);
    return spawn::measure(args, [&] {
        return within ? inside(arena, args.tasks) : outside(arena, args.tasks);
    });
}
