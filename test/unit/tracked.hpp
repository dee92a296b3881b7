// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <atomic>
#include <utility>

namespace weft_test {

/// A value that counts its living objects: as many must be left at the end of a test as there were at its beginning.
class tracked {
public:
    explicit tracked(int value = 0) noexcept : value_{value} { ++alive_; }
    tracked(const tracked& other) noexcept : value_{other.value_} { ++alive_; }
    tracked(tracked&& other) noexcept : value_{std::exchange(other.value_, -1)} { ++alive_; }
    tracked& operator=(const tracked&) noexcept = default;
    tracked& operator=(tracked&& other) noexcept {
        value_ = std::exchange(other.value_, -1);
        return *this;
    }
    ~tracked() { --alive_; }

    int value() const noexcept { return value_; }
    static int alive() noexcept { return alive_; }

private:
    int value_;
    static inline std::atomic<int> alive_ = 0;
};

/// Calls a function when it is destroyed; the function may throw.
template <class Fn>
class at_exit_of_scope {
public:
    explicit at_exit_of_scope(Fn fn) : fn_{std::move(fn)} {}
    at_exit_of_scope(const at_exit_of_scope&) = delete;
    at_exit_of_scope& operator=(const at_exit_of_scope&) = delete;
    ~at_exit_of_scope() noexcept(false) { fn_(); }

private:
    Fn fn_;
};

} // namespace weft_test
