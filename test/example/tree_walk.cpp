// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A generator that yields from inside a recursion.
//
// A stackless generator can yield only from its outermost function, so a recursive walk needs a coroutine per level, or
// a stack kept by hand. A weft::generator is a range over a body that has a stack of its own: `walk` is the function
// one would write anyway. Two walks can be under way at once, and one that is left early is unwound.
//
// Here: do two trees of different shape hold the same values in the same order? Neither is copied, and the comparison
// stops at the first difference.

#include <weft/generator.hpp>

#include <algorithm>
#include <iostream>
#include <memory>
#include <vector>

namespace {

struct node {
    int value;
    std::unique_ptr<node> left, right;
};

using tree = std::unique_ptr<node>;

void insert(tree& where, int value) {
    if (!where)
        where = std::make_unique<node>(node{value, nullptr, nullptr});
    else
        insert(value < where->value ? where->left : where->right, value);
}

tree tree_of(const std::vector<int>& values) {
    tree root;
    for (const int value : values) insert(root, value);
    return root;
}

/// Calls `use` with every value in order: an ordinary recursive function that knows nothing of generators.
template <class Use>
void walk(const tree& from, Use& use) {
    if (!from) return;
    walk(from->left, use);
    use(from->value);
    walk(from->right, use);
}

weft::generator<int> values_of(const tree& root) {
    return weft::generator<int>{[&root](auto& out) {
        auto yield = [&out](int value) { out.yield(value); };
        walk(root, yield);
    }};
}

bool hold_the_same(const tree& a, const tree& b) {
    auto left = values_of(a);
    auto right = values_of(b);
    auto i = left.begin();
    auto j = right.begin();
    for (; i != left.end() && j != right.end(); ++i, ++j)
        if (*i != *j) return false;
    return i == left.end() && j == right.end();
}

int depth(const tree& from) {
    return from ? 1 + std::max(depth(from->left), depth(from->right)) : 0;
}

} // namespace

int main() {
    const tree balanced = tree_of({8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15});
    const tree chain = tree_of({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
    const tree other = tree_of({8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 16});

    std::cout << "values:";
    for (const int value : values_of(balanced)) std::cout << ' ' << value;

    std::cout << "\nfirst multiple of 7:";
    for (const int value : values_of(chain)) {
        if (value % 7 != 0) continue;
        std::cout << ' ' << value;
        break; // destroys the generator in the middle of its recursion
    }

    std::cout << std::boolalpha << "\na tree of depth " << depth(balanced) << " and one of depth " << depth(chain)
              << " hold the same: " << hold_the_same(balanced, chain)
              << "\nwith another last value: " << hold_the_same(balanced, other) << '\n';
}
