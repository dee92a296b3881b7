// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/await.hpp>
#include <weft/detail/senders/execution.hpp>
#include <weft/detail/senders/stop.hpp>
#include <weft/task.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace weft::detail {

template <class T>
struct task_value {
    using signature = execution::set_value_t(T);
};
template <>
struct task_value<void> {
    using signature = execution::set_value_t();
};

/// A task connected to a receiver: nothing but the task's own coroutine is allocated.
template <class T, class Receiver>
class task_operation final : private task_observer, private stop_provider {
public:
    using operation_state_concept = execution::operation_state_tag;

    task_operation(task<T>&& work, Receiver receiver) noexcept : task_(std::move(work)), receiver_(std::move(receiver)) {}
    task_operation(const task_operation&) = delete;
    task_operation& operator=(const task_operation&) = delete;

    void start() & noexcept {
        const auto coroutine = task_adapter<T, Receiver>::coroutine(task_);
        coroutine.promise().observed_by(*this);
        coroutine.promise().stopped_by(this);
        coroutine.resume();
    }

private:
    // The receiver may destroy this operation, and with it the task.
    void task_ended() noexcept override {
        bridge_.end();
        auto& promise = task_adapter<T, Receiver>::coroutine(task_).promise();
        std::exception_ptr failure;
        bool stopped = false;
        if constexpr (std::is_void_v<T>) {
            WEFT_TRY {
                promise.take();
            }
            WEFT_CATCH(const operation_stopped&) {
                stopped = true;
            }
            WEFT_CATCH(...) {
                failure = std::current_exception();
            }
            if (!stopped && !failure) return execution::set_value(std::move(receiver_));
        } else {
            std::add_pointer_t<T> value = nullptr;
            WEFT_TRY {
                auto&& result = promise.take();
                value = std::addressof(result);
            }
            WEFT_CATCH(const operation_stopped&) {
                stopped = true;
            }
            WEFT_CATCH(...) {
                failure = std::current_exception();
            }
            if (value) return execution::set_value(std::move(receiver_), static_cast<T&&>(*value));
        }
        if (stopped)
            execution::set_stopped(std::move(receiver_));
        else
            execution::set_error(std::move(receiver_), std::move(failure));
    }

    void answer(stop_answer& to) override {
        to.token = bridge_.get(stop_tokens::get_stop_token(execution::get_env(receiver_)));
    }

    task<T> task_;
    Receiver receiver_;
    stop_bridge<stop_token_in<execution::env_of_t<Receiver>>> bridge_;
};

/// A task that is nothing but a sender.
template <class T>
struct only_sender {
    using sender_concept = execution::sender_tag;
    using completion_signatures =
        execution::completion_signatures<typename task_value<T>::signature, execution::set_error_t(std::exception_ptr),
                                         execution::set_stopped_t()>;
    task<T> work;

    template <class Receiver>
    task_operation<T, Receiver> connect(Receiver receiver) && {
        return {std::move(work), std::move(receiver)};
    }
};

template <class T, class Late>
struct task_adapter {
    template <class Receiver>
    using operation = task_operation<T, Receiver>;

    using completion_signatures = typename only_sender<T>::completion_signatures;

    template <class Promise>
    static decltype(auto) await_in(task<T>&& work, Promise& promise) {
        return execution::as_awaitable(only_sender<T>{std::move(work)}, promise);
    }
    static auto coroutine(const task<T>& t) noexcept { return t.handle_; }
};

} // namespace weft::detail

template <class T>
inline constexpr bool WEFT_EXECUTION::enable_sender<weft::task<T>> = true;
