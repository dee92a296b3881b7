// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "coroutine_types.hpp"
#include "matrix_run.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_CASE(a_task_with_await_transform_by_co_await) {
    matrix::run_by_co<watched<int>>();
}

BOOST_AUTO_TEST_CASE(a_task_with_await_transform_by_weft_await) {
    matrix::run_ambient<watched<int>>();
}
