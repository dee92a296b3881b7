// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/await.hpp>
#include <weft/detail/body_stop.hpp>
#include <weft/detail/cancellable_wait.hpp>
#include <weft/detail/operation_start.hpp>
#include <weft/detail/throw_or_die.hpp>
#include <weft/detail/waker_memory.hpp>
#include <weft/stackful.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace weft {

/// A completion token: suspends the running stackful body until an asynchronous operation has completed, and returns
/// its result: nothing, the value, or a std::tuple of several. A leading error_code or exception_ptr is thrown instead,
/// the former as system_error of the same Asio.
///
/// In the body of an asio::awaitable it is use_awaitable: the operation has the associated executor, cancellation slot
/// and allocator that it would have there, starts when the body has left its stack, and goes on where it completes. In
/// the body of another coroutine type it is a plain callback: nothing is associated with it but a cancellation slot, by
/// which whatever cancels the body cancels the operation (lib/doc/cancellation.md), so that an operation completes on the
/// executor of its own I/O object (asio::post without an executor on the system executor); asio::bind_executor and the
/// like give it what it shall have.
///
/// What starting the operation throws appears here, where use_awaitable lets it leave run(). If the start has given the
/// handler away before, there is somebody who will call it: the exception leaves run() as there, and in another
/// coroutine type appears here when the operation completes.
///
/// An operation that completes inside of its start goes on after it, if the start has called the handler itself, and in
/// the call of the executor, if one calls it (asio::dispatch). Of these every 16th in a row goes on by a post to that
/// executor, so that a loop of them does not grow the stack; one bound by asio::bind_executor does not, and nests as
/// with use_awaitable.
/// \pre In the body of another coroutine type: the coroutine must not be destroyed before the operation has completed or
/// the operation's context has been destroyed. (Cancel the operation and let the coroutine end. An asio::awaitable is owned
/// by what it waits for, so this cannot happen to it.)
/// \throws not_in_fiber if no stackful body is running.
struct WEFT_TAGGED use_fiber_t {
    /// An executor for I/O objects whose operations take this token when none is given.
    template <class InnerExecutor>
    struct executor_with_default : InnerExecutor {
        using default_completion_token_type = use_fiber_t; ///< for Asio

        /// Made of what converts to the inner one.
        template <class Other>
            requires(!std::same_as<Other, executor_with_default> && std::convertible_to<Other, InnerExecutor>)
        executor_with_default(const Other& executor) noexcept : InnerExecutor(executor) {}
    };

    /// The type of an I/O object like T (a socket, an acceptor, a resolver, a timer) whose operations do, and those of
    /// the objects that it makes: an acceptor's sockets.
    ///
    ///     weft::use_fiber_t::as_default_on_t<tcp::acceptor> acceptor(io, endpoint);
    ///     auto socket = acceptor.async_accept();
    template <class T>
    using as_default_on_t = typename T::template rebind_executor<executor_with_default<typename T::executor_type>>::other;

    /// Makes such an object of `object`.
    template <class T>
    static as_default_on_t<std::decay_t<T>> as_default_on(T&& object) {
        return as_default_on_t<std::decay_t<T>>(std::forward<T>(object));
    }
};
/// The one to pass: `socket.async_read_some(buffer, weft::use_fiber)`.
inline constexpr use_fiber_t use_fiber{};

namespace detail {
/// How co_spawn starts something there. Specialised by the adapter of each Asio for its executors and contexts.
template <class Where>
struct spawner {
    static constexpr bool available = false;
};
} // namespace detail

/// Starts a stackful body `fn(co)` on an executor, or on one of an execution context: asio::co_spawn of an
/// asio::awaitable that has this body. `co` is a coroutine_ref_for<asio::awaitable<void>>, whatever `fn` returns. The
/// completion signature is void(std::exception_ptr), or void(std::exception_ptr, T) with what `fn` returns, decayed; T
/// must be default constructible, as there. `fn` may be move-only. The token's cancellation slot cancels what the body
/// awaits.
///
///     weft::co_spawn(io, [](auto& co) { return parse(co); }, asio::use_future);
///
/// With GCC 12 and use_awaitable name a body that captures by value first, see stackful().
/// An object, not a function: an unqualified co_spawn with weft::use_fiber is Asio's. Its calls throw what asio::co_spawn
/// throws, and what moving `fn` does.
struct co_spawn_t {
    /// On a stack from the process-wide pool.
    template <class Where, class Fn, class Token>
    auto operator()(Where&& where, Fn&& fn, Token&& token) const {
        return spawn(default_stack_allocator{}, std::forward<Where>(where), std::forward<Fn>(fn), std::forward<Token>(token));
    }
    /// The same with options.
    template <class Where, class Fn, class Token>
    auto operator()(Where&& where, fiber_options options, Fn&& fn, Token&& token) const {
        using with = detail::allocator_with_options<default_stack_allocator>;
        return spawn(with{{}, options}, std::forward<Where>(where), std::forward<Fn>(fn), std::forward<Token>(token));
    }
    /// On a stack from `allocator`.
    template <class Where, stack_allocator Allocator, class Fn, class Token>
    auto operator()(Where&& where, std::allocator_arg_t, Allocator allocator, Fn&& fn, Token&& token) const {
        return spawn(std::move(allocator), std::forward<Where>(where), std::forward<Fn>(fn), std::forward<Token>(token));
    }

private:
    template <class Allocator, class Where, class Fn, class Token>
    static auto spawn(Allocator allocator, Where&& where, Fn&& fn, Token&& token) {
        using spawner = detail::spawner<Where>;
        static_assert(spawner::available, "weft::co_spawn: the first argument is no executor, and no execution context, of "
                                          "an Asio whose header of weft's is included");
        if constexpr (spawner::available)
            return spawner::spawn(std::move(allocator), std::forward<Where>(where), std::forward<Fn>(fn),
                                  std::forward<Token>(token));
        else
            return detail::refused{};
    }
};
/// The one to call.
inline constexpr co_spawn_t co_spawn{};

namespace detail {

/// A move-only void() kept in place, called once: how a completed operation goes on. Dropped with it is what would.
class continuation {
public:
    static constexpr std::size_t capacity = 32;

    continuation() noexcept = default;

    template <class Fn>
        requires(!std::same_as<Fn, continuation>)
    explicit continuation(Fn fn) noexcept : use_(&use<Fn>) {
        static_assert(sizeof(Fn) <= capacity && std::is_nothrow_move_constructible_v<Fn>);
        new (storage_) Fn(std::move(fn));
    }
    continuation(continuation&& other) noexcept : use_(std::exchange(other.use_, nullptr)) {
        if (use_) use_(storage_, other.storage_, nullptr);
    }
    continuation& operator=(continuation&& other) noexcept {
        if (this != &other) {
            this->~continuation();
            new (this) continuation(std::move(other));
        }
        return *this;
    }
    ~continuation() {
        if (use_) use_(storage_, nullptr, nullptr);
    }

    /// Has it neither been called nor moved from?
    explicit operator bool() const noexcept { return use_ != nullptr; }

    void operator()() && {
        continuation self(std::move(*this)); // the call may destroy where it was kept
        self.use_(self.storage_, nullptr, &self.use_);
    }

private:
    using use_function = void (*)(void* here, void* from, void* call);

    // Moves `from` here; or calls what is here, once, if `call` is given; or destroys it.
    template <class Fn>
    static void use(void* here, void* from, void* call) {
        if (from) {
            Fn& source = *std::launder(static_cast<Fn*>(from));
            new (here) Fn(std::move(source));
            source.~Fn(); // NOLINT(bugprone-use-after-move): what was moved from is destroyed
            return;
        }
        Fn& fn = *std::launder(static_cast<Fn*>(here));
        if (call)
            fn();
        else
            fn.~Fn();
    }

    use_function use_ = nullptr;
    alignas(std::max_align_t) std::byte storage_[capacity];
};

} // namespace detail
} // namespace weft
