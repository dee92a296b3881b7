// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Fibers and stackful bodies that go on on another thread every time, all of them at once: a ring of threads, each of
// which hands everything that it runs to the next one, at the earliest moment possible.

#include "awaiters.hpp"

#include <weft/await.hpp>
#include <weft/fiber.hpp>
#include <weft/generator.hpp>
#include <weft/migration.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

// How many awaits a test makes in all.
#if WEFT_TEST_EMULATED
constexpr int awaits = 10'000;
#elif WEFT_ASAN || WEFT_TSAN
constexpr int awaits = 60'000;
#elif !defined(__OPTIMIZE__)
constexpr int awaits = 300'000;
#else
constexpr int awaits = 1'500'000;
#endif

/// Threads in a ring.
class ring {
public:
    explicit ring(unsigned size) : places_(size) {}
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;

    /// Runs what is handed round until `pieces` of it have ended.
    void run(int pieces) {
        left_ = pieces;
        std::vector<std::thread> threads;
        for (unsigned n = 0; n < places_.size(); ++n) threads.emplace_back([this, n] { work(n); });
        for (std::thread& t : threads) t.join();
    }

    /// Gives something to a thread to run.
    void give(unsigned n, std::coroutine_handle<> h) {
        {
            const std::lock_guard lock{places_[n].mutex};
            places_[n].waiting.push_back(h);
        }
        places_[n].something.notify_one();
    }
    /// Gives it to the next of this thread. Whatever called it may be gone on return.
    void pass_on(std::coroutine_handle<> h) { give(static_cast<unsigned>((here() + 1) % places_.size()), h); }

    void ended() {
        if (--left_ > 0) return;
        for (place& p : places_) {
            { const std::lock_guard lock{p.mutex}; }
            p.something.notify_one();
        }
    }

    /// The running thread's place. Asked anew at every call.
    [[gnu::noinline]] static unsigned here() noexcept {
        asm volatile("" ::: "memory");
        return here_;
    }

private:
    struct place {
        std::mutex mutex;
        std::condition_variable something;
        std::vector<std::coroutine_handle<>> waiting;
    };

    [[gnu::noinline]] static void set_here(unsigned n) noexcept {
        asm volatile("" ::: "memory");
        here_ = n;
    }

    void work(unsigned n) {
        set_here(n);
        place& mine = places_[n];
        std::vector<std::coroutine_handle<>> now;
        while (left_ > 0) {
            {
                std::unique_lock lock{mine.mutex};
                mine.something.wait(lock, [&] { return left_ <= 0 || !mine.waiting.empty(); });
                now.swap(mine.waiting);
            }
            for (const std::coroutine_handle<> h : now) h.resume();
            now.clear();
        }
    }

    static inline thread_local unsigned here_ = 0;
    std::vector<place> places_;
    std::atomic<int> left_{0};
};

/// Hands the coroutine to the next thread: that may run it to its next await while await_suspend is still here.
template <form Form>
struct hop {
    ring* round;
    int value;

    bool await_ready() const noexcept { return false; }
    auto await_suspend(std::coroutine_handle<> h) const {
        round->pass_on(h);
        if constexpr (Form == form::returns_bool) return true;
        if constexpr (Form == form::returns_handle) return static_cast<std::coroutine_handle<>>(std::noop_coroutine());
    }
    int await_resume() const noexcept { return value; }
};

weft::task<int> hop_in_a_task(ring& round, int value) {
    co_return co_await hop<form::returns_void>{&round, value};
}

/// Do the results of awaits, what lies on the stack, what is in hand and what weft says of this thread fit together?
class witness {
public:
    explicit witness(std::atomic<int>& wrong) : wrong_{wrong}, self_{weft::this_fiber::get()}, before_{ring::here()} {}
    witness(const witness&) = delete;
    witness& operator=(const witness&) = delete;

    void check(bool right) {
        if (!right) ++wrong_;
    }
    /// After each hop: this is another thread, and the fiber is the running one there.
    void hopped() {
        const unsigned now = ring::here();
        if (now == before_ || weft::this_fiber::get() != self_) ++wrong_;
        before_ = now;
    }

private:
    std::atomic<int>& wrong_;
    weft::fiber_ref self_;
    unsigned before_;
};

/// Runs `bodies` of them in a ring of `size` threads; `body(co, index)` is the stackful body.
template <class Body>
void hand_round(unsigned size, int bodies, Body body) {
    ring round{size};
    std::vector<observer> all;
    std::vector<outcome<void>> results(static_cast<std::size_t>(bodies));
    for (int n = 0; n < bodies; ++n) {
        auto begin = [](ring& where, weft::task<> work) -> weft::task<> {
            struct at_the_end {
                ring& where;
                ~at_the_end() { where.ended(); }
            } const end{where};
            co_await hop<form::returns_void>{&where, 0}; // to the first thread
            co_await std::move(work);
        };
        observe(begin(round, weft::stackful<weft::task<>>([&round, body, n](auto& co) { body(round, co, n); })),
                results[static_cast<std::size_t>(n)]);
    }
    round.run(bodies);
    for (const outcome<void>& result : results) {
        BOOST_REQUIRE(result.done.load());
        if (result.failure) std::rethrow_exception(result.failure);
    }
}

// Caught exceptions move with the fiber here, on purpose.
const weft::migration_handler unmentioned = weft::set_migration_handler([](const weft::migration_report&) {});

} // namespace

BOOST_AUTO_TEST_SUITE(bodies)

BOOST_AUTO_TEST_CASE(await_in_every_form) {
    for (const unsigned size : {2U, 3U, 4U}) {
        constexpr int bodies = 24;
        const int rounds = awaits / 3 / bodies / 4;
        std::atomic<int> wrong{0};
        hand_round(size, bodies, [&](ring& round, auto& co, int id) {
            witness w{wrong};
            double real = id;
            for (int i = 0; i < rounds; ++i) {
                w.check(co.await(hop<form::returns_void>{&round, id + i}) == id + i);
                w.hopped();
                w.check(co.await(hop<form::returns_bool>{&round, id - i}) == id - i);
                w.hopped();
                w.check(weft::await(hop<form::returns_handle>{&round, id * i}) == id * i);
                w.hopped();
                w.check(weft::await(hop_in_a_task(round, i)) == i);
                w.hopped();
                real += 0.5;
            }
            w.check(real == id + rounds * 0.5);
        });
        BOOST_TEST(wrong.load() == 0);
    }
}

/// Deep in the calls of a body, with what it has in its registers.
template <class Await>
std::int64_t sum_of_a_tree(int depth, std::int64_t number, Await& await) {
    if (depth == 0) return await(static_cast<int>(number));
    const double half = static_cast<double>(number) / 2;
    const std::int64_t left = sum_of_a_tree(depth - 1, 2 * number, await);
    const std::int64_t right = sum_of_a_tree(depth - 1, 2 * number + 1, await);
    return half * 2 == static_cast<double>(number) ? left + right : -1;
}

BOOST_AUTO_TEST_CASE(await_from_deep_recursion_and_c_functions) {
    constexpr int bodies = 16, depth = 6, leaves = 1 << depth;
    const int rounds = awaits / 2 / bodies / leaves + 1;
    std::atomic<int> wrong{0};
    hand_round(3, bodies, [&](ring& round, auto&, int) {
        witness w{wrong};
        auto leaf = [&](int n) {
            const int got = weft::await(hop<form::returns_bool>{&round, n});
            w.hopped();
            return std::int64_t{got};
        };
        // The leaves are numbered from `leaves` to twice that.
        constexpr std::int64_t sum = std::int64_t{leaves} * (3 * leaves - 1) / 2;
        for (int i = 0; i < rounds; ++i) w.check(sum_of_a_tree(depth, 1, leaf) == sum);
    });
    BOOST_TEST(wrong.load() == 0);
}

BOOST_AUTO_TEST_CASE(await_inside_handlers_and_throw_what_they_hold) {
    constexpr int bodies = 16;
    const int rounds = awaits / 8 / bodies / 2;
    std::atomic<int> wrong{0};
    hand_round(3, bodies, [&](ring& round, auto& co, int id) {
        witness w{wrong};
        for (int i = 0; i < rounds; ++i) {
            try {
                try {
                    throw std::out_of_range{std::to_string(id * 1000 + i % 1000)};
                } catch (const std::exception&) {
                    co.await(hop<form::returns_void>{&round, 0});
                    w.hopped();
                    throw;
                }
            } catch (const std::out_of_range& e) {
                weft::await(hop<form::returns_bool>{&round, 0});
                w.hopped();
                w.check(e.what() == std::to_string(id * 1000 + i % 1000));
            }
            w.check(!std::current_exception() && std::uncaught_exceptions() == 0);
        }
    });
    BOOST_TEST(wrong.load() == 0);
}

BOOST_AUTO_TEST_CASE(take_the_fibers_that_they_have_resumed_along) {
    constexpr int bodies = 16;
    const int rounds = awaits / 8 / bodies / 4;
    std::atomic<int> wrong{0};
    hand_round(3, bodies, [&](ring& round, auto&, int id) {
        const weft::fiber_ref self = weft::this_fiber::get();
        unsigned before = ring::here();
        int expected = 0;
        for (const int n : weft::generator<int>{[&](auto& out) {
                 for (int i = 0; i < rounds; ++i) {
                     weft::await(hop<form::returns_void>{&round, i});
                     out.yield(id + i);
                 }
             }}) {
            // Control came back into this fiber, on another thread than it left it on to the generator.
            const unsigned now = ring::here();
            if (now == before || weft::this_fiber::get() != self) ++wrong;
            if (n != id + expected++) ++wrong;
            before = now;
            weft::await(hop<form::returns_handle>{&round, 0});
            if (ring::here() == before || weft::this_fiber::get() != self) ++wrong;
            before = ring::here();
        }
        if (expected != rounds) ++wrong;
    });
    BOOST_TEST(wrong.load() == 0);
}

BOOST_AUTO_TEST_CASE(ask_for_the_thread_again_in_the_same_function) {
    // One function with several awaits, and between them all that weft looks up of the thread it runs on: the running
    // fiber, the driver, the exceptions in hand; inline, so that a compiler that could keep an address would.
    constexpr int bodies = 8;
    const int rounds = awaits / 8 / bodies / 3;
    std::atomic<int> wrong{0};
    hand_round(2, bodies, [&](ring& round, auto& co, int id) {
        const weft::fiber_ref self = weft::this_fiber::get();
        int inside = 0;
        weft::fiber inner{[&](weft::fiber_ref me) {
            for (;;) {
                if (weft::this_fiber::get() != me) ++wrong;
                weft::await(hop<form::returns_void>{&round, 0}); // suspends both
                if (weft::this_fiber::get() != me) ++wrong;
                ++inside;
                me.suspend();
            }
        }};
        for (int i = 0; i < rounds; ++i) {
            if (i % 2 == 0) {
                inner.resume();
            } else {
                try {
                    throw i;
                } catch (int thrown) {
                    inner.resume();
                    if (thrown != i || !std::current_exception()) ++wrong;
                }
            }
            if (weft::detail::running_fiber(weft::detail::this_thread()) != &weft::detail::fiber_access::record(self)) ++wrong;
            if (co.await(hop<form::returns_bool>{&round, i}) != i) ++wrong;
            if (weft::detail::running_fiber(weft::detail::this_thread()) != &weft::detail::fiber_access::record(self)) ++wrong;
            try {
                throw id;
            } catch (int thrown) {
                weft::await(hop<form::returns_bool>{&round, i});
                if (thrown != id || !std::current_exception()) ++wrong;
            }
            if (weft::detail::exceptions_of(weft::detail::this_thread()).any()) ++wrong;
        }
        if (inside != rounds) ++wrong;
    });
    BOOST_TEST(wrong.load() == 0);
}

BOOST_AUTO_TEST_CASE(end_and_are_destroyed_wherever_they_have_come_to) {
    constexpr int lots = 40;
    const int bodies = awaits / 40 / lots;
    std::atomic<int> wrong{0}, began{0}, unwound{0};
    struct leaves {
        std::atomic<int>& count;
        ~leaves() { ++count; }
    };
    for (int lot = 0; lot < lots; ++lot)
        hand_round(3, bodies, [&](ring& round, auto& co, int id) {
            const leaves noted{unwound};
            ++began;
            co.await(hop<form::returns_void>{&round, id});
            // One is unwound where it waits, one is left by an exception, on another thread than it began on.
            {
                auto waiting = weft::stackful<weft::task<>>([&](auto& inner) {
                    const leaves noted_too{unwound};
                    ++began;
                    inner.await(std::suspend_always{});
                    ++wrong;
                });
                outcome<void> never;
                const observer o = observe(std::move(waiting), never);
                co.await(hop<form::returns_bool>{&round, id});
                o.handle.destroy();
            }
            try {
                weft::await(weft::stackful<weft::task<>>([&](auto& inner) {
                    const leaves noted_too{unwound};
                    ++began;
                    inner.await(hop<form::returns_handle>{&round, id});
                    throw id;
                }));
                ++wrong;
            } catch (int thrown) {
                if (thrown != id) ++wrong;
            }
        });
    BOOST_TEST(wrong.load() == 0);
    BOOST_TEST(began.load() == 3 * lots * bodies);
    BOOST_TEST(unwound.load() == began.load());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(fibers)

/// A plain fiber that a ring hands round: a coroutine that resumes it and passes itself on.
detour carry(weft::fiber f, ring& round) {
    while (!f.done()) {
        f.resume();
        co_await hop<form::returns_void>{&round, 0};
    }
    f = weft::fiber{};
    round.ended();
}

BOOST_AUTO_TEST_CASE(are_resumed_by_another_thread_every_time) {
    constexpr int fibers = 32;
    const int rounds = awaits / 4 / fibers;
    for (const unsigned size : {2U, 4U}) {
        ring round{size};
        std::atomic<int> wrong{0}, steps{0};
        for (int id = 0; id < fibers; ++id) {
            weft::fiber f{[&, id](weft::fiber_ref self) {
                witness w{wrong};
                const auto on_the_heap = std::make_unique<int>(id);
                double real = id;
                for (int i = 0; i < rounds; ++i) {
                    if (i % 5 == 0) {
                        try {
                            throw id;
                        } catch (const int& mine) {
                            self.suspend();
                            w.check(mine == id);
                        }
                    } else if (i % 7 == 0) {
                        weft::fiber inner{[&] { self.suspend(); }};
                        inner.resume();
                        w.check(inner.done());
                    } else {
                        self.suspend();
                    }
                    w.hopped();
                    real += 0.25;
                }
                w.check(real == id + rounds * 0.25 && *on_the_heap == id);
                steps += rounds;
            }};
            round.give(static_cast<unsigned>(id) % size, carry(std::move(f), round).handle);
        }
        round.run(fibers);
        BOOST_TEST(wrong.load() == 0);
        BOOST_TEST(steps.load() == fibers * rounds);
    }
}

BOOST_AUTO_TEST_SUITE_END()
