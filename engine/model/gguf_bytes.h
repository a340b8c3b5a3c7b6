// GGUF files for tests, written byte for byte.
#ifndef ENGINE_MODEL_GGUF_BYTES_H_
#define ENGINE_MODEL_GGUF_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace spotinference {

// Ids of value types.
inline constexpr uint32_t kUint8 = 0, kUint16 = 2, kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8,
                   kArray = 9, kUint64 = 10, kInt64 = 11;

// Writes what the format says, or what a test wants broken.
class GgufBytes {
 public:
  template <typename T>
  GgufBytes& Put(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  GgufBytes& String(const std::string& s) {
    Put<uint64_t>(s.size());
    out_ += s;
    return *this;
  }
  GgufBytes& Header(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    return Put<uint32_t>(0x46554747).Put(version).Put(tensors).Put(keys);
  }
  template <typename T>
  GgufBytes& Key(const std::string& name, uint32_t type, T value) {
    return String(name).Put(type).Put(value);
  }
  GgufBytes& Tensor(const std::string& name, std::vector<uint64_t> dimensions, uint32_t type,
                uint64_t offset) {
    String(name).Put<uint32_t>(dimensions.size());
    for (uint64_t d : dimensions) Put(d);
    return Put(type).Put(offset);
  }
  GgufBytes& Pad(size_t alignment = 32) {
    out_.resize((out_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  GgufBytes& Fill(size_t count) {
    out_.append(count, '\1');
    return *this;
  }
  operator std::string() const { return out_; }

 private:
  std::string out_;
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_GGUF_BYTES_H_
