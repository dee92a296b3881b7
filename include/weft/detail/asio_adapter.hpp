// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft for one Asio: included by weft/asio.hpp with WEFT_ASIO = boost::asio, by weft/standalone_asio.hpp with asio.
// Meant to be included once for each, hence no include guard.

#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace WEFT_ASIO { // NOLINT(modernize-concat-nested-namespaces): the macro may be a nested name
namespace weft_detail {

/// await_request::kind of an operation of this Asio in this version: another one's is another type.
inline constexpr std::uint64_t operation_kind = WEFT_ASIO_KIND;

/// Notes that this thread is just starting an operation, so that one which completes at once, inside of the call that
/// starts it, goes on only after that call: a loop of such operations must not nest. One that cannot be started, and so
/// lets go of its handler, goes on after that call too.
class starting {
public:
    explicit starting(const void* operation) noexcept : operation_(operation), outer_(std::exchange(innermost_, this)) {}
    ~starting() { innermost_ = outer_; }
    starting(const starting&) = delete;
    starting& operator=(const starting&) = delete;

    /// Goes on with a completed operation: now, or, if this thread is still starting it, by what start returns.
    static void go_on(const void* operation, ::weft::detail::continuation next) {
        if (starting* const here = of(operation)) {
            here->next_.emplace(std::move(next));
            here->completed_ = true;
        } else {
            std::move(next)();
        }
    }

    /// The handler of an operation is destroyed uncalled: `next` is kept if this thread is still starting it.
    static void let_go(const void* operation, ::weft::detail::continuation& next) noexcept {
        if (starting* const here = of(operation)) here->next_.emplace(std::move(next));
    }

    /// Starting it has thrown: is there a way to go on?
    bool failed() noexcept { return completed_ = next_.has_value(); }

    std::optional<::weft::detail::continuation> completed() noexcept {
        return completed_ ? std::move(next_) : std::nullopt;
    }

private:
    static starting* of(const void* operation) noexcept {
        starting* s = innermost_;
        while (s && s->operation_ != operation) s = s->outer_;
        return s;
    }

    static inline thread_local starting* innermost_ = nullptr;
    const void* operation_;
    starting* outer_;
    std::optional<::weft::detail::continuation> next_;
    bool completed_ = false;
};

/// An operation started by use_fiber: lies on the body's stack while the body waits for it.
class operation_base {
public:
    /// Starts it. `next` is called where it completes; an operation that is dropped drops it. One that completes inside
    /// of the call that starts it leaves `next` to the caller; so does one whose start throws: then `failure` is set.
    virtual std::optional<::weft::detail::continuation> start(::weft::detail::continuation next, cancellation_slot slot,
                                                              std::exception_ptr& failure) = 0;

    ::weft::detail::await_request request() noexcept { return {&start_for_driver, this, false, operation_kind}; }

protected:
    ~operation_base() = default;

private:
    // For a coroutine that is no awaitable of this Asio: completion resumes it.
    static std::coroutine_handle<> start_for_driver(::weft::detail::await_request& request,
                                                    std::coroutine_handle<> driver) noexcept {
        auto& operation = *static_cast<operation_base*>(request.awaiter);
        ::weft::detail::continuation next([driver] { driver.resume(); });
        const bool completed = operation.start(std::move(next), cancellation_slot(), request.failure).has_value();
        return completed ? driver : nullptr;
    }
};

template <class Begin, class... Results>
class operation final : public operation_base {
public:
    explicit operation(Begin begin) : begin_(std::move(begin)) {}

    std::optional<::weft::detail::continuation> start(::weft::detail::continuation next, cancellation_slot slot,
                                                      std::exception_ptr& failure) override {
        starting here(this);
        WEFT_TRY {
            handler h(*this, std::move(next), slot);
            Begin begin(std::move(begin_)); // another thread may complete the operation, and the body go on and leave
            begin(std::move(h));            // this object, while this line is still running
        }
        WEFT_CATCH(...) {
            if (!here.failed()) WEFT_RETHROW; // it was started all the same, and whoever started it has the handler
            failure = std::current_exception();
        }
        return here.completed();
    }

    std::tuple<Results...>& results() noexcept { return *results_; }

private:
    class handler {
    public:
        using cancellation_slot_type = cancellation_slot;

        handler(operation& self, ::weft::detail::continuation next, cancellation_slot slot) noexcept
            : self_(&self), next_(std::move(next)), slot_(slot) {}
        handler(handler&&) noexcept = default;
        ~handler() {
            if (next_) starting::let_go(self_, next_);
        }

        cancellation_slot_type get_cancellation_slot() const noexcept { return slot_; }

        template <class... Args>
        void operator()(Args&&... args) {
            self_->results_.emplace(std::forward<Args>(args)...);
            starting::go_on(self_, std::move(next_));
        }

    private:
        operation* self_;
        ::weft::detail::continuation next_;
        cancellation_slot slot_;
    };

    Begin begin_;
    std::optional<std::tuple<Results...>> results_;
};

template <class T>
inline constexpr bool is_error = std::is_same_v<T, WEFT_ASIO_ERROR::error_code> || std::is_same_v<T, std::exception_ptr>;

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

/// What an awaitable waits with for an operation of another library: an operation of this Asio that whoever completes
/// the other one completes. A timer is the one thing that a context keeps, drops when it is destroyed, and can be told
/// from any thread to complete.
template <class Executor>
class foreign_wait : public std::enable_shared_from_this<foreign_wait<Executor>> {
public:
    explicit foreign_wait(const Executor& executor) : timer_(executor, std::chrono::steady_clock::time_point::max()) {}

    void prepare() { waker_ = wake(this->shared_from_this()).handle; }

    template <class Handler>
    void start(::weft::detail::await_request& request, Handler handler) {
        timer_.async_wait(
            bind_cancellation_slot(cancellation_slot(), [h = std::move(handler)](auto) mutable { std::move(h)(); }));
        const std::coroutine_handle<> next = request.start(request, waker_);
        if (next) next.resume();
    }

    /// What was to wake it will not come any more.
    void abandon() noexcept {
        if (waker_) std::exchange(waker_, nullptr).destroy();
    }

private:
    struct waker {
        struct promise_type {
            waker get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
            std::suspend_always initial_suspend() const noexcept { return {}; }
            std::suspend_never final_suspend() const noexcept { return {}; }
            void return_void() const noexcept {}
            void unhandled_exception() const noexcept { std::terminate(); }
        };
        std::coroutine_handle<> handle;
    };

    // Runs on the completing thread. Cancelling lets another thread go on at once and drop its share of this object.
    static waker wake(std::shared_ptr<foreign_wait> self) {
        self->waker_ = nullptr;
        self->timer_.cancel();
        co_return;
    }

    basic_waitable_timer<std::chrono::steady_clock, wait_traits<std::chrono::steady_clock>, Executor> timer_;
    std::coroutine_handle<> waker_;
};

template <class Executor>
awaitable<void, Executor> wait_for_foreign(::weft::detail::await_request& request) {
    const Executor executor = co_await this_coro::executor;
    const auto wait = std::make_shared<foreign_wait<Executor>>(executor);
    struct abandon_guard {
        foreign_wait<Executor>& wait;
        ~abandon_guard() { wait.abandon(); }
    } guard{*wait};
    wait->prepare();
    use_awaitable_t<Executor> token;
    co_await async_initiate<use_awaitable_t<Executor>, void()>(
        [&request, &wait](auto handler) { wait->start(request, std::move(handler)); }, token);
}

} // namespace weft_detail

template <class... Args>
class async_result<::weft::use_fiber_t, void(Args...)> {
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
        weft_detail::operation<decltype(begin), std::decay_t<Args>...> operation(std::move(begin));
        ::weft::detail::await_request request = operation.request();
        ::weft::detail::suspend_for(driver, request);
        return std::apply([](auto&... results) { return result::take(results...); }, operation.results());
    }
};

} // namespace WEFT_ASIO

namespace weft {

/// An awaitable takes operations of its own Asio only, so what weft::await waits for is made one.
template <class T, class Executor, class Promise>
struct ambient_adapter<WEFT_ASIO::awaitable<T, Executor>, Promise> {
    static constexpr bool available = true;

    static WEFT_ASIO::awaitable<void, Executor> wait(detail::await_request& request) {
        if (request.kind != WEFT_ASIO::weft_detail::operation_kind)
            return WEFT_ASIO::weft_detail::wait_for_foreign<Executor>(request);
        auto& operation = *static_cast<WEFT_ASIO::weft_detail::operation_base*>(request.awaiter);
        WEFT_ASIO::use_awaitable_t<Executor> token;
        return WEFT_ASIO::async_initiate<WEFT_ASIO::use_awaitable_t<Executor>, void()>(
            [&operation, &request](auto handler) {
                const auto slot = WEFT_ASIO::get_associated_cancellation_slot(handler);
                const auto executor = WEFT_ASIO::get_associated_executor(handler);
                detail::continuation next([h = std::move(handler)]() mutable { WEFT_ASIO::dispatch(std::move(h)); });
                if (auto completed = operation.start(std::move(next), slot, request.failure))
                    WEFT_ASIO::post(executor, [c = std::move(*completed)]() mutable { std::move(c)(); });
            },
            token);
    }
};

} // namespace weft
