// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>

#include <cstdint>

// A cancellation reaches a wait from any thread, at any time, also when the wait has just ended. So whatever may cancel a
// wait does not know its address: it has a number that no other wait ever has, under which a table of the process has the
// wait as long as that lasts.

namespace weft::detail {

struct thread_state;

/// A wait of a body or of a coroutine that can be cancelled. It lies where the waiting flow has its variables, and passes
/// a cancellation on to the waits below it.
class WEFT_API cancellable_wait {
public:
    /// How a wait is cancelled: Asio's cancellation_type as a number. A stop token knows no types.
    using type = unsigned;
    static constexpr type every_type = ~type{};

    cancellable_wait(const cancellable_wait&) = delete;
    cancellable_wait& operator=(const cancellable_wait&) = delete;

    /// 0: nothing cancels it.
    std::uint64_t number() const noexcept { return number_; }

    /// Once it has been cancelled, no operation is started below it.
    virtual bool refuses() const noexcept { return false; }
    /// Where it is cancelled: an any_io_executor of the Asio with this await_request::kind. Null: anywhere.
    virtual const void* executor(std::uint64_t /*kind*/) const noexcept { return nullptr; }

    /// Cancels the wait with this number, if it lasts, and the waits below it. On any thread.
    static void request(std::uint64_t number, type how);
    /// Calls emitted(how) of the wait with this number, if it lasts.
    static void emit(std::uint64_t number, type how);
    /// The operation that the wait is for has been started: what was requested meanwhile is now requested.
    static void started(std::uint64_t number);
    /// Nothing will complete the operation, and nothing may reach it any more.
    static void abandon(std::uint64_t number) noexcept;

    /// Excludes, as long as it lasts, other threads from what the wait is asked for.
    class WEFT_API lock {
    public:
        explicit lock(const cancellable_wait& wait) noexcept;
        ~lock();
        lock(const lock&) = delete;
        lock& operator=(const lock&) = delete;

    private:
        std::uint64_t number_;
    };

protected:
    /// Requests are kept back until started() is called, if `starts`.
    explicit cancellable_wait(bool starts) noexcept : starts_(starts) {}
    ~cancellable_wait() = default;

    /// Has a number from now on.
    void enter() noexcept;
    /// The first thing that the destructor of a derived class does. What another thread is doing with the wait ends
    /// before this returns; what this thread is doing with it further out on its stack finds it gone.
    void leave() noexcept;
    /// From now on cancelled with `above`, which lasts at least as long. Returns how that has been cancelled before.
    type join(cancellable_wait& above) noexcept;

private:
    class table;
    class visit;

    // What another thread calls of these has returned when leave() returns.
    virtual void requested(type how) = 0; // on any thread
    virtual void emitted(type how) = 0;   // where requested() has emit() called

    std::uint64_t number_ = 0;
    cancellable_wait* next_ = nullptr; // in its part of the table
    visit* visits_ = nullptr;          // what is being done with it

    std::uint64_t above_ = 0;
    cancellable_wait* below_ = nullptr;      // the first one
    cancellable_wait* next_below_ = nullptr; // of the one above
    std::uint64_t seen_ = 0;                 // so many of the requests of the one above
    std::uint64_t requests_ = 0;
    type requested_ = 0; // the last
    type kept_back_ = 0;
    bool starts_;
};

} // namespace weft::detail
