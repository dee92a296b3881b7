// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "exceptions.hpp"
#include "session.hpp"
#include "stacks.hpp"

#include <boost/context/fiber.hpp>

#include <array>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

namespace fuzz {

/// boost::context::fiber. It keeps exceptions per thread, and lets none out of a body: both are added here.
class boost_fiber final : public backend {
public:
    explicit boost_fiber(session& s) : session_{&s} {}

    void create(unsigned flow, stack_choice choice) override {
        side& f = sides_[flow];
        f = {};
        with_allocator(choice, [&](auto allocator) {
            f.fiber = boost::context::fiber{
                std::allocator_arg, adapted<decltype(allocator)>{allocator},
                [this, flow](boost::context::fiber&& from) { return body(flow, std::move(from)); }};
        });
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
        if (f.fiber) {
            exchange_exceptions(sides_[self].exceptions, f.exceptions);
            f.fiber = {}; // Boost unwinds it
            exchange_exceptions(f.exceptions, sides_[self].exceptions);
        }
        f = {};
    }

private:
    // Boost wants its own type of stack.
    template <class Allocator>
    struct adapted {
        Allocator allocator;
        boost::context::stack_context allocate() {
            const auto memory = allocator.allocate();
            boost::context::stack_context s;
            s.size = memory.size;
            s.sp = memory.sp;
            return s;
        }
        void deallocate(boost::context::stack_context& s) {
            auto memory = decltype(allocator.allocate()){};
            memory.size = s.size;
            memory.sp = s.sp;
            allocator.deallocate(memory);
        }
    };

    struct side {
        boost::context::fiber fiber; // while it does not run
        weft::detail::exception_state exceptions;
        unsigned resumer = 0;
        std::exception_ptr failure;
    };

    std::uint32_t go(unsigned self, unsigned to, std::uint32_t value, on_top_call call) {
        side& target = sides_[to];
        exchange_exceptions(sides_[self].exceptions, target.exceptions);
        leaver_ = self;
        value_ = value;
        if (!call) {
            arrive(std::move(target.fiber).resume());
        } else {
            arrive(std::move(target.fiber).resume_with([this, to, call](boost::context::fiber&& from) {
                arrive(std::move(from));
                value_ = call(*session_, to, value_);
                return boost::context::fiber{};
            }));
        }
        return value_;
    }

    void arrive(boost::context::fiber&& from) {
        if (from) sides_[leaver_].fiber = std::move(from);
    }

    boost::context::fiber body(unsigned self, boost::context::fiber&& from) {
        arrive(std::move(from));
        side& f = sides_[self];
        session_->receive(self, value_);
        try {
            session_->body(self);
        } catch (const error&) {
            f.failure = std::current_exception();
        }
        side& resumer = sides_[f.resumer];
        exchange_exceptions(f.exceptions, resumer.exceptions);
        leaver_ = self;
        value_ = 0;
        return std::move(resumer.fiber);
    }

    session* session_;
    std::array<side, flows> sides_;
    unsigned leaver_ = 0; // of the switch under way
    std::uint32_t value_ = 0;
};

} // namespace fuzz
