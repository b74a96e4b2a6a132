// The workload `spawn` for the peers in C++: the same tasks, sum, command line and report as in src/spawn.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace spawn {

using Clock = std::chrono::steady_clock;

struct Args {
    bool inside = true;
    int workers = 1;
    std::uint64_t tasks = 1'000'000;
    int repeats = 3;
};

struct Run {
    Clock::time_point submitted;
    std::uint64_t sum;
};

inline std::uint64_t task(std::uint64_t i) { return (i * 0x9e37'79b9'7f4a'7c15) >> 32; }

[[noreturn]] inline void fail(const std::string& why) {
    std::fprintf(stderr, "Error: %s\n", why.c_str());
    std::exit(1);
}

inline Args parse(int argc, char** argv) {
    Args args;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i], value = argv[i + 1];
        if (name == "--workload") args.inside = value == "inside";
        else if (name == "--workers") args.workers = std::stoi(value);
        else if (name == "--tasks") args.tasks = std::stoull(value);
        else if (name == "--repeats") args.repeats = std::stoi(value);
        else fail("no option " + name);
    }
    return args;
}

inline double cpu_ns() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto ns = [](timeval t) { return double(t.tv_sec) * 1e9 + double(t.tv_usec) * 1e3; };
    return ns(usage.ru_utime) + ns(usage.ru_stime);
}

inline void print(const char* metric, const std::vector<double>& samples, const char* end) {
    std::printf(R"({"metric":"%s","unit":"ns","samples":[)", metric);
    for (std::size_t i = 0; i < samples.size(); ++i) std::printf("%s%f", i ? "," : "", samples[i]);
    std::printf("]}%s", end);
}

// Runs `run` once to warm up and `repeats` times for the report, and checks every sum.
inline int measure(const Args& args, const std::function<Run()>& run) {
    std::uint64_t expected = 0;
    for (std::uint64_t i = 0; i < args.tasks; ++i) expected += task(i);
    std::vector<double> total, submit, core;
    for (int repeat = 0; repeat <= args.repeats; ++repeat) {
        const double cpu = cpu_ns();
        const auto start = Clock::now();
        const Run ran = run();
        const auto end = Clock::now();
        const double used = cpu_ns() - cpu;
        if (ran.sum != expected) fail("wrong sum");
        if (repeat == 0) continue;
        const auto each = [&](Clock::duration t) {
            return std::chrono::duration<double, std::nano>(t).count() / double(args.tasks);
        };
        total.push_back(each(end - start));
        submit.push_back(each(ran.submitted - start));
        core.push_back(used / double(args.tasks));
    }
    std::printf(R"({"series":[)");
    print("total", total, ",");
    print("submit", submit, ",");
    print("core", core, "]}\n");
    return 0;
}

}  // namespace spawn
