// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/migration.hpp>

#include "checksum.h"
#include "migration.h"
#include "thread_number.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace weft {
namespace {

void say_and_abort(const migration_report& report) noexcept {
    if (report.why == migration_report::reason::bound_to_thread) {
        std::fprintf(stderr,
                     "weft: a fiber that holds %s was resumed on another thread, which that does not belong to: let go "
                     "of it before awaiting, or resume the fiber on one thread only\n",
                     report.held);
        std::abort();
    }
    static std::atomic_flag said;
    if (said.test_and_set(std::memory_order_relaxed)) return;
    std::fputs("weft: a fiber that was suspended inside of a catch block was resumed on another thread: weft takes the "
               "exception along, but what else was looked up there may belong to the old one (said once; "
               "weft::set_migration_handler sees every case)\n",
               stderr);
}

std::atomic<migration_handler> handler{&say_and_abort};

void report(migration_report::reason why, detail::fiber_record& fiber, const char* held) noexcept {
    handler.load(std::memory_order_relaxed)({why, fiber_ref{fiber}, held});
}

} // namespace

migration_handler set_migration_handler(migration_handler next) noexcept {
    const migration_handler before = handler.exchange(next ? next : &say_and_abort, std::memory_order_relaxed);
    return before == &say_and_abort ? nullptr : before;
}

namespace detail {

thread_binding::thread_binding(const char* held) noexcept
    : held_(held), thread_(this_thread_number()), fiber_(running_fiber(this_thread())) {
    if (!fiber_) return;
    link_ = &fiber_->details->bindings;
    next_ = fiber_->details->bindings;
    if (next_) next_->link_ = &next_;
    fiber_->details->bindings = this;
    fiber_->state |= bound;
}

thread_binding::~thread_binding() {
    if (!fiber_) return;
    *link_ = next_;
    if (next_) next_->link_ = link_;
    if (!fiber_->details->bindings) fiber_->state &= ~std::uint32_t{bound};
}

void check_migration(fiber_record& fiber) noexcept {
    for (fiber_record* f = &fiber; f; f = f->details->inner)
        for (const thread_binding* b = f->details->bindings; b; b = b->next())
            if (b->thread() != this_thread_number()) report(migration_report::reason::bound_to_thread, *f, b->held());
    if (fiber.state & checked && fiber.details->exceptions.caught && fiber.details->left != this_thread_number())
        report(migration_report::reason::caught_exception, fiber, "a caught exception");
}

void note_thread(fiber_record& fiber) noexcept {
    if (fiber.state & checked && fiber.details->exceptions.caught) fiber.details->left = this_thread_number();
}

} // namespace detail
} // namespace weft
