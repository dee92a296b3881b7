// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "bodies.hpp"

#include <iterator>
#include <memory>
#include <utility>

namespace soak {
namespace {

/// A fiber in a body: suspends by itself, to the body, or together with it.
class nested_host final : public body_host {
public:
    nested_host(body_host& outer, weft::fiber_ref self) noexcept
        : body_host{outer.random(), outer.endures()}, outer_{outer}, self_{self} {}

private:
    void leave(bool) override {
        const weft::fiber_ref running = weft::this_fiber::get();
        if (random().one_in(2))
            outer_.leave_checked(true);
        else
            self_.suspend();
        if (weft::this_fiber::get() != running) fail("another fiber is taken for the running one after a suspension");
    }
    std::uint64_t ask(std::uint64_t question, bool refused) override { return outer_.ask(question, refused); }
    bool swallows() const override { return outer_.swallows(); }

    body_host& outer_;
    weft::fiber_ref self_;
};

} // namespace

std::uint64_t body_host::run_nested(std::uint64_t seed, unsigned depth) {
    std::uint64_t result = 0;
    const token<thing::body> captured;
    const auto body = [this, seed, depth, &result, captured](weft::fiber_ref self) {
        in_body([&] {
            nested_host inner{*this, self};
            result = run_program(inner, seed, depth);
        });
    };
    weft::fiber f;
    try {
        const failing_new fails{random_};
        f = weft::fiber{std::allocator_arg, stacks{random_}, body};
    } catch (const std::bad_alloc&) {
        f = weft::fiber{body};
    }
    happened(event::nested_fiber);
    while (!f.done()) f.resume();
    return result;
}

std::uint64_t body_host::sum_nested(std::uint64_t seed, unsigned count) {
    const auto body = [this, seed, count](auto& out) {
        in_body([&] {
            for (unsigned n = 0; n < count; ++n) {
                if (random_.one_in(3)) leave_checked(true);
                out.yield(mix(seed + n));
            }
        });
    };
    happened(event::nested_generator);
    weft::generator<std::uint64_t> numbers{body};
    std::uint64_t sum = 0;
    auto at = numbers.begin();
    for (unsigned n = 0; n < count; ++n) {
        if (n != 0) ++at;
        if (at == std::default_sentinel) fail("a generator in a body has ended too early");
        sum += *at;
    }
    if (random_.one_in(2)) return sum; // it is destroyed suspended
    if (++at != std::default_sentinel) fail("a generator in a body does not end");
    return sum;
}

outcome expected(std::uint64_t program, std::optional<int> rounding) {
    if (rounding) std::fesetround(*rounding);
    outcome result;
    try {
        result = {false, run_plainly(program)};
    } catch (const fault& f) {
        result = {true, f.number()};
    }
    std::fesetround(FE_TONEAREST);
    return result;
}

int any_rounding(random_source& random) noexcept {
    constexpr int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    return modes[random.below(4)];
}

} // namespace soak
