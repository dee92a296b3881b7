# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# weft_left_out(<tests> <what they need>): says that these are left out, and why. With WEFT_REQUIRE_TESTS, which the
# presets set, it is an error: what test/run installs packages for must not be lost unnoticed.
function(weft_left_out tests needs)
  if(WEFT_REQUIRE_TESTS)
    message(FATAL_ERROR "weft cannot build ${tests} without ${needs}. Install what is missing (test/run does), or "
      "configure with -DWEFT_REQUIRE_TESTS=OFF, which leaves out what cannot be built, or with -DBUILD_TESTING=OFF.")
  endif()
  message(STATUS "weft: left out for want of ${needs}: ${tests}")
endfunction()
