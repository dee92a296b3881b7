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

namespace {

constexpr misuse_messages fiber_misuse{
    .resumed_after_its_end = "weft: resume() of a fiber that has ended: ask done() before resuming",
    .resumed_while_it_runs =
        "weft: resume() of a running fiber: only a suspended one can be resumed, by one thread at a time",
    .suspended_while_it_waits = "weft: suspend() of a fiber that is not running: only the fiber itself, or one it "
                                "has resumed, can suspend it",
    .suspended_without_a_value = nullptr,
};

const misuse_messages& misuse_of(const fiber_record& fiber) noexcept {
    const misuse_messages* const own = fiber.details->operations->misuse;
    return own ? *own : fiber_misuse;
}

} // namespace

void throw_not_resumable(const fiber_record& fiber) {
    if (!is_fiber(fiber)) throw_or_die(fiber_error("weft: resume() of an empty fiber: it was moved from or never given a body"));
    const misuse_messages& say = misuse_of(fiber);
    throw_or_die(fiber_error(fiber.progress & ended ? say.resumed_after_its_end : say.resumed_while_it_runs));
}

void throw_not_suspendable(const fiber_record& fiber) {
    throw_or_die(fiber_error(misuse_of(fiber).suspended_while_it_waits));
}

void check_suspended_with(const fiber_record& fiber, bool value) {
    const char* const without = misuse_of(fiber).suspended_without_a_value;
    if (without && !value) throw_or_die(fiber_error(without));
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
