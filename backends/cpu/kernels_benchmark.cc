// Prints what one thread reaches in the kernels that decide: ./bazelw run //backends/cpu:kernels_benchmark [-- avx2 [Q4_K]]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "backends/cpu/kernels.h"
#include "backends/cpu/packed.h"
#include "engine/base/pages.h"

using namespace spotinference;
using namespace spotinference::cpu;

namespace {

// Of this thread's own processor time, the best of seven, so that other processes count less.
double ThreadSeconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

double Seconds(auto fn) {
  fn();
  double best = 1e9;
  for (int i = 0; i < 7; ++i) {
    const double start = ThreadSeconds();
    fn();
    best = std::min(best, ThreadSeconds() - start);
  }
  return best;
}

void Matmul(const Kernels& k, DType type, int outputs, int columns, int rows) {
  const Pages tiles(TileCount(outputs) * TileBytes(PackingOf(type), columns), Pages::Size::kHuge);  // as a weight lies
  std::memset(tiles.data(), 0x11, tiles.size());
  std::vector<float> x(rows * columns, 0.5f), scale(rows * columns / 32), scaled_sum(rows * columns / 32), out(rows * outputs);
  std::vector<int8_t> q(rows * columns);
  std::vector<int16_t> pair_sum(rows * columns / 8);
  for (int r = 0; r < rows; ++r) {
    const int block = r * columns / 32;
    k.quantize(&x[r * columns], columns, {&q[r * columns], &scale[block], &scaled_sum[block], &pair_sum[4 * block]});
  }
  const MatmulInput in{x.data(), q.data(), scale.data(), scaled_sum.data(), pair_sum.data(), rows, columns};
  const MatmulWork work{tiles.data(), TileBytes(PackingOf(type), columns), 0, static_cast<int>(TileCount(outputs)), outputs,
                        out.data(), outputs};
  const double s = Seconds([&] { k.matmul[static_cast<int>(PackingOf(type))](in, work); });
  std::printf("%-8s %-5s %6d x %4d, %3d rows: %7.1f GB/s %8.1f GOP/s\n", k.name, Layout(type).name.data(), outputs,
              columns, rows, tiles.size() / s / 1e9, 2.0 * outputs * columns * rows / s / 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view kernels = argc > 1 ? argv[1] : "", type = argc > 2 ? argv[2] : "";
  std::vector<const Kernels*> tables{&PortableKernels(), Avx2Kernels(), Avx512Kernels(), AmxKernels()};
  for (const Kernels* k : tables) {
    if (k == nullptr || (!kernels.empty() && kernels != k->name)) continue;
    const bool slow = k == tables[0];
    // One row and sixteen from memory (past every cache), many rows from cache.
    for (const DTypeLayout& layout : DTypes()) {
      if (!type.empty() && type != layout.name.data()) continue;
      Matmul(*k, layout.type, slow ? 512 : 65536, 1024, 1);
      if (!slow) Matmul(*k, layout.type, 65536, 1024, 16);
      Matmul(*k, layout.type, 1024, 1024, slow ? 4 : 256);
    }
  }
}
