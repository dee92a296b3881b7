// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A fiber that has been destroyed waits for the next body: nothing of the last one may be left in it.

#include "tracked.hpp"

#include <weft/fiber.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <cfenv>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using weft::fiber;
using weft::fiber_ref;
using weft::stack_pool;
using weft::detail::fiber_record;
using weft_test::tracked;

// A stack that a sanitizer watches ends with its fiber, and so does one with rounding modes that the switch keeps.
constexpr bool kept = !weft::detail::switch_keeps_fp && !WEFT_ASAN && !WEFT_HWASAN && !WEFT_MSAN && !WEFT_TSAN &&
                      !WEFT_VALGRIND;

const fiber_record& record_of(const fiber& f) noexcept {
    return weft::detail::fiber_access::record(f);
}

// What a fiber is that has never been anything else.
void check_new(const fiber& f) {
    const fiber_record& record = record_of(f);
    BOOST_TEST(!f.done());
    BOOST_TEST(f.name() == std::string_view{});
    BOOST_TEST((record.progress & ~weft::detail::always_checked) == weft::detail::prepared);
    BOOST_TEST((record.state & ~(weft::detail::suspended | weft::detail::checked | weft::detail::but_for_checksum)) == 0u);
    const bool checked = record.state & weft::detail::checked;
    BOOST_TEST(checked == bool(record.progress & weft::detail::always_checked));
    BOOST_TEST(waits(record));
    const weft::detail::fiber_details& details = *record.details;
    BOOST_TEST(!details.inner);
    BOOST_TEST(!details.outer);
    BOOST_TEST(!details.exceptions.any());
    BOOST_TEST(!details.driver);
    BOOST_TEST(!details.failure);
    BOOST_TEST(!details.bindings);
}

// It runs, suspends, handles exceptions of its own and ends.
void check_runs(fiber& f, const std::vector<int>& said) {
    f.resume();
    BOOST_TEST(!f.done());
    BOOST_TEST(said == std::vector{1}, boost::test_tools::per_element());
    f.resume();
    BOOST_TEST(f.done());
    BOOST_TEST((said == std::vector{1, 2}));
    BOOST_CHECK_THROW(f.resume(), weft::fiber_error);
}

// Makes a fiber, lets `last` end it, and looks at the one that is made next.
template <class Last>
void check_next_after(Last last) {
    stack_pool::process().trim();
    const fiber_record* const record = last();
    std::vector<int> said;
    fiber next{[&](fiber_ref self) {
        said.push_back(1);
        try {
            throw 2;
        } catch (int n) {
            self.suspend();
            said.push_back(n);
        }
    }};
    if (kept) BOOST_TEST(&record_of(next) == record);
    check_new(next);
    check_runs(next, said);
}

BOOST_AUTO_TEST_SUITE(idle_fibers)

BOOST_AUTO_TEST_CASE(after_a_body_that_returned) {
    check_next_after([] {
        fiber f{[](fiber_ref self) { self.suspend(); }};
        f.resume();
        f.resume();
        return &record_of(f);
    });
}

BOOST_AUTO_TEST_CASE(after_a_body_that_never_ran) {
    const int before = tracked::alive();
    check_next_after([] {
        const fiber f{[t = tracked{}] { BOOST_ERROR(t.value()); }};
        return &record_of(f);
    });
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_CASE(after_a_body_that_threw) {
    check_next_after([] {
        fiber f{[] { throw std::runtime_error("out"); }};
        BOOST_CHECK_THROW(f.resume(), std::runtime_error);
        return &record_of(f);
    });
}

BOOST_AUTO_TEST_CASE(after_a_body_that_was_unwound) {
    check_next_after([] {
        fiber f{[](fiber_ref self) { self.suspend(); }};
        f.resume();
        return &record_of(f);
    });
}

BOOST_AUTO_TEST_CASE(after_a_body_whose_exceptions_nobody_saw) {
    struct thrown {
        tracked t;
    };
    const int before = tracked::alive();
    check_next_after([] {
        fiber f{[](fiber_ref self) {
            try {
                self.suspend();
            } catch (const weft::forced_unwind&) {
                throw thrown{tracked{1}};
            }
        }};
        f.resume();
        return &record_of(f);
    });
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_CASE(after_one_that_swallowed_its_unwinding) {
    check_next_after([] {
        fiber f{[](fiber_ref self) {
            for (int n = 0; n < 3; ++n) {
                try {
                    self.suspend();
                } catch (const weft::forced_unwind&) {
                    BOOST_TEST(!weft::detail::waits(weft::detail::fiber_access::record(self)));
                }
            }
        }};
        f.resume();
        return &record_of(f);
    });
}

BOOST_AUTO_TEST_CASE(after_one_with_a_name) {
    check_next_after([] {
        fiber f{weft::fiber_options{.name = "last"}, [] {}};
        f.resume();
        return &record_of(f);
    });
}

BOOST_AUTO_TEST_CASE(after_one_that_has_resumed_others) {
    check_next_after([] {
        std::optional<fiber> inner; // that of the first one idle
        fiber f{[&](fiber_ref self) {
            inner.emplace([self] { self.suspend(); });
            inner->resume();
        }};
        f.resume();
        f.resume();
        BOOST_TEST(f.done());
        inner.reset();
        return &record_of(f);
    });
}

// The next one has the thread's rounding mode, and may change it.
BOOST_AUTO_TEST_CASE(after_one_with_a_floating_point_of_its_own) {
    const weft::fiber_options own{.floating_point = weft::fp_env::per_fiber};
    for (const bool to_the_end : {true, false})
        check_next_after([&] {
            fiber f{own, [](fiber_ref self) {
                std::fesetround(FE_UPWARD);
                self.suspend();
            }};
            f.resume();
            if (to_the_end) f.resume();
            return &record_of(f);
        });
    int begins_with = -1;
    fiber changes{[&] {
        begins_with = std::fegetround();
        std::fesetround(FE_DOWNWARD);
    }};
    changes.resume();
    BOOST_TEST(begins_with == FE_TONEAREST);
    BOOST_TEST(std::fegetround() == (weft::detail::switch_keeps_fp ? FE_TONEAREST : FE_DOWNWARD));
    std::fesetround(FE_TONEAREST);
}

weft::task<int> returns(int n) {
    co_return n;
}

// That was driven by a coroutine.
BOOST_AUTO_TEST_CASE(after_the_body_of_a_coroutine) {
    const auto body = [](auto& co, const fiber_record** record, bool fails) -> int {
        *record = &weft::detail::fiber_access::record(weft::this_fiber::get());
        if (fails) throw std::runtime_error("out");
        return co.await(returns(3));
    };
    for (const bool fails : {false, true})
        check_next_after([&] {
            const fiber_record* record = nullptr;
            try {
                auto t = weft::stackful<weft::task<int>>(body, &record, fails);
                BOOST_TEST(weft::sync_wait(std::move(t)) == 3);
                BOOST_TEST(!fails);
            } catch (const std::runtime_error&) {
                BOOST_TEST(fails);
            }
            return record;
        });
}

// A coroutine that begins at once, and ends when its owner likes.
struct job {
    struct promise_type {
        job get_return_object() noexcept { return job{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
    };
    explicit job(std::coroutine_handle<promise_type> h) noexcept : coroutine{h} {}
    job(const job&) = delete;
    job& operator=(const job&) = delete;
    ~job() { coroutine.destroy(); }

    std::coroutine_handle<promise_type> coroutine;
};

// That was destroyed while the body was suspended.
BOOST_AUTO_TEST_CASE(after_the_body_of_a_coroutine_that_was_destroyed) {
    check_next_after([] {
        const fiber_record* record = nullptr;
        {
            const job waits = weft::stackful<job>([&](auto& co) {
                record = &weft::detail::fiber_access::record(weft::this_fiber::get());
                co.await(std::suspend_always{});
            });
            BOOST_TEST(record);
        }
        return record;
    });
}

// The same one again and again, in all these ways.
BOOST_AUTO_TEST_CASE(one_after_the_other) {
    stack_pool::process().trim();
    const int before = tracked::alive();
    const fiber_record* first = nullptr;
    int ran = 0;
    for (int n = 0; n < 1000; ++n) {
        fiber f{[&, t = tracked{n}](fiber_ref self) {
            ++ran;
            if (t.value() != n) BOOST_ERROR("another body's");
            if (n % 5 == 1) throw n;
            for (int i = 0; i < n % 3; ++i) self.suspend();
        }};
        if (!first) first = &record_of(f);
        if (kept) BOOST_REQUIRE(&record_of(f) == first);
        try {
            for (int i = 0; i < n % 4 && !f.done(); ++i) f.resume();
        } catch (int thrown) {
            BOOST_REQUIRE(thrown == n);
        }
    }
    BOOST_TEST(ran == 750);
    BOOST_TEST(tracked::alive() == before);
    if (kept) BOOST_TEST(stack_pool::process().idle() == 1u);
}

template <std::size_t Size, std::size_t Alignment>
struct alignas(Alignment) sized_body {
    std::array<unsigned char, Size> mine;
    bool* right;
    void operator()() const {
        auto address = reinterpret_cast<std::uintptr_t>(&mine);
        asm("" : "+r"(address)); // which the compiler takes for aligned
        *right = address % Alignment == 0 && ends_in_its_stack();
        for (const unsigned char c : mine) *right = *right && c == 0xA5;
    }
    bool ends_in_its_stack() const {
        const fiber_record& record = weft::detail::fiber_access::record(weft::this_fiber::get());
        const weft::detail::stack_bounds stack = record.details->operations->memory(record);
        return static_cast<const void*>(this + 1) <= static_cast<const std::byte*>(stack.lowest) + stack.size;
    }
};

template <std::size_t Size, std::size_t Alignment = alignof(bool*)>
void check_body() {
    bool right = false;
    sized_body<Size, Alignment> body{{}, &right};
    body.mine.fill(0xA5);
    for (int n = 0; n < 2; ++n) {
        right = false;
        fiber f{body};
        f.resume();
        BOOST_TEST(right);
    }
}

// One that is too large for an idle fiber's room has its own.
BOOST_AUTO_TEST_CASE(bodies_of_all_sizes) {
    stack_pool::process().trim();
    check_body<1>();
    check_body<112>();
    check_body<120>(); // 128 bytes, the most that fit
    check_body<121>();
    check_body<200>();
    check_body<4096>();
    check_body<32, 32>();
    check_body<32, 64>();
    check_body<64, 128>();
    check_body<64, 256>();
    check_body<1>();
    if (kept) BOOST_TEST(stack_pool::process().idle() == 2u); // an idle fiber's and another one
}

struct cannot_be_copied {
    cannot_be_copied() = default;
    cannot_be_copied(const cannot_be_copied&) { throw std::runtime_error("no copy"); }
    void operator()() const {}
};

BOOST_AUTO_TEST_CASE(a_body_that_cannot_be_made_leaves_it_idle) {
    stack_pool::process().trim();
    const cannot_be_copied body;
    { const fiber warm{[] {}}; }
    const std::size_t idle = stack_pool::process().idle();
    for (int n = 0; n < 3; ++n) BOOST_CHECK_THROW(fiber{body}, std::runtime_error);
    BOOST_TEST(stack_pool::process().idle() == idle);
    check_next_after([&] {
        const fiber_record* record;
        {
            const fiber f{[] {}};
            record = &record_of(f);
        }
        BOOST_CHECK_THROW(fiber{body}, std::runtime_error);
        return record;
    });
}

// Making a body makes fibers, and destroying an exception does.
BOOST_AUTO_TEST_CASE(while_another_is_made_or_ends) {
    struct makes_fibers {
        int* ran;
        explicit makes_fibers(int* r) : ran{r} {}
        makes_fibers(const makes_fibers& other) : ran{other.ran} { run(); }
        ~makes_fibers() { run(); }
        void run() const {
            fiber f{[r = ran](fiber_ref self) {
                ++*r;
                self.suspend();
                ++*r;
            }};
            f.resume();
            f.resume();
        }
    };
    int ran = 0, called = 0;
    {
        fiber f{[m = makes_fibers{&ran}, &called](fiber_ref self) {
            ++called;
            static_cast<void>(m);
            try {
                self.suspend();
            } catch (const weft::forced_unwind&) {
                throw std::make_shared<makes_fibers>(m);
            }
        }};
        f.resume();
    }
    BOOST_TEST(called == 1);
    BOOST_TEST(ran % 2 == 0);
    BOOST_TEST(ran >= 8);
    std::vector<int> said;
    fiber next{[&](fiber_ref self) {
        said.push_back(1);
        self.suspend();
        said.push_back(2);
    }};
    check_new(next);
    check_runs(next, said);
}

// A thread keeps some; the rest go where they came from.
BOOST_AUTO_TEST_CASE(a_thread_keeps_a_few) {
    stack_pool::process().trim();
    std::thread{[] {
        constexpr std::size_t count = 40;
        for (int round = 0; round < 3; ++round) {
            std::vector<fiber> fibers;
            for (std::size_t n = 0; n < count; ++n) fibers.emplace_back([] {});
            for (fiber& f : fibers) f.resume();
            fibers.clear();
            BOOST_TEST(stack_pool::process().idle() == count);
        }
        std::size_t elsewhere = count;
        std::thread{[&] { elsewhere = stack_pool::process().idle(); }}.join();
        if (kept) BOOST_TEST(elsewhere <= count - 16);
        stack_pool::process().trim();
        BOOST_TEST(stack_pool::process().idle() == 0u);
        fiber again{[] {}};
        again.resume();
        BOOST_TEST(again.done());
    }}.join();
    BOOST_TEST(stack_pool::process().idle() == 1u);
}

// A fiber that ends when its thread has given back what it kept is given back, too.
BOOST_AUTO_TEST_CASE(after_the_end_of_the_thread) {
    stack_pool::process().trim();
    std::thread{[] {
        static thread_local fiber last; // made before what ends the thread's keeping, so destroyed after it
        last = {};
        { const fiber begins_to_keep{[] {}}; }
        last = fiber{[] {}};
        last.resume();
    }}.join();
    BOOST_TEST(stack_pool::process().idle() == 1u);
}

// Begun here, ended there, and given the next body there.
BOOST_AUTO_TEST_CASE(on_another_thread) {
    stack_pool::process().trim();
    int ran = 0;
    fiber f{[&](fiber_ref self) {
        ++ran;
        self.suspend();
        ++ran;
    }};
    f.resume();
    std::thread{[&] {
        const fiber_record* const record = &record_of(f);
        f.resume();
        f = {};
        fiber next{[&](fiber_ref self) {
            ++ran;
            self.suspend();
            ++ran;
        }};
        if (kept) BOOST_TEST(&record_of(next) == record);
        next.resume();
        next.resume();
        BOOST_TEST(next.done());
    }}.join();
    BOOST_TEST(ran == 4);
}

// Debuggers tell by it that it is none.
BOOST_AUTO_TEST_CASE(it_neither_waits_nor_has_begun) {
    if (!kept) return;
    for (const bool runs : {false, true}) {
        const fiber_record* record;
        {
            fiber f{[] {}};
            record = &record_of(f);
            BOOST_TEST(waits(*record));
            if (runs) f.resume();
        }
        BOOST_TEST(!waits(*record));
        BOOST_TEST((record->progress & ~weft::detail::always_checked) == weft::detail::prepared);
    }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
