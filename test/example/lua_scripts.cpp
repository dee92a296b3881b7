// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A thousand scripts of Lua whose function waits.
//
// The job: run customers' scripts, each of which asks what things cost. Lua's own coroutines suspend scripts, not the
// functions of C that scripts call: such a function blocks the thread, or is written as pieces that continue each
// other. Here `price(item)` just waits for the answer, also inside a coroutine of the script's and below pcall, and
// weft suspends it with all of Lua's C frames: all scripts are under way on one thread, each in a Lua state of its
// own. Then a thread that blocks runs each once more, and must come to the same. In the end some are abandoned in the
// middle.
//
// The lines that matter: price(). Lua's errors leave functions by longjmp, which destroys nothing; and its frames are
// C's, where no exception may pass. So what C++ does there stands in a function of its own, ask(), that throws
// nothing, and luaL_error is called where nothing waits to be destroyed; run() rethrows what was thrown when Lua has
// returned. A script may catch the error by pcall and call price() again, for ever: give_up() ends it.

#include "shared/blocking.hpp"
#include "shared/loopback.hpp"

#include <weft/asio.hpp>
#include <weft/exception_detour.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <lua.hpp>

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;

constexpr std::string_view shopping = R"(
    local number = ...
    local items = coroutine.wrap(function ()
        for _, item in ipairs {"bolt", "nut", "kiwi", "washer"} do
            local sold, answer = pcall(price, item)
            coroutine.yield(item, sold and answer or 0)
        end
    end)
    local names, sum = {}, 0
    for item, cost in items do
        names[#names + 1] = item
        sum = sum + number * cost
    end
    table.sort(names, function (a, b) return price("nut") > 0 and a < b end)
    if number % 7 == 0 then price("seven of them") end
    return table.concat(names, " ") .. ": " .. sum
)";

/// A script that takes no error for an answer.
constexpr std::string_view stubborn = R"(
    while true do
        pcall(coroutine.wrap(function () while true do pcall(price, "bolt") end end))
    end
)";

int open_states = 0;

/// A Lua state whose scripts know the function price(item). `wait` takes as long as an answer does.
class script {
public:
    explicit script(std::function<void()> wait) : wait_{std::move(wait)}, state_{luaL_newstate()} {
        if (!state_) throw std::bad_alloc{};
        ++open_states;
        luaL_openlibs(state_.get());
        *static_cast<script**>(lua_getextraspace(state_.get())) = this; // its coroutines get this
        lua_sethook(state_.get(), &give_up, LUA_MASKCOUNT, 1000);       // and that, too
        lua_register(state_.get(), "price", &price);
    }

    /// What the script returns, or the message of its error.
    std::string run(std::string_view source, int number) {
        lua_State* const state = state_.get();
        lua_settop(state, 0);
        if (luaL_loadbuffer(state, source.data(), source.size(), "=script") == LUA_OK) {
            lua_pushinteger(state, number);
            lua_pcall(state, 1, 1, 0);
        }
        detour_.rethrow();
        return lua_tostring(state, -1);
    }

private:
    static script& of(lua_State* state) { return **static_cast<script**>(lua_getextraspace(state)); }

    /// Called by Lua, left by longjmp if the script's argument is none, or there is no answer.
    static int price(lua_State* state) {
        const char* const item = luaL_checkstring(state, 1);
        const int answer = of(state).ask(item);
        if (answer < 0) return luaL_error(state, "nobody sells %s", item);
        lua_pushinteger(state, answer);
        return 1;
    }

    int ask(std::string_view item) noexcept {
        int answer = -1;
        detour_.run([&] {
            wait_();
            answer = item == "bolt" ? 3 : item == "nut" ? 2 : item == "washer" ? 1 : -1;
        });
        return answer;
    }

    /// Called by Lua now and then; once something was thrown, at each instruction: no pcall survives that.
    static void give_up(lua_State* state, lua_Debug*) {
        if (!of(state).detour_.failed()) return;
        lua_sethook(state, &give_up, LUA_MASKCOUNT, 1);
        luaL_error(state, "given up");
    }

    static void close(lua_State* state) {
        lua_close(state);
        --open_states;
    }

    std::function<void()> wait_;
    weft::exception_detour detour_;
    std::unique_ptr<lua_State, decltype([](lua_State* s) { close(s); })> state_;
};

int waiting = 0;
int most_waiting = 0;
int finished = 0;

/// To its callers an ordinary coroutine.
asio::awaitable<void> run(asio::io_context& context, std::string_view source, int number, std::string& result) {
    return weft::stackful([&context, source, number, &result](auto&) {
        result = script{[&] {
            most_waiting = std::max(most_waiting, ++waiting);
            asio::post(context, weft::use_fiber);
            --waiting;
        }}.run(source, number);
        ++finished;
    });
}

} // namespace

int main() {
    weft::report_stack_overflow();
    std::vector<std::string> results(1000);
    {
        asio::io_context context{1};
        for (int i = 0; i < 1000; ++i) example::start(context, run(context, shopping, i, results[i]));
        context.run();
    }
    const auto in_a_thread = example::in_thread([] {
        std::vector<std::string> expected;
        for (int i = 0; i < 1000; ++i) expected.push_back(script{[] { std::this_thread::yield(); }}.run(shopping, i));
        return expected;
    });
    std::cout << results[6] << '\n' << results[7] << "\nscripts that waited for a price at once: " << most_waiting
              << "\nin a blocking thread the same: " << example::said_of(results == in_a_thread) << '\n';

    {
        asio::io_context context{1};
        for (int i = 0; i < 10; ++i) example::start(context, run(context, i % 2 ? stubborn : shopping, i, results[i]));
        for (int i = 0; i < 15; ++i) context.run_one();
        std::cout << "states open in the middle: " << open_states << '\n';
    }
    std::cout << "and when they have been abandoned: " << open_states << "; scripts finished: " << finished << '\n';
}
