// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft for one Asio: included by weft/asio.hpp with WEFT_ASIO = boost::asio, by weft/standalone_asio.hpp with asio.
// Meant to be included once for each, hence no include guard.

#include <atomic>
#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

namespace WEFT_ASIO { // NOLINT(modernize-concat-nested-namespaces): the macro may be a nested name
namespace weft_detail {

/// await_request::kind of an operation of this Asio in this version: another one's is another type.
inline constexpr std::uint64_t operation_kind = WEFT_ASIO_KIND;

/// Lets other threads into a context until it ends.
class context_gate {
public:
    /// Calls `fn`, inside of which the context does not end, unless it has ended.
    template <class Fn>
    void enter(Fn fn) {
        const std::lock_guard lock(mutex_);
        if (open_) fn();
    }
    void close() noexcept {
        const std::lock_guard lock(mutex_);
        open_ = false;
    }

private:
    std::mutex mutex_;
    bool open_ = true;
};

/// Closes a context's gate when it ends, before the services that it had when this one was made: a context shuts its
/// services down from the last to the first, and asks for no lock of theirs when it drops their operations.
class context_end final : public execution_context::service {
public:
    inline static execution_context::id id;

    explicit context_end(execution_context& context) : service(context) {}
    const std::shared_ptr<context_gate>& gate() const noexcept { return gate_; }

private:
    void shutdown() noexcept override { gate_->close(); }

    const std::shared_ptr<context_gate> gate_ = std::make_shared<context_gate>();
};

/// That of the context of an executor.
inline const std::shared_ptr<context_gate>& gate_of(const any_io_executor& executor) {
    return use_service<context_end>(query(executor, execution::context)).gate();
}

/// Stops the bodies of awaitables, and what they await, when Asio cancels the awaitable.
class awaitable_stop : public ::weft::detail::stop_provider {
public:
    awaitable_stop(const awaitable_stop&) = delete;
    awaitable_stop& operator=(const awaitable_stop&) = delete;

    ::weft::detail::stop_provider* provider() noexcept { return this; }
    void end() noexcept {}

    /// From now on the body waits for something that the awaitable knows nothing of. `wait`: null if nothing can cancel it.
    void begin_wait(const cancellation_state& state, ::weft::detail::cancellable_wait* wait) {
        const std::lock_guard lock(mutex_);
        look_at(state);
        waits_ = true;
        wait_ = wait;
    }
    void end_wait() noexcept {
        const std::lock_guard lock(mutex_);
        waits_ = false;
        wait_ = nullptr;
    }
    /// Meanwhile Asio has cancelled the awaitable.
    void cancelled() {
        ::weft::detail::stop_of_body stop;
        {
            const std::lock_guard lock(mutex_);
            cancelled_ = true;
            stop = stop_;
        }
        stop.stop();
    }

    void answer(::weft::detail::stop_answer& to) override {
        ::weft::detail::stop_of_body stop;
        {
            const std::lock_guard lock(mutex_);
            if (!waits_ && !stop_.is_unwinding(to)) look_at(state());
            if (!connected_) return;
            stop_.answer(to);
            if (!cancelled_) return;
            stop = stop_;
        }
        stop.stop();
    }
    ::weft::detail::cancellable_wait* waiting() noexcept override { return wait_; }

protected:
    awaitable_stop() noexcept = default;
    ~awaitable_stop() = default;

private:
    virtual cancellation_state state() = 0; // of the awaitable, which runs

    void look_at(const cancellation_state& state) {
        connected_ = state.slot().is_connected();
        cancelled_ = state.cancelled() != cancellation_type::none;
        if (!cancelled_) stop_.forget(); // the state has been reset
    }

    std::mutex mutex_;
    ::weft::detail::stop_of_body stop_;
    bool connected_ = false;
    bool cancelled_ = false;
    bool waits_ = false;
    ::weft::detail::cancellable_wait* wait_ = nullptr;
};

template <class Promise>
class awaitable_stop_of final : public awaitable_stop {
public:
    explicit awaitable_stop_of(Promise& promise) noexcept : promise_(promise) {}

private:
    cancellation_state state() override {
        return promise_.await_transform(this_coro::cancellation_state).await_resume();
    }

    Promise& promise_;
};

/// Cancels what the body of an awaitable waits for, when Asio cancels the awaitable.
class awaitable_wait final : public ::weft::detail::cancellable_wait {
public:
    awaitable_wait(awaitable_stop& stop, const any_io_executor& executor, bool refuses) noexcept
        : cancellable_wait(false), stop_(stop), executor_(executor), refuses_(refuses) {
        enter();
    }
    ~awaitable_wait() { leave(); }

    /// What the slot of the awaitable calls; it may be left there.
    auto request() const noexcept {
        return
            [number = number()](cancellation_type_t how) { cancellable_wait::request(number, static_cast<type>(how)); };
    }

    bool refuses() const noexcept override { return refuses_; }
    const void* executor(std::uint64_t kind) const noexcept override {
        return kind == operation_kind ? &executor_ : nullptr;
    }

private:
    void requested(type) override { stop_.cancelled(); }
    void emitted(type) override {}

    awaitable_stop& stop_;
    const any_io_executor executor_;
    const bool refuses_;
};

/// Cancels an operation of a body that is no awaitable's, with whatever cancels that body. Asio wants that to happen on
/// the executor of the operation.
class operation_wait final : public ::weft::detail::cancellable_wait {
public:
    explicit operation_wait(const ::weft::detail::driver& driver) : cancellable_wait(true) {
        if (::weft::detail::cancellable_wait* const above = driver.stop->waiting()) {
            enter();
            refused_ = join(*above) != 0 && above->refuses();
            if (const void* const executor = above->executor(operation_kind))
                cancelled_on_ = *static_cast<const any_io_executor*>(executor);
        } else if (stop_.possible(driver)) {
            enter();
            stop_.cancel(*this);
        }
    }
    ~operation_wait() {
        stop_.end();
        leave();
    }

    /// It has been cancelled before, so that the operation is not to be started.
    bool refused() const noexcept { return refused_; }
    cancellation_slot slot() noexcept { return signal_.slot(); }

    /// Where the handler of the operation is called.
    void executor_is(const any_io_executor& executor) noexcept {
        if (executor == cancelled_on_) return;
        std::shared_ptr<context_gate> gate;
        WEFT_TRY {
            gate = gate_of(executor);
        }
        WEFT_CATCH(...) {
            return; // without memory it is cancelled wherever that is requested
        }
        const lock with(*this);
        executor_ = executor;
        gate_ = std::move(gate);
    }

private:
    void requested(type how) override {
        any_io_executor executor;
        std::shared_ptr<context_gate> gate;
        {
            const lock with(*this);
            executor = executor_;
            gate = gate_;
        }
        if (!gate) return emitted(how);
        gate->enter([&] { (post)(executor, [n = number(), how] { cancellable_wait::emit(n, how); }); });
    }
    void emitted(type how) override { signal_.emit(static_cast<cancellation_type_t>(how)); }

    cancellation_signal signal_;
    any_io_executor cancelled_on_;
    any_io_executor executor_;
    std::shared_ptr<context_gate> gate_; // null: the executor is the one it is cancelled on, or not known
    ::weft::detail::wait_stop stop_;
    bool refused_ = false;
};

/// An operation started by use_fiber: lies on the body's stack while the body waits for it.
class operation_base {
public:
    operation_base(const operation_base&) = delete;
    operation_base& operator=(const operation_base&) = delete;

    /// Starts it for a coroutine of this Asio, which owns the body, and which `next` owns: it goes on when `next` is
    /// called, and ends when `next` is dropped.
    void start(::weft::detail::continuation next, const any_io_executor& executor, cancellation_slot slot,
               ::weft::detail::await_request& request) {
        using outcome = ::weft::detail::operation_start::outcome;
        next_ = std::move(next);
        executor_ = executor;
        slot_ = slot;
        outcome end = outcome::pending;
        bool failed = false;
        ::weft::detail::operation_start here;
        WEFT_TRY {
            begin_in_awaitable(here.ticket());
            end = here.ended();
        }
        WEFT_CATCH(...) {
            end = here.ended();
            if (end != outcome::completed && end != outcome::dropped) WEFT_RETHROW;
            request.failure = ::weft::detail::held_exception();
            failed = true;
        }
        if (end == outcome::completed || failed)
            go_on_inside(true);
        else if (end == outcome::dropped)
            drop();
    }

    ::weft::detail::await_request request() noexcept { return {&start_for_driver, this, false, operation_kind}; }

protected:
    explicit operation_base(::weft::detail::driver& driver) noexcept : driver_(&driver) {}
    ~operation_base() = default;

    virtual void begin_in_awaitable(::weft::detail::start_ticket ticket) = 0;
    virtual void begin(::weft::detail::start_ticket ticket) = 0;

    // Each of these may destroy this object.
    void go_on() {
        driver_->nested = 0;
        ::weft::detail::continuation next(std::move(next_));
        std::move(next)();
    }
    // What goes on inside of a start, and starts an operation that does so too, runs over the stack in the end; Asio's
    // coroutines do.
    void go_on_inside(bool by_own_executor) {
        constexpr unsigned limit = 16;
        if (++driver_->nested < limit || !by_own_executor) {
            ::weft::detail::continuation next(std::move(next_));
            std::move(next)();
        } else {
            driver_->nested = 0;
            const any_io_executor executor = executor_;
            (post)(executor, [next = std::move(next_)]() mutable { std::move(next)(); });
        }
    }
    void drop() noexcept { const ::weft::detail::continuation next(std::move(next_)); }

    void set_executor(const any_io_executor& executor) noexcept {
        executor_ = executor;
        cancelled_on(executor);
    }
    void cancelled_on(const any_io_executor& executor) noexcept {
        if (cancellation_) [[unlikely]]
            cancellation_->executor_is(executor);
    }
    std::uint64_t wait_number() const noexcept { return cancellation_ ? cancellation_->number() : 0; }

    any_io_executor executor_; // where a handler that is not bound to another one is called, if that is known
    cancellation_slot slot_;

private:
    // For a coroutine that is no awaitable of this Asio: completion resumes it.
    static std::coroutine_handle<> start_for_driver(::weft::detail::await_request& request,
                                                    std::coroutine_handle<> driver) noexcept {
        using outcome = ::weft::detail::operation_start::outcome;
        auto& self = *static_cast<operation_base*>(request.awaiter);
        if (self.driver_->stop) [[unlikely]] {
            WEFT_TRY {
                self.join();
            }
            WEFT_CATCH(...) {
                request.failure = ::weft::detail::held_exception();
                return driver;
            }
        }
        const std::uint64_t wait = self.wait_number();
        self.next_ = ::weft::detail::continuation([driver] { driver.resume(); });
        ::weft::detail::operation_start here;
        outcome end = outcome::pending;
        WEFT_TRY {
            self.begin(here.ticket());
            end = here.ended();
        }
        WEFT_CATCH(...) {
            end = here.ended(&request.failure);
            if (end == outcome::elsewhere) std::terminate(); // the body may be anywhere
            if (end != outcome::pending) {
                request.failure = ::weft::detail::held_exception();
                return driver;
            }
        }
        if (end == outcome::completed) return driver;
        if (wait) ::weft::detail::cancellable_wait::started(wait);
        return nullptr;
    }

    // Has the operation cancelled with the body. \throws what an awaitable throws instead of starting an operation.
    void join() {
        if (cancellation_.emplace(*driver_).refused())
            ::weft::detail::throw_or_die(WEFT_ASIO_ERROR::system_error(error::operation_aborted, "co_await"));
        if (cancellation_->number())
            slot_ = cancellation_->slot();
        else
            cancellation_.reset();
    }

    ::weft::detail::continuation next_;
    ::weft::detail::driver* driver_;
    std::optional<operation_wait> cancellation_; // not of an awaitable's body, whose slot the operation has
};

/// What an operation calls when it has completed.
///
/// If nobody has asked what is associated with it, and it is called inside of the start, then the function that starts
/// has simply called it: there the coroutine goes on when that function has returned. Otherwise it may be an executor
/// that calls it, and the coroutine has to go on in that call.
template <class Operation, bool InAwaitable>
class handler_base {
public:
    handler_base(Operation& operation, ::weft::detail::start_ticket ticket) noexcept
        : operation_(&operation), ticket_(ticket), wait_(operation.wait_number()) {}
    handler_base(handler_base&& other) noexcept
        : operation_(std::exchange(other.operation_, nullptr)), ticket_(other.ticket_), wait_(other.wait_),
          asked_(other.asked_) {}
    ~handler_base() {
        if (!operation_) return;
        if (wait_) ::weft::detail::cancellable_wait::abandon(wait_);
        if (ticket_.dropped()) return;
        if constexpr (InAwaitable) operation_->drop(); // any other coroutine may be gone before
    }

    template <class... Args>
    void operator()(Args&&... args) {
        operation_->set_results(std::forward<Args>(args)...);
        Operation& operation = *std::exchange(operation_, nullptr);
        if (asked_ == what::nothing) {
            if (!ticket_.completed()) operation.go_on();
        } else if (ticket_.completed_in_place()) {
            operation.go_on_inside(asked_ == what::executor);
        } else {
            operation.go_on();
        }
    }

    /// It is about to be called by an executor, but not yet known by which.
    void asked() const noexcept {
        if (asked_ == what::nothing) asked_ = what::something;
    }
    /// By that of a coroutine of this Asio.
    const any_io_executor& executor() const noexcept {
        asked_ = what::executor;
        return operation_->executor();
    }
    /// By this one.
    template <class Executor>
    void executor_is(const Executor& executor) const noexcept {
        if constexpr (std::convertible_to<Executor, any_io_executor>) {
            if (!operation_ || asked_ == what::executor) return;
            asked_ = what::executor;
            operation_->set_executor(executor);
        } else {
            asked();
        }
    }

    /// It is bound to this one.
    template <class Executor>
    void cancelled_on(const Executor& executor) const noexcept {
        if constexpr (std::convertible_to<Executor, any_io_executor>)
            if (operation_) operation_->cancelled_on(executor);
    }

protected:
    Operation& operation() const noexcept { return *operation_; }

private:
    enum class what : unsigned char { nothing, something, executor };

    Operation* operation_;
    ::weft::detail::start_ticket ticket_;
    std::uint64_t wait_; // 0: nothing cancels it but what is associated with it
    mutable what asked_ = what::nothing;
};

/// In the body of an awaitable: with all that is associated with the handlers of use_awaitable.
template <class Operation>
class handler_in_awaitable : public handler_base<Operation, true> {
public:
    using executor_type = any_io_executor;
    using cancellation_slot_type = cancellation_slot;
    using handler_base<Operation, true>::handler_base;

    executor_type get_executor() const noexcept { return this->executor(); }
    cancellation_slot_type get_cancellation_slot() const noexcept { return this->operation().slot(); }
};

/// In the body of another coroutine type: a plain callback, but for what cancels it.
template <class Operation>
class handler : public handler_base<Operation, false> {
public:
    using cancellation_slot_type = cancellation_slot;
    using handler_base<Operation, false>::handler_base;

    cancellation_slot_type get_cancellation_slot() const noexcept { return this->operation().slot(); }
};

#if WEFT_ASIO_HAS_INLINE_EXECUTOR
/// The executor of a handler that has none: Asio's default of today cannot post, so it is that of before.
template <class Executor>
using default_executor = std::conditional_t<std::is_same_v<Executor, inline_executor>, system_executor, Executor>;
#else
template <class Executor>
using default_executor = Executor;
#endif

/// What is associated with a handler by default, but the handler is told.
template <class Handler, class Default>
struct default_allocator {
    using type = Default;
    static type get(const Handler& h, const Default& allocator = Default()) noexcept {
        h.asked();
        return allocator;
    }
};

template <class Begin, class... Results>
class operation final : public operation_base {
public:
    operation(::weft::detail::driver& driver, Begin begin) : operation_base(driver), begin_(std::move(begin)) {}

    std::tuple<Results...>& results() noexcept { return *results_; }

    // For handlers.
    using operation_base::drop;
    using operation_base::go_on;
    using operation_base::go_on_inside;
    template <class... Args>
    void set_results(Args&&... args) {
        results_.emplace(std::forward<Args>(args)...);
    }
    using operation_base::cancelled_on;
    using operation_base::set_executor;
    using operation_base::wait_number;
    const any_io_executor& executor() const noexcept { return executor_; }
    cancellation_slot slot() const noexcept { return slot_; }

private:
    void begin_in_awaitable(::weft::detail::start_ticket ticket) override {
        begin_with(handler_in_awaitable<operation>(*this, ticket));
    }
    void begin(::weft::detail::start_ticket ticket) override { begin_with(handler<operation>(*this, ticket)); }

    template <class Handler>
    void begin_with(Handler h) {
        Begin begin(std::move(begin_)); // another thread may complete the operation, and the body go on and leave
        begin(std::move(h));            // this object, while this line is still running
    }

    Begin begin_;
    std::optional<std::tuple<Results...>> results_;
};

#if WEFT_ASIO_HAS_DISPOSITIONS
template <class T>
inline constexpr bool is_error = is_disposition<T>::value;

template <class T>
void throw_if(T& disposition) {
    if (!disposition_traits<T>::not_an_error(disposition))
        std::rethrow_exception(disposition_traits<T>::to_exception_ptr(std::move(disposition)));
}
#else
template <class T>
inline constexpr bool is_error = std::is_same_v<T, WEFT_ASIO_ERROR::error_code> || std::is_same_v<T, std::exception_ptr>;
#endif

inline void throw_if(const WEFT_ASIO_ERROR::error_code& error) {
    if (error) ::weft::detail::throw_or_die(WEFT_ASIO_ERROR::system_error(error));
}
inline void throw_if(const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
}

/// What is left of the results of an operation: nothing, one or several.
template <class... Values>
struct given {
    using type = std::tuple<Values...>;
    static type take(Values&... values) { return type(std::move(values)...); }
};
template <class Value>
struct given<Value> {
    using type = Value;
    static type take(Value& value) { return std::move(value); }
};
template <>
struct given<> {
    using type = void;
    static type take() noexcept {}
};

/// The same, when a leading error has been thrown.
template <class... Results>
struct given_or_thrown : given<Results...> {};
template <class First, class... Rest>
    requires is_error<First>
struct given_or_thrown<First, Rest...> : given<Rest...> {
    static typename given<Rest...>::type take(First& first, Rest&... rest) {
        throw_if(first);
        return given<Rest...>::take(rest...);
    }
};

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

            // Whoever sees that it has returned destroys it. Not inline: Clang before 19 lets code of await_suspend use
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

template <class Operation, class Allocator>
struct associated_allocator<weft_detail::handler_in_awaitable<Operation>, Allocator>
    : weft_detail::default_allocator<weft_detail::handler_in_awaitable<Operation>, Allocator> {};
template <class Operation, class Allocator>
struct associated_allocator<weft_detail::handler<Operation>, Allocator>
    : weft_detail::default_allocator<weft_detail::handler<Operation>, Allocator> {};
template <class Operation, class Executor>
struct associated_executor<weft_detail::handler<Operation>, Executor> {
    using type = weft_detail::default_executor<Executor>;
    static type get(const weft_detail::handler<Operation>& h) noexcept { return get(h, Executor()); }
    static type get(const weft_detail::handler<Operation>& h, const Executor& executor) noexcept {
        if constexpr (std::is_same_v<type, Executor>) {
            h.executor_is(executor);
            return executor;
        } else {
            h.executor_is(type());
            return type();
        }
    }
};
/// What asio::bind_executor makes of it. The handler is told where the operation may be cancelled.
template <class Operation, class Bound, class Executor>
struct associated_executor<executor_binder<weft_detail::handler<Operation>, Bound>, Executor> {
    using type = Bound;
    static type get(const executor_binder<weft_detail::handler<Operation>, Bound>& h,
                    const Executor& = Executor()) noexcept {
        h.get().cancelled_on(h.get_executor());
        return h.get_executor();
    }
};

template <class R, class... Args>
class async_result<::weft::use_fiber_t, R(Args...)> {
    using result = weft_detail::given_or_thrown<std::decay_t<Args>...>;

public:
    using return_type = typename result::type; // which adapters of tokens, redirect_error for one, ask for

    // The type is named: Asio asks for it with arguments that the function could not be compiled for.
    template <class Initiation, class... InitArgs>
    static return_type initiate(Initiation&& initiation, ::weft::use_fiber_t, InitArgs&&... args) {
        ::weft::detail::driver& driver = ::weft::detail::ambient_driver();
        auto begin = [start = std::decay_t<Initiation>(std::forward<Initiation>(initiation)),
                      with = std::tuple<std::decay_t<InitArgs>...>(std::forward<InitArgs>(args)...)](auto handler) mutable {
            std::apply([&](auto&... arg) { std::move(start)(std::move(handler), std::move(arg)...); }, with);
        };
        weft_detail::operation<decltype(begin), std::decay_t<Args>...> operation(driver, std::move(begin));
        ::weft::detail::await_request request = operation.request();
        ::weft::detail::suspend_for(driver, request);
        return std::apply([](auto&... results) { return result::take(results...); }, operation.results());
    }
};

} // namespace WEFT_ASIO

#include <weft/detail/asio_body.hpp>

namespace weft {

template <class T, class Executor, class Promise>
struct detail::coroutine_stop<WEFT_ASIO::awaitable<T, Executor>, Promise> {
    using type = WEFT_ASIO::weft_detail::awaitable_stop_of<Promise>;
};

/// An awaitable takes operations of its own Asio only, so what weft::await waits for is made one.
template <class T, class Executor, class Promise>
struct ambient_adapter<WEFT_ASIO::awaitable<T, Executor>, Promise> {
    static constexpr bool available = true;
    using services = WEFT_ASIO::weft_detail::services_with<Executor, Promise>;

    static WEFT_ASIO::awaitable<void, Executor> wait(detail::await_request& request,
                                                     WEFT_ASIO::weft_detail::awaitable_stop& stop) {
        constexpr bool converts = std::convertible_to<Executor, WEFT_ASIO::any_io_executor>;
        static_assert(converts, "weft: the executor of this awaitable must convert to any_io_executor, so that use_fiber can "
                                "associate it with an operation");
        if constexpr (!converts) {
            return {};
        } else {
            if (request.kind == WEFT_ASIO::weft_detail::awaitable_kind)
                return static_cast<WEFT_ASIO::weft_detail::awaited_here_base<Executor>*>(request.awaiter)->wait();
            if (request.kind != WEFT_ASIO::weft_detail::operation_kind)
                return WEFT_ASIO::weft_detail::wait_for_foreign<Executor>(request, stop);
            auto& operation = *static_cast<WEFT_ASIO::weft_detail::operation_base*>(request.awaiter);
            WEFT_ASIO::use_awaitable_t<Executor> token;
            return WEFT_ASIO::async_initiate<WEFT_ASIO::use_awaitable_t<Executor>, void()>(
                [&operation, &request](auto handler) {
                    const auto slot = WEFT_ASIO::get_associated_cancellation_slot(handler);
                    const WEFT_ASIO::any_io_executor executor = WEFT_ASIO::get_associated_executor(handler);
                    operation.start(detail::continuation(std::move(handler)), executor, slot, request);
                },
                token);
        }
    }
};

} // namespace weft
