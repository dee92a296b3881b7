// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// What a running program sees of its stacks: the unwinder of its C++ runtime and a walk along the frame pointers end at
// the entry of a fiber or context, and exceptions cross many frames of a fiber, also on another thread than it began
// on.

#include <weft/fiber.hpp>
#include <weft/switch.hpp>

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unwind.h>

namespace {

constexpr int depth = 40; // frames between the entry and the place that looks

struct frame {
    std::uintptr_t function;
    std::uintptr_t cfa;
};

struct backtrace {
    std::vector<frame> frames;
    std::uintptr_t end = 0; // the CFA of the last one
    _Unwind_Reason_Code ended_with = _URC_NO_REASON;
};

// What a call leaves on the stack before the called function begins: the CFA is above it.
#if defined(__x86_64__)
constexpr std::uintptr_t call_pushes = 8;
#else
constexpr std::uintptr_t call_pushes = 0;
#endif

[[gnu::noinline]] backtrace take_backtrace() {
    backtrace taken;
    const auto visit = [](_Unwind_Context* context, void* into) {
        auto& [frames, end, reason] = *static_cast<backtrace*>(into);
        if (_Unwind_GetIP(context) == 0) { // how libgcc shows that nobody called the last one
            end = _Unwind_GetCFA(context);
            return _URC_NO_REASON;
        }
        frames.push_back({_Unwind_GetRegionStart(context), _Unwind_GetCFA(context)});
        return frames.size() > 1000 ? _URC_NORMAL_STOP : _URC_NO_REASON;
    };
    taken.ended_with = _Unwind_Backtrace(visit, &taken);
    return taken;
}

// The return addresses that a walk along the frame pointers finds. On both architectures a frame pointer points at the
// caller's frame pointer, and the return address lies above that.
[[gnu::noinline]] std::size_t count_frame_pointers(std::uintptr_t lowest, std::uintptr_t top) {
    std::size_t count = 0;
    auto pointer = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    while (pointer != 0) {
        BOOST_REQUIRE_MESSAGE(pointer >= lowest && pointer < top && count < 1000,
                              "frame pointer " << count << " points out of the stack");
        const std::uintptr_t next = *reinterpret_cast<const std::uintptr_t*>(pointer);
        BOOST_REQUIRE(next == 0 || next > pointer);
        pointer = next;
        ++count;
    }
    return count;
}

template <class Fn>
[[gnu::noinline]] void below(int frames, Fn&& fn) { // NOLINT(misc-no-recursion)
    if (frames != 0)
        below(frames - 1, fn);
    else
        fn();
    asm volatile("" ::: "memory"); // no tail call
}

struct bounds {
    std::uintptr_t lowest;
    std::uintptr_t top;
};

void check(const backtrace& taken, bounds stack) {
    BOOST_TEST(taken.ended_with == _URC_END_OF_STACK);
    for (const frame& f : taken.frames) BOOST_TEST((f.cfa > stack.lowest && f.cfa <= stack.top));
}

// An allocator that tells where its last stack is.
struct telling_stack {
    bounds* told;
    weft::stack allocate() const {
        const weft::stack s = weft::guarded_stack{256 * 1024}.allocate();
        const auto top = reinterpret_cast<std::uintptr_t>(s.sp);
        *told = {top - s.size, top};
        return s;
    }
    void deallocate(const weft::stack& s) const noexcept { weft::guarded_stack{256 * 1024}.deallocate(s); }
};

struct seen_in_context {
    bounds stack;
    backtrace taken;
    std::size_t frame_pointers = 0;
};

void look_around(weft::transfer arrived) {
    auto& seen = *static_cast<seen_in_context*>(arrived.data);
    below(depth, [&] {
        seen.taken = take_backtrace();
        seen.frame_pointers = count_frame_pointers(seen.stack.lowest, seen.stack.top);
    });
    weft::jump_context(arrived.from, nullptr);
}

struct counts_itself {
    int& alive;
    explicit counts_itself(int& count) : alive{count} { ++alive; }
    counts_itself(const counts_itself&) = delete;
    ~counts_itself() { --alive; }
};

[[gnu::noinline]] void suspend_then_throw(int frames, int& alive, weft::fiber_ref self) { // NOLINT(misc-no-recursion)
    const counts_itself guard{alive};
    if (frames == 0) {
        self.suspend();
        throw std::runtime_error("from " + std::to_string(depth) + " frames down");
    }
    suspend_then_throw(frames - 1, alive, self);
    asm volatile("" ::: "memory");
}

void resume_on_another_thread(weft::fiber& fiber) {
    std::thread{[&] { fiber.resume(); }}.join();
}

} // namespace

BOOST_AUTO_TEST_SUITE(walk)

BOOST_AUTO_TEST_CASE(of_a_context) {
    seen_in_context seen;
    const telling_stack stacks{&seen.stack};
    const weft::stack memory = stacks.allocate();
    weft::jump_context(weft::make_context(memory.sp, memory.size, &look_around), &seen);
    stacks.deallocate(memory);

    check(seen.taken, seen.stack);
    // take_backtrace, the lambda, below ..., look_around, and the first function of every context
    const auto& frames = seen.taken.frames;
    BOOST_REQUIRE(frames.size() >= depth + 4U);
    BOOST_TEST(frames[frames.size() - 2].function == reinterpret_cast<std::uintptr_t>(&look_around));
    BOOST_TEST(frames.back().cfa == seen.stack.top);
    BOOST_TEST(seen.taken.end == seen.stack.top + call_pushes);
    BOOST_TEST(seen.frame_pointers >= depth + 2U);
    BOOST_TEST(seen.frame_pointers <= frames.size());
}

BOOST_AUTO_TEST_CASE(of_a_fiber) {
    seen_in_context seen;
    weft::fiber fiber{std::allocator_arg, telling_stack{&seen.stack}, [&](weft::fiber_ref self) {
                          self.suspend(); // control comes back by the inline switch, not by the first entry
                          below(depth, [&] {
                              seen.taken = take_backtrace();
                              seen.frame_pointers = count_frame_pointers(seen.stack.lowest, seen.stack.top);
                          });
                      }};
    fiber.resume();
    fiber.resume();
    BOOST_TEST(fiber.done());
    check(seen.taken, seen.stack);
    const auto& frames = seen.taken.frames;
    BOOST_REQUIRE(frames.size() >= depth + 5U);
    BOOST_TEST(frames.size() <= depth + 12U);
    BOOST_TEST(seen.frame_pointers >= depth + 3U);
    BOOST_TEST(seen.frame_pointers <= frames.size());
}

BOOST_AUTO_TEST_CASE(of_a_fiber_inside_a_fiber_ends_at_the_inner_one) {
    seen_in_context seen;
    weft::fiber outer{[&] {
        below(depth, [&] {
            weft::fiber inner{std::allocator_arg, telling_stack{&seen.stack}, [&] { seen.taken = take_backtrace(); }};
            inner.resume();
        });
    }};
    outer.resume();
    check(seen.taken, seen.stack);
    BOOST_TEST(seen.taken.frames.size() < 12U);
}

BOOST_AUTO_TEST_CASE(an_exception_thrown_after_a_migration_is_caught_inside) {
    int alive = 0;
    std::string caught;
    weft::fiber fiber{[&](weft::fiber_ref self) {
        try {
            suspend_then_throw(depth, alive, self);
        } catch (const std::runtime_error& error) {
            caught = error.what();
        }
    }};
    fiber.resume();
    BOOST_TEST(alive == depth + 1);
    resume_on_another_thread(fiber);
    BOOST_TEST(fiber.done());
    BOOST_TEST(alive == 0);
    BOOST_TEST(caught == "from 40 frames down");
}

BOOST_AUTO_TEST_CASE(an_exception_thrown_after_a_migration_leaves_through_resume) {
    int alive = 0;
    weft::fiber fiber{[&](weft::fiber_ref self) { suspend_then_throw(depth, alive, self); }};
    fiber.resume();
    std::string caught;
    std::thread{[&] {
        try {
            fiber.resume();
        } catch (const std::runtime_error& error) {
            caught = error.what();
        }
    }}.join();
    BOOST_TEST(alive == 0);
    BOOST_TEST(caught == "from 40 frames down");
}

BOOST_AUTO_TEST_CASE(a_catch_block_survives_a_migration_and_rethrows) {
    int alive = 0;
    std::string caught;
    weft::fiber fiber{[&](weft::fiber_ref self) {
        try {
            try {
                suspend_then_throw(depth, alive, self);
            } catch (...) {
                self.suspend();
                below(depth, [] {
                    if (std::current_exception()) throw;
                });
            }
        } catch (const std::runtime_error& error) {
            caught = error.what();
        }
    }};
    fiber.resume();
    resume_on_another_thread(fiber); // throws and is caught
    resume_on_another_thread(fiber); // throws again
    BOOST_TEST(fiber.done());
    BOOST_TEST(caught == "from 40 frames down");
}

BOOST_AUTO_TEST_CASE(a_fiber_that_migrated_is_unwound_by_its_destruction) {
    int alive = 0;
    {
        weft::fiber fiber{[&](weft::fiber_ref self) {
            self.suspend();
            suspend_then_throw(depth, alive, self);
        }};
        fiber.resume();
        resume_on_another_thread(fiber);
        BOOST_TEST(alive == depth + 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()
