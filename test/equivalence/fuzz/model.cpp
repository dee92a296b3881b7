// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "model.hpp"

#include "rounding.hpp"

#include <cfenv>
#include <vector>

namespace fuzz {
namespace {

enum class block { body, protect, handler, guard, numbers, recurse };

struct frame {
    block kind;
    std::uint32_t number = 0; // handler: the exception; numbers, recurse: the operand
};

enum class state { empty, prepared, suspended, running, done };

struct flow {
    state now = state::empty;
    std::vector<frame> frames;
    unsigned resumer = 0;
    bool has_begun = false;
    std::uint32_t rounding = 0; // if it is the context's
};

class model {
public:
    model(program code, rounding_owner owner, coverage& count) : code_{code}, owner_{owner}, count_{&count} {}

    trace run() {
        flows_[main_flow].now = state::running;
        for (instruction i; (i = code_.next()).what != operation::end;) execute(i);
        // The end leaves every block of whichever flow has control, until all of them have ended.
        while (current_ != main_flow || !current().frames.empty()) leave();
        for (unsigned s = 1; s <= fibers; ++s) destroy(s);
        return std::move(notes_);
    }

private:
    flow& current() { return flows_[current_]; }
    bool waits(unsigned s) const { return flows_[s].now == state::prepared || flows_[s].now == state::suspended; }
    void note(event what, std::uint32_t value) { note(what, current_, value); }
    void note(event what, unsigned who, std::uint32_t value) {
        notes_.push_back({what, static_cast<std::uint8_t>(who), value});
    }

    // A fiber's body is a frame of its own; the program's flow has none.
    bool may_nest() { return current().frames.size() + (current_ == main_flow) < deepest; }

    void execute(instruction i) {
        if (perform(i)) ++(*count_)[static_cast<std::size_t>(i.what)];
    }

    bool perform(instruction i) {
        const unsigned s = slot(i.operand);
        switch (i.what) {
        case operation::create:
            if (flows_[s].now != state::empty) return false;
            flows_[s] = {};
            flows_[s].now = state::prepared;
            flows_[s].rounding = rounding();
            note(event::created, s);
            return true;
        case operation::resume:
            if (!waits(s)) return false;
            note(event::resumes, s);
            enter(s, ++values_);
            return true;
        case operation::ontop:
            if (!waits(s)) return false;
            note(event::resumes, s);
            ++values_;
            note(event::on_top, s, values_);
            enter(s, values_ + 1'000'000);
            return true;
        case operation::throw_on_top:
            if (flows_[s].now != state::suspended) return false;
            note(event::resumes, s);
            ++values_;
            note(event::on_top, s, values_);
            take_control(s);
            raise(values_);
            return true;
        case operation::suspend:
            if (current_ == main_flow) return false;
            note(event::suspends, ++values_);
            current().now = state::suspended;
            give_back(current_, values_);
            return true;
        case operation::transfer: {
            if (current_ == main_flow || !waits(s)) return false;
            note(event::transfers, s);
            current().now = state::suspended;
            const unsigned resumer = current().resumer;
            current_ = resumer; // the fiber's resumer becomes that of the other
            enter(s, ++values_);
            return true;
        }
        case operation::raise:
            raise(++values_);
            return true;
        case operation::rethrow:
            for (auto f = current().frames.rbegin(); f != current().frames.rend(); ++f) {
                if (f->kind == block::handler) {
                    raise(f->number);
                    return true;
                }
            }
            return false;
        case operation::protect: return nest({block::protect});
        case operation::guard: return nest({block::guard});
        case operation::numbers: return nest({block::numbers, i.operand});
        case operation::recurse: return nest({block::recurse, i.operand});
        case operation::leave:
            if (current_ == main_flow && current().frames.empty()) return false;
            leave();
            return true;
        case operation::destroy: return destroy(s);
        case operation::migrate:
            if (!waits(s) || thread_ + 1 >= threads) return false;
            ++thread_;
            note(event::migrates, thread_);
            note(event::resumes, s);
            flows_[home_of(thread_)].resumer = current_;
            current_ = home_of(thread_);
            enter(s, ++values_);
            return true;
        case operation::rounding:
            rounding() = i.operand % rounding_modes.size();
            return true;
        case operation::compute:
            std::fesetround(rounding_modes[rounding()]);
            note(event::computed, compute_quotient());
            std::fesetround(FE_TONEAREST);
            return true;
        case operation::observe: {
            std::uint32_t in_hand = 0;
            for (const frame& f : current().frames)
                if (f.kind == block::handler) in_hand = f.number;
            note(event::guard_ends, 0);
            note(event::handles, in_hand);
            return true;
        }
        case operation::end: return false;
        }
        return false;
    }

    std::uint32_t& rounding() {
        return owner_ == rounding_owner::context ? flows_[current_].rounding : thread_rounding_[thread_];
    }

    bool nest(frame f) {
        if (!may_nest()) return false;
        current().frames.push_back(f);
        return true;
    }

    void take_control(unsigned s) {
        flows_[s].resumer = current_;
        flows_[s].now = state::running;
        current_ = s;
    }

    void enter(unsigned s, std::uint32_t value) {
        take_control(s);
        if (!flows_[s].has_begun) {
            flows_[s].has_begun = true;
            flows_[s].frames.push_back({block::body});
        }
        note(event::received, value);
    }

    // To whoever resumed `from`; if that is a thread's home, on to the flow that waits for that thread.
    void to_resumer(unsigned from) {
        current_ = flows_[from].resumer;
        if (current_ >= first_home) {
            --thread_;
            current_ = flows_[current_].resumer;
        }
    }

    void give_back(unsigned from, std::uint32_t value) {
        to_resumer(from);
        note(event::returned, from);
        note(event::received, value);
    }

    void end_body() {
        note(event::body_ends, 0);
        current().frames.clear();
        current().now = state::done;
    }

    // The innermost block of the flow that has control ends.
    void leave() {
        const frame f = current().frames.back();
        current().frames.pop_back();
        switch (f.kind) {
        case block::body: {
            end_body();
            give_back(current_, 0);
            break;
        }
        case block::guard: note(event::guard_ends, 0); break;
        case block::numbers: note(event::numbers_end, sum_of(make_numbers(f.number))); break;
        case block::recurse: {
            std::uint32_t sum = 0;
            for (unsigned level = 0; level <= levels(static_cast<std::uint8_t>(f.number)); ++level)
                sum = sum * 31 + level_value(f.number, level);
            note(event::recursion_ends, sum);
            break;
        }
        case block::protect:
        case block::handler: break;
        }
    }

    // An exception in the flow that has control: up its frames, and through resumes, to the innermost try block.
    void raise(std::uint32_t error) {
        for (;;) {
            if (current().frames.empty()) { // only the program's own flow gets here
                note(event::caught_last, error);
                return;
            }
            const frame f = current().frames.back();
            current().frames.pop_back();
            if (f.kind == block::protect) {
                note(event::caught, error);
                current().frames.push_back({block::handler, error});
                return;
            }
            if (f.kind == block::guard) note(event::guard_ends, 1);
            if (f.kind == block::body) {
                end_body();
                to_resumer(current_);
            }
        }
    }

    bool destroy(unsigned s) {
        flow& f = flows_[s];
        if (f.now == state::empty || f.now == state::running) return false;
        note(event::destroys, s);
        if (f.now == state::suspended) {
            for (auto i = f.frames.rbegin(); i != f.frames.rend(); ++i)
                if (i->kind == block::guard) note(event::guard_ends, s, 1);
            note(event::body_ends, s, 0);
        }
        f = {};
        return true;
    }

    program code_;
    rounding_owner owner_;
    coverage* count_;
    trace notes_;
    std::array<flow, flows> flows_{};
    std::array<std::uint32_t, threads> thread_rounding_{};
    unsigned current_ = main_flow;
    unsigned thread_ = 0;
    std::uint32_t values_ = 0;
};

} // namespace

trace predict(program code, rounding_owner owner, coverage& count) {
    return model{code, owner, count}.run();
}

} // namespace fuzz
