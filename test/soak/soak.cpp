// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Random fibers, generators, tasks and fiber_contexts on all processors for as long as one likes, in a fixed budget of
// memory, with faults injected. Every result is compared with that of the same program without a body; now and then
// everything runs to its end, and then nothing may be left.

#include "account.hpp"
#include "crowd.hpp"
#include "faults.hpp"
#include "kinds.hpp"
#include "memory.hpp"
#include "random.hpp"

#include <weft/migration.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>
#include <vector>

#if defined(__GLIBC__)
#    include <malloc.h>
#endif

namespace soak {
namespace {

std::uint64_t seed = 1;

} // namespace

void fail(const char* sentence, ...) {
    std::fflush(stdout);
    std::fprintf(stderr, "soak: seed %" PRIu64 ": ", seed);
    va_list arguments;
    va_start(arguments, sentence);
    std::vfprintf(stderr, sentence, arguments);
    va_end(arguments);
    std::fputc('\n', stderr);
    std::_Exit(1);
}

object* make_object(crowd& home, std::uint64_t number) {
    const std::uint64_t own = mix(home.seed() * 0x9e37'79b9'7f4a'7c15 + number);
    switch (mix(own) % 8) {
    case 0:
    case 1:
    case 2:
        return make_fiber(home, own);
    case 3:
        return make_generator(home, own);
    case 4:
        return make_context(home, own);
    default:
        return make_task(home, own);
    }
}

namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point start) {
    return std::chrono::duration<double>(clock::now() - start).count();
}

/// Everything has ended: what was made must be gone.
void check_nothing_lost() {
    for (std::size_t n = 0; n < things; ++n)
        if (totals.made[n] != totals.gone[n])
            fail("of %" PRIu64 " %s that were made, %" PRIu64 " are gone", totals.made[n].load(), names_of_things[n],
                 totals.gone[n].load());
}

struct options {
    double seconds = 60;
    unsigned threads = std::max(2U, std::thread::hardware_concurrency());
    unsigned megabytes = 64;
};

class run {
public:
    explicit run(const options& o)
        : options_{o},
          crowd_{o.threads, std::max<std::size_t>(8, o.megabytes * std::size_t{1024} / kibibytes_each), seed},
          all_ended_{static_cast<std::ptrdiff_t>(o.threads) + 1},
          all_trimmed_{static_cast<std::ptrdiff_t>(o.threads) + 1} {}

    void go() {
        std::vector<std::thread> threads;
        for (unsigned n = 1; n <= options_.threads; ++n) threads.emplace_back([this, n] { work(n); });
        const clock::time_point start = clock::now();
        const double interval = std::clamp(options_.seconds / 8, 0.2, 10.0);
        do {
            const clock::time_point begun = clock::now();
            while (seconds_since(begun) < interval) {
                std::this_thread::sleep_for(std::chrono::milliseconds{20});
                memory_.sample();
            }
            const bool last = seconds_since(start) >= options_.seconds && rounds_ >= 2;
            crowd_.drain(true);
            all_ended_.arrive_and_wait();
            all_trimmed_.arrive_and_wait();
            check_nothing_lost();
            ++rounds_;
            memory_.checkpoint(rounds_ >= 2);
            last_ = last;
            crowd_.drain(last);
            all_ended_.arrive_and_wait();
        } while (!last_);
        seconds_ = seconds_since(start);
        for (std::thread& t : threads) t.join();
        memory_.judge(options_.megabytes);
    }

    void print() const;

private:
    static constexpr std::size_t kibibytes_each = 24; // an object with its stacks

    void work(unsigned me) {
        random_source random{mix(seed + me)};
        for (bool last = false; !last;) {
            crowd_.work(me, random);
            all_ended_.arrive_and_wait();
            stacks::trim();
            all_trimmed_.arrive_and_wait();
            all_ended_.arrive_and_wait();
            last = last_;
        }
    }

    const options options_;
    crowd crowd_;
    std::barrier<> all_ended_;
    std::barrier<> all_trimmed_;
    memory_watch memory_{options_.threads};
    unsigned rounds_ = 0;
    bool last_ = false;
    double seconds_ = 0;
};

void run::print() const {
    const auto line = [](const char* what, std::uint64_t n) { std::printf("  %-34s %14" PRIu64 "\n", what, n); };
    const auto head = [](const char* what) { std::printf("%s\n", what); };
    std::printf("seed %" PRIu64 ", %.1f seconds, %u threads, %u checkpoints, budget %u MiB\n", seed, seconds_,
                options_.threads, rounds_, options_.megabytes);
    line("operations, each one verified",
         times(event::fiber) + times(event::generator) + times(event::task) + times(event::context));
    line("  fibers", times(event::fiber));
    line("  generators", times(event::generator));
    line("  tasks with a stackful body", times(event::task));
    line("  fiber_contexts", times(event::context));
    head("in them");
    line("resumes", times(event::resume));
    line("suspensions", times(event::pause));
    line("of them, went on on another thread", times(event::migration));
    line("awaits", times(event::await));
    line("of them, ambient", times(event::ambient_await));
    line("tasks in tasks", times(event::child_task));
    line("nested fibers", times(event::nested_fiber));
    line("nested generators", times(event::nested_generator));
    line("recursions", times(event::recursion));
    line("sorts (qsort suspends)", times(event::sort));
    line("fp_env::per_fiber", times(event::rounding));
    head("exceptions");
    line("thrown and caught in a body", times(event::thrown));
    line("caught, suspended, thrown again", times(event::rethrown));
    line("objects destroyed unfinished", times(event::abandoned));
    line("bodies unwound", times(event::unwound));
    line("unwinding swallowed, met again", times(event::swallowed));
    line("destroyed before they began", times(event::never_begun));
    line("stopped by a token", times(event::stopped));
    head("faults injected");
    line("no stack", times(event::no_stack));
    line("operator new failed", times(event::no_memory));
    line("await_ready threw", times(event::refused_ready));
    line("await_suspend threw", times(event::refused_suspend));
    line("await_resume threw", times(event::refused_resume));
    head("made and gone");
    for (std::size_t n = 0; n < things; ++n) line(names_of_things[n], totals.gone[n]);
    line("lost", 0);
    memory_.print();
}

int run_soak(int argc, char** argv) {
    options o;
    CLI::App app{"Random fibers, awaits, migrations, cancellations and exceptions, with faults injected"};
    app.add_option("--seconds", o.seconds, "How long")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--seed", seed, "What decides everything but the threads' timing")->capture_default_str();
    app.add_option("--threads", o.threads, "How many")->check(CLI::Range(1, 256))->capture_default_str();
    app.add_option("--memory", o.megabytes, "Budget in MiB")->check(CLI::Range(8, 65536))->capture_default_str();
    CLI11_PARSE(app, argc, argv);

    std::set_terminate([] { fail("the program was ended by std::terminate"); });
    weft::set_migration_handler(
        [](const weft::migration_report& report) { // debug builds warn of what is done here on purpose
            if (report.why != weft::migration_report::reason::caught_exception) fail("a body was bound to a thread");
        });
#if defined(__GLIBC__)
    // Others are mapped 64 MiB at a time, whenever threads happen to need them, and the address space is watched.
    ::mallopt(M_ARENA_MAX, 1);
#endif
    run all{o};
    all.go();
    all.print();
    return 0;
}

} // namespace
} // namespace soak

int main(int argc, char** argv) {
    return soak::run_soak(argc, argv);
}
