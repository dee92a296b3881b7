// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft/migration.hpp.

#include "awaiters.hpp"
#include "checked_contexts.hpp"
#include "child.hpp"

#include <weft/await.hpp>
#include <weft/fiber.hpp>
#include <weft/migration.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using weft::fiber;
using weft::fiber_ref;
using weft::migration_report;
using reason = weft::migration_report::reason;

struct seen {
    reason why;
    fiber_ref fiber;
    std::string held;
};
std::vector<seen> reports;

/// Keeps what is reported while it lives.
struct collecting {
    weft::migration_handler before = weft::set_migration_handler(
        [](const migration_report& r) { reports.push_back({r.why, r.fiber, r.held}); });
    collecting() { reports.clear(); }
    collecting(const collecting&) = delete;
    collecting& operator=(const collecting&) = delete;
    ~collecting() { weft::set_migration_handler(before); }
};

/// On a thread that has resumed fibers before: the first resume is a slower one.
template <class Fn>
void on_another_thread(Fn fn) {
    std::thread{[&] {
        fiber{[] {}}.resume();
        fn();
    }}.join();
}

} // namespace

BOOST_AUTO_TEST_SUITE(bound)

BOOST_AUTO_TEST_CASE(a_fiber_that_goes_on_on_another_thread_is_reported) {
    const collecting here;
    fiber f{[](fiber_ref self) {
        const weft::thread_bound b{"a cup"};
        self.suspend();
        self.suspend();
    }};
    f.resume();
    f.resume();
    BOOST_TEST(reports.empty()); // the same thread
    on_another_thread([&] { f.resume(); });
    BOOST_TEST(f.done());
    BOOST_REQUIRE(reports.size() == 1u);
    BOOST_TEST((reports[0].why == reason::bound_to_thread));
    BOOST_TEST((reports[0].fiber == fiber_ref{weft::detail::fiber_access::record(f)}));
    BOOST_TEST(reports[0].held == "a cup");
}

bool is_suspended_plainly(const fiber& f) {
    using namespace weft::detail;
    return resumable(fiber_access::record(f)) || fiber_access::record(f).state & but_for_checksum;
}

BOOST_AUTO_TEST_CASE(it_is_free_again_at_the_end_of_the_scope) {
    const collecting here;
    fiber f{[](fiber_ref self) {
        { const weft::thread_bound passing{"passing"}; }
        self.suspend();
        {
            const weft::thread_bound outer{"outer"};
            { const weft::thread_bound inner{"inner"}; }
            self.suspend();
        }
        self.suspend();
        self.suspend();
    }};
    on_another_thread([&] { f.resume(); });
    BOOST_TEST(is_suspended_plainly(f));
    on_another_thread([&] { f.resume(); });
    on_another_thread([&] { f.resume(); }); // still holds one
    BOOST_REQUIRE(reports.size() == 1u);
    BOOST_TEST(reports[0].held == "outer");
    on_another_thread([&] { f.resume(); });
    BOOST_TEST(is_suspended_plainly(f));
    f.resume();
    BOOST_TEST(reports.size() == 1u);
}

BOOST_AUTO_TEST_CASE(everything_it_holds_is_reported_and_nothing_of_the_new_thread) {
    const collecting here;
    fiber f{[](fiber_ref self) {
        const weft::thread_bound one{"one"};
        const weft::thread_bound two{"two"};
        self.suspend();
        const weft::thread_bound three{"three"};
        self.suspend();
    }};
    f.resume();
    on_another_thread([&] {
        f.resume();
        BOOST_TEST(reports.size() == 2u);
        f.resume();
    });
    BOOST_REQUIRE(reports.size() == 4u); // one and two, twice
    for (const seen& s : reports) BOOST_TEST(s.held != "three");
}

BOOST_AUTO_TEST_CASE(so_is_one_that_another_fiber_has_resumed_and_that_was_suspended_with_it) {
    const collecting here;
    fiber inner;
    fiber outer{[&](fiber_ref self) {
        inner = fiber{[self] {
            const weft::thread_bound b{"deep"};
            self.suspend();
        }};
        inner.resume();
    }};
    outer.resume();
    on_another_thread([&] { outer.resume(); });
    BOOST_TEST(outer.done());
    BOOST_REQUIRE(reports.size() == 1u);
    BOOST_TEST((reports[0].fiber == fiber_ref{weft::detail::fiber_access::record(inner)}));
}

BOOST_AUTO_TEST_CASE(so_is_one_that_is_unwound_on_another_thread) {
    const collecting here;
    fiber f{[](fiber_ref self) {
        const weft::thread_bound b{"a cup"};
        self.suspend();
    }};
    f.resume();
    on_another_thread([&] { f = fiber{}; });
    BOOST_TEST(reports.size() == 1u);
}

BOOST_AUTO_TEST_CASE(so_is_a_stackful_body) {
    const collecting here;
    stage s;
    weft::sync_wait(weft::stackful<weft::task<>>([&](auto&) {
        weft::await(on_new_thread{&s});
        {
            const weft::thread_bound b{"a cup"};
            weft::await(std::suspend_never{}); // no suspension
            weft::await(on_new_thread{&s});
        }
        weft::await(on_new_thread{&s});
    }));
    s.join();
    BOOST_TEST(reports.size() == 1u);
}

BOOST_AUTO_TEST_CASE(outside_of_fibers_it_does_nothing) {
    const weft::thread_bound b{"a cup"};
    on_another_thread([] { const weft::thread_bound c{"another"}; });
}

BOOST_AUTO_TEST_CASE(a_lock_that_says_so_itself) {
    const collecting here;
    std::mutex mutex;
    fiber f{[&](fiber_ref self) {
        const weft::thread_bound_lock lock{mutex};
        BOOST_TEST(!std::unique_lock(mutex, std::defer_lock).owns_lock());
        self.suspend();
    }};
    f.resume();
    bool taken = true;
    on_another_thread([&] { taken = !mutex.try_lock(); });
    BOOST_TEST(taken);
    f.resume();
    BOOST_TEST(reports.empty());
    BOOST_TEST(mutex.try_lock());
    mutex.unlock();
}

BOOST_AUTO_TEST_CASE(by_default_the_program_ends_with_a_sentence) {
    const auto end = weft_test::in_child([] {
        fiber f{[](fiber_ref self) {
            const weft::thread_bound b{"the lock of the cache"};
            self.suspend();
        }};
        f.resume();
        on_another_thread([&] { f.resume(); });
        return 0;
    });
    BOOST_TEST_CONTEXT(end) {
        BOOST_TEST(end.signal == SIGABRT);
        BOOST_TEST(end.said.find("weft: a fiber that holds the lock of the cache was resumed on another thread") == 0u);
    }
}

BOOST_AUTO_TEST_CASE(the_handler_is_given_back) {
    const auto mine = [](const migration_report&) {};
    const weft::migration_handler first = mine;
    BOOST_TEST(weft::set_migration_handler(first) == nullptr);
    BOOST_TEST((weft::set_migration_handler(nullptr) == first));
    BOOST_TEST(weft::set_migration_handler(nullptr) == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(exceptions, *boost::unit_test::precondition(weft_test::contexts_are_checked))

fiber in_a_handler() {
    fiber f{[](fiber_ref self) {
        try {
            throw 1;
        } catch (int) {
            self.suspend();
        }
        self.suspend();
    }};
    return f;
}

BOOST_AUTO_TEST_CASE(a_fiber_that_takes_one_to_another_thread_is_reported) {
    const collecting here;
    fiber stays = in_a_handler(), goes = in_a_handler();
    stays.resume();
    stays.resume();
    goes.resume();
    on_another_thread([&] { goes.resume(); });
    BOOST_REQUIRE(reports.size() == 1u);
    BOOST_TEST((reports[0].why == reason::caught_exception));
    BOOST_TEST((reports[0].fiber == fiber_ref{weft::detail::fiber_access::record(goes)}));
    goes.resume(); // has left the handler
    std::thread{[] { // whose first resume is a slower one
        fiber stays_here = in_a_handler();
        stays_here.resume();
        stays_here.resume();
    }}.join();
    BOOST_TEST(reports.size() == 1u);
}

BOOST_AUTO_TEST_CASE(one_that_comes_back_inside_of_a_handler_of_its_resumer_is_not) {
    const collecting here;
    fiber f{[](fiber_ref self) { self.suspend(); }};
    try {
        throw 1;
    } catch (int) {
        f.resume();
    }
    on_another_thread([&] {
        try {
            throw 1;
        } catch (int) {
            f.resume();
        }
    });
    BOOST_TEST(f.done());
    BOOST_TEST(reports.empty());
}

BOOST_AUTO_TEST_CASE(by_default_it_is_said_once) {
    const auto end = weft_test::in_child([] {
        for (int i = 0; i < 3; ++i) {
            fiber f = in_a_handler();
            f.resume();
            on_another_thread([&] { f.resume(); });
        }
        return 7;
    });
    BOOST_TEST_CONTEXT(end) {
        BOOST_TEST(end.code == 7);
        const std::string sentence = "weft: a fiber that was suspended inside of a catch block";
        BOOST_TEST(end.said.find(sentence) == 0u);
        BOOST_TEST(end.said.find(sentence, 1) == std::string::npos);
    }
}

BOOST_AUTO_TEST_SUITE_END()
