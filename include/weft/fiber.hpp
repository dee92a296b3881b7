// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/fiber_record.hpp>
#include <weft/detail/idle_fibers.hpp>
#include <weft/fp_env.hpp>
#include <weft/stack.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

/// \file
/// Stackful coroutines: a body that can suspend from any depth of calls.
///
///     weft::fiber f{[](weft::fiber_ref self) {
///         std::puts("one");
///         self.suspend();
///         std::puts("two");
///     }};
///     while (!f.done()) f.resume();
///
/// The handle owns the stack and the body. A fiber may be resumed from any thread, by one thread at a time; what the
/// body keeps across a suspension must not depend on the thread: errno, thread_local addresses,
/// std::this_thread::get_id() (compilers take both for constant within a function), held mutexes.
/// Each fiber has its own exceptions: it may suspend inside a catch block and `throw;` later.
///
/// Without exceptions (-fno-exceptions) what would throw says the same sentence and ends the program. A suspended fiber
/// can then not be unwound: one whose body was compiled so must be run to its end before it is destroyed, or the
/// program ends.
///
/// Next: weft/generator.hpp, a range of what a body yields; weft/stackful.hpp, a body that awaits.
namespace weft {

/// Misuse of a fiber; what() says what to do instead.
class WEFT_EXPORT fiber_error : public std::logic_error {
public:
    using std::logic_error::logic_error;
    ~fiber_error() override;
};

/// Something that needs a running fiber was called outside of one.
class WEFT_EXPORT not_in_fiber : public fiber_error {
public:
    using fiber_error::fiber_error;
    ~not_in_fiber() override;
};

/// Unwinds the body of a suspended fiber that is being destroyed: thrown by the suspension it waits in. Let it pass. It
/// is no std::exception; a `catch (...)` that swallows it meets it again at the next suspension. A destructor that
/// suspends while it passes meets it too, and ends the program, as with any exception that leaves a destructor; so does
/// one that is suspended while another exception passes, when its fiber is destroyed.
class WEFT_EXPORT forced_unwind {
public:
    /// Made by weft alone.
    explicit forced_unwind(const detail::fiber_record& fiber) noexcept : fiber_{&fiber} {}
    /// Is this the one that unwinds `fiber`? For weft, which ends it there.
    bool unwinds(const detail::fiber_record& fiber) const noexcept { return fiber_ == &fiber; }

private:
    const detail::fiber_record* fiber_;
};

/// Names a fiber without owning it; valid while the fiber exists. What a body is given to suspend itself with.
class WEFT_TAGGED fiber_ref {
public:
    /// Made by weft; see this_fiber::get().
    explicit fiber_ref(detail::fiber_record& fiber) noexcept : fiber_{&fiber} {}

    /// Gives control back to whoever resumed the fiber; returns at its next resume, possibly on another thread.
    /// May be called from a fiber that this one has resumed: then both are suspended, and continue together.
    /// \throws forced_unwind if the fiber is being destroyed; fiber_error if it is not running.
    /// \pre called on the thread the fiber runs on.
    WEFT_ALWAYS_INLINE void suspend() const { detail::suspend(*fiber_); }

    /// What the fiber is called in reports and debuggers; "" if it has no name.
    const char* name() const noexcept { return fiber_->details->name ? fiber_->details->name : ""; }
    /// Only the pointer is kept: to a string literal, or to what lives as long as the fiber.
    void set_name(const char* name) const noexcept {
        fiber_->details->name = name;
        fiber_->progress |= detail::named;
    }

    friend bool operator==(fiber_ref, fiber_ref) noexcept = default;

private:
    friend struct detail::fiber_access;
    detail::fiber_record* fiber_;
};

/// What a fiber can run: a function object called with a fiber_ref or with nothing, once. Its result is ignored.
template <class Fn>
concept fiber_body = std::move_constructible<Fn> && (std::invocable<Fn&, fiber_ref> || std::invocable<Fn&>);

/// How a fiber is to be made, or the body of a generator or a coroutine (see weft/generator.hpp, weft/stackful.hpp):
///
///     weft::fiber f{weft::fiber_options{.floating_point = weft::fp_env::per_fiber, .name = "parser"}, body};
struct fiber_options {
    fp_env floating_point = fp_env::thread; ///< whose rounding mode it runs with
    const char* name = nullptr; ///< see fiber_ref::set_name
    /// How much stack it has, at least, in bytes; 0: default_stack_size(). It comes from stack_pool::process(stack_size).
    /// Not together with an allocator, whose stacks have the size they have.
    std::size_t stack_size = 0;
};

namespace detail {

[[noreturn]] WEFT_API void throw_stack_too_small(std::size_t size, std::size_t needed);
[[noreturn]] WEFT_API void throw_stack_named_twice();

/// What lies at the top of a fiber's stack: its details, room for its body, and the allocator and the memory of the
/// stack.
template <class Allocator, std::size_t BodySize, std::size_t BodyAlignment>
class WEFT_TAGGED fiber_frame final : public fiber_details {
public:
    using stack_type = decltype(std::declval<Allocator&>().allocate());

    /// A fiber without a body.
    static fiber_record& create(Allocator allocator) {
        const stack_type memory = allocator.allocate();
        const auto top = reinterpret_cast<std::uintptr_t>(memory.sp);
        const std::uintptr_t place = (top - sizeof(fiber_frame)) & ~(std::uintptr_t{alignof(fiber_frame)} - 1);
        const std::uintptr_t lowest = top - memory.size;
        if (memory.size < sizeof(fiber_frame) || place < lowest + least_room) [[unlikely]] {
            give_back(allocator, memory);
            throw_stack_too_small(memory.size, top - place + least_room);
        }
        begin_stack(reinterpret_cast<void*>(lowest), memory.size);
        fiber_frame* frame = nullptr;
        WEFT_TRY {
            frame = new (reinterpret_cast<void*>(place)) fiber_frame(allocator, memory);
            return prepare(*frame, {reinterpret_cast<void*>(lowest), memory.size});
        }
        WEFT_CATCH(...) {
            if (frame) frame->~fiber_frame();
            give_back(allocator, memory);
            WEFT_RETHROW;
        }
    }

    /// Where a body can be made.
    static void* body(const fiber_record& record) noexcept { return of(record).body_; }
    template <class Body>
    static constexpr bool fits = sizeof(Body) <= BodySize && alignof(Body) <= BodyAlignment;

    static void release(fiber_record& record) noexcept {
        fiber_frame& frame = of(record);
        Allocator allocator = std::move(frame.allocator_);
        stack_type memory = frame.memory_;
        frame.~fiber_frame();
        allocator.deallocate(memory);
    }

    static stack_bounds memory(const fiber_record& record) noexcept {
        const stack_type& memory = of(record).memory_;
        const std::size_t size = memory.size;
        return {static_cast<const std::byte*>(static_cast<void*>(memory.sp)) - size, size};
    }

private:
    static constexpr std::size_t least_room = 1024; // for the first frames of any body

    // By value and not inlined, so that create() can keep `memory` in registers: written to its own stack in two words
    // and copied as one, it would cost a stall of some 12 cycles.
    [[gnu::noinline, gnu::cold]] static void give_back(Allocator allocator, stack_type memory) {
        allocator.deallocate(memory);
    }

    fiber_frame(const Allocator& allocator, const stack_type& memory) : allocator_(allocator), memory_(memory) {}

    static fiber_frame& of(const fiber_record& record) noexcept { return static_cast<fiber_frame&>(*record.details); }

    Allocator allocator_;
    stack_type memory_;
    alignas(BodyAlignment) unsigned char body_[BodySize];
};

/// That of the fibers which threads keep when they have ended, with room for the body of most. (Frames end with a cache
/// line.)
using idle_fiber_frame = fiber_frame<default_stack_allocator, 128, alignof(fiber_details)>;

/// A body in a frame.
template <class Frame, class Body>
struct WEFT_TAGGED fiber_body {
    static Body& of(const fiber_record& record) noexcept {
        return *std::launder(static_cast<Body*>(Frame::body(record)));
    }

    static void run(fiber_record& record) {
        const guard destroys_it{of(record)};
        if constexpr (std::invocable<Body&, fiber_ref>)
            std::invoke(destroys_it.body, fiber_ref{record});
        else
            std::invoke(destroys_it.body);
    }

    static void destroy(fiber_record& record) noexcept { std::destroy_at(&of(record)); }

    struct guard {
        Body& body;
        ~guard() { std::destroy_at(&body); }
    };

    static constexpr fiber_operations operations{
        &run, &destroy, &Frame::release, &Frame::memory, WEFT_EXCEPTIONS != 0, requires { typename Body::yields; }};
};

/// Stands in for a body that could not be made.
struct no_body {
    void operator()() const noexcept {}
};

template <class Allocator, class Fn>
fiber_record& make_fiber([[maybe_unused]] Allocator allocator, Fn&& fn) {
    using body = std::decay_t<Fn>;
    constexpr bool idle = std::same_as<Allocator, default_stack_allocator> && idle_fiber_frame::fits<body>;
    using frame = std::conditional_t<idle, idle_fiber_frame, fiber_frame<Allocator, sizeof(body), alignof(body)>>;
    fiber_record* fiber;
    if constexpr (idle) {
        fiber = &take_idle_fiber();
    } else {
        fiber = &frame::create(std::move(allocator));
        fiber->progress |= own_stack;
    }
    const fiber_operations*& operations = fiber->details->operations;
    WEFT_TRY {
        ::new (frame::body(*fiber)) body(std::forward<Fn>(fn));
    }
    WEFT_CATCH(...) {
        operations = &fiber_body<frame, no_body>::operations;
        destroy(*fiber);
        WEFT_RETHROW;
    }
    if (operations != &fiber_body<frame, body>::operations) [[unlikely]] // cheaper to ask than to store
        operations = &fiber_body<frame, body>::operations;
    return *fiber;
}

/// The same with the stack that the options name.
template <class Allocator, class Fn>
fiber_record& make_fiber(Allocator allocator, const fiber_options& options, Fn&& fn) {
    if (options.stack_size != 0) {
        if constexpr (std::same_as<Allocator, default_stack_allocator>)
            return make_fiber(stack_pool::process(options.stack_size).allocator(), std::forward<Fn>(fn));
        else
            throw_stack_named_twice();
    }
    return make_fiber(std::move(allocator), std::forward<Fn>(fn));
}

} // namespace detail

/// Owns a stackful coroutine. Move-only.
class WEFT_TAGGED fiber {
public:
    /// Empty: stands for no fiber.
    fiber() noexcept = default;

    /// Prepares a fiber that will run `fn` on a stack from the process-wide pool. Nothing runs yet.
    /// \throws stack_exhausted, and what copying or moving `fn` throws.
    template <class Fn>
        requires(!std::same_as<std::remove_cvref_t<Fn>, fiber> && fiber_body<std::decay_t<Fn>>)
    explicit fiber(Fn&& fn) : fiber(std::allocator_arg, default_stack_allocator{}, std::forward<Fn>(fn)) {}

    /// The same on a stack from `allocator`; a copy of it gives the stack back.
    /// \throws stack_exhausted if there is no memory for its record; what the allocator throws; std::invalid_argument
    /// if its stack is too small to hold the body.
    template <stack_allocator Allocator, class Fn>
        requires fiber_body<std::decay_t<Fn>>
    fiber(std::allocator_arg_t, Allocator allocator, Fn&& fn)
        : record_{&detail::make_fiber(std::move(allocator), std::forward<Fn>(fn))} {}

    /// The same two with options. \throws also std::invalid_argument if guarded_stack refuses their stack_size, or if
    /// they name one and there is an allocator.
    template <class Fn>
        requires fiber_body<std::decay_t<Fn>>
    fiber(const fiber_options& options, Fn&& fn)
        : fiber(std::allocator_arg, default_stack_allocator{}, options, std::forward<Fn>(fn)) {}
    /// Both.
    template <stack_allocator Allocator, class Fn>
        requires fiber_body<std::decay_t<Fn>>
    fiber(std::allocator_arg_t, Allocator allocator, const fiber_options& options, Fn&& fn)
        : record_{&detail::make_fiber(std::move(allocator), options, std::forward<Fn>(fn))} {
        if (options.name) fiber_ref{*record_}.set_name(options.name);
        if (options.floating_point == fp_env::per_fiber) detail::give_own_fp(*record_);
    }

    /// `other` is empty afterwards; the fiber itself stays where it is.
    fiber(fiber&& other) noexcept : record_{std::exchange(other.record_, none())} {}
    /// Destroys the fiber that this stood for.
    fiber& operator=(fiber&& other) noexcept {
        fiber{std::move(other)}.swap(*this);
        return *this;
    }

    /// A suspended fiber is unwound (see forced_unwind) on its own stack, by this thread; an exception that its body
    /// throws instead has nowhere to go and is dropped. One that never ran is destroyed without running. Destroying
    /// a running fiber ends the program: at once, or on its own stack when the body comes to a suspension or to its end.
    /// (So exit() may be called in the body of a fiber in static storage: that is left as it is.)
    ~fiber() { detail::destroy(*record_); }

    /// Runs the body until it suspends or ends. Costs about as much as an ordinary call or two.
    /// \throws what leaves the body, also if it is no C++ exception; fiber_error if the fiber is done, running or empty.
    WEFT_ALWAYS_INLINE void resume() { detail::resume(*record_); }

    /// Fetches into the cache what resume() touches first; does not wait for it. For a scheduler that knows a few turns
    /// ahead who will be next, among more fibers than fit into the cache. One instruction.
    WEFT_ALWAYS_INLINE void prefetch() const noexcept { __builtin_prefetch(record_, 1); }
    /// The same for where the body left its stack. That is said by what prefetch() fetches: call this some turns after
    /// it.
    /// \pre nobody is resuming the fiber just now.
    WEFT_ALWAYS_INLINE void prefetch_stack() const noexcept {
        __builtin_prefetch(detail::waiting_stack(record_->context), 1);
    }

    /// Has the body ended, by return or by exception? An empty fiber is done.
    bool done() const noexcept { return record_->progress & detail::ended; }

    /// Its name, see fiber_ref; "" also of an empty one.
    const char* name() const noexcept { return *this ? fiber_ref{*record_}.name() : ""; }

    /// Does this handle stand for a fiber?
    explicit operator bool() const noexcept { return detail::is_fiber(*record_); }

    /// Exchanges the handles.
    void swap(fiber& other) noexcept { std::swap(record_, other.record_); }
    friend void swap(fiber& a, fiber& b) noexcept { a.swap(b); }

private:
    friend struct detail::fiber_access;
    static detail::fiber_record* none() noexcept { return const_cast<detail::fiber_record*>(&detail::no_fiber); }

    detail::fiber_record* record_ = none();
};

namespace detail {
struct fiber_access {
    static fiber_record& record(const fiber& f) noexcept { return *f.record_; }
    static fiber_record& record(fiber_ref f) noexcept { return *f.fiber_; }
};
} // namespace detail

/// The fiber that is running on this thread.
namespace this_fiber {

/// Gives control back to the resumer of the running fiber, from any depth of calls.
/// \throws not_in_fiber outside of one; forced_unwind if the fiber is being destroyed.
WEFT_API void suspend();

/// The innermost running fiber. \throws not_in_fiber outside of one.
WEFT_API fiber_ref get();

} // namespace this_fiber

} // namespace weft
