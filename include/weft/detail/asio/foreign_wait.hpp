// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// How an awaitable waits for an operation of another library.
// Included by weft/detail/asio/adapter.hpp, once for each Asio, hence no include guard.

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace WEFT_THIS_ASIO { // NOLINT(modernize-concat-nested-namespaces): the macro may be a nested name
namespace weft_detail {

/// What an awaitable waits with for an operation of another library: an operation of this Asio that whatever completes
/// the other one completes. A timer is the one thing that a context keeps, drops when it is destroyed, and can be told
/// from any thread to complete.
///
/// The completing thread reaches the context only by cancelling the timer, if the context's gate is open. That lets
/// another thread run the body, and this one's owner destroy the context. So the coroutine does not go on, and is not
/// destroyed, before that call has returned; and once the coroutine is destroyed, whatever completes the operation finds
/// the wait abandoned.
template <class Executor>
class foreign_wait {
    using timer = basic_waitable_timer<std::chrono::steady_clock, wait_traits<std::chrono::steady_clock>, Executor>;

public:
    // The timer comes first: the gate is to close before the timers' service ends.
    explicit foreign_wait(const Executor& executor)
        : timer_(executor, std::chrono::steady_clock::time_point::max()), gate_(gate_of(executor)),
          waker_(wake(*this).handle) {}
    ~foreign_wait() {
        if (!given_ || waker_.promise().returned_unless_abandoned()) waker_.destroy();
    }
    foreign_wait(const foreign_wait&) = delete;
    foreign_wait& operator=(const foreign_wait&) = delete;

    template <class Handler>
    void start(::weft::detail::await_request& request, Handler handler) {
        timer_.async_wait(
            bind_cancellation_slot(cancellation_slot(), [h = std::move(handler)](auto) mutable { std::move(h)(); }));
        given_ = true;
        const std::coroutine_handle<> next = request.start(request, waker_);
        if (next) next.resume();
    }

private:
    /// The coroutine whose handle the other operation gets.
    struct waker {
        struct promise_type {
            static void* operator new(std::size_t size) { return ::weft::detail::allocate_waker(size); }
            static void operator delete(void* frame, std::size_t size) noexcept { ::weft::detail::free_waker(frame, size); }

            waker get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
            std::suspend_always initial_suspend() const noexcept { return {}; }
            auto final_suspend() const noexcept {
                struct leave {
                    bool await_ready() const noexcept { return false; }
                    void await_suspend(std::coroutine_handle<promise_type> self) const noexcept { promise_type::end(self); }
                    void await_resume() const noexcept {}
                };
                return leave{};
            }
            void return_void() const noexcept {}
            void unhandled_exception() const noexcept { std::terminate(); }

            /// Resumed: is there anything to wake?
            bool begin() noexcept {
                auto expected = state::waits;
                return state_.compare_exchange_strong(expected, state::wakes, std::memory_order_acq_rel);
            }

            /// Has it been resumed? Then it has also returned, when this returns.
            bool returned_unless_abandoned() noexcept {
                auto expected = state::waits;
                if (state_.compare_exchange_strong(expected, state::abandoned, std::memory_order_acq_rel)) return false;
                // It takes some hundred instructions, if this thread has not taken the processor from the other one,
                // as a scheduler does that runs the woken first. Then to yield is no help: that prefers third ones.
                for (int tries = 0; state_.load(std::memory_order_acquire) != state::returned; ++tries)
                    if (tries >= 1000) std::this_thread::sleep_for(std::chrono::microseconds(20));
                return true;
            }

        private:
            enum class state { waits, wakes, returned, abandoned };

            // The thread that sees that it has returned destroys it. Not inline: Clang before 19 lets code of await_suspend use
            // the frame after that.
            [[gnu::noinline]] static void end(std::coroutine_handle<promise_type> self) noexcept {
                std::atomic<state>& to = self.promise().state_;
                if (to.load(std::memory_order_relaxed) == state::abandoned)
                    self.destroy();
                else
                    to.store(state::returned, std::memory_order_release);
            }

            std::atomic<state> state_ = state::waits;
        };

        struct begins {
            bool it = false;
            bool await_ready() const noexcept { return false; }
            bool await_suspend(std::coroutine_handle<promise_type> self) noexcept {
                it = self.promise().begin();
                return false;
            }
            bool await_resume() const noexcept { return it; }
        };

        std::coroutine_handle<promise_type> handle;
    };

    static waker wake(foreign_wait& wait) {
        typename waker::begins begins;
        if (co_await begins) wait.gate_->enter([&] { wait.timer_.cancel(); });
    }

    timer timer_;
    const std::shared_ptr<context_gate> gate_; // the context may be gone before this is
    std::coroutine_handle<typename waker::promise_type> waker_;
    bool given_ = false;
};

template <class Executor>
awaitable<void, Executor> wait_for_foreign(::weft::detail::await_request& request, awaitable_stop& stop) {
    const Executor executor = co_await this_coro::executor;
    const cancellation_state state = co_await this_coro::cancellation_state;
    struct joined {
        awaitable_stop& stop;
        std::optional<awaitable_wait> wait = std::nullopt;
        ~joined() { stop.end_wait(); }
    } with{stop};
    const bool refuses = co_await this_coro::throw_if_cancelled();
    if (cancellation_slot slot = state.slot(); slot.is_connected())
        slot.assign(with.wait.emplace(stop, executor, refuses).request());
    stop.begin_wait(state, with.wait ? &*with.wait : nullptr);
    foreign_wait<Executor> wait(executor);
    use_awaitable_t<Executor> token;
    co_await async_initiate<use_awaitable_t<Executor>, void()>(
        [&request, &wait](auto handler) { wait.start(request, std::move(handler)); }, token);
}

} // namespace weft_detail
} // namespace WEFT_THIS_ASIO
