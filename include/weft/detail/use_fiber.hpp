// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/await.hpp>
#include <weft/detail/throw_or_die.hpp>
#include <weft/stackful.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace weft {

/// A completion token: suspends the running stackful body until an asynchronous operation has completed, and returns
/// its result: nothing, the value, or a std::tuple of several. A leading error_code or exception_ptr is thrown instead,
/// the former as system_error of the same Asio.
/// \throws not_in_fiber if no stackful body is running; what starting the operation throws.
struct WEFT_TAGGED use_fiber_t {};
/// The one to pass: `socket.async_read_some(buffer, weft::use_fiber)`.
inline constexpr use_fiber_t use_fiber{};

namespace detail {

/// A move-only void() kept in place, called once: how a completed operation goes on.
class continuation {
public:
    static constexpr std::size_t capacity = 96;

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

} // namespace detail
} // namespace weft
