// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "account.hpp"
#include "random.hpp"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace soak {

class object;

/// Which of the threads this is; from 1. Asked anew each time: whoever asks may have migrated.
unsigned this_thread() noexcept;

/// A living object, and how it goes on.
struct turn {
    enum class kind : std::uint8_t { step, handle, stop, ended };

    object* whose = nullptr;
    kind what = kind::step;
    std::coroutine_handle<> handle = nullptr;
};

/// All living objects that wait for their turn. Any thread takes any of them, at random, but for those that are bound
/// to their thread.
class crowd {
public:
    /// \param limit how many objects live at once.
    crowd(unsigned threads, std::size_t limit, std::uint64_t seed);
    ~crowd();

    /// Gives a turn to whoever takes it first: at once, on another thread.
    void put(const turn& t);
    /// To this thread.
    void put_here(const turn& t);

    /// Works until no object is to be made any more and all have ended. `me`: from 1.
    void work(unsigned me, random_source& random);

    /// From now on none is made; or again.
    void drain(bool yes) noexcept;

    std::uint64_t seed() const noexcept { return seed_; }

private:
    void make(std::uint64_t number);
    void take_turn(const turn& t);
    void leave(object* o) noexcept;

    const std::size_t limit_;
    const std::uint64_t seed_;
    std::mutex mutex_;
    std::vector<turn> waiting_;
    std::vector<std::vector<turn>> bound_; // to each thread
    std::size_t living_ = 0;
    std::uint64_t next_ = 0;
    bool draining_ = false;
};

/// Something that lives through many turns.
class object {
public:
    object(crowd& home, std::uint64_t seed, bool lasts = false) noexcept;
    object(const object&) = delete;
    object& operator=(const object&) = delete;
    virtual ~object() = default;

    /// What is to be done after a step.
    enum class after : std::uint8_t {
        step,  ///< another one
        end,   ///< nothing more: it has ended
        leave, ///< it sees to its next turn itself, and may be gone already
    };
    /// Goes on for a while.
    virtual after step() = 0;
    /// It was told to stop. Whatever it does then, it may be gone on return.
    virtual void stop() {}
    /// Compares what came out with what must.
    virtual void verify() = 0;
    /// Stays on the thread that made it.
    virtual bool bound() const { return false; }

    /// It is to be destroyed now, wherever it is suspended.
    bool is_abandoned() noexcept;
    void check() const noexcept { token_.check(); }

protected:
    crowd& home_;
    random_source fate_; // decides what becomes of it
    random_source dice_; // decides how it does what its program says
    const std::uint64_t program_;
    const bool lasts_; // is never abandoned

private:
    token<thing::object> token_;
};

/// Makes object `number` of a run. \throws a fault that was injected.
object* make_object(crowd& home, std::uint64_t number);

} // namespace soak
