// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <concepts>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace weft::detail {

/// A move-only void() kept in place, called once: how a completed operation goes on. Dropped with it is what would.
class continuation {
public:
    static constexpr std::size_t capacity = 32;

    continuation() noexcept = default;

    template <class Fn>
        requires(!std::same_as<Fn, continuation>)
    explicit continuation(Fn fn) noexcept : use_(&use<Fn>) {
        static_assert(sizeof(Fn) <= capacity && std::is_nothrow_move_constructible_v<Fn>);
        new (storage_) Fn(std::move(fn));
    }
    continuation(continuation&& other) noexcept : use_(std::exchange(other.use_, nullptr)) {
        if (use_) use_(storage_, other.storage_, nullptr);
    }
    continuation& operator=(continuation&& other) noexcept {
        if (this != &other) {
            this->~continuation();
            new (this) continuation(std::move(other));
        }
        return *this;
    }
    ~continuation() {
        if (use_) use_(storage_, nullptr, nullptr);
    }

    /// Has it neither been called nor moved from?
    explicit operator bool() const noexcept { return use_ != nullptr; }

    void operator()() && {
        continuation self(std::move(*this)); // the call may destroy where it was kept
        self.use_(self.storage_, nullptr, &self.use_);
    }

private:
    using use_function = void (*)(void* here, void* from, void* call);

    // Moves `from` here; or calls what is here, once, if `call` is given; or destroys it.
    template <class Fn>
    static void use(void* here, void* from, void* call) {
        if (from) {
            Fn& source = *std::launder(static_cast<Fn*>(from));
            new (here) Fn(std::move(source));
            source.~Fn(); // NOLINT(bugprone-use-after-move): what was moved from is destroyed
            return;
        }
        Fn& fn = *std::launder(static_cast<Fn*>(here));
        if (call)
            fn();
        else
            fn.~Fn();
    }

    use_function use_ = nullptr;
    alignas(std::max_align_t) std::byte storage_[capacity];
};

} // namespace weft::detail
