// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A plugin for QEMU's user-mode emulation of AArch64: counts what a program executes between `hint #112` and `hint
// #113`.
//
//     qemu-aarch64 -plugin trace_plugin.so,out=FILE program
//
// FILE gets, for each section between two marks, what was executed: the instructions, those of them that load and those
// that store (one instruction is one memory operation, however many registers it moves; one that does both, as an
// atomic exchange, counts in both), and the returns that a return stack of 16 and of 32 entries would not have
// predicted; then the executed instructions themselves, a line each: address and instruction word.
//
// The marks themselves are not counted. The return stacks follow the program from its start: `bl` and `blr` push, `ret`
// pops, `br` does neither. One thread only.

#include "qemu_plugin.h"
#include "return_stack.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

enum class kind { ordinary, call, ret, begin, end };

struct instruction {
    std::uint64_t address;
    std::uint32_t word;
    kind what;
};

kind kind_of(std::uint32_t word) {
    constexpr auto hint = [](std::uint32_t number) { return 0xd503201f | number << 5; };
    if (word == hint(112)) return kind::begin;
    if (word == hint(113)) return kind::end;
    if ((word & 0xfc000000) == 0x94000000) return kind::call; // bl
    if ((word & 0xfefff000) == 0xd63f0000) return kind::call; // blr, blraa, blrab and their forms with a zero modifier
    if ((word & 0xfffff000) == 0xd65f0000) return kind::ret;  // ret, retaa, retab
    return kind::ordinary;
}

struct section {
    std::uint64_t loads = 0, stores = 0, misses_16 = 0, misses_32 = 0;
    std::vector<const instruction*> executed;
};

class tracer {
public:
    explicit tracer(std::string out) : out_{std::move(out)} {}

    const instruction* remember(std::uint64_t address, std::uint32_t word) {
        auto& known = instructions_[address];
        if (!known || known->word != word) known = &store_.emplace_back(instruction{address, word, kind_of(word)});
        return known;
    }

    void executes(const instruction& now) {
        finish_return(now.address);
        loaded_ = stored_ = false;
        switch (now.what) {
        case kind::begin:
            sections_.emplace_back();
            counting_ = true;
            return;
        case kind::end:
            counting_ = false;
            return;
        case kind::call:
            stack_16_.call(now.address + 4);
            stack_32_.call(now.address + 4);
            break;
        case kind::ret:
            predicted_16_ = stack_16_.predicted_return();
            predicted_32_ = stack_32_.predicted_return();
            returning_ = true;
            break;
        case kind::ordinary:
            break;
        }
        if (counting_) sections_.back().executed.push_back(&now);
    }

    void accesses(bool store) {
        bool& seen = store ? stored_ : loaded_;
        if (!counting_ || seen) return;
        seen = true;
        ++(store ? sections_.back().stores : sections_.back().loads);
    }

    void write() const {
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(out_.c_str(), "w"), &std::fclose};
        if (!file) {
            std::perror(out_.c_str());
            std::_Exit(2);
        }
        for (const section& s : sections_) {
            std::fprintf(file.get(), "section instructions=%zu loads=%llu stores=%llu misses_16=%llu misses_32=%llu\n",
                         s.executed.size(), as_printed(s.loads), as_printed(s.stores), as_printed(s.misses_16),
                         as_printed(s.misses_32));
            for (const instruction* i : s.executed)
                std::fprintf(file.get(), "%llx %08x\n", as_printed(i->address), i->word);
        }
    }

private:
    static unsigned long long as_printed(std::uint64_t number) { return number; }

    // Where a return went shows when the next instruction executes.
    void finish_return(std::uint64_t target) {
        if (!returning_) return;
        returning_ = false;
        if (!counting_) return;
        sections_.back().misses_16 += predicted_16_ != target;
        sections_.back().misses_32 += predicted_32_ != target;
    }

    std::string out_;
    std::deque<instruction> store_; // the emulator keeps pointers to them
    std::unordered_map<std::uint64_t, const instruction*> instructions_;
    std::vector<section> sections_;
    return_stack stack_16_{16}, stack_32_{32};
    std::uint64_t predicted_16_ = 0, predicted_32_ = 0;
    bool counting_ = false, returning_ = false, loaded_ = false, stored_ = false;
};

std::unique_ptr<tracer> the_tracer;

void executes(unsigned int, void* data) {
    the_tracer->executes(*static_cast<const instruction*>(data));
}

void accesses(unsigned int, qemu_plugin_meminfo_t info, std::uint64_t, void*) {
    the_tracer->accesses(qemu_plugin_mem_is_store(info));
}

void translated(qemu_plugin_id_t, qemu_plugin_tb* block) {
    for (std::size_t i = 0; i != qemu_plugin_tb_n_insns(block); ++i) {
        qemu_plugin_insn* const insn = qemu_plugin_tb_get_insn(block, i);
        std::uint32_t word;
        std::memcpy(&word, qemu_plugin_insn_data(insn), sizeof word);
        const instruction* const known = the_tracer->remember(qemu_plugin_insn_vaddr(insn), word);
        qemu_plugin_register_vcpu_insn_exec_cb(insn, executes, QEMU_PLUGIN_CB_NO_REGS, const_cast<instruction*>(known));
        qemu_plugin_register_vcpu_mem_cb(insn, accesses, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, nullptr);
    }
}

} // namespace

int qemu_plugin_version = 1;

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t*, int argc, char** argv) {
    if (argc != 1 || std::strncmp(argv[0], "out=", 4) != 0) {
        std::fprintf(stderr, "trace_plugin: give it the file to write: -plugin trace_plugin.so,out=FILE\n");
        return 1;
    }
    the_tracer = std::make_unique<tracer>(argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, [](qemu_plugin_id_t, void*) { the_tracer->write(); }, nullptr);
    return 0;
}
