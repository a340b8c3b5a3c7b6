// Memory straight from the system, for what is large: weights, KV.
#ifndef ENGINE_BASE_PAGES_H_
#define ENGINE_BASE_PAGES_H_

#include <cstddef>

namespace spotinference {

// Zeroed anonymous pages, given back at the end. What has not been written takes no memory.
class Pages {
 public:
  // Huge ones, where the system allows, are for what is read from end to end. A KV cache is filled here and there: its
  // first 16 tokens would take 2 MiB a layer.
  enum class Size { kSmall, kHuge };

  // data() is null when there is no memory.
  Pages(size_t bytes, Size size);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* data() const { return data_; }
  size_t size() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Gives back what booting took and serving does not need: free heap, and pages of the program that were read once. Those
// still needed come back from the system's page cache, 16 at a time (and without a debugger's break points).
void ReleaseBootMemory();

}  // namespace spotinference

#endif  // ENGINE_BASE_PAGES_H_
