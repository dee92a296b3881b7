// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft/fiber.hpp.

#include "checked_contexts.hpp"
#include "child.hpp"
#include "foreign.hpp"
#include "recorded_stacks.hpp"
#include "thread_id.hpp"
#include "tracked.hpp"

#include <weft/fiber.hpp>
#include <weft/switch.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using weft::fiber;
using weft::fiber_ref;
using weft_test::at_exit_of_scope;
using weft_test::in_child;
using weft_test::lets_foreign_out;
using weft_test::raise_foreign;
using weft_test::recorded_stacks;
using weft_test::this_thread_id;
using weft_test::tracked;

#if defined(__ELF__) && (defined(__x86_64__) || defined(__aarch64__))
// Functions in sections of their own: the linker says where these begin and end.
extern "C" const unsigned char __start_weft_test_fetches_record[], __stop_weft_test_fetches_record[];
extern "C" const unsigned char __start_weft_test_fetches_stack[], __stop_weft_test_fetches_stack[];
// Not in an anonymous namespace: there GCC keeps the call of a function that does nothing but fetch ahead.
struct task_of_a_scheduler {
    fiber work;
    [[gnu::always_inline]] void prefetch() { work.prefetch(); }
    [[gnu::always_inline]] void prefetch_stack() { work.prefetch_stack(); }
};
[[gnu::noinline, gnu::used, gnu::section("weft_test_fetches_record")]] void fetches_record(task_of_a_scheduler& t) {
    t.prefetch();
}
[[gnu::noinline, gnu::used, gnu::section("weft_test_fetches_stack")]] void fetches_stack(task_of_a_scheduler& t) {
    t.prefetch_stack();
}
#endif

namespace {

// No tracked object outlives the test.
struct leak_check {
    int before = tracked::alive();
    ~leak_check() { BOOST_TEST(tracked::alive() == before); }
};

#if defined(__ELF__) && (defined(__x86_64__) || defined(__aarch64__))
int prefetches(const unsigned char* first, const unsigned char* last) {
    int found = 0;
#    if defined(__x86_64__)
    for (; first + 1 < last; ++first) found += first[0] == 0x0f && (first[1] == 0x0d || first[1] == 0x18);
#    else
    for (; first + 3 < last; first += 4) { // prfm: immediate, register or unscaled offset
        const bool immediate = first[3] == 0xf9 && (first[2] & 0xc0) == 0x80;
        const bool other = first[3] == 0xf8 && ((first[2] & 0xe0) == 0xa0 || (first[2] & 0xe0) == 0x80);
        found += immediate || other;
    }
#    endif
    return found;
}
#endif

// What the misuse says, as the type it must have.
template <class Error, class Fn>
std::string misuse(Fn fn) {
    try {
        fn();
    } catch (const Error& e) {
        return e.what();
    }
    return "nothing";
}

bool is_sentence(const std::string& said) {
    return said.starts_with("weft: ") && said.size() > 40;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

[[gnu::noinline]] void suspend_below(fiber_ref self, int depth) {
    volatile int kept = depth;
    if (depth == 0)
        self.suspend();
    else
        suspend_below(self, depth - 1);
    if (kept != depth) throw std::logic_error("a frame changed while the fiber was suspended");
}

} // namespace

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(running, *boost::unit_test::fixture<leak_check>())

BOOST_AUTO_TEST_CASE(it_runs_from_resume_to_suspend) {
    std::string trace;
    fiber f{[&](fiber_ref self) {
        trace += "one ";
        self.suspend();
        trace += "two ";
        self.suspend();
        trace += "three ";
    }};
    BOOST_TEST(trace == "");
    BOOST_TEST(!f.done());
    BOOST_TEST(static_cast<bool>(f));
    f.resume();
    trace += "a ";
    BOOST_TEST(!f.done());
    f.resume();
    trace += "b ";
    BOOST_TEST(!f.done());
    f.resume();
    trace += "c";
    BOOST_TEST(f.done());
    BOOST_TEST(static_cast<bool>(f));
    BOOST_TEST(trace == "one a two b three c");
}

BOOST_AUTO_TEST_CASE(a_body_may_do_without_a_fiber_ref) {
    int steps = 0;
    fiber f{[&] {
        ++steps;
        weft::this_fiber::suspend();
        ++steps;
    }};
    f.resume();
    BOOST_TEST(steps == 1);
    f.resume();
    BOOST_TEST(steps == 2);
    BOOST_TEST(f.done());
}

void plain_function(fiber_ref self) {
    self.suspend();
}

struct takes_both {
    std::string* trace;
    void operator()() { *trace += "nothing"; }
    void operator()(fiber_ref) { *trace += "reference"; }
};

struct only_movable {
    std::unique_ptr<int> value;
    int* out;
    void operator()() { *out = *value; }
};

static_assert(weft::fiber_body<void (*)()>);
static_assert(weft::fiber_body<void (*)(fiber_ref)>);
static_assert(weft::fiber_body<only_movable>);
static_assert(!weft::fiber_body<void (*)(int)>);
static_assert(!weft::fiber_body<int>);
static_assert(!std::is_constructible_v<fiber, int>);
static_assert(!std::is_convertible_v<void (*)(), fiber>);

BOOST_AUTO_TEST_CASE(bodies_of_every_kind) {
    fiber function{plain_function};
    function.resume();
    BOOST_TEST(!function.done());
    function.resume();
    BOOST_TEST(function.done());

    int out = 0;
    fiber moved{only_movable{std::make_unique<int>(17), &out}};
    moved.resume();
    BOOST_TEST(out == 17);

    std::string trace;
    const takes_both both{&trace};
    fiber copied{both};
    copied.resume();
    BOOST_TEST(trace == "reference");

    fiber with_result{[] { return 5; }}; // ignored
    with_result.resume();
    BOOST_TEST(with_result.done());

    std::function<void(fiber_ref)> erased = plain_function;
    fiber of_erased{erased};
    of_erased.resume();
    BOOST_TEST(!of_erased.done());
    BOOST_TEST(static_cast<bool>(erased));
}

BOOST_AUTO_TEST_CASE(captures_are_copied_or_moved_once_and_destroyed_before_the_last_resume_returns) {
    const int before = tracked::alive();
    tracked copied{1}, moved{2};
    fiber f{[copied, moved = std::move(moved)](fiber_ref self) {
        if (copied.value() != 1 || moved.value() != 2) throw std::logic_error("the captures changed");
        self.suspend();
        if (copied.value() != 1 || moved.value() != 2) throw std::logic_error("the captures changed");
    }};
    BOOST_TEST(moved.value() == -1);
    BOOST_TEST(tracked::alive() == before + 4);
    f.resume();
    BOOST_TEST(tracked::alive() == before + 4);
    f.resume();
    BOOST_TEST(f.done());
    BOOST_TEST(tracked::alive() == before + 2);
}

// Hands out stacks that end anywhere, as a malloc'ed one may.
struct shifted_stacks {
    std::size_t by;
    weft::guarded_stack source{64 * 1024};

    weft::stack allocate() const {
        const weft::stack s = source.allocate();
        return {s.size - by, static_cast<std::byte*>(s.sp) - by};
    }
    void deallocate(const weft::stack& s) const noexcept {
        source.deallocate({s.size + by, static_cast<std::byte*>(s.sp) + by});
    }
};

BOOST_AUTO_TEST_CASE(captures_may_want_any_alignment) {
    const auto check = []<std::size_t Alignment>(std::integral_constant<std::size_t, Alignment>) {
        struct alignas(Alignment) wide {
            std::array<std::byte, Alignment> bytes{};
        };
        for (const std::size_t by : {0, 8, 24, 1000, 4096}) {
            std::uintptr_t address = 1;
            fiber f{std::allocator_arg, shifted_stacks{by}, [w = wide{}, &address](fiber_ref self) {
                        self.suspend();
                        address = reinterpret_cast<std::uintptr_t>(&w);
                        asm volatile("" : "+r"(address));
                    }};
            f.resume();
            f.resume();
            BOOST_TEST(address % Alignment == 0u);
        }
    };
    check(std::integral_constant<std::size_t, 16>{});
    check(std::integral_constant<std::size_t, 64>{});
    check(std::integral_constant<std::size_t, 256>{});
    check(std::integral_constant<std::size_t, 2048>{});
    check(std::integral_constant<std::size_t, 8192>{});
}

BOOST_AUTO_TEST_CASE(it_suspends_from_any_depth) {
    fiber f{[](fiber_ref self) {
        for (int depth : {0, 10, 200}) suspend_below(self, depth);
    }};
    for (int n = 0; n < 3; ++n) f.resume();
    BOOST_TEST(!f.done());
    f.resume();
    BOOST_TEST(f.done());
}

BOOST_AUTO_TEST_CASE(a_large_stack_can_be_used) {
    int sum = 0;
    fiber f{std::allocator_arg, weft::guarded_stack{4 * 1024 * 1024}, [&](fiber_ref self) {
        volatile char buffer[3 * 1024 * 1024];
        for (std::size_t n = 0; n < sizeof buffer; n += 4096) buffer[n] = 1;
        self.suspend();
        for (std::size_t n = 0; n < sizeof buffer; n += 4096) sum += buffer[n];
    }};
    f.resume();
    f.resume();
    BOOST_TEST(sum == 3 * 256);
}

BOOST_AUTO_TEST_CASE(many_resumes) {
    long steps = 0;
    fiber f{[&](fiber_ref self) {
        for (;; ++steps) self.suspend();
    }};
    for (int n = 0; n < 100000; ++n) f.resume();
    BOOST_TEST(steps == 99999);
}

BOOST_AUTO_TEST_CASE(many_fibers_at_once) {
    constexpr std::size_t count = 2000;
    std::vector<std::size_t> sums(count);
    std::vector<fiber> fibers;
    for (std::size_t n = 0; n < count; ++n)
        fibers.emplace_back(std::allocator_arg, weft::guarded_stack{16 * 1024}, [&sum = sums[n], n](fiber_ref self) {
            for (std::size_t round = 0; round < 3; ++round) {
                sum += n;
                self.suspend();
            }
        });
    for (int round = 0; round < 3; ++round)
        for (fiber& f : fibers) f.resume();
    std::size_t wrong = 0;
    for (std::size_t n = 0; n < count; ++n) wrong += sums[n] != 3 * n;
    BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(this_fiber_names_the_innermost_running_one) {
    std::optional<fiber_ref> in_outer, in_inner, seen_outer, seen_inner, again_outer;
    fiber outer{[&](fiber_ref self) {
        in_outer = self;
        seen_outer = weft::this_fiber::get();
        fiber inner{[&](fiber_ref me) {
            in_inner = me;
            seen_inner = weft::this_fiber::get();
            me.suspend();
        }};
        inner.resume();
        again_outer = weft::this_fiber::get();
        self.suspend();
    }};
    outer.resume();
    BOOST_TEST((in_outer == seen_outer));
    BOOST_TEST((in_inner == seen_inner));
    BOOST_TEST((again_outer == in_outer));
    BOOST_TEST((in_outer != in_inner));
    BOOST_CHECK_THROW(weft::this_fiber::get(), weft::not_in_fiber);
}

BOOST_AUTO_TEST_CASE(fetching_ahead_changes_nothing) {
    recorded_stacks stacks;
    int turns = 0;
    fiber f{std::allocator_arg, stacks.get(), [&](fiber_ref self) {
                for (; turns < 3; ++turns) self.suspend();
            }};
    while (!f.done()) {
        f.prefetch();
        f.prefetch_stack();
        BOOST_TEST(weft_test::lies_on(stacks.last(), weft::detail::waiting_stack(weft::detail::fiber_access::record(f).context)));
        f.resume();
    }
    f.prefetch();
    f.prefetch_stack();
    BOOST_TEST(turns == 3);
    f = {};
    f.prefetch();
    f.prefetch_stack();
}

#if defined(__ELF__) && (defined(__x86_64__) || defined(__aarch64__))
BOOST_AUTO_TEST_CASE(fetching_ahead_is_an_instruction) {
    BOOST_TEST(prefetches(__start_weft_test_fetches_record, __stop_weft_test_fetches_record) == 1);
    BOOST_TEST(prefetches(__start_weft_test_fetches_stack, __stop_weft_test_fetches_stack) == 1);
}
#endif

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(ownership, *boost::unit_test::fixture<leak_check>())

static_assert(!std::is_copy_constructible_v<fiber> && !std::is_copy_assignable_v<fiber>);
static_assert(std::is_nothrow_move_constructible_v<fiber> && std::is_nothrow_move_assignable_v<fiber>);
static_assert(std::is_nothrow_swappable_v<fiber> && std::is_nothrow_default_constructible_v<fiber>);
static_assert(noexcept(std::declval<const fiber&>().done()));

BOOST_AUTO_TEST_CASE(empty) {
    const fiber f;
    BOOST_TEST(!f);
    BOOST_TEST(f.done());
}

BOOST_AUTO_TEST_CASE(moves_keep_the_fiber_where_it_was) {
    int steps = 0;
    const auto body = [&](fiber_ref self) {
        const tracked local;
        for (;;) {
            ++steps;
            self.suspend();
        }
    };
    fiber a{body};
    a.resume();
    fiber b{std::move(a)};
    BOOST_TEST(!a);
    BOOST_TEST(a.done());
    BOOST_TEST(static_cast<bool>(b));
    b.resume();
    BOOST_TEST(steps == 2);
    fiber c;
    c = std::move(b);
    BOOST_TEST(!b);
    c.resume();
    BOOST_TEST(steps == 3);
    swap(a, c);
    BOOST_TEST(!c);
    a.swap(c);
    BOOST_TEST(!a);
    c.resume();
    BOOST_TEST(steps == 4);
    fiber& same = c;
    c = std::move(same);
    BOOST_TEST(static_cast<bool>(c));
    c.resume();
    BOOST_TEST(steps == 5);
}

BOOST_AUTO_TEST_CASE(assignment_unwinds_what_was_there) {
    std::string trace;
    const auto body = [&](const char* name) {
        return [&trace, name](fiber_ref self) {
            const at_exit_of_scope says{[&] { trace += name; }};
            self.suspend();
        };
    };
    fiber f{body("first ")}, g{body("second ")};
    f.resume();
    g.resume();
    f = std::move(g);
    BOOST_TEST(trace == "first ");
    BOOST_TEST(!g);
    f = fiber{};
    BOOST_TEST(trace == "first second ");
    BOOST_TEST(!f);
}

BOOST_AUTO_TEST_CASE(a_handle_may_move_while_its_fiber_runs) {
    fiber second;
    fiber first{[&](fiber_ref self) {
        second = std::move(first);
        self.suspend();
    }};
    first.resume();
    BOOST_TEST(!first);
    BOOST_REQUIRE(static_cast<bool>(second));
    second.resume();
    BOOST_TEST(second.done());
}

BOOST_AUTO_TEST_CASE(the_stack_comes_back_once_and_from_another_stack) {
    recorded_stacks stacks;
    {
        fiber never{std::allocator_arg, stacks.get(), [] {}};
        BOOST_TEST(stacks.out() == 1u);
    }
    BOOST_TEST(stacks.out() == 0u);
    {
        fiber suspended{std::allocator_arg, stacks.get(), [](fiber_ref self) { self.suspend(); }};
        suspended.resume();
        fiber moved = std::move(suspended);
        BOOST_TEST(stacks.out() == 1u);
    }
    BOOST_TEST(stacks.out() == 0u);
    {
        fiber done{std::allocator_arg, stacks.get(), [] {}};
        done.resume();
        BOOST_TEST(stacks.out() == 1u);
    }
    BOOST_TEST(stacks.out() == 0u);
    BOOST_TEST(stacks.allocated() == 3u);
    BOOST_TEST(stacks.sound());
}

BOOST_AUTO_TEST_CASE(the_body_runs_on_the_stack_it_was_given) {
    recorded_stacks stacks;
    const void* where = nullptr;
    fiber f{std::allocator_arg, stacks.get(), [&] { where = weft_test::here(); }};
    f.resume();
    BOOST_TEST(weft_test::lies_on(stacks.last(), where));
}

BOOST_AUTO_TEST_CASE(a_stack_may_have_served_an_abandoned_context) {
    const std::unique_ptr<std::byte[]> memory{new std::byte[64 * 1024]};
    weft::jump_context(weft::make_context(memory.get() + 64 * 1024, 64 * 1024,
                                          [](weft::transfer t) {
                                              volatile char locals[512];
                                              for (volatile char& c : locals) c = 1;
                                              weft::jump_context(t.from, nullptr);
                                          }),
                       nullptr);
    struct the_memory {
        std::byte* lowest;
        weft::stack allocate() const { return {64 * 1024, lowest + 64 * 1024}; }
        void deallocate(const weft::stack&) const noexcept {}
    };
    int ran = 0;
    weft::fiber f{std::allocator_arg, the_memory{memory.get()}, [&, large = std::array<int, 300>{}] { ran = 1 + large[7]; }};
    f.resume();
    BOOST_TEST(ran == 1);
}

BOOST_AUTO_TEST_CASE(a_body_that_cannot_be_moved_in_gives_the_stack_back) {
    struct reluctant {
        explicit reluctant(int) {}
        reluctant(const reluctant&) { throw 42; }
        void operator()() const {}
    };
    recorded_stacks stacks;
    const reluctant body{0};
    int thrown = 0;
    try {
        fiber{std::allocator_arg, stacks.get(), body};
    } catch (int e) {
        thrown = e;
    }
    BOOST_TEST(thrown == 42);
    BOOST_TEST(stacks.allocated() == 1u);
    BOOST_TEST(stacks.out() == 0u);
}

BOOST_AUTO_TEST_CASE(what_the_allocator_throws_comes_out_and_the_body_stays_where_it_was) {
    struct no_stacks {
        weft::stack allocate() const { throw std::domain_error("none today"); }
        void deallocate(const weft::stack&) const noexcept {}
    };
    auto body = [t = tracked{3}] {};
    BOOST_CHECK_THROW((fiber{std::allocator_arg, no_stacks{}, std::move(body)}), std::domain_error);
    BOOST_TEST(tracked::alive() == 1);
    BOOST_CHECK_THROW((fiber{std::allocator_arg, weft::guarded_stack{std::size_t{1} << 60}, [] {}}), std::bad_alloc);
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(exceptions_out_of_the_body, *boost::unit_test::fixture<leak_check>())

struct custom : tracked {
    using tracked::tracked;
};

template <class T, class Make>
std::optional<T> thrown_through_resume(Make make, bool after_a_suspension) {
    fiber f{[&](fiber_ref self) {
        const tracked local;
        if (after_a_suspension) suspend_below(self, 5);
        throw make();
    }};
    if (after_a_suspension) f.resume();
    std::optional<T> caught;
    try {
        f.resume();
    } catch (std::conditional_t<std::is_pointer_v<T>, T, T&> e) { // Clang loses a pointer caught by reference when it has
        caught = std::move(e);                                   // been thrown by std::rethrow_exception
    }
    BOOST_TEST(f.done());
    BOOST_TEST(static_cast<bool>(f));
    BOOST_CHECK_THROW(f.resume(), weft::fiber_error); // it is told once
    return caught;
}

BOOST_AUTO_TEST_CASE(any_type_with_its_value) {
    for (const bool later : {false, true}) {
        BOOST_TEST((thrown_through_resume<int>([] { return 7; }, later) == 7));
        const char* const text = "text";
        BOOST_TEST((thrown_through_resume<const char*>([=] { return text; }, later) == text));
        const auto error = thrown_through_resume<std::runtime_error>([] { return std::runtime_error("why"); }, later);
        BOOST_REQUIRE(error);
        BOOST_TEST(error->what() == std::string{"why"});
        const auto own = thrown_through_resume<custom>([] { return custom{9}; }, later);
        BOOST_REQUIRE(own);
        BOOST_TEST(own->value() == 9);
        const auto pointer = thrown_through_resume<std::unique_ptr<int>>([] { return std::make_unique<int>(5); }, later);
        BOOST_REQUIRE(pointer);
        BOOST_TEST(**pointer == 5);
    }
}

BOOST_AUTO_TEST_CASE(a_base_class_handler_catches_it) {
    fiber f{[] { throw std::out_of_range("far"); }};
    BOOST_CHECK_EXCEPTION(f.resume(), std::logic_error, [](const std::logic_error& e) {
        return dynamic_cast<const std::out_of_range*>(&e) && e.what() == std::string{"far"};
    });
}

BOOST_AUTO_TEST_CASE(through_a_chain_of_fibers) {
    std::string trace;
    fiber outer{[&] {
        fiber middle{[&](fiber_ref self) {
            fiber inner{[] { throw custom{4}; }};
            self.suspend();
            const at_exit_of_scope says{[&] { trace += "middle "; }};
            inner.resume();
        }};
        middle.resume();
        const at_exit_of_scope says{[&] { trace += "outer"; }};
        middle.resume();
    }};
    BOOST_CHECK_EXCEPTION(outer.resume(), custom, [](const custom& e) { return e.value() == 4; });
    BOOST_TEST(outer.done());
    BOOST_TEST(trace == "middle outer");
}

BOOST_AUTO_TEST_CASE(locals_and_captures_are_gone_when_it_arrives) {
    const int before = tracked::alive();
    fiber f{[capture = tracked{}] {
        const tracked local;
        throw 1;
    }};
    int alive = -1;
    try {
        f.resume();
    } catch (int) {
        alive = tracked::alive();
    }
    BOOST_TEST(alive == before);
}

BOOST_AUTO_TEST_CASE(on_whichever_thread_resumes_it) {
    fiber f{[](fiber_ref self) {
        self.suspend();
        throw custom{6};
    }};
    f.resume();
    int caught = 0;
    std::thread{[&] {
        try {
            f.resume();
        } catch (const custom& e) {
            caught = e.value();
        }
    }}.join();
    BOOST_TEST(caught == 6);
}

// ---------------------------------------------------------------------------------------------------------------------
// What is no C++ exception: that of another language, and the end of a thread, which glibc makes an unwinding.

BOOST_AUTO_TEST_CASE(another_languages) {
    BOOST_TEST(lets_foreign_out([] { raise_foreign(); })); // as a plain call
    const tracked captured;
    for (int round = 0; round < 3; ++round) {
        fiber f{[captured] {
            const tracked local;
            raise_foreign();
        }};
        BOOST_TEST(lets_foreign_out([&] { f.resume(); }));
        BOOST_TEST(f.done());
        BOOST_TEST(tracked::alive() == 1);
        BOOST_TEST(misuse<weft::fiber_error>([&] { f.resume(); }).find("has ended") != std::string::npos);
        fiber next{[] { throw 5; }}; // whatever stack it gets
        BOOST_CHECK_THROW(next.resume(), int);
    }
}

BOOST_AUTO_TEST_CASE(another_languages_by_each_way_of_resuming) {
    for (const auto fp : {weft::fp_env::thread, weft::fp_env::per_fiber}) {
        fiber f{weft::fiber_options{.floating_point = fp}, [](fiber_ref self) {
                    self.suspend();
                    raise_foreign();
                }};
        f.resume();
        BOOST_TEST(lets_foreign_out([&] { f.resume(); }));
    }
    fiber holds{[](fiber_ref self) {
        try {
            throw 1;
        } catch (int) {
            self.suspend(); // so it is not resumed plainly
        }
        raise_foreign();
    }};
    holds.resume();
    BOOST_TEST(lets_foreign_out([&] { holds.resume(); }));
    fiber chain{[] {
        fiber inner{[] {
            weft::this_fiber::suspend();
            raise_foreign();
        }};
        while (!inner.done()) inner.resume();
    }};
    BOOST_TEST(lets_foreign_out([&] { chain.resume(); }));
    BOOST_TEST(chain.done());
    bool caught_inside = false;
    fiber catches{[&] { caught_inside = lets_foreign_out([] { fiber{[] { raise_foreign(); }}.resume(); }); }};
    catches.resume();
    BOOST_TEST(caught_inside);
}

BOOST_AUTO_TEST_CASE(another_languages_while_it_is_destroyed_is_dropped) {
    const int before = weft_test::foreign_given_back;
    {
        fiber f{[](fiber_ref self) {
            try {
                self.suspend();
            } catch (const weft::forced_unwind&) {
                raise_foreign();
            }
        }};
        f.resume();
    }
    BOOST_TEST(weft_test::foreign_given_back == before + 1);
}

#if defined(__GLIBC__) && defined(__GLIBCXX__) && !WEFT_TSAN // whose pthread_exit asks for the stack of a thread
// What the thread that ran `fn` left for pthread_join.
std::intptr_t end_of_thread(void* (*fn)(void*), bool cancel = false) {
    pthread_t thread;
    void* left = nullptr;
    if (::pthread_create(&thread, nullptr, fn, nullptr) != 0) return -100;
    if (cancel) ::pthread_cancel(thread);
    ::pthread_join(thread, &left);
    return reinterpret_cast<std::intptr_t>(left);
}

BOOST_AUTO_TEST_CASE(the_end_of_the_thread) {
    BOOST_TEST(end_of_thread([](void*) -> void* {
        const tracked of_the_thread;
        fiber f{[captured = tracked{}] {
            const tracked local;
            ::pthread_exit(reinterpret_cast<void*>(7));
        }};
        f.resume();
        return nullptr;
    }) == 7);
    BOOST_TEST(tracked::alive() == 0);
    BOOST_TEST(end_of_thread([](void*) -> void* { // in a handler, below two fibers, one of which has been suspended
        const tracked of_the_thread;
        fiber outer{[] {
            const tracked of_outer;
            fiber inner{[] {
                try {
                    throw tracked{};
                } catch (const tracked&) {
                    weft::this_fiber::suspend();
                    ::pthread_exit(reinterpret_cast<void*>(8));
                }
            }};
            while (!inner.done()) inner.resume();
        }};
        try {
            throw tracked{};
        } catch (const tracked&) {
            while (!outer.done()) outer.resume();
        }
        return nullptr;
    }) == 8);
    BOOST_TEST(tracked::alive() == 0);
    const auto cancelled = [](void*) -> void* {
        const tracked of_the_thread;
        fiber waits{[](fiber_ref self) { // which is unwound as any other
            const tracked local;
            self.suspend();
        }};
        waits.resume();
        fiber f{[] {
            const tracked local;
            for (;;) ::pthread_testcancel();
        }};
        f.resume();
        return nullptr;
    };
    BOOST_TEST(end_of_thread(cancelled, true) == reinterpret_cast<std::intptr_t>(PTHREAD_CANCELED));
    BOOST_TEST(tracked::alive() == 0);
    fiber after{[] { throw 5; }};
    BOOST_CHECK_THROW(after.resume(), int);
}

BOOST_AUTO_TEST_CASE(a_thread_that_ends_while_it_destroys_a_fiber_says_so) {
    const auto end = in_child([] {
        const auto run = [](void*) -> void* {
            fiber f{[](fiber_ref self) {
                try {
                    self.suspend();
                } catch (const weft::forced_unwind&) {
                    ::pthread_exit(nullptr);
                }
            }};
            f.resume();
            return nullptr;
        };
        end_of_thread(run);
        return 0;
    });
    BOOST_TEST(end.signal == SIGABRT, end);
    BOOST_TEST(is_sentence(end.said), end);
    BOOST_TEST(contains(end.said, "pthread_exit"), end);
}
#endif

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
// exit() destroys what is in static storage or the thread's on the stack that it is called on, a fiber's for one, and
// what is written there must get out. Each case is a process of its own, which says something to a stream with a buffer.
BOOST_AUTO_TEST_SUITE(exiting)

fiber app, other, inner_one; // in this order, so destroyed in the other one

struct last_word {
    const char* word;
    ~last_word() { std::fputs(word, stdout); }
};

template <class Fn>
weft_test::child_end exits(Fn fn) {
    return in_child([&] {
        ::dup2(STDERR_FILENO, STDOUT_FILENO);
        static std::array<char, 4096> buffer;
        std::setvbuf(stdout, buffer.data(), _IOFBF, buffer.size());
        fn();
        return 0;
    });
}
void say_bye() {
    std::fputs("bye;", stdout);
    std::exit(3);
}

BOOST_AUTO_TEST_CASE(in_the_body_of_a_fiber_in_static_storage) {
    const auto end = exits([] {
        app = fiber{say_bye};
        app.resume();
    });
    BOOST_TEST(end.code == 3, end);
    BOOST_TEST(end.said == "bye;", end);
}

BOOST_AUTO_TEST_CASE(in_a_fiber_within_a_fiber) {
    const auto end = exits([] {
        app = fiber{[] {
            inner_one = fiber{say_bye};
            inner_one.resume();
        }};
        app.resume();
    });
    BOOST_TEST(end.code == 3, end);
    BOOST_TEST(end.said == "bye;", end);
}

BOOST_AUTO_TEST_CASE(others_that_wait_are_unwound_on_its_stack) {
    const auto end = exits([] {
        other = fiber{[](fiber_ref self) {
            const last_word unwound{"other;"};
            try {
                throw tracked{};
            } catch (const tracked&) {
                self.suspend();
            }
        }};
        other.resume();
        app = fiber{say_bye};
        app.resume();
    });
    BOOST_TEST(end.code == 3, end);
    BOOST_TEST(end.said == "bye;other;", end);
}

// Younger than the first resume, and than all that is registered with it.
BOOST_AUTO_TEST_CASE(in_a_local_static_and_in_the_threads_storage) {
    for (const bool of_the_thread : {false, true}) {
        const auto end = exits([=] {
            fiber{[] {}}.resume();
            if (of_the_thread) {
                static thread_local fiber late;
                late = fiber{say_bye};
                late.resume();
            } else {
                static fiber late{say_bye};
                late.resume();
            }
        });
        BOOST_TEST(end.code == 3, end);
        BOOST_TEST(end.said == "bye;", end);
    }
}

// The inner one is destroyed first, while the outer one waits on its stack.
BOOST_AUTO_TEST_CASE(while_a_chain_of_fibers_waits) {
    const auto end = exits([] {
        app = fiber{[](fiber_ref self) {
            const last_word unwound{"outer;"};
            inner_one = fiber{[self] {
                const last_word unwound_too{"inner;"};
                self.suspend(); // both
            }};
            inner_one.resume();
        }};
        app.resume();
        say_bye();
    });
    BOOST_TEST(end.code == 3, end);
    BOOST_TEST(end.said == "bye;inner;outer;", end);
}

#if !WEFT_TSAN // which does not follow threads into a child
BOOST_AUTO_TEST_CASE(on_another_thread_than_the_fiber_runs_on) {
    const auto of_main = exits([] {
        app = fiber{[](fiber_ref) { std::thread{say_bye}.join(); }};
        app.resume();
    });
    BOOST_TEST(of_main.code == 3, of_main);
    BOOST_TEST(of_main.said == "bye;", of_main);
    const auto of_thread = exits([] {
        app = fiber{say_bye};
        std::thread{[] { app.resume(); }}.join();
    });
    BOOST_TEST(of_thread.code == 3, of_thread);
    BOOST_TEST(of_thread.said == "bye;", of_thread);
}

BOOST_AUTO_TEST_CASE(an_error_is_told_at_once_on_another_thread) {
    const auto end = in_child([] {
        app = fiber{[] { std::thread{[] { app = fiber{}; }}.join(); }};
        app.resume();
        return 0;
    });
    BOOST_TEST(end.signal == SIGABRT, end);
    BOOST_TEST(contains(end.said, "running fiber was destroyed"), end);
}
#endif

// That it was destroyed is told when it matters: at a suspension, at the end, by return or by an exception.
BOOST_AUTO_TEST_CASE(an_error_is_told_when_the_body_goes_on) {
    for (const int how : {0, 1, 2, 3}) {
        const auto end = in_child([=] {
            app = fiber{[=](fiber_ref self) {
                const auto destroy = [] { app = fiber{}; };
                if (how == 3) {
                    fiber inner{destroy};
                    inner.resume();
                    self.suspend();
                }
                destroy();
                if (how == 0) self.suspend();
                if (how == 1) throw 5;
            }};
            app.resume();
            return 0;
        });
        BOOST_TEST(end.signal == SIGABRT, end);
        BOOST_TEST(is_sentence(end.said), end);
        BOOST_TEST(contains(end.said, "running fiber was destroyed"), end);
    }
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(destruction, *boost::unit_test::fixture<leak_check>())

static_assert(!std::is_base_of_v<std::exception, weft::forced_unwind>);

BOOST_AUTO_TEST_CASE(one_that_never_ran_is_destroyed_without_running) {
    const int before = tracked::alive();
    bool ran = false;
    {
        const fiber f{[&ran, capture = tracked{}] { ran = true; }};
        BOOST_TEST(tracked::alive() == before + 1);
    }
    BOOST_TEST(!ran);
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_CASE(one_that_has_ended_has_nothing_left_to_destroy) {
    int destroyed = 0;
    {
        fiber f{[&] { const at_exit_of_scope says{[&] { ++destroyed; }}; }};
        f.resume();
        BOOST_TEST(destroyed == 1);
    }
    BOOST_TEST(destroyed == 1);
}

struct site {
    const void* stack = nullptr;
    std::thread::id thread;
};

BOOST_AUTO_TEST_CASE(one_that_is_suspended_is_unwound_in_order_on_its_own_stack_by_the_destroying_thread) {
    recorded_stacks stacks;
    std::string trace;
    std::vector<site> sites;
    struct witness {
        std::string* trace;
        std::vector<site>* sites;
        char name;
        bool on = true;
        witness(std::string& t, std::vector<site>& s, char n) : trace{&t}, sites{&s}, name{n} {}
        witness(witness&& other) noexcept
            : trace{other.trace}, sites{other.sites}, name{other.name}, on{std::exchange(other.on, false)} {}
        ~witness() {
            if (!on) return;
            *trace += name;
            sites->push_back({weft_test::here(), this_thread_id()});
        }
    };
    std::optional<fiber> f;
    f.emplace(std::allocator_arg, stacks.get(), [&, capture = witness{trace, sites, 'd'}](fiber_ref self) {
        const witness first{trace, sites, 'c'};
        const witness second{trace, sites, 'b'};
        const auto below = [&] {
            const witness third{trace, sites, 'a'};
            suspend_below(self, 3);
            trace += "!";
        };
        below();
        trace += "!";
    });
    f->resume();
    BOOST_TEST(trace == "");
    const weft::stack memory = stacks.last();
    std::thread other{[&] { f.reset(); }};
    const std::thread::id destroyer = other.get_id();
    other.join();
    BOOST_TEST(trace == "abcd");
    BOOST_REQUIRE(sites.size() == 4u);
    for (const site& s : sites) {
        BOOST_TEST(weft_test::lies_on(memory, s.stack));
        BOOST_TEST((s.thread == destroyer));
    }
    BOOST_TEST((stacks.returned_on() == destroyer));
    BOOST_TEST(stacks.sound());
}

BOOST_AUTO_TEST_CASE(a_catch_all_that_swallows_it_meets_it_again_at_the_next_suspension) {
    int met = 0, passed = 0;
    bool as_exception = false;
    {
        fiber f{[&](fiber_ref self) {
            const auto try_to_suspend = [&](auto suspend) {
                try {
                    suspend();
                    ++passed;
                } catch (const std::exception&) {
                    as_exception = true;
                } catch (...) {
                    ++met;
                }
            };
            try_to_suspend([&] { self.suspend(); });
            try_to_suspend([&] { self.suspend(); });
            try_to_suspend([] { weft::this_fiber::suspend(); });
            try_to_suspend([&] { suspend_below(self, 4); });
        }};
        f.resume();
    }
    BOOST_TEST(met == 4);
    BOOST_TEST(passed == 0);
    BOOST_TEST(!as_exception);
}

BOOST_AUTO_TEST_CASE(it_names_the_fiber_it_unwinds) {
    bool mine = false, rethrown = false;
    {
        fiber f{[&](fiber_ref self) {
            const at_exit_of_scope says{[&] { rethrown = true; }};
            try {
                self.suspend();
            } catch (const weft::forced_unwind& unwind) {
                mine = unwind.unwinds(weft::detail::fiber_access::record(self));
                throw;
            }
        }};
        f.resume();
    }
    BOOST_TEST(mine);
    BOOST_TEST(rethrown);
}

BOOST_AUTO_TEST_CASE(an_exception_thrown_instead_is_dropped) {
    const int before = tracked::alive();
    {
        fiber f{[](fiber_ref self) {
            try {
                self.suspend();
            } catch (...) {
                throw tracked{1};
            }
        }};
        f.resume();
    }
    BOOST_TEST(tracked::alive() == before);
    BOOST_TEST(!std::current_exception());
}

BOOST_AUTO_TEST_CASE(the_body_may_go_on_to_its_end) {
    std::string trace;
    {
        fiber f{[&](fiber_ref self) {
            try {
                self.suspend();
            } catch (const weft::forced_unwind&) {
                trace += "swallowed ";
            }
            fiber other{[&] { trace += "another fiber "; }};
            other.resume();
            trace += "end";
        }};
        f.resume();
    }
    BOOST_TEST(trace == "swallowed another fiber end");
}

BOOST_AUTO_TEST_CASE(a_suspended_fiber_that_holds_another_unwinds_both) {
    std::string trace;
    {
        fiber outer{[&](fiber_ref self) {
            fiber inner{[&](fiber_ref me) {
                const at_exit_of_scope says{[&] { trace += "inner "; }};
                me.suspend();
            }};
            inner.resume();
            const at_exit_of_scope says{[&] { trace += "outer "; }};
            self.suspend();
        }};
        outer.resume();
    }
    BOOST_TEST(trace == "outer inner ");
}

BOOST_AUTO_TEST_CASE(while_the_destroying_thread_is_unwinding) {
    int inside = -1, outside = -1;
    bool unwound = false;
    try {
        const at_exit_of_scope last{[&] { outside = std::uncaught_exceptions(); }};
        fiber f{[&](fiber_ref self) {
            const at_exit_of_scope says{[&] {
                inside = std::uncaught_exceptions();
                try {
                    throw tracked{1};
                } catch (const tracked&) {
                    unwound = true;
                }
            }};
            self.suspend();
        }};
        f.resume();
        throw std::runtime_error("outer");
    } catch (const std::runtime_error& e) {
        BOOST_TEST(e.what() == std::string{"outer"});
    }
    BOOST_TEST(unwound);
    BOOST_TEST(inside == 1);  // forced_unwind is the only exception the fiber knows of
    BOOST_TEST(outside == 1); // and the thread knows of its own
    BOOST_TEST(std::uncaught_exceptions() == 0);
}

BOOST_AUTO_TEST_CASE(from_inside_a_fiber) {
    std::string trace;
    fiber victim{[&](fiber_ref self) {
        const at_exit_of_scope says{[&] { trace += "victim "; }};
        self.suspend();
    }};
    victim.resume();
    fiber destroyer{[&](fiber_ref self) {
        victim = fiber{};
        trace += "destroyer ";
        self.suspend();
        trace += "end";
    }};
    destroyer.resume();
    destroyer.resume();
    BOOST_TEST(trace == "victim destroyer end");
}

BOOST_AUTO_TEST_CASE(a_running_fiber_cannot_be_destroyed) {
    const auto itself = in_child([] {
        std::optional<fiber> f;
        f.emplace([&] { f.reset(); });
        f->resume();
        return 0;
    });
    BOOST_TEST(itself.signal == SIGABRT, itself);
    BOOST_TEST(is_sentence(itself.said), itself);
    BOOST_TEST(contains(itself.said, "running fiber was destroyed"), itself);
    const auto its_resumer = in_child([] {
        std::optional<fiber> outer;
        outer.emplace([&] {
            fiber inner{[&] { outer.reset(); }};
            inner.resume();
        });
        outer->resume();
        return 0;
    });
    BOOST_TEST(its_resumer.signal == SIGABRT, its_resumer);
    BOOST_TEST(is_sentence(its_resumer.said), its_resumer);
}

// noexcept, as destructors are: it ends the program, as any exception would.
BOOST_AUTO_TEST_CASE(a_destructor_that_suspends_while_it_is_unwound_ends_the_program) {
    const auto end = in_child([] {
        struct suspends {
            ~suspends() { weft::this_fiber::suspend(); }
        };
        fiber f{[](fiber_ref self) {
            const suspends at_end;
            self.suspend();
        }};
        f.resume();
        f = fiber{};
        return 0;
    });
    BOOST_TEST(end.signal == SIGABRT, end);
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(misuses, *boost::unit_test::fixture<leak_check>())

static_assert(std::is_base_of_v<std::logic_error, weft::fiber_error>);
static_assert(std::is_base_of_v<weft::fiber_error, weft::not_in_fiber>);

BOOST_AUTO_TEST_CASE(resume_of_an_empty_or_moved_from_fiber) {
    fiber empty;
    const std::string said = misuse<weft::fiber_error>([&] { empty.resume(); });
    BOOST_TEST(is_sentence(said), said);
    BOOST_TEST(contains(said, "empty"));
    fiber f{[] {}};
    const fiber g = std::move(f);
    BOOST_TEST(misuse<weft::fiber_error>([&] { f.resume(); }) == said);
}

BOOST_AUTO_TEST_CASE(resume_of_one_that_has_ended) {
    fiber f{[] {}};
    f.resume();
    for (int n = 0; n < 2; ++n) {
        const std::string said = misuse<weft::fiber_error>([&] { f.resume(); });
        BOOST_TEST(is_sentence(said), said);
        BOOST_TEST(contains(said, "ended"));
        BOOST_TEST(contains(said, "done()"));
    }
}

BOOST_AUTO_TEST_CASE(resume_of_a_running_one) {
    std::string by_itself, by_inner;
    bool done_inside = true;
    fiber f{[&](fiber_ref self) {
        done_inside = f.done();
        by_itself = misuse<weft::fiber_error>([&] { f.resume(); });
        fiber inner{[&] { by_inner = misuse<weft::fiber_error>([&] { f.resume(); }); }};
        inner.resume();
        self.suspend();
    }};
    f.resume();
    BOOST_TEST(!done_inside);
    BOOST_TEST(is_sentence(by_itself), by_itself);
    BOOST_TEST(contains(by_itself, "running"));
    BOOST_TEST(by_inner == by_itself);
    f.resume(); // the mistakes have changed nothing
    BOOST_TEST(f.done());
}

BOOST_AUTO_TEST_CASE(this_fiber_outside_of_one) {
    const auto check = [] {
        for (const std::string& said : {misuse<weft::not_in_fiber>([] { weft::this_fiber::suspend(); }),
                                        misuse<weft::not_in_fiber>([] { static_cast<void>(weft::this_fiber::get()); })}) {
            BOOST_TEST(is_sentence(said), said);
            BOOST_TEST(contains(said, "outside of a fiber"));
        }
    };
    check();
    fiber f{[](fiber_ref self) { self.suspend(); }};
    f.resume();
    check();
    std::thread{check}.join();
    f.resume();
    check();
    fiber thrower{[] { throw 1; }};
    BOOST_CHECK_THROW(thrower.resume(), int);
    check();
}

BOOST_AUTO_TEST_CASE(suspend_of_one_that_is_not_running) {
    std::optional<fiber_ref> ref;
    fiber f{[&](fiber_ref self) {
        ref = self;
        self.suspend();
    }};
    const fiber_ref early{weft::detail::fiber_access::record(f)};
    std::vector<std::string> all;
    const auto check = [&](fiber_ref r) { all.push_back(misuse<weft::fiber_error>([=] { r.suspend(); })); };
    check(early);
    f.resume();
    check(*ref);
    fiber other{[&] { check(*ref); }}; // runs, but `f` is not the one that has resumed it
    other.resume();
    f.resume();
    BOOST_TEST(f.done());
    check(*ref);
    BOOST_TEST(all.size() == 4u);
    for (const std::string& said : all) {
        BOOST_TEST(is_sentence(said), said);
        BOOST_TEST(contains(said, "not running"));
    }
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(nesting, *boost::unit_test::fixture<leak_check>())

void nest(int depth, std::vector<int>& trace) {
    if (depth == 0) return;
    fiber f{std::allocator_arg, weft::guarded_stack{32 * 1024}, [&](fiber_ref self) {
        trace.push_back(depth);
        self.suspend();
        nest(depth - 1, trace);
        self.suspend();
        trace.push_back(-depth);
    }};
    while (!f.done()) f.resume();
}

BOOST_AUTO_TEST_CASE(a_hundred_deep) {
    std::vector<int> trace, expected;
    nest(100, trace);
    for (int n = 100; n > 0; --n) expected.push_back(n);
    for (int n = 1; n <= 100; ++n) expected.push_back(-n);
    BOOST_TEST(trace == expected, boost::test_tools::per_element());
}

// outer resumes middle resumes inner; inner suspends `outer` or `middle`: the fibers in between wait with it.
struct chain {
    std::string trace;
    std::optional<fiber_ref> outer_ref, middle_ref;
    fiber* middle_handle = nullptr;
    fiber* inner_handle = nullptr;
    std::function<void(fiber_ref)> innermost;
    fiber outer{[this](fiber_ref o) {
        outer_ref = o;
        fiber middle{[this](fiber_ref m) {
            middle_ref = m;
            fiber inner{[this](fiber_ref i) {
                const at_exit_of_scope says{[&] { trace += "~inner "; }};
                innermost(i);
            }};
            inner_handle = &inner;
            const at_exit_of_scope says{[&] { trace += "~middle "; }};
            while (!inner.done()) {
                inner.resume();
                trace += "middle ";
            }
        }};
        middle_handle = &middle;
        const at_exit_of_scope says{[&] { trace += "~outer "; }};
        while (!middle.done()) {
            middle.resume();
            trace += "outer ";
        }
    }};
};

BOOST_AUTO_TEST_CASE(an_inner_fiber_may_suspend_an_outer_one) {
    chain c;
    c.innermost = [&](fiber_ref i) {
        c.trace += "i1 ";
        c.outer_ref->suspend();
        c.trace += "i2 ";
        c.middle_ref->suspend();
        c.trace += "i3 ";
        i.suspend();
        c.trace += "i4 ";
        c.outer_ref->suspend();
        c.trace += weft::this_fiber::get() == i ? "i5 " : "lost ";
    };
    c.outer.resume();
    c.trace += "main ";
    c.outer.resume();
    c.trace += "main ";
    c.outer.resume();
    BOOST_TEST(c.outer.done());
    BOOST_TEST(c.trace == "i1 main i2 outer i3 middle i4 main i5 ~inner middle ~middle outer ~outer ");
}

// What a fiber has resumed and got back is no part of it any more, also when it continues with an exception in hand.
BOOST_AUTO_TEST_CASE(an_inner_fiber_that_came_back_is_forgotten) {
    fiber inner{[](fiber_ref self) { self.suspend(); }};
    bool itself = false;
    fiber outer{[&](fiber_ref self) {
        inner.resume();
        try {
            throw 1;
        } catch (int) {
            self.suspend();
            itself = weft::this_fiber::get() == self;
        }
    }};
    outer.resume();
    outer.resume();
    BOOST_TEST(itself);
}

BOOST_AUTO_TEST_CASE(the_fibers_in_between_are_running_until_it_continues) {
    chain c;
    c.innermost = [&](fiber_ref) { c.outer_ref->suspend(); };
    c.outer.resume();
    BOOST_TEST(!c.inner_handle->done());
    BOOST_TEST(contains(misuse<weft::fiber_error>([&] { c.inner_handle->resume(); }), "running"));
    BOOST_TEST(contains(misuse<weft::fiber_error>([&] { c.middle_handle->resume(); }), "running"));
    BOOST_CHECK_THROW(weft::this_fiber::suspend(), weft::not_in_fiber);
    c.outer.resume();
    BOOST_TEST(c.outer.done());
}

BOOST_AUTO_TEST_CASE(the_chain_continues_on_another_thread) {
    chain c;
    std::vector<std::thread::id> seen;
    c.innermost = [&](fiber_ref i) {
        for (int n = 0; n < 3; ++n) {
            seen.push_back(this_thread_id());
            c.trace += weft::this_fiber::get() == i ? "i " : "lost ";
            c.outer_ref->suspend();
        }
    };
    std::vector<std::thread::id> expected;
    for (int n = 0; n < 2; ++n) {
        std::thread other{[&] { c.outer.resume(); }};
        expected.push_back(other.get_id());
        other.join();
    }
    expected.push_back(this_thread_id());
    c.outer.resume();
    BOOST_TEST((seen == expected));
    std::thread{[&] { c.outer.resume(); }}.join(); // all three end there
    BOOST_TEST(c.outer.done());
    BOOST_TEST(c.trace == "i i i ~inner middle ~middle outer ~outer ");
    BOOST_CHECK_THROW(weft::this_fiber::get(), weft::not_in_fiber);
}

BOOST_AUTO_TEST_CASE(destroying_the_outer_fiber_unwinds_the_whole_chain) {
    std::string trace;
    for (const bool elsewhere : {false, true}) {
        auto c = std::make_unique<chain>();
        c->innermost = [&](fiber_ref) {
            const tracked local;
            c->outer_ref->suspend();
            c->trace += "never ";
        };
        c->outer.resume();
        if (elsewhere)
            std::thread{[&] { c->outer = fiber{}; }}.join();
        else
            c->outer = fiber{};
        BOOST_TEST(c->trace == "~inner ~middle ~outer ");
    }
}

BOOST_AUTO_TEST_CASE(an_inner_fiber_that_swallows_the_outer_ones_unwinding_only_delays_it) {
    chain c;
    c.innermost = [&](fiber_ref) {
        try {
            c.outer_ref->suspend();
        } catch (...) {
            c.trace += "swallowed ";
        }
        try {
            c.middle_ref->suspend(); // that one is not being destroyed; the outer loop resumes it
            c.trace += "suspended ";
        } catch (...) {
            c.trace += "not its own ";
        }
        c.outer_ref->suspend();
    };
    c.outer.resume();
    c.outer = fiber{};
    BOOST_TEST(c.trace == "swallowed outer suspended ~inner ~middle ~outer ");
}

BOOST_AUTO_TEST_CASE(an_inner_fiber_keeps_what_it_suspended_when_only_the_middle_is_destroyed) {
    std::string trace;
    std::optional<fiber_ref> middle_ref;
    fiber middle{[&](fiber_ref m) {
        middle_ref = m;
        fiber inner{[&] {
            const at_exit_of_scope says{[&] { trace += "~inner "; }};
            middle_ref->suspend();
        }};
        const at_exit_of_scope says{[&] { trace += "~middle "; }};
        inner.resume();
    }};
    fiber outer{[&](fiber_ref self) {
        middle.resume();
        self.suspend();
        middle = fiber{};
        trace += "outer goes on";
    }};
    outer.resume();
    outer.resume();
    BOOST_TEST(outer.done());
    BOOST_TEST(trace == "~inner ~middle outer goes on");
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(exception_state, *boost::unit_test::fixture<leak_check>())

// Suspends `suspensions` times inside a handler, then asks what `throw;` throws there.
auto rethrows(int value, std::vector<int>& seen, int suspensions = 1) {
    return [value, &seen, suspensions](fiber_ref self) {
        try {
            throw tracked{value};
        } catch (const tracked&) {
            for (int n = 0; n < suspensions; ++n) suspend_below(self, 2);
            try {
                throw;
            } catch (const tracked& mine) {
                seen.push_back(mine.value());
            }
        }
    };
}

BOOST_AUTO_TEST_CASE(each_fiber_rethrows_its_own) {
    std::vector<int> seen;
    fiber a{rethrows(1, seen)}, b{rethrows(2, seen)}, c{rethrows(3, seen)};
    for (fiber* f : {&a, &b, &c}) f->resume();
    BOOST_TEST(!std::current_exception());
    for (fiber* f : {&a, &c, &b}) f->resume();
    BOOST_TEST(seen == (std::vector{1, 3, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(handlers_inside_of_handlers) {
    std::vector<int> seen;
    const auto body = [&](int base) {
        return [&seen, base](fiber_ref self) {
            try {
                throw tracked{base};
            } catch (const tracked&) {
                self.suspend();
                try {
                    throw tracked{base + 1};
                } catch (const tracked&) {
                    self.suspend();
                    try {
                        throw;
                    } catch (const tracked& inner) {
                        seen.push_back(inner.value());
                    }
                    self.suspend();
                }
                self.suspend();
                try {
                    throw;
                } catch (const tracked& outer) {
                    seen.push_back(outer.value());
                }
            }
        };
    };
    fiber a{body(10)}, b{body(20)};
    while (!a.done()) {
        a.resume();
        b.resume();
    }
    BOOST_TEST(b.done());
    BOOST_TEST(seen == (std::vector{11, 21, 10, 20}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_resumers_own_is_undisturbed_and_unseen) {
    std::vector<int> seen;
    bool saw_resumers = true;
    fiber f{rethrows(5, seen)};
    fiber g{[&] { saw_resumers = std::current_exception() != nullptr; }};
    int mine = 0;
    try {
        throw tracked{100};
    } catch (const tracked&) {
        f.resume();
        g.resume();
        try {
            throw;
        } catch (const tracked& e) {
            mine = e.value();
        }
        f.resume();
        BOOST_TEST(f.done());
        try {
            throw;
        } catch (const tracked& e) {
            mine += e.value();
        }
    }
    BOOST_TEST(mine == 200);
    BOOST_TEST(!saw_resumers);
    BOOST_TEST(seen == std::vector{5}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_fiber_begun_inside_a_handler_continues_outside_and_the_other_way_round) {
    std::vector<int> seen;
    fiber a{rethrows(1, seen, 2)}, b{rethrows(2, seen, 2)};
    try {
        throw tracked{100};
    } catch (const tracked&) {
        a.resume();
    }
    BOOST_TEST(!std::current_exception());
    b.resume();
    a.resume();
    try {
        throw tracked{200};
    } catch (const tracked&) {
        b.resume();
        a.resume();
    }
    b.resume();
    BOOST_TEST(seen == (std::vector{1, 2}), boost::test_tools::per_element());
    BOOST_TEST(!std::current_exception());
}

BOOST_AUTO_TEST_CASE(an_exception_out_of_the_body_is_caught_beside_the_resumers_own) {
    fiber f{[] { throw tracked{2}; }};
    int inner = 0, outer = 0;
    try {
        throw tracked{1};
    } catch (const tracked&) {
        try {
            f.resume();
        } catch (const tracked& e) {
            inner = e.value();
        }
        try {
            throw;
        } catch (const tracked& e) {
            outer = e.value();
        }
    }
    BOOST_TEST(inner == 2);
    BOOST_TEST(outer == 1);
}

BOOST_AUTO_TEST_CASE(current_exception_is_the_fibers) {
    std::exception_ptr kept, outside;
    fiber f{[&](fiber_ref self) {
        try {
            throw tracked{3};
        } catch (...) {
            self.suspend();
            kept = std::current_exception();
        }
        self.suspend();
        outside = std::current_exception();
    }};
    fiber g{[&](fiber_ref self) {
        try {
            throw std::runtime_error("another");
        } catch (...) {
            self.suspend();
        }
    }};
    f.resume();
    g.resume();
    f.resume();
    f.resume();
    BOOST_TEST(!outside);
    BOOST_REQUIRE(kept);
    BOOST_CHECK_EXCEPTION(std::rethrow_exception(kept), tracked, [](const tracked& t) { return t.value() == 3; });
}

// Suspended in a destructor while an exception passes: it is under way here and nowhere else.
BOOST_AUTO_TEST_CASE(uncaught_exceptions_counts_the_fibers_own) {
    std::vector<int> inside;
    const auto body = [&](fiber_ref self) {
        try {
            const at_exit_of_scope suspends{[&] {
                inside.push_back(std::uncaught_exceptions());
                self.suspend();
                inside.push_back(std::uncaught_exceptions());
            }};
            throw tracked{1};
        } catch (const tracked&) {
            inside.push_back(std::uncaught_exceptions());
        }
    };
    fiber f{body}, g{body};
    f.resume();
    BOOST_TEST(std::uncaught_exceptions() == 0);
    g.resume();
    BOOST_TEST(std::uncaught_exceptions() == 0);
    f.resume();
    BOOST_TEST(std::uncaught_exceptions() == 0);
    g.resume();
    BOOST_TEST(std::uncaught_exceptions() == 0);
    BOOST_TEST(inside == (std::vector{1, 1, 1, 0, 1, 0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_resumer_that_is_unwinding_keeps_its_count_to_itself) {
    std::vector<int> inside, outside;
    fiber f{[&](fiber_ref self) {
        inside.push_back(std::uncaught_exceptions());
        try {
            const at_exit_of_scope suspends{[&] {
                inside.push_back(std::uncaught_exceptions());
                self.suspend();
                inside.push_back(std::uncaught_exceptions());
            }};
            throw 1;
        } catch (int) {
        }
        inside.push_back(std::uncaught_exceptions());
    }};
    try {
        const at_exit_of_scope second{[&] {
            f.resume();
            outside.push_back(std::uncaught_exceptions());
        }};
        const at_exit_of_scope first{[&] {
            f.resume();
            outside.push_back(std::uncaught_exceptions());
        }};
        throw tracked{1};
    } catch (const tracked& t) {
        BOOST_TEST(t.value() == 1);
    }
    BOOST_TEST(f.done());
    BOOST_TEST(inside == (std::vector{0, 1, 1, 0}), boost::test_tools::per_element());
    BOOST_TEST(outside == (std::vector{1, 1}), boost::test_tools::per_element());
    BOOST_TEST(std::uncaught_exceptions() == 0);
}

BOOST_AUTO_TEST_CASE(of_every_fiber_in_a_chain) {
    std::vector<int> seen;
    std::optional<fiber_ref> outer_ref;
    fiber outer{[&](fiber_ref self) {
        outer_ref = self;
        try {
            throw tracked{1};
        } catch (const tracked&) {
            fiber inner{[&] {
                try {
                    throw tracked{2};
                } catch (const tracked&) {
                    outer_ref->suspend();
                    try {
                        throw;
                    } catch (const tracked& mine) {
                        seen.push_back(mine.value());
                    }
                }
            }};
            inner.resume();
            try {
                throw;
            } catch (const tracked& mine) {
                seen.push_back(mine.value());
            }
        }
    }};
    int main_one = 0;
    try {
        throw tracked{3};
    } catch (const tracked&) {
        outer.resume();
        try {
            throw;
        } catch (const tracked& mine) {
            main_one = mine.value();
        }
    }
    std::thread{[&] { outer.resume(); }}.join();
    BOOST_TEST(main_one == 3);
    BOOST_TEST(seen == (std::vector{2, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(it_migrates_with_the_fiber) {
    std::vector<int> seen;
    fiber f{rethrows(1, seen, 3)};
    fiber g{rethrows(2, seen, 3)};
    std::thread{[&] { f.resume(); }}.join();
    g.resume();
    std::thread{[&] {
        try {
            throw tracked{100};
        } catch (const tracked&) {
            g.resume();
            f.resume();
        }
    }}.join();
    f.resume();
    std::thread{[&] {
        f.resume();
        g.resume();
    }}.join();
    g.resume();
    BOOST_TEST(f.done());
    BOOST_TEST(g.done());
    BOOST_TEST(seen == (std::vector{1, 2}), boost::test_tools::per_element());
    BOOST_TEST(!std::current_exception());
}

BOOST_AUTO_TEST_CASE(a_fiber_destroyed_inside_a_handler_frees_its_exception) {
    const int before = tracked::alive();
    std::vector<int> seen;
    {
        fiber f{rethrows(1, seen)};
        f.resume();
        BOOST_TEST(tracked::alive() == before + 1);
        std::thread{[&] { f = fiber{}; }}.join();
        BOOST_TEST(tracked::alive() == before);
    }
    BOOST_TEST(seen.empty());
    try {
        throw tracked{2};
    } catch (const tracked&) {
        fiber f{rethrows(1, seen)};
        f.resume();
        f = fiber{};
        try {
            throw;
        } catch (const tracked& mine) {
            BOOST_TEST(mine.value() == 2);
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(threads, *boost::unit_test::fixture<leak_check>())

BOOST_AUTO_TEST_CASE(any_thread_may_resume) {
    std::vector<std::thread::id> seen, expected;
    bool same = true;
    fiber f{[&](fiber_ref self) {
        for (;;) {
            seen.push_back(this_thread_id());
            same = same && weft::this_fiber::get() == self;
            self.suspend();
        }
    }};
    for (int n = 0; n < 6; ++n) {
        if (n % 2) {
            f.resume();
            expected.push_back(this_thread_id());
        } else {
            std::thread other{[&] { f.resume(); }};
            expected.push_back(other.get_id());
            other.join();
        }
    }
    BOOST_TEST((seen == expected));
    BOOST_TEST(same);
}

constexpr unsigned int seed = 19700101;

// Fibers that compute, throw, catch, suspend in handlers and in fibers of their own, resumed by four threads at random.
struct wanderer {
    std::mutex one_at_a_time;
    fiber body;
    int steps = 0;
    int wrong = 0;

    void step(fiber_ref self) {
        ++steps;
        self.suspend();
        if (weft::this_fiber::get() != self) ++wrong;
    }

    void work(fiber_ref self, int id) {
        for (int round = 0; round < 8; ++round) {
            const tracked local{id};
            double real = id;
            try {
                const at_exit_of_scope suspends{[&] {
                    if (std::uncaught_exceptions() != 1) ++wrong;
                    step(self);
                    if (std::uncaught_exceptions() != 1) ++wrong;
                }};
                throw tracked{id * 100 + round};
            } catch (const tracked&) {
                step(self);
                fiber inner{std::allocator_arg, weft::guarded_stack{64 * 1024}, [&] {
                    if (std::current_exception()) ++wrong;
                    try {
                        throw tracked{-id};
                    } catch (const tracked&) {
                        ++steps;
                        self.suspend(); // both wait
                        try {
                            throw;
                        } catch (const tracked& mine) {
                            if (mine.value() != -id) ++wrong;
                        }
                    }
                }};
                inner.resume();
                try {
                    throw;
                } catch (const tracked& mine) {
                    if (mine.value() != id * 100 + round) ++wrong;
                }
            }
            if (std::current_exception()) ++wrong;
            if (local.value() != id || real != id) ++wrong;
        }
    }
};

BOOST_AUTO_TEST_CASE(hundreds_of_fibers_wander_over_threads) {
    BOOST_TEST_MESSAGE("seed " << seed);
    constexpr int count = 200;
    std::deque<wanderer> all(count);
    for (int id = 0; id < count; ++id)
        all[static_cast<std::size_t>(id)].body =
            fiber{std::allocator_arg, weft::guarded_stack{64 * 1024},
                  [w = &all[static_cast<std::size_t>(id)], id](fiber_ref self) { w->work(self, id); }};
    std::atomic<int> unfinished = count - 20; // the last ones are destroyed on their way
    std::vector<std::thread> threads;
    for (unsigned int n = 0; n < 4; ++n)
        threads.emplace_back([&, n] {
            std::mt19937 random{seed + n};
            while (unfinished > 0) {
                const int id = static_cast<int>(random() % count);
                wanderer& w = all[static_cast<std::size_t>(id)];
                const std::unique_lock lock{w.one_at_a_time, std::try_to_lock};
                if (!lock || w.body.done()) continue;
                const bool in_destructor = w.steps % 3 == 1; // from there no exception may come, forced_unwind neither
                if (id >= count - 20 && w.steps >= 10 && !in_destructor) {
                    w.body = fiber{};
                    continue;
                }
                w.body.resume();
                if (w.body.done()) --unfinished;
            }
        });
    for (std::thread& t : threads) t.join();
    int wrong = 0;
    for (const wanderer& w : all) wrong += w.wrong;
    BOOST_TEST_CONTEXT("seed " << seed) {
        BOOST_TEST(wrong == 0);
        BOOST_TEST(unfinished == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_thread_that_ends_takes_nothing_with_it) {
    std::vector<int> seen;
    std::vector<fiber> fibers;
    for (int n = 0; n < 30; ++n)
        std::thread{[&] {
            fibers.emplace_back([&seen, n](fiber_ref self) {
                try {
                    throw tracked{n};
                } catch (const tracked& t) {
                    self.suspend();
                    seen.push_back(t.value());
                }
            });
            fibers.back().resume();
        }}.join();
    for (fiber& f : fibers) f.resume();
    BOOST_TEST(seen.size() == 30u);
    for (int n = 0; n < 30; ++n) BOOST_TEST(seen[static_cast<std::size_t>(n)] == n);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(a_debug_build_of_weft_checks_contexts, *boost::unit_test::enable_if<WEFT_TEST_DEBUG_WEFT>()) {
    BOOST_TEST(weft_test::checks_contexts());
}

// What a stray write does to the words of a block that matter to whoever waits there.
BOOST_AUTO_TEST_SUITE(overwritten_blocks, *boost::unit_test::precondition(weft_test::contexts_are_checked))

namespace {

#if WEFT_SWITCH_NATIVE
constexpr std::size_t words_of_fiber[] = {2, 3, 4, 5}; // pc, sp, its base register and frame pointer
constexpr std::size_t words_of_resumer[] = {0, 1, 2, 3};
#else
constexpr std::size_t words_of_fiber[] = {0};
constexpr std::size_t words_of_resumer[] = {0};
#endif

// One bit of one word changes.
void overwrite(weft::detail::fiber_record& fiber, std::size_t word) {
    auto* const bytes = reinterpret_cast<unsigned char*>(&fiber.context) + word * sizeof(void*);
    bytes[1] ^= 1;
}

bool was_found(const weft_test::child_end& end, const char* whose) {
    return end.signal == SIGABRT && end.said.find("was overwritten while it waited") != std::string::npos &&
           end.said.find(whose) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(of_a_suspended_fiber) {
    const std::function<void(fiber&, fiber_ref)> ways[] = {
        [](fiber& f, fiber_ref) { f.resume(); },
        [](fiber& f, fiber_ref) { f = fiber{}; },
        [](fiber& f, fiber_ref) { fiber{[&f] { f.resume(); }}.resume(); },
    };
    for (const int began : {0, 1, 3}) // resumed so often before,
        for (int kind = 0; kind < 8; ++kind) { // in a catch block or not, by a fiber or not, with its own fp_env or not
            const bool caught = kind & 1, by_fiber = kind & 2;
            const auto fp = kind & 4 ? weft::fp_env::per_fiber : weft::fp_env::thread;
            for (const auto& way : ways) {
                if (began == 0 && (caught || by_fiber || &way == &ways[1])) continue; // no context to unwind
                for (const std::size_t word : words_of_fiber) {
                    const weft_test::child_end end = in_child([&] {
                        fiber f{weft::fiber_options{.floating_point = fp, .name = "torn"}, [&](fiber_ref self) {
                                    for (;;)
                                        try {
                                            if (caught) throw 1;
                                            self.suspend();
                                        } catch (int) {
                                            self.suspend();
                                        }
                                }};
                        weft::detail::fiber_record& record = weft::detail::fiber_access::record(f);
                        for (int i = 0; i < began; ++i)
                            if (by_fiber)
                                fiber{[&f] { f.resume(); }}.resume();
                            else
                                f.resume();
                        overwrite(record, word);
                        way(f, fiber_ref{record});
                        return 0;
                    });
                    BOOST_TEST_CONTEXT("began " << began << ", kind " << kind << ", way " << &way - ways << ", word " << word)
                    BOOST_TEST(was_found(end, "the suspended fiber \"torn\""), end);
                }
            }
        }
}

BOOST_AUTO_TEST_CASE(of_what_resumed_a_running_fiber) {
    const std::function<void(fiber_ref)> ways[] = {
        [](fiber_ref self) { self.suspend(); },
        [](fiber_ref self) {
            fiber{[&] { self.suspend(); }}.resume(); // suspends both
        },
        [](fiber_ref) {},
        [](fiber_ref) { throw std::runtime_error("leaves the body"); },
    };
    for (const bool again : {false, true})
        for (const auto& way : ways)
            for (const std::size_t word : words_of_resumer) {
                const weft_test::child_end end = in_child([&] {
                    fiber f{weft::fiber_options{.name = "tearing"}, [&](fiber_ref self) {
                                if (again) self.suspend();
                                overwrite(weft::detail::fiber_access::record(self), word);
                                way(self);
                            }};
                    f.resume();
                    f.resume();
                    return 0;
                });
                BOOST_TEST_CONTEXT("again " << again << ", way " << &way - ways << ", word " << word)
                BOOST_TEST(was_found(end, "what resumed fiber \"tearing\""), end);
            }
}

BOOST_AUTO_TEST_SUITE_END()
