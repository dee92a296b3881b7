// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <exception>
#include <utility>

namespace example {

/// Carries an exception around the frames of a C library that calls back: C code does not clean up after itself when
/// one passes through it. weft::forced_unwind, which ends a suspended callback whose fiber is destroyed, is one too.
class exception_detour {
public:
    /// In the callback: calls `fn`. False if that threw, or something had been thrown before: then the library must be
    /// told that the callback failed.
    template <class Fn>
    bool run(Fn fn) noexcept {
        if (thrown_) return false;
        try {
            fn();
            return true;
        } catch (...) {
            thrown_ = std::current_exception();
            return false;
        }
    }

    /// When the library has returned: throws what was thrown in the callback.
    void rethrow() {
        if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    }

private:
    std::exception_ptr thrown_;
};

} // namespace example
