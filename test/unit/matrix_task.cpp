// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "matrix_run.hpp"

#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_CASE(a_task_by_co_await) {
    matrix::run_by_co<weft::task<int>>();
}

BOOST_AUTO_TEST_CASE(a_task_by_weft_await) {
    matrix::run_ambient<weft::task<int>>();
}
