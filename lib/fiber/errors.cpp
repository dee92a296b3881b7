// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "errors.h"

#include <weft/detail/base/throw_or_die.hpp>
#include <weft/detail/fiber/fiber_state.hpp>
#include <weft/detail/fiber/resume.hpp>
#include <weft/fiber.hpp>

#include <cstddef>
#include <stdexcept>
#include <string>

namespace weft {

fiber_error::~fiber_error() = default;
not_in_fiber::~not_in_fiber() = default;

namespace detail {

void throw_not_resumable(const fiber_record& fiber) {
    if (!is_fiber(fiber)) throw_or_die(fiber_error("weft: resume() of an empty fiber: it was moved from or never given a body"));
    const bool generator = fiber.details->operations->yields;
    if (fiber.progress & ended)
        throw_or_die(fiber_error(generator ? "weft::generator: ++ of an iterator at the end: compare it with end() before"
                                           : "weft: resume() of a fiber that has ended: ask done() before resuming"));
    if (generator)
        throw_or_die(fiber_error("weft::generator: ++ while the body runs: it is for who takes the elements, not for the "
                                 "body, and for one thread at a time"));
    throw_or_die(
        fiber_error("weft: resume() of a running fiber: only a suspended one can be resumed, by one thread at a time"));
}

void throw_not_suspendable(const fiber_record& fiber) {
    throw_or_die(fiber_error(fiber.details->operations->yields
                                 ? "weft::generator: yield() while the body does not run: it is for the body, and for "
                                   "what the body calls"
                                 : "weft: suspend() of a fiber that is not running: only the fiber itself, or one it "
                                   "has resumed, can suspend it"));
}

void throw_cannot_begin(const fiber_record& fiber) {
    throw_or_die(fiber_error(is_fiber(fiber) ? "weft::generator: begin() was called before, and the elements are made once: "
                                               "keep its iterator, or make another generator"
                                             : "weft::generator: begin() of a generator that was moved from"));
}

void throw_stack_too_small(std::size_t size, std::size_t needed) {
    throw_or_die(std::invalid_argument("weft: a stack of " + std::to_string(size) +
                                       " bytes cannot hold this fiber's body; give it " + std::to_string(needed) +
                                       " bytes or more, or capture less"));
}

void throw_stack_named_twice() {
    throw_or_die(std::invalid_argument("weft: fiber_options::stack_size beside a stack allocator, which decides on the "
                                       "size: name one of the two"));
}

} // namespace detail

} // namespace weft
