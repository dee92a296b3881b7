// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/fiber_record.hpp>
#include <weft/fiber.hpp>

#include <cstddef>
#include <cstdint>

/// \file
/// Finding bodies that take along what belongs to a thread.
///
///     const std::lock_guard lock{mutex};
///     const weft::thread_bound here{"the lock of the cache"};
///     weft::await(refill());  // resumed on another thread: says so on stderr and aborts; without thread_bound, a lottery
///
/// In every build. A thread_bound costs two calls, and a fiber that suspends in its scope some ten nanoseconds more.
namespace weft {

/// A fiber that is about to go on, or to be unwound, on another thread than the one it was left on.
struct migration_report {
    /// What is the matter.
    enum class reason {
        bound_to_thread,  ///< a thread_bound of another thread is alive in it
        caught_exception, ///< it is inside of a catch block. weft takes its exceptions along: a warning. Only from a
    };                    ///< library that checks contexts (README: WEFT_CHECK_CONTEXTS)
    reason why;       ///< it is reported
    fiber_ref fiber;  ///< which
    const char* held; ///< what the thread_bound was given
};

/// What set_migration_handler takes.
using migration_handler = void (*)(const migration_report&);

/// Sets what is called, on the thread that resumes the fiber, just before it goes on; null: what is done by default.
/// Returns what was set before. By default a sentence on stderr, then the program is aborted if the fiber is bound to a
/// thread; caught exceptions are named once in a program.
/// \pre the handler lets no exception out, and does not suspend the fiber that it is called in.
WEFT_API migration_handler set_migration_handler(migration_handler handler) noexcept;

namespace detail {

/// What the running fiber holds of a thread's. A list, of the fiber that it was made in.
class thread_binding {
public:
    WEFT_API explicit thread_binding(const char* held) noexcept;
    WEFT_API ~thread_binding();
    thread_binding(const thread_binding&) = delete;
    thread_binding& operator=(const thread_binding&) = delete;
    static void* operator new(std::size_t) = delete;

    const char* held() const noexcept { return held_; }
    std::uint64_t thread() const noexcept { return thread_; }
    const thread_binding* next() const noexcept { return next_; }

private:
    const char* held_;
    std::uint64_t thread_; // its number
    fiber_record* fiber_; // null outside of fibers
    thread_binding* next_ = nullptr;
    thread_binding** link_ = nullptr;
};

} // namespace detail

/// While it lives, the fiber that made it must not go on on another thread. `held` says what for, in a few words: a
/// string literal. For the scopes of a body; outside of fibers it does nothing.
using thread_bound = detail::thread_binding;

/// A locked mutex that the body must not take to another thread.
template <class Mutex>
class thread_bound_lock {
public:
    /// Locks `mutex`, which must live longer.
    explicit thread_bound_lock(Mutex& mutex) : mutex_{mutex} { mutex_.lock(); }
    ~thread_bound_lock() { mutex_.unlock(); }
    thread_bound_lock(const thread_bound_lock&) = delete;
    thread_bound_lock& operator=(const thread_bound_lock&) = delete;

private:
    Mutex& mutex_;
    thread_bound bound_{"a locked mutex"};
};

} // namespace weft
