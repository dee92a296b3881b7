// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "matrix_awaits.hpp"

namespace matrix {

/// A coroutine type, to the matrix.
class subject {
public:
    /// Starts a coroutine whose body is c.body(&co) and tells its result.
    virtual void start(cell& c, ::outcome<int>& result) = 0;
    /// Runs what the first thread has to run, besides what the cell knows of. \returns whether its coroutines go on
    /// there, whoever completes an await.
    virtual bool poll() { return false; }
    virtual bool may_allocate() const { return false; }

protected:
    ~subject() = default;
};

template <class R>
class observed final : public subject {
public:
    void start(cell& c, ::outcome<int>& result) override {
        begin(c, result);
    }

private:
    // Makes the coroutine itself: one that begins at once must find everything else allocated.
    static observer begin(cell& c, ::outcome<int>& result) {
        try {
            const R coroutine = weft::stackful<R>([&c](auto& co) { return c.body(&co); });
            result.value.emplace(co_await coroutine);
        } catch (...) {
            result.failure = std::current_exception();
        }
        result.done = true;
    }
};

/// Runs all cells. A sentence for each one that is not as it has to be, for the first few of them.
void run(subject& s, const table& awaits);

template <class R>
void run_ambient() {
    observed<R> s;
    run(s, ambient_awaits);
}
template <class R>
void run_by_co() {
    static constexpr table awaits = all_awaits<by_co_await<typename R::promise_type>>();
    observed<R> s;
    run(s, awaits);
}

} // namespace matrix
