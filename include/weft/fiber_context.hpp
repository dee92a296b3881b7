// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/control_block.hpp>
#include <weft/detail/exception_state.hpp>
#include <weft/detail/sanitizer.hpp>
#include <weft/stack.hpp>
#include <weft/switch.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

/// \file
/// The interface and rules of std::fiber_context, P0876R24: flows of control that hand over to each other.
///
///     weft::fiber_context other{[](weft::fiber_context&& caller) {
///         std::puts("one");
///         caller = std::move(caller).resume();  // back to main; returns with whoever comes next
///         std::puts("two");
///         return std::move(caller);             // who runs after the end
///     }};
///     other = std::move(other).resume();
///     other = std::move(other).resume();        // empty now: it has ended
///
/// Which to choose? weft::fiber knows who resumed it and suspends to that, moves between threads, is unwound when it is
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

class WEFT_TAGGED fiber_context;

namespace detail {

struct fiber_record;
struct context_access;

/// A flow of control that does not run: what a fiber_context stands for. Lies on its own stack.
struct WEFT_TAGGED waiting_flow {
    context registers = nullptr;
    std::uint64_t owner = 0;              // the number of its thread; 0 before its first resume
    exception_state exceptions;
    fiber_record* fiber = nullptr;        // the innermost weft::fiber that runs in it
    const stack_bounds* stack = nullptr;  // of the fiber_context; null: a thread's
    sanitizer_fiber sanitizer{};
};

struct WEFT_TAGGED context_record;

/// What comes with control.
struct WEFT_TAGGED handover {
    fiber_context (*call)(void* fn, fiber_context&& caller) = nullptr; // to be done on arrival, if there is a caller
    void* fn = nullptr;
    waiting_flow* caller = nullptr; // null: it has ended
    waiting_flow* target = nullptr;
    context_record* ended = nullptr;
};

/// A fiber_context's fiber; lies at the top of its stack.
struct context_record : waiting_flow {
    fiber_context (*run)(context_record&, const handover&) = nullptr; // calls the entry and destroys it
    void (*release)(context_record&) noexcept = nullptr;              // gives the stack back; on another stack
    stack_bounds memory{};
    handover last; // what its successor gets
};

/// Makes `record` ready to run on the memory between `lowest` and itself.
WEFT_API void prepare_context(context_record& record, void* lowest) noexcept;

/// Leaves the running flow for `target`, and returns with what comes when somebody resumes it.
WEFT_API handover hand_over(waiting_flow& target, handover sent) noexcept;

WEFT_API bool may_resume(const waiting_flow& flow) noexcept;

[[noreturn]] WEFT_API void terminate_context(const char* sentence) noexcept;
[[noreturn]] WEFT_API void throw_context_stack_misaligned();
[[noreturn]] WEFT_API void throw_context_stack_too_small(std::size_t size, std::size_t needed);

template <class T>
concept is_fiber_context = std::same_as<std::remove_cvref_t<T>, fiber_context>;

/// Exactly fiber_context or fiber_context&&.
template <class Fn, class Result = std::invoke_result_t<Fn, fiber_context&&>>
concept returns_fiber_context = std::same_as<Result, fiber_context> || std::same_as<Result, fiber_context&&>;

} // namespace detail

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
    /// with whoever left for it, with nothing if that has ended, or with what a function of resume_with returned.
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

/// What arrives in a flow as an object.
inline fiber_context receive(const handover& came) {
    if (!came.caller) return {};
    return came.call(came.fn, context_access::make(*came.caller));
}

/// A record together with its entry and with what gives the stack back, both on that stack.
template <class Entry, class GiveBack>
class WEFT_TAGGED context_frame final : public context_record {
public:
    template <class F, class G>
    static waiting_flow& create(std::span<std::byte> memory, F&& entry, G&& give_back) {
        const auto lowest = reinterpret_cast<std::uintptr_t>(memory.data());
        const std::uintptr_t top = lowest + memory.size();
        const std::uintptr_t place = (top - sizeof(context_frame)) & ~(std::uintptr_t{alignof(context_frame)} - 1);
        if (memory.size() < sizeof(context_frame) || place < lowest + least_room)
            throw_context_stack_too_small(memory.size(), sizeof(context_frame) + alignof(context_frame) + least_room);
        begin_stack(memory.data(), memory.size());
        auto* const frame = new (reinterpret_cast<void*>(place))
            context_frame(std::forward<F>(entry), std::forward<G>(give_back));
        frame->memory = {memory.data(), memory.size()};
        prepare_context(*frame, memory.data());
        return *frame;
    }

private:
    static constexpr std::size_t least_room = 2048; // for the first frames of any entry

    template <class F, class G>
    context_frame(F&& entry, G&& give_back) : give_back_(std::forward<G>(give_back)), entry_(std::forward<F>(entry)) {
        this->run = &run_entry;
        this->release = &release_stack;
    }
    ~context_frame() {}

    static fiber_context run_entry(context_record& record, const handover& came) {
        const entry_guard destroys_it{static_cast<context_frame&>(record).entry_};
        fiber_context caller = receive(came);
        return std::invoke(std::move(destroys_it.entry), std::move(caller));
    }

    static void release_stack(context_record& record) noexcept {
        auto& frame = static_cast<context_frame&>(record);
        GiveBack give_back(std::move(frame.give_back_));
        const std::span<std::byte> memory{const_cast<std::byte*>(static_cast<const std::byte*>(frame.memory.lowest)),
                                          frame.memory.size};
        frame.~context_frame();
        give_back(memory);
    }

    struct entry_guard {
        Entry& entry;
        ~entry_guard() { std::destroy_at(&entry); }
    };

    GiveBack give_back_;
    union {
        Entry entry_;
    };
};

/// Gives a stack back to the process-wide pool.
struct give_back_to_pool {
    void operator()(std::span<std::byte> memory) const noexcept {
        default_stack_allocator{}.deallocate({memory.size(), memory.data() + memory.size()});
    }
};

/// Calls a user's deleter.
template <class D, std::size_t N>
struct give_back_to_deleter {
    D deleter;
    void operator()(std::span<std::byte> memory) {
        std::invoke(std::move(deleter), std::span<std::byte, N>{memory.data(), memory.size()});
    }
};

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
    flow_ = &detail::context_frame<std::decay_t<F>, detail::give_back_to_pool>::create(
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
    flow_ = &detail::context_frame<std::decay_t<F>, give_back>::create(stack, std::forward<F>(entry),
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
    return detail::receive(detail::hand_over(*std::exchange(flow_, nullptr), {.call = erased, .fn = &call}));
}
/// \endcond

} // namespace weft
