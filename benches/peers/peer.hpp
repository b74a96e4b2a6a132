// What the peers in C++ share: the command line and the report of the programs in Rust, and how tasks are timed.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace peer {

using Clock = std::chrono::steady_clock;

struct Args {
    std::string workload;
    int workers = 1;
    std::uint64_t tasks = 1'000'000;
    int repeats = 3;
    int pause = 100;  // microseconds
};

// A run: when the part that is told apart began or ended, when the last result was there, and what proves that every
// task ran.
struct Run {
    Clock::time_point part;
    Clock::time_point end;
    std::uint64_t value;
};

[[noreturn]] inline void fail(const std::string& why) {
    std::fprintf(stderr, "Error: %s\n", why.c_str());
    std::exit(1);
}

inline Args parse(int argc, char** argv) {
    Args args;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i], value = argv[i + 1];
        if (name == "--workload") args.workload = value;
        else if (name == "--workers") args.workers = std::stoi(value);
        else if (name == "--tasks") args.tasks = std::stoull(value);
        else if (name == "--repeats") args.repeats = std::stoi(value);
        else if (name == "--pause") args.pause = std::stoi(value);
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

struct Series {
    const char* metric;
    std::vector<double> samples;
};

inline int print(const std::vector<Series>& series) {
    std::printf(R"({"series":[)");
    const char* comma = "";
    for (const auto& [metric, samples] : series) {
        std::printf(R"(%s{"metric":"%s","unit":"ns","samples":[)", comma, metric);
        for (std::size_t i = 0; i < samples.size(); ++i) std::printf("%s%f", i ? "," : "", samples[i]);
        std::printf("]}");
        comma = ",";
    }
    std::printf("]}\n");
    return 0;
}

enum class Part { until, from };

// Runs `run` once to warm up and `repeats` times for the report, checks every value, and reports times by the task: the
// total, the part until or from `Run::part`, and the CPU time.
inline int measure(const Args& args, const char* part_name, Part which, std::uint64_t expected,
                   const std::function<Run()>& run) {
    Series total{"total", {}}, part{part_name, {}}, core{"core", {}};
    for (int repeat = 0; repeat <= args.repeats; ++repeat) {
        const double cpu = cpu_ns();
        const auto start = Clock::now();
        const Run ran = run();
        const double used = cpu_ns() - cpu;
        if (ran.value != expected) fail("wrong value");
        if (repeat == 0) continue;
        const auto each = [&](Clock::duration t) {
            return std::chrono::duration<double, std::nano>(t).count() / double(args.tasks);
        };
        total.samples.push_back(each(ran.end - start));
        part.samples.push_back(each(which == Part::until ? ran.part - start : ran.end - ran.part));
        core.samples.push_back(used / double(args.tasks));
    }
    return print({total, part, core});
}

}  // namespace peer
