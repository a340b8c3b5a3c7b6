// A value that one thread sets and any thread gets whole; setting waits for nobody (a sequence lock).
#ifndef ENGINE_BASE_SNAPSHOT_H_
#define ENGINE_BASE_SNAPSHOT_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace spotinference {

template <typename T>
class Snapshot {
 public:
  static_assert(std::is_trivially_copyable_v<T>);

  Snapshot() { Set(T()); }

  // One thread at a time.
  void Set(const T& value) {
    std::array<uint64_t, kWords> words = {};
    std::memcpy(words.data(), &value, sizeof value);
    const uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);  // odd: being written
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_relaxed);
    version_.store(version + 2, std::memory_order_release);
  }

  T Get() const {
    for (;;) {
      const uint64_t before = version_.load(std::memory_order_acquire);
      std::array<uint64_t, kWords> words;
      for (size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_acquire);
      if (before % 2 != 0 || version_.load(std::memory_order_relaxed) != before) continue;
      T value;
      std::memcpy(static_cast<void*>(&value), words.data(), sizeof value);  // it need not be trivial to make
      return value;
    }
  }

 private:
  static constexpr size_t kWords = (sizeof(T) + 7) / 8;

  std::atomic<uint64_t> version_{0};
  std::array<std::atomic<uint64_t>, kWords> words_ = {};
};

}  // namespace spotinference

#endif  // ENGINE_BASE_SNAPSHOT_H_
