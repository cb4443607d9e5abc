#include "identity/bpf/programs.h"

// libbpf reads the ELF headers in place: they must be aligned.
#define WARDER_EMBED(name, file)                                                         \
  asm(".pushsection .rodata\n.balign 16\n.global " #name "\n" #name ":\n.incbin \"" file \
      "\"\n.global " #name "_end\n" #name "_end:\n.byte 0\n.popsection\n")

WARDER_EMBED(warder_connector_program, WARDER_CONNECTOR_OBJECT);
WARDER_EMBED(warder_pass_program, WARDER_PASS_OBJECT);

extern "C" {
extern const char warder_connector_program[];
extern const char warder_connector_program_end[];
extern const char warder_pass_program[];
extern const char warder_pass_program_end[];
}

namespace warder::identity::bpf {

std::span<const char> connector_program() {
  return {warder_connector_program, warder_connector_program_end};
}

std::span<const char> pass_program() { return {warder_pass_program, warder_pass_program_end}; }

}  // namespace warder::identity::bpf
