// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Memory runs out: in each scenario the first allocation fails, then the second, and so on until none is left to fail;
// once that one alone, once all that follow, too. What comes is the documented exception, nothing is lost, and
// afterwards the same works. An allocation is a block of the heap, a stack, or, on Linux and without sanitizers, a
// mapping or a guard page.

#include "child.hpp"
#include "coroutine_types.hpp"
#include "tracked.hpp"

#include <weft/await.hpp>
#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>
#include <weft/generator.hpp>
#include <weft/stack.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <ostream>
#include <span>
#include <stdexcept>
#include <thread>
#include <typeinfo>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__linux__) && defined(__LP64__) && !WEFT_ASAN && !WEFT_MSAN && !WEFT_TSAN
#    define FAILING_MAPPINGS 1
#else
#    define FAILING_MAPPINGS 0
#endif

using weft_test::in_child;
using weft_test::tracked;

namespace {

// ---------------------------------------------------------------------------------------------------------------------
// What fails, and what is in use.

enum class source { none, heap, stack, mapping, guard, other };

std::ostream& operator<<(std::ostream& out, source s) {
    constexpr const char* names[] = {"nothing", "the heap", "a stack", "a mapping", "a guard page", "something else"};
    return out << names[static_cast<int>(s)];
}

// What is to fail on this thread.
struct plan {
    long left = -1;       // so many allocations succeed; negative: all
    bool onwards = false; // all that follow fail, too
    source failed = source::none;
};
constinit thread_local plan mine{};

bool must_fail(source where) noexcept {
    if (mine.left < 0 || mine.left-- > 0) return false;
    if (mine.onwards) mine.left = 0;
    if (mine.failed == source::none) mine.failed = where;
    return true;
}

constinit std::atomic<long> blocks{0}, stacks{0}, mapped{0};

void* take(std::size_t size) {
    void* const memory = must_fail(source::heap) ? nullptr : std::malloc(size ? size : 1);
    if (!memory) throw std::bad_alloc{};
    blocks.fetch_add(1, std::memory_order_relaxed);
    return memory;
}
void give_back(void* memory) noexcept {
    if (memory) blocks.fetch_sub(1, std::memory_order_relaxed);
    std::free(memory);
}

} // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    return take(size);
}
[[gnu::noinline]] void* operator new[](std::size_t size) {
    return take(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    give_back(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
    give_back(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    give_back(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept {
    give_back(memory);
}

// In the place of the C library's: weft asks these of the system. Taking something away from oneself does not fail.
#if FAILING_MAPPINGS
extern "C" {
void* mmap(void* place, std::size_t size, int access, int flags, int file, off_t offset) noexcept {
    if (must_fail(source::mapping)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    const long result = ::syscall(SYS_mmap, place, size, access, flags, file, offset);
    if (result == -1) return MAP_FAILED;
    if (!(flags & MAP_FIXED)) mapped.fetch_add(static_cast<long>(size), std::memory_order_relaxed);
    return reinterpret_cast<void*>(result);
}
int munmap(void* place, std::size_t size) noexcept {
    mapped.fetch_sub(static_cast<long>(size), std::memory_order_relaxed);
    return static_cast<int>(::syscall(SYS_munmap, place, size));
}
int mprotect(void* place, std::size_t size, int access) noexcept {
    const bool takes_away = access == PROT_NONE && size > weft::page_size();
    if (!takes_away && must_fail(source::guard)) {
        errno = ENOMEM;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_mprotect, place, size, access));
}
int madvise(void* place, std::size_t size, int advice) noexcept {
    constexpr int install = 102, remove = 103; // guards
    if ((advice == remove || (advice == install && size == weft::page_size())) && must_fail(source::guard)) {
        errno = ENOMEM;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_madvise, place, size, advice));
}
} // extern "C"
#endif

namespace {

struct in_use {
    long blocks = ::blocks, stacks = ::stacks, mapped = ::mapped;
    int objects = tracked::alive();

    friend bool operator==(const in_use&, const in_use&) = default;
    friend std::ostream& operator<<(std::ostream& out, const in_use& u) {
        return out << u.blocks << " blocks, " << u.stacks << " stacks, " << u.mapped << " bytes mapped, " << u.objects
                   << " objects";
    }
};

// A result was wrong. (Boost.Test's own checks allocate.)
constinit std::atomic<bool> wrong{false};
void check(bool right) noexcept {
    if (!right) wrong = true;
}

struct ending {
    source failed = source::none;
    source thrown = source::none;
};

template <class Operation>
ending attempt(long n, bool onwards, Operation& operation) {
    struct disarm {
        ~disarm() { mine.left = -1; }
    };
    ending e;
    mine = {n, onwards, source::none};
    try {
        const disarm at_the_end;
        operation();
    } catch (const weft::stack_exhausted&) {
        e.thrown = source::stack;
    } catch (const std::bad_alloc& exception) {
        e.thrown = typeid(exception) == typeid(std::bad_alloc) ? source::heap : source::other;
    } catch (...) {
        e.thrown = source::other;
    }
    e.failed = mine.failed;
    return e;
}

// Of one failure, this is to be told. An arena that cannot be mapped is mapped smaller, and a guard is made in another
// way. `of_heap`: that the heap has failed, which is the user's own, or what weft takes of it for stacks.
bool as_documented(const ending& e, source of_heap) noexcept {
    if (e.failed >= source::mapping) return e.thrown == source::stack || e.thrown == source::none;
    return e.thrown == (e.failed == source::heap ? of_heap : e.failed);
}

/// Lets each allocation of `operation` fail in turn. How many there were?
template <class Operation>
long fail_each(Operation operation, source of_heap = source::heap) {
    operation(); // what is made once in a process, or once on a thread, is there from now on
    long failures = 0;
    const std::size_t idle = weft::stack_pool::process().idle();
    for (const bool onwards : {false, true}) {
        for (long n = 0; n < 1000; ++n) {
            const in_use before;
            const ending e = attempt(n, onwards, operation);
            const in_use after;
            const std::size_t idle_after = weft::stack_pool::process().idle();
            operation();
            const in_use again;
            BOOST_TEST_CONTEXT("number " << n << (onwards ? " and all that follow: " : ": ") << e.failed) {
                if (onwards)
                    BOOST_TEST((e.thrown == source::none) == (e.failed == source::none));
                else
                    BOOST_TEST(as_documented(e, of_heap), "thrown: " << e.thrown);
                BOOST_TEST(e.thrown != source::other);
                BOOST_TEST(after == before);
                BOOST_TEST(again == before);
                BOOST_TEST(idle_after == idle);
            }
            if (e.failed == source::none) break;
            ++failures;
        }
    }
    BOOST_TEST(!wrong.exchange(false));
    return failures / 2;
}

// ---------------------------------------------------------------------------------------------------------------------
// What allocates.

struct failing_stacks {
    std::size_t size = 64 * 1024;

    weft::stack allocate() const {
        if (must_fail(source::stack)) throw weft::stack_exhausted{size};
        const weft::stack s = weft::guarded_stack{size}.allocate();
        ++stacks;
        return s;
    }
    void deallocate(const weft::stack& s) const noexcept {
        --stacks;
        weft::guarded_stack{size}.deallocate(s);
    }
};

// Copies allocate.
class on_heap {
public:
    explicit on_heap(int value) : value_{std::make_unique<tracked>(value)} {}
    on_heap(const on_heap& other) : value_{std::make_unique<tracked>(*other.value_)} {}
    on_heap(on_heap&&) = default;
    int value() const noexcept { return value_->value(); }

private:
    std::unique_ptr<tracked> value_;
};

// Each function of this awaiter allocates. `Handle`: of a coroutine with any promise, or with the promise it likes.
template <class Handle, class Result>
struct allocating {
    on_heap value{1};

    bool await_ready() { return on_heap{value}.value() != 1; }
    Result await_suspend(Handle h) {
        const on_heap copy{value};
        check(copy.value() == 1);
        if constexpr (std::is_void_v<Result>)
            h.resume();
        else if constexpr (std::is_same_v<Result, bool>)
            return false;
        else
            return h;
    }
    int await_resume() { return on_heap{value}.value(); }
};
template <class Result>
using plain = allocating<std::coroutine_handle<>, Result>;

// Its await_suspend is a template: weft::await gives it a promise.
struct choosy : plain<bool> {
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) {
        static_assert(!std::is_void_v<Promise>);
        return plain<bool>::await_suspend(h);
    }
};

weft::task<on_heap> number(int n) {
    on_heap value{n};
    co_return value;
}

// A coroutine type whose promise allocates the frames and, when it sees an operand, for itself.
class framed {
public:
    struct promise_type : ending_promise<int, promise_type> {
        on_heap own{1};
        template <class... Args>
        static void* operator new(std::size_t size, Args&...) {
            return take(size);
        }
        static void operator delete(void* frame) { give_back(frame); }
        framed get_return_object() { return framed{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        template <class Operand>
        Operand&& await_transform(Operand&& operand) {
            check(on_heap{own}.value() == 1);
            return std::forward<Operand>(operand);
        }
    };
    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine_.get()}; }

private:
    explicit framed(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// The first use of weft in a process makes the pool of all fibers, so each failure needs a process of its own, and
/// this test comes first.
BOOST_AUTO_TEST_CASE(the_first_fiber_of_a_process) {
    enum { right = 0, nothing_failed = 1, bad = 2 };
    const auto with_part = [] {
        const on_heap body_part{20};
        int sum = 0;
        weft::fiber f{[body_part, &sum](weft::fiber_ref self) {
            sum += body_part.value();
            self.suspend();
            sum += 1;
        }};
        while (!f.done()) f.resume();
        check(sum == 21);
    };
    const auto of_weft_alone = [] {
        int sum = 0;
        weft::fiber f{[&sum] { sum += 1; }};
        f.resume();
        check(sum == 1);
    };
    const auto child = [&](long n, bool onwards, auto operation, bool users_heap) {
        return in_child([&] {
            const in_use before;
            const ending e = attempt(n, onwards, operation);
            const bool told = as_documented(e, source::stack) || (users_heap && as_documented(e, source::heap));
            if (onwards ? (e.thrown == source::none) != (e.failed == source::none) : !told) return bad;
            if (e.failed == source::none) return nothing_failed;
            const in_use after; // the pool may be there, and what it is made of
            if (after.objects != before.objects) return bad;
            operation();
            const in_use warm;
            for (int i = 0; i < 3; ++i) operation();
            return wrong || in_use{} != warm ? bad : right;
        });
    };
    for (const bool onwards : {false, true}) {
        for (const bool users_heap : {true, false}) {
            long n = 0;
            for (int code = right; code == right && n < 100; ++n) {
                const auto end =
                    users_heap ? child(n, onwards, with_part, true) : child(n, onwards, of_weft_alone, false);
                code = end.code;
                BOOST_TEST(((code == right && n < 99) || code == nothing_failed), "number " << n << ": " << end);
            }
            BOOST_TEST(n - 1 >= (users_heap ? 5 : 3)); // the body twice, the pool's state, what it keeps account in, ...
        }
    }
}

BOOST_AUTO_TEST_CASE(a_fiber) {
    BOOST_TEST(fail_each([] {
        const on_heap part{2};
        int sum = 0;
        weft::fiber f{std::allocator_arg, failing_stacks{}, [part, &sum](weft::fiber_ref self) {
                          for (int i = 0; i < 3; ++i) {
                              const on_heap copy{part};
                              sum += copy.value();
                              self.suspend();
                          }
                      }};
        while (!f.done()) f.resume();
        check(sum == 6);
    }) >= 5);
}

BOOST_AUTO_TEST_CASE(a_fiber_from_the_pool_with_options) {
    BOOST_TEST(fail_each([] {
        const on_heap part{2};
        weft::fiber f{weft::fiber_options{.floating_point = weft::fp_env::per_fiber, .name = "parser"},
                      [part](weft::fiber_ref self) { self.suspend(); }};
        f.resume();
        check(!f.done());
    }) == 3 /* the body's: the pool has a stack */);
}

BOOST_AUTO_TEST_CASE(a_fiber_of_a_stack_that_is_too_small) {
    bool refused = false;
    const auto operation = [&] {
        try {
            weft::fiber{std::allocator_arg, failing_stacks{4096},
                        [room = std::array<char, 8000>{}] { check(room[0] == 1); }};
        } catch (const std::invalid_argument&) {
            refused = true;
        }
    };
    BOOST_TEST(fail_each(operation) >= 1);
    BOOST_TEST(refused);
}

BOOST_AUTO_TEST_CASE(a_fiber_that_is_unwound) {
    BOOST_TEST(fail_each([] {
        weft::fiber f{std::allocator_arg, failing_stacks{}, [](weft::fiber_ref self) {
                          const on_heap below{1};
                          const on_heap above{below};
                          self.suspend();
                          check(false);
                      }};
        f.resume();
    }) >= 3);
}

BOOST_AUTO_TEST_CASE(fibers_within_fibers) {
    BOOST_TEST(fail_each([] {
        int sum = 0;
        weft::fiber outer{std::allocator_arg, failing_stacks{}, [&](weft::fiber_ref self) {
                              weft::fiber inner{std::allocator_arg, failing_stacks{}, [&, part = on_heap{3}] {
                                                    self.suspend(); // both
                                                    sum += on_heap{part}.value();
                                                }};
                              while (!inner.done()) inner.resume();
                          }};
        while (!outer.done()) outer.resume();
        check(sum == 3);
    }) >= 4);
}

BOOST_AUTO_TEST_CASE(suspending_while_the_failure_is_handled) {
    BOOST_TEST(fail_each([] {
        weft::fiber f{std::allocator_arg, failing_stacks{}, [](weft::fiber_ref self) {
                          try {
                              check(on_heap{4}.value() == 4);
                          } catch (const std::bad_alloc&) {
                              self.suspend();
                              throw;
                          }
                      }};
        while (!f.done()) f.resume();
    }) >= 2);
}

BOOST_AUTO_TEST_CASE(a_generator) {
    BOOST_TEST(fail_each([] {
        int sum = 0;
        const on_heap part{2};
        for (const on_heap& v : weft::generator<on_heap>{std::allocator_arg, failing_stacks{}, [part](auto& out) {
                                                             for (int i = 0; i < 3; ++i) out.yield(part);
                                                         }})
            sum += v.value();
        check(sum == 6);
    }) >= 6);
}

BOOST_AUTO_TEST_CASE(a_fiber_context) {
    BOOST_TEST(fail_each([] {
        int sum = 0;
        const on_heap part{2};
        weft::fiber_context back;
        auto entry = [part, &sum, &back](weft::fiber_context&& caller) {
            sum += part.value();
            try {
                caller = std::move(caller).resume();
            } catch (const std::bad_alloc&) { // of the function that came with the resume
                sum = -1;
                caller = std::move(back);
            }
            return std::move(caller);
        };
        weft::fiber_context f{entry};
        f = std::move(f).resume();
        f = std::move(f).resume_with([&](weft::fiber_context&& caller) {
            back = std::move(caller);
            sum += on_heap{part}.value();
            return std::move(back);
        });
        check(!f);
        if (sum == -1) throw std::bad_alloc{};
        check(sum == 4);
    }) >= 4);
}

BOOST_AUTO_TEST_CASE(a_fiber_context_on_memory_of_ones_own) {
    alignas(16) static std::byte memory[64 * 1024];
    BOOST_TEST(fail_each([] {
        int given_back = 0;
        const on_heap part{2};
        auto entry = [part](weft::fiber_context&& caller) { return std::move(caller); };
        auto deleter = [part = on_heap{part}, &given_back](std::span<std::byte>) { given_back += part.value(); };
        try {
            weft::fiber_context f{entry, std::span<std::byte>{memory}, deleter};
            f = std::move(f).resume();
            check(!f && given_back == 2);
        } catch (...) {
            check(given_back == 0); // it is still the caller's
            throw;
        }
    }) >= 4);
}

// What a body awaits, in each way that allocates.
template <class Coroutine>
int awaits_everything(Coroutine& co) {
    int sum = co.await(number(1)).value();
    sum += co.await(plain<void>{});
    sum += co.await(plain<bool>{});
    sum += co.await(plain<std::coroutine_handle<>>{});
    sum += weft::await(number(1)).value();
    sum += weft::await(plain<void>{});
    sum += weft::await(plain<std::coroutine_handle<>>{});
    sum += weft::await(choosy{});
    return sum;
}

template <class Task>
long fail_each_of_a_body() {
    return fail_each([] {
        const on_heap part{8};
        auto body = [part](auto& co) { return awaits_everything(co) - part.value(); };
        check(weft::sync_wait(weft::stackful<Task>(std::allocator_arg, failing_stacks{}, body)) == 0);
    });
}

BOOST_AUTO_TEST_CASE(a_stackful_task) {
    BOOST_TEST(fail_each_of_a_body<weft::task<int>>() >= 30);
}
BOOST_AUTO_TEST_CASE(a_stackful_coroutine_that_drives_itself) {
    BOOST_TEST(fail_each_of_a_body<symmetric<int>>() >= 30);
}
BOOST_AUTO_TEST_CASE(a_stackful_coroutine_whose_promise_sees_the_operands) {
    BOOST_TEST(fail_each_of_a_body<watched<int>>() >= 30);
}
BOOST_AUTO_TEST_CASE(a_stackful_coroutine_that_begins_at_once) {
    BOOST_TEST(fail_each_of_a_body<eager<int>>() >= 30);
}
BOOST_AUTO_TEST_CASE(a_stackful_coroutine_whose_promise_allocates) {
    BOOST_TEST(fail_each_of_a_body<framed>() >= 30);
    BOOST_TEST(fail_each([] {
        auto body = [](auto& co, on_heap& part) { return co.await(number(part.value())).value(); };
        framed five = weft::stackful<framed, on_heap>(std::allocator_arg, failing_stacks{}, body, on_heap{5});
        check(weft::sync_wait(five) == 5);
    }) >= 5);
}

BOOST_AUTO_TEST_CASE(a_body_within_a_body) {
    BOOST_TEST(fail_each([] {
        const auto half = [](auto& co) { return awaits_everything(co); };
        weft::task<int> whole = weft::stackful(std::allocator_arg, failing_stacks{}, [&](auto& co) {
            return co.await(weft::stackful<weft::task<int>>(std::allocator_arg, failing_stacks{}, half)) +
                   weft::await(weft::stackful<symmetric<int>>(std::allocator_arg, failing_stacks{}, half));
        });
        check(weft::sync_wait(whole) == 16);
    }) >= 60);
}

BOOST_AUTO_TEST_CASE(a_body_that_goes_on_after_a_failure) {
    BOOST_TEST(fail_each([] {
        bool failed = false;
        weft::task<int> t = weft::stackful(std::allocator_arg, failing_stacks{}, [&](auto& co) {
            try {
                return awaits_everything(co);
            } catch (const std::bad_alloc&) {
                failed = true;
            }
            co.await(std::suspend_never{});
            return weft::await(plain_awaiter{8});
        });
        check(weft::sync_wait(t) == 8);
        if (failed) throw std::bad_alloc{};
    }) >= 30);
}

BOOST_AUTO_TEST_CASE(co_yield_of_a_body) {
    BOOST_TEST(fail_each([] {
        pull<on_heap> numbers = weft::stackful(std::allocator_arg, failing_stacks{}, [](auto& co) {
            for (int i = 1; i <= 3; ++i) co.yield(on_heap{i});
        });
        int sum = 0;
        while (const on_heap* const v = numbers.next()) sum += on_heap{*v}.value();
        check(sum == 6);
    }) >= 8);
    BOOST_TEST(fail_each([] {
        const auto consume = [](stream<on_heap> numbers) -> weft::task<int> {
            int sum = 0;
            while (const on_heap* const v = co_await numbers.next()) sum += on_heap{*v}.value();
            co_return sum;
        };
        check(weft::sync_wait(consume(weft::stackful(std::allocator_arg, failing_stacks{}, [](auto& co) {
                  for (int i = 1; i <= 3; ++i) co.yield(weft::await(number(i)));
              }))) == 6);
    }) >= 12);
}

BOOST_AUTO_TEST_CASE(a_coroutine_that_is_destroyed_while_its_body_waits) {
    BOOST_TEST(fail_each([] {
        auto t = weft::stackful<symmetric<int>>(std::allocator_arg, failing_stacks{}, [](auto& co) {
            const on_heap kept{1};
            check(co.await(number(2)).value() == 2);
            co.await(std::suspend_always{});
            check(false);
            return 0;
        });
        t.handle().resume();
        if (t.handle().promise().failure) std::rethrow_exception(t.handle().promise().failure);
    }) >= 4);
}

BOOST_AUTO_TEST_CASE(a_pool) {
    BOOST_TEST(fail_each([] {
        weft::stack_pool pool{64 * 1024, 4};
        struct fleet {
            weft::stack_pool& pool;
            std::size_t count = 0;
            weft::stack stacks[40];
            ~fleet() {
                while (count != 0) pool.deallocate(stacks[--count]);
            }
        };
        for (int round = 0; round < 3; ++round) {
            fleet all{pool, 0, {}};
            while (all.count != std::size(all.stacks)) {
                all.stacks[all.count] = pool.allocate();
                ++all.count;
                *(static_cast<std::byte*>(all.stacks[all.count - 1].sp) - 1) = std::byte{1};
            }
            if (round == 1) pool.trim();
        }
        check(pool.idle() == 4);
    }, source::stack) >= 5);
}

BOOST_AUTO_TEST_CASE(the_first_resume_on_a_thread) {
    const auto end = in_child([] {
        weft::report_stack_overflow(); // every thread now wants a stack for its signals, and there may be none
        const auto operation = [] {
            const on_heap part{1};
            int sum = 0;
            weft::fiber f{std::allocator_arg, failing_stacks{}, [part, &sum] { sum += on_heap{part}.value(); }};
            f.resume();
            check(sum == 1);
        };
        std::thread{operation}.join();
        const in_use before;
        for (const bool onwards : {false, true}) {
            for (long n = 0; n < 100; ++n) {
                ending e;
                std::thread{[&] {
                    e = attempt(n, onwards, operation);
                    operation();
                }}.join();
                const bool goes_without = e.failed >= source::mapping && e.thrown == source::none;
                if (!onwards && !as_documented(e, source::heap) && !goes_without) return 1;
                in_use after;
                after.mapped = before.mapped; // of the threads themselves
                if (after != before) return 2;
                if (e.failed == source::none) {
                    if (n < (FAILING_MAPPINGS ? 5 : 4)) return 3;
                    break;
                }
            }
        }
        return wrong ? 4 : 0;
    });
    BOOST_TEST(end.code == 0, end);
}

} // namespace
