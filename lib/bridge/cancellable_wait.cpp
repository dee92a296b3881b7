// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/detail/cancellable_wait.hpp>

#include <weft/detail/thread_state.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>

namespace weft::detail {

/// One of a few parts of the table, locked, for a handful of instructions.
class [[gnu::visibility("hidden")]] cancellable_wait::table {
public:
    explicit table(std::uint64_t number) noexcept : part_(all_[number % parts]) { lock(part_); }
    ~table() { unlock(part_); }
    table(const table&) = delete;
    table& operator=(const table&) = delete;

    static void lock(std::uint64_t number) noexcept { lock(all_[number % parts]); }
    static void unlock(std::uint64_t number) noexcept { unlock(all_[number % parts]); }

    void enter(cancellable_wait& wait) noexcept {
        wait.next_ = part_.first;
        part_.first = &wait;
    }
    void leave(cancellable_wait& wait) noexcept {
        for (cancellable_wait** link = &part_.first; *link; link = &(*link)->next_)
            if (*link == &wait) {
                *link = wait.next_;
                return;
            }
    }
    cancellable_wait* find(std::uint64_t number) const noexcept {
        cancellable_wait* wait = part_.first;
        while (wait && wait->number_ != number) wait = wait->next_;
        return wait;
    }

private:
    static constexpr std::size_t parts = 64;

    struct alignas(64) contents {
        std::atomic_flag taken;
        cancellable_wait* first = nullptr;
    };
    static void lock(contents& part) noexcept {
        while (part.taken.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
    }
    static void unlock(contents& part) noexcept { part.taken.clear(std::memory_order_release); }

    static constinit std::array<contents, parts> all_;

    contents& part_;
};
constinit std::array<cancellable_wait::table::contents, cancellable_wait::table::parts> cancellable_wait::table::all_{};

/// A call into a wait, without the lock. Lies on the stack of the caller.
class [[gnu::visibility("hidden")]] cancellable_wait::visit {
public:
    /// Of the wait with this number, if it lasts and `wanted(wait)`, which is called with the lock.
    template <class Wanted>
    visit(std::uint64_t number, Wanted wanted) noexcept : number_(number), thread_(&this_thread()) {
        const table waits(number);
        wait_ = waits.find(number);
        if (wait_ && !wanted(*wait_)) wait_ = nullptr;
        if (wait_) next_ = std::exchange(wait_->visits_, this);
    }
    ~visit() {
        if (!wait_) return; // there was none, or this thread has ended it
        const table waits(number_);
        visit** link = &wait_->visits_;
        while (*link != this) link = &(*link)->next_;
        *link = next_;
    }
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;

    cancellable_wait* wait() const noexcept { return wait_; }

    /// Has the calls of this thread find the wait gone, and waits for those of others. The lock is held, but while this
    /// waits.
    static void end_all(cancellable_wait& wait) noexcept {
        const thread_state* const here = &this_thread();
        for (visit** link = &wait.visits_; *link;) {
            visit& v = **link;
            if (v.thread_ == here) {
                v.wait_ = nullptr;
                *link = v.next_;
            } else {
                link = &v.next_;
            }
        }
        // A call takes some hundred instructions, if its thread is running; else to yield may prefer a third one.
        for (int tries = 0; wait.visits_; ++tries) {
            table::unlock(wait.number_);
            if (tries < 100)
                std::this_thread::yield();
            else
                std::this_thread::sleep_for(std::chrono::microseconds(20));
            table::lock(wait.number_);
        }
    }

private:
    cancellable_wait* wait_ = nullptr;
    const std::uint64_t number_;
    const thread_state* const thread_;
    visit* next_ = nullptr;
};

namespace {
constinit std::atomic<std::uint64_t> last_number{0};
} // namespace

cancellable_wait::lock::lock(const cancellable_wait& wait) noexcept : number_(wait.number_) {
    table::lock(number_);
}
cancellable_wait::lock::~lock() {
    table::unlock(number_);
}

void cancellable_wait::enter() noexcept {
    number_ = last_number.fetch_add(1, std::memory_order_relaxed) + 1;
    table(number_).enter(*this);
}

void cancellable_wait::leave() noexcept {
    if (!number_) return;
    if (above_) {
        const table waits(above_);
        if (cancellable_wait* const above = waits.find(above_)) { // else its coroutine has been destroyed
            cancellable_wait** link = &above->below_;
            while (*link != this) link = &(*link)->next_below_;
            *link = next_below_;
        }
    }
    table waits(number_);
    waits.leave(*this);
    visit::end_all(*this);
}

cancellable_wait::type cancellable_wait::join(cancellable_wait& above) noexcept {
    const table waits(above.number_);
    above_ = above.number_;
    next_below_ = std::exchange(above.below_, this);
    seen_ = above.requests_;
    return above.requested_;
}

void cancellable_wait::request(std::uint64_t number, type how) {
    std::uint64_t request = 0;
    {
        const visit v(number, [&](cancellable_wait& wait) {
            if (wait.starts_) {
                wait.kept_back_ |= how;
                return false;
            }
            wait.requested_ = how;
            request = ++wait.requests_;
            return true;
        });
        if (!v.wait()) return;
        v.wait()->requested(how);
    }
    // Each of them may end any wait, this one too.
    const auto next_below = [&]() -> std::uint64_t {
        const table waits(number);
        const cancellable_wait* const wait = waits.find(number);
        for (cancellable_wait* below = wait ? wait->below_ : nullptr; below; below = below->next_below_)
            if (below->seen_ < request) {
                below->seen_ = request;
                return below->number_;
            }
        return 0;
    };
    while (const std::uint64_t below = next_below()) cancellable_wait::request(below, how);
}

void cancellable_wait::emit(std::uint64_t number, type how) {
    const visit v(number, [](const cancellable_wait&) { return true; });
    if (v.wait()) v.wait()->emitted(how);
}

void cancellable_wait::started(std::uint64_t number) {
    type kept_back = 0;
    {
        const table waits(number);
        cancellable_wait* const wait = waits.find(number);
        if (!wait) return;
        wait->starts_ = false;
        kept_back = std::exchange(wait->kept_back_, 0);
    }
    if (kept_back) request(number, kept_back);
}

void cancellable_wait::abandon(std::uint64_t number) noexcept {
    table waits(number);
    if (cancellable_wait* const wait = waits.find(number)) {
        waits.leave(*wait);
        visit::end_all(*wait);
    }
}

} // namespace weft::detail
