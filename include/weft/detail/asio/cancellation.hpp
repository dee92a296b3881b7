// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// How Asio's cancellation reaches the bodies of awaitables and what they wait for, and how others' reaches Asio's operations.
// Included by weft/detail/asio/adapter.hpp, once for each Asio, hence no include guard.

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace WEFT_THIS_ASIO { // NOLINT(modernize-concat-nested-namespaces): the macro may be a nested name
namespace weft_detail {

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

} // namespace weft_detail
} // namespace WEFT_THIS_ASIO
