// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft/stack_overflow.hpp, and the names of fibers.

#include "checked_contexts.hpp"
#include "child.hpp"
#include "recorded_stacks.hpp"

#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/context/fixedsize_stack.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__)
#    include <linux/filter.h>
#    include <linux/seccomp.h>
#    include <sys/prctl.h>
#    include <sys/syscall.h>
#endif

using weft::fiber;
using weft::fiber_options;
using weft::fiber_ref;
using weft::stack_usage;
using weft_test::child_end;

namespace {

std::byte* lowest(const weft::stack& s) {
    return static_cast<std::byte*>(s.sp) - s.size;
}

void touch(const void* address) {
    *const_cast<volatile std::byte*>(static_cast<const volatile std::byte*>(address)) = std::byte{0x5a};
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// Without what an emulator says of its own when its program dies.
template <class Fn>
child_end in_child(Fn fn) {
    child_end end = weft_test::in_child(fn);
    const std::size_t emulators = end.said.find("qemu: uncaught target signal");
    if (emulators != std::string::npos) end.said.erase(emulators);
    return end;
}

// Hands out one stack that somebody else owns.
struct given_stack {
    weft::stack memory;
    weft::stack allocate() const { return memory; }
    void deallocate(const weft::stack&) const noexcept {}
};

} // namespace

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(names)

BOOST_AUTO_TEST_CASE(a_fiber_is_called_what_its_options_or_itself_say) {
    std::string inside;
    fiber f{fiber_options{.name = "parser"}, [&](fiber_ref self) {
                inside = self.name();
                weft::this_fiber::get().set_name("writer");
                self.suspend();
                self.set_name(nullptr);
            }};
    BOOST_TEST(f.name() == std::string{"parser"});
    f.resume();
    BOOST_TEST(inside == "parser");
    BOOST_TEST(f.name() == std::string{"writer"});
    f.resume();
    BOOST_TEST(f.name() == std::string{});
    const fiber nameless{[] {}}, empty;
    BOOST_TEST(nameless.name() == std::string{});
    BOOST_TEST(empty.name() == std::string{});
    const fiber both{std::allocator_arg, weft::guarded_stack{},
                     fiber_options{.floating_point = weft::fp_env::per_fiber, .name = "both"}, [] {}};
    BOOST_TEST(both.name() == std::string{"both"});
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(usage)

// Each page below the ones in use, touched in turn, is what is counted then; also where many are asked for in pieces.
BOOST_AUTO_TEST_CASE(it_is_exact_to_a_page) {
    const std::size_t page = weft::page_size();
    weft_test::recorded_stacks stacks{300 * page};
    const fiber f{std::allocator_arg, stacks.get(), [] {}};
    const weft::stack memory = stacks.last();
    BOOST_TEST(memory.size == 300 * page);
    BOOST_TEST(stack_usage(f) <= 3 * page);
    for (const std::size_t n : {290, 257, 256, 255, 130, 129, 128, 127, 126, 2, 1, 0}) {
        touch(lowest(memory) + n * page + 123);
        BOOST_TEST(stack_usage(f) == memory.size - n * page);
    }
}

BOOST_AUTO_TEST_CASE(pages_above_that_were_stepped_over_do_not_matter) {
    const std::size_t page = weft::page_size();
    weft_test::recorded_stacks stacks{50 * page};
    const fiber f{std::allocator_arg, stacks.get(), [] {}};
    touch(lowest(stacks.last()) + 10 * page);
    touch(lowest(stacks.last()) + 30 * page);
    BOOST_TEST(stack_usage(f) == 40 * page);
}

BOOST_AUTO_TEST_CASE(asking_touches_nothing) {
    weft_test::recorded_stacks stacks{32 * weft::page_size()};
    const fiber f{std::allocator_arg, stacks.get(), [] {}};
    const std::size_t used = stack_usage(f);
    for (int n = 0; n < 3; ++n) BOOST_TEST(stack_usage(f) == used);
    const std::size_t untouched = (stacks.last().size - used) / weft::page_size();
    std::vector<unsigned char> resident(untouched);
    BOOST_REQUIRE(::mincore(lowest(stacks.last()), untouched * weft::page_size(), resident.data()) == 0);
    BOOST_TEST(std::none_of(resident.begin(), resident.end(), [](unsigned char byte) { return (byte & 1) != 0; }));
}

[[gnu::noinline]] void use(std::size_t bytes) {
    auto* const memory = static_cast<char*>(__builtin_alloca(bytes));
    for (std::size_t n = 0; n < bytes; n += 512) touch(memory + n);
}

BOOST_AUTO_TEST_CASE(it_is_known_while_the_fiber_runs_waits_and_when_it_is_done) {
    constexpr std::size_t kib = 1024;
    std::array<std::size_t, 2> inside{};
    fiber f{std::allocator_arg, weft::guarded_stack{512 * kib}, [&](fiber_ref self) {
                use(50 * kib);
                inside[0] = stack_usage(self);
                self.suspend();
                use(150 * kib);
                inside[1] = stack_usage(weft::this_fiber::get());
            }};
    BOOST_TEST(stack_usage(f) < 16 * kib);
    f.resume();
    BOOST_TEST(inside[0] >= 50 * kib);
    BOOST_TEST(inside[0] < 100 * kib);
    BOOST_TEST(stack_usage(f) == inside[0]);
    f.resume();
    BOOST_TEST(inside[1] >= 150 * kib);
    BOOST_TEST(inside[1] < 200 * kib);
    BOOST_TEST(stack_usage(f) == inside[1]); // done
    std::size_t elsewhere = 0;
    std::thread{[&] { elsewhere = stack_usage(f); }}.join();
    BOOST_TEST(elsewhere == inside[1]);
}

// The marks of former fibers stay on a stack of a pool, for as long as it keeps the memory.
BOOST_AUTO_TEST_CASE(on_a_pools_stack_it_is_the_most_that_any_fiber_used) {
    constexpr std::size_t kib = 1024;
    for (const std::size_t retained : {8, 0}) {
        weft::stack_pool pool{256 * kib, retained};
        const weft::stack kept = pool.allocate(); // so that the arena stays
        const auto run = [&](std::size_t bytes) {
            fiber f{std::allocator_arg, pool.allocator(), [=] { use(bytes); }};
            f.resume();
            return stack_usage(f);
        };
        const std::size_t large = run(150 * kib), small = run(10 * kib);
        BOOST_TEST(large >= 150 * kib);
        if (retained)
            BOOST_TEST(small == large);
        else
            BOOST_TEST(small < 100 * kib);
        pool.deallocate(kept);
    }
}

// What Boost's library would answer; with it the header-only templates need nothing to link.
struct stack_traits {
    static bool is_unbounded() noexcept { return true; }
    static std::size_t page_size() noexcept { return weft::page_size(); }
    static std::size_t default_size() noexcept { return 256 * 1024; }
    static std::size_t minimum_size() noexcept { return 8192; }
    static std::size_t maximum_size() noexcept { return std::numeric_limits<std::size_t>::max(); }
};

BOOST_AUTO_TEST_CASE(of_a_stack_from_anywhere) {
    const boost::context::basic_fixedsize_stack<stack_traits> source{512 * 1024};
    fiber f{std::allocator_arg, source, [] { use(50 * 1024); }};
    f.resume();
    BOOST_TEST(stack_usage(f) >= 50u * 1024);
    BOOST_TEST(stack_usage(f) <= 512u * 1024);
}

BOOST_AUTO_TEST_CASE(of_a_stackful_body) {
    std::size_t used = 0;
    weft::sync_wait(weft::stackful<weft::task<void>>(std::allocator_arg, weft::guarded_stack{256 * 1024}, [&](auto&) {
        use(50 * 1024);
        used = stack_usage(weft::this_fiber::get());
    }));
    BOOST_TEST(used >= 50u * 1024);
    BOOST_TEST(used < 100u * 1024);
}

BOOST_AUTO_TEST_CASE(an_empty_fiber_has_none) {
    const fiber empty;
    BOOST_CHECK_THROW(stack_usage(empty), weft::fiber_error);
}

#if defined(__linux__)
// From here on each of `calls` fails with EACCES in this process.
bool forbid(const std::vector<unsigned int>& calls) {
    std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    for (const unsigned int call : calls) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

BOOST_AUTO_TEST_CASE(without_the_page_map_residency_counts_and_without_both_nothing_is_known) {
    constexpr int no_filters = 77;
    const std::size_t page = weft::page_size();
    for (const bool both : {false, true}) {
        const auto end = in_child([&] {
            weft_test::recorded_stacks stacks{100 * page};
            const fiber f{std::allocator_arg, stacks.get(), [] {}};
            touch(lowest(stacks.last()) + 20 * page);
            std::vector<unsigned int> calls{SYS_openat};
            if (both) calls.push_back(SYS_mincore);
            if (!forbid(calls)) return no_filters;
            try {
                return stack_usage(f) == 80 * page ? 1 : 2;
            } catch (const std::system_error& e) {
                return contains(e.what(), "weft: ") && e.code().value() == EACCES ? 3 : 4;
            }
        });
        if (end.code == no_filters) {
            BOOST_TEST_MESSAGE("not tested: system calls cannot be filtered here");
            return;
        }
        BOOST_TEST(end.code == (both ? 3 : 1), end);
    }
}
#endif

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(overflow)

#if WEFT_ASAN || WEFT_TSAN

BOOST_AUTO_TEST_CASE(not_tested_here) {
    BOOST_TEST_MESSAGE("not tested: the sanitizer has its own signal stacks and its own handler of SIGSEGV");
}

#else

[[gnu::noinline]] int run_over(int depth) {
    volatile char frame[256];
    frame[0] = static_cast<char>(depth);
    const int below = depth < 0 ? 0 : run_over(depth + 1);
    return below + frame[0];
}

void overflow() {
    run_over(1);
}

// The end of a process in which `memory` was run over: it died by its guard, and said so once.
void check_report(const child_end& end, const std::string& whose, const weft::stack& memory) {
    BOOST_TEST_CONTEXT(end) {
        BOOST_TEST(end.faulted());
        const std::string begins = "weft: stack overflow in " + whose + ": fault at 0x";
        BOOST_REQUIRE(end.said.starts_with(begins));
        BOOST_TEST(std::count(end.said.begin(), end.said.end(), '\n') == 1);
        const auto bottom = reinterpret_cast<std::uintptr_t>(lowest(memory));
        const auto fault = static_cast<std::uintptr_t>(std::stoull(end.said.substr(begins.size()), nullptr, 16));
        BOOST_TEST(fault >= bottom - weft::page_size());
        BOOST_TEST(fault < bottom + weft::page_size()); // some allocators count the guard as stack
        char bounds[160];
        std::snprintf(bounds, sizeof bounds, "its stack is %p to %p, %zu bytes, of which ",
                      static_cast<void*>(lowest(memory)), memory.sp, memory.size);
        const std::size_t found = end.said.find(bounds);
        BOOST_REQUIRE(found != std::string::npos);
        const std::size_t used = std::stoull(end.said.substr(found + std::string{bounds}.size()));
        BOOST_TEST(used <= memory.size);
        BOOST_TEST(used + weft::page_size() >= memory.size);
    }
}

// Runs over `memory` in a fiber of that name, in a child.
child_end overflow_of(const weft::stack& memory, const char* name) {
    return in_child([&] {
        weft::report_stack_overflow();
        fiber f{std::allocator_arg, given_stack{memory}, fiber_options{.name = name}, overflow};
        f.resume();
        return 0;
    });
}

bool silent_fault(const child_end& end) {
    return end.faulted() && end.said.empty();
}

BOOST_AUTO_TEST_CASE(it_is_reported_with_name_bounds_usage_and_address) {
    const weft::guarded_stack mapped{64 * 1024};
    const weft::stack own = mapped.allocate();
    check_report(overflow_of(own, "parser"), "the fiber \"parser\"", own);
    check_report(overflow_of(own, nullptr), "a fiber without a name", own);
    mapped.deallocate(own);
    const weft::stack pooled = weft::default_stack_allocator{}.allocate();
    check_report(overflow_of(pooled, "pooled"), "the fiber \"pooled\"", pooled);
    weft::default_stack_allocator{}.deallocate(pooled);
    weft::stack_pool pool{16 * 1024};
    const weft::stack small = pool.allocate();
    check_report(overflow_of(small, "small"), "the fiber \"small\"", small);
    pool.deallocate(small);
}

#    if defined(__linux__)
// In a program that has not run a fiber yet: this one again, as `what`. It has the system's own answer to every signal.
constexpr int cannot_be_started = 126;
child_end in_a_new_program(const char* what) {
    return in_child([=] {
        ::setenv("WEFT_TEST_OVERFLOW", what, 1);
        ::execl("/proc/self/exe", "unit_stack_overflow", "--color_output=no", "--log_level=nothing",
                "--report_level=no", "--catch_system_errors=no", "--run_test=overflow/without_asking_for_it",
                static_cast<char*>(nullptr));
        return cannot_be_started;
    });
}

void install(int signal, int flags, void (*plain)(int), void (*informed)(int, siginfo_t*, void*) = nullptr);

// A library that checks contexts says it by itself; and a program's own handler stays, before and after.
BOOST_AUTO_TEST_CASE(without_asking_for_it) {
    if (const char* const what = std::getenv("WEFT_TEST_OVERFLOW")) {
        const std::string which = what;
        if (which == "nothing") return;
        const auto handle = [] {
            static std::array<std::byte, 64 * 1024> memory;
            stack_t room{};
            room.ss_sp = memory.data();
            room.ss_size = memory.size();
            ::sigaltstack(&room, nullptr);
            install(SIGSEGV, static_cast<int>(SA_ONSTACK), [](int) { ::_exit(42); });
        };
        if (which == "handled before") handle();
        if (which == "ignored before") install(SIGSEGV, 0, SIG_IGN);
        fiber{[] {}}.resume();
        if (which == "handled after") handle();
        if (which == "asked, too") weft::report_stack_overflow();
        if (which == "null") touch(nullptr);
        fiber f{fiber_options{.name = "parser"}, overflow};
        if (which == "on a thread")
            std::thread{[&] { f.resume(); }}.join();
        else
            f.resume();
        return;
    }
    if (in_a_new_program("nothing").code == cannot_be_started) {
        BOOST_TEST_MESSAGE("not tested: an emulated program cannot start itself");
        return;
    }
    for (const char* what : {"overflow", "on a thread", "asked, too"}) {
        const auto end = in_a_new_program(what);
        BOOST_TEST_CONTEXT(what << ": " << end) {
            BOOST_TEST(end.faulted());
            const bool says = weft_test::checks_contexts() || std::string{what} == "asked, too";
            BOOST_TEST(std::count(end.said.begin(), end.said.end(), '\n') == says);
            BOOST_TEST(end.said.find("weft: stack overflow in the fiber \"parser\"") == (says ? 0 : std::string::npos));
        }
    }
    for (const char* what : {"handled before", "handled after"}) {
        const auto end = in_a_new_program(what);
        BOOST_TEST(end.code == 42, what << ": " << end);
        BOOST_TEST(end.said.empty(), what << ": " << end);
    }
    for (const char* what : {"ignored before", "null"}) {
        const auto end = in_a_new_program(what);
        BOOST_TEST(silent_fault(end), what << ": " << end);
    }
}
#    endif

// A name is printed as far as there is room.
BOOST_AUTO_TEST_CASE(a_name_without_end) {
    const std::string name(2000, 'x');
    const auto end = overflow_of(weft::guarded_stack{64 * 1024}.allocate(), name.c_str());
    BOOST_TEST(end.faulted());
    BOOST_TEST(end.said.size() <= 512u);
    BOOST_TEST(end.said.starts_with("weft: stack overflow in the fiber \"xxx"));
}

// Memory of `pages` pages, of which the lowest `closed` are no memory.
std::byte* pages_with_guard(std::size_t pages, std::size_t closed) {
    const std::size_t page = weft::page_size();
    void* const memory = ::mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    BOOST_REQUIRE(memory != MAP_FAILED);
    BOOST_REQUIRE(::mprotect(memory, closed * page, PROT_NONE) == 0);
    return static_cast<std::byte*>(memory);
}

BOOST_AUTO_TEST_CASE(of_an_allocator_of_somebody_elses) {
    const std::size_t page = weft::page_size();
    std::byte* const memory = pages_with_guard(10, 1);
    const weft::stack guard_below{9 * page, memory + 10 * page};
    check_report(overflow_of(guard_below, "below"), "the fiber \"below\"", guard_below);
    const weft::stack guard_inside{10 * page, memory + 10 * page}; // as Boost's protected_fixedsize_stack counts
    check_report(overflow_of(guard_inside, "inside"), "the fiber \"inside\"", guard_inside);

    // No guard: what lies below is written to, and the fault two pages further down is anybody's.
    std::byte* const other = pages_with_guard(10, 1);
    const weft::stack no_guard{7 * page, other + 10 * page};
    const auto end = overflow_of(no_guard, "nobody");
    BOOST_TEST(silent_fault(end), end);
}

BOOST_AUTO_TEST_CASE(the_innermost_fiber_is_named) {
    const weft::stack memory = weft::guarded_stack{64 * 1024}.allocate();
    const auto end = in_child([&] {
        weft::report_stack_overflow();
        fiber outer{fiber_options{.name = "outer"}, [&] {
                        fiber inner{std::allocator_arg, given_stack{memory}, fiber_options{.name = "inner"}, overflow};
                        inner.resume();
                    }};
        outer.resume();
        return 0;
    });
    check_report(end, "the fiber \"inner\"", memory);
}

BOOST_AUTO_TEST_CASE(the_outer_fiber_is_named_when_it_runs_again) {
    const weft::stack memory = weft::guarded_stack{64 * 1024}.allocate();
    const auto end = in_child([&] {
        weft::report_stack_overflow();
        fiber outer{std::allocator_arg, given_stack{memory}, fiber_options{.name = "outer"}, [&] {
                        fiber inner{fiber_options{.name = "inner"}, [] {}};
                        inner.resume();
                        overflow();
                    }};
        outer.resume();
        return 0;
    });
    check_report(end, "the fiber \"outer\"", memory);
}

BOOST_AUTO_TEST_CASE(of_a_stackful_body) {
    const weft::stack memory = weft::guarded_stack{64 * 1024}.allocate();
    const auto end = in_child([&] {
        weft::report_stack_overflow();
        weft::sync_wait(weft::stackful<weft::task<void>>(std::allocator_arg, given_stack{memory}, [](auto&) {
            weft::this_fiber::get().set_name("body");
            overflow();
        }));
        return 0;
    });
    check_report(end, "the fiber \"body\"", memory);
}

BOOST_AUTO_TEST_CASE(of_a_fiber_context) {
    const weft::stack memory = weft::guarded_stack{64 * 1024}.allocate();
    const auto run = [&](bool itself) {
        return in_child([&] {
            weft::report_stack_overflow();
            weft::fiber_context c(
                [&](weft::fiber_context&& caller) {
                    fiber f{[] {}};
                    f.resume();
                    weft::fiber_context other{[](weft::fiber_context&& back) { return std::move(back); }};
                    other = std::move(other).resume();
                    if (itself) overflow();
                    return std::move(caller);
                },
                std::span<std::byte>{lowest(memory), memory.size}, [](std::span<std::byte>) {});
            c = std::move(c).resume();
            touch(lowest(memory) - 1); // nobody runs there any more
            return 0;
        });
    };
    check_report(run(true), "a fiber_context", memory);
    const auto afterwards = run(false);
    BOOST_TEST(silent_fault(afterwards), afterwards);
}

// ---------------------------------------------------------------------------------------------------------------------
// Other faults.

template <class Fn>
child_end in_a_reporting_fiber(Fn fn) {
    return in_child([&] {
        weft::report_stack_overflow();
        fiber f{fiber_options{.name = "parser"}, fn};
        f.resume();
        return 0;
    });
}

BOOST_AUTO_TEST_CASE(other_faults_are_not_reported_and_end_the_process_as_they_would_have) {
    const auto null_pointer = in_a_reporting_fiber([] {
        int* volatile nowhere = nullptr;
        touch(nowhere);
    });
    BOOST_TEST(silent_fault(null_pointer), null_pointer);

    const weft::stack other = weft::guarded_stack{64 * 1024}.allocate();
    const auto guard_of_another = in_a_reporting_fiber([&] {
        fiber suspended{std::allocator_arg, given_stack{other}, [](fiber_ref self) { self.suspend(); }};
        suspended.resume();
        touch(lowest(other) - 8);
    });
    BOOST_TEST(silent_fault(guard_of_another), guard_of_another);

    // A stray pointer into the fiber's own guard, from far above.
    const auto own_guard = in_child([&] {
        weft::report_stack_overflow();
        fiber f{std::allocator_arg, given_stack{other}, [&] { touch(lowest(other) - 8); }};
        f.resume();
        return 0;
    });
    BOOST_TEST(silent_fault(own_guard), own_guard);

    const auto sent = in_a_reporting_fiber([] { ::raise(SIGSEGV); });
    BOOST_TEST(sent.signal == SIGSEGV, sent);
    BOOST_TEST(sent.said.empty(), sent);
    const auto sent_bus = in_a_reporting_fiber([] { ::kill(::getpid(), SIGBUS); });
    BOOST_TEST(sent_bus.signal == SIGBUS, sent_bus);
    BOOST_TEST(sent_bus.said.empty(), sent_bus);
}

void* overflow_of_a_thread(void* resumes_a_fiber) {
    if (resumes_a_fiber) {
        fiber f{[](fiber_ref self) { self.suspend(); }};
        f.resume();
        overflow();
    }
    overflow();
    return nullptr;
}

BOOST_AUTO_TEST_CASE(the_overflow_of_a_thread_is_not_one_of_a_fiber) {
    for (const bool resumes_a_fiber : {false, true}) {
        const auto end = in_child([=]() mutable {
            weft::report_stack_overflow();
            pthread_attr_t small;
            ::pthread_attr_init(&small);
            ::pthread_attr_setstacksize(&small, 256 * 1024);
            pthread_t thread;
            void* const argument = resumes_a_fiber ? &small : nullptr;
            if (::pthread_create(&thread, &small, &overflow_of_a_thread, argument) != 0) return 1;
            ::pthread_join(thread, nullptr);
            return 0;
        });
        BOOST_TEST(silent_fault(end), end);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What was there before.

void say(const char* text) {
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, std::string::traits_type::length(text));
}

void install(int signal, int flags, void (*plain)(int), void (*informed)(int, siginfo_t*, void*)) {
    struct sigaction action {};
    action.sa_flags = flags;
    if (informed)
        action.sa_sigaction = informed;
    else
        action.sa_handler = plain;
    ::sigaction(signal, &action, nullptr);
}

void* expected_fault;

BOOST_AUTO_TEST_CASE(a_handler_that_was_there_is_called_after_the_report) {
    const weft::stack memory = weft::guarded_stack{64 * 1024}.allocate();
    const auto run = [&](int flags, void (*plain)(int), void (*informed)(int, siginfo_t*, void*)) {
        return in_child([&] {
            expected_fault = lowest(memory);
            install(SIGSEGV, flags, plain, informed);
            weft::report_stack_overflow();
            fiber f{std::allocator_arg, given_stack{memory}, overflow};
            f.resume();
            return 0;
        });
    };
    const auto informed = run(SA_SIGINFO, nullptr, [](int signal, siginfo_t* info, void* context) {
        const auto distance = static_cast<std::byte*>(expected_fault) - static_cast<std::byte*>(info->si_addr);
        const bool right = signal == SIGSEGV && context && distance > 0 &&
                           distance <= static_cast<std::ptrdiff_t>(weft::page_size());
        ::_exit(right ? 42 : 43);
    });
    BOOST_TEST(informed.code == 42, informed);
    BOOST_TEST(contains(informed.said, "weft: stack overflow"), informed);
    const auto plain = run(0, [](int signal) { ::_exit(signal == SIGSEGV ? 44 : 45); }, nullptr);
    BOOST_TEST(plain.code == 44, plain);
    BOOST_TEST(contains(plain.said, "weft: stack overflow"), plain);
    const auto ignored = run(0, SIG_IGN, nullptr); // the system does not ignore a fault either
    BOOST_TEST(ignored.faulted(), ignored);
    BOOST_TEST(contains(ignored.said, "weft: stack overflow"), ignored);
    const auto once = run(static_cast<int>(SA_RESETHAND), [](int) { say("first\n"); }, nullptr);
    BOOST_TEST(once.faulted(), once);
    BOOST_TEST(once.said.ends_with("first\n"), once);
    BOOST_TEST(once.said.find("first") == once.said.rfind("first"), once);
}

BOOST_AUTO_TEST_CASE(signals_that_were_sent_find_what_was_there) {
    const auto ignored = in_child([] {
        install(SIGSEGV, 0, SIG_IGN);
        weft::report_stack_overflow();
        ::raise(SIGSEGV);
        ::raise(SIGSEGV);
        say("alive; ");
        fiber f{overflow};
        f.resume();
        return 7;
    });
    BOOST_TEST(ignored.faulted(), ignored);
    BOOST_TEST(ignored.said.starts_with("alive; weft: stack overflow"), ignored); // they did not end the reports
    const auto handled = in_child([] {
        static volatile std::sig_atomic_t count = 0;
        install(SIGBUS, 0, [](int) { count = count + 1; });
        weft::report_stack_overflow();
        ::raise(SIGBUS);
        ::raise(SIGBUS);
        return static_cast<int>(count);
    });
    BOOST_TEST(handled.code == 2, handled);
}

// The stack of a fiber_context that has ended may be gone when its deleter faults.
BOOST_AUTO_TEST_CASE(a_fault_of_a_deleter) {
    const auto end = in_child([] {
        install(SIGSEGV, 0, [](int) { ::_exit(42); });
        weft::report_stack_overflow();
        const weft::guarded_stack source{64 * 1024};
        const weft::stack memory = source.allocate();
        weft::fiber_context c([](weft::fiber_context&& caller) { return std::move(caller); },
                              std::span<std::byte>{lowest(memory), memory.size}, [&](std::span<std::byte>) {
                                  source.deallocate(memory);
                                  touch(lowest(memory));
                              });
        c = std::move(c).resume();
        return 0;
    });
    BOOST_TEST(end.code == 42, end);
}

// Garbage collectors and emulators live by faults that they repair.
std::byte* closed_page;

BOOST_AUTO_TEST_CASE(a_handler_may_repair_a_fault) {
    const auto end = in_child([] {
        closed_page = pages_with_guard(2, 1);
        install(SIGSEGV, SA_SIGINFO, nullptr, [](int, siginfo_t* info, void*) {
            if (info->si_addr == closed_page) ::mprotect(closed_page, weft::page_size(), PROT_READ | PROT_WRITE);
        });
        weft::report_stack_overflow();
        int steps = 0;
        fiber f{[&] {
            touch(closed_page);
            ++steps;
        }};
        f.resume();
        return steps == 1 && *closed_page == std::byte{0x5a} ? 7 : 8;
    });
    BOOST_TEST(end.code == 7, end);
    BOOST_TEST(end.said.empty(), end);
}

// ---------------------------------------------------------------------------------------------------------------------
// Threads.

template <class Fn>
child_end on_a_thread(Fn fn) {
    return in_child([&] {
        std::thread{fn}.join();
        return 0;
    });
}

BOOST_AUTO_TEST_CASE(every_thread_that_resumes_its_first_fiber_afterwards_is_covered) {
    const weft::stack memory = weft::guarded_stack{64 * 1024}.allocate();
    const auto overflowing = [&](const char* name) {
        fiber f{std::allocator_arg, given_stack{memory}, fiber_options{.name = name}, overflow};
        f.resume();
    };
    const auto later = in_child([&] {
        weft::report_stack_overflow();
        std::thread{[&] { overflowing("later"); }}.join();
        return 0;
    });
    check_report(later, "the fiber \"later\"", memory);

    const auto begun_before = in_child([&] {
        std::atomic<bool> go = false;
        std::thread early{[&] {
            go.wait(false);
            overflowing("begun before");
        }};
        weft::report_stack_overflow();
        go = true;
        go.notify_one();
        early.join();
        return 0;
    });
    check_report(begun_before, "the fiber \"begun before\"", memory);

    // One that has resumed a fiber before has to call for itself.
    const auto late = on_a_thread([&] {
        fiber first{[] {}};
        first.resume();
        std::thread{weft::report_stack_overflow}.join();
        weft::report_stack_overflow();
        overflowing("late");
    });
    check_report(late, "the fiber \"late\"", memory);

    // A fiber that was begun elsewhere.
    const auto migrated = in_child([&] {
        weft::report_stack_overflow();
        fiber f{std::allocator_arg, given_stack{memory}, fiber_options{.name = "migrated"}, [](fiber_ref self) {
                    self.suspend();
                    overflow();
                }};
        f.resume();
        std::thread{[&] { f.resume(); }}.join();
        return 0;
    });
    check_report(migrated, "the fiber \"migrated\"", memory);

    // A thread of fiber_contexts.
    const auto contexts = on_a_thread([&] {
        std::thread{weft::report_stack_overflow}.join();
        weft::fiber_context c(
            [](weft::fiber_context&& caller) {
                overflow();
                return std::move(caller);
            },
            std::span<std::byte>{lowest(memory), memory.size}, [](std::span<std::byte>) {});
        c = std::move(c).resume();
    });
    check_report(contexts, "a fiber_context", memory);
}

stack_t signal_stack_of_this_thread() {
    stack_t now{};
    ::sigaltstack(nullptr, &now);
    return now;
}

BOOST_AUTO_TEST_CASE(a_threads_signal_stack_is_given_back_when_it_ends) {
    const auto end = in_child([] {
        weft::report_stack_overflow();
        weft::report_stack_overflow();
        stack_t given{};
        std::thread{[&] {
            if (!(signal_stack_of_this_thread().ss_flags & SS_DISABLE)) ::_exit(1);
            fiber f{[] {}};
            f.resume();
            given = signal_stack_of_this_thread();
        }}.join();
        if (given.ss_flags & SS_DISABLE || given.ss_size < 32 * 1024) return 2;
        touch(given.ss_sp);
        return 3;
    });
    BOOST_TEST(silent_fault(end), end);
}

BOOST_AUTO_TEST_CASE(a_thread_that_has_a_signal_stack_keeps_it) {
    const weft::stack memory = weft::guarded_stack{64 * 1024}.allocate();
    static std::array<std::byte, 64 * 1024> own;
    const auto end = on_a_thread([&] {
        stack_t mine{};
        mine.ss_sp = own.data();
        mine.ss_size = own.size();
        ::sigaltstack(&mine, nullptr);
        weft::report_stack_overflow();
        fiber f{std::allocator_arg, given_stack{memory}, overflow};
        if (signal_stack_of_this_thread().ss_sp != own.data()) ::_exit(1);
        f.resume();
    });
    check_report(end, "a fiber without a name", memory);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
