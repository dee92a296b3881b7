// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Straight code that goes from strand to strand, on a pool of threads.
//
// The job: move money between accounts, in many bodies on four threads. A lock for each account would have to be kept,
// or given up, across every wait, and belongs to its thread. Here each account has a strand of Asio's: enter(account)
// waits until it is the body's turn, and what follows is alone with the account, until the next enter() or another
// wait. The functions in between are ordinary ones. Then four threads do the same with a mutex for each account, and
// must come to the same balances.
//
// The lines that matter: transfer(), enter() and is_inside(). The last two are not inlined: a body goes on on another
// thread here, Asio's headers use variables of the thread, and compilers keep a variable's address as long as a
// function lasts.

#include "shared/blocking.hpp"

#include <weft/asio.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <deque>
#include <exception>
#include <functional>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;

constexpr int accounts = 5, bodies = 100, rounds = 20;

struct account {
    explicit account(asio::thread_pool& pool) : strand{pool.get_executor()} {}

    asio::strand<asio::thread_pool::executor_type> strand;
    int balance = 1000;
};

std::atomic<int> trespasses = 0;

/// When it returns, the body that calls it has its turn at the account, and no other. (dispatch() would call the body
/// inside of the strand where it is, and keep both.)
[[gnu::noinline]] void enter(account& a) {
    asio::post(asio::bind_executor(a.strand, weft::use_fiber));
}

[[gnu::noinline]] bool is_inside(const account& a) {
    return a.strand.running_in_this_thread();
}

void add(account& a, int sum) {
    if (!is_inside(a)) ++trespasses;
    a.balance += sum;
}

void transfer(account& from, account& to, int sum) {
    enter(from);
    add(from, -sum);
    enter(to);
    add(to, sum);
}

/// What the body of that number does, one transfer after the other.
void work(int number, const std::function<void(int from, int to, int sum)>& transfer) {
    for (int i = 0; i < rounds; ++i)
        transfer((number + i) % accounts, (number * 3 + i * i) % accounts, number * i % 37);
}

/// To its callers an ordinary coroutine.
asio::awaitable<void> body(std::deque<account>& all, int number) {
    return weft::stackful([&all, number](auto&) {
        work(number, [&](int from, int to, int sum) { transfer(all[from], all[to], sum); });
    });
}

std::vector<int> balances_by_bodies() {
    asio::thread_pool pool{4};
    std::deque<account> all;
    for (int i = 0; i < accounts; ++i) all.emplace_back(pool);
    for (int i = 0; i < bodies; ++i)
        asio::co_spawn(pool, body(all, i), [](std::exception_ptr reason) {
            if (reason) std::rethrow_exception(reason);
        });
    pool.join();
    std::vector<int> balances;
    for (const account& a : all) balances.push_back(a.balance);
    return balances;
}

std::vector<int> balances_by_threads() {
    std::vector<int> balances(accounts, 1000);
    std::vector<std::mutex> mutexes(accounts);
    const auto add = [&](int i, int sum) {
        const std::lock_guard lock{mutexes[i]};
        balances[i] += sum;
    };
    std::vector<std::thread> threads;
    for (int first = 0; first < 4; ++first)
        threads.emplace_back([&, first] {
            for (int i = first; i < bodies; i += 4)
                work(i, [&](int from, int to, int sum) {
                    add(from, -sum);
                    add(to, sum);
                });
        });
    for (std::thread& thread : threads) thread.join();
    return balances;
}

} // namespace

int main() {
    weft::report_stack_overflow();
    const std::vector<int> balances = balances_by_bodies();
    std::cout << "balances:";
    for (const int balance : balances) std::cout << ' ' << balance;
    std::cout << "\naccounts touched outside of their strands: " << trespasses
              << "\nin blocking threads the same: " << example::said_of(balances == balances_by_threads()) << '\n';
}
