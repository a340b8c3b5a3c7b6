#include "engine/model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace spotinference {
namespace {

using ::testing::HasSubstr;

std::string Bytes(const std::string& header, size_t data_bytes) {
  const uint64_t size = header.size();
  std::string bytes(reinterpret_cast<const char*>(&size), sizeof(size));
  bytes += header;
  for (size_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> Parse(const std::string& bytes) {
  return SafetensorsFile::Parse({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
}

void ExpectRefused(const std::string& bytes, const std::string& message) {
  const auto file = Parse(bytes);
  ASSERT_FALSE(file.ok()) << message;
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << file.status();
  EXPECT_THAT(std::string(file.status().message()), HasSubstr(message));
}

// One tensor 't' of eight bytes.
void ExpectTensorRefused(const std::string& entry, const std::string& message) {
  ExpectRefused(Bytes(R"({"t":)" + entry + "}", 8), message);
}

TEST(Safetensors, PlacesTensors) {
  const std::string good = Bytes(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3,4],"data_offsets":[4,52]},)"
      R"("empty":{"dtype":"F32","shape":[0,4],"data_offsets":[4,4]},)"
      R"("half":{"dtype":"F16","shape":[],"data_offsets":[2,4]},)"
      R"("first":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}    )",
      52);
  const auto file = Parse(good);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ((*file)->tensors().size(), 4);
  const TensorView& b = (*file)->tensors()[3];
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.type, DType::kBF16);
  EXPECT_EQ(b.rows, 6);
  EXPECT_EQ(b.columns, 4);
  EXPECT_EQ(b.data.size(), 48);
  EXPECT_EQ(b.data[0], std::byte{4});
  EXPECT_EQ((*file)->tensors()[0].name, "first");
  EXPECT_EQ((*file)->tensors()[1].rows, 1);  // a scalar
  EXPECT_EQ((*file)->tensors()[2].rows, 0);
}

TEST(Safetensors, RefusesWrongHeaders) {
  ExpectRefused("", "the header's length takes 8 bytes, but the file has 0");
  ExpectRefused(std::string(8, '\xff'), "a header of 18446744073709551615 bytes, but 0 are left");
  ExpectRefused(Bytes("{}", 0).substr(0, 9), "a header of 2 bytes, but 1 are left");
  ExpectRefused(Bytes("", 0), "the header is not JSON");
  ExpectRefused(Bytes("{\"a\":", 0), "the header is not JSON");
  ExpectRefused(Bytes("{\"\xff\":1}", 0), "the header is not JSON");
  ExpectRefused(Bytes("[]", 0), "not a JSON object");
  ExpectRefused(Bytes(std::string((32 << 20) + 1, ' '), 0), "a header of 33554433 bytes; at most 33554432");
  ExpectRefused(Bytes(std::string(100, '['), 0), "the header is not JSON");
}

TEST(Safetensors, RefusesWrongTensors) {
  ExpectTensorRefused("1", "tensor 't': its entry is not an object");
  ExpectTensorRefused(R"({"shape":[2],"data_offsets":[0,8]})", "tensor 't': 'dtype' is not a string");
  ExpectTensorRefused(R"({"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]})",
                      "tensor 't': dtype 'F8_E4M3'; supported are F32, F16, BF16");
  ExpectTensorRefused(R"({"dtype":"F32","data_offsets":[0,8]})", "'shape' is not an array");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", "dimension 0 is -2");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", "dimension 0 is 2E0");
  ExpectTensorRefused(R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})", "dimension 0 is \"2\"");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]})",
                      "dimension 0 is 18446744073709551615");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[4294967296,4294967296,1],"data_offsets":[0,8]})",
                      "dimension 1 is 4294967296");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})",
                      "do not take the 8 bytes");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]})",
                      "do not take the 8 bytes");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]})", "a shape of 9 dimensions");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[2]})", "'data_offsets' are not two numbers");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})", "'data_offsets' are not two numbers");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[2],"data_offsets":[0,1e1]})", "'data_offsets' are not two numbers");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})",
                      "[-8, 0] are not within the file's 8 bytes");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", "[8, 0] are not within");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[2],"data_offsets":[8,16]})", "[8, 16] are not within");
  ExpectTensorRefused(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})",
                      "1 rows of 3 F32 elements do not take the 8 bytes of data_offsets [0, 8]");
}

TEST(Safetensors, RefusesHolesAndOverlaps) {
  const auto two = [](const std::string& a, const std::string& b, size_t bytes) {
    return Bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + a +
                     R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}",
                 bytes);
  };
  EXPECT_TRUE(Parse(two("[4,8]", "[0,4]", 8)).ok());
  ExpectRefused(two("[0,4]", "[0,4]", 4), "tensor 'b' begins at byte 0 of the data; the one before it ends at 4");
  ExpectRefused(two("[0,4]", "[2,6]", 6), "tensor 'b' begins at byte 2 of the data; the one before it ends at 4");
  ExpectRefused(two("[0,4]", "[6,10]", 10), "tensor 'b' begins at byte 6 of the data; the one before it ends at 4");
  ExpectRefused(two("[4,8]", "[8,12]", 12), "tensor 'a' begins at byte 4 of the data; the one before it ends at 0");
  ExpectRefused(two("[0,4]", "[4,8]", 9), "the tensors end at byte 8 of the file's 9 bytes");
  // The JSON parser keeps one of two entries of a name; the other's bytes are a hole.
  std::string twice = two("[0,4]", "[4,8]", 8);
  twice.replace(twice.find("\"b\""), 3, "\"a\"");
  ExpectRefused(twice, "ends at 0");
}

TEST(Safetensors, EveryCutIsRefused) {
  const std::string whole = Bytes(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  ASSERT_TRUE(Parse(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(Parse(whole.substr(0, size)).ok()) << size;
}

TEST(Safetensors, OpensFilesAndSaysWhyNot) {
  const std::string path = testing::TempDir() + "/t.safetensors";
  std::remove(path.c_str());
  EXPECT_EQ(SafetensorsFile::Open(path).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(path, std::ios::binary) << Bytes("{}", 1);
  EXPECT_THAT(std::string(SafetensorsFile::Open(path).status().message()),
              HasSubstr("t.safetensors': the tensors end"));
  std::ofstream(path, std::ios::binary) << Bytes("{}", 0);
  EXPECT_TRUE(SafetensorsFile::Open(path).ok());
}

}  // namespace
}  // namespace spotinference
