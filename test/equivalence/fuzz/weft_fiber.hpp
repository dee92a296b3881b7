// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "session.hpp"
#include "stacks.hpp"

#include <weft/fiber.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace fuzz {

/// weft::fiber, on the inline switch. It always goes back to its resumer: a transfer asks the resumer to go on with
/// another fiber, and a call on top is made by the fiber itself, as the first thing after its suspension.
class weft_fiber final : public backend {
public:
    explicit weft_fiber(session& s) : session_{&s} {}

    void create(unsigned flow, stack_choice choice) override {
        with_allocator(choice, [&](auto allocator) {
            sides_[flow].fiber = weft::fiber{std::allocator_arg, allocator, [this, flow](weft::fiber_ref self) {
                                                 sides_[flow].self = self;
                                                 session_->receive(flow, arrive(flow));
                                                 session_->body(flow);
                                                 value_ = 0;
                                             }};
        });
    }

    arrival resume(unsigned, unsigned flow, std::uint32_t value, on_top_call call) override {
        value_ = value;
        call_ = call;
        for (;;) {
            sides_[flow].fiber.resume();
            if (!next_) return {flow, value_};
            flow = *std::exchange(next_, std::nullopt);
        }
    }

    std::uint32_t suspend(unsigned self, std::uint32_t value) override {
        value_ = value;
        sides_[self].self->suspend();
        return arrive(self);
    }

    std::uint32_t transfer(unsigned self, unsigned to, std::uint32_t value) override {
        next_ = to;
        return suspend(self, value);
    }

    void destroy(unsigned, unsigned flow) override { sides_[flow].fiber = {}; }

private:
    std::uint32_t arrive(unsigned self) {
        if (const on_top_call call = std::exchange(call_, nullptr)) value_ = call(*session_, self, value_);
        return value_;
    }

    struct side {
        weft::fiber fiber;
        std::optional<weft::fiber_ref> self;
    };

    session* session_;
    std::array<side, flows> sides_;
    std::uint32_t value_ = 0;       // on its way
    on_top_call call_ = nullptr;    // to be made by whoever gets it
    std::optional<unsigned> next_;  // a transfer's target
};

} // namespace fuzz
