// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft/fiber_context.hpp: a test for each rule of P0876R24, whose section stands beside it.

#include "child.hpp"
#include "recorded_stacks.hpp"
#include "tracked.hpp"

#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using weft::fiber_context;
using weft_test::at_exit_of_scope;
using weft_test::here;
using weft_test::in_child;
using weft_test::tracked;

namespace {

struct leak_check {
    int before = tracked::alive();
    ~leak_check() { BOOST_TEST(tracked::alive() == before); }
};

// Does `fn` end in std::terminate? What was said is appended to `said`.
template <class Fn>
bool terminates(Fn fn, std::string* said = nullptr) {
    const auto end = in_child([&] {
        std::set_terminate([] { ::_exit(77); });
        fn();
        return 0;
    });
    if (said) *said = end.said;
    return end.code == 77;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// An entry that goes back and forth until it has been resumed `times` times.
auto hops(int times) {
    return [times](fiber_context&& caller) {
        for (int n = 1; n < times; ++n) caller = std::move(caller).resume();
        return std::move(caller);
    };
}

void run_to_its_end(fiber_context c) {
    while (c) c = std::move(c).resume();
}

struct converts {
    operator fiber_context() const { return {}; }
};

struct memory_block {
    alignas(16) std::array<std::byte, 64 * 1024> bytes;
    bool contains(const void* address) const {
        const auto a = reinterpret_cast<std::uintptr_t>(address), b = reinterpret_cast<std::uintptr_t>(bytes.data());
        return a >= b && a < b + bytes.size();
    }
};

} // namespace

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(construction, *boost::unit_test::fixture<leak_check>()) // [fiber.context.cons]

static_assert(std::is_nothrow_default_constructible_v<fiber_context>);
static_assert(!std::is_copy_constructible_v<fiber_context> && !std::is_copy_assignable_v<fiber_context>);
static_assert(std::is_nothrow_move_constructible_v<fiber_context> && std::is_nothrow_move_assignable_v<fiber_context>);
static_assert(std::is_nothrow_swappable_v<fiber_context>);
static_assert(!std::is_convertible_v<fiber_context, bool> && std::is_constructible_v<bool, fiber_context>);
static_assert(noexcept(std::declval<const fiber_context&>().can_resume()));
static_assert(noexcept(std::declval<const fiber_context&>().empty()));

// An entry is called with fiber_context&& and returns fiber_context or fiber_context&&, not what merely converts.
static_assert(std::is_constructible_v<fiber_context, fiber_context (*)(fiber_context&&)>);
static_assert(std::is_constructible_v<fiber_context, fiber_context (*)(fiber_context)>);
static_assert(std::is_constructible_v<fiber_context, fiber_context && (*)(fiber_context&&)>);
static_assert(!std::is_constructible_v<fiber_context, converts (*)(fiber_context&&)>);
static_assert(!std::is_constructible_v<fiber_context, const fiber_context (*)(fiber_context&&)>);
static_assert(!std::is_constructible_v<fiber_context, fiber_context& (*)(fiber_context&&)>);
static_assert(!std::is_constructible_v<fiber_context, void (*)(fiber_context&&)>);
static_assert(!std::is_constructible_v<fiber_context, fiber_context (*)(fiber_context&)>);
static_assert(!std::is_constructible_v<fiber_context, fiber_context (*)()>);
static_assert(!std::is_convertible_v<fiber_context (*)(fiber_context&&), fiber_context>);

using deleter = void (*)(std::span<std::byte>);
static_assert(std::is_constructible_v<fiber_context, decltype(hops(1)), std::span<std::byte>, deleter>);
static_assert(std::is_constructible_v<fiber_context, decltype(hops(1)), std::span<std::byte, 4096>, deleter>);
static_assert(!std::is_constructible_v<fiber_context, decltype(hops(1)), std::span<std::byte>, void (*)(int)>);

BOOST_AUTO_TEST_CASE(by_default_it_is_empty) {
    const fiber_context c;
    BOOST_TEST(c.empty());
    BOOST_TEST(!c);
    BOOST_TEST(!c.can_resume());
}

BOOST_AUTO_TEST_CASE(construction_only_prepares) {
    bool ran = false;
    fiber_context c{[&](fiber_context&& caller) {
        ran = true;
        return std::move(caller);
    }};
    BOOST_TEST(!ran);
    BOOST_TEST(!c.empty());
    BOOST_TEST(static_cast<bool>(c));
    BOOST_TEST(c.can_resume());
    c = std::move(c).resume();
    BOOST_TEST(ran);
    BOOST_TEST(c.empty());
}

fiber_context plain_entry(fiber_context caller) {
    return caller;
}

struct by_reference {
    fiber_context&& operator()(fiber_context&& caller) { return std::move(caller); }
};

struct only_once {
    std::unique_ptr<int> value;
    int* out;
    fiber_context operator()(fiber_context&& caller) && {
        *out = *value;
        return std::move(caller);
    }
};

BOOST_AUTO_TEST_CASE(entries_of_every_kind) {
    run_to_its_end(fiber_context{plain_entry});
    run_to_its_end(fiber_context{by_reference{}});
    int out = 0;
    run_to_its_end(fiber_context{only_once{std::make_unique<int>(17), &out}});
    BOOST_TEST(out == 17);
    std::function<fiber_context(fiber_context&&)> erased = plain_entry;
    run_to_its_end(fiber_context{erased});
    BOOST_TEST(static_cast<bool>(erased));
}

BOOST_AUTO_TEST_CASE(the_entry_is_copied_once_and_destroyed_when_the_fiber_ends) {
    const int before = tracked::alive();
    const auto entry = [t = tracked{5}](fiber_context&& caller) {
        if (t.value() != 5) throw std::logic_error("the captures changed");
        caller = std::move(caller).resume();
        return std::move(caller);
    };
    BOOST_TEST(tracked::alive() == before + 1);
    fiber_context c{entry};
    BOOST_TEST(tracked::alive() == before + 2);
    c = std::move(c).resume();
    BOOST_TEST(tracked::alive() == before + 2);
    c = std::move(c).resume();
    BOOST_TEST(c.empty());
    BOOST_TEST(tracked::alive() == before + 1);
}

struct copying_fails {
    copying_fails() = default;
    copying_fails(const copying_fails&) { throw std::runtime_error("no copy"); }
    fiber_context operator()(fiber_context&& caller) const { return std::move(caller); }
};

BOOST_AUTO_TEST_CASE(what_copying_throws_comes_out_and_the_stack_is_kept) {
    const copying_fails entry;
    const weft::default_stack_allocator stacks;
    stacks.deallocate(stacks.allocate()); // one is idle now
    const std::size_t idle = weft::stack_pool::process().idle();
    BOOST_CHECK_THROW(fiber_context{entry}, std::runtime_error);
    BOOST_TEST(weft::stack_pool::process().idle() == idle);

    const auto block = std::make_unique<memory_block>();
    int deleted = 0;
    const auto count = [&deleted](std::span<std::byte>) { ++deleted; };
    const auto make = [&] { fiber_context c(entry, std::span<std::byte>{block->bytes}, count); };
    BOOST_CHECK_THROW(make(), std::runtime_error);
    BOOST_TEST(deleted == 0);
}

BOOST_AUTO_TEST_CASE(moving_and_swapping) {
    int ran = 0;
    fiber_context a{[&](fiber_context&& caller) {
        ++ran;
        return std::move(caller);
    }};
    fiber_context b{std::move(a)};
    BOOST_TEST(a.empty());
    BOOST_TEST(!b.empty());
    fiber_context c;
    BOOST_TEST(&(c = std::move(b)) == &c);
    BOOST_TEST(b.empty());
    BOOST_TEST(!c.empty());
    c.swap(a); // [fiber.context.mem]
    BOOST_TEST(c.empty());
    swap(a, c); // [fiber.context.special]
    BOOST_TEST(a.empty());
    b = fiber_context{};
    BOOST_TEST(ran == 0);
    c = std::move(c).resume();
    BOOST_TEST(ran == 1);
}

BOOST_AUTO_TEST_CASE(destroying_a_prepared_or_suspended_one_terminates) {
    std::string said;
    BOOST_TEST(terminates([] { const fiber_context c{hops(1)}; }, &said));
    BOOST_TEST(contains(said, "weft: "), said);
    BOOST_TEST(terminates([] {
        fiber_context c{hops(2)};
        c = std::move(c).resume();
    }));
    BOOST_TEST(!terminates([] { const fiber_context c; }));
}

BOOST_AUTO_TEST_CASE(nothing_is_unwound_implicitly) {
    std::string said;
    BOOST_TEST(terminates(
        [] {
            fiber_context c{[](fiber_context&& caller) {
                const at_exit_of_scope unwound{[] {
                    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, "unwound", 7);
                }};
                caller = std::move(caller).resume();
                return std::move(caller);
            }};
            c = std::move(c).resume();
        },
        &said));
    BOOST_TEST(!contains(said, "unwound"), said);
}

BOOST_AUTO_TEST_CASE(assigning_to_one_that_is_not_empty_terminates) {
    BOOST_TEST(terminates([] {
        auto& c = *new fiber_context{hops(1)};
        c = fiber_context{hops(1)};
    }));
    BOOST_TEST(terminates([] {
        auto& c = *new fiber_context{hops(1)};
        c = fiber_context{};
    }));
    BOOST_TEST(terminates([] {
        auto& c = *new fiber_context{hops(1)};
        fiber_context& same = c;
        c = std::move(same);
    }));
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(stack_of_the_user, *boost::unit_test::fixture<leak_check>()) // [fiber.context.cons], span

BOOST_AUTO_TEST_CASE(the_fiber_runs_on_it) {
    const auto block = std::make_unique<memory_block>();
    bool inside = false, deleter_inside = true;
    std::span<std::byte> deleted;
    fiber_context c(
        [&](fiber_context&& caller) {
            inside = block->contains(here());
            return std::move(caller);
        },
        std::span<std::byte>{block->bytes},
        [&](std::span<std::byte> stack) {
            deleted = stack;
            deleter_inside = block->contains(here());
        });
    c = std::move(c).resume();
    BOOST_TEST(c.empty());
    BOOST_TEST(inside);
    BOOST_TEST(!deleter_inside);
    BOOST_TEST((deleted.data() == block->bytes.data() && deleted.size() == block->bytes.size()));
}

BOOST_AUTO_TEST_CASE(a_span_of_fixed_extent_arrives_as_one) {
    const auto block = std::make_unique<memory_block>();
    bool fixed = false;
    fiber_context c(hops(1), std::span{block->bytes},
                    [&](auto stack) { fixed = decltype(stack)::extent == std::tuple_size_v<decltype(block->bytes)>; });
    c = std::move(c).resume();
    BOOST_TEST(fixed);
}

// Says when it is destroyed for good.
struct last_words {
    std::vector<std::string>* log;
    std::string word;
    last_words(std::vector<std::string>& l, std::string w) : log{&l}, word{std::move(w)} {}
    last_words(last_words&& other) noexcept : log{std::exchange(other.log, nullptr)}, word{std::move(other.word)} {}
    ~last_words() {
        if (log) log->push_back(word);
    }
};

const std::vector<std::string> right_order{"entry ends", "entry destroyed", "deleter called", "deleter destroyed",
                                           "successor goes on"};

BOOST_AUTO_TEST_CASE(the_deleter_runs_after_the_entry_is_destroyed_and_before_the_successor_goes_on) {
    const auto block = std::make_unique<memory_block>();
    std::vector<std::string> log;
    fiber_context c(
        [&log, destroyed = last_words{log, "entry destroyed"}](fiber_context&& caller) {
            caller = std::move(caller).resume();
            log.push_back("entry ends");
            return std::move(caller);
        },
        std::span<std::byte>{block->bytes},
        [&log, destroyed = last_words{log, "deleter destroyed"}](std::span<std::byte> stack) {
            std::fill(stack.begin(), stack.end(), std::byte{0xee}); // nothing is needed of it any more
            log.push_back("deleter called");
        });
    c = std::move(c).resume();
    BOOST_TEST(log.empty());
    c = std::move(c).resume();
    log.push_back("successor goes on");
    BOOST_TEST(log == right_order, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(also_if_the_successor_has_not_begun) {
    const auto block = std::make_unique<memory_block>();
    std::vector<std::string> log;
    bool received_nothing = false;
    fiber_context main;
    fiber_context successor{[&](fiber_context&& caller) {
        log.push_back("successor goes on");
        received_nothing = caller.empty();
        return std::move(main);
    }};
    fiber_context c(
        [&, destroyed = last_words{log, "entry destroyed"}](fiber_context&& caller) {
            main = std::move(caller);
            log.push_back("entry ends");
            return std::move(successor);
        },
        std::span<std::byte>{block->bytes},
        [&log, destroyed = last_words{log, "deleter destroyed"}](std::span<std::byte> stack) {
            std::fill(stack.begin(), stack.end(), std::byte{0xee});
            log.push_back("deleter called");
        });
    c = std::move(c).resume();
    BOOST_TEST(c.empty());
    BOOST_TEST(received_nothing);
    BOOST_TEST(log == right_order, boost::test_tools::per_element());
}

// No exception of the successor's is in the deleter's hands.
BOOST_AUTO_TEST_CASE(the_deleter_belongs_to_no_handler) {
    const auto block = std::make_unique<memory_block>();
    bool alone = false;
    try {
        throw 1;
    } catch (int) {
        fiber_context c(hops(1), std::span<std::byte>{block->bytes},
                        [&](std::span<std::byte>) {
                            alone = !std::current_exception() && std::uncaught_exceptions() == 0;
                        });
        c = std::move(c).resume();
        BOOST_TEST(static_cast<bool>(std::current_exception()));
    }
    BOOST_TEST(alone);
}

BOOST_AUTO_TEST_CASE(a_deleter_that_throws_terminates) {
    const auto block = std::make_unique<memory_block>();
    BOOST_TEST(terminates([&] {
        fiber_context c(hops(1), std::span<std::byte>{block->bytes}, [](std::span<std::byte>) { throw 1; });
        c = std::move(c).resume();
    }));
}

BOOST_AUTO_TEST_CASE(misaligned_or_too_small_is_refused_and_stays_the_callers) {
    const auto block = std::make_unique<memory_block>();
    int deleted = 0;
    const auto make = [&](std::span<std::byte> memory) {
        fiber_context c(hops(1), memory, [&](std::span<std::byte>) { ++deleted; });
        run_to_its_end(std::move(c));
    };
    const std::span<std::byte> all{block->bytes};
    BOOST_CHECK_THROW(make(all.subspan(8)), std::invalid_argument);
    BOOST_CHECK_THROW(make(all.subspan(1)), std::invalid_argument);
    BOOST_CHECK_THROW(make({}), std::length_error);
    BOOST_CHECK_THROW(make(all.first(16)), std::length_error);
    BOOST_CHECK_THROW(make(all.first(1024)), std::length_error);
    const auto large = [capture = std::array<char, 20000>{}](fiber_context&& caller) {
        static_cast<void>(capture);
        return std::move(caller);
    };
    const auto too_large = [&] {
        fiber_context c(large, all.first(16 * 1024), [&](std::span<std::byte>) { ++deleted; });
    };
    BOOST_CHECK_THROW(too_large(), std::length_error);
    BOOST_TEST(deleted == 0);
    make(all.subspan(16));
    BOOST_TEST(deleted == 1);
    make(all.first(all.size() - 5)); // its end is aligned by weft
    BOOST_TEST(deleted == 2);
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(resumption, *boost::unit_test::fixture<leak_check>()) // [fiber.context.mem]

BOOST_AUTO_TEST_CASE(resume_empties_its_object_and_no_object_stands_for_a_running_fiber) {
    fiber_context c;
    bool was_empty = false, caller_was_there = false;
    c = fiber_context{[&](fiber_context&& caller) {
        was_empty = c.empty();
        caller_was_there = !caller.empty();
        caller = std::move(caller).resume();
        was_empty = was_empty && c.empty();
        return std::move(caller);
    }};
    c = std::move(c).resume();
    BOOST_TEST(was_empty);
    BOOST_TEST(caller_was_there);
    BOOST_TEST(!c.empty());
    c = std::move(c).resume();
    BOOST_TEST(was_empty);
    BOOST_TEST(c.empty());
}

// What resume returns stands for the fiber that came back, which need not be the one that was resumed.
BOOST_AUTO_TEST_CASE(it_returns_the_previous_fiber_not_the_target) {
    std::string trace;
    fiber_context main;
    fiber_context b{[&](fiber_context&& from_a) {
        trace += "b1 ";
        fiber_context a = std::move(from_a);
        fiber_context back = std::move(main).resume(); // a waits meanwhile; main gets b
        trace += "b2 ";
        main = std::move(back);
        return a; // a receives nothing
    }};
    fiber_context a{[&](fiber_context&& from_main) {
        main = std::move(from_main);
        trace += "a1 ";
        const fiber_context previous = std::move(b).resume();
        trace += previous.empty() ? "a2 " : "a got something ";
        return std::move(main);
    }};
    fiber_context previous = std::move(a).resume();
    trace += "main ";
    BOOST_TEST(a.empty());
    previous = std::move(previous).resume(); // is b
    BOOST_TEST(previous.empty());
    BOOST_TEST(trace == "a1 b1 main b2 a2 ");
}

BOOST_AUTO_TEST_CASE(resume_with_calls_its_function_on_the_target_with_the_caller) {
    const auto block = std::make_unique<memory_block>();
    bool target_had_begun = false;
    fiber_context c(
        [&](fiber_context&& caller) {
            target_had_begun = true;
            caller = std::move(caller).resume();
            return std::move(caller);
        },
        std::span<std::byte>{block->bytes}, [](std::span<std::byte>) {});
    for (const bool begun : {false, true}) {
        bool on_target = false, has_caller = false, emptied = false, order = false;
        auto fn = [&](fiber_context&& caller) {
            on_target = block->contains(here());
            has_caller = !caller.empty() && caller.can_resume();
            emptied = c.empty();
            order = target_had_begun == begun;
            return std::move(caller);
        };
        c = std::move(c).resume_with(fn);
        BOOST_TEST(on_target);
        BOOST_TEST(has_caller);
        BOOST_TEST(emptied);
        BOOST_TEST(order);
    }
    BOOST_TEST(c.empty());
}

BOOST_AUTO_TEST_CASE(what_the_function_returns_is_what_the_target_gets) {
    fiber_context main, other{hops(1)};
    int got_nothing = 0;
    bool got_other = false;
    const auto keep = [&](fiber_context&& caller) {
        main = std::move(caller);
        return fiber_context{};
    };
    fiber_context c{[&](fiber_context&& first) { // a prepared entry
        got_nothing += first.empty();
        fiber_context second = std::move(main).resume(); // a pending resume
        got_nothing += second.empty();
        fiber_context third = std::move(main).resume_with(std::identity{}); // a pending resume_with
        got_other = !third.empty();
        run_to_its_end(std::move(third)); // it was `other`, which ends
        return std::move(main);
    }};
    c = std::move(c).resume_with(keep);
    BOOST_TEST(got_nothing == 1);
    c = std::move(c).resume_with(keep);
    BOOST_TEST(got_nothing == 2);
    c = std::move(c).resume_with([&](fiber_context&& caller) {
        main = std::move(caller);
        return std::move(other);
    });
    BOOST_TEST(got_other);
    BOOST_TEST(c.empty());
    BOOST_TEST(other.empty());
}

template <class Context>
concept resumes = requires { std::declval<Context>().resume(); };
template <class Fn>
concept resumes_with = requires(Fn fn) { fiber_context{}.resume_with(fn); };
static_assert(resumes<fiber_context> && !resumes<fiber_context&>);
static_assert(resumes_with<fiber_context (*)(fiber_context&&)> && resumes_with<fiber_context && (*)(fiber_context&&)>);
static_assert(!resumes_with<void (*)(fiber_context&&)> && !resumes_with<converts (*)(fiber_context&&)>);

struct counted_function {
    tracked* here;
    fiber_context operator()(fiber_context&& caller) && { return std::move(caller); }
    counted_function(tracked& t) : here{&t} {}
    counted_function(const counted_function&) = delete;
};

BOOST_AUTO_TEST_CASE(the_function_is_not_copied_and_called_as_it_was_passed) {
    tracked t;
    fiber_context c{hops(1)};
    c = std::move(c).resume_with(counted_function{t});
    BOOST_TEST(c.empty());
}

BOOST_AUTO_TEST_CASE(what_the_function_throws_leaves_the_targets_pending_call) {
    int caught = 0;
    fiber_context main;
    fiber_context c{[&](fiber_context&& caller) {
        main = std::move(caller);
        for (int n = 0; n < 2; ++n) {
            try {
                if (n == 0)
                    std::move(main).resume();
                else
                    std::move(main).resume_with(std::identity{});
            } catch (const std::runtime_error& e) {
                caught += e.what() == std::string{"stop"};
            }
        }
        return std::move(main);
    }};
    const auto stop = [&](fiber_context&& caller) -> fiber_context {
        main = std::move(caller);
        throw std::runtime_error("stop");
    };
    c = std::move(c).resume();
    c = std::move(c).resume_with(stop);
    BOOST_TEST(caught == 1);
    c = std::move(c).resume_with(stop);
    BOOST_TEST(caught == 2);
    BOOST_TEST(c.empty());
}

// The way to cancel one: it unwinds its own stack and takes the caller along.
struct cancelled {
    std::shared_ptr<fiber_context> successor;
};

BOOST_AUTO_TEST_CASE(cancelling_by_an_exception_unwinds_the_target) {
    fiber_context c{[](fiber_context&& caller) {
        const tracked on_the_stack;
        try {
            for (;;) caller = std::move(caller).resume();
        } catch (const cancelled& by) {
            return std::move(*by.successor);
        }
    }};
    const int before = tracked::alive();
    c = std::move(c).resume();
    BOOST_TEST(tracked::alive() == before + 1);
    c = std::move(c).resume_with([](fiber_context&& caller) -> fiber_context {
        throw cancelled{std::make_shared<fiber_context>(std::move(caller))};
    });
    BOOST_TEST(c.empty());
    BOOST_TEST(tracked::alive() == before);
}

// The paper does not say what becomes of an exception while the entry has not begun: it counts as one of the entry.
BOOST_AUTO_TEST_CASE(an_exception_of_the_function_terminates_if_the_target_has_not_begun) {
    BOOST_TEST(terminates([] {
        fiber_context main;
        fiber_context c{hops(1)};
        try {
            c = std::move(c).resume_with([&](fiber_context&& caller) -> fiber_context {
                main = std::move(caller);
                throw std::runtime_error("stop");
            });
        } catch (...) {
        }
    }));
}

BOOST_AUTO_TEST_CASE(resume_with_is_reentrant) {
    std::string trace;
    fiber_context c{[&](fiber_context&& caller) {
        trace += "entry ";
        caller = std::move(caller).resume();
        trace += "end ";
        return std::move(caller);
    }};
    auto back_at_once = [&](fiber_context&& caller) {
        trace += "function ";
        caller = std::move(caller).resume(); // the target has not come to its entry, or out of its resume
        trace += "again ";
        return std::move(caller);
    };
    c = std::move(c).resume_with(back_at_once);
    trace += "main ";
    BOOST_TEST(!c.empty());
    c = std::move(c).resume_with(back_at_once); // one call of the function waits inside of another
    trace += "main ";
    while (c) c = std::move(c).resume();
    BOOST_TEST(trace == "function main function main again again entry end ");
}

BOOST_AUTO_TEST_CASE(the_successor_of_an_entry_receives_nothing) {
    bool first_got_nothing = false;
    fiber_context main;
    fiber_context first{[&](fiber_context&& caller) {
        main = std::move(caller);
        const fiber_context got = std::move(main).resume();
        first_got_nothing = got.empty();
        return std::move(main);
    }};
    first = std::move(first).resume();
    fiber_context second{[&](fiber_context&& caller) {
        main = std::move(caller);
        return std::move(first);
    }};
    second = std::move(second).resume(); // second ends, first goes on and ends, main goes on
    BOOST_TEST(first_got_nothing);
    BOOST_TEST(second.empty());
    BOOST_TEST(first.empty());
}

BOOST_AUTO_TEST_CASE(an_entry_that_returns_an_empty_object_terminates) {
    std::string said;
    BOOST_TEST(terminates(
        [] {
            fiber_context main;
            fiber_context c{[&](fiber_context&& caller) {
                main = std::move(caller);
                return fiber_context{};
            }};
            c = std::move(c).resume();
        },
        &said));
    BOOST_TEST(contains(said, "returned an empty one"), said);
}

BOOST_AUTO_TEST_CASE(an_entry_left_by_an_exception_terminates) {
    BOOST_TEST(terminates([] {
        fiber_context main;
        fiber_context c{[&](fiber_context&& caller) -> fiber_context {
            main = std::move(caller);
            throw std::runtime_error("out");
        }};
        try { // the search for a handler ends at the entry
            c = std::move(c).resume();
        } catch (...) {
        }
    }));
}

#if defined(__GLIBC__) && defined(__GLIBCXX__)
BOOST_AUTO_TEST_CASE(an_entry_in_which_the_thread_ends_terminates) {
    const auto end = in_child([] {
        pthread_t thread;
        const auto run = [](void*) -> void* {
            fiber_context c{[](fiber_context&& caller) -> fiber_context {
                static fiber_context kept; // one on this stack would be destroyed first
                kept = std::move(caller);
                ::pthread_exit(nullptr);
            }};
            static_cast<void>(std::move(c).resume());
            return nullptr;
        };
        ::pthread_create(&thread, nullptr, run, nullptr);
        ::pthread_join(thread, nullptr);
        return 0;
    });
    BOOST_TEST(end.signal == SIGABRT, end);
    BOOST_TEST(end.said.starts_with("weft: a thread was ended"), end);
}
#endif

BOOST_AUTO_TEST_CASE(an_empty_one_cannot_be_resumed) {
    std::string said;
    BOOST_TEST(terminates([] { fiber_context{}.resume(); }, &said));
    BOOST_TEST(contains(said, "an empty fiber_context was resumed"), said);
}

// Twelve fibers hand over to each other at random; each finds its own frame as it was.
BOOST_AUTO_TEST_CASE(any_fiber_may_continue_any_other) {
    constexpr std::size_t count = 12;
    std::array<fiber_context, count> waiting;
    fiber_context main;
    std::mt19937 random{7};
    int left = 2000, wrong = 0;
    std::function<fiber_context(std::size_t, fiber_context&&)> body = [&](std::size_t me, fiber_context&& caller) {
        const tracked mine{static_cast<int>(me)};
        if (caller) main = std::move(caller); // else it was begun by a resume_with
        while (left > 0) {
            --left;
            const std::size_t next = random() % count;
            if (next == me || !waiting[next]) continue;
            std::move(waiting[next]).resume_with([&waiting, me](fiber_context&& c) {
                waiting[me] = std::move(c);
                return fiber_context{};
            });
            wrong += mine.value() != static_cast<int>(me);
        }
        for (fiber_context& c : waiting)
            if (c) return std::move(c);
        return std::move(main);
    };
    for (std::size_t n = 1; n < count; ++n)
        waiting[n] = fiber_context{[&, n](fiber_context&& caller) { return body(n, std::move(caller)); }};
    fiber_context first{[&](fiber_context&& caller) { return body(0, std::move(caller)); }};
    first = std::move(first).resume();
    BOOST_TEST(first.empty());
    BOOST_TEST(left == 0);
    BOOST_TEST(wrong == 0);
    for (const fiber_context& c : waiting) BOOST_TEST(c.empty());
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(threads, *boost::unit_test::fixture<leak_check>()) // [fiber.context.mem], owning thread

BOOST_AUTO_TEST_CASE(a_prepared_one_can_be_resumed_anywhere_and_belongs_to_the_first) {
    fiber_context c{hops(2)};
    bool anywhere = false, here_then = false;
    std::thread{[&] { anywhere = c.can_resume(); }}.join();
    BOOST_TEST(anywhere);
    BOOST_TEST(c.can_resume());
    c = std::move(c).resume();
    BOOST_TEST(c.can_resume());
    std::thread{[&] { here_then = c.can_resume(); }}.join();
    BOOST_TEST(!here_then);
    c = std::move(c).resume();
    BOOST_TEST(c.empty());
}

BOOST_AUTO_TEST_CASE(it_may_run_and_end_on_a_thread_that_did_not_make_it) {
    fiber_context c{hops(3)};
    std::thread{[&] { run_to_its_end(std::move(c)); }}.join();
    BOOST_TEST(c.empty());
}

#if !WEFT_TSAN // which does not follow threads into a child
BOOST_AUTO_TEST_CASE(resuming_it_on_another_thread_terminates) {
    std::string said;
    BOOST_TEST(terminates(
        [] {
            fiber_context c{hops(2)};
            c = std::move(c).resume();
            std::thread{[&] { c = std::move(c).resume(); }}.join();
        },
        &said));
    BOOST_TEST(contains(said, "on another thread"), said);
}

BOOST_AUTO_TEST_CASE(returning_one_of_another_thread_terminates) {
    std::string said;
    BOOST_TEST(terminates(
        [] {
            fiber_context c{hops(2)};
            c = std::move(c).resume();
            std::thread{[&] {
                fiber_context main;
                fiber_context other{[&](fiber_context&& caller) {
                    main = std::move(caller);
                    return std::move(c);
                }};
                other = std::move(other).resume();
            }}.join();
        },
        &said));
    BOOST_TEST(contains(said, "has run on another thread"), said);
}
#endif

// Threads are told apart also when one gets the memory of another that has ended.
BOOST_AUTO_TEST_CASE(it_belongs_to_no_later_thread) {
    static auto& kept = *new std::vector<fiber_context*>; // for ever: nobody can resume them any more
    int others = 0;
    for (int n = 0; n < 4; ++n)
        std::thread{[&] {
            for (const fiber_context* c : kept) others += c->can_resume();
            auto* const c = new fiber_context{hops(2)};
            *c = std::move(*c).resume();
            if (!c->can_resume()) ++others;
            kept.push_back(c);
        }}.join();
    BOOST_TEST(kept.size() == 4u);
    BOOST_TEST(others == 0);
}

thread_local int of_this_thread = 0;

BOOST_AUTO_TEST_CASE(thread_local_objects_stay_the_threads) {
    of_this_thread = 1;
    fiber_context c{[](fiber_context&& caller) {
        of_this_thread += 10;
        caller = std::move(caller).resume();
        of_this_thread += 100;
        return std::move(caller);
    }};
    c = std::move(c).resume();
    BOOST_TEST(of_this_thread == 11);
    c = std::move(c).resume();
    BOOST_TEST(of_this_thread == 111);
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(exceptions, *boost::unit_test::fixture<leak_check>()) // [except.throw], [except.handle] per fiber

std::string current() {
    try {
        throw;
    } catch (const std::exception& e) {
        return e.what();
    }
}

// Two fibers inside of handlers at the same time: each keeps its own exception, and its lifetime.
BOOST_AUTO_TEST_CASE(each_fiber_handles_its_own_exception) {
    struct failure : std::runtime_error {
        tracked alive;
        using std::runtime_error::runtime_error;
    };
    const int before = tracked::alive();
    std::string trace;
    fiber_context c{[&](fiber_context&& caller) {
        try {
            throw failure("inner");
        } catch (const failure& e) {
            caller = std::move(caller).resume();
            trace += std::string{e.what()} + " " + current() + " ";
        }
        trace += std::current_exception() ? "something " : "nothing ";
        return std::move(caller);
    }};
    try {
        throw failure("outer");
    } catch (const failure& e) {
        c = std::move(c).resume();
        trace += std::string{e.what()} + " " + current() + " ";
    }
    BOOST_TEST(tracked::alive() == before + 1); // the one of c
    BOOST_TEST(!std::current_exception());
    c = std::move(c).resume();
    BOOST_TEST(trace == "outer outer inner inner nothing ");
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_CASE(throw_without_operand_means_the_fibers_own) {
    std::string caught;
    fiber_context c{[](fiber_context&& caller) {
        try {
            throw std::runtime_error("worse");
        } catch (const std::exception&) {
            caller = std::move(caller).resume();
        }
        return std::move(caller);
    }};
    try {
        try {
            throw std::runtime_error("bad");
        } catch (const std::exception&) {
            c = std::move(c).resume();
            throw;
        }
    } catch (const std::exception& e) {
        caught = e.what();
    }
    BOOST_TEST(caught == "bad");
    c = std::move(c).resume();
}

BOOST_AUTO_TEST_CASE(uncaught_exceptions_are_counted_per_fiber) {
    std::vector<int> counts;
    fiber_context c{[&](fiber_context&& caller) {
        counts.push_back(std::uncaught_exceptions());
        counts.push_back(std::current_exception() ? -1 : -2);
        caller = std::move(caller).resume();
        counts.push_back(std::uncaught_exceptions());
        return std::move(caller);
    }};
    try {
        const at_exit_of_scope while_unwinding{[&] {
            c = std::move(c).resume();
            counts.push_back(std::uncaught_exceptions());
        }};
        throw std::runtime_error("outer");
    } catch (const std::exception&) {
        counts.push_back(std::uncaught_exceptions());
    }
    c = std::move(c).resume();
    const std::vector<int> expected{0, -2, 1, 0, 0};
    BOOST_TEST(counts == expected, boost::test_tools::per_element());
}

// The function of resume_with runs with the target's exceptions.
BOOST_AUTO_TEST_CASE(the_function_belongs_to_the_target) {
    std::string seen;
    fiber_context c{[](fiber_context&& caller) {
        try {
            throw std::runtime_error("the target's");
        } catch (const std::exception&) {
            caller = std::move(caller).resume();
        }
        return std::move(caller);
    }};
    c = std::move(c).resume();
    try {
        throw std::runtime_error("the caller's");
    } catch (const std::exception&) {
        c = std::move(c).resume_with([&](fiber_context&& caller) {
            seen = current();
            return std::move(caller);
        });
        seen += ", then " + current();
    }
    BOOST_TEST(seen == "the target's, then the caller's");
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(beside_weft_fiber, *boost::unit_test::fixture<leak_check>())

BOOST_AUTO_TEST_CASE(in_a_fiber_and_a_fiber_in_it) {
    std::string trace;
    weft::fiber f{[&](weft::fiber_ref self) {
        fiber_context c{[&](fiber_context&& caller) {
            trace += "context ";
            weft::fiber inner{[&](weft::fiber_ref inside) {
                trace += "inner ";
                inside.suspend();
                trace += "end ";
            }};
            inner.resume();
            caller = std::move(caller).resume();
            inner.resume();
            trace += inner.done() ? "done " : "not done ";
            return std::move(caller);
        }};
        c = std::move(c).resume();
        if (weft::this_fiber::get() != self) trace += "lost ";
        self.suspend(); // with the context waiting
        weft::this_fiber::suspend();
        c = std::move(c).resume();
        trace += "fiber ";
    }};
    for (int n = 0; n < 3; ++n) {
        BOOST_TEST(!f.done());
        f.resume();
        trace += "| ";
    }
    BOOST_TEST(f.done());
    BOOST_TEST(trace == "context inner | | end done fiber | ");
}

BOOST_AUTO_TEST_CASE(a_fiber_that_waits_as_a_context_cannot_be_suspended) {
    int refused = 0;
    weft::fiber outer{[&](weft::fiber_ref outer_self) {
        weft::fiber f{[&](weft::fiber_ref self) {
            fiber_context c{[&](fiber_context&& caller) {
                for (const weft::fiber_ref each : {self, outer_self}) {
                    try {
                        each.suspend();
                    } catch (const weft::fiber_error&) {
                        ++refused;
                    }
                }
                try {
                    weft::this_fiber::suspend();
                } catch (const weft::not_in_fiber&) {
                    ++refused;
                }
                return std::move(caller);
            }};
            c = std::move(c).resume();
            self.suspend();
            outer_self.suspend();
        }};
        f.resume();
        f.resume();
    }};
    outer.resume();
    BOOST_TEST(refused == 3);
    BOOST_TEST(!outer.done());
    outer.resume();
    BOOST_TEST(outer.done());
}

// A destructor of a fiber that is being unwound may use contexts; what they run is not unwound, and the fiber still is.
BOOST_AUTO_TEST_CASE(a_fiber_being_unwound_may_resume_contexts) {
    int refused = 0, ran = 0, unwound = 0;
    {
        weft::fiber f{[&](weft::fiber_ref self) {
            const at_exit_of_scope resumes_one{[&] {
                fiber_context c{[&](fiber_context&& caller) {
                    ++ran;
                    try {
                        self.suspend();
                    } catch (const weft::fiber_error&) {
                        ++refused;
                    }
                    return std::move(caller);
                }};
                c = std::move(c).resume();
                try {
                    self.suspend();
                } catch (const weft::forced_unwind&) {
                    ++unwound;
                }
            }};
            self.suspend();
        }};
        f.resume();
    }
    BOOST_TEST(ran == 1);
    BOOST_TEST(refused == 1);
    BOOST_TEST(unwound == 1);
}

BOOST_AUTO_TEST_CASE(the_exceptions_of_a_fiber_and_of_a_context_are_their_own) {
    std::string trace;
    weft::fiber f{[&](weft::fiber_ref self) {
        fiber_context c{[&](fiber_context&& caller) {
            try {
                throw std::runtime_error("context's");
            } catch (const std::exception& e) {
                caller = std::move(caller).resume();
                trace += e.what();
            }
            return std::move(caller);
        }};
        try {
            throw std::runtime_error("fiber's ");
        } catch (const std::exception&) {
            c = std::move(c).resume();
            self.suspend();
            try {
                throw;
            } catch (const std::exception& e) {
                trace += e.what();
            }
        }
        c = std::move(c).resume();
    }};
    f.resume();
    BOOST_TEST(!std::current_exception());
    f.resume();
    BOOST_TEST(trace == "fiber's context's");
}

BOOST_AUTO_TEST_SUITE_END()
