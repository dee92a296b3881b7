// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/fiber_context.hpp>

#include "leak_roots.h"
#include "thread_number.h"

#include <weft/detail/fiber_record.hpp>
#include <weft/detail/throw_or_die.hpp>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

namespace weft::detail {
namespace {

// While a flow waits, the weft::fibers that run in it cannot be suspended: what has control is not above them.
void set_fibers_aside(const waiting_flow& flow) noexcept {
    for (fiber_record* f = flow.fiber; f; f = f->details->outer) {
        f->state |= set_aside;
        set_marks(f->context, all_marks);
    }
}
void take_fibers_up(const waiting_flow& flow) noexcept {
    for (fiber_record* f = flow.fiber; f; f = f->details->outer) {
        f->state &= ~std::uint32_t{set_aside};
        if (!(f->state & (unwinding | abandoned | checked))) set_marks(f->context, not_resumable);
    }
}

// Control is in `flow`, and came with `t`. What gives back the stack of an ended fiber still belongs to that: to one
// that handles no exception any more, and in which no weft::fiber runs.
handover arrive(waiting_flow& flow, transfer t) noexcept {
    const handover came = *static_cast<const handover*>(t.data);
    if (came.ended) {
        remove_leak_root(came.ended->memory.lowest, came.ended->memory.size);
        came.ended->sanitizer.destroy();
        came.ended->release(*came.ended);
    } else {
        came.caller->registers = t.from;
        came.caller->sanitizer.own = flow.sanitizer.resumer;
        came.caller->sanitizer.thread_sanitizer = flow.sanitizer.resumer_thread_sanitizer;
    }
    thread_state& thread = this_thread();
    set_running_fiber(thread, flow.fiber);
    thread.context = flow.stack;
    thread_exceptions() = flow.exceptions;
    take_fibers_up(flow);
    return came;
}

// Calls the entry. What it throws ends the program, and so does the end of the thread in it, where that is unwound to:
// whose frames come next nobody knows. (There is no object of abi::__forced_unwind, and UndefinedBehaviorSanitizer would
// say so.)
__attribute__((no_sanitize("null"))) fiber_context run_entry(context_record& self, const handover& came) noexcept {
#if WEFT_EXCEPTIONS && defined(__GLIBCXX__)
    try {
        return self.run(self, came);
    } catch (const abi::__forced_unwind&) {
        terminate_context("weft: a thread was ended (pthread_exit, pthread_cancel) in the entry of a fiber_context: end it "
                          "outside of the entries, in the function that began the thread");
    }
#else
    return self.run(self, came);
#endif
}

// The first function of a fiber, and the last.
void context_main(transfer t) noexcept {
    auto& self = static_cast<context_record&>(*static_cast<const handover*>(t.data)->target);
    departure{}.back_in_fiber(self.sanitizer);
    const handover came = arrive(self, t);
    fiber_context next = run_entry(self, came);
    if (!next) terminate_context("weft: the entry of a fiber_context returned an empty one: who is to go on?");
    if (!next.can_resume())
        terminate_context("weft: the entry of a fiber_context returned one that has run on another thread");
    waiting_flow& successor = context_access::take(next);
    self.last = {.target = &successor, .ended = &self};
    this_thread().context = nullptr; // it lies on the stack that is given back
    self.sanitizer.resumer = successor.sanitizer.own;
    self.sanitizer.resumer_thread_sanitizer = successor.sanitizer.thread_sanitizer;
    departure{}.to_resumer(self.sanitizer, true);
    jump_context(successor.registers, &self.last);
    terminate_context("weft: a fiber_context that had ended was resumed: its stack was overwritten");
}

} // namespace

void prepare_context(context_record& record, void* lowest) noexcept {
    const auto size = static_cast<std::size_t>(reinterpret_cast<std::byte*>(&record) - static_cast<std::byte*>(lowest));
    record.stack = &record.memory;
    record.sanitizer.create(lowest, size);
    record.registers = make_context(&record, size, &context_main);
    add_leak_root(record.memory.lowest, record.memory.size);
}

handover hand_over(waiting_flow& target, handover sent) noexcept {
    thread_state& thread = this_thread();
    waiting_flow here;
    here.owner = this_thread_number();
    here.exceptions = thread_exceptions();
    here.fiber = running_fiber(thread);
    here.stack = thread.context;
    set_fibers_aside(here);
    sent.caller = &here;
    sent.target = &target;

    departure d;
    d.to_fiber(target.sanitizer, target.sanitizer);
    const transfer t = jump_context(target.registers, &sent);
    d.back_in_fiber(here.sanitizer);
    return arrive(here, t);
}

bool may_resume(const waiting_flow& flow) noexcept {
    return flow.owner == 0 || flow.owner == this_thread_number();
}

void terminate_context(const char* sentence) noexcept {
    std::fprintf(stderr, "%s\n", sentence);
    std::terminate();
}

void throw_context_stack_misaligned() {
    throw_or_die(
        std::invalid_argument("weft: the stack of a fiber_context must begin at a multiple of 16 bytes: align it"));
}

void throw_context_stack_too_small(std::size_t size, std::size_t needed) {
    throw_or_die(std::length_error("weft: a stack of " + std::to_string(size) +
                                   " bytes cannot hold this fiber_context's " + "entry; give it " +
                                   std::to_string(needed) + " bytes or more, or capture less"));
}

} // namespace weft::detail
