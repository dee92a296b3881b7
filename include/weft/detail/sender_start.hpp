// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/fiber_record.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace weft::detail {

/// One of a few locks that all operations share, for a handful of instructions.
class start_lock {
public:
    explicit start_lock(const void* operation) noexcept : taken_(of(operation)) {
        while (taken_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
    }
    ~start_lock() { taken_.clear(std::memory_order_release); }
    start_lock(const start_lock&) = delete;
    start_lock& operator=(const start_lock&) = delete;

private:
    struct alignas(64) padded {
        std::atomic_flag taken;
    };
    static inline constinit std::array<padded, 64> all{};

    static std::atomic_flag& of(const void* operation) noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(operation);
        return all[(address >> 6 ^ address >> 14) % all.size()].taken;
    }

    std::atomic_flag& taken_;
};

class operation_start;

/// The part of an operation that its completion looks at: lies in the operation, which is gone when its coroutine goes
/// on.
class operation_end {
public:
    operation_end() noexcept = default;
    operation_end(const operation_end&) = delete;
    operation_end& operator=(const operation_end&) = delete;

    /// The operation has completed. Is it on the caller to go on with the coroutine?
    bool reached() noexcept;

private:
    friend class operation_start;
    operation_start* starting_ = nullptr;
    const void* thread_ = nullptr;
};

/// The part that who starts an operation looks at: lies on its stack, and is gone when starting has ended. One that
/// completes inside of the call that starts it goes on after that call: a loop of them must not nest. One that
/// completes on another thread goes on there and at once, whether that call has returned or not. As either part may be
/// gone when the other one's owner comes, the lock is in neither.
class operation_start {
public:
    explicit operation_start(operation_end& end) noexcept : end_(end) {
        end.starting_ = this;
        end.thread_ = &this_thread();
    }
    operation_start(const operation_start&) = delete;
    operation_start& operator=(const operation_start&) = delete;

    /// The call has returned. Has the operation completed inside of it, so that it is on the caller to go on?
    bool returned() noexcept {
        const start_lock lock(key_);
        if (how_ == how::not_yet) end_.starting_ = nullptr;
        return how_ == how::inside;
    }

private:
    friend class operation_end;
    enum class how { not_yet, inside, elsewhere };

    operation_end& end_;
    const void* const key_ = &end_;
    how how_ = how::not_yet;
};

inline bool operation_end::reached() noexcept {
    const start_lock lock(this);
    if (!starting_) return true;
    const bool inside = thread_ == &this_thread();
    starting_->how_ = inside ? operation_start::how::inside : operation_start::how::elsewhere;
    return !inside;
}

} // namespace weft::detail
