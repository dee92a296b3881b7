// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "coroutine_types.hpp"
#include "matrix_run.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_CASE(a_task_in_the_style_of_cppcoro_by_co_await) {
    matrix::run_by_co<symmetric<int>>();
}

BOOST_AUTO_TEST_CASE(a_task_in_the_style_of_cppcoro_by_weft_await) {
    matrix::run_ambient<symmetric<int>>();
}

BOOST_AUTO_TEST_CASE(a_task_that_begins_at_once_by_weft_await) {
    matrix::run_ambient<eager<int>>();
}
