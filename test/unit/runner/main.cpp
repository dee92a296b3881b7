// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#define BOOST_TEST_MODULE weft
#include <boost/test/included/unit_test.hpp>
