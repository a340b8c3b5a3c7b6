#include "engine/base/pages.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cstdint>

// Of the linker: where the program is mapped, and where its code ends.
extern "C" const char __executable_start, etext;

namespace spotinference {
namespace {

// Spreads pages over the memory of all nodes that this process may use: every thread reads all of a weight's tiles
// sooner or later, and so has the bandwidth of all controllers instead of one. Without nodes, or leave, nothing
// happens.
void Interleave(void* p, size_t bytes) {
  constexpr int kInterleave = 3, kMemsAllowed = 4;  // MPOL_INTERLEAVE, MPOL_F_MEMS_ALLOWED of <linux/mempolicy.h>
  constexpr int kNodes = 1024;  // what any kernel is built for, and more
  uint64_t nodes[kNodes / 64] = {};
  if (syscall(SYS_get_mempolicy, nullptr, nodes, kNodes, nullptr, kMemsAllowed) != 0) return;
  int count = 0;
  for (const uint64_t some : nodes) count += std::popcount(some);
  if (count > 1) syscall(SYS_mbind, p, bytes, kInterleave, nodes, kNodes, 0);
}

}  // namespace

Pages::Pages(size_t bytes, Size size) : bytes_(bytes) {
  if (bytes == 0) return;
  void* const p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return;
  // Small ones also where the system's own default is huge.
  madvise(p, bytes, size == Size::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  if (size == Size::kHuge) Interleave(p, bytes);
  data_ = static_cast<std::byte*>(p);
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

void ReleaseBootMemory() {
  malloc_trim(0);
  const auto start = reinterpret_cast<uintptr_t>(&__executable_start);
  madvise(reinterpret_cast<void*>(start), reinterpret_cast<uintptr_t>(&etext) - start, MADV_DONTNEED);
}

}  // namespace spotinference
