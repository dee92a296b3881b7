// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <cstdint>

// What trace_plugin.cpp needs of QEMU's plugin interface, version 1 (QEMU 4.2 to 8.2). Distributions do not package its
// header, so the few declarations are written down here. The emulator loads the plugin, looks at qemu_plugin_version,
// and calls qemu_plugin_install; the other functions are the emulator's own. A translation block is a run of
// instructions that is translated at once: its callback may ask for others, which then run each time an instruction
// executes.
extern "C" {

__attribute__((visibility("default"))) extern int qemu_plugin_version;

struct qemu_info_t; // not looked at
struct qemu_plugin_tb;
struct qemu_plugin_insn;

using qemu_plugin_id_t = std::uint64_t;
using qemu_plugin_meminfo_t = std::uint32_t; // one access to memory, to be asked about

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };                                     // registers are not looked at
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_R = 1, QEMU_PLUGIN_MEM_W, QEMU_PLUGIN_MEM_RW }; // which accesses call back

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc,
                                                               char** argv);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t id, qemu_plugin_tb* block));
void qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_insn* instruction, // called before it
                                            void (*executes)(unsigned int cpu, void* data), qemu_plugin_cb_flags flags,
                                            void* data);
void qemu_plugin_register_vcpu_mem_cb(qemu_plugin_insn* instruction, // called after each access
                                      void (*accesses)(unsigned int cpu, qemu_plugin_meminfo_t info,
                                                       std::uint64_t address, void* data),
                                      qemu_plugin_cb_flags flags, qemu_plugin_mem_rw which, void* data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*ends)(qemu_plugin_id_t id, void* data), void* data);

std::size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* block);
qemu_plugin_insn* qemu_plugin_tb_get_insn(const qemu_plugin_tb* block, std::size_t index);
const void* qemu_plugin_insn_data(const qemu_plugin_insn* instruction); // its bytes, valid while it is translated
std::uint64_t qemu_plugin_insn_vaddr(const qemu_plugin_insn* instruction);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);

} // extern "C"
