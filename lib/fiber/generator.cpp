// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/generator.hpp>

#include <weft/detail/base/throw_or_die.hpp>

namespace weft::detail {

constinit const misuse_messages generator_misuse{
    .resumed_after_its_end = "weft::generator: ++ of an iterator at the end: compare it with end() before",
    .resumed_while_it_runs = "weft::generator: ++ while the body runs: it is for who takes the elements, not for the "
                             "body, and for one thread at a time",
    .suspended_while_it_waits = "weft::generator: yield() while the body does not run: it is for the body, and for "
                                "what the body calls",
    .suspended_without_a_value =
        "weft: a generator's body was suspended without a value: it suspends by yield() alone",
};

void throw_cannot_begin(const fiber_record& fiber) {
    throw_or_die(fiber_error(is_fiber(fiber) ? "weft::generator: begin() was called before, and the elements are made once: "
                                               "keep its iterator, or make another generator"
                                             : "weft::generator: begin() of a generator that was moved from"));
}

} // namespace weft::detail
