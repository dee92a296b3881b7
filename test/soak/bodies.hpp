// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "account.hpp"
#include "crowd.hpp"
#include "faults.hpp"
#include "program.hpp"

#include <weft/fiber.hpp>
#include <weft/generator.hpp>

#include <cfenv>
#include <cstdint>
#include <memory>
#include <optional>

namespace soak {

/// A body that a program runs in. After each suspension everything must be as before.
class body_host : public host {
public:
    body_host(random_source& random, bool endures) noexcept : random_{random}, endures_{endures} {}

    /// Suspends to the resumer. `inside`: from a fiber inside of the body.
    virtual void leave(bool inside) = 0;

    void pause() override { leave_checked(false); }
    void leave_checked(bool inside) {
        const unsigned before = this_thread();
        happened(event::pause);
        leave(inside);
        if (before != this_thread()) happened(event::migration);
        if (rounding_ && std::fegetround() != *rounding_) fail("a body has lost its rounding mode over a suspension");
    }
    std::uint64_t ask(std::uint64_t question, bool refused) override {
        pause();
        if (refused) throw fault{question};
        return answer_to(question);
    }
    std::uint64_t run_nested(std::uint64_t seed, unsigned depth) override;
    std::uint64_t sum_nested(std::uint64_t seed, unsigned count) override;
    void allocate() override {
        try {
            const failing_new fails{random_};
            const auto memory = std::make_unique<std::uint64_t[]>(16);
            const auto more = std::make_unique<std::uint64_t[]>(16);
        } catch (const std::bad_alloc&) {
        }
    }
    void note(event e) override { happened(e); }
    bool endures() const override { return endures_; }
    bool swallows() const override { return true; }

    random_source& random() noexcept { return random_; }
    /// The body has floating-point control words of its own.
    void round(int mode) {
        std::fesetround(mode);
        rounding_ = mode;
        happened(event::rounding);
    }

protected:
    ~body_host() = default;

private:
    random_source& random_;
    bool endures_;
    std::optional<int> rounding_;
};

/// Counts the unwinding of a body that is destroyed.
template <class Fn>
auto in_body(Fn&& fn) {
    const token<thing::body> here;
    try {
        return fn();
    } catch (const weft::forced_unwind&) {
        happened(event::unwound);
        throw;
    }
}

/// What came out of a program.
struct outcome {
    bool refused = false;
    std::uint64_t number = 0;
    friend bool operator==(const outcome&, const outcome&) = default;
};

/// What must come out of a program.
outcome expected(std::uint64_t program, std::optional<int> rounding = {});

/// One of the four rounding modes.
int any_rounding(random_source& random) noexcept;

} // namespace soak
