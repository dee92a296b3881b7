// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/boost_stacks.hpp>
#include <peers/fcontext.hpp>

#include <boost/context/detail/fcontext.hpp>

namespace {

namespace fcontext = boost::context::detail;

struct boost_switch {
    using context = fcontext::fcontext_t;
    using transfer = fcontext::transfer_t;
    static context make(void* top, std::size_t size, void (*entry)(transfer)) {
        return fcontext::make_fcontext(top, size, entry);
    }
    static transfer jump(context to, void* data) { return fcontext::jump_fcontext(to, data); }
    static context from(transfer t) { return t.fctx; }
};

struct jump_fcontext : bench::boost_stacks {
    static constexpr const char* name = "jump_fcontext";
    template <class Body, class Stacks>
    using coroutine = bench::fcontext_coroutine<boost_switch, Body, Stacks>;
};

const bool registered = bench::register_peer<jump_fcontext>();

} // namespace
