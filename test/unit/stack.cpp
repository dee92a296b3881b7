// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft/stack.hpp.

#include "child.hpp"
#include "recorded_stacks.hpp"

#include <weft/fiber.hpp>
#include <weft/generator.hpp>
#include <weft/stack.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#    include <linux/filter.h>
#    include <linux/seccomp.h>
#    include <sys/prctl.h>
#    include <sys/syscall.h>
#    include <sys/utsname.h>
#endif

using weft::guarded_stack;
using weft::stack;
using weft::stack_pool;
using weft_test::in_child;

namespace {

std::byte* lowest(const stack& s) {
    return static_cast<std::byte*>(s.sp) - s.size;
}

void touch(const void* address) {
    auto* const byte = const_cast<volatile std::byte*>(static_cast<const volatile std::byte*>(address));
    *byte = std::byte{0x5a};
}

bool write_faults(const void* address) {
    return in_child([=] {
               touch(address);
               return 0;
           })
        .faulted();
}

bool read_faults(const void* address) {
    return in_child([=] { return static_cast<int>(*static_cast<const volatile unsigned char*>(address)) & 0; }).faulted();
}

// What invalid_argument says, or nothing if no such exception comes.
template <class Fn>
std::string refusal(Fn fn) {
    try {
        fn();
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return {};
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

} // namespace

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(allocators)

// What Boost's library would answer; with it the header-only templates need nothing to link.
struct stack_traits {
    static bool is_unbounded() noexcept { return true; }
    static std::size_t page_size() noexcept { return weft::page_size(); }
    static std::size_t default_size() noexcept { return 256 * 1024; }
    static std::size_t minimum_size() noexcept { return 8192; }
    static std::size_t maximum_size() noexcept { return std::numeric_limits<std::size_t>::max(); }
};

static_assert(weft::stack_allocator<boost::context::fixedsize_stack>);
static_assert(weft::stack_allocator<boost::context::protected_fixedsize_stack>);
static_assert(weft::stack_allocator<boost::context::pooled_fixedsize_stack>);
static_assert(weft::stack_allocator<guarded_stack>);
static_assert(weft::stack_allocator<stack_pool::allocator_type>);
static_assert(weft::stack_allocator<weft::default_stack_allocator>);
static_assert(weft::stack_allocator<weft_test::recorded_stacks::allocator>);

struct gives_nothing_back {
    stack allocate();
};
struct gives_no_stack {
    int allocate();
    void deallocate(int);
};
struct cannot_be_copied {
    cannot_be_copied(const cannot_be_copied&) = delete;
    stack allocate();
    void deallocate(const stack&);
};
static_assert(!weft::stack_allocator<gives_nothing_back>);
static_assert(!weft::stack_allocator<gives_no_stack>);
static_assert(!weft::stack_allocator<cannot_be_copied>);
static_assert(!weft::stack_allocator<stack_pool>, "a pool cannot be copied: its allocator() is");

template <class Allocator>
void run_fibers_on(Allocator allocator) {
    std::string trace;
    for (int round = 0; round < 20; ++round) {
        std::vector<weft::fiber> fibers;
        for (int n = 0; n < 10; ++n)
            fibers.emplace_back(std::allocator_arg, allocator, [&trace](weft::fiber_ref self) {
                trace += 'a';
                self.suspend();
                trace += 'b';
            });
        for (weft::fiber& f : fibers) f.resume();
        for (std::size_t n = 0; n < 5; ++n) fibers[n].resume(); // the others are unwound
    }
    BOOST_TEST(std::count(trace.begin(), trace.end(), 'a') == 200);
    BOOST_TEST(std::count(trace.begin(), trace.end(), 'b') == 100);
}

BOOST_AUTO_TEST_CASE(fibers_run_on_boosts_allocators_unchanged) {
    run_fibers_on(boost::context::basic_fixedsize_stack<stack_traits>{});
    run_fibers_on(boost::context::basic_protected_fixedsize_stack<stack_traits>{});
    run_fibers_on(boost::context::basic_pooled_fixedsize_stack<stack_traits>{});
}

BOOST_AUTO_TEST_CASE(fibers_run_on_wefts_allocators) {
    stack_pool pool{64 * 1024};
    run_fibers_on(guarded_stack{64 * 1024});
    run_fibers_on(pool.allocator());
    run_fibers_on(weft::default_stack_allocator{});
    BOOST_TEST(pool.idle() == 10u);
}

BOOST_AUTO_TEST_CASE(a_fiber_that_names_no_allocator_uses_the_process_wide_pool) {
    stack_pool& pool = stack_pool::process();
    BOOST_TEST(&pool == &stack_pool::process());
    pool.trim();
    {
        const weft::fiber f{[] {}};
        BOOST_TEST(pool.idle() == 0u);
    }
    BOOST_TEST(pool.idle() == 1u);
    {
        const weft::fiber f{[] {}};
        BOOST_TEST(pool.idle() == 0u);
    }
    BOOST_TEST(pool.idle() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(sizes)

BOOST_AUTO_TEST_CASE(pages_and_defaults) {
    BOOST_TEST(weft::page_size() == static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
    const std::size_t kib = std::size_t{1024} * (WEFT_ASAN ? 2 : 1);
    if (sizeof(void*) < 8)
        BOOST_TEST(weft::default_stack_size() + 2 * weft::page_size() == 112 * kib);
    else if (weft::page_size() < 65536)
        BOOST_TEST(weft::default_stack_size() + 3 * weft::page_size() == 512 * kib);
    if (sizeof(void*) == 8) BOOST_TEST(weft::default_stack_size() >= 448 * kib); // SQLite and Lua, with some room
    const guarded_stack g;
    const stack s = g.allocate();
    BOOST_TEST(s.size == weft::default_stack_size());
    g.deallocate(s);
    stack_pool pool;
    const stack p = pool.allocate();
    BOOST_TEST(p.size >= weft::default_stack_size());
    BOOST_TEST(p.size <= weft::default_stack_size() + weft::page_size());
    pool.deallocate(p);
}

BOOST_AUTO_TEST_CASE(a_size_is_rounded_up_to_pages_and_every_byte_can_be_used) {
    const std::size_t page = weft::page_size();
    for (const std::size_t wanted : {weft::minimum_stack_size, page, page + 1, 2 * page - 1, 2 * page, 3 * page + 17}) {
        const std::size_t expected = (wanted + page - 1) / page * page;
        const guarded_stack g{wanted};
        const stack s = g.allocate();
        BOOST_TEST(s.size == expected);
        BOOST_TEST(reinterpret_cast<std::uintptr_t>(s.sp) % page == 0u);
        std::fill(lowest(s), static_cast<std::byte*>(s.sp), std::byte{1});
        BOOST_TEST(std::all_of(lowest(s), static_cast<std::byte*>(s.sp), [](std::byte b) { return b == std::byte{1}; }));
        g.deallocate(s);
        stack_pool pool{wanted};
        const stack p = pool.allocate();
        BOOST_TEST((p.size >= expected && p.size <= expected + page));
        BOOST_TEST(reinterpret_cast<std::uintptr_t>(p.sp) % 64 == 0u);
        std::fill(lowest(p), static_cast<std::byte*>(p.sp), std::byte{2});
        pool.deallocate(p);
    }
}

BOOST_AUTO_TEST_CASE(too_small_is_refused) {
    for (const std::size_t wanted : {std::size_t{0}, std::size_t{1}, weft::minimum_stack_size - 1}) {
        for (const std::string& said : {refusal([=] { guarded_stack{wanted}; }), refusal([=] { stack_pool{wanted}; })}) {
            BOOST_TEST(said.starts_with("weft: "));
            BOOST_TEST(contains(said, "too small"));
            BOOST_TEST(contains(said, std::to_string(weft::minimum_stack_size)));
        }
    }
}

BOOST_AUTO_TEST_CASE(larger_than_any_address_space_is_refused) {
    constexpr auto all = std::numeric_limits<std::size_t>::max();
    for (const std::size_t wanted : {all, all - 4096, all / 2 + 1, all / 2 - weft::page_size()}) {
        for (const std::string& said : {refusal([=] { guarded_stack{wanted}; }), refusal([=] { stack_pool{wanted}; })}) {
            BOOST_TEST(said.starts_with("weft: "));
            BOOST_TEST(contains(said, std::to_string(wanted)));
        }
    }
}

// A fiber's record, its body and its first frames must find room.
BOOST_AUTO_TEST_CASE(a_body_too_large_for_its_stack_is_refused_and_the_stack_comes_back) {
    weft_test::recorded_stacks stacks{16 * 1024};
    const auto refused = [&]<std::size_t Size>(std::array<char, Size> capture) {
        return refusal([&] { weft::fiber{std::allocator_arg, stacks.get(), [capture] { touch(&capture); }}; });
    };
    const std::string larger = refused(std::array<char, 20000>{});
    const std::string nearly = refused(std::array<char, 15 * 1024>{});
    BOOST_TEST(larger.starts_with("weft: "));
    BOOST_TEST(nearly.starts_with("weft: "));
    BOOST_TEST(contains(larger, "16384"));
    BOOST_TEST(stacks.allocated() == 2u);
    BOOST_TEST(stacks.out() == 0u);

    // The sentence names a size that is enough.
    const std::size_t number = larger.find("give it ");
    BOOST_REQUIRE(number != std::string::npos);
    const std::size_t enough = std::stoul(larger.substr(number + 8));
    BOOST_TEST(enough > 20000u);
    bool ran = false;
    weft_test::recorded_stacks larger_stacks{enough};
    std::array<char, 20000> capture{};
    {
        const weft::fiber f{std::allocator_arg, larger_stacks.get(), [capture, &ran] { ran = capture[19999] == 0; }};
        BOOST_TEST(larger_stacks.out() == 1u);
    }
    BOOST_TEST(larger_stacks.out() == 0u);
    BOOST_TEST(!ran);
    BOOST_TEST(stacks.sound());
    BOOST_TEST(larger_stacks.sound());
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(guard_pages)

void check_guard(const stack& s) {
    BOOST_TEST(!write_faults(lowest(s)));
    BOOST_TEST(!write_faults(static_cast<std::byte*>(s.sp) - 1));
    BOOST_TEST(write_faults(lowest(s) - 1));
    BOOST_TEST(write_faults(lowest(s) - weft::page_size()));
    BOOST_TEST(read_faults(lowest(s) - 1));
}

BOOST_AUTO_TEST_CASE(the_page_below_every_stack_faults) {
    const guarded_stack g{32 * 1024};
    stack_pool pool{16 * 1024};
    std::vector<stack> mapped, pooled;
    for (int n = 0; n < 3; ++n) {
        mapped.push_back(g.allocate());
        pooled.push_back(pool.allocate());
    }
    for (const stack& s : mapped) check_guard(s);
    for (const stack& s : pooled) check_guard(s);
    for (const stack& s : pooled) pool.deallocate(s);
    const stack again = pool.allocate();
    check_guard(again);
    pool.deallocate(again);
    for (const stack& s : mapped) g.deallocate(s);
}

BOOST_AUTO_TEST_CASE(a_stack_given_back_is_no_memory_any_more) {
    const guarded_stack g{32 * 1024};
    const stack s = g.allocate();
    g.deallocate(s);
    BOOST_TEST(read_faults(lowest(s)));
    BOOST_TEST(read_faults(static_cast<std::byte*>(s.sp) - 1));
}

// The fault of an overflowing fiber, as a handler on a stack of its own sees it.
std::uintptr_t guard_begin, guard_end;

[[gnu::noinline]] int run_over(int depth) {
    volatile char frame[512];
    frame[0] = static_cast<char>(depth);
    const int below = depth < 0 ? 0 : run_over(depth + 1);
    return below + frame[0];
}

template <class Allocator>
int overflow(Allocator allocator, const stack& memory) {
    guard_end = reinterpret_cast<std::uintptr_t>(lowest(memory));
    guard_begin = guard_end - weft::page_size();
    alignas(64) static std::array<std::byte, 64 * 1024> handler_stack;
    stack_t alternative{};
    alternative.ss_sp = handler_stack.data();
    alternative.ss_size = handler_stack.size();
    ::sigaltstack(&alternative, nullptr);
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    action.sa_sigaction = [](int, siginfo_t* info, void*) {
        const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
        ::_exit(at >= guard_begin && at < guard_end ? 42 : 43);
    };
    ::sigaction(SIGSEGV, &action, nullptr);
    ::sigaction(SIGBUS, &action, nullptr);
    struct handed_out {
        Allocator source;
        stack memory;
        stack allocate() const { return memory; }
        void deallocate(const stack& s) { source.deallocate(s); }
    };
    weft::fiber f{std::allocator_arg, handed_out{allocator, memory}, [] { run_over(1); }};
    f.resume();
    return 0;
}

BOOST_AUTO_TEST_CASE(a_fiber_that_runs_over_its_end_dies_by_its_guard) {
    const auto mapped = in_child([] {
        const guarded_stack g{64 * 1024};
        return overflow(g, g.allocate());
    });
    BOOST_TEST(mapped.code == 42, mapped);
    const auto pooled = in_child([] {
        return overflow(weft::default_stack_allocator{}, stack_pool::process().allocate());
    });
    BOOST_TEST(pooled.code == 42, pooled);
    const auto unhandled = in_child([] {
        weft::fiber f{[] { run_over(1); }};
        f.resume();
        return 0;
    });
    BOOST_TEST(unhandled.faulted(), unhandled);
}

#if defined(__linux__)
constexpr int guard_install = 102; // MADV_GUARD_INSTALL

// Asked again, by a process that dies of it or not.
bool kernel_installs_guards() {
    const std::size_t page = weft::page_size();
    void* const memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    BOOST_REQUIRE(memory != MAP_FAILED);
    const bool works = ::madvise(memory, page, guard_install) == 0 && write_faults(memory);
    ::munmap(memory, page);
    return works;
}

// An AArch64 program that finds another machine's processor is emulated.
bool emulated() {
#    if defined(__aarch64__)
    std::ifstream file{"/proc/cpuinfo"};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    return !contains(text, "CPU implementer");
#    else
    return false;
#    endif
}

BOOST_AUTO_TEST_CASE(guards_are_installed_only_where_they_are_seen_to_fault) {
    const bool installed = weft::guards() == weft::guard_method::install;
    BOOST_TEST(installed == kernel_installs_guards());
    utsname kernel{};
    ::uname(&kernel);
    int major = 0, minor = 0;
    BOOST_REQUIRE(std::sscanf(kernel.release, "%d.%d", &major, &minor) == 2);
    if (major < 6 || (major == 6 && minor < 13)) BOOST_TEST(!installed);
    if (emulated()) BOOST_TEST(!installed);
    BOOST_TEST_MESSAGE("guards by " << (installed ? "MADV_GUARD_INSTALL" : "mprotect"));
}

std::ptrdiff_t mappings() {
    std::ifstream file{"/proc/self/maps"};
    return std::count(std::istreambuf_iterator<char>{file}, {}, '\n');
}

BOOST_AUTO_TEST_CASE(installed_guards_cost_no_mappings) {
    if (weft::guards() != weft::guard_method::install) return;
    const guarded_stack g{16 * 1024};
    std::vector<stack> stacks(500);
    const std::ptrdiff_t before = mappings();
    for (stack& s : stacks) s = g.allocate();
    BOOST_TEST(mappings() - before < 20);
    for (const stack& s : stacks) g.deallocate(s);
}

// From here on this process and what it becomes get `answer` (0 or an errno) for this system call, if its third argument
// is one of the two, and nothing is done.
bool forbid(unsigned int call, unsigned int third, unsigned int or_third, unsigned int answer) {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, third, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, or_third, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}
bool forbid_installed_guards(unsigned int answer) {
    return forbid(SYS_madvise, guard_install, guard_install, answer);
}
constexpr int no_filters = 77;

// All tests of this file again, in a process whose kernel is too old (EINVAL), or only pretends (0).
BOOST_AUTO_TEST_CASE(all_of_this_holds_with_protected_guards) {
    if (weft::guards() != weft::guard_method::install) return; // then it is what the other tests have tested
    for (const int answer : {EINVAL, 0}) {
        const auto end = in_child([=] {
            if (!forbid_installed_guards(static_cast<unsigned int>(answer))) return no_filters;
            ::dup2(STDERR_FILENO, STDOUT_FILENO);
            ::setenv("WEFT_TEST_PROTECTED", "1", 1);
            ::execl("/proc/self/exe", "unit_stack", "--color_output=no",
                    "--run_test=!guard_pages/all_of_this_holds_with_protected_guards", static_cast<char*>(nullptr));
            return 126;
        });
        if (end.code == no_filters) {
            BOOST_TEST_MESSAGE("not tested: system calls cannot be filtered here");
            return;
        }
        BOOST_TEST_CONTEXT("madvise answers " << answer) BOOST_TEST(end.code == 0, end);
    }
}

BOOST_AUTO_TEST_CASE(a_kernel_that_only_pretends_is_not_trusted) {
    if (std::getenv("WEFT_TEST_PROTECTED")) BOOST_TEST((weft::guards() == weft::guard_method::protect));
}

// By MADV_DONTNEED_LOCKED, of Linux 5.18; emulators answer 0 and do nothing.
bool locked_memory_can_be_dropped() {
    constexpr int dontneed_locked = 24;
    const std::size_t page = weft::page_size();
    auto* const memory = static_cast<std::byte*>(
        ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    touch(memory);
    const bool dropped = ::mlock(memory, page) == 0 && ::madvise(memory, page, dontneed_locked) == 0 &&
                         *static_cast<volatile std::byte*>(memory) == std::byte{0};
    ::munmap(memory, page);
    return dropped;
}

// Stacks, in use and used before, whose guards were made when the kernel gave other answers.
class mixed_stacks {
public:
    mixed_stacks() {
        take(20);
        give_back(10);
    }

    /// Does the kernel say that the guards fault, and that every byte is there and, at first, empty?
    bool sound() {
        for (const stack& s : in_use_)
            if (!faults(lowest(s) - weft::page_size()) || !faults(lowest(s) - 1) || faults(lowest(s))) return false;
        for (std::byte* const memory : own_)
            if (!faults(memory - 1)) return false;
        return clean_;
    }
    void take(std::size_t count) {
        for (; count != 0; --count) {
            in_use_.push_back(pool_.allocate());
            clean_ &= !empties_ || std::all_of(lowest(in_use_.back()), static_cast<std::byte*>(in_use_.back().sp),
                                               [](std::byte b) { return b == std::byte{0}; });
            std::fill(lowest(in_use_.back()), static_cast<std::byte*>(in_use_.back().sp), std::byte{1});
            own_.push_back(lowest(guarded_.allocate()));
        }
    }
    /// From both ends.
    void give_back(std::size_t count) {
        for (; count != 0; --count) {
            const auto which = count % 2 ? in_use_.begin() : in_use_.end() - 1;
            pool_.deallocate(*which);
            closed_.push_back(lowest(*which));
            in_use_.erase(which);
        }
        for (const std::byte* memory : closed_) clean_ &= faults(memory);
        closed_.clear();
    }
    std::size_t in_use() const { return in_use_.size(); }

private:
    bool faults(const void* address) const {
        char byte;
        const bool refused = ::write(ends_[1], address, 1) == -1 && errno == EFAULT;
        return refused || ::read(ends_[0], &byte, 1) != 1;
    }

    stack_pool pool_{16 * 1024, 0};
    guarded_stack guarded_{16 * 1024};
    std::vector<stack> in_use_;
    std::vector<std::byte*> own_, closed_;
    bool clean_ = true;
    bool empties_ = locked_memory_can_be_dropped();
    int ends_[2] = {-1, -1};
    [[maybe_unused]] int piped_ = ::pipe(ends_);
};

BOOST_AUTO_TEST_CASE(memory_that_is_locked_has_guards_too) {
    constexpr int not_allowed = 77;
    const auto end = in_child([] {
        mixed_stacks stacks;
        if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return not_allowed;
        for (int round = 0; round < 3; ++round) {
            if (!stacks.sound()) return 1 + 10 * round;
            stacks.give_back(5); // what was made unlocked
            stacks.take(300);
            if (!stacks.sound()) return 2 + 10 * round;
            stacks.give_back(250);
            stacks.take(150);
            if (!stacks.sound()) return 3 + 10 * round;
            if (round == 0) ::munlockall();
            if (round == 1) ::mlockall(MCL_CURRENT); // this time what there is alone
        }
        weft::fiber f{[](weft::fiber_ref self) { self.suspend(); }};
        f.resume();
        return stacks.in_use() == 10 + 3 * 195 ? 0 : 4;
    });
    if (end.code != not_allowed) BOOST_TEST(end.code == 0, end);
}

// In a process that locks whatever it maps from its first stack on: that is no property of the kernel.
BOOST_AUTO_TEST_CASE(a_process_that_locks_its_memory_learns_what_the_kernel_can_do) {
    if (!std::getenv("WEFT_TEST_LOCKED")) {
        const bool installed = weft::guards() == weft::guard_method::install;
        const auto end = in_child([=] {
            ::setenv("WEFT_TEST_LOCKED", installed ? "install" : "protect", 1);
            ::dup2(STDERR_FILENO, STDOUT_FILENO);
            ::execl("/proc/self/exe", "unit_stack", "--color_output=no",
                    "--run_test=guard_pages/a_process_that_locks_its_memory_learns_what_the_kernel_can_do",
                    static_cast<char*>(nullptr));
            return 126;
        });
        if (!emulated()) BOOST_TEST(end.code == 0, end);
        return;
    }
    if (::mlockall(MCL_FUTURE) != 0) return;
    BOOST_TEST((weft::guards() == weft::guard_method::install) == !std::strcmp(std::getenv("WEFT_TEST_LOCKED"), "install"));
    mixed_stacks stacks;
    BOOST_TEST(stacks.sound());
}

// How much may be locked is a limit of its own.
BOOST_AUTO_TEST_CASE(as_many_stacks_are_locked_as_may_be) {
    constexpr int not_allowed = 77;
    const auto end = in_child([] {
        const rlimit limit{8 * 1024 * 1024, 8 * 1024 * 1024};
        if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || ::mlockall(MCL_FUTURE) != 0) return not_allowed;
        if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return not_allowed; // whom no limit binds
        std::size_t count = 0;
        std::string said;
        stack_pool pool{64 * 1024};
        try {
            for (; count < 1000; ++count) static_cast<void>(pool.allocate());
        } catch (const weft::stack_exhausted& e) {
            said = e.what();
        }
        std::fprintf(stderr, "%zu stacks; %s\n", count, said.c_str());
        if (count == 1000) return not_allowed; // an emulator, or a sanitizer
        if (emulated()) return count >= 40 ? not_allowed : 1; // it says that there is no memory
        return count >= 40 && contains(said, "mlockall") && contains(said, "ulimit -l") ? 0 : 1;
    });
    if (end.code != not_allowed) BOOST_TEST(end.code == 0, end);
}

// What the kernel allowed a moment ago a filter may forbid.
BOOST_AUTO_TEST_CASE(a_filter_that_comes_later) {
    if (weft::guards() != weft::guard_method::install) return;
    for (const int answer : {EPERM, ENOSYS, EINVAL, ENOMEM})
        for (const bool also_removal : {false, true}) {
            const auto end = in_child([=] {
                mixed_stacks stacks;
                const int remove = guard_install + 1;
                if (!forbid(SYS_madvise, guard_install, also_removal ? remove : guard_install,
                            static_cast<unsigned int>(answer)))
                    return no_filters;
                if (!stacks.sound()) return 1;
                stacks.take(100);
                if (!stacks.sound()) return 2;
                stacks.give_back(60);
                stacks.take(100);
                if (!stacks.sound()) return 3;
                weft::fiber f{[](weft::fiber_ref self) { self.suspend(); }};
                f.resume();
                return 0;
            });
            BOOST_TEST_CONTEXT("madvise answers " << answer) BOOST_TEST((end.code == 0 || end.code == no_filters), end);
        }
}

// Where no way is left there is no stack, rather than one without its guard.
BOOST_AUTO_TEST_CASE(no_guard_no_stack) {
    const auto end = in_child([] {
        stack_pool pool{16 * 1024};
        const guarded_stack own{16 * 1024};
        if (!forbid(SYS_madvise, guard_install, guard_install, EPERM) || !forbid(SYS_mprotect, PROT_NONE, PROT_NONE, EPERM))
            return no_filters;
        int refused = 0;
        for (int n = 0; n < 3; ++n)
            for (const bool pooled : {false, true}) try {
                    static_cast<void>(pooled ? pool.allocate() : own.allocate());
                } catch (const weft::stack_exhausted& e) {
                    refused += contains(e.what(), "forbids");
                }
        return refused == 6 && pool.idle() == 0 ? 0 : 1;
    });
    BOOST_TEST((end.code == 0 || end.code == no_filters), end);
}

// The way to make guards is found out with no descriptor free, in a process that has not made one yet.
BOOST_AUTO_TEST_CASE(no_descriptor_is_free) {
    if (!std::getenv("WEFT_TEST_DESCRIPTORS")) {
        const bool installed = weft::guards() == weft::guard_method::install;
        const auto end = in_child([=] {
            ::setenv("WEFT_TEST_DESCRIPTORS", installed ? "install" : "protect", 1);
            ::dup2(STDERR_FILENO, STDOUT_FILENO);
            ::execl("/proc/self/exe", "unit_stack", "--color_output=no", "--run_test=guard_pages/no_descriptor_is_free",
                    static_cast<char*>(nullptr));
            return 126;
        });
        if (!emulated()) BOOST_TEST(end.code == 0, end);
        return;
    }
    rlimit enough; // for LeakSanitizer, at the end
    BOOST_REQUIRE(::getrlimit(RLIMIT_NOFILE, &enough) == 0);
    const rlimit few{16, enough.rlim_max};
    BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    while (::dup(STDERR_FILENO) != -1) {}
    BOOST_TEST((weft::guards() == weft::guard_method::install) ==
               !std::strcmp(std::getenv("WEFT_TEST_DESCRIPTORS"), "install"));
    BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &enough) == 0);
}

// Nor is it taken for known when the question is forbidden.
BOOST_AUTO_TEST_CASE(a_question_that_is_forbidden_is_asked_again) {
    if (!std::getenv("WEFT_TEST_QUESTION")) {
        const auto end = in_child([=] {
            ::setenv("WEFT_TEST_QUESTION", "1", 1);
            ::dup2(STDERR_FILENO, STDOUT_FILENO);
            ::execl("/proc/self/exe", "unit_stack", "--color_output=no",
                    "--run_test=guard_pages/a_question_that_is_forbidden_is_asked_again", static_cast<char*>(nullptr));
            return 126;
        });
        if (!emulated()) BOOST_TEST(end.code == 0, end);
        return;
    }
    rlimit all{};
    BOOST_REQUIRE(::getrlimit(RLIMIT_AS, &all) == 0);
    const rlimit none{4096, all.rlim_max};
    BOOST_REQUIRE(::setrlimit(RLIMIT_AS, &none) == 0); // no page to try it on
    const weft::guard_method for_now = weft::guards();
    BOOST_REQUIRE(::setrlimit(RLIMIT_AS, &all) == 0);
    BOOST_TEST((for_now == weft::guard_method::protect));
    BOOST_TEST((weft::guards() == weft::guard_method::install) == kernel_installs_guards());
}
#endif

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(exhaustion)

static_assert(std::is_base_of_v<std::bad_alloc, weft::stack_exhausted>);

// What stack_exhausted says; it is caught as what any program expects when memory is used up.
template <class Fn>
std::string complaint(Fn fn) {
    try {
        fn();
    } catch (const std::bad_alloc& e) {
        return dynamic_cast<const weft::stack_exhausted*>(&e) ? e.what() : "another bad_alloc";
    }
    return {};
}

bool names_the_limits(const std::string& said) {
    std::ifstream file{"/proc/sys/vm/max_map_count"};
    std::string limit;
    if (file >> limit && !contains(said, "vm.max_map_count is " + limit)) return false;
    return said.starts_with("weft: ") && contains(said, "address space") && contains(said, "number of mappings");
}

BOOST_AUTO_TEST_CASE(more_than_there_is) {
    constexpr std::size_t wanted = std::size_t{1} << 60;
    const std::string said = complaint([] { static_cast<void>(guarded_stack{wanted}.allocate()); });
    BOOST_TEST(names_the_limits(said), said);
    BOOST_TEST(contains(said, std::to_string(wanted + weft::page_size())));
    BOOST_TEST(contains(said, "errno " + std::to_string(ENOMEM)));

    stack_pool pool{wanted};
    BOOST_TEST(names_the_limits(complaint([&] { static_cast<void>(pool.allocate()); })));
    BOOST_TEST(names_the_limits(complaint([&] { weft::fiber{std::allocator_arg, pool.allocator(), [] {}}; })));
    BOOST_TEST(pool.idle() == 0u);
}

#if defined(__linux__) && !WEFT_ASAN && !WEFT_TSAN // whose own libraries need mappings, too
// In pages; 0 where the system does not tell.
std::size_t mapped_by_this_process() {
    std::ifstream file{"/proc/self/statm"};
    std::size_t pages = 0;
    file >> pages;
    return pages;
}

// Takes stacks until there are no more, twice. 0: every one had its guard, as many could be had the second time, and
// the attempts that failed have left nothing behind.
int use_up(std::size_t size, std::size_t at_least) {
    const guarded_stack g{size};
    std::vector<stack> stacks;
    stacks.reserve(200000);
    std::size_t first = 0, mapped = 0;
    for (int round = 0; round < 2; ++round) {
        const std::string said = complaint([&] {
            while (stacks.size() < stacks.capacity()) stacks.push_back(g.allocate());
        });
        std::fprintf(stderr, "%zu stacks; %s\n", stacks.size(), said.c_str());
        if (!names_the_limits(said)) return 1;
        if (stacks.size() < at_least) return 2;
        if (round == 1 && stacks.size() + 4 < first) return 3;
        first = stacks.size();
        if (round == 1)
            for (int n = 0; n < 1000; ++n)
                if (complaint([&] { stacks.push_back(g.allocate()); }).empty() && stacks.size() > first + 4) return 4;
        const stack last = stacks.back();
        const stack some = stacks[first / 2];
        for (const stack& s : stacks)
            if (s.sp != last.sp && s.sp != some.sp) g.deallocate(s);
        if (!write_faults(lowest(last) - 1) || !write_faults(lowest(some) - 1)) return 5;
        g.deallocate(last);
        g.deallocate(some);
        stacks.clear();
        if (round == 1 && mapped_by_this_process() > mapped + 1000) return 6;
        mapped = mapped_by_this_process();
    }
    return 0;
}

BOOST_AUTO_TEST_CASE(the_address_space_is_used_up) {
    constexpr int no_limit = 77;
    const auto end = in_child([] {
        const std::size_t pages = mapped_by_this_process();
        const rlimit limit{pages * weft::page_size() + 64 * 1024 * 1024, RLIM_INFINITY};
        rlimit now{};
        if (!pages || ::setrlimit(RLIMIT_AS, &limit) != 0 || ::getrlimit(RLIMIT_AS, &now) != 0 ||
            now.rlim_cur != limit.rlim_cur)
            return no_limit; // an emulator keeps this limit from its guests
        return use_up(64 * 1024, 100);
    });
    if (end.code != no_limit) BOOST_TEST(end.code == 0, end);
}

BOOST_AUTO_TEST_CASE(a_pool_uses_what_address_space_there_is) {
    constexpr int no_limit = 77;
    const auto end = in_child([] {
        const std::size_t pages = mapped_by_this_process();
        const rlimit limit{pages * weft::page_size() + 48 * 1024 * 1024, RLIM_INFINITY};
        rlimit now{};
        if (!pages || ::setrlimit(RLIMIT_AS, &limit) != 0 || ::getrlimit(RLIMIT_AS, &now) != 0 ||
            now.rlim_cur != limit.rlim_cur)
            return no_limit;
        stack_pool pool{64 * 1024};
        std::vector<stack> stacks;
        stacks.reserve(10000);
        std::size_t first = 0;
        for (int round = 0; round < 2; ++round) {
            const std::string said = complaint([&] {
                while (stacks.size() < stacks.capacity()) stacks.push_back(pool.allocate());
            });
            std::fprintf(stderr, "%zu stacks; %s\n", stacks.size(), said.c_str());
            if (!names_the_limits(said)) return 1;
            if (stacks.size() < 600) return 2; // of 72 KiB, in 48 MiB
            if (round == 1 && stacks.size() < first) return 3;
            first = stacks.size();
            for (const stack& s : stacks) pool.deallocate(s);
            stacks.clear();
            pool.trim();
        }
        return 0;
    });
    if (end.code != no_limit) BOOST_TEST(end.code == 0, end);
}

// The heap, too: whatever it is that a fiber is made of, its lack is told in the same way.
BOOST_AUTO_TEST_CASE(no_memory_is_left) {
    constexpr int no_limit = 77;
    const auto end = in_child([] {
        struct cell {
            cell* next;
        };
        for (const bool used_before : {false, true}) {
            if (used_before) weft::fiber{[] {}}.resume();
            const std::size_t pages = mapped_by_this_process();
            const rlimit limit{pages * weft::page_size(), RLIM_INFINITY};
            rlimit now{};
            if (!pages || ::setrlimit(RLIMIT_AS, &limit) != 0 || ::getrlimit(RLIMIT_AS, &now) != 0 ||
                now.rlim_cur != limit.rlim_cur)
                return no_limit;
            cell* all = nullptr;
            for (std::size_t size = 4096; size >= sizeof(cell); size /= 2)
                while (void* const memory = std::malloc(size)) all = new (memory) cell{all};
            std::array<std::string, 2> said;
            said[0] = complaint([&] {
                weft::fiber fibers[40];
                for (weft::fiber& f : fibers) f = weft::fiber{[] {}};
            });
            said[1] = complaint([] { stack_pool pool; });
            while (all) std::free(std::exchange(all, all->next));
            const rlimit enough{RLIM_INFINITY, RLIM_INFINITY};
            ::setrlimit(RLIMIT_AS, &enough);
            for (const std::string& each : said) std::fprintf(stderr, "%s\n", each.c_str());
            if (!names_the_limits(said[0]) || !names_the_limits(said[1])) return 1 + used_before;
            int ran = 0;
            weft::fiber{[&] { ++ran; }}.resume();
            if (ran != 1) return 3;
        }
        return 0;
    });
    if (end.code != no_limit) BOOST_TEST(end.code == 0, end);
}

// With protected guards every stack is two mappings.
BOOST_AUTO_TEST_CASE(the_mappings_are_used_up) {
    std::ifstream file{"/proc/sys/vm/max_map_count"};
    std::size_t limit = 0;
    if (weft::guards() != weft::guard_method::protect || !(file >> limit) || limit > 200000) return;
    const auto end = in_child([] { return use_up(weft::page_size(), 1000); });
    BOOST_TEST(end.code == 0, end);
}
#endif

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(pools)

static_assert(!std::is_copy_constructible_v<stack_pool> && !std::is_move_constructible_v<stack_pool>);

BOOST_AUTO_TEST_CASE(the_stack_that_came_back_last_goes_out_first) {
    stack_pool pool{16 * 1024};
    const stack a = pool.allocate(), b = pool.allocate(), c = pool.allocate();
    BOOST_TEST(pool.idle() == 0u);
    pool.deallocate(b);
    pool.deallocate(c);
    pool.deallocate(a);
    BOOST_TEST(pool.idle() == 3u);
    const auto allocator = pool.allocator();
    for (const stack& expected : {a, c, b}) {
        const stack s = allocator.allocate();
        BOOST_TEST(s.sp == expected.sp);
        BOOST_TEST(s.size == expected.size);
    }
    BOOST_TEST(pool.idle() == 0u);
    for (const stack& s : {a, b, c}) allocator.deallocate(s);
}

BOOST_AUTO_TEST_CASE(what_is_beyond_the_retained_number_goes_back_at_once) {
    stack_pool pool{16 * 1024, 2};
    std::vector<stack> stacks;
    for (int n = 0; n < 5; ++n) stacks.push_back(pool.allocate());
    for (const stack& s : stacks) pool.deallocate(s);
    BOOST_TEST(pool.idle() == 2u);
    for (std::size_t n = 0; n < 5; ++n) BOOST_TEST(read_faults(static_cast<std::byte*>(stacks[n].sp) - 1) == (n >= 2));

    stack_pool keeps_none{16 * 1024, 0};
    const stack s = keeps_none.allocate();
    keeps_none.deallocate(s);
    BOOST_TEST(keeps_none.idle() == 0u);
    BOOST_TEST(read_faults(static_cast<std::byte*>(s.sp) - 1));
}

BOOST_AUTO_TEST_CASE(trim_and_the_destructor_give_all_back) {
    stack a, b, c;
    {
        stack_pool pool{16 * 1024};
        a = pool.allocate(), b = pool.allocate(), c = pool.allocate();
        pool.deallocate(a);
        pool.deallocate(b);
        pool.trim();
        BOOST_TEST(pool.idle() == 0u);
        BOOST_TEST(read_faults(static_cast<std::byte*>(a.sp) - 1));
        BOOST_TEST(read_faults(static_cast<std::byte*>(b.sp) - 1));
        pool.trim(); // nothing to do
        pool.deallocate(c);
        BOOST_TEST(pool.idle() == 1u);
        BOOST_TEST(!read_faults(static_cast<std::byte*>(c.sp) - 1));
    }
    BOOST_TEST(read_faults(static_cast<std::byte*>(c.sp) - 1));
}

// Four threads take stacks and give them back, two each; nobody may find his stack in another one's hands. In the first
// round all eight are out at once.
int disputes(stack_pool& pool, int rounds) {
    std::atomic<int> wrong = 0;
    std::barrier all_out{4};
    std::vector<std::thread> threads;
    for (unsigned char id = 1; id <= 4; ++id)
        threads.emplace_back([&pool, &wrong, &all_out, rounds, id] {
            for (int round = 0; round < rounds; ++round) {
                std::array<stack, 2> mine;
                for (stack& s : mine) {
                    s = pool.allocate();
                    std::fill(lowest(s), lowest(s) + 16, std::byte{id});
                }
                if (round == 0) all_out.arrive_and_wait();
                if (round % 16 == 0) std::this_thread::yield();
                for (const stack& s : mine) {
                    wrong += !std::all_of(lowest(s), lowest(s) + 16, [=](std::byte b) { return b == std::byte{id}; });
                    pool.deallocate(s);
                }
            }
        });
    for (std::thread& t : threads) t.join();
    return wrong;
}

BOOST_AUTO_TEST_CASE(many_threads) {
    stack_pool enough{16 * 1024, 64};
    BOOST_TEST(disputes(enough, 20000) == 0);
    BOOST_TEST(enough.idle() == 8u);
    stack_pool too_few{16 * 1024, 3};
    BOOST_TEST(disputes(too_few, 500) == 0);
    BOOST_TEST(too_few.idle() == 3u);
}

BOOST_AUTO_TEST_CASE(a_stack_may_come_back_on_another_thread) {
    stack_pool pool{64 * 1024};
    std::vector<weft::fiber> fibers;
    for (int n = 0; n < 20; ++n)
        fibers.emplace_back(std::allocator_arg, pool.allocator(), [](weft::fiber_ref self) { self.suspend(); });
    for (weft::fiber& f : fibers) f.resume();
    std::thread{[&] { fibers.clear(); }}.join();
    BOOST_TEST(pool.idle() == 20u);
    const stack s = pool.allocate();
    std::thread{[&] { pool.deallocate(s); }}.join();
    BOOST_TEST(pool.idle() == 20u);
}

// The tops of neighbours begin in different cache lines, or the first cache could not hold a hundred of them.
BOOST_AUTO_TEST_CASE(tops_are_spread_over_the_cache) {
    stack_pool pool;
    std::vector<stack> stacks;
    std::map<std::uintptr_t, int> tenants; // of each place in a page
    for (int n = 0; n < 160; ++n) {
        stacks.push_back(pool.allocate());
        ++tenants[reinterpret_cast<std::uintptr_t>(stacks.back().sp) % 4096];
    }
    for (const stack& s : stacks) pool.deallocate(s);
    BOOST_TEST(tenants.size() == 16u);
    for (const auto& [place, count] : tenants) BOOST_TEST(count <= 20);
}

// And their pages in different sets of the caches of translations, whatever size is asked for: no two of those that lie in
// one mapping are as far apart as a power of two of pages.
BOOST_AUTO_TEST_CASE(tops_are_spread_over_the_translations) {
    const std::size_t page = weft::page_size();
    for (std::size_t pages = 1; pages <= 256; pages += pages < 16 ? 1 : 15) {
        stack_pool pool{std::max(pages * page, weft::minimum_stack_size)};
        std::vector<stack> stacks;
        std::vector<std::size_t> tops; // in pages
        for (int n = 0; n < 100; ++n) {
            stacks.push_back(pool.allocate());
            tops.push_back((reinterpret_cast<std::uintptr_t>(stacks.back().sp) - 1) / page);
        }
        std::sort(tops.begin(), tops.end());
        std::size_t nearest = tops.back();
        for (std::size_t n = 1; n < tops.size(); ++n) nearest = std::min(nearest, tops[n] - tops[n - 1]);
        BOOST_TEST_CONTEXT(pages << " pages") {
            BOOST_TEST(nearest % 2 == 1u);
            BOOST_TEST(nearest <= pages + 3);
        }
        for (const stack& s : stacks) pool.deallocate(s);
    }
}

// Four stacks of the default size take one page of the page tables' lowest level.
BOOST_AUTO_TEST_CASE(four_stacks_share_two_mib) {
    if (WEFT_ASAN || sizeof(void*) < 8 || weft::page_size() >= 65536) return;
    stack_pool pool;
    std::vector<std::uintptr_t> tops;
    std::vector<stack> stacks;
    for (int n = 0; n < 64; ++n) {
        stacks.push_back(pool.allocate());
        tops.push_back(reinterpret_cast<std::uintptr_t>(stacks.back().sp));
    }
    std::sort(tops.begin(), tops.end());
    std::uintptr_t nearest = tops.back();
    for (std::size_t n = 4; n < tops.size(); ++n) nearest = std::min(nearest, tops[n] - tops[n - 4]);
    BOOST_TEST(nearest <= 2u * 1024 * 1024);
    for (const stack& s : stacks) pool.deallocate(s);
}

#if defined(__linux__) && !WEFT_ASAN && !WEFT_TSAN // which map memory of their own meanwhile
std::size_t mappings_of_this_process() {
    std::ifstream file{"/proc/self/maps"};
    return static_cast<std::size_t>(
        std::count(std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}, '\n'));
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_stacks_are_a_handful_of_mappings) {
    if (weft::guards() != weft::guard_method::install) return;
    stack_pool pool{16 * 1024};
    const std::size_t before = mappings_of_this_process();
    std::vector<stack> stacks;
    for (int n = 0; n < 100000; ++n) stacks.push_back(pool.allocate());
    const std::size_t with_them = mappings_of_this_process();
    BOOST_TEST(with_them <= before + 20, with_them << " mappings, " << before << " without the stacks");
    BOOST_TEST(write_faults(lowest(stacks[77777]) - weft::page_size()));
    for (const stack& s : stacks) pool.deallocate(s);
    pool.trim();
    BOOST_TEST(mappings_of_this_process() <= before + 2);
}
#endif

BOOST_AUTO_TEST_CASE(what_was_given_back_can_be_had_again) {
    stack_pool pool{16 * 1024, 0};
    const stack kept = pool.allocate(); // so that its arena stays
    for (int round = 0; round < 3; ++round) {
        const stack s = pool.allocate();
        BOOST_TEST(!read_faults(lowest(s)));
        BOOST_TEST(write_faults(lowest(s) - weft::page_size()));
        BOOST_TEST((static_cast<std::byte*>(s.sp)[-1] == std::byte{0})); // the system's memory, not a former fiber's
        static_cast<std::byte*>(s.sp)[-1] = std::byte{1};
        pool.deallocate(s);
        pool.trim();
        BOOST_TEST(read_faults(static_cast<std::byte*>(s.sp) - 1));
        BOOST_TEST(!read_faults(static_cast<std::byte*>(kept.sp) - 1));
    }
    pool.deallocate(kept);
}

// Of the process-wide pool each thread keeps some stacks for itself.
BOOST_AUTO_TEST_CASE(a_thread_keeps_the_stacks_it_uses) {
    std::thread{[] {
        const weft::default_stack_allocator allocator;
        std::vector<stack> stacks;
        for (int n = 0; n < 5; ++n) stacks.push_back(allocator.allocate());
        const std::size_t idle = stack_pool::process().idle();
        for (const stack& s : stacks) allocator.deallocate(s);
        BOOST_TEST(stack_pool::process().idle() == idle + 5);
        std::size_t seen_elsewhere = 0;
        std::thread{[&] { seen_elsewhere = stack_pool::process().idle(); }}.join();
        BOOST_TEST(seen_elsewhere <= idle); // they are this thread's
        const stack again = allocator.allocate();
        BOOST_TEST(again.sp == stacks.back().sp);
        allocator.deallocate(again);
        stack_pool::process().trim();
        BOOST_TEST(stack_pool::process().idle() == 0u);
        BOOST_TEST(read_faults(static_cast<std::byte*>(again.sp) - 1));
    }}.join();
}

BOOST_AUTO_TEST_CASE(a_thread_that_ends_gives_its_stacks_to_the_others) {
    stack_pool::process().trim();
    std::thread{[] {
        static thread_local weft::fiber ends_after_the_magazine; // older than that, so destroyed later
        ends_after_the_magazine = weft::fiber{};
        std::vector<weft::fiber> fibers(40);
        for (weft::fiber& f : fibers) f = weft::fiber{[] {}};
        ends_after_the_magazine = std::move(fibers.back());
    }}.join();
    BOOST_TEST(stack_pool::process().idle() == 40u);
    stack_pool::process().trim();
    BOOST_TEST(stack_pool::process().idle() == 0u);
}

// More come back on a thread than it keeps for itself.
BOOST_AUTO_TEST_CASE(fibers_made_here_and_ended_there) {
    stack_pool::process().trim();
    for (int round = 0; round < 10; ++round) {
        std::vector<weft::fiber> fibers(100);
        for (weft::fiber& f : fibers) f = weft::fiber{[] {}};
        std::thread{[&] { fibers.clear(); }}.join();
    }
    BOOST_TEST(stack_pool::process().idle() == 100u);
}

#if !WEFT_TSAN // which does not follow threads into a child
// While other threads take and give back, one of them forks: no lock is held for ever in the child, and its fibers run.
BOOST_AUTO_TEST_CASE(a_child_process_may_go_on_with_fibers) {
    stack_pool pool{16 * 1024};
    std::atomic<bool> stop = false;
    std::vector<std::thread> busy;
    for (int t = 0; t < 3; ++t)
        busy.emplace_back([&] {
            while (!stop) {
                weft::fiber a{[] {}}, b{std::allocator_arg, pool.allocator(), [] {}};
                std::array<weft::fiber, 20> many;
                for (weft::fiber& f : many) f = weft::fiber{[] {}};
                a.resume();
                b.resume();
            }
        });
    int bad = 0;
    for (int n = 0; n < 50; ++n) {
        int ran = 0;
        weft::fiber here{[&](weft::fiber_ref self) {
            self.suspend();
            ++ran;
        }};
        here.resume();
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(20);
            here.resume();
            std::array<weft::fiber, 40> more;
            for (weft::fiber& f : more) f = weft::fiber{[&] { ++ran; }};
            for (weft::fiber& f : more) f.resume();
            weft::fiber other{std::allocator_arg, pool.allocator(), [&] { ++ran; }};
            other.resume();
            ::_exit(ran == 42 ? 0 : 1);
        }
        int status = -1;
        bad += child == -1 || ::waitpid(child, &status, 0) != child || status != 0;
    }
    stop = true;
    for (std::thread& t : busy) t.join();
    BOOST_TEST(bad == 0);
}
#endif

// Older than the pool it will be using, so it is destroyed later than anything the pool could have registered.
weft::fiber in_static_storage;

struct report_at_the_end {
    ~report_at_the_end() {
        std::fprintf(stderr, "unwound; the pool keeps %zu stacks", stack_pool::process().idle());
    }
};

BOOST_AUTO_TEST_CASE(the_process_wide_pool_outlives_static_storage) {
    const auto end = in_child([]() -> int {
        {
            std::array<weft::fiber, 3> fill;
            for (weft::fiber& f : fill) f = weft::fiber{[] {}};
            in_static_storage = weft::fiber{[](weft::fiber_ref self) {
                const report_at_the_end last_words;
                self.suspend();
            }};
        }
        const std::size_t idle = stack_pool::process().idle();
        in_static_storage.resume();
        std::fprintf(stderr, "%zu before; ", idle);
        std::exit(7);
    });
    BOOST_TEST(end.code == 7, end);
    const std::size_t number = end.said.find_first_of("0123456789");
    BOOST_REQUIRE(number != std::string::npos);
    const std::string idle = std::to_string(std::stoul(end.said.substr(number)));
    BOOST_TEST(end.said == idle + " before; unwound; the pool keeps " + idle + " stacks", end);
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(sizes_of_the_process)

constexpr std::size_t kib = 1024;

std::size_t stack_of(const weft::fiber& f) {
    const weft::detail::fiber_record& record = weft::detail::fiber_access::record(f);
    return record.details->operations->memory(record).size;
}

// Of a pool that was asked for `size`.
bool is_of(std::size_t stack_size, std::size_t size) {
    return stack_size >= size && stack_size <= size + weft::page_size();
}

// On this thread: through the fiber at hand, those behind it, the stacks behind these, and the pool.
bool fibers_have(std::size_t size) {
    std::vector<weft::fiber> fibers(60);
    for (weft::fiber& f : fibers) {
        f = weft::fiber{[] {}};
        if (!is_of(stack_of(f), size)) return false;
    }
    for (weft::fiber& f : fibers) f.resume();
    return is_of(stack_pool::process().allocate().size, size);
}

BOOST_AUTO_TEST_CASE(all_stacks_that_are_taken_after_a_change_have_the_new_size) {
    const auto end = in_child([] {
        const std::size_t built_in = weft::default_stack_size();
        if (!fibers_have(built_in)) return 1;
        weft::fiber across{[](weft::fiber_ref self) { self.suspend(); }};
        across.resume();
        stack_pool& before = stack_pool::process();
        for (const std::size_t size : {64 * kib, 1024 * kib, 64 * kib, built_in}) {
            stack_pool& old = stack_pool::process();
            weft::set_default_stack_size(size);
            if (old.idle() != 0) return 7;
            if (weft::default_stack_size() != size) return 2;
            if (!fibers_have(size) || !fibers_have(size)) return 3;
            if (guarded_stack{}.allocate().size != size) return 4;
        }
        if (&before != &stack_pool::process()) return 5;
        return is_of(stack_of(across), built_in) ? 0 : 6;
    });
    BOOST_TEST(end.code == 0, end);
}

// Fibers that end after the change are not made into new ones, whichever way they end, and their stacks go home.
BOOST_AUTO_TEST_CASE(what_ends_after_a_change_is_not_used_again) {
    const auto end = in_child([] {
        stack_pool& before = stack_pool::process();
        std::vector<weft::fiber> fibers(60);
        for (weft::fiber& f : fibers) f = weft::fiber{[] {}};
        weft::set_default_stack_size(64 * kib);
        for (std::size_t n = 0; n < fibers.size(); ++n) {
            if (n % 2) fibers[n].resume();
            fibers[n] = {};
            weft::fiber next{[] {}};
            if (!is_of(stack_of(next), 64 * kib)) return 1;
            next.resume();
        }
        if (!fibers_have(64 * kib)) return 2;
        before.trim();
        if (before.idle() != 0) return 3;
        stack_pool::process().trim();
        return stack_pool::process().idle() == 0 ? 0 : 4;
    });
    BOOST_TEST(end.code == 0, end);
}

// Other threads keep fibers and stacks that the one which changes the default does not see.
BOOST_AUTO_TEST_CASE(threads_that_keep_stacks_learn_of_a_change) {
    const auto end = in_child([] {
        std::atomic<int> wrong = 0;
        std::array<std::size_t, 4> sizes{64 * kib, 128 * kib, 96 * kib, 64 * kib};
        std::barrier turn{4};
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t)
            threads.emplace_back([&] {
                wrong += !fibers_have(weft::default_stack_size());
                for (const std::size_t size : sizes) {
                    {
                        weft::fiber at_hand{[] {}};
                        at_hand.resume();
                    }
                    weft::fiber across{[] {}};
                    across.resume();
                    turn.arrive_and_wait();
                    turn.arrive_and_wait(); // changed
                    across = {};
                    wrong += !is_of(stack_of(weft::fiber{[] {}}), size);
                    wrong += !fibers_have(size);
                }
            });
        for (const std::size_t size : sizes) {
            turn.arrive_and_wait();
            weft::set_default_stack_size(size);
            turn.arrive_and_wait();
        }
        for (std::thread& t : threads) t.join();
        std::thread{[&] { wrong += !fibers_have(sizes.back()); }}.join(); // one that was not there yet
        return wrong.load();
    });
    BOOST_TEST(end.code == 0, end);
}

// A thread that begins to keep fibers after the change, with some of the size of before.
BOOST_AUTO_TEST_CASE(a_thread_that_comes_later_ends_fibers_of_before) {
    const auto end = in_child([] {
        std::vector<weft::fiber> fibers(10);
        for (weft::fiber& f : fibers) {
            f = weft::fiber{[] {}};
            f.resume();
        }
        weft::set_default_stack_size(64 * kib);
        bool right = true;
        std::thread{[&] {
            for (weft::fiber& f : fibers) {
                f = {};
                right &= is_of(stack_of(weft::fiber{[] {}}), 64 * kib);
            }
            right &= fibers_have(64 * kib);
        }}.join();
        return right ? 0 : 1;
    });
    BOOST_TEST(end.code == 0, end);
}

#if !WEFT_TSAN // which does not follow threads into a child
BOOST_AUTO_TEST_CASE(changes_while_others_make_and_end_fibers_and_fork) {
    const auto end = in_child([] {
        weft::set_default_stack_size(64 * kib);
        std::atomic<bool> stop = false;
        std::atomic<int> wrong = 0;
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t)
            threads.emplace_back([&, t] {
                while (!stop) {
                    std::array<weft::fiber, 20> fibers;
                    for (weft::fiber& f : fibers) {
                        f = weft::fiber{[] {}};
                        wrong += !is_of(stack_of(f), 64 * kib) && !is_of(stack_of(f), 96 * kib);
                    }
                    for (weft::fiber& f : fibers) f.resume();
                    if (t == 0) std::thread{[] { weft::fiber{[] {}}.resume(); }}.join();
                }
            });
        threads.emplace_back([&] {
            for (bool larger = false; !stop; larger = !larger)
                weft::set_default_stack_size(larger ? 96 * kib : 64 * kib);
        });
        int bad = 0;
        const int forks = WEFT_ASAN ? 0 : 50; // in a child LeakSanitizer's mutex may be held for ever
        for (int n = 0; n < forks; ++n) {
            weft::fiber{[] {}}.resume();
            const pid_t child = ::fork();
            if (child == 0) {
                ::alarm(20);
                weft::set_default_stack_size(256 * kib);
                ::_exit(fibers_have(256 * kib) ? 0 : 1);
            }
            int status = -1;
            bad += child == -1 || ::waitpid(child, &status, 0) != child || status != 0;
            if (status != 0) std::fprintf(stderr, "a child ended with %d; ", status);
        }
        if (forks == 0) std::this_thread::sleep_for(std::chrono::milliseconds{200});
        stop = true;
        for (std::thread& t : threads) t.join();
        if (bad != 0) return 1;
        if (wrong != 0) return 3;
        weft::set_default_stack_size(128 * kib);
        return fibers_have(128 * kib) ? 0 : 2;
    });
    BOOST_TEST(end.code == 0, end);
}
#endif

BOOST_AUTO_TEST_CASE(a_size_that_is_refused_changes_nothing) {
    const std::size_t before = weft::default_stack_size();
    constexpr auto all = std::numeric_limits<std::size_t>::max();
    for (const std::size_t wanted :
         {std::size_t{0}, weft::minimum_stack_size - 1, all, all / 2 - weft::page_size(), all / 2 - all / 32}) {
        for (const std::string& said :
             {refusal([=] { weft::set_default_stack_size(wanted); }), refusal([=] { stack_pool::process(wanted); })}) {
            BOOST_TEST(said.starts_with("weft: "));
        }
        if (wanted) {
            const std::string said = refusal([=] { weft::fiber{weft::fiber_options{.stack_size = wanted}, [] {}}; });
            BOOST_TEST(said.starts_with("weft: "));
        }
    }
    BOOST_TEST(weft::default_stack_size() == before);
}

// However many sizes are asked for, at most four pools between a power of two and the next are made.
BOOST_AUTO_TEST_CASE(sizes_are_rounded_up_to_a_few) {
    const std::size_t page = weft::page_size();
    std::map<const stack_pool*, std::size_t> pools; // largest size that was asked of each
    for (std::size_t wanted = 64 * kib + 1; wanted <= 1024 * kib; wanted += 509) {
        stack_pool& pool = stack_pool::process(wanted);
        std::size_t& largest = pools[&pool];
        if (largest == 0) {
            const stack s = pool.allocate();
            BOOST_TEST(s.size >= wanted);
            BOOST_TEST(s.size <= wanted + std::max(wanted / 4, page) + 2 * page);
            pool.deallocate(s);
        }
        largest = wanted;
    }
    BOOST_TEST(pools.size() <= 16u + 1); // the built-in size is one of its own
    for (const std::size_t exact : {64 * kib, 80 * kib, 96 * kib, 112 * kib, 128 * kib, 512 * kib, 2048 * kib}) {
        if (exact / 4 % page != 0) continue;
        stack_pool& pool = stack_pool::process(exact);
        const stack s = pool.allocate();
        BOOST_TEST(is_of(s.size, exact));
        pool.deallocate(s);
    }
    BOOST_TEST(&stack_pool::process(weft::default_stack_size()) == &stack_pool::process());
}

BOOST_AUTO_TEST_CASE(a_fiber_may_name_the_size_of_its_stack) {
    stack_pool& pool = stack_pool::process(1024 * kib);
    pool.trim();
    {
        weft::fiber f{weft::fiber_options{.name = "large", .stack_size = 1024 * kib},
                      [](weft::fiber_ref self) { self.suspend(); }};
        BOOST_TEST(is_of(stack_of(f), 1024 * kib));
        BOOST_TEST(f.name() == std::string{"large"});
        f.resume();
        BOOST_TEST(is_of(stack_of(weft::fiber{[] {}}), weft::default_stack_size()));
        BOOST_TEST(pool.idle() == 0u);
    }
    BOOST_TEST(pool.idle() == 1u);
    {
        const weft::fiber again{weft::fiber_options{.stack_size = 1000 * kib}, [] {}};
        BOOST_TEST(pool.idle() == 0u);
    }
    const weft::fiber unnamed{weft::fiber_options{.stack_size = 0}, [] {}};
    BOOST_TEST(is_of(stack_of(unnamed), weft::default_stack_size()));
    std::thread{[&] { pool.trim(); }}.join();
    BOOST_TEST(pool.idle() == 0u);
}

BOOST_AUTO_TEST_CASE(so_may_the_bodies_of_generators_and_coroutines) {
    stack_pool& pool = stack_pool::process(768 * kib);
    std::vector<std::size_t> sizes;
    const auto look = [&] {
        const weft::detail::fiber_record& record = weft::detail::fiber_access::record(weft::this_fiber::get());
        sizes.push_back(record.details->operations->memory(record).size);
    };
    constexpr weft::fiber_options large{.stack_size = 768 * kib};
    for (int v : weft::generator<int>{large, [&](auto& out) {
                                          look();
                                          out.yield(1);
                                      }})
        BOOST_TEST(v == 1);
    weft::sync_wait(weft::stackful<weft::task<void>>(large, [&](auto&) { look(); }));
    const auto unnamed = [&]() -> weft::task<void> { return weft::stackful(large, [&](auto&) { look(); }); };
    weft::sync_wait(unnamed());
    BOOST_TEST(sizes.size() == 3u);
    for (const std::size_t size : sizes) BOOST_TEST(is_of(size, 768 * kib));
    BOOST_TEST(pool.idle() == 1u);
}

// The allocator decides on the size of what it hands out.
BOOST_AUTO_TEST_CASE(a_size_beside_an_allocator_is_refused) {
    weft_test::recorded_stacks stacks{64 * kib};
    const weft::fiber_options large{.stack_size = 1024 * kib};
    const std::string said = refusal([&] { weft::fiber{std::allocator_arg, stacks.get(), large, [] {}}; });
    BOOST_TEST(said.starts_with("weft: "));
    BOOST_TEST(contains(said, "stack_size"));
    BOOST_TEST(contains(refusal([&] {
                            weft::sync_wait(weft::stackful<weft::task<void>>(std::allocator_arg, stacks.get(), large,
                                                                             [](auto&) {}));
                        }),
                        "stack_size"));
    BOOST_TEST(stacks.out() == 0u);
    const weft::fiber_options none{.name = "none"};
    const weft::fiber f{std::allocator_arg, stacks.get(), none, [] {}};
    BOOST_TEST(stack_of(f) == 64 * kib);
}

BOOST_AUTO_TEST_SUITE_END()
