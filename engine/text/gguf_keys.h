// For tests: writes a GGUF file without tensors.
#ifndef ENGINE_TEXT_GGUF_KEYS_H_
#define ENGINE_TEXT_GGUF_KEYS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spotinference {

class GgufKeys {
 public:
  void String(std::string_view key, std::string_view value) {
    Key(key, 8);
    PutString(value);
  }
  void Integer(std::string_view key, uint32_t value) {
    Key(key, 4);
    Put(value);
  }
  void Bool(std::string_view key, bool value) {
    Key(key, 7);
    Put(value);
  }
  void Strings(std::string_view key, const std::vector<std::string>& values) {
    Array(key, 8, values.size());
    for (const std::string& value : values) PutString(value);
  }
  void Integers(std::string_view key, const std::vector<int32_t>& values) {
    Array(key, 5, values.size());
    for (const int32_t value : values) Put(value);
  }
  void Floats(std::string_view key, const std::vector<float>& values) {
    Array(key, 6, values.size());
    for (const float value : values) Put(value);
  }

  // The whole file.
  std::string File() const {
    GgufKeys head;
    head.bytes_ = "GGUF";
    head.Put(uint32_t{3});  // version
    head.Put(uint64_t{0});  // tensors
    head.Put(uint64_t{keys_});
    return head.bytes_ + bytes_;
  }

 private:
  template <typename T>
  void Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void PutString(std::string_view text) {
    Put(uint64_t{text.size()});
    bytes_ += text;
  }
  void Key(std::string_view key, uint32_t type) {
    ++keys_;
    PutString(key);
    Put(type);
  }
  void Array(std::string_view key, uint32_t type, size_t count) {
    Key(key, 9);
    Put(type);
    Put(uint64_t{count});
  }

  std::string bytes_;
  uint64_t keys_ = 0;
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_GGUF_KEYS_H_
