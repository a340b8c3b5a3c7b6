#include "engine/model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "engine/model/gguf_bytes.h"

namespace spotinference {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Bytes = GgufBytes;

absl::StatusOr<std::unique_ptr<GgufFile>> Parse(const std::string& bytes) {
  return GgufFile::Parse({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
}

void ExpectRefused(const std::string& bytes, const std::string& message) {
  const auto file = Parse(bytes);
  ASSERT_FALSE(file.ok()) << message;
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << file.status();
  EXPECT_THAT(std::string(file.status().message()), HasSubstr(message));
}

TEST(Gguf, ReadsEveryKindOfValue) {
  const std::string bytes = Bytes()
                                .Header(0, 8)
                                .Key<uint8_t>("a.u8", kUint8, 200)
                                .Key<int64_t>("a.i64", kInt64, -5)
                                .Key<uint64_t>("a.u64", kUint64, ~0ull)
                                .Key<float>("a.f", kFloat32, 0.5f)
                                .Key<uint8_t>("a.b", kBool, 1)
                                .String("a.s")
                                .Put(kString)
                                .String("hé\n")
                                .String("a.ss")
                                .Put(kArray)
                                .Put(kString)
                                .Put<uint64_t>(2)
                                .String("x")
                                .String("")
                                .String("a.is")
                                .Put(kArray)
                                .Put(kInt32)
                                .Put<uint64_t>(2)
                                .Put(7)
                                .Put(-7);
  const auto opened = Parse(bytes);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const GgufFile& file = **opened;
  EXPECT_EQ(*file.Integer("a.u8", 0, 255), 200);
  EXPECT_EQ(*file.Integer("a.i64", -5, 0), -5);
  EXPECT_EQ(*file.Float("a.f"), 0.5);
  EXPECT_EQ(*file.Bool("a.b"), true);
  EXPECT_EQ(*file.String("a.s"), "hé\n");
  EXPECT_THAT(*file.Strings("a.ss"), ElementsAre("x", ""));
  EXPECT_THAT(*file.Integers("a.is", -9, 9), ElementsAre(7, -7));
  EXPECT_TRUE(file.Has("a.f"));
  EXPECT_THAT(file.keys(),
              ElementsAre("a.u8", "a.i64", "a.u64", "a.f", "a.b", "a.s", "a.ss", "a.is"));

  EXPECT_EQ(file.Integer("none", 0, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(file.Integer("a.u8", 0, 199).status().message(),
            "key 'a.u8': 200 is outside of [0, 199]");
  EXPECT_EQ(file.Integer("a.u64", 0, 9).status().message(),
            "key 'a.u64': 18446744073709551615 is outside of [0, 9]");
  EXPECT_EQ(file.Integers("a.is", 0, 9).status().message(), "key 'a.is': -7 is outside of [0, 9]");
  EXPECT_EQ(file.Float("a.u8").status().message(), "key 'a.u8': its type is uint8, not float");
  EXPECT_EQ(file.Strings("a.is").status().message(),
            "key 'a.is': its type is array of int32, not array of string");
  EXPECT_EQ(file.String("a.ss").status().message(),
            "key 'a.ss': its type is array of string, not string");
}

TEST(Gguf, PlacesTensors) {
  const std::string bytes = Bytes()
                                .Header(2, 0, 2)
                                .Tensor("v", {3}, 0, 0)
                                .Tensor("w", {64, 2, 3}, 3, 32)
                                .Pad()
                                .Put(1.5f)
                                .Put(2.5f)
                                .Put(3.5f)
                                .Pad()
                                .Fill(2 * 3 * 2 * 20);
  const auto file = Parse(bytes);
  ASSERT_TRUE(file.ok()) << file.status();
  const TensorView* const w = (*file)->FindTensor("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->type, DType::kQ4_1);
  EXPECT_EQ(w->rows, 6);
  EXPECT_EQ(w->columns, 64);
  EXPECT_EQ(w->data.size(), 240);
  float v[3];
  DequantizeRow(*(*file)->FindTensor("v"), 0, absl::MakeSpan(v));
  EXPECT_THAT(v, ElementsAre(1.5f, 2.5f, 3.5f));
  EXPECT_EQ((*file)->FindTensor("x"), nullptr);
}

TEST(Gguf, RefusesWrongHeaders) {
  ExpectRefused("", "the magic number takes 4 bytes, but 0 are left");
  ExpectRefused("GGML....", "begins with 0x4c4d4747");
  ExpectRefused(Bytes().Header(0, 0, 0x03000000), "big-endian");
  ExpectRefused(Bytes().Header(0, 0, 4), "GGUF version 4; supported are 1, 2 and 3");
  ExpectRefused(Bytes().Header(0, 70000), "70000 keys; at most 65536");
  ExpectRefused(Bytes().Header(~0ull, 0), "18446744073709551615 tensors; at most 65536");
  ExpectRefused(Bytes().Header(0, 3).Fill(20), "3 keys, but 20 bytes are left");
  ExpectRefused(Bytes().Header(3, 0).Fill(40), "3 tensors, but 40 bytes are left");
}

TEST(Gguf, RefusesWrongKeys) {
  ExpectRefused(Bytes().Header(0, 1).Put<uint64_t>(1000).Fill(20),
                "key 0: a name of 1000 bytes, but 20 are left");
  ExpectRefused(Bytes().Header(0, 1).String("").Fill(20), "key 0: a name of 0 bytes; 1 to 65535");
  ExpectRefused(Bytes().Header(0, 1).String(std::string(65536, 'k')).Fill(20),
                "a name of 65536 bytes");
  ExpectRefused(Bytes().Header(0, 1).Key<uint32_t>("k", 13, 0),
                "key 'k': value type 13; at most 12 exists");
  ExpectRefused(Bytes().Header(0, 1).Key<uint32_t>("k", kInt64, 0),
                "key 'k': the int64 takes 8 bytes, but 4 are left");
  ExpectRefused(Bytes().Header(0, 1).Key<uint64_t>("k", kString, 1ull << 63),
                "key 'k': a string of 9223372036854775808 bytes");
  ExpectRefused(Bytes().Header(0, 1).String("k").Put(kArray).Put(kInt32).Put(1ull << 62).Fill(8),
                "key 'k': array of 4611686018427387904 elements (int32), but 8 bytes are left");
  ExpectRefused(Bytes().Header(0, 2).Key<uint32_t>("k", kUint32, 0).Key<uint32_t>("k", kUint32, 1),
                "key 'k': occurs twice");
  Bytes nested = Bytes().Header(0, 1).String("k").Put(kArray);
  for (int i = 0; i < 5; ++i) nested.Put(kArray).Put<uint64_t>(1);
  ExpectRefused(nested.Fill(100), "key 'k': arrays nested deeper than 4");
  ExpectRefused(Bytes().Header(0, 1).Key<uint64_t>("\n\x01", 99, 0),
                R"(key '\n\x01': value type 99)");
}

TEST(Gguf, RefusesWrongTensors) {
  const auto tensor = [](std::vector<uint64_t> dimensions, uint32_t type, uint64_t offset) {
    return Bytes().Header(1, 0).Tensor("t", dimensions, type, offset).Pad().Fill(64);
  };
  ASSERT_TRUE(Parse(tensor({16}, 0, 0)).ok());
  ExpectRefused(tensor({}, 0, 0), "tensor 't': 0 dimensions; 1 to 4");
  ExpectRefused(tensor({1, 1, 1, 1, 1}, 0, 0), "tensor 't': 5 dimensions");
  ExpectRefused(tensor({4, 0}, 0, 0), "tensor 't': dimension 1 is 0");
  ExpectRefused(tensor({~0ull}, 0, 0), "tensor 't': dimension 0 is 18446744073709551615");
  ExpectRefused(tensor({1, 1ull << 32, 1ull << 32}, 0, 0), "tensor 't': dimension 2 is 4294967296");
  ExpectRefused(tensor({1ull << 40, 1ull << 40}, 0, 0), "end past the file's 64 bytes");
  ExpectRefused(tensor({17}, 0, 0),
                "tensor 't': 1 rows of 17 F32 elements at offset 0 end past the file's 64 bytes");
  ExpectRefused(tensor({16}, 0, 32), "at offset 32 end past");
  ExpectRefused(tensor({1}, 0, ~0ull - 31), "end past");
  ExpectRefused(tensor({4}, 0, 8), "tensor 't': offset 8 is not a multiple of 32");
  ExpectRefused(tensor({16}, 8, 0),
                "tensor 't': a row of 16 elements is not a whole number of Q8_0 blocks of 32");
  ExpectRefused(tensor({256}, 16, 0),
                "tensor 't': type 16 (IQ2_XXS); supported are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, "
                "Q8_0, IQ4_NL, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_XS");
  ExpectRefused(tensor({256}, 777, 0), "tensor 't': type 777; supported");
  ExpectRefused(Bytes().Header(1, 0).Tensor(std::string(65, 'n'), {1}, 0, 0),
                "a name of 65 bytes; 1 to 64");
  ExpectRefused(Bytes().Header(2, 0).Tensor("t", {1}, 0, 0).Tensor("t", {1}, 0, 32).Fill(99),
                "tensor 't': occurs twice");
  ExpectRefused(Bytes().Header(2, 0).Tensor("t", {16}, 0, 0).Tensor("u", {1}, 0, 32).Fill(99),
                "tensor 'u': overlaps tensor 't'");
  ExpectRefused(Bytes().Header(1, 0).Tensor("t", {1}, 0, 0), "end past the file's 0 bytes");
}

TEST(Gguf, KeepsToItsAlignment) {
  const auto aligned = [](uint32_t alignment) {
    return Bytes()
        .Header(1, 1)
        .Key("general.alignment", kUint32, alignment)
        .Tensor("t", {1}, 0, 64)
        .Pad(64)
        .Fill(68);
  };
  EXPECT_TRUE(Parse(aligned(64)).ok());
  ExpectRefused(aligned(0), "key 'general.alignment': 0 is outside of [8, 65536]");
  ExpectRefused(aligned(48), "key 'general.alignment' is 48, not a power of two");
  ExpectRefused(aligned(128), "tensor 't': offset 64 is not a multiple of 128");
}

// Version 1: every count, length and dimension has 32 bits, an offset 64.
TEST(Gguf, ReadsNarrowCounts) {
  const auto narrow = [](Bytes& out, const std::string& s) -> Bytes& {
    out.Put<uint32_t>(s.size());
    for (char c : s) out.Put(c);
    return out;
  };
  Bytes bytes;
  bytes.Put<uint32_t>(0x46554747).Put<uint32_t>(1).Put<uint32_t>(1).Put<uint32_t>(2);
  narrow(narrow(bytes, "s").Put(kString), "text");
  narrow(narrow(narrow(bytes, "a").Put(kArray).Put(kString).Put<uint32_t>(2), ""), "xyz");
  narrow(bytes, "t").Put<uint32_t>(2).Put<uint32_t>(3).Put<uint32_t>(2).Put<uint32_t>(0).Put<uint64_t>(0);
  bytes.Pad().Fill(24);
  const std::string whole = bytes;
  const auto file = Parse(whole);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*(*file)->String("s"), "text");
  EXPECT_THAT(*(*file)->Strings("a"), ElementsAre("", "xyz"));
  EXPECT_EQ((*file)->FindTensor("t")->columns, 3);
  EXPECT_EQ((*file)->FindTensor("t")->rows, 2);
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(Parse(whole.substr(0, size)).ok()) << size;
}

// The mapping shows what others write to the file after it was checked.
TEST(Gguf, ChecksLengthsAgainWhenTheyAreUsed) {
  std::string bytes = Bytes().Header(0, 1).String("k").Put(kString).String("text");
  const auto file = Parse(bytes);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(*(*file)->String("k"), "text");
  bytes[bytes.size() - 12] = 5;
  EXPECT_EQ((*file)->String("k").status().message(), "key 'k': a string of 5 bytes, but 4 are left in the file");
}

TEST(Gguf, EveryCutIsRefused) {
  const std::string whole = Bytes()
                                .Header(1, 2)
                                .Key<uint8_t>("b", kBool, 1)
                                .String("s")
                                .Put(kArray)
                                .Put(kString)
                                .Put<uint64_t>(2)
                                .String("x")
                                .String("yz")
                                .Tensor("t", {32}, 8, 0)
                                .Pad()
                                .Fill(34);
  ASSERT_TRUE(Parse(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(Parse(whole.substr(0, size)).ok()) << size;
}

TEST(Gguf, OpensFilesAndSaysWhyNot) {
  const std::string path = testing::TempDir() + "/small.gguf";
  std::ofstream(path, std::ios::binary)
      << std::string(Bytes().Header(0, 1).Key<uint32_t>("k", kUint32, 1));
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ((*file)->files().size(), 1);
  EXPECT_EQ((*file)->files()[0].path, path);
  EXPECT_EQ((*file)->files()[0].bytes.size(), 24 + 9 + 8);

  EXPECT_EQ(GgufFile::Open(path + ".none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(GgufFile::Open(testing::TempDir()).status().message()),
              HasSubstr("is not a regular file"));
  const std::string empty = testing::TempDir() + "/empty.gguf";
  std::ofstream(empty, std::ios::binary).flush();
  EXPECT_THAT(std::string(GgufFile::Open(empty).status().message()), HasSubstr("is empty"));
  std::ofstream(empty, std::ios::binary) << "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 134\n";
  EXPECT_THAT(std::string(GgufFile::Open(empty).status().message()), HasSubstr("'git lfs pull' fetches the file"));
}

}  // namespace
}  // namespace spotinference
