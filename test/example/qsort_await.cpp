// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A comparator of C's qsort that waits for its answer.
//
// qsort gives its comparator two pointers and nothing else: no context, no way to be called back later. Here every
// comparison asks a judge who takes a while to answer (a timer), and `weft::use_fiber` suspends the fiber that runs
// qsort, C frames and all, until the answer is there. Meanwhile the other qsort goes on: two are under way on one
// thread, each inside an ordinary asio::awaitable.

#include <weft/asio.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <string_view>

namespace asio = boost::asio;

namespace {

asio::io_context context;
int judges_at_work = 0;
bool two_at_once = false;

/// Takes a millisecond to say how two things compare.
int judged(int answer) {
    two_at_once |= ++judges_at_work == 2;
    asio::steady_timer timer{context, std::chrono::milliseconds{1}};
    timer.async_wait(weft::use_fiber);
    --judges_at_work;
    return answer;
}

int compare_numbers(const void* a, const void* b) {
    const int x = *static_cast<const int*>(a);
    const int y = *static_cast<const int*>(b);
    return judged((x > y) - (x < y));
}

int compare_words(const void* a, const void* b) {
    return judged(std::strcmp(*static_cast<const char* const*>(a), *static_cast<const char* const*>(b)));
}

template <class Array>
asio::awaitable<void> sort(Array& items, int (*compare)(const void*, const void*)) {
    return weft::stackful([&items, compare](auto&) {
        std::qsort(items.data(), items.size(), sizeof items[0], compare);
    });
}

template <class Array>
void print(std::string_view name, const Array& items) {
    std::cout << name << ':';
    for (const auto& item : items) std::cout << ' ' << item;
    std::cout << '\n';
}

} // namespace

int main() {
    std::array numbers{31, 4, 15, 9, 26, 5, 35, 8, 97, 93, 2, 38};
    std::array<const char*, 9> words{"weft", "warp", "loom", "yarn", "heddle", "shuttle", "reed", "selvage", "bobbin"};

    const auto rethrow = [](std::exception_ptr reason) {
        if (reason) std::rethrow_exception(reason);
    };
    asio::co_spawn(context, sort(numbers, compare_numbers), rethrow);
    asio::co_spawn(context, sort(words, compare_words), rethrow);
    context.run();

    print("numbers", numbers);
    print("words", words);
    std::cout << "both sorts waited inside qsort at once: " << (two_at_once ? "yes" : "no") << '\n';
}
