// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Where weft and Boost.Context 1.81 differ; everywhere else the other tests ask for equal traces. Two more are tested
// where they occur: the frame pointer of a new context (registers.cpp), and whose the rounding mode is
// (fuzz/model.hpp).

#include <weft/fiber.hpp>
#include <weft/switch.hpp>

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fiber.hpp>

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace boost_context = boost::context::detail;

namespace {

// How a child process ends that does `work`.
template <class Work>
int status_of(Work work) {
    const pid_t child = ::fork();
    if (child == 0) {
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_CORE, &none);
        std::signal(SIGABRT, SIG_DFL); // Boost.Test catches it
        work();
        ::_exit(42);
    }
    int status = 0;
    BOOST_REQUIRE_EQUAL(::waitpid(child, &status, 0), child);
    return status;
}

class memory {
public:
    void* top() { return bytes_.data() + bytes_.size(); }
    std::size_t size() const { return bytes_.size(); }

private:
    std::vector<std::byte> bytes_ = std::vector<std::byte>(64 * 1024);
};

// ----- ontop as the first switch to a context
// --------------------------------------------------------------------------

struct seen {
    int argument;
    int result;
    void* home;     // whom the entry goes back to; not the argument, which may be anything
    void* arrived = nullptr; // the entry's argument
};
seen* observed;

extern "C" {
// A function for ontop: transfer{from, &observed->argument} -> {from, &observed->result}.
weft::transfer replace_data(weft::transfer);
boost_context::transfer_t boost_replace_data(boost_context::transfer_t);
// What it calls: remembers from. Returns the result's address.
void* remember(void* from) {
    observed->home = from;
    return &observed->result;
}
}

#if defined(__x86_64__)
// As a compiler may do it; the argument registers are still what they were. Both names are the same function.
asm(R"(
    .text
    .globl replace_data, boost_replace_data
    .hidden replace_data, boost_replace_data
    .type replace_data, @function
    .type boost_replace_data, @function
replace_data:
boost_replace_data:
    endbr64
    pushq %rdi
    pushq %rsi
    subq  $8, %rsp
    call  remember
    addq  $8, %rsp
    movq  %rax, %rdx
    popq  %rsi
    popq  %rdi
    movq  %rdi, %rax
    ret
)");
#else
weft::transfer replace_data(weft::transfer t) {
    return {t.from, remember(t.from)};
}
boost_context::transfer_t boost_replace_data(boost_context::transfer_t t) {
    return {t.fctx, remember(t.fctx)};
}
#endif

BOOST_AUTO_TEST_CASE(ontop_can_begin_a_context) {
    memory stack;
    seen here{};
    observed = &here;
    const weft::context fresh = weft::make_context(stack.top(), stack.size(), [](weft::transfer t) {
        observed->arrived = t.data;
        weft::jump_context(observed->home, nullptr);
    });
    weft::ontop_context(fresh, &here.argument, &replace_data);
    BOOST_TEST(here.arrived == &here.result); // what the call returned
}

BOOST_AUTO_TEST_CASE(boost_ontop_cannot_begin_a_context) {
    memory stack;
    seen here{};
    observed = &here;
    const boost_context::fcontext_t fresh =
        boost_context::make_fcontext(stack.top(), stack.size(), [](boost_context::transfer_t t) {
            observed->arrived = t.data;
            boost_context::jump_fcontext(observed->home, nullptr);
        });
    const auto begin = [&] { boost_context::ontop_fcontext(fresh, &here.argument, &boost_replace_data); };
#if defined(__aarch64__)
    const int status = status_of(begin); // the call returns to the end of the process, not to the entry
    BOOST_TEST(WIFEXITED(status));
    BOOST_TEST(WEXITSTATUS(status) == 0);
#else
    begin();
    BOOST_TEST(here.arrived == &here.argument); // what the call left in a register, not what it returned
#endif
}

// ----- an entry function that returns
// ----------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(the_end_of_an_entry_aborts) {
    memory stack;
    const int status = status_of([&] {
        weft::jump_context(weft::make_context(stack.top(), stack.size(), [](weft::transfer) {}), nullptr);
    });
    BOOST_TEST(WIFSIGNALED(status));
    BOOST_TEST(WTERMSIG(status) == SIGABRT);
}

BOOST_AUTO_TEST_CASE(the_end_of_an_entry_exits_boost_with_success) {
    memory stack;
    const int status = status_of([&] {
        boost_context::jump_fcontext(
            boost_context::make_fcontext(stack.top(), stack.size(), [](boost_context::transfer_t) {}), nullptr);
    });
    BOOST_TEST(WIFEXITED(status));
    BOOST_TEST(WEXITSTATUS(status) == 0);
}

// ----- exceptions in hand while suspended
// ------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_fiber_rethrows_its_own_exception) {
    std::optional<int> rethrown;
    const auto body = [&](int mine) {
        return [&, mine](weft::fiber_ref self) {
            try {
                throw mine;
            } catch (int) {
                self.suspend();
                try {
                    throw;
                } catch (int value) {
                    if (!rethrown) rethrown = value;
                }
            }
        };
    };
    weft::fiber first{body(1)};
    weft::fiber second{body(2)};
    first.resume();
    second.resume();
    first.resume();
    BOOST_TEST(rethrown.value() == 1);
}

BOOST_AUTO_TEST_CASE(a_boost_fiber_rethrows_the_exception_of_the_last_one_that_caught) {
    std::optional<int> rethrown;
    const auto body = [&](int mine) {
        return [&, mine](boost::context::fiber&& from) {
            try {
                throw mine;
            } catch (int) {
                from = std::move(from).resume();
                try {
                    throw;
                } catch (int value) {
                    if (!rethrown) rethrown = value;
                }
            }
            return std::move(from);
        };
    };
    const int status = status_of([&] { // the thread's exceptions are in disorder afterwards
        boost::context::fiber first{body(1)};
        boost::context::fiber second{body(2)};
        first = std::move(first).resume();
        second = std::move(second).resume();
        first = std::move(first).resume();
        ::_exit(rethrown.value());
    });
    BOOST_TEST(WIFEXITED(status));
    BOOST_TEST(WEXITSTATUS(status) == 2);
}

} // namespace
