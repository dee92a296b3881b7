// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/fiber/context_frame.hpp>
#include <weft/stack.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <type_traits>
#include <utility>

/// \file
/// The interface and rules of std::fiber_context, P0876R24: flows of control that switch to each other.
///
///     weft::fiber_context other{[](weft::fiber_context&& caller) {
///         std::puts("one");
///         caller = std::move(caller).resume();  // back to main; returns with the flow that comes next
///         std::puts("two");
///         return std::move(caller);             // what runs after the end
///     }};
///     other = std::move(other).resume();
///     other = std::move(other).resume();        // empty now: it has ended
///
/// Which to choose? weft::fiber knows its resumer and suspends to that, moves between threads, is unwound when it is
/// destroyed, and lets its exceptions out to the resumer: take it for almost everything. fiber_context is symmetric,
/// for schedulers written against the standard's interface: any flow may continue any other one on its thread. It stays
/// on the thread that resumed it first, and it never unwinds: a fiber_context that still stands for a fiber ends the
/// program when it is destroyed or assigned to, and so does an exception that leaves an entry. To cancel one, ask it by
/// a stop_token, or throw from a resume_with.
///
/// Its control words of floating point are its own on x86-64, its thread's on AArch64, as for weft::jump_context.
///
/// The two may run inside of each other. A weft::fiber whose body resumes a fiber_context waits as a fiber_context
/// itself: it can be suspended again when that has come back.
namespace weft {

/// Stands for a fiber that is prepared or suspended, or for none. Move-only.
class fiber_context {
public:
    /// Empty.
    fiber_context() noexcept = default;

    /// Prepares a fiber that will call a copy of `entry` on a stack from the process-wide pool. Nothing runs yet. The
    /// entry gets the flow that was left for it, or what the function of a resume_with returned in its place; it
    /// returns the flow that goes on after its end, which receives an empty object.
    /// \throws stack_exhausted, which is a std::bad_alloc; std::length_error if the entry is too large for such a
    /// stack; what copying `entry` throws.
    template <class F>
        requires(!detail::is_fiber_context<F> && std::constructible_from<std::decay_t<F>, F> &&
                 detail::returns_fiber_context<std::decay_t<F>>)
    explicit fiber_context(F&& entry);

    /// The same on `stack`. When the fiber has ended and the copy of the entry is destroyed, a copy of `deleter` is
    /// called with `stack`, on the stack of the successor and before that goes on; it must not throw. Overflow is
    /// undefined: leave an inaccessible page below.
    /// \throws std::invalid_argument if the memory is not aligned to 16 bytes; std::length_error if it is too small to
    /// hold the entry; what copying throws. Then the stack is still the caller's.
    template <class F, std::size_t N, class D>
        requires(!detail::is_fiber_context<F> && std::constructible_from<std::decay_t<F>, F> &&
                 std::constructible_from<std::decay_t<D>, D> &&
                 std::invocable<std::decay_t<D>, std::span<std::byte, N>> &&
                 detail::returns_fiber_context<std::decay_t<F>>)
    fiber_context(F&& entry, std::span<std::byte, N> stack, D&& deleter);

    /// `other` is empty afterwards.
    fiber_context(fiber_context&& other) noexcept : flow_{std::exchange(other.flow_, nullptr)} {}

    /// Ends the program by std::terminate if this is not empty.
    fiber_context& operator=(fiber_context&& other) noexcept {
        if (flow_) detail::terminate_context("weft: a fiber_context that still stands for a fiber was assigned to");
        flow_ = std::exchange(other.flow_, nullptr);
        return *this;
    }

    /// Ends the program by std::terminate if this is not empty.
    ~fiber_context() {
        if (flow_) detail::terminate_context("weft: a fiber_context that still stands for a fiber was destroyed");
    }

    /// Suspends the running flow and continues the fiber, which gets it as an object. Returns when that is resumed:
    /// with the flow that left for it, with nothing if that has ended, or with what a function of resume_with returned.
    /// \throws what the function of a resume_with to this flow throws.
    /// \pre can_resume(); otherwise std::terminate.
    fiber_context resume() && { return std::move(*this).resume_with(std::identity{}); }

    /// As resume(), but `fn` is called on the fiber's stack with the flow that was left, and what it returns arrives
    /// there in its place. What fn throws leaves the fiber's own resume() or resume_with(); if it has not begun:
    /// std::terminate. `fn` is not copied: one that resumes its caller must live on when this returns.
    template <class Fn>
        requires detail::returns_fiber_context<Fn>
    fiber_context resume_with(Fn&& fn) &&;

    /// May this thread resume it? Not if it is empty or has run on another thread.
    bool can_resume() const noexcept { return flow_ && detail::may_resume(*flow_); }

    /// Does it stand for no fiber?
    bool empty() const noexcept { return !flow_; }
    /// Not empty().
    explicit operator bool() const noexcept { return flow_; }

    /// Exchanges what the two stand for.
    void swap(fiber_context& other) noexcept { std::swap(flow_, other.flow_); }
    friend void swap(fiber_context& a, fiber_context& b) noexcept { a.swap(b); }

private:
    friend struct detail::context_access;
    explicit fiber_context(detail::waiting_flow& flow) noexcept : flow_{&flow} {}

    detail::waiting_flow* flow_ = nullptr;
};

namespace detail {

struct context_access {
    static fiber_context make(waiting_flow& flow) noexcept { return fiber_context{flow}; }
    static waiting_flow& take(fiber_context& from) noexcept { return *std::exchange(from.flow_, nullptr); }
};

template <class Context>
inline Context receive(const delivery& came) {
    if (!came.caller) return {};
    return came.call(came.fn, context_access::make(*came.caller));
}

} // namespace detail

template <class F>
    requires(!detail::is_fiber_context<F> && std::constructible_from<std::decay_t<F>, F> &&
             detail::returns_fiber_context<std::decay_t<F>>)
fiber_context::fiber_context(F&& entry) {
    struct unless_taken {
        stack memory = default_stack_allocator{}.allocate();
        ~unless_taken() {
            if (memory.sp) default_stack_allocator{}.deallocate(memory);
        }
    } pooled;
    const std::size_t size = pooled.memory.size;
    flow_ = &detail::context_frame<fiber_context, std::decay_t<F>, detail::give_back_to_pool>::create(
        {static_cast<std::byte*>(pooled.memory.sp) - size, size}, std::forward<F>(entry), detail::give_back_to_pool{});
    pooled.memory = {};
}

template <class F, std::size_t N, class D>
    requires(!detail::is_fiber_context<F> && std::constructible_from<std::decay_t<F>, F> &&
             std::constructible_from<std::decay_t<D>, D> && std::invocable<std::decay_t<D>, std::span<std::byte, N>> &&
             detail::returns_fiber_context<std::decay_t<F>>)
fiber_context::fiber_context(F&& entry, std::span<std::byte, N> stack, D&& deleter) {
    using give_back = detail::give_back_to_deleter<std::decay_t<D>, N>;
    if (reinterpret_cast<std::uintptr_t>(stack.data()) % 16 != 0) detail::throw_context_stack_misaligned();
    flow_ = &detail::context_frame<fiber_context, std::decay_t<F>, give_back>::create(stack, std::forward<F>(entry),
                                                                       give_back{std::forward<D>(deleter)});
}

/// \cond
template <class Fn>
    requires detail::returns_fiber_context<Fn>
fiber_context fiber_context::resume_with(Fn&& fn) && {
    if (!can_resume())
        detail::terminate_context(flow_ ? "weft: a fiber_context was resumed on another thread than the first time"
                                        : "weft: an empty fiber_context was resumed");
    auto call = [&fn](fiber_context&& caller) -> fiber_context {
        return std::invoke(std::forward<Fn>(fn), std::move(caller));
    };
    constexpr auto erased = [](void* to, fiber_context&& caller) -> fiber_context {
        return (*static_cast<decltype(call)*>(to))(std::move(caller));
    };
    return detail::receive<fiber_context>(detail::switch_to(*std::exchange(flow_, nullptr), {.call = erased, .fn = &call}));
}
/// \endcond

} // namespace weft
