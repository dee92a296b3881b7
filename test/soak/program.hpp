// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "account.hpp"
#include "random.hpp"

#include <cstdint>

namespace soak {

/// Where a program runs: in a body that is suspended, resumed and moved all the time, or plainly, to know what must
/// come out.
class host {
public:
    /// Suspends, perhaps.
    virtual void pause() = 0;
    /// The answer to a question, perhaps later; a `fault` with its number if it is refused.
    virtual std::uint64_t ask(std::uint64_t question, bool refused) = 0;
    /// The result of another program, run in a fiber inside.
    virtual std::uint64_t run_nested(std::uint64_t seed, unsigned depth) = 0;
    /// The sum of the first numbers from `seed` on, made by a generator inside.
    virtual std::uint64_t sum_nested(std::uint64_t seed, unsigned count) = 0;
    /// An allocation of the program's, which may fail without consequence.
    virtual void allocate() = 0;
    /// Counts what happened in a body.
    virtual void note(event e) = 0;
    /// It is never destroyed before its end: even destructors may suspend while an exception passes.
    virtual bool endures() const = 0;
    /// Whatever comes out of a pause is forced_unwind, and it comes again.
    virtual bool swallows() const = 0;

protected:
    ~host() = default;
};

/// What `question` is answered.
constexpr std::uint64_t answer_to(std::uint64_t question) noexcept {
    return mix(question ^ 0xa5a5'5a5a'0f0f'f0f0);
}

/// Some random steps from `seed` on: the same result in every host.
std::uint64_t run_program(host& h, std::uint64_t seed, unsigned depth = 0);

/// Its result in no body at all. Ends by a `fault` if the program does.
std::uint64_t run_plainly(std::uint64_t seed, unsigned depth = 0);

} // namespace soak
