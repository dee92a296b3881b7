// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/fcontext.hpp>
#include <peers/weft_stacks.hpp>

#include <weft/switch.hpp>

namespace {

struct weft_switch {
    using context = weft::context;
    using transfer = weft::transfer;
    static context make(void* top, std::size_t size, void (*entry)(transfer)) {
        return weft::make_context(top, size, entry);
    }
    static transfer jump(context to, void* data) { return weft::jump_context(to, data); }
    static context from(transfer t) { return t.from; }
};

struct jump_context : bench::weft_stacks {
    static constexpr const char* name = "weft::jump_context";
    template <class Body, class Stacks>
    using coroutine = bench::fcontext_coroutine<weft_switch, Body, Stacks>;
};

const bool registered = bench::register_peer<jump_context>();

} // namespace
