// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Comparators of qsort and std::sort that wait for their answers.
//
// A comparator must return with the answer; qsort's is not even told on whose behalf it is called. Here every
// comparison asks a judge who takes a while (a timer), and `weft::use_fiber` suspends the fiber that sorts, C frames
// and all, until the answer is there. Meanwhile the other sorts go on: three are under way on one thread, each inside
// an ordinary asio::awaitable. The last one's judge refuses; what it throws passes through std::sort to the
// coroutine's caller.

#include <weft/asio.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace asio = boost::asio;

namespace {

asio::io_context context;
int judges_at_work = 0;
bool all_at_once = false;

/// Takes a millisecond.
void judge() {
    all_at_once |= ++judges_at_work == 3;
    asio::steady_timer timer{context, std::chrono::milliseconds{1}};
    timer.async_wait(weft::use_fiber);
    --judges_at_work;
}

int compare_numbers(const void* a, const void* b) {
    judge();
    const int x = *static_cast<const int*>(a);
    const int y = *static_cast<const int*>(b);
    return (x > y) - (x < y);
}

asio::awaitable<void> sort(std::array<int, 12>& numbers) {
    return weft::stackful([&numbers](auto&) {
        std::qsort(numbers.data(), numbers.size(), sizeof numbers[0], compare_numbers);
    });
}

asio::awaitable<void> sort(std::vector<std::string>& words) {
    return weft::stackful([&words](auto&) {
        std::sort(words.begin(), words.end(), [](const std::string& a, const std::string& b) {
            judge();
            if (a.empty() || b.empty()) throw std::invalid_argument{"a judge does not compare nothing"};
            return a < b;
        });
    });
}

/// An ordinary coroutine.
asio::awaitable<void> try_to_sort(std::vector<std::string> words) {
    try {
        co_await sort(words);
    } catch (const std::invalid_argument& e) {
        std::cout << e.what() << '\n';
    }
}

template <class Items>
void print(std::string_view name, const Items& items) {
    std::cout << name << ':';
    for (const auto& item : items) std::cout << ' ' << item;
    std::cout << '\n';
}

} // namespace

int main() {
    std::array numbers{31, 4, 15, 9, 26, 5, 35, 8, 97, 93, 2, 38};
    std::vector<std::string> words{"weft", "warp", "loom", "yarn", "heddle", "shuttle", "reed", "selvage", "bobbin"};

    const auto rethrow = [](std::exception_ptr reason) {
        if (reason) std::rethrow_exception(reason);
    };
    asio::co_spawn(context, sort(numbers), rethrow);
    asio::co_spawn(context, sort(words), rethrow);
    asio::co_spawn(context, try_to_sort({"weft", "", "warp"}), rethrow);
    context.run();

    print("numbers", numbers);
    print("words", words);
    std::cout << "all waited inside of a sort at once: " << (all_at_once ? "yes" : "no") << '\n';
}
