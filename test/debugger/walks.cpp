// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Other libraries walk the stack of a fiber: their walks end at its entry. (std::stacktrace walks as Boost's does, by
// the unwinder of the C++ runtime.)

#include <weft/fiber.hpp>

#include <boost/stacktrace.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

#if WEFT_TEST_LIBUNWIND
#    define UNW_LOCAL_ONLY
#    include <libunwind.h>
#endif

#include <unwind.h>

namespace {

using addresses = std::vector<std::uintptr_t>; // where the function of each frame begins, the innermost first

// The function around a return address.
std::uintptr_t function_around(std::uintptr_t address) {
    return reinterpret_cast<std::uintptr_t>(_Unwind_FindEnclosingFunction(reinterpret_cast<void*>(address - 1)));
}

[[gnu::noinline]] addresses seen_by_boost() {
    addresses seen;
    for (const boost::stacktrace::frame& f : boost::stacktrace::stacktrace())
        seen.push_back(function_around(reinterpret_cast<std::uintptr_t>(f.address())));
    return seen;
}

#if WEFT_TEST_LIBUNWIND
[[gnu::noinline]] addresses seen_by_libunwind() {
    addresses seen;
    unw_context_t context;
    unw_cursor_t cursor;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    int step;
    do {
        unw_word_t pc = 0;
        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        seen.push_back(function_around(pc));
        step = unw_step(&cursor);
    } while (seen.size() < 1000 && step > 0);
    if (step < 0) seen.push_back(0); // it was lost
    return seen;
}
#endif

#define APART [[gnu::noinline, gnu::used]]

APART void walks(addresses (*walk)(), addresses& seen) {
    seen = walk();
    asm volatile("");
}

APART void resumes(weft::fiber& f) {
    f.resume();
    asm volatile("");
}

// In a fiber that was suspended before; from there the walk must see `walks`, end soon, and never see `resumes`.
void check(addresses (*walk)()) {
    addresses seen;
    weft::fiber f{[&](weft::fiber_ref self) {
        self.suspend();
        walks(walk, seen);
    }};
    resumes(f);
    resumes(f);
    const auto count = [&](auto* function) {
        return std::count(seen.begin(), seen.end(), reinterpret_cast<std::uintptr_t>(function));
    };
    BOOST_TEST(count(&walks) == 1);
    BOOST_TEST(count(&resumes) == 0);
    BOOST_TEST(seen.size() < 30U);
    BOOST_TEST(std::count(seen.begin(), seen.end(), 0U) == 0); // each frame is one of a function
    BOOST_TEST(f.done());

    seen.clear();
    walks(walk, seen);
    BOOST_TEST(count(&walks) == 1); // of a thread
}

} // namespace

BOOST_AUTO_TEST_SUITE(walks_of_others)

BOOST_AUTO_TEST_CASE(boost_stacktrace) {
    check(&seen_by_boost);
}

#if WEFT_TEST_LIBUNWIND
BOOST_AUTO_TEST_CASE(libunwind) {
    check(&seen_by_libunwind);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
