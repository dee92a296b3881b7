// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A program that sets its default stack size when it is compiled: WEFT_DEFAULT_STACK_SIZE.

#include <weft/fiber.hpp>
#include <weft/stack.hpp>

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <thread>

namespace {

std::size_t stack_of(const weft::fiber& f) {
    const weft::detail::fiber_record& record = weft::detail::fiber_access::record(f);
    return record.details->operations->memory(record).size;
}

constexpr std::size_t size = std::size_t{192} * 1024;

bool has_it(const weft::fiber& f) {
    return stack_of(f) >= size && stack_of(f) <= size + weft::page_size();
}

// Made before main(), and written before the size.
weft::fiber early{[] {}};
const bool early_has_it = has_it(early);

} // namespace

#if defined(__APPLE__)
constexpr bool before_others = false;
#else
constexpr bool before_others = true;
#endif

WEFT_DEFAULT_STACK_SIZE(size);

BOOST_AUTO_TEST_CASE(the_default_is_what_the_program_says) {
    BOOST_TEST(weft::default_stack_size() == size);
    BOOST_TEST(early_has_it == before_others);
    BOOST_TEST(has_it(weft::fiber{[] {}}));
    std::thread{[] { BOOST_TEST(has_it(weft::fiber{[] {}})); }}.join();
}

// No stack of another size has been taken: fibers are made inline.
BOOST_AUTO_TEST_CASE(it_costs_nothing) {
    for (int n = 0; n < 3; ++n) weft::fiber{[] {}}.resume();
    const weft::detail::thread_state& thread = weft::detail::this_thread();
    if (before_others && thread.idle != weft::detail::not_in_use) BOOST_TEST(at_hand(thread));
}

// Until another is set: from then on the library is asked.
BOOST_AUTO_TEST_CASE(it_can_still_be_set) {
    weft::set_default_stack_size(2 * size);
    BOOST_TEST(stack_of(weft::fiber{[] {}}) >= 2 * size);
    weft::fiber{[] {}}.resume();
    BOOST_TEST(!at_hand(weft::detail::this_thread()));
    weft::set_default_stack_size(size);
    BOOST_TEST(has_it(weft::fiber{[] {}}));
}
