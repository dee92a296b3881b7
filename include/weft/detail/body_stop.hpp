// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/await_request.hpp>
#include <weft/detail/cancellable_wait.hpp>

#include <cstdint>
#include <version>

#if defined(__cpp_lib_jthread)
#    include <weft/stop_token.hpp>

#    include <optional>
#    include <stop_token>
#    include <utility>
#endif

// Between stop tokens and waits that are cancelled in another way. Where the standard library has no stop tokens (LLVM's,
// before version 20), nobody has one.

namespace weft::detail {

#if defined(__cpp_lib_jthread)

/// The stop tokens of a body that is cancelled in another way.
class stop_of_body {
public:
    void stop() { source_.request_stop(); }
    /// It is no longer to stop: who asks from now on gets another token.
    void forget() noexcept {
        if (source_.stop_requested()) source_ = std::stop_source(std::nostopstate);
    }
    void answer(stop_answer& to) {
        if (!source_.stop_possible()) source_ = std::stop_source();
        to.token = source_.get_token();
    }
    static bool is_unwinding(const stop_answer& asked) noexcept { return asked.unwinding; }

private:
    std::stop_source source_{std::nostopstate}; // for who has asked
};

/// Cancels a wait when the body that waits is told to stop.
class wait_stop {
public:
    /// Can the body be told to stop?
    bool possible(const driver& d) {
        token_ = stop_token_of(d);
        return token_.stop_possible();
    }
    /// From now on until end(). \pre possible()
    void cancel(const cancellable_wait& wait) { callback_.emplace(std::move(token_), request{wait.number()}); }
    void end() noexcept { callback_.reset(); }

private:
    struct request {
        std::uint64_t number;
        void operator()() const { cancellable_wait::request(number, cancellable_wait::every_type); }
    };
    std::stop_token token_;
    std::optional<std::stop_callback<request>> callback_;
};

#else

class stop_of_body {
public:
    void stop() noexcept {}
    void forget() noexcept {}
    void answer(stop_answer&) noexcept {}
    static bool is_unwinding(const stop_answer&) noexcept { return true; }
};

class wait_stop {
public:
    bool possible(const driver&) const noexcept { return false; }
    void cancel(const cancellable_wait&) noexcept {}
    void end() noexcept {}
};

#endif

} // namespace weft::detail
