// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "crowd.hpp"

#include <cfenv>
#include <exception>
#include <new>
#include <thread>

namespace soak {
namespace {

constinit thread_local unsigned thread_number = 0;

[[gnu::noinline]] void number_this_thread(unsigned number) noexcept {
    asm volatile("" ::: "memory");
    thread_number = number;
}

turn take_any(std::vector<turn>& from, random_source& random) {
    turn& place = from[random.below(static_cast<unsigned>(from.size()))];
    const turn taken = place;
    place = from.back();
    from.pop_back();
    return taken;
}

// What bodies do must not show outside of them.
void check_thread() {
    if (std::current_exception() || std::uncaught_exceptions() != 0)
        fail("an exception of a body stays in hand of its resumer");
    if (std::fegetround() != FE_TONEAREST) fail("the rounding mode of a body stays with its resumer");
}

} // namespace

[[gnu::noinline]] unsigned this_thread() noexcept {
    asm volatile("" ::: "memory");
    return thread_number;
}

crowd::crowd(unsigned threads, std::size_t limit, std::uint64_t seed) : limit_{limit}, seed_{seed}, bound_(threads) {
    waiting_.reserve(limit);
    for (std::vector<turn>& each : bound_) each.reserve(limit);
}
crowd::~crowd() = default;

void crowd::put(const turn& t) {
    const std::lock_guard lock{mutex_};
    waiting_.push_back(t);
}

void crowd::put_here(const turn& t) {
    const std::lock_guard lock{mutex_};
    bound_[this_thread() - 1].push_back(t);
}

void crowd::drain(bool yes) noexcept {
    const std::lock_guard lock{mutex_};
    draining_ = yes;
}

void crowd::work(unsigned me, random_source& random) {
    number_this_thread(me);
    std::vector<turn>& mine = bound_[me - 1];
    for (;;) {
        turn next;
        std::uint64_t number = 0;
        {
            const std::lock_guard lock{mutex_};
            if (!draining_ && living_ < limit_) {
                ++living_;
                number = ++next_;
            } else if (!mine.empty() && (waiting_.empty() || random.one_in(4))) {
                next = take_any(mine, random);
            } else if (!waiting_.empty()) {
                next = take_any(waiting_, random);
            } else if (draining_ && living_ == 0) {
                return;
            }
        }
        if (number != 0)
            make(number);
        else if (next.whose)
            take_turn(next);
        else
            std::this_thread::yield(); // the rest is with other threads
    }
}

void crowd::make(std::uint64_t number) {
    object* o = nullptr;
    try {
        o = make_object(*this, number);
    } catch (const std::bad_alloc&) { // a fault that was injected; nothing may be left of it
        leave(nullptr);
        return;
    }
    if (o->bound())
        put_here({o});
    else
        put({o});
}

void crowd::leave(object* o) noexcept {
    delete o;
    const std::lock_guard lock{mutex_};
    --living_;
}

void crowd::take_turn(const turn& t) {
    object& o = *t.whose;
    o.check();
    if (t.what == turn::kind::ended) {
        o.verify();
        leave(&o);
    } else if (o.is_abandoned()) {
        happened(event::abandoned);
        leave(&o);
    } else if (t.what == turn::kind::stop) {
        o.stop();
    } else if (t.what == turn::kind::handle) {
        happened(event::resume);
        t.handle.resume(); // from here on somebody else may have it
    } else {
        const bool bound = o.bound();
        const object::after next = o.step();
        if (next == object::after::end) {
            o.verify();
            leave(&o);
        } else if (next == object::after::step) {
            if (bound)
                put_here({&o});
            else
                put({&o});
        }
    }
    check_thread();
}

object::object(crowd& home, std::uint64_t seed, bool lasts) noexcept
    : home_{home}, fate_{seed}, dice_{mix(seed)}, program_{mix(seed ^ 1)}, lasts_{lasts || mix(seed ^ 2) % 4 == 0} {}

bool object::is_abandoned() noexcept {
    return !lasts_ && fate_.one_in(128);
}

} // namespace soak
