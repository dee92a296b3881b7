// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

//   sites [--optional] PROGRAM...
//
// Reads linked programs, finds each place where a compiler put an inline switch, and follows the registers through the
// machine code behind it, on every path to the end of the function: what is read before it is written must be what the
// switch keeps. LLVM's tables say what each instruction reads and writes (llvm-dev, 14 or later).
//
// A place is found by its instructions, which are always the same, and again by its call frame information, which is in
// the program for unwinders. What only one of the two tells of is an error. So is an instruction that the tables do not
// know, a jump whose targets are not found, and a program without a place (with --optional some may have none).
//
// Paths: branches, jump tables, parts that a compiler or a linker has put elsewhere, landing pads. A call gives its
// result registers a value, and no other; a call that does not return ends the path. At a return, or a jump to another
// function, each register that a caller expects back must have been written.
//
// Not followed: which arguments a called function takes, what `push` reads (GCC makes room by it), and the x87 stack
// beyond "nothing is on it".

#include <llvm/ADT/BitVector.h>
#include <llvm/BinaryFormat/Dwarf.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/DebugInfo/DWARF/DWARFContext.h>
#include <llvm/DebugInfo/DWARF/DWARFDebugFrame.h>
#include <llvm/Demangle/Demangle.h>
#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCDisassembler/MCDisassembler.h>
#include <llvm/MC/MCInst.h>
#include <llvm/MC/MCInstPrinter.h>
#include <llvm/MC/MCInstrAnalysis.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/MCTargetOptions.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using address = std::uint64_t;
using registers = llvm::BitVector; // by number, see machine

struct error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

bool begins_with(std::string_view text, std::string_view with) {
    return text.substr(0, with.size()) == with;
}

bool begins_with_one_of(std::string_view text, std::initializer_list<std::string_view> all) {
    return std::any_of(all.begin(), all.end(), [&](std::string_view with) { return begins_with(text, with); });
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string hex(address a) {
    char text[20];
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(a));
    return text;
}

enum class flow { next, branch, jump, call, ret, nowhere };

struct instruction {
    address at = 0;
    unsigned size = 0;
    llvm::MCInst code;
    std::string_view name; // LLVM's, which tells the form of the operands
    registers reads, writes;
    flow goes = flow::next;
    std::optional<address> target; // of a direct branch, jump or call

    address end() const { return at + size; }
};

// ---------------------------------------------------------------------------------------------------------------------
// What LLVM knows of a processor. A register is numbered by LLVM's "register unit", its smallest part that other
// registers share: al, ah and the rest of eax have three. A vector register counts as one, whatever its width.

class machine {
public:
    explicit machine(const llvm::object::ObjectFile& file) : is_aarch64_(file.getArch() == llvm::Triple::aarch64) {
        const llvm::Triple triple = file.makeTriple();
        std::string problem;
        const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple.str(), problem);
        if (!target) throw error("LLVM does not know the processor: " + problem);
        tables_.reset(target->createMCInstrInfo());
        info_.reset(target->createMCRegInfo(triple.str()));
        assembler_.reset(target->createMCAsmInfo(*info_, triple.str(), {}));
#if LLVM_VERSION_MAJOR >= 15
        const char* const everything = "+all";
#else
        const char* const everything =
            "+v8.7a,+sve2,+sve2-aes,+sve2-sm4,+sve2-sha3,+sve2-bitperm,+bf16,+i8mm,+f32mm,+f64mm,+fullfp16,+fp16fml,"
            "+crypto,+mte,+rand,+tme,+ls64,+sme";
#endif
        subtarget_.reset(target->createMCSubtargetInfo(triple.str(), "", is_aarch64_ ? everything : ""));
        context_ = std::make_unique<llvm::MCContext>(triple, assembler_.get(), info_.get(), subtarget_.get());
        disassembler_.reset(target->createMCDisassembler(*subtarget_, *context_));
        analysis_.reset(target->createMCInstrAnalysis(tables_.get()));
        printer_.reset(
            target->createMCInstPrinter(triple, assembler_->getAssemblerDialect(), *assembler_, *tables_, *info_));
        if (!disassembler_ || !analysis_ || !printer_) throw error("LLVM has no disassembler for " + triple.str());
        printer_->setPrintImmHex(true);
        x87_ = info_->getNumRegUnits();
        number_registers();
    }

    bool is_aarch64() const { return is_aarch64_; }
    const registers& lost() const { return lost_; }           // by every switch
    const registers& preserved() const { return preserved_; } // a caller expects them back
    const registers& results() const { return results_; }     // of calls
    const registers& landing() const { return landing_; }     // what a landing pad is given
    registers none() const { return registers(x87_ + 1); }

    registers of(const char* name) const {
        registers found = none();
        add(by_name(name), found);
        return found;
    }

    bool is(unsigned reg, const char* name) const { return reg && reg == by_name(name); }

    std::set<std::string> names(const registers& some) const {
        std::set<std::string> found;
        for (const unsigned unit : some.set_bits()) found.insert(names_.count(unit) ? names_.at(unit) : "?");
        return found;
    }

    std::string text(const instruction& i) const {
        std::string text;
        llvm::raw_string_ostream out(text);
        printer_->printInst(&i.code, i.at, "", *subtarget_, out);
        out.flush();
        std::replace(text.begin(), text.end(), '\t', ' ');
        const auto first = text.find_first_not_of(' ');
        return first == std::string::npos ? text : text.substr(first);
    }

    /// The instruction whose bytes begin there, or nothing if the tables do not know it.
    std::optional<instruction> decode(llvm::ArrayRef<std::uint8_t> bytes, address at) const {
        instruction i;
        i.at = at;
        std::uint64_t size = 0;
        if (disassembler_->getInstruction(i.code, size, bytes, at, llvm::nulls()) != llvm::MCDisassembler::Success)
            return std::nullopt;
        i.size = static_cast<unsigned>(size);
        const llvm::StringRef name = tables_->getName(i.code.getOpcode());
        i.name = {name.data(), name.size()};
        describe(i);
        return i;
    }

    /// Where an instruction loads from or stores to, if that is a constant distance away from it.
    std::optional<address> memory(const instruction& i) const {
        const auto found = analysis_->evaluateMemoryOperandAddress(i.code, subtarget_.get(), i.at, i.size);
        return found ? std::optional<address>(*found) : std::nullopt;
    }

    void add(unsigned reg, registers& to) const {
        if (!reg) return;
        for (llvm::MCRegUnitIterator unit(reg, info_.get()); unit.isValid(); ++unit) {
            const auto folded = folded_.find(static_cast<unsigned>(*unit));
            to.set(folded == folded_.end() ? static_cast<unsigned>(*unit) : folded->second);
        }
    }

    bool stores(const instruction& i) const { return tables_->get(i.code.getOpcode()).mayStore(); }

private:
    unsigned by_name(std::string_view name) const {
        const auto found = numbers_.find(std::string(name));
        return found == numbers_.end() ? 0 : found->second;
    }

    // `shown`: how a message names it
    void number(std::string_view name, std::string shown, std::initializer_list<registers*> sets) {
        registers its = none();
        add(by_name(name), its);
        for (const unsigned unit : its.set_bits()) names_[unit] = shown;
        for (registers* set : sets) *set |= its;
    }

    void fold(const std::string& name) { // all parts of a vector register are one
        std::optional<unsigned> first;
        for (llvm::MCRegUnitIterator unit(by_name(name), info_.get()); unit.isValid(); ++unit) {
            if (!first) first = static_cast<unsigned>(*unit);
            folded_[static_cast<unsigned>(*unit)] = *first;
        }
    }

    void number_registers() {
        for (unsigned reg = 1; reg < info_->getNumRegs(); ++reg) numbers_[info_->getName(reg)] = reg;
        lost_ = preserved_ = results_ = landing_ = none();
        const auto numbered = [](const char* letters, int n) { return letters + std::to_string(n); };
        for (int n = 0; n < 32; ++n)
            if (by_name(numbered(is_aarch64_ ? "Z" : "ZMM", n))) fold(numbered(is_aarch64_ ? "Z" : "ZMM", n));
        if (is_aarch64_) {
            for (int n = 0; n < 29; ++n) { // x0 is the block, x1 what is passed, x19 is moved by hand
                const std::string name = numbered("X", n), shown = numbered("x", n);
                if (n < 2)
                    number(name, shown, {&results_, &landing_});
                else if (n < 19)
                    number(name, shown, {&lost_});
                else if (n == 19)
                    number(name, shown, {&preserved_});
                else
                    number(name, shown, {&lost_, &preserved_});
            }
            number("FP", "x29", {&preserved_});
            number("LR", "x30", {&lost_});
            for (int n = 0; n < 32; ++n) {
                const std::string name = numbered("Z", n), shown = numbered("v", n);
                if (n < 8)
                    number(name, shown, {&lost_, &results_});
                else if (n < 16)
                    number(name, shown, {&lost_, &preserved_});
                else
                    number(name, shown, {&lost_});
            }
            for (int n = 0; n < 16; ++n) {
                if (n < 4)
                    number(numbered("P", n), numbered("p", n), {&lost_, &results_});
                else
                    number(numbered("P", n), numbered("p", n), {&lost_});
            }
            number("FFR", "ffr", {&lost_});
            number("NZCV", "the flags", {&lost_});
            return;
        }
        number("RAX", "rax", {&lost_, &results_, &landing_});
        number("RDX", "rdx", {&lost_, &results_, &landing_});
        number("RCX", "rcx", {&lost_});
        number("RBX", "rbx", {&preserved_});
        number("RBP", "rbp", {&preserved_});
        for (int n = 8; n < 32; ++n) { // r16 and the following are APX's: not all tables have them
            const std::string name = numbered("R", n), shown = numbered("r", n);
            if (!by_name(name)) break;
            if (n >= 12 && n < 16)
                number(name, shown, {&lost_, &preserved_});
            else
                number(name, shown, {&lost_});
        }
        for (int n = 0; n < 32; ++n) {
            if (n < 2)
                number(numbered("ZMM", n), numbered("zmm", n), {&lost_, &results_});
            else
                number(numbered("ZMM", n), numbered("zmm", n), {&lost_});
        }
        for (int n = 0; n < 8; ++n) {
            number(numbered("K", n), numbered("k", n), {&lost_});
            number(numbered("MM", n), numbered("mm", n), {&lost_});
        }
        number("EFLAGS", "the flags", {&lost_});
        names_[x87_] = "the x87 stack";
        lost_.set(x87_);
        results_.set(x87_);
    }

    // -- what an instruction reads and writes -------------------------------------------------------------------------

    void describe(instruction& i) const {
        const llvm::MCInstrDesc& desc = tables_->get(i.code.getOpcode());
        i.reads = none();
        i.writes = none();
        flow_of(i, desc);
        if (begins_with_one_of(i.name, {"NOOP", "ENDBR"})) return;
        const bool constant = is_constant(i, desc);
        for (unsigned n = 0; n < i.code.getNumOperands(); ++n) {
            const llvm::MCOperand& operand = i.code.getOperand(n);
            if (!operand.isReg()) continue;
            if (n < desc.getNumDefs())
                add(operand.getReg(), i.writes);
            else if (!constant && !(n == desc.getNumDefs() && only_merges(i.name)))
                add(operand.getReg(), i.reads);
        }
#if LLVM_VERSION_MAJOR >= 16
        for (const llvm::MCPhysReg reg : desc.implicit_uses()) add(reg, i.reads);
        for (const llvm::MCPhysReg reg : desc.implicit_defs()) add(reg, i.writes);
#else
        for (const llvm::MCPhysReg* reg = desc.getImplicitUses(); reg && *reg; ++reg) add(*reg, i.reads);
        for (const llvm::MCPhysReg* reg = desc.getImplicitDefs(); reg && *reg; ++reg) add(*reg, i.writes);
#endif
        if (is_aarch64_) return;
        constexpr unsigned repeated = 2 | 4; // X86::IP_HAS_REPEAT, also where it is not equal
        if (i.code.getFlags() & repeated && begins_with_one_of(i.name, {"MOVS", "STOS", "CMPS", "SCAS", "LODS"}) &&
            !begins_with_one_of(i.name, {"MOVSS", "MOVSD", "MOVSX", "MOVSH", "MOVSL"})) {
            add(by_name("RCX"), i.reads);
            add(by_name("RCX"), i.writes);
        }
        x87(i);
    }

    // "nothing is on the x87 stack" is one register: what loads something writes it, everything else reads it.
    void x87(instruction& i) const {
        const std::string mnemonic = text(i);
        if (mnemonic.empty() || mnemonic[0] != 'f' || begins_with_one_of(i.name, {"FS_", "FEMMS"})) return;
        if (begins_with_one_of(mnemonic, {"fldcw", "fldenv", "fnst", "fstcw", "fstsw", "fstenv", "fnclex", "fwait",
                                          "fxsave", "fxrstor"})) // the control words, which are the thread's
            return;
        if (begins_with_one_of(mnemonic, {"fld", "fild", "fninit", "finit", "ffree"}))
            i.writes.set(x87_);
        else
            i.reads.set(x87_);
    }

    // x ^ x, x - x and the like: the result does not depend on the register. Not so where a mask keeps a part of it.
    bool is_constant(const instruction& i, const llvm::MCInstrDesc& desc) const {
        std::string_view name = i.name;
        if (is_aarch64_) {
            if (!begins_with_one_of(name,
                                    {"EORWrs", "EORXrs", "SUBWrs", "SUBXrs", "BICWrs", "BICXrs", "EORv", "EOR_ZZZ"}))
                return false;
            if (i.code.getNumOperands() < 3 || (i.code.getNumOperands() > 3 && i.code.getOperand(3).getImm() != 0))
                return false;
            return i.code.getOperand(1).getReg() == i.code.getOperand(2).getReg();
        }
        const unsigned last = i.code.getNumOperands() - 1;
        if (begins_with_one_of(name, {"OR", "AND"}) && last >= 1 && i.code.getOperand(last).isImm() &&
            !desc.mayLoad() && i.code.getOperand(0).isReg())
            return i.code.getOperand(last).getImm() == (name[0] == 'O' ? -1 : 0);
        if (desc.mayLoad() || desc.mayStore() || contains(name, "rk")) return false;
        if (begins_with(name, "VPTERNLOG"))
            return i.code.getOperand(last).isImm() &&
                   (i.code.getOperand(last).getImm() == 0 || (i.code.getOperand(last).getImm() & 255) == 255);
        if (name[0] == 'V') name.remove_prefix(1);
        if (!begins_with_one_of(
                name, {"XOR", "SUB", "SBB", "PXOR", "PSUB", "PCMPEQ", "PCMPGT", "KXOR", "KXNOR", "PANDN", "ANDNP"}) ||
            begins_with_one_of(name, {"SUBP", "SUBS"})) // x - x of floating-point numbers may be NaN
            return false;
        unsigned first = desc.getNumDefs(), same = 0, reg = 0;
        for (; first < i.code.getNumOperands(); ++first) {
            const llvm::MCOperand& operand = i.code.getOperand(first);
            if (!operand.isReg()) return false;
            if (same++ && operand.getReg() != reg) return false;
            reg = operand.getReg();
        }
        return same == 2;
    }

    // Conversions of one number copy the rest of the vector from an operand of no meaning; movhlps keeps a half.
    static bool only_merges(std::string_view name) {
        return begins_with_one_of(name, {"MOVHLPS",     "VMOVHLPS",   "VCVTSI2S",  "VCVTUSI2S", "VCVTSI642S",
                                         "VCVTUSI642S", "VCVTSS2SD",  "VCVTSD2SS", "VCVTSS2SH", "VCVTSH2SS",
                                         "VCVTSD2SH",   "VCVTSH2SD",  "VCVTSI2SH", "VSQRTS",    "VRSQRTS",
                                         "VRSQRT14S",   "VRSQRT28S",  "VRCPS",     "VRCP14S",   "VRCP28S",
                                         "VROUNDS",     "VRNDSCALES", "VGETEXPS",  "VGETMANTS", "VREDUCES"}) &&
               !contains(name, "k");
    }

    void flow_of(instruction& i, const llvm::MCInstrDesc& desc) const {
        const bool traps = begins_with_one_of(i.name, {"TRAP", "UD2", "UD1", "INT3", "HLT", "BRK", "UDF", "DCPS"});
        if (traps)
            i.goes = flow::nowhere;
        else if (desc.isReturn())
            i.goes = flow::ret;
        else if (desc.isCall())
            i.goes = flow::call;
        else if (desc.isBranch() || desc.isIndirectBranch())
            i.goes = desc.isConditionalBranch() || !desc.isBarrier() ? flow::branch : flow::jump;
        if (i.goes == flow::branch || i.goes == flow::jump || i.goes == flow::call) {
            std::uint64_t target = 0;
            if (analysis_->evaluateBranch(i.code, i.at, i.size, target)) i.target = target;
        }
    }

    bool is_aarch64_;
    std::unique_ptr<llvm::MCInstrInfo> tables_;
    std::unique_ptr<llvm::MCRegisterInfo> info_;
    std::unique_ptr<llvm::MCAsmInfo> assembler_;
    std::unique_ptr<llvm::MCSubtargetInfo> subtarget_;
    std::unique_ptr<llvm::MCContext> context_;
    std::unique_ptr<llvm::MCDisassembler> disassembler_;
    std::unique_ptr<llvm::MCInstrAnalysis> analysis_;
    std::unique_ptr<llvm::MCInstPrinter> printer_;
    unsigned x87_ = 0; // one more register than LLVM has units
    std::map<std::string, unsigned> numbers_;
    std::unordered_map<unsigned, unsigned> folded_;
    std::unordered_map<unsigned, std::string> names_;
    registers lost_, preserved_, results_, landing_;
};

// ---------------------------------------------------------------------------------------------------------------------
// A linked program: bytes, functions, call frame information.

struct row { // of call frame information: from there on
    address at;
    std::uint64_t cfa_register, cfa_offset;
};

struct call_range {           // of the table of the language (LSDA): where an exception out of these calls goes on
    address first, last, pad; // pad: 0 where it goes on in the caller
};

struct function {
    address first = 0, last = 0;
    std::vector<std::string> names;
    const llvm::dwarf::FDE* frames = nullptr; // call frame information
    std::vector<row> rows;
    bool has_table = false; // of the language: an exception out of a call that it does not name ends the process
    std::vector<call_range> ranges; // what that table says

    bool holds(address a) const { return first <= a && a < last; }

    std::string name() const { return names.empty() ? "the function at " + hex(first) : llvm::demangle(names.front()); }
};

// The name of a function without what a compiler adds to that of a part that it has put elsewhere.
std::string whole(std::string_view name) {
    const auto cold = name.find(".cold");
    return std::string(name.substr(0, cold));
}

bool is_put_aside(const function& f) { // by a linker, for errata of Cortex-A53, with a jump there and one back
    return std::any_of(f.names.begin(), f.names.end(), [](const std::string& n) {
        return begins_with_one_of(n, {"e843419@", "e835769@", "__CortexA53"});
    });
}

class program {
public:
    explicit program(const llvm::object::ObjectFile& file) : file_(file), machine_(file) {
        if (file.isRelocatableObject()) throw error("is not linked");
        for (const llvm::object::SectionRef& section : file.sections()) {
            const llvm::object::ELFSectionRef elf(section);
            if (!(elf.getFlags() & llvm::ELF::SHF_ALLOC) || section.isBSS() || section.getSize() == 0) continue;
            auto contents = section.getContents();
            if (!contents) throw error("a section cannot be read: " + llvm::toString(contents.takeError()));
            sections_.push_back({section.getAddress(), *contents, section.isText()});
        }
        read_symbols();
        read_imports();
        read_frames();
    }

    const machine& processor() const { return machine_; }

    llvm::StringRef bytes(address at, bool* is_text = nullptr) const {
        for (const auto& s : sections_) {
            if (at < s.first || at - s.first >= s.bytes.size()) continue;
            if (is_text) *is_text = s.is_text;
            return s.bytes.substr(at - s.first);
        }
        return {};
    }

    bool is_text(address at) const {
        bool text = false;
        return !bytes(at, &text).empty() && text;
    }

    std::optional<std::int64_t> number(address at, unsigned size, bool is_signed) const {
        const llvm::StringRef data = bytes(at);
        if (data.size() < size) return std::nullopt;
        std::uint64_t value = 0;
        for (unsigned n = 0; n < size; ++n)
            value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(data[n])) << 8 * n;
        if (is_signed && size < 8 && value >> (8 * size - 1)) value |= ~std::uint64_t{0} << 8 * size;
        return static_cast<std::int64_t>(value);
    }

    /// The addresses at which these bytes stand in the text.
    std::vector<address> find(llvm::StringRef text, unsigned alignment) const {
        std::vector<address> found;
        for (const auto& s : sections_) {
            if (!s.is_text) continue;
            for (std::size_t at = s.bytes.find(text); at != llvm::StringRef::npos; at = s.bytes.find(text, at + 1))
                if ((s.first + at) % alignment == 0) found.push_back(s.first + at);
        }
        return found;
    }

    const instruction* at(address a) {
        const auto known = code_.find(a);
        if (known != code_.end()) return known->second ? &*known->second : nullptr;
        bool text = false;
        const llvm::StringRef data = bytes(a, &text);
        std::optional<instruction> decoded;
        if (text && !data.empty())
            decoded = machine_.decode({reinterpret_cast<const std::uint8_t*>(data.data()), data.size()}, a);
        auto& kept = code_[a] = std::move(decoded);
        return kept ? &*kept : nullptr;
    }

    const function* function_at(address a) const {
        auto found = functions_.upper_bound(a);
        if (found == functions_.begin()) return nullptr;
        --found;
        return found->second.holds(a) ? &found->second : nullptr;
    }

    const std::map<address, function>& functions() const { return functions_; }

    /// All instructions of a function, one after another. Throws where one is not known.
    const std::vector<const instruction*>& body(const function& f) {
        if (const auto known = bodies_.find(f.first); known != bodies_.end()) return known->second;
        std::vector<const instruction*> all;
        for (address a = f.first; a < f.last;) {
            const instruction* i = at(a);
            if (!i)
                throw error(place(a) + ": cannot be followed: LLVM " LLVM_VERSION_STRING
                                       " does not know the instruction");
            all.push_back(i);
            a = i->end();
            // -fsanitize=function puts data behind a jump at the beginning
            if (all.size() <= 2 && i->goes == flow::jump && i->target && *i->target > a && *i->target - a <= 16)
                a = *i->target;
        }
        return bodies_[f.first] = std::move(all);
    }

    bool is_one_function(const function& a, const function& b) const {
        if (&a == &b || is_put_aside(a) || is_put_aside(b)) return true;
        for (const std::string& one : a.names)
            for (const std::string& other : b.names)
                if (whole(one) == whole(other)) return true;
        return false;
    }

    std::string place(address a) const {
        const function* f = function_at(a);
        return hex(a) + (f ? ", in " + f->name() : "");
    }

    /// Whether a register that the caller expects back, and that is in memory at `call`, is at the same place at `pad`.
    bool frames_agree(address call, address pad) const {
        const auto before = rules_at(call), after = rules_at(pad);
        return std::all_of(before.begin(), before.end(), [&](const auto& rule) {
            const auto found = after.find(rule.first);
            return found != after.end() && found->second == rule.second;
        });
    }

    /// The symbol of a variable at that address.
    std::string_view variable(address a) const {
        const auto found = variables_.find(a);
        return found == variables_.end() ? std::string_view() : std::string_view(found->second);
    }

    /// The function of another object that a call goes to, directly or by the linkage table; "" if it is none.
    std::string_view imported(address target) {
        if (const auto slot = slot_of(target)) {
            const auto found = imports_.find(*slot);
            if (found != imports_.end()) return found->second;
        }
        return {};
    }

    std::string_view import_at(address slot) const {
        const auto found = imports_.find(slot);
        return found == imports_.end() ? std::string_view() : std::string_view(found->second);
    }

private:
    struct section {
        address first;
        llvm::StringRef bytes;
        bool is_text;
    };

    void read_symbols() {
        std::map<address, std::pair<address, std::vector<std::string>>> found;
        for (const llvm::object::SymbolRef& symbol : file_.symbols()) {
            const llvm::object::ELFSymbolRef elf(symbol);
            auto name = symbol.getName();
            auto at = symbol.getAddress();
            if (!name || !at) {
                llvm::consumeError(name.takeError());
                llvm::consumeError(at.takeError());
                continue;
            }
            if (elf.getELFType() == llvm::ELF::STT_OBJECT) variables_[*at] = name->str();
            const bool aside =
                begins_with_one_of({name->data(), name->size()}, {"e843419@", "e835769@", "__CortexA53"});
            if ((!aside && (elf.getELFType() != llvm::ELF::STT_FUNC || elf.getSize() == 0)) || !is_text(*at)) continue;
            auto& [last, names] = found[*at];
            last = std::max(last, *at + (aside ? 8 : elf.getSize()));
            names.push_back(name->str());
        }
        for (auto& [first, rest] : found) {
            function& f = functions_[first];
            f.first = first;
            f.last = rest.first;
            f.names = std::move(rest.second);
        }
    }

    void read_imports() {
        for (const llvm::object::SectionRef& section :
             llvm::cast<llvm::object::ELFObjectFileBase>(file_).dynamic_relocation_sections()) {
            for (const llvm::object::RelocationRef& relocation : section.relocations()) {
                const auto symbol = relocation.getSymbol();
                if (symbol == file_.symbol_end()) continue;
                auto name = symbol->getName();
                if (name)
                    imports_[relocation.getOffset()] = name->str();
                else
                    llvm::consumeError(name.takeError());
            }
        }
    }

    // Where an entry of the linkage table loads its target from.
    std::optional<address> slot_of(address entry) {
        address page = 0;
        for (int n = 0; n < 4; ++n) {
            const instruction* i = at(entry);
            if (!i) return std::nullopt;
            entry = i->end();
            if (!machine_.is_aarch64()) {
                if (begins_with(i->name, "JMP64m")) return machine_.memory(*i);
                if (i->goes != flow::next) return std::nullopt;
            } else if (i->name == "ADRP") {
                page = (i->at & ~address{4095}) + (static_cast<address>(i->code.getOperand(1).getImm()) << 12);
            } else if (i->name == "LDRXui" && page) {
                return page + static_cast<address>(i->code.getOperand(2).getImm()) * 8;
            } else if (i->goes != flow::next) {
                return std::nullopt;
            }
        }
        return std::nullopt;
    }

    void read_frames() {
        dwarf_ = llvm::DWARFContext::create(file_);
        for (const bool is_eh : {true, false}) {
            auto frames = is_eh ? dwarf_->getEHFrame() : dwarf_->getDebugFrame();
            if (!frames)
                throw error("the call frame information cannot be read: " + llvm::toString(frames.takeError()));
            for (const llvm::dwarf::FrameEntry& entry : (*frames)->entries())
                if (const auto* fde = llvm::dyn_cast<llvm::dwarf::FDE>(&entry)) read_frame(*fde);
        }
    }

    void read_frame(const llvm::dwarf::FDE& fde) {
        const address first = fde.getInitialLocation();
        if (!is_text(first) || fde.getAddressRange() == 0) return;
        const auto known = functions_.find(first);
        if (known != functions_.end() && known->second.frames) return;
        function& f = functions_[first];
        f.first = first;
        f.last = std::max(f.last, first + fde.getAddressRange());
        f.frames = &fde;
        std::vector<row> kept;
        row now{first, 0, 0};
        const std::uint64_t alignment = fde.getLinkedCIE()->getCodeAlignmentFactor();
        for (const auto& i : fde.getLinkedCIE()->cfis()) apply(i.Opcode, i.Ops, alignment, now, kept, f, first);
        f.rows.push_back(now);
        for (const auto& i : fde.cfis()) apply(i.Opcode, i.Ops, alignment, now, kept, f, first);
        if (const auto lsda = fde.getLSDAAddress()) read_table(*lsda, f);
    }

    template <class Operands>
    static void apply(unsigned opcode, const Operands& ops, std::uint64_t alignment, row& now, std::vector<row>& kept,
                      function& f, address first) {
        using namespace llvm::dwarf;
        switch (opcode) {
        case DW_CFA_set_loc:
            now.at = ops[0];
            return;
        case DW_CFA_advance_loc:
        case DW_CFA_advance_loc1:
        case DW_CFA_advance_loc2:
        case DW_CFA_advance_loc4:
            now.at += ops[0] * alignment;
            return;
        case DW_CFA_def_cfa:
            now.cfa_register = ops[0], now.cfa_offset = ops[1];
            break;
        case DW_CFA_def_cfa_register:
            now.cfa_register = ops[0];
            break;
        case DW_CFA_def_cfa_offset:
            now.cfa_offset = ops[0];
            break;
        case DW_CFA_def_cfa_expression:
            now.cfa_register = ~std::uint64_t{0};
            break;
        case DW_CFA_remember_state:
            kept.push_back(now);
            return;
        case DW_CFA_restore_state:
            if (kept.empty()) return;
            now.cfa_register = kept.back().cfa_register;
            now.cfa_offset = kept.back().cfa_offset;
            kept.pop_back();
            break;
        default:
            return;
        }
        if (now.at != first || !f.rows.empty()) f.rows.push_back(now);
    }

    // The registers that are saved in memory at that address, and where.
    std::map<std::uint64_t, std::uint64_t> rules_at(address a) const {
        using namespace llvm::dwarf;
        std::map<std::uint64_t, std::uint64_t> rules;
        const function* f = function_at(a);
        if (!f || !f->frames) return rules;
        std::vector<std::map<std::uint64_t, std::uint64_t>> kept;
        address now = f->first;
        const std::uint64_t alignment = f->frames->getLinkedCIE()->getCodeAlignmentFactor();
        for (const auto& i : f->frames->cfis()) {
            const auto& ops = i.Ops;
            if (now > a) break;
            switch (unsigned(i.Opcode)) {
            case DW_CFA_set_loc:
                now = ops[0];
                break;
            case DW_CFA_advance_loc:
            case DW_CFA_advance_loc1:
            case DW_CFA_advance_loc2:
            case DW_CFA_advance_loc4:
                now += ops[0] * alignment;
                break;
            case DW_CFA_offset:
            case DW_CFA_offset_extended:
            case DW_CFA_offset_extended_sf:
                rules[ops[0]] = ops[1];
                break;
            case DW_CFA_restore:
            case DW_CFA_restore_extended:
            case DW_CFA_same_value:
                rules.erase(ops[0]);
                break;
            case DW_CFA_remember_state:
                kept.push_back(rules);
                break;
            case DW_CFA_restore_state:
                if (kept.empty()) break;
                rules = kept.back();
                kept.pop_back();
                break;
            default:
                break;
            }
        }
        return rules;
    }

    // The table of the language (LSDA): which landing pad each call has.
    void read_table(address table, function& f) {
        f.has_table = true;
        address at = table;
        const auto leb = [&] {
            std::uint64_t value = 0;
            for (unsigned shift = 0;; shift += 7) {
                const auto byte = number(at++, 1, false);
                if (!byte) throw error(f.name() + ": its table of landing pads ends too early");
                value |= static_cast<std::uint64_t>(*byte & 127) << shift;
                if (!(*byte & 128)) return value;
            }
        };
        const auto encoded = [&](unsigned how) -> std::uint64_t {
            const address here = at;
            std::uint64_t value = 0;
            unsigned size = 0;
            switch (how & 15) {
            case llvm::dwarf::DW_EH_PE_uleb128:
                value = leb();
                break;
            case llvm::dwarf::DW_EH_PE_udata2:
                size = 2;
                break;
            case llvm::dwarf::DW_EH_PE_udata4:
            case llvm::dwarf::DW_EH_PE_sdata4:
                size = 4;
                break;
            case llvm::dwarf::DW_EH_PE_absptr:
            case llvm::dwarf::DW_EH_PE_udata8:
            case llvm::dwarf::DW_EH_PE_sdata8:
                size = 8;
                break;
            default:
                throw error(f.name() + ": its table of landing pads has an unknown encoding");
            }
            if (size) {
                const auto read = number(at, size, (how & 8) != 0);
                if (!read) throw error(f.name() + ": its table of landing pads ends too early");
                value = static_cast<std::uint64_t>(*read);
                at += size;
            }
            return value + ((how & 0x70) == llvm::dwarf::DW_EH_PE_pcrel ? here : 0);
        };
        const auto byte = [&] { return static_cast<unsigned>(number(at++, 1, false).value_or(255)); };
        unsigned how = byte();
        const address base = how == llvm::dwarf::DW_EH_PE_omit ? f.first : encoded(how);
        if (byte() != llvm::dwarf::DW_EH_PE_omit) leb(); // where the types are
        how = byte();
        const std::uint64_t length = leb();
        for (const address end = at + length; at < end;) {
            const address first = f.first + encoded(how);
            const address last = first + encoded(how);
            const std::uint64_t pad = encoded(how);
            leb(); // what is done there
            f.ranges.push_back({first, last, pad ? base + pad : 0});
        }
    }

    const llvm::object::ObjectFile& file_;
    machine machine_;
    std::vector<section> sections_;
    std::map<address, function> functions_;
    std::unordered_map<address, std::string> variables_, imports_;
    std::unordered_map<address, std::optional<instruction>> code_;
    std::unordered_map<address, std::vector<const instruction*>> bodies_;
    std::unique_ptr<llvm::DWARFContext> dwarf_;
};

// ---------------------------------------------------------------------------------------------------------------------
// Where an indirect jump goes: through a table that a compiler has made of a `switch`.

class jump_tables {
public:
    explicit jump_tables(program& p) : program_(p), machine_(p.processor()) {}

    /// Empty if it is no such jump, or its table is not found.
    std::vector<address> targets(const function& f, const instruction& jump) {
        body_ = &program_.body(f);
        function_ = &f;
        at_ = std::lower_bound(body_->begin(), body_->end(), jump.at,
                               [](const instruction* i, address a) { return i->at < a; }) -
              body_->begin();
        return machine_.is_aarch64() ? on_aarch64(jump) : on_x86_64(jump);
    }

private:
    static unsigned reg(const instruction& i, unsigned n) {
        return n < i.code.getNumOperands() && i.code.getOperand(n).isReg() ? unsigned(i.code.getOperand(n).getReg())
                                                                           : 0;
    }
    static std::int64_t imm(const instruction& i, unsigned n) {
        return n < i.code.getNumOperands() && i.code.getOperand(n).isImm() ? i.code.getOperand(n).getImm() : 0;
    }

    // The nearest instruction before position `from` that writes the register.
    std::ptrdiff_t writer(std::ptrdiff_t from, unsigned r, std::ptrdiff_t limit = 1 << 20) const {
        for (std::ptrdiff_t n = from - 1; n >= 0 && n >= from - limit; --n) {
            const instruction& i = *(*body_)[n];
            if (i.goes == flow::next && i.code.getNumOperands() && reg(i, 0) && overlap(reg(i, 0), r) &&
                defines_first(i))
                return n;
        }
        return -1;
    }

    bool overlap(unsigned a, unsigned b) const {
        registers one = machine_.none(), other = machine_.none();
        machine_.add(a, one);
        machine_.add(b, other);
        return one.anyCommon(other);
    }

    bool defines_first(const instruction& i) const {
        registers one = machine_.none();
        machine_.add(reg(i, 0), one);
        return i.writes.anyCommon(one);
    }

    bool is_inside(address target) const {
        const function* f = program_.function_at(target);
        return f && program_.is_one_function(*f, *function_) && program_.at(target);
    }

    // Entries of a table up to the first that is none.
    void read(address table, unsigned size, bool is_signed, address base, unsigned scale, std::int64_t count,
              std::vector<address>& found) const {
        for (std::int64_t n = 0; count < 0 || n < count; ++n) {
            const address entry = table + n * size;
            if (n && tables_.count(entry)) return;
            const auto value = program_.number(entry, size, is_signed);
            if (!value || program_.is_text(entry)) return;
            const address target = base + static_cast<address>(*value) * scale;
            if (!is_inside(target)) return;
            found.push_back(target);
        }
    }

    std::vector<address> on_x86_64(const instruction& jump) {
        std::vector<address> found;
        tables_.clear();
        for (const instruction* i : *body_)
            if (const auto to = loaded_address(*i); to && !program_.is_text(*to)) tables_.insert(*to);
        const auto absolute = [&](const instruction& i,
                                  unsigned first) { // of the operand's parts: base, scale, index, …
            if (reg(i, first) == 0 && reg(i, first + 2) && imm(i, first + 1) == 8)
                read(static_cast<address>(imm(i, first + 3)), 8, false, 0, 1, -1, found);
        };
        if (begins_with(jump.name, "JMP64m")) {
            absolute(jump, 0);
            return found;
        }
        const std::ptrdiff_t last = writer(at_, reg(jump, 0), 30);
        if (last < 0) return found;
        const instruction& sum = *(*body_)[last];
        if (begins_with(sum.name, "MOV64rm")) {
            absolute(sum, 1);
            return found;
        }
        if (!begins_with(sum.name, "ADD64rr") && !begins_with(sum.name, "LEA64r")) return found;
        std::set<address> candidates;
        for (const unsigned part : {reg(sum, 1), reg(sum, begins_with(sum.name, "ADD64rr") ? 2 : 3)}) {
            if (!part) continue;
            const std::ptrdiff_t at = writer(last, part);
            if (at < 0) continue;
            const instruction& i = *(*body_)[at];
            if (const auto to = loaded_address(i)) candidates.insert(*to);
        }
        if (candidates.empty()) // the address has been loaded in another place of the function
            for (const instruction* i : *body_)
                if (const auto to = loaded_address(*i);
                    to && (overlap(reg(*i, 0), reg(sum, 1)) || overlap(reg(*i, 0), reg(sum, 2))))
                    candidates.insert(*to);
        for (const address table : candidates)
            if (!program_.is_text(table)) read(table, 4, true, table, 1, -1, found);
        return found;
    }

    std::optional<address> loaded_address(const instruction& i) const { // lea table(%rip), …
        if (!begins_with(i.name, "LEA64r") || !machine_.is(reg(i, 1), "RIP")) return std::nullopt;
        return i.end() + static_cast<address>(imm(i, 4));
    }

    std::optional<address> value_of(std::ptrdiff_t from, unsigned r) const { // adr, or adrp and add
        const std::ptrdiff_t n = writer(from, r);
        if (n < 0) return std::nullopt;
        const instruction& i = *(*body_)[n];
        if (i.name == "ADR") return i.at + static_cast<address>(imm(i, 1));
        if (i.name == "ADRP") return (i.at & ~address{4095}) + (static_cast<address>(imm(i, 1)) << 12);
        if (i.name == "ADDXri") {
            const auto page = value_of(n, reg(i, 1));
            return page ? std::optional<address>(*page + static_cast<address>(imm(i, 2) << imm(i, 3))) : std::nullopt;
        }
        if (i.name == "ORRXrs" && machine_.is(reg(i, 1), "XZR")) return value_of(n, reg(i, 2));
        return std::nullopt;
    }

    std::vector<address> on_aarch64(const instruction& jump) {
        std::vector<address> found;
        tables_.clear();
        const std::ptrdiff_t last = writer(at_, reg(jump, 0), 30);
        if (last < 0) return found;
        const instruction& sum = *(*body_)[last];
        if (!begins_with(sum.name, "ADDXr") || sum.name == "ADDXri") return found;
        const unsigned how = static_cast<unsigned>(imm(sum, 3));
        const bool extends = begins_with(sum.name, "ADDXrx");
        const unsigned scale = 1u << (extends ? how & 7 : how & 63);
        for (const auto& [base_register, entry_register] :
             {std::pair(reg(sum, 1), reg(sum, 2)), std::pair(reg(sum, 2), reg(sum, 1))}) {
            const std::ptrdiff_t at = writer(last, entry_register, 30);
            if (at < 0) continue;
            const instruction& load = *(*body_)[at];
            const unsigned size = begins_with_one_of(load.name, {"LDRBB", "LDRSB"})   ? 1
                                  : begins_with_one_of(load.name, {"LDRHH", "LDRSH"}) ? 2
                                  : begins_with_one_of(load.name, {"LDRW", "LDRSW"})  ? 4
                                                                                      : 0;
            if (!size) continue;
            const auto base = value_of(last, base_register), table = value_of(at, reg(load, 1));
            if (!base || !table) continue;
            const bool is_signed = begins_with(load.name, "LDRS") || (extends && (how >> 3 & 7) >= 4);
            const std::int64_t count = entries(at);
            if (count < 0 && size < 4) return {};
            read(*table, size, is_signed, *base, scale, count, found);
            return found;
        }
        return found;
    }

    // The number of entries, by the comparison before; -1 if there is none.
    std::int64_t entries(std::ptrdiff_t from) const {
        for (std::ptrdiff_t n = from; n-- > 0 && n > from - 40;) {
            const instruction& i = *(*body_)[n];
            if (i.goes == flow::branch && i.name == "Bcc" && n > 0) {
                const instruction& compare = *(*body_)[n - 1];
                const std::int64_t condition = imm(i, 0); // hi: 8, ls: 9; hs: 2, lo: 3
                if (begins_with_one_of(compare.name, {"SUBSWri", "SUBSXri"}) && (condition == 8 || condition == 9))
                    return imm(compare, 2) + 1;
                if (begins_with_one_of(compare.name, {"SUBSWri", "SUBSXri"}) && (condition == 2 || condition == 3))
                    return imm(compare, 2);
            }
        }
        return -1;
    }

    program& program_;
    const machine& machine_;
    const function* function_ = nullptr;
    const std::vector<const instruction*>* body_ = nullptr;
    std::ptrdiff_t at_ = 0;
    std::set<address> tables_; // all that the function knows: where one begins another ends
};

// ---------------------------------------------------------------------------------------------------------------------
// The places, and the registers behind them.

struct site {
    const function* in;
    address first, last; // of the text that leaves
    address back;        // where control comes back
    registers lost;
};

// Functions of other objects that do not come back.
bool never_returns(std::string_view name) {
    return begins_with_one_of(name,
                              {"_Unwind_Resume", "__cxa_throw", "__cxa_rethrow", "__cxa_bad", "abort", "exit", "_exit",
                               "quick_exit", "__stack_chk_fail", "__assert", "__fortify_fail", "__chk_fail", "longjmp",
                               "siglongjmp", "pthread_exit", "__clang_call_terminate", "_ZSt9terminatev"}) ||
           contains(name, "__throw_") || contains(name, "rethrow_exception") || contains(name, "rethrow_nested") ||
           contains(name, "__glibcxx_assert_fail") || contains(name, "__cxa_call_terminate") ||
           (begins_with(name, "__asan_report_") && !contains(name, "_noabort")) ||
           (begins_with(name, "__ubsan_handle_") && contains(name, "_abort")) || name == "__msan_warning_noreturn";
}

// operator delete, what a compiler calls by itself, and functions of the C library that call others by pointer but are
// declared not to throw.
bool never_throws(std::string_view name) {
    static const std::set<std::string_view> names{"abort",
                                                  "_exit",
                                                  "free",
                                                  "malloc",
                                                  "memcpy",
                                                  "memmove",
                                                  "memset",
                                                  "memcmp",
                                                  "strlen",
                                                  "fork",
                                                  "__fork",
                                                  "__libc_fork",
                                                  "__stack_chk_fail",
                                                  "__fortify_fail",
                                                  "__assert_fail",
                                                  "_ZSt9terminatev",
                                                  "__clang_call_terminate",
                                                  "__cxa_begin_catch",
                                                  "__cxa_allocate_exception",
                                                  "__cxa_free_exception"};
    return names.count(name) || begins_with_one_of(name, {"_ZdlPv", "_ZdaPv"});
}

class validator {
public:
    explicit validator(program& p) : program_(p), machine_(p.processor()), tables_(p) { find_sites(); }

    std::size_t count() const { return sites_.size(); }
    const std::set<std::string>& findings() const { return findings_; }

    std::size_t functions() const {
        std::set<const function*> all;
        for (const site& s : sites_) all.insert(s.in);
        return all.size();
    }

    std::size_t lost_registers() const { // all places together
        std::size_t all = 0;
        for (const site& s : sites_) all += machine_.names(s.lost).size();
        return all;
    }

    void follow() {
        std::set<const function*> done;
        for (const site& s : sites_) {
            if (!done.insert(s.in).second) continue;
            try {
                follow(*s.in);
            } catch (const error& e) {
                findings_.insert(e.what());
            }
        }
    }

private:
    void find_sites() {
        using llvm::StringRef;
        std::set<address> found;
        if (machine_.is_aarch64()) { // stp x12, x10, [x0, #16], and then stp x19, x29, [x0] or [x0, #32]
            for (const address a : program_.find(StringRef("\x0c\x28\x01\xa9\x13\x74\x00\xa9", 8), 4)) found.insert(a);
            for (const address a : program_.find(StringRef("\x0c\x28\x01\xa9\x13\x74\x02\xa9", 8), 4)) found.insert(a);
        } else { // movq %rsp, 24(%rdi); movq %rax, 16(%rdi); movq %rbp, 8(%rdi) or 40(%rdi)
            for (const address a : program_.find(StringRef("\x48\x89\x67\x18\x48\x89\x47\x10\x48\x89\x6f", 11), 1))
                found.insert(a);
        }
        for (const address a : found) {
            const function* f = program_.function_at(a);
            if (!f)
                throw error(hex(a) +
                            ": cannot be followed: no symbol and no call frame information tells of its function");
            sites_.push_back(read_site(*f, a));
        }
        compare_with_frames();
    }

    site read_site(const function& f, address exchange) {
        const auto& body = program_.body(f);
        const auto at = std::lower_bound(body.begin(), body.end(), exchange,
                                         [](const instruction* i, address a) { return i->at < a; });
        if (at == body.end() || (*at)->at != exchange)
            throw error(program_.place(exchange) + ": cannot be followed: no instruction begins where the switch does");
        site s{&f, 0, 0, 0, machine_.lost()};
        for (auto i = at; i != body.begin() && at - i < 12 && !s.first;) {
            --i;
            const llvm::MCInst& code = (*i)->code;
            if (machine_.is_aarch64() && (*i)->name == "ADR" &&
                (machine_.is(code.getOperand(0).getReg(), "X12") || machine_.is(code.getOperand(0).getReg(), "X17"))) {
                s.first = (*i)->at;
                s.back = s.first + static_cast<address>(code.getOperand(1).getImm());
            } else if (!machine_.is_aarch64() && (*i)->name == "LEA64r" &&
                       machine_.is(code.getOperand(0).getReg(), "RAX") &&
                       machine_.is(code.getOperand(1).getReg(), "RIP")) {
                s.first = (*i)->at;
                s.back = (*i)->end() + static_cast<address>(code.getOperand(4).getImm());
            }
        }
        bool keeps_rbx = false, exchanges_x18 = false, to_fiber = false, is_signed = false;
        for (auto i = at; i != body.end() && i - at < 16 && !s.last; ++i) {
            const std::string text = machine_.text(**i);
            keeps_rbx |= begins_with(text, "movq %rbx, (%rdi)") || begins_with(text, "movq %rbx, 0x20(%rdi)");
            exchanges_x18 |= begins_with(text, "mov x18, x11");
            to_fiber |= begins_with(text, "stp x19, x29, [x0]");
            is_signed |= begins_with(text, "mov x17, x13");
            if ((*i)->goes == flow::jump) s.last = (*i)->at;
        }
        if (!s.first || !s.last || !f.holds(s.back))
            throw error(program_.place(exchange) + ": cannot be followed: this is no switch of a known form");
        if (!machine_.is_aarch64() && !keeps_rbx) s.lost |= machine_.of("RBX");
        if (exchanges_x18) s.lost.reset(machine_.of("X18"));
        // The pc and sp that wait are operands of the statement, which changes them. An unoptimized program loads them
        // from variables, and writes there what has become of them; no other has a use for it.
        const char* const pc = is_signed ? "X13" : "X17";
        for (auto i = at; to_fiber && i != body.begin() && at - i < 12;) {
            --i;
            if (!begins_with_one_of((*i)->name, {"LDRXui", "LDURXi"}) ||
                !machine_.is((*i)->code.getOperand(0).getReg(), pc))
                continue;
            s.lost.reset(machine_.of("X9"));
            s.lost.reset(machine_.of(pc));
        }
        return s;
    }

    // In the switch, and nowhere else, the arriving sp is in x9 (rcx), with nothing between it and the caller's.
    void compare_with_frames() {
        const std::uint64_t arriving = machine_.is_aarch64() ? 9 : 2; // numbers of DWARF
        std::set<const site*> told;
        for (const auto& [first, f] : program_.functions()) {
            for (const row& r : f.rows) {
                if (r.cfa_register != arriving || r.cfa_offset != 0) continue;
                const auto s = std::find_if(sites_.begin(), sites_.end(),
                                            [&](const site& each) { return each.first <= r.at && r.at <= each.last; });
                if (s == sites_.end())
                    findings_.insert(program_.place(r.at) +
                                     ": call frame information tells of a switch, but it has no known form");
                else
                    told.insert(&*s);
            }
        }
        for (const site& s : sites_)
            if (s.in->frames && !told.count(&s))
                findings_.insert(program_.place(s.first) + ": call frame information does not tell of this switch");
    }

    struct path {
        address at;
        registers lost;
    };

    void follow(const function& f) {
        std::unordered_map<address, registers> seen;
        std::unordered_map<address, const site*> texts;
        for (const site& s : sites_)
            if (program_.is_one_function(*s.in, f))
                for (address a = s.first; a <= s.last; ++a) texts[a] = &s;
        std::vector<path> work;
        for (const site& s : sites_) {
            if (s.in != &f) continue;
            work.push_back({s.back, s.lost});
        }
        while (!work.empty()) {
            path p = std::move(work.back());
            work.pop_back();
            for (;;) {
                registers& before = seen.try_emplace(p.at, machine_.none()).first->second;
                registers more = p.lost;
                more.reset(before);
                if (more.none()) break;
                before |= p.lost;
                p.lost = before;
                const instruction* i = program_.at(p.at);
                if (!i)
                    throw error(program_.place(p.at) + ": cannot be followed: LLVM " LLVM_VERSION_STRING
                                                       " does not know the instruction");
                if (!texts.count(p.at)) check_reads(f, *i, p.lost);
                p.lost.reset(i->writes);
                if (!step(f, *i, texts, p, work)) break;
            }
        }
    }

    void check_reads(const function& f, const instruction& i, registers& lost) {
        registers reads = i.reads;
        reads &= lost;
        if (reads.none() || begins_with(i.name, "PUSH64r")) return; // GCC makes room by it, with whatever register
        if (machine_.stores(
                i)) { // GCC is told of AVX-512 by outputs that nobody reads, see the inline switch of x86-64
            const auto to = machine_.memory(i);
            if (to && contains(program_.variable(*to), "unread_")) return;
        }
        for (const std::string& name : machine_.names(reads)) report(f, i, "reads " + name);
        lost.reset(reads); // one report is enough
    }

    void report(const function& f, const instruction& i, const std::string& what) {
        findings_.insert(hex(i.at) + ": `" + machine_.text(i) + "` " + what + ", which the switch does not keep, in " +
                         f.name());
    }

    // Goes on behind the instruction; false where the path ends.
    bool step(const function& f, const instruction& i, const std::unordered_map<address, const site*>& texts, path& p,
              std::vector<path>& work) {
        const auto go = [&](address to) { work.push_back({to, p.lost}); };
        const auto is_inside = [&](address to) {
            const function* other = program_.function_at(to);
            return other && program_.is_one_function(*other, f);
        };
        switch (i.goes) {
        case flow::nowhere:
            return false;
        case flow::ret:
            leaves(f, i, p.lost);
            return false;
        case flow::branch:
            if (!i.target) throw error(program_.place(i.at) + ": cannot be followed: a branch without a target");
            if (is_inside(*i.target))
                go(*i.target);
            else
                leaves(f, i, p.lost);
            break;
        case flow::jump:
            if (const auto text = texts.find(i.at); text != texts.end() && text->second->last == i.at) return false;
            if (!i.target) {
                const function* here = program_.function_at(i.at);
                const auto targets = tables_.targets(*here, i);
                for (const address to : targets) go(to);
                if (targets.empty()) leaves_by_pointer(f, *here, i, p.lost);
                return false;
            }
            if (!is_inside(*i.target)) {
                leaves(f, i, p.lost);
                return false;
            }
            p.at = *i.target;
            return true;
        case flow::call: {
            if (const address pad = pad_of(i)) {
                path landing{pad, p.lost};
                landing.lost.reset(machine_.landing());
                work.push_back(std::move(landing));
            }
            if (!comes_back(i)) return false;
            p.lost.reset(machine_.results());
            if (!is_inside(i.end())) return false; // a call by pointer that does not come back
            break;
        }
        case flow::next:
            break;
        }
        if (!is_inside(i.end()))
            throw error(program_.place(i.at) + ": cannot be followed: it runs out of its function");
        p.at = i.end();
        return true;
    }

    void leaves(const function& f, const instruction& i, const registers& lost) {
        registers missing = lost;
        missing &= machine_.preserved();
        for (const std::string& name : machine_.names(missing))
            report(f, i, "leaves the function without having restored " + name);
    }

    // A call by pointer as the last thing that a function does. Then its frame is gone.
    void leaves_by_pointer(const function& f, const function& here, const instruction& i, const registers& lost) {
        const std::uint64_t sp = machine_.is_aarch64() ? 31 : 7, offset = machine_.is_aarch64() ? 0 : 8;
        const auto next = std::upper_bound(here.rows.begin(), here.rows.end(), i.at,
                                           [](address a, const row& r) { return a < r.at; });
        if (next != here.rows.begin() && (next - 1)->cfa_register == sp && (next - 1)->cfa_offset == offset) {
            leaves(f, i, lost);
            return;
        }
        throw error(program_.place(i.at) + ": cannot be followed: `" + machine_.text(i) +
                    "` jumps by a table that is not found");
    }

    const call_range* range_of(address call) const {
        const function* f = program_.function_at(call);
        if (!f) return nullptr;
        const auto found = std::find_if(f->ranges.begin(), f->ranges.end(),
                                        [&](const call_range& r) { return r.first <= call && call < r.last; });
        return found == f->ranges.end() ? nullptr : &*found;
    }

    // Where an exception out of the call goes on in this function; 0 if it does not. A range of the table also has calls
    // in it that do not throw, where those around them have the same landing pad. Some are seen by what they call, others
    // by the frame: what is saved at a call that throws is saved at its landing pad.
    address pad_of(const instruction& call) {
        const call_range* range = range_of(call.at);
        if (!range || !range->pad || (call.target && !may_throw(*call.target, 0))) return 0;
        return program_.frames_agree(call.at, range->pad) ? range->pad : 0;
    }

    // Whether an exception may leave a function. Those of other objects may throw, but for a few.
    bool may_throw(address target, int depth) {
        if (const std::string_view name = program_.imported(target); !name.empty()) return !never_throws(name);
        const function* f = program_.function_at(target);
        if (!f || depth > 50) return true;
        for (const std::string& name : f->names) {
            if (never_throws(name)) return false;
            if (begins_with_one_of(name, {"_Unwind_", "__cxa_throw", "__cxa_rethrow", "pthread_exit"})) return true;
        }
        if (const auto known = throws_.find(f->first); known != throws_.end()) return known->second;
        throws_[f->first] = false; // for those that call each other, until one is seen to throw
        const auto* const body = known_body(*f);
        if (!body) return throws_[f->first] = true;
        for (const instruction* i : *body) {
            const bool leaves =
                i->goes == flow::call || (i->goes == flow::jump && (!i->target || !f->holds(*i->target)));
            if (!leaves || (f->has_table && !range_of(i->at))) continue;
            if (!i->target || may_throw(*i->target, depth + 1)) return throws_[f->first] = true;
        }
        return false;
    }

    // nullptr if it has an instruction that is not known
    const std::vector<const instruction*>* known_body(const function& f) {
        try {
            return &program_.body(f);
        } catch (const error&) {
            return nullptr;
        }
    }

    bool comes_back(const instruction& call) {
        if (call.target) return returns(*call.target, 0);
        if (const auto slot = machine_.memory(call)) return !never_returns(program_.import_at(*slot));
        return true;
    }

    // Whether a function may return. One of another object is taken to do so, unless its name is known.
    bool returns(address target, int depth) {
        if (const std::string_view name = program_.imported(target); !name.empty()) return !never_returns(name);
        const function* f = program_.function_at(target);
        if (!f || depth > 50) return true;
        for (const std::string& name : f->names)
            if (never_returns(name)) return false;
        if (const auto known = returns_.find(f->first); known != returns_.end()) return known->second;
        returns_[f->first] = false; // for those that call each other, until one is seen to return
        std::set<address> seen;
        std::vector<address> work{target};
        while (!work.empty()) {
            address a = work.back();
            work.pop_back();
            while (seen.insert(a).second) {
                const instruction* i = program_.at(a);
                if (!i) return returns_[f->first] = true;
                if (i->goes == flow::ret) return returns_[f->first] = true;
                const function* to = i->target ? program_.function_at(*i->target) : nullptr;
                if (i->goes == flow::branch || i->goes == flow::jump) {
                    if (!i->target) return returns_[f->first] = true;
                    if (!to || !program_.is_one_function(*to, *f)) {
                        if (returns(*i->target, depth + 1)) return returns_[f->first] = true;
                        if (i->goes == flow::jump) break;
                    } else {
                        work.push_back(*i->target);
                        if (i->goes == flow::jump) break;
                    }
                }
                if (i->goes == flow::call)
                    if (const call_range* range = range_of(a); range && range->pad) work.push_back(range->pad);
                if (i->goes == flow::nowhere || (i->goes == flow::call && i->target && !returns(*i->target, depth + 1)))
                    break;
                a = i->end();
                const function* here = program_.function_at(a);
                if (!here || !program_.is_one_function(*here, *f)) break;
            }
        }
        return false;
    }

    program& program_;
    const machine& machine_;
    jump_tables tables_;
    std::vector<site> sites_;
    std::set<std::string> findings_;
    std::unordered_map<address, bool> returns_, throws_;
};

// ---------------------------------------------------------------------------------------------------------------------

struct totals {
    std::size_t programs = 0, places = 0, functions = 0, registers = 0, findings = 0;
};

// Whether nothing was found.
bool read(const char* name, bool may_have_none, totals& all) {
    auto binary = llvm::object::ObjectFile::createObjectFile(name);
    if (!binary) throw error("cannot be read as a program: " + llvm::toString(binary.takeError()));
    const llvm::object::ObjectFile& file = *binary->getBinary();
    if (!file.isELF() || (file.getArch() != llvm::Triple::aarch64 && file.getArch() != llvm::Triple::x86_64))
        throw error("is no ELF program for x86-64 or AArch64");
    program p(file);
    validator v(p);
    if (v.count() == 0 && v.findings().empty()) {
        if (!may_have_none) throw error("has no inline switch");
        std::printf("%s: has no inline switch\n", name);
        return true;
    }
    v.follow();
    for (const std::string& finding : v.findings()) std::printf("FAILED %s: %s\n", name, finding.c_str());
    std::printf("%s: %zu inline switches in %zu functions, %zu registers, %zu findings\n", name, v.count(),
                v.functions(), v.lost_registers(), v.findings().size());
    ++all.programs;
    all.places += v.count();
    all.functions += v.functions();
    all.registers += v.lost_registers();
    all.findings += v.findings().size();
    return v.findings().empty();
}

} // namespace

int main(int argc, char** argv) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86Disassembler();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64Disassembler();
    bool may_have_none = false, right = true;
    int count = 0;
    totals all;
    for (int n = 1; n < argc; ++n) {
        if (std::string_view(argv[n]) == "--optional") {
            may_have_none = true;
            continue;
        }
        ++count;
        try {
            right &= read(argv[n], may_have_none, all);
        } catch (const std::exception& e) {
            std::printf("FAILED %s: %s\n", argv[n], e.what());
            right = false;
        }
        std::fflush(stdout);
    }
    if (count == 0) {
        std::fputs("usage: sites [--optional] PROGRAM...\n", stderr);
        return 2;
    }
    if (may_have_none && all.programs == 0 && right) {
        std::puts("FAILED none of the programs has an inline switch");
        right = false;
    }
    if (count > 1)
        std::printf("sites: %zu programs, %zu inline switches in %zu functions, %zu registers, %zu findings\n",
                    all.programs, all.places, all.functions, all.registers, all.findings);
    return right ? 0 : 1;
}
