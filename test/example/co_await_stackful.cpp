// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A coroutine awaits a task without knowing that its body has a stack of its own.
//
// weft::task<T> is an ordinary C++20 coroutine type. `total` is an ordinary coroutine of it. `evaluate` returns the
// same type, but its body is stackful: a recursive parser that awaits the price of each word right where it meets it,
// several calls down. A parser of coroutines would need a coroutine per rule of the grammar.

#include <weft/await.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

/// Stands for whatever is asked elsewhere and answers later.
weft::task<int> price_of(std::string_view name) {
    static const std::map<std::string_view, int> prices{{"apple", 3}, {"pear", 4}, {"plum", 2}};
    const auto found = prices.find(name);
    if (found == prices.end()) throw std::runtime_error{"nobody sells " + std::string{name}};
    co_return found->second;
}

/// sum = product { '+' product };  product = value { '*' value };  value = number | word | '(' sum ')'
class parser {
public:
    explicit parser(std::string_view text) : rest_{text} {}

    int sum() {
        int result = product();
        while (take('+')) result += product();
        return result;
    }

private:
    int product() {
        int result = value();
        while (take('*')) result *= value();
        return result;
    }

    int value() {
        if (take('(')) {
            const int result = sum();
            if (!take(')')) throw std::runtime_error{"a parenthesis is not closed"};
            return result;
        }
        const std::string_view word = rest_.substr(0, rest_.find_first_of("+*()"));
        rest_.remove_prefix(word.size());
        if (!word.empty() && word.find_first_not_of("0123456789") == word.npos) return std::stoi(std::string{word});
        return weft::await(price_of(word)); // suspends the whole recursion
    }

    bool take(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    std::string_view rest_;
};

/// A task like any other, to its callers.
weft::task<int> evaluate(std::string_view text) {
    return weft::stackful([text](auto&) { return parser{text}.sum(); });
}

/// An ordinary coroutine.
weft::task<int> total() {
    int sum = 0;
    for (const std::string_view text : {"3*apple+pear", "2*(plum+3*(apple+pear))", "(apple+1)*(pear+1)*plum"}) {
        const int cost = co_await evaluate(text);
        std::cout << text << " = " << cost << '\n';
        sum += cost;
    }
    co_return sum;
}

/// An exception takes the same way back: out of the recursion, through the task, to the co_await.
weft::task<std::string> complaint() {
    try {
        co_await evaluate("2*(plum+kiwi)");
    } catch (const std::runtime_error& e) {
        co_return e.what();
    }
    co_return "none";
}

} // namespace

int main() {
    const int sum = weft::sync_wait(total());
    std::cout << "total " << sum << '\n';
    std::cout << "complaint: " << weft::sync_wait(complaint()) << '\n';
}
