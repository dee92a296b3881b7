// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "thread_id.hpp"

#include <weft/stack.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace weft_test {

/// Where the stack of the function that calls this is now. (The address of a variable may be that of a copy which a
/// sanitizer keeps elsewhere.)
inline __attribute__((always_inline)) const void* here() noexcept {
    return __builtin_frame_address(0);
}

inline bool lies_on(const weft::stack& s, const void* address) noexcept {
    const auto top = reinterpret_cast<std::uintptr_t>(s.sp);
    const auto a = reinterpret_cast<std::uintptr_t>(address);
    return a < top && a >= top - s.size;
}

/// Remembers the stacks that its allocators hand out and get back.
class recorded_stacks {
public:
    class allocator {
    public:
        allocator(recorded_stacks& record, std::size_t size) : record_{&record}, source_{size} {}

        weft::stack allocate() const {
            const weft::stack s = source_.allocate();
            const std::lock_guard lock{record_->mutex_};
            record_->out_.push_back(s);
            ++record_->allocated_;
            return s;
        }

        void deallocate(const weft::stack& s) const noexcept {
            {
                const std::lock_guard lock{record_->mutex_};
                const auto found = std::find_if(record_->out_.begin(), record_->out_.end(),
                                                [&](const weft::stack& o) { return o.sp == s.sp && o.size == s.size; });
                if (found == record_->out_.end()) {
                    ++record_->strangers_;
                    return;
                }
                if (lies_on(s, here())) ++record_->sawn_off_;
                record_->out_.erase(found);
                record_->returned_on_ = this_thread_id();
            }
            source_.deallocate(s);
        }

    private:
        recorded_stacks* record_;
        weft::guarded_stack source_;
    };

    explicit recorded_stacks(std::size_t size = 256 * 1024) : size_{size} {}
    allocator get() { return {*this, size_}; }

    std::size_t allocated() const { return locked(allocated_); }        ///< how many have been handed out
    std::size_t out() const { return locked(out_).size(); }             ///< how many are not back
    weft::stack last() const { return locked(out_).back(); }            ///< the newest that is not back
    std::thread::id returned_on() const { return locked(returned_on_); } ///< where the last one came back

    /// No stack was given back twice or changed, none by a function that was running on it.
    bool sound() const { return locked(strangers_) == 0 && locked(sawn_off_) == 0; }

private:
    template <class T>
    T locked(const T& member) const {
        const std::lock_guard lock{mutex_};
        return member;
    }

    std::size_t size_;
    mutable std::mutex mutex_;
    std::vector<weft::stack> out_;
    std::size_t allocated_ = 0;
    std::size_t strangers_ = 0;
    std::size_t sawn_off_ = 0;
    std::thread::id returned_on_;
};

} // namespace weft_test
