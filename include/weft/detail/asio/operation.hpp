// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// An operation that a body waits for, and the handler that Asio calls when it has completed.
// Included by weft/detail/asio/adapter.hpp, once for each Asio, hence no include guard.

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace WEFT_THIS_ASIO { // NOLINT(modernize-concat-nested-namespaces): the macro may be a nested name
namespace weft_detail {

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
/// If no code has asked what is associated with it, and it is called inside of the start, then the function that starts
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

} // namespace weft_detail
} // namespace WEFT_THIS_ASIO
