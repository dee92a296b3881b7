// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/await.hpp>
#include <weft/detail/await_request.hpp>
#include <weft/task.hpp>

#include <stop_token>
#include <utility>

/// \file
/// Telling a stackful body to stop, with the standard library's stop tokens.
///
///     std::stop_source source;
///     weft::sync_wait(work(), source.get_token());           // a weft::task, and all tasks that it awaits
///
///     while (!weft::this_fiber::get_stop_token().stop_requested()) weft::await(step()); // in its body, at any depth
///
/// A task passes its token on to the tasks and the senders that it awaits, and to Asio's operations (weft/asio.hpp). One
/// that is started as a sender has that of its receiver; one that an asio::awaitable awaits is told to stop when Asio
/// cancels the awaitable. More in lib/doc/cancellation.md.
namespace weft {

namespace detail {

struct stop_answer {
    std::stop_token token;
    bool unwinding = false; // the promise of the coroutine is not to be asked any more
};

inline std::stop_token stop_token_of(const driver& d) {
    stop_answer a;
    a.unwinding = (d.body->state & unwinding) != 0;
    if (d.stop) d.stop->answer(a);
    return std::move(a.token);
}

class given_stop_token final : public stop_provider {
public:
    explicit given_stop_token(std::stop_token token) noexcept : token_(std::move(token)) {}
    void answer(stop_answer& to) override { to.token = token_; }

private:
    std::stop_token token_;
};

} // namespace detail

namespace this_fiber {

/// The stop token of the running stackful body; an empty one if nobody will tell it to stop. In the body of an
/// asio::awaitable, one that is told when Asio has cancelled the awaitable.
/// \throws not_in_fiber if no stackful body is running; std::bad_alloc: the first call in a body that something else than
/// a std::stop_token stops allocates.
WEFT_TAGGED inline std::stop_token get_stop_token() {
    return detail::stop_token_of(detail::ambient_driver());
}

} // namespace this_fiber

/// As sync_wait(awaitable), and `token` is the stop token of the task, or of whatever asks for one when it is awaited.
/// \throws operation_stopped if the task was stopped.
template <class Awaitable>
WEFT_NO_DANGLING auto sync_wait(Awaitable&& awaitable, std::stop_token token, detail::awaiter_storage<Awaitable&&>&& kept = {}) ->
    typename detail::await_result_of<Awaitable&&>::type {
    detail::given_stop_token stop(std::move(token));
    return detail::sync_wait_stopped_by<Awaitable>(&stop, std::forward<Awaitable>(awaitable), kept);
}

} // namespace weft
