// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::stackful: name the coroutine type: weft::stackful<R>(fn)
// error: weft::stackful: name the coroutine type: weft::stackful<R>(fn)
// error: weft::stackful: name the coroutine type: weft::stackful<R>(fn)
// error: weft::stackful: name the coroutine type: weft::stackful<R>(fn)
// error: weft::stackful: what the body returns does not convert
// error: weft::task: an asio::awaitable cannot co_await it
// error: weft::await: this operand is not awaitable
// error: weft::await: an asio::awaitable is awaited once
// error: weft::co_spawn: the body must be callable with
// error: weft::co_spawn: the first argument is no executor
// error: weft: the executor of this awaitable must convert to any_io_executor
// needs: asio
// before: GNU 11, Clang 3

#include <weft/asio.hpp>
#include <weft/task.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/use_future.hpp>

namespace asio = boost::asio;

asio::awaitable<void> awaited() {
    co_await weft::stackful([](auto&) {});
}
void spawned(asio::io_context& io) {
    asio::co_spawn(io, weft::stackful([](auto&) { return 1; }), asio::detached);
}
void spawned_on_an_executor(asio::io_context& io) {
    asio::co_spawn(io.get_executor(), weft::stackful([](auto&) { return 1; }), asio::detached);
}
asio::awaitable<int> body_awaits() {
    return weft::stackful([](auto& co) -> int { return co.await(weft::stackful([](auto&) { return 1; })); });
}

asio::awaitable<int> result_that_cannot_be_made() {
    return weft::stackful([](auto&) { return "text"; });
}

asio::awaitable<void> task_awaited(weft::task<void> task) {
    co_await std::move(task);
}

bool deferred(asio::steady_timer& timer) {
    return weft::await(timer.async_wait(asio::deferred));
}

int awaited_twice(asio::awaitable<int>& once) {
    return weft::await(once);
}

std::future<int> body_without_co(asio::io_context& io) {
    return weft::co_spawn(io, [] { return 1; }, asio::use_future);
}
void nowhere(asio::io_context& io) {
    weft::co_spawn(&io, [](auto&) { return 1; }, asio::detached);
}

struct own_executor {
    bool operator==(const own_executor&) const noexcept;
    void execute(auto&& fn) const;
    asio::execution_context& query(asio::execution::context_t) const noexcept;
    static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) {
        return asio::execution::blocking.possibly;
    }
};
asio::awaitable<void, own_executor> executor_of_another_kind() {
    return weft::stackful([](auto&) {});
}
