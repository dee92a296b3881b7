// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// One of the two files of a program: HALF is `first` or `second`.

#include "half.hpp"

#include <weft/stackful.hpp>

#include <utility>

namespace {

weft::fiber_options options_of(int kind) {
    if (kind != with_options) return {};
    return {.floating_point = weft::fp_env::per_fiber, .name = "with options"};
}

weft::fiber make_fiber(const half& suspender, int kind, std::string& did) {
    auto body = [&suspender, kind, &did](weft::fiber_ref self) {
        struct at_the_end {
            std::string& did;
            ~at_the_end() { did += '.'; }
        } const says{did};
        for (int i = 0; i < 3; ++i) {
            did += 'f';
            if (kind == in_a_handler) {
                try {
                    throw i;
                } catch (int caught) {
                    suspender.suspend(self);
                    if (caught != i) did += '!';
                }
            } else if (kind == around_another) {
                weft::fiber inner{[&](weft::fiber_ref me) {
                    suspender.suspend(self); // both
                    suspender.suspend(me);
                }};
                inner.resume();
                suspender.resume(inner);
            } else {
                suspender.suspend(self);
            }
        }
    };
    if (kind == on_a_stack_of_its_own) return weft::fiber{std::allocator_arg, weft::guarded_stack{}, body};
    if (kind == with_options) return weft::fiber{options_of(kind), body};
    return weft::fiber{body};
}

weft::generator<int> make_generator(const half& yielder, int kind) {
    return weft::generator<int>{options_of(kind), [&yielder](weft::yielder<int>& out) {
                                    for (int i = 1; i <= 3; ++i) {
                                        yielder.yield(out, i);
                                        out.yield(10 * i);
                                    }
                                }};
}

int sum(weft::generator<int> g) {
    int all = 0;
    for (const int v : g) all += v;
    return all;
}

weft::task<int> later(int n) {
    co_return n;
}

weft::task<int> make_body(const half& awaiter) {
    return weft::stackful([&awaiter](auto& co) {
        int all = co.await(later(1));
        all += awaiter.await(later(2));
        all += awaiter.sum(make_generator(awaiter, plain));
        return all + co.await(later(3));
    });
}

weft::fiber_context make_context(const half& resumer, std::string& did) {
    return weft::fiber_context{[&resumer, &did](weft::fiber_context&& caller) {
        weft::fiber inside{[&](weft::fiber_ref self) {
            did += 'c';
            caller = resumer.resume_context(std::move(caller));
            resumer.suspend(self);
            did += 'c';
        }};
        resumer.resume(inside);
        caller = std::move(caller).resume();
        resumer.resume(inside);
        return std::move(caller);
    }};
}

} // namespace

constinit const half HALF{
    .make_fiber = make_fiber,
    .resume = [](weft::fiber& f) { f.resume(); },
    .suspend = [](weft::fiber_ref f) { f.suspend(); },
    .destroy = [](weft::fiber) {},
    .make_generator = make_generator,
    .yield = [](weft::yielder<int>& out, int value) { out.yield(value + 0); },
    .sum = sum,
    .make_body = make_body,
    .await = [](weft::task<int> t) { return weft::await(std::move(t)); },
    .wait = [](weft::task<int> t) { return weft::sync_wait(std::move(t)); },
    .make_context = make_context,
    .resume_context = [](weft::fiber_context f) { return std::move(f).resume(); },
};
