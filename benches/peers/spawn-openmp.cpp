// OpenMP: one thread of a parallel region makes all tasks, each with its slot. There is no outside.
#include "spawn.hpp"

using spawn::task;

static spawn::Run inside(int workers, std::uint64_t tasks) {
    spawn::Run run{};
#pragma omp parallel num_threads(workers)
#pragma omp single
    {
        std::vector<std::uint64_t> slots(tasks);
        std::uint64_t* const values = slots.data();
        for (std::uint64_t i = 0; i < tasks; ++i) {
#pragma omp task firstprivate(i)
            values[i] = task(i);
        }
        run.part = spawn::Clock::now();
#pragma omp taskwait
        for (const auto value : slots) run.value += value;
        run.end = spawn::Clock::now();
    }
    return run;
}

int main(int argc, char** argv) {
    const auto args = peer::parse(argc, argv);
    if (args.workload != "inside") peer::fail("OpenMP has tasks inside a parallel region only");
    return spawn::measure(args, [&] { return inside(args.workers, args.tasks); });
}
