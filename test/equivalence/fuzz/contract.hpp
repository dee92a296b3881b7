// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "exceptions.hpp"
#include "session.hpp"
#include "stacks.hpp"

#include <weft/switch.hpp>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <utility>

namespace fuzz {

/// Fibers made of nothing but make, jump and ontop, weft's or Boost's: both have the same contract.
/// Whoever arrives by a switch learns the context that was left, and keeps it for that flow.
template <class Switch>
class contract final : public backend {
public:
    explicit contract(session& s) : session_{&s} {}

    void create(unsigned flow, stack_choice choice) override {
        side& f = sides_[flow];
        f = {};
        f.stack = owned_stack{choice};
        f.context = Switch::make(f.stack.top(), f.stack.size(), &enter);
    }

    arrival resume(unsigned resumer, unsigned flow, std::uint32_t value, on_top_call call) override {
        sides_[flow].resumer = resumer;
        const std::uint32_t received = go(resumer, flow, value, call);
        const unsigned from = leaver_;
        if (std::exception_ptr failure = std::exchange(sides_[from].failure, nullptr)) std::rethrow_exception(failure);
        return {from, received};
    }

    std::uint32_t suspend(unsigned self, std::uint32_t value) override {
        return go(self, sides_[self].resumer, value, nullptr);
    }

    std::uint32_t transfer(unsigned self, unsigned to, std::uint32_t value) override {
        sides_[to].resumer = sides_[self].resumer;
        return go(self, to, value, nullptr);
    }

    void destroy(unsigned self, unsigned flow) override {
        side& f = sides_[flow];
        if (f.begun && !f.ended) {
            f.resumer = self;
            go(self, flow, 0, &unwind);
        }
        f = {};
    }

private:
    struct side {
        weft::context context = nullptr; // while it does not run
        weft::detail::exception_state exceptions;
        unsigned resumer = 0;
        bool begun = false;
        bool ended = false;
        std::exception_ptr failure;
        owned_stack stack;
    };

    struct unwinding {}; // leaves no block: no handler of a program is for it

    static std::uint32_t unwind(session&, unsigned, std::uint32_t) { throw unwinding{}; }

    // The value itself is the data of a plain switch; a call on top needs more, and gets this object.
    std::uint32_t go(unsigned self, unsigned to, std::uint32_t value, on_top_call call) {
        side& target = sides_[to];
        if (call && !target.begun && !Switch::ontop_can_begin) value = std::exchange(call, nullptr)(*session_, to, value);
        exchange_exceptions(sides_[self].exceptions, target.exceptions);
        leaver_ = self;
        arriving_ = to;
        const weft::context context = std::exchange(target.context, nullptr);
        if (!call) return arrive(Switch::jump(context, as_data(value)));
        call_ = call;
        value_ = value;
        return arrive(Switch::ontop(context, this, &run_on_top));
    }

    static void* as_data(std::uintptr_t value) { return reinterpret_cast<void*>(value); }

    std::uint32_t arrive(weft::transfer t) {
        if (t.from) sides_[leaver_].context = t.from; // else a call on top has done it
        return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(t.data));
    }

    static weft::transfer run_on_top(weft::transfer t) {
        auto& all = *static_cast<contract*>(t.data);
        all.sides_[all.leaver_].context = t.from;
        return {nullptr, as_data(all.call_(*all.session_, all.arriving_, all.value_))};
    }

    static void enter(weft::transfer t) { running->body(t); }

    void body(weft::transfer t) {
        const unsigned self = arriving_;
        side& f = sides_[self];
        session_->receive(self, arrive(t));
        f.begun = true;
        try {
            session_->body(self);
        } catch (const unwinding&) {
        } catch (...) {
            f.failure = std::current_exception();
        }
        f.ended = true;
        go(self, f.resumer, 0, nullptr);
        std::abort();
    }

    session* session_;
    std::array<side, flows> sides_;

    // the switch under way
    unsigned leaver_ = 0;
    unsigned arriving_ = 0;
    on_top_call call_ = nullptr;
    std::uint32_t value_ = 0;

public:
    static inline contract* running = nullptr; // for the first function of a context, which is given a value only
};

} // namespace fuzz
