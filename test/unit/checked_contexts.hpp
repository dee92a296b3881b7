// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/fiber.hpp>

#include <boost/test/unit_test.hpp>

namespace weft_test {

/// Does the library check contexts (WEFT_CHECK_CONTEXTS)? Its build decides, not this program's.
inline bool checks_contexts() {
    const weft::fiber f{[] {}};
    return weft::detail::fiber_access::record(f).state & weft::detail::checked;
}

/// For boost::unit_test::precondition.
inline boost::test_tools::assertion_result contexts_are_checked(boost::unit_test::test_unit_id) {
    return checks_contexts();
}

} // namespace weft_test
