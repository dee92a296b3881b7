// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The backend on Boost.Context, for processors weft has no switch of its own for.

#include <weft/detail/switch/inline_switch_fcontext.hpp>
#include <weft/switch.hpp>

#include <boost/context/detail/fcontext.hpp>

#include <cstdlib>

namespace boost_context = boost::context::detail;

// Boost's functions and weft's have the same binary interface; only the types have other names.
static_assert(sizeof(weft::transfer) == sizeof(boost_context::transfer_t));

template <class To, class From>
static To boost_function(From* function) noexcept {
    return reinterpret_cast<To>(reinterpret_cast<void*>(function)); // through void*: only the types' names differ
}

// The first function of a context. make lets it run to its first line, so that the context a program gets is one that
// waits in a jump: on a context that has not begun, Boost's ontop does not hand over what its call returns everywhere
// (not on x86-64), and Boost ends a process quietly whose entry returns.
static void first_function(boost_context::transfer_t made) noexcept {
    const auto entry = reinterpret_cast<void (*)(weft::transfer)>(made.data);
    const boost_context::transfer_t arrived = boost_context::jump_fcontext(made.fctx, nullptr);
    entry({arrived.fctx, arrived.data});
    std::abort(); // entry returned, but nobody is there to return to
}

extern "C" {

weft::context weft_make_context(void* stack_top, std::size_t size, void (*entry)(weft::transfer)) noexcept {
    const auto made = boost_context::make_fcontext(stack_top, size, &first_function);
    return boost_context::jump_fcontext(made, reinterpret_cast<void*>(entry)).fctx;
}

weft::transfer weft_jump_context(weft::context to, void* data) {
    const boost_context::transfer_t arrived = boost_context::jump_fcontext(to, data);
    return {arrived.fctx, arrived.data};
}

weft::transfer weft_ontop_context(weft::context to, void* data, weft::transfer (*call)(weft::transfer)) {
    const boost_context::transfer_t arrived = boost_context::ontop_fcontext(
        to, data, boost_function<boost_context::transfer_t (*)(boost_context::transfer_t)>(call));
    return {arrived.fctx, arrived.data};
}

} // extern "C"

namespace weft {
namespace {

void enter(boost_context::transfer_t arrived) {
    const detail::control_block& block = detail::put_into_block(arrived.fctx, arrived.data);
    const auto entry = reinterpret_cast<void (*)(void*)>(block.entry_function);
    entry(block.entry_argument);
}

} // namespace

void detail::make_control_block(control_block& block, void* stack_top, std::size_t size, void (*entry)(void*),
                                void* argument) noexcept {
    block.context = boost_context::make_fcontext(stack_top, size, &enter);
    set_tags(block, resumable_tag);
    block.entry_function = reinterpret_cast<void*>(entry);
    block.entry_argument = argument;
}

} // namespace weft
