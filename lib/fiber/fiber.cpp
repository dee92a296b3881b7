// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/fiber.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace weft {
namespace {

thread_local constinit detail::thread_state state;

[[noreturn]] void fatal(const char* sentence) noexcept {
    std::fprintf(stderr, "%s\n", sentence);
    std::abort();
}

// The first function on a fiber's stack. It ends by the switch that never comes back.
void fiber_main(void* argument) noexcept {
    auto& fiber = *static_cast<detail::fiber_record*>(argument);
    detail::departure{}.back_in_fiber(fiber.sanitizer);
    try {
        fiber.operations->run(fiber);
    } catch (const forced_unwind& unwind) {
        if (!unwind.unwinds(fiber)) fiber.failure = std::current_exception(); // of an outer fiber: on to our resumer
    } catch (...) {
        fiber.failure = std::current_exception();
    }
    fiber.status = detail::fiber_status::done;
    detail::departure{}.to_resumer(fiber.sanitizer, true);
    detail::switch_to(fiber.context);
    fatal("weft: a fiber that had ended was resumed: its control block was overwritten");
}

} // namespace

fiber_error::~fiber_error() = default;
not_in_fiber::~not_in_fiber() = default;

namespace detail {

[[gnu::noinline]] thread_state& this_thread() noexcept {
    asm volatile("" ::: "memory"); // not a pure function of nothing: the thread may have changed since the last call
    if (!state.exceptions) [[unlikely]]
        state.exceptions = &thread_exceptions();
    return state;
}

inline namespace WEFT_CONTEXT_ABI {
void prepare(fiber_record& fiber, void* stack_top, const void* lowest, const fiber_operations& operations) noexcept {
    const auto size = static_cast<std::size_t>(static_cast<std::byte*>(stack_top) - static_cast<const std::byte*>(lowest));
    fiber.operations = &operations;
    fiber.sanitizer.create(lowest, size);
    make_control_block(fiber.context, stack_top, size, &fiber_main, &fiber);
}
} // namespace WEFT_CONTEXT_ABI

void destroy(fiber_record& fiber) noexcept {
    switch (fiber.status) {
    case fiber_status::prepared:
        fiber.operations->destroy_body(fiber);
        break;
    case fiber_status::suspended:
        fiber.unwinding = true;
        switch_to_fiber(fiber); // runs to the end: while `unwinding` is set no suspension gives control back
        break;
    case fiber_status::running:
        fatal("weft: a running fiber was destroyed: destroy it from outside, after it has suspended or ended");
    case fiber_status::done:
        break;
    }
    fiber.sanitizer.destroy();
    fiber.operations->release(fiber);
}

void throw_not_resumable(const fiber_record* fiber) {
    if (!fiber) throw fiber_error("weft: resume() of an empty fiber: it was moved from or never given a body");
    if (fiber->status == fiber_status::done)
        throw fiber_error("weft: resume() of a fiber that has ended: ask done() before resuming");
    throw fiber_error("weft: resume() of a running fiber: only a suspended one can be resumed, by one thread at a time");
}

void throw_not_running() {
    throw fiber_error("weft: suspend() of a fiber that is not running: only the fiber itself, or one it has resumed, can "
                      "suspend it");
}

void throw_forced_unwind(fiber_record& fiber) {
    throw forced_unwind{fiber};
}

void throw_failure(fiber_record& fiber) {
    std::rethrow_exception(std::exchange(fiber.failure, nullptr));
}

void throw_stack_too_small(std::size_t size, std::size_t needed) {
    throw std::invalid_argument("weft: a stack of " + std::to_string(size) + " bytes cannot hold this fiber's body; give it " +
                                std::to_string(needed) + " bytes or more, or capture less");
}

} // namespace detail

namespace this_fiber {

void suspend() {
    fiber_ref fiber = get();
    fiber.suspend();
}

fiber_ref get() {
    if (detail::fiber_record* const current = detail::this_thread().current) return fiber_ref{*current};
    throw not_in_fiber("weft: this_fiber is used outside of a fiber: call it from a fiber's body or below it");
}

} // namespace this_fiber

} // namespace weft
