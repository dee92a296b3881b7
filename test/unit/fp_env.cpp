// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft/fp_env.hpp: rounding, denormals, precision and flags, of fibers, generators and stackful bodies. What is
// compared is what arithmetic gives, not what a register says.

#include "awaiters.hpp"
#include "tracked.hpp"

#include <weft/await.hpp>
#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>
#include <weft/fp_env.hpp>
#include <weft/generator.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <cfenv>
#include <cfloat>
#include <cmath>
#include <coroutine>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using weft::fiber;
using weft::fiber_options;
using weft::fiber_ref;
using weft::fp_env;
using weft_test::at_exit_of_scope;

namespace {

constexpr fiber_options own{.floating_point = fp_env::per_fiber};

/// A way to calculate.
struct modes {
    int rounding = FE_TONEAREST;
    bool flushes_denormals = false;
};

[[gnu::noinline]] void set(modes m) {
    std::fesetround(m.rounding);
#if defined(__x86_64__)
    constexpr std::uint32_t flush = 1U << 15, denormals_are_zero = 1U << 6;
    std::uint32_t mxcsr;
    asm volatile("stmxcsr %0" : "=m"(mxcsr));
    mxcsr = m.flushes_denormals ? mxcsr | flush | denormals_are_zero : mxcsr & ~(flush | denormals_are_zero);
    asm volatile("ldmxcsr %0" : : "m"(mxcsr));
#elif defined(__aarch64__)
    constexpr std::uint64_t flush = 1U << 24;
    std::uint64_t fpcr;
    asm volatile("mrs %0, fpcr" : "=r"(fpcr));
    fpcr = m.flushes_denormals ? fpcr | flush : fpcr & ~flush;
    asm volatile("msr fpcr, %0" : : "r"(fpcr));
#endif
}

/// What comes out of it.
struct results {
    double third = 0;
    double minus_third = 0;
    double of_denormal = 0; // a denormal operand
    double denormal = 0;    // a denormal result
    double whole = 0;
    std::string printed;
#if defined(__x86_64__)
    long double x87_third = 0;
#endif
    friend bool operator==(const results&, const results&) = default;
    friend std::ostream& operator<<(std::ostream& out, const results& r) {
        char text[160];
        std::snprintf(text, sizeof text, "{%a %a, of denormal %a, to denormal %a, whole %a, printed ", r.third,
                      r.minus_third, r.of_denormal, r.denormal, r.whole);
        return out << text << r.printed << '}';
    }
};

// Not inlined, and of what no compiler knows: nothing may be computed before, or moved over a switch.
[[gnu::noinline]] results calculate() {
    volatile double one = 1, three = 3, least = DBL_MIN, two_and_a_half = 2.5, tiny = DBL_TRUE_MIN, large = 0x1p+60;
    results r;
    r.third = one / three;
    r.minus_third = -one / three;
    r.of_denormal = tiny * large;
    r.denormal = least / three;
    r.whole = std::nearbyint(two_and_a_half);
    char text[32];
    std::snprintf(text, sizeof text, "%.0f %.3f", static_cast<double>(two_and_a_half), 0.0625);
    r.printed = text;
#if defined(__x86_64__)
    volatile long double x87_one = 1, x87_three = 3;
    r.x87_third = x87_one / x87_three;
#endif
    return r;
}

results results_of(modes m) {
    set(m);
    results r = calculate();
    set({});
    return r;
}

constexpr modes up{FE_UPWARD, false}, down_flushed{FE_DOWNWARD, true}, zero_flushed{FE_TOWARDZERO, true}, nearest{};

/// What each way gives; and the usual one before and after.
struct fixture {
    const results as_up = results_of(up), as_down_flushed = results_of(down_flushed),
                  as_zero_flushed = results_of(zero_flushed), as_nearest = results_of(nearest);
    ~fixture() { set({}); }
};

/// Is everything calculated as in these modes?
#define CHECK_MODES(wanted) BOOST_TEST(calculate() == (wanted))

} // namespace

BOOST_AUTO_TEST_CASE(the_modes_differ) {
    const fixture f;
    BOOST_TEST(f.as_up != f.as_down_flushed);
    BOOST_TEST(f.as_up != f.as_nearest);
    BOOST_TEST(f.as_down_flushed != f.as_zero_flushed);
    BOOST_TEST(f.as_down_flushed.of_denormal == 0);
    BOOST_TEST(f.as_down_flushed.denormal == 0);
    BOOST_TEST(f.as_up.of_denormal != 0);
    BOOST_TEST(f.as_up.denormal != 0);
    BOOST_TEST(f.as_up.third > f.as_down_flushed.third);
    BOOST_TEST(f.as_up.whole == 3);
    BOOST_TEST(f.as_up.printed == "3 0.063");
    BOOST_TEST(f.as_down_flushed.printed == "2 0.062");
#if defined(__x86_64__)
    BOOST_TEST((f.as_up.x87_third > f.as_down_flushed.x87_third));
#endif
}

// ---------------------------------------------------------------------------------------------------------------------
BOOST_FIXTURE_TEST_SUITE(of_the_thread, fixture)

#if WEFT_SWITCH_NATIVE || !defined(__x86_64__)

BOOST_AUTO_TEST_CASE(what_a_fiber_changes_its_resumer_sees) {
    fiber f{[&](fiber_ref self) {
        CHECK_MODES(as_zero_flushed);
        set(up);
        self.suspend();
        CHECK_MODES(as_down_flushed);
    }};
    set(zero_flushed);
    f.resume();
    CHECK_MODES(as_up);
    set(down_flushed);
    f.resume();
    CHECK_MODES(as_down_flushed);
}

BOOST_AUTO_TEST_CASE(in_generators_and_bodies) {
    weft::generator<int> g{[&](auto& out) {
        set(up);
        out.yield(1);
        CHECK_MODES(as_down_flushed);
    }};
    auto at = g.begin();
    CHECK_MODES(as_up);
    set(down_flushed);
    ++at;
    CHECK_MODES(as_down_flushed);

    stage where;
    outcome<void> done;
    set(up);
    observe(weft::stackful<weft::task<>>([&](auto& co) {
                CHECK_MODES(as_up);
                set(down_flushed);
                co.await(until_run{&where});
                CHECK_MODES(as_zero_flushed);
            }),
            done);
    CHECK_MODES(as_down_flushed);
    set(zero_flushed);
    where.run();
    BOOST_TEST(done.done);
}

BOOST_AUTO_TEST_CASE(a_fiber_without_its_own_in_one_that_has) {
    fiber inner{[&](fiber_ref self) {
        CHECK_MODES(as_up);
        set(down_flushed);
        self.suspend();
        CHECK_MODES(as_zero_flushed);
    }};
    fiber outer{own, [&](fiber_ref self) {
                    set(up);
                    inner.resume();
                    CHECK_MODES(as_down_flushed);
                    self.suspend();
                    CHECK_MODES(as_down_flushed);
                    set(zero_flushed);
                    inner.resume();
                }};
    outer.resume();
    CHECK_MODES(as_nearest);
    outer.resume();
    CHECK_MODES(as_nearest);
    BOOST_TEST(inner.done());
}

#else // Boost.Context's switch keeps the control words of each stack

BOOST_AUTO_TEST_CASE(on_boosts_switch_it_is_that_of_the_stack) {
    set(up);
    fiber f{[&](fiber_ref self) {
        CHECK_MODES(as_up);
        set(down_flushed);
        self.suspend();
        CHECK_MODES(as_down_flushed);
    }};
    set(nearest);
    f.resume();
    CHECK_MODES(as_nearest);
    f.resume();
    CHECK_MODES(as_nearest);
}

#endif

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_FIXTURE_TEST_SUITE(of_fibers, fixture)

BOOST_AUTO_TEST_CASE(begins_with_its_creators_and_keeps_it) {
    set(down_flushed);
    fiber f{own, [&](fiber_ref self) {
                CHECK_MODES(as_down_flushed);
                set(up);
                for (int n = 0; n < 3; ++n) {
                    self.suspend();
                    CHECK_MODES(as_up);
                }
            }};
    set(nearest);
    for (int n = 0; n < 3; ++n) {
        f.resume();
        CHECK_MODES(as_nearest);
    }
    set(zero_flushed);
    f.resume(); // to its end
    BOOST_TEST(f.done());
    CHECK_MODES(as_zero_flushed);
}

BOOST_AUTO_TEST_CASE(from_thread_to_thread) {
    int turns = 0;
    fiber f{own, [&](fiber_ref self) {
                set(down_flushed);
                for (; turns < 6; ++turns) {
                    self.suspend();
                    CHECK_MODES(as_down_flushed);
                }
            }};
    f.resume();
    while (!f.done()) {
        std::thread{[&] {
            set(up);
            f.resume();
            CHECK_MODES(as_up);
        }}.join();
        CHECK_MODES(as_nearest);
    }
    BOOST_TEST(turns == 6);
}

BOOST_AUTO_TEST_CASE(many_at_once) {
    constexpr modes all[] = {up, down_flushed, zero_flushed, nearest};
    const results wanted[] = {as_up, as_down_flushed, as_zero_flushed, as_nearest};
    std::vector<fiber> fibers;
    for (int n = 0; n < 4; ++n)
        fibers.emplace_back(own, [&, n](fiber_ref self) {
            set(all[n]);
            for (int round = 0; round < 3; ++round) {
                self.suspend();
                CHECK_MODES(wanted[n]);
            }
        });
    for (int round = 0; round < 4; ++round)
        for (fiber& f : fibers) f.resume();
    CHECK_MODES(as_nearest);
    for (const fiber& f : fibers) BOOST_TEST(f.done());
}

BOOST_AUTO_TEST_CASE(when_an_exception_leaves) {
    fiber f{own, [&](fiber_ref self) {
                set(up);
                try {
                    throw 1;
                } catch (int) {
                    self.suspend(); // with an exception in hand
                    CHECK_MODES(as_up);
                    throw;
                }
            }};
    set(down_flushed);
    f.resume();
    CHECK_MODES(as_down_flushed);
    try {
        f.resume();
    } catch (int n) {
        BOOST_TEST(n == 1);
        CHECK_MODES(as_down_flushed);
    }
    BOOST_TEST(f.done());
    CHECK_MODES(as_down_flushed);
}

BOOST_AUTO_TEST_CASE(resumed_from_a_catch_block) {
    fiber f{own, [&](fiber_ref self) {
                set(up);
                self.suspend();
                CHECK_MODES(as_up);
            }};
    f.resume();
    set(down_flushed);
    try {
        throw 1;
    } catch (int) {
        f.resume();
        CHECK_MODES(as_down_flushed);
    }
    BOOST_TEST(f.done());
}

BOOST_AUTO_TEST_CASE(while_it_is_unwound) {
    bool looked = false;
    {
        fiber f{std::allocator_arg, weft::default_stack_allocator{}, own, [&](fiber_ref self) {
                    const at_exit_of_scope look{[&] {
                        looked = true;
                        CHECK_MODES(as_up);
                        set(zero_flushed);
                    }};
                    set(up);
                    self.suspend();
                }};
        set(down_flushed);
        f.resume();
    }
    BOOST_TEST(looked);
    CHECK_MODES(as_down_flushed);
}

BOOST_AUTO_TEST_CASE(nested) {
    fiber inner{own, [&](fiber_ref self) {
                    set(up);
                    self.suspend();
                    CHECK_MODES(as_up);
                }};
    fiber outer{own, [&](fiber_ref self) {
                    set(down_flushed);
                    inner.resume();
                    CHECK_MODES(as_down_flushed);
                    self.suspend();
                    CHECK_MODES(as_down_flushed);
                    inner.resume();
                    CHECK_MODES(as_down_flushed);
                }};
    outer.resume();
    CHECK_MODES(as_nearest);
    set(zero_flushed);
    outer.resume();
    CHECK_MODES(as_zero_flushed);
    BOOST_TEST((outer.done() && inner.done()));
}

BOOST_AUTO_TEST_CASE(one_with_its_own_in_one_without) {
    set(zero_flushed);
    fiber inner{own, [&](fiber_ref self) {
                    set(up);
                    self.suspend();
                    CHECK_MODES(as_up);
                }};
    fiber outer{[&](fiber_ref self) {
        inner.resume();
        CHECK_MODES(as_zero_flushed);
        self.suspend();
        inner.resume();
        CHECK_MODES(as_zero_flushed);
    }};
    outer.resume();
    CHECK_MODES(as_zero_flushed);
    outer.resume();
    BOOST_TEST((outer.done() && inner.done()));
}

// A fiber inside suspends the one around it; both go on, each as it was.
BOOST_AUTO_TEST_CASE(suspended_together) {
    fiber outer{own, [&](fiber_ref self) {
                    set(down_flushed);
                    fiber inner{own, [&] {
                                    CHECK_MODES(as_down_flushed); // its creator's
                                    set(up);
                                    self.suspend();
                                    CHECK_MODES(as_up);
                                }};
                    inner.resume();
                    CHECK_MODES(as_down_flushed);
                }};
    outer.resume();
    CHECK_MODES(as_nearest);
    std::thread{[&] {
        set(zero_flushed);
        outer.resume();
        CHECK_MODES(as_zero_flushed);
    }}.join();
    BOOST_TEST(outer.done());
    CHECK_MODES(as_nearest);
}

#if WEFT_SWITCH_NATIVE || !defined(__x86_64__)
constexpr bool kept_by_the_stack = false;
#else
constexpr bool kept_by_the_stack = true; // by Boost's switch
#endif

// The same where only the innermost of three has its own, or the outermost, too: who resumes them never sees it, and
// those without have the modes of whatever thread resumes.
BOOST_AUTO_TEST_CASE(suspended_together_by_the_only_one) {
    for (const bool outermost_too : {false, true}) {
        set(nearest);
        const auto body = [&](fiber_ref self) {
            if (outermost_too) set(down_flushed);
            fiber middle{[&] {
                fiber inner{own, [&] {
                                set(up);
                                for (int n = 0; n < 3; ++n) {
                                    self.suspend();
                                    CHECK_MODES(as_up);
                                }
                            }};
                inner.resume();
                if (outermost_too)
                    CHECK_MODES(as_down_flushed);
                else if (kept_by_the_stack)
                    CHECK_MODES(as_nearest);
                else
                    CHECK_MODES(as_zero_flushed); // the thread's
            }};
            middle.resume();
        };
        fiber outer = outermost_too ? fiber{own, body} : fiber{body};
        outer.resume();
        CHECK_MODES(as_nearest);
        outer.resume();
        CHECK_MODES(as_nearest);
        fiber another{[&] { outer.resume(); }};
        another.resume();
        CHECK_MODES(as_nearest);
        std::thread{[&] {
            set(zero_flushed);
            outer.resume();
            CHECK_MODES(as_zero_flushed);
        }}.join();
        BOOST_TEST(outer.done());
        CHECK_MODES(as_nearest);
    }
}

#if defined(__x86_64__)
BOOST_AUTO_TEST_CASE(precision_of_x87) {
    const auto set_precision = [](std::uint16_t bits) {
        std::uint16_t control;
        asm volatile("fnstcw %0" : "=m"(control));
        control = static_cast<std::uint16_t>((control & ~0x300U) | bits);
        asm volatile("fldcw %0" : : "m"(control));
    };
    constexpr std::uint16_t single = 0, extended = 0x300;
    set_precision(single);
    const results as_single = calculate();
    set_precision(extended);
    BOOST_REQUIRE((as_single.x87_third != as_nearest.x87_third));
    fiber f{own, [&](fiber_ref self) {
                set_precision(single);
                self.suspend();
                CHECK_MODES(as_single);
            }};
    f.resume();
    CHECK_MODES(as_nearest);
    f.resume();
    CHECK_MODES(as_nearest);
}
#endif

// Raised flags: those in MXCSR are the fiber's, FPSR is the thread's.
BOOST_AUTO_TEST_CASE(raised_flags) {
    const auto divide_by_zero = [] {
        volatile double one = 1, none = 0;
        [[maybe_unused]] volatile const double infinite = one / none;
    };
    std::feclearexcept(FE_ALL_EXCEPT);
    bool in_fiber = false;
    fiber f{own, [&](fiber_ref self) {
                divide_by_zero();
                self.suspend();
                in_fiber = std::fetestexcept(FE_DIVBYZERO) != 0;
            }};
    f.resume();
    const bool in_resumer = std::fetestexcept(FE_DIVBYZERO) != 0;
    f.resume();
    const bool at_the_end = std::fetestexcept(FE_DIVBYZERO) != 0;
    std::feclearexcept(FE_ALL_EXCEPT);
    BOOST_TEST(in_fiber);
#if defined(__x86_64__)
    BOOST_TEST(!in_resumer);
    BOOST_TEST(!at_the_end);
#else
    BOOST_TEST(in_resumer);
    BOOST_TEST(at_the_end);
#endif
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_FIXTURE_TEST_SUITE(of_generators, fixture)

BOOST_AUTO_TEST_CASE(the_body_has_its_own) {
    set(down_flushed);
    weft::generator<double> thirds{own, [&](auto& out) {
                                       CHECK_MODES(as_down_flushed);
                                       set(up);
                                       for (int n = 0; n < 3; ++n) {
                                           out.yield(calculate().third);
                                           CHECK_MODES(as_up);
                                       }
                                   }};
    set(zero_flushed);
    int count = 0;
    for (const double third : thirds) {
        ++count;
        BOOST_TEST(third == as_up.third);
        CHECK_MODES(as_zero_flushed);
    }
    BOOST_TEST(count == 3);
    CHECK_MODES(as_zero_flushed);
}

BOOST_AUTO_TEST_CASE(with_allocator_and_name_destroyed_suspended) {
    weft::stack_pool pool{64 * 1024};
    bool looked = false;
    {
        weft::generator<int> g{std::allocator_arg, pool.allocator(),
                               fiber_options{.floating_point = fp_env::per_fiber, .name = "numbers"}, [&](auto& out) {
                                   BOOST_TEST(weft::this_fiber::get().name() == std::string{"numbers"});
                                   const at_exit_of_scope look{[&] {
                                       looked = true;
                                       CHECK_MODES(as_up);
                                   }};
                                   set(up);
                                   out.yield(1);
                               }};
        BOOST_TEST(*g.begin() == 1);
    }
    BOOST_TEST(looked);
    BOOST_TEST(pool.idle() == 1);
    CHECK_MODES(as_nearest);
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
namespace {

/// Where an operand completes.
enum class where { ready, at_once, later, elsewhere };

/// Notes how each function of an awaiter calculates.
struct seen {
    std::optional<results> ready, suspend, resume;
};

struct operand {
    where completes;
    stage* theatre;
    seen* notes;

    bool await_ready() const {
        notes->ready = calculate();
        return completes == where::ready;
    }
    bool await_suspend(std::coroutine_handle<> h) const {
        notes->suspend = calculate();
        if (completes == where::at_once) return false;
        if (completes == where::later)
            theatre->later(h);
        else
            theatre->on_a_thread([h] {
                set(zero_flushed);
                h.resume();
            });
        return true;
    }
    int await_resume() const {
        notes->resume = calculate();
        return 7;
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(of_bodies, fixture)

// The awaiter's await_suspend runs where the body has left: as its thread does. All else as the body does.
BOOST_AUTO_TEST_CASE(kept_over_each_kind_of_await) {
    for (const where completes : {where::ready, where::at_once, where::later, where::elsewhere})
        for (const bool ambient : {false, true}) {
            stage theatre;
            seen notes;
            outcome<int> result;
            const auto body = [&](auto& co) {
                CHECK_MODES(as_down_flushed);
                set(up);
                const operand o{completes, &theatre, &notes};
                const int n = ambient ? weft::await(o) : co.await(o);
                CHECK_MODES(as_up);
                return n + (ambient ? weft::await(o) : co.await(o));
            };
            set(down_flushed);
            observe(weft::stackful<weft::task<int>>(own, body), result);
            const results begun = calculate(); // to be looked at when no other thread checks anything
            theatre.run();
            const results run = calculate();
            theatre.join();
            BOOST_TEST(begun == as_down_flushed);
            BOOST_TEST(run == as_down_flushed);
            BOOST_REQUIRE(result.value.has_value());
            BOOST_TEST(*result.value == 14);
            BOOST_TEST((notes.ready == as_up));
            BOOST_TEST((notes.resume == as_up));
            if (completes == where::ready)
                BOOST_TEST(!notes.suspend.has_value());
            else
                BOOST_TEST((notes.suspend == (completes == where::elsewhere ? as_zero_flushed : as_down_flushed)));
            CHECK_MODES(as_down_flushed);
        }
}

BOOST_AUTO_TEST_CASE(begins_with_that_of_the_thread_that_begins_the_coroutine) {
    set(up);
    auto task = weft::stackful<weft::task<>>(own, [&](auto&) {
        CHECK_MODES(as_down_flushed);
        set(zero_flushed);
    });
    set(down_flushed);
    weft::sync_wait(std::move(task));
    CHECK_MODES(as_down_flushed);
}

weft::task<int> by_proxy(const results& wanted) {
    return weft::stackful(own, [&wanted](auto& co) {
        set(up);
        co.promise(); // a coroutine of this function's type
        CHECK_MODES(wanted);
        return 1;
    });
}

BOOST_AUTO_TEST_CASE(with_allocators_arguments_and_names) {
    weft::stack_pool pool{64 * 1024};
    const fiber_options named{.floating_point = fp_env::per_fiber, .name = "body"};
    const auto body = [&](auto&, int a, std::unique_ptr<int>& b) {
        BOOST_TEST(weft::this_fiber::get().name() == std::string{"body"});
        set(up);
        return a + *b;
    };
    BOOST_TEST((weft::sync_wait(weft::stackful<weft::task<int>, int, std::unique_ptr<int>>(
                    std::allocator_arg, pool.allocator(), named, body, 1, std::make_unique<int>(2))) == 3));
    BOOST_TEST(pool.idle() == 1);
    CHECK_MODES(as_nearest);
    BOOST_TEST((weft::sync_wait(weft::stackful<weft::task<int>, int, std::unique_ptr<int>>(
                    named, body, 3, std::make_unique<int>(4))) == 7));
    CHECK_MODES(as_nearest);
    BOOST_TEST(weft::sync_wait(by_proxy(as_up)) == 1);
    CHECK_MODES(as_nearest);
    const auto with_pool = [&]() -> weft::task<int> {
        return weft::stackful(std::allocator_arg, pool.allocator(), named, [&](auto&) {
            BOOST_TEST(weft::this_fiber::get().name() == std::string{"body"});
            set(down_flushed);
            return 2;
        });
    };
    BOOST_TEST(weft::sync_wait(with_pool()) == 2);
    CHECK_MODES(as_nearest);
}

BOOST_AUTO_TEST_CASE(when_an_exception_leaves_a_body) {
    stage theatre;
    outcome<void> result;
    set(down_flushed);
    observe(weft::stackful<weft::task<>>(own,
                                         [&](auto& co) {
                                             set(up);
                                             co.await(until_run{&theatre});
                                             CHECK_MODES(as_up);
                                             throw std::runtime_error{"over"};
                                         }),
            result);
    CHECK_MODES(as_down_flushed);
    theatre.run();
    CHECK_MODES(as_down_flushed);
    BOOST_TEST(static_cast<bool>(result.failure));
}

BOOST_AUTO_TEST_CASE(destroyed_in_an_await) {
    stage theatre;
    outcome<void> result;
    bool looked = false;
    auto waits = observe(weft::stackful<weft::task<>>(own,
                                                      [&](auto& co) {
                                                          const at_exit_of_scope look{[&] {
                                                              looked = true;
                                                              CHECK_MODES(as_up);
                                                          }};
                                                          set(up);
                                                          co.await(until_run{&theatre});
                                                      }),
                         result);
    set(down_flushed);
    theatre.forget();
    waits.handle.destroy();
    BOOST_TEST(looked);
    CHECK_MODES(as_down_flushed);
}

BOOST_AUTO_TEST_CASE(one_body_awaits_another) {
    stage theatre;
    outcome<int> result;
    const auto inner = [&]() -> weft::task<int> {
        return weft::stackful(own, [&](auto& co) {
            set(down_flushed);
            co.await(on_new_thread{&theatre});
            CHECK_MODES(as_down_flushed);
            return 5;
        });
    };
    set(zero_flushed);
    observe(weft::stackful<weft::task<int>>(own,
                                            [&](auto& co) {
                                                set(up);
                                                const int n = co.await(inner());
                                                CHECK_MODES(as_up);
                                                return n;
                                            }),
            result);
    const results begun = calculate();
    theatre.join();
    BOOST_TEST(begun == as_zero_flushed);
    BOOST_REQUIRE(result.value.has_value());
    BOOST_TEST(*result.value == 5);
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_FIXTURE_TEST_SUITE(of_fiber_contexts, fixture)

// On x86-64 each flow of control has its own, on AArch64 all have their thread's: as for weft::jump_context.
BOOST_AUTO_TEST_CASE(as_their_switch_leaves_it) {
#if defined(__x86_64__)
    const results first = as_up, back = as_nearest, second = as_down_flushed;
#else
    const results first = as_nearest, back = as_down_flushed, second = as_zero_flushed;
#endif
    set(up);
    weft::fiber_context other{[&](weft::fiber_context&& caller) {
        CHECK_MODES(first);
        set(down_flushed);
        caller = std::move(caller).resume();
        CHECK_MODES(second);
        return std::move(caller);
    }};
    set(nearest);
    other = std::move(other).resume();
    CHECK_MODES(back);
    set(zero_flushed);
    other = std::move(other).resume();
    CHECK_MODES(as_zero_flushed);
    BOOST_TEST(other.empty());
}

BOOST_AUTO_TEST_SUITE_END()
