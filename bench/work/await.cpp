// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/bodies.hpp>
#include <harness/placement.hpp>
#include <harness/register.hpp>

#include <weft/await.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <coroutine>
#include <cstdint>
#include <string>

// Awaiting in a stackful body, beside the plain co_await of the same thing.
namespace {

using weft::task;

/// Complete before it is awaited.
struct ready {
    int value;
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    int await_resume() const noexcept { return value; }
};

/// Completes when the measuring loop resumes what it has parked.
struct later {
    static inline std::coroutine_handle<> parked;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiting) const noexcept { parked = awaiting; }
    int await_resume() const noexcept { return 1; }
};

[[gnu::noinline]] task<int> completes_at_once(int n) {
    co_return n;
}

[[gnu::noinline]] task<int> stackful_that_awaits_nothing(int n) {
    return weft::stackful([n](auto&) { return n; });
}

// The ways to await. Each is a loop for `state`, in a coroutine.

/// In a coroutine.
struct plain {
    static constexpr const char* name = "plain co_await";
    template <class Make>
    static task<> loop(benchmark::State& state, Make make) {
        for (auto _ : state) {
            int n = co_await make();
            benchmark::DoNotOptimize(n);
        }
    }
};

/// In a stackful body, with its `co`.
struct with_co {
    static constexpr const char* name = "co.await";
    template <class Make>
    static task<> loop(benchmark::State& state, Make make) {
        return weft::stackful([&state, make](auto& co) {
            for (auto _ : state) {
                int n = co.await(make());
                benchmark::DoNotOptimize(n);
            }
        });
    }
    template <class Make>
    static task<> deep_loop(benchmark::State& state, Make make) {
        return weft::stackful([&state, make](auto& co) {
            int n = 0;
            auto step = [&] { n = co.await(make()); };
            for (auto _ : state) {
                bench::below<10>::call(step);
                benchmark::DoNotOptimize(n);
            }
        });
    }
};

/// In a stackful body, without.
struct ambient {
    static constexpr const char* name = "weft::await";
    template <class Make>
    static task<> loop(benchmark::State& state, Make make) {
        return weft::stackful([&state, make](auto&) {
            for (auto _ : state) {
                int n = weft::await(make());
                benchmark::DoNotOptimize(n);
            }
        });
    }
    template <class Make>
    static task<> deep_loop(benchmark::State& state, Make make) {
        return weft::stackful([&state, make](auto&) {
            int n = 0;
            auto step = [&] { n = weft::await(make()); };
            for (auto _ : state) {
                bench::below<10>::call(step);
                benchmark::DoNotOptimize(n);
            }
        });
    }
};

/// Runs a loop that awaits, and resumes it until it has ended.
void drive(task<> loop) {
    later::parked = nullptr;
    bool done = false;
    const task<> whole = [](task<> l, bool& d) -> task<> {
        co_await l;
        d = true;
    }(std::move(loop), done);
    whole.operator co_await().await_suspend(std::noop_coroutine()).resume();
    while (!done) later::parked.resume();
}

template <class Way, class Make>
void add(const char* work, Make make) {
    bench::add<Way>(work, [make](benchmark::State& state) {
        bench::displaced([&state, make] { drive(Way::loop(state, make)); });
    });
}

template <class Way, class Make>
void add_deep(const char* work, Make make) {
    bench::add<Way>(work, [make](benchmark::State& state) {
        bench::displaced([&state, make] { drive(Way::deep_loop(state, make)); });
    });
}

struct stackful_task {
    static constexpr const char* name = "weft::stackful";
};
struct plain_task {
    static constexpr const char* name = "plain coroutine";
};

template <class Name, class Make>
void add_call(const char* work, Make make) {
    bench::add<Name>(work, [make](benchmark::State& state) {
        bench::displaced([&state, make] { drive(plain::loop(state, make)); });
    });
}

const bool registered = [] {
    const auto make_ready = [] { return ready{1}; };
    const auto make_task = [] { return completes_at_once(1); };
    const auto make_later = [] { return later{}; };

    add<plain>("await ready", make_ready);
    add<with_co>("await ready", make_ready);
    add<ambient>("await ready", make_ready);
    add_deep<with_co>("await ready ten calls deep", make_ready);
    add_deep<ambient>("await ready ten calls deep", make_ready);

    add<plain>("await a task that completes at once", make_task);
    add<with_co>("await a task that completes at once", make_task);
    add<ambient>("await a task that completes at once", make_task);

    add<plain>("await what completes later", make_later);
    add<with_co>("await what completes later", make_later);
    add<ambient>("await what completes later", make_later);
    add_deep<with_co>("await what completes later ten calls deep", make_later);
    add_deep<ambient>("await what completes later ten calls deep", make_later);

    add_call<plain_task>("await a body that awaits nothing", make_task);
    add_call<stackful_task>("await a body that awaits nothing", [] { return stackful_that_awaits_nothing(1); });
    return true;
}();

} // namespace
