// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "account.hpp"
#include "crowd.hpp"
#include "faults.hpp"
#include "program.hpp"

#include <weft/await.hpp>
#include <weft/stop_token.hpp>

#include <cfenv>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <thread>
#include <type_traits>

/// \file
/// What bodies await.
namespace soak {

/// How an operand completes, and how it ends.
struct manner {
    enum class way : std::uint8_t { ready, at_once, later, before_return, last };
    enum class ending : std::uint8_t { answer, ready_throws, suspend_throws, resume_throws };
    way how;
    ending end;
};

/// An operand whose await_suspend returns void, bool or a handle.
template <class Result>
class operand {
public:
    operand(object& whose, crowd& home, std::uint64_t question, manner m) noexcept
        : whose_{whose}, home_{home}, question_{question}, manner_{m} {}

    bool await_ready() const {
        if (manner_.end == manner::ending::ready_throws) refuse(event::refused_ready);
        return manner_.how == manner::way::ready && manner_.end != manner::ending::suspend_throws;
    }
    Result await_suspend(std::coroutine_handle<> awaiting) {
        if (manner_.end == manner::ending::suspend_throws) refuse(event::refused_suspend);
        if (std::fegetround() != FE_TONEAREST) fail("an await_suspend ran with the rounding mode of a body");
        const bool at_once = manner_.how == manner::way::at_once;
        const bool slow = manner_.how == manner::way::before_return;
        if (!at_once || std::is_void_v<Result>) {
            home_.put({&whose_, turn::kind::handle, awaiting}); // gone, perhaps, from here on
            if (slow)
                for (int n = 0; n < 4; ++n) std::this_thread::yield();
        }
        if constexpr (std::is_same_v<Result, bool>)
            return !at_once;
        else if constexpr (!std::is_void_v<Result>)
            return at_once ? awaiting : std::coroutine_handle<>{std::noop_coroutine()};
    }
    std::uint64_t await_resume() const {
        token_.check();
        if (manner_.end == manner::ending::resume_throws) refuse(event::refused_resume);
        return answer_to(question_);
    }

private:
    [[noreturn]] void refuse(event e) const {
        happened(e);
        throw fault{question_};
    }

    object& whose_;
    crowd& home_;
    std::uint64_t question_;
    manner manner_;
    token<thing::operand> token_;
};

/// Waits until the object is told to stop.
class until_stopped {
public:
    until_stopped(object& whose, crowd& home, bool inside) noexcept : whose_{whose}, home_{home}, inside_{inside} {}

    bool await_ready() {
        asked_ = weft::this_fiber::get_stop_token();
        if (!asked_.stop_possible()) fail("a stop token did not reach a body");
        return false;
    }
    void await_suspend(std::coroutine_handle<> awaiting) {
        awaiting_ = awaiting;
        callback_.emplace(asked_, wake{this});
        home_.put({&whose_, turn::kind::stop});
    }
    void await_resume() const {
        token_.check();
        if (!asked_.stop_requested()) fail("a body that waits to be stopped goes on");
        happened(event::stopped);
        throw weft::operation_stopped{};
    }

private:
    struct wake {
        until_stopped* self;
        void operator()() const {
            if (self->inside_)
                self->awaiting_.resume(); // destroys this callback meanwhile
            else
                self->home_.put({&self->whose_, turn::kind::handle, self->awaiting_});
        }
    };

    object& whose_;
    crowd& home_;
    bool inside_;
    std::stop_token asked_;
    std::coroutine_handle<> awaiting_;
    token<thing::operand> token_;
    std::optional<std::stop_callback<wake>> callback_;
};

} // namespace soak
