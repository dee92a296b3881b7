// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Objects that each step resumes: fibers, generators, fiber_contexts.

#include "bodies.hpp"
#include "kinds.hpp"

#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>
#include <weft/generator.hpp>

#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

namespace soak {
namespace {

void compare(const outcome& came, const outcome& wanted, const char* kind) {
    if (came != wanted) fail("a program in a %s came to another result than without a body", kind);
}

class fiber_object final : public object, private body_host {
public:
    fiber_object(crowd& home, std::uint64_t seed) : object{home, seed}, body_host{dice_, lasts_} {
        if (dice_.one_in(4)) rounding_ = any_rounding(dice_);
        constexpr const char* names[] = {nullptr, "soaked", "wet"};
        name_ = names[dice_.below(3)];
        const weft::fiber_options options{.floating_point = rounding_ ? weft::fp_env::per_fiber : weft::fp_env::thread,
                                          .name = name_};
        const token<thing::body> captured;
        const auto body = [this, captured](weft::fiber_ref self) { run(self); };
        const failing_new fails{dice_};
        if (dice_.one_in(4))
            fiber_ = weft::fiber{options, body};
        else
            fiber_ = weft::fiber{std::allocator_arg, stacks{dice_}, options, body};
    }
    ~fiber_object() override {
        if (!self_ && fiber_) happened(event::never_begun);
    }

private:
    void run(weft::fiber_ref self) {
        self_ = self;
        in_body([&] {
            if (rounding_) round(*rounding_);
            result_ = {false, run_program(*this, program_)};
        });
    }
    void leave(bool inside) override {
        if (inside || dice_.one_in(2))
            self_->suspend();
        else
            weft::this_fiber::suspend();
    }
    after step() override {
        happened(event::resume);
        try {
            fiber_.resume();
        } catch (const fault& f) {
            result_ = {true, f.number()};
            if (!fiber_.done()) fail("a fiber that an exception has left is not done");
        }
        if (fate_.one_in(4)) { // the handle moves, the fiber stays
            weft::fiber elsewhere{std::move(fiber_)};
            if (fiber_) fail("a fiber that was moved from is not empty");
            fiber_.swap(elsewhere);
        }
        if (std::strcmp(fiber_.name(), name_ ? name_ : "") != 0) fail("a fiber has lost its name");
        return fiber_.done() ? after::end : after::step;
    }
    void verify() override {
        compare(result_, expected(program_, rounding_), "fiber");
        happened(event::fiber);
    }

    std::optional<int> rounding_;
    const char* name_ = nullptr;
    std::optional<weft::fiber_ref> self_;
    outcome result_;
    weft::fiber fiber_; // last: its body uses all the others
};

class generator_object final : public object, private body_host {
public:
    generator_object(crowd& home, std::uint64_t seed) : object{home, seed}, body_host{dice_, lasts_} {
        const token<thing::body> captured;
        const auto body = [this, captured](weft::yielder<std::uint64_t>& out) { run(out); };
        if (dice_.one_in(4)) rounding_ = any_rounding(dice_);
        const stacks source{dice_};
        const failing_new fails{dice_};
        if (rounding_)
            values_.emplace(std::allocator_arg, source, weft::fiber_options{weft::fp_env::per_fiber, "generator"},
                            body);
        else
            values_.emplace(std::allocator_arg, source, body);
    }

private:
    void run(weft::yielder<std::uint64_t>& out) {
        out_ = &out;
        in_body([&] {
            if (rounding_) round(*rounding_);
            result_ = {false, run_program(*this, program_)};
        });
    }
    void leave(bool) override { out_->yield(mix(program_ + ++yielded_)); }
    after step() override {
        happened(event::resume);
        try {
            if (at_)
                ++*at_;
            else
                at_.emplace(values_->begin());
        } catch (const fault& f) {
            result_ = {true, f.number()};
            return after::end;
        }
        if (*at_ == std::default_sentinel) return after::end;
        if (**at_ != mix(program_ + ++received_)) fail("a generator gave another value than its body had yielded");
        return after::step;
    }
    void verify() override {
        compare(result_, expected(program_, rounding_), "generator");
        if (yielded_ != received_) fail("values of a generator were lost");
        happened(event::generator);
    }

    std::optional<int> rounding_;
    weft::yielder<std::uint64_t>* out_ = nullptr;
    std::uint64_t yielded_ = 0;
    std::uint64_t received_ = 0;
    outcome result_;
    std::optional<weft::generator<std::uint64_t>> values_;
    std::optional<weft::generator<std::uint64_t>::iterator> at_;
};

class context_object final : public object, private body_host {
public:
    context_object(crowd& home, std::uint64_t seed) : object{home, seed, true}, body_host{dice_, true} {
        const token<thing::body> captured;
        const auto entry = [this, captured](weft::fiber_context&& caller) { return run(std::move(caller)); };
        const stacks source{dice_};
        const failing_new fails{dice_};
        if (dice_.one_in(2)) {
            context_ = weft::fiber_context{entry};
            return;
        }
        const weft::stack memory = source.allocate();
        context_ = weft::fiber_context{entry, std::span{static_cast<std::byte*>(memory.sp) - memory.size, memory.size},
                                       [source](std::span<std::byte> s) {
                                           source.deallocate({s.size(), s.data() + s.size()});
                                       }};
    }

private:
    bool bound() const override { return true; }
    weft::fiber_context run(weft::fiber_context&& caller) {
        caller_ = std::move(caller);
        try {
            in_body([&] { result_ = {false, run_program(*this, program_)}; });
        } catch (const fault& f) {
            result_ = {true, f.number()};
        }
        return std::move(caller_);
    }
    void leave(bool) override { caller_ = std::move(caller_).resume(); }
    // Refused by an exception that is thrown in its place.
    std::uint64_t ask(std::uint64_t question, bool refused) override {
        if (refused) {
            refused_ = question;
            try {
                pause();
            } catch (...) {
                refused_.reset();
                throw;
            }
            fail("what a resume_with threw did not arrive in a fiber_context");
        }
        pause();
        return answer_to(question);
    }
    after step() override {
        happened(event::resume);
        if (!context_.can_resume()) fail("a fiber_context cannot be resumed on its thread");
        if (refused_) {
            context_ = std::move(context_).resume_with([this](weft::fiber_context&& from) -> weft::fiber_context {
                caller_ = std::move(from);
                throw fault{*refused_};
            });
        } else if (fate_.one_in(4)) {
            bool called = false;
            context_ = std::move(context_).resume_with([&](weft::fiber_context&& from) {
                called = true;
                return std::move(from);
            });
            if (!called) fail("the function of a resume_with was not called");
        } else {
            context_ = std::move(context_).resume();
        }
        return context_.empty() ? after::end : after::step;
    }
    void verify() override {
        compare(result_, expected(program_), "fiber_context");
        happened(event::context);
    }

    weft::fiber_context caller_;
    std::optional<std::uint64_t> refused_;
    outcome result_;
    weft::fiber_context context_;
};

} // namespace

object* make_fiber(crowd& home, std::uint64_t seed) {
    return new fiber_object(home, seed);
}
object* make_generator(crowd& home, std::uint64_t seed) {
    return new generator_object(home, seed);
}
object* make_context(crowd& home, std::uint64_t seed) {
    return new context_object(home, seed);
}

} // namespace soak
