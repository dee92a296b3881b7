// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "program.hpp"
#include "rounding.hpp"
#include "trace.hpp"
#include "worker.hpp"

#include <array>
#include <cfenv>
#include <cstdint>
#include <exception>
#include <functional>

namespace fuzz {

/// The exception that programs throw.
struct error {
    std::uint32_t value;
};

enum class status : std::uint8_t { empty, prepared, suspended, running, done };

/// A call on top of a fiber's stack: gets the value that was sent, returns what arrives instead. May throw.
using on_top_call = std::uint32_t (*)(class session&, unsigned flow, std::uint32_t value);

/// A resume that came back: which fiber came, with what.
struct arrival {
    unsigned from;
    std::uint32_t value;
};

/// What runs fibers. All are called by the flow that has control.
class backend {
public:
    virtual ~backend() = default;
    virtual void create(unsigned flow, stack_choice) = 0;
    /// Resumes `flow` for the flow `resumer`; `call` may be null. Throws what leaves the body of the fiber that comes
    /// back.
    virtual arrival resume(unsigned resumer, unsigned flow, std::uint32_t value, on_top_call call) = 0;
    virtual std::uint32_t suspend(unsigned self, std::uint32_t value) = 0;
    virtual std::uint32_t transfer(unsigned self, unsigned to, std::uint32_t value) = 0;
    virtual void destroy(unsigned self, unsigned flow) = 0;
};

/// Runs one program on one backend: every block of the program is a frame of a real stack.
class session {
public:
    session(program code, trace& notes) : code_{code}, notes_{&notes} {}

    void run(backend& on) {
        backend_ = &on;
        status_[main_flow] = status::running;
        while (!ended_) {
            try {
                block(main_flow);
            } catch (const error& e) {
                note(event::caught_last, main_flow, e.value);
            }
        }
        for (unsigned s = 1; s <= fibers; ++s) destroy(main_flow, s);
        for (unsigned t = 0; t < threads; ++t) {
            if (t == 0 || used_[t]) on_thread(t, [] { std::fesetround(FE_TONEAREST); });
        }
    }

    /// A fiber's body.
    void body(unsigned self) {
        struct ending {
            session& s;
            unsigned self;
            ~ending() {
                s.status_[self] = status::done;
                s.note(event::body_ends, self, 0);
            }
        } const at_the_end{*this, self};
        note(event::received, self, received_[self]);
        block(self);
    }

    /// What the resumer of a fiber that begins has sent.
    void receive(unsigned self, std::uint32_t value) { received_[self] = value; }

    void note(event what, unsigned flow, std::uint32_t value) {
        notes_->push_back({what, static_cast<std::uint8_t>(flow), value});
    }

private:
    bool waits(unsigned s) const { return status_[s] == status::prepared || status_[s] == status::suspended; }

    // Executes instructions until the block ends.
    void block(unsigned self) {
        struct level {
            unsigned& depth;
            explicit level(unsigned& d) : depth{d} { ++depth; }
            ~level() { --depth; }
        } const deeper{depth_[self]};
        for (;;) {
            const instruction i = code_.next();
            if (i.what == operation::end) ended_ = true;
            if (ended_) return;
            if (i.what == operation::leave) {
                if (self != main_flow || depth_[self] > 1) return;
                continue;
            }
            execute(self, i);
        }
    }

    void execute(unsigned self, instruction i) {
        const unsigned s = slot(i.operand);
        switch (i.what) {
        case operation::create:
            if (status_[s] != status::empty) return;
            backend_->create(s, choose_stack(i.operand));
            status_[s] = status::prepared;
            note(event::created, self, s);
            return;
        case operation::resume:
            if (waits(s)) resume(self, s, nullptr);
            return;
        case operation::ontop:
            if (waits(s)) resume(self, s, &plain_call);
            return;
        case operation::throw_on_top: // a fiber that has not begun has no place for the exception to appear
            if (status_[s] == status::suspended) resume(self, s, &throwing_call);
            return;
        case operation::suspend:
            if (self == main_flow) return;
            note(event::suspends, self, ++values_);
            status_[self] = status::suspended;
            note(event::received, self, backend_->suspend(self, values_));
            return;
        case operation::transfer:
            if (self == main_flow || !waits(s)) return;
            note(event::transfers, self, s);
            status_[self] = status::suspended;
            status_[s] = status::running;
            ++values_;
            note(event::received, self, backend_->transfer(self, s, values_));
            return;
        case operation::raise:
            throw error{++values_};
        case operation::protect:
            if (depth_[self] < deepest) protect(self);
            return;
        case operation::rethrow:
            if (handlers_[self] > 0) throw;
            return;
        case operation::guard:
            if (depth_[self] < deepest) {
                const guard note_end{*this, self};
                block(self);
            }
            return;
        case operation::numbers:
            if (depth_[self] < deepest) {
                const many_numbers n = make_numbers(i.operand);
                const auto& [a, b, c, d, e, f, g, h, j, k] = n.integers;
                const auto& [l, m, o, p, q, r, t, u, v, w] = n.reals;
                note(event::numbers_end, self, numbers(self, a, b, c, d, e, f, g, h, j, k, l, m, o, p, q, r, t, u, v, w));
            }
            return;
        case operation::recurse:
            if (depth_[self] < deepest) note(event::recursion_ends, self, recurse(self, i.operand, levels(i.operand)));
            return;
        case operation::destroy:
            destroy(self, s);
            return;
        case operation::migrate:
            if (waits(s) && thread_ + 1 < threads) migrate(self, s);
            return;
        case operation::rounding:
            std::fesetround(rounding_modes[i.operand % rounding_modes.size()]);
            return;
        case operation::compute:
            note(event::computed, self, compute_quotient());
            return;
        case operation::observe:
            note(event::guard_ends, self, static_cast<std::uint32_t>(std::uncaught_exceptions()));
            note(event::handles, self, exception_in_hand());
            return;
        case operation::leave:
        case operation::end:
            return;
        }
    }

    void resume(unsigned self, unsigned s, on_top_call call) {
        note(event::resumes, self, s);
        status_[s] = status::running;
        ++values_;
        came_back(self, backend_->resume(self, s, values_, call));
    }

    void came_back(unsigned self, arrival a) {
        note(event::returned, self, a.from);
        note(event::received, self, a.value);
    }

    static std::uint32_t plain_call(session& s, unsigned flow, std::uint32_t value) {
        s.note(event::on_top, flow, value);
        return value + 1'000'000;
    }

    static std::uint32_t throwing_call(session& s, unsigned flow, std::uint32_t value) {
        s.note(event::on_top, flow, value);
        throw error{value};
    }

    void protect(unsigned self) {
        try {
            block(self);
        } catch (const error& e) {
            struct handler {
                unsigned& count;
                explicit handler(unsigned& c) : count{c} { ++count; }
                ~handler() { --count; }
            } const inside{handlers_[self]};
            note(event::caught, self, e.value);
            block(self);
        }
    }

    struct guard {
        session& s;
        unsigned self;
        ~guard() { s.note(event::guard_ends, self, static_cast<std::uint32_t>(std::uncaught_exceptions())); }
    };

    // All arguments are alive across the block: in registers, as far as those go.
    [[gnu::noinline]] std::uint32_t numbers(unsigned self, std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d,
                                            std::uint64_t e, std::uint64_t f, std::uint64_t g, std::uint64_t h,
                                            std::uint64_t j, std::uint64_t k, double l, double m, double o, double p,
                                            double q, double r, double t, double u, double v, double w) {
        block(self);
        return sum_of({{a, b, c, d, e, f, g, h, j, k}, {l, m, o, p, q, r, t, u, v, w}});
    }

    [[gnu::noinline]] std::uint32_t recurse(unsigned self, std::uint32_t seed, unsigned level) {
        const volatile std::uint32_t mine = level_value(seed, level);
        std::uint32_t below = 0;
        if (level == 0)
            block(self);
        else
            below = recurse(self, seed, level - 1);
        return below * 31 + mine;
    }

    void destroy(unsigned self, unsigned s) {
        if (status_[s] == status::empty || status_[s] == status::running) return;
        note(event::destroys, self, s);
        backend_->destroy(self, s);
        status_[s] = status::empty;
        depth_[s] = handlers_[s] = 0;
    }

    // The home of the other thread is the resumer; this flow's thread waits meanwhile.
    void migrate(unsigned self, unsigned s) {
        const unsigned from = thread_;
        const unsigned to = from + 1;
        note(event::migrates, self, to);
        note(event::resumes, self, s);
        status_[s] = status::running;
        ++values_;
        arrival a{};
        std::exception_ptr failure;
        thread_ = to;
        on_thread(to, [&, value = values_] {
            try {
                a = backend_->resume(home_of(to), s, value, nullptr);
            } catch (...) {
                failure = std::current_exception();
            }
        });
        thread_ = from;
        if (failure) std::rethrow_exception(std::move(failure));
        came_back(self, a);
    }

    void on_thread(unsigned thread, std::function<void()> work) {
        used_[thread] = true;
        if (thread == 0)
            work();
        else
            worker_of(thread).run(std::move(work));
    }

    static std::uint32_t exception_in_hand() {
        const std::exception_ptr e = std::current_exception();
        if (!e) return 0;
        try {
            std::rethrow_exception(e);
        } catch (const error& found) {
            return found.value;
        }
    }

    program code_;
    trace* notes_;
    backend* backend_ = nullptr;
    bool ended_ = false;
    unsigned thread_ = 0;        // the one that has control
    std::uint32_t values_ = 0;   // every value sent or thrown is a new one
    std::array<status, flows> status_{};
    std::array<unsigned, flows> depth_{};
    std::array<unsigned, flows> handlers_{};
    std::array<std::uint32_t, flows> received_{};
    std::array<bool, threads> used_{};
};

} // namespace fuzz
