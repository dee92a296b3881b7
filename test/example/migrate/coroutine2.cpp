// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// From Boost.Coroutine2: what is between the marks are the lines of the table in README.md. Both halves run and must
// print the same.

#include "same_output.hpp"

#include <weft/fiber.hpp>
#include <weft/generator.hpp>

#include <boost/coroutine2/all.hpp>

#include <cstdlib>
#include <ostream>
#include <string>

namespace {

struct tree {
    int value;
    const tree* left;
    const tree* right;
};

constexpr tree one{1, nullptr, nullptr}, three{3, nullptr, nullptr}, root{2, &one, &three};

void with_coroutine2(std::ostream& log) {
    // before
    using boost::coroutines2::coroutine;

    struct walker {
        static void walk(const tree* t, coroutine<int>::push_type& out) {
            if (!t) return;
            walk(t->left, out);
            out(t->value);
            walk(t->right, out);
        }
    };

    coroutine<int>::pull_type values{[](coroutine<int>::push_type& out) { walker::walk(&root, out); }};
    for (int v : values) log << "value " << v << '\n';

    coroutine<int>::pull_type two{[](coroutine<int>::push_type& out) { out(7), out(8); }};
    while (two) {
        log << "by hand " << two.get() << '\n';
        two();
    }

    coroutine<void>::pull_type steps{[&](coroutine<void>::push_type& pause) {
        log << "step 1\n";
        pause();
        log << "step 2\n";
    }};
    if (steps) steps();

    coroutine<std::string>::push_type sink{[&](coroutine<std::string>::pull_type& in) {
        for (const std::string& line : in) log << "line " << line << '\n';
    }};
    sink("a");
    sink("b");

    coroutine<int>::pull_type deep{boost::coroutines2::fixedsize_stack{256 * 1024},
                                   [](coroutine<int>::push_type& out) { out(9); }};
    log << "deep " << deep.get() << '\n';
    // end
}

void with_weft(std::ostream& log) {
    // after

    struct walker {
        static void walk(const tree* t, weft::yielder<int>& out) {
            if (!t) return;
            walk(t->left, out);
            out.yield(t->value);
            walk(t->right, out);
        }
    };

    weft::generator<int> values{[](auto& out) { walker::walk(&root, out); }};
    for (int v : values) log << "value " << v << '\n';

    weft::generator<int> two{[](auto& out) { out.yield(7), out.yield(8); }};
    for (auto i = two.begin(); i != two.end(); ++i) {
        log << "by hand " << *i << '\n';
    }

    weft::fiber steps{[&](weft::fiber_ref self) {
        log << "step 1\n";
        self.suspend();
        log << "step 2\n";
    }};
    steps.resume();
    if (!steps.done()) steps.resume();

    std::string line;
    weft::fiber sink{[&](weft::fiber_ref self) {
        for (;; self.suspend()) log << "line " << line << '\n';
    }};
    line = "a", sink.resume();
    line = "b", sink.resume();

    weft::generator<int> deep{std::allocator_arg, weft::guarded_stack{256 * 1024}, [](auto& out) { out.yield(9); }};
    log << "deep " << *deep.begin() << '\n';
    // end
}

} // namespace

int main() {
    return migrate::same_output(with_coroutine2, with_weft) ? EXIT_SUCCESS : EXIT_FAILURE;
}
