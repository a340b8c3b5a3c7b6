#include "engine/volume/object.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/volume/simulated_file_system.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

constexpr ObjectKind kKind{"test", 1};
constexpr char kPath[] = "/v/object";

std::string RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

absl::Span<const std::byte> Bytes(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

class ObjectTest : public testing::Test {
 protected:
  ObjectTest() { EXPECT_TRUE(files_.CreateFolder("/v").ok()); }

  void Write(const std::string& payload, ObjectKind kind = kKind) {
    const auto writer = ObjectWriter::Create(files_, kPath, kind);
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE((*writer)->Append(Bytes(payload).first(payload.size() / 3)).ok());
    ASSERT_TRUE((*writer)->Append(Bytes(payload).subspan(payload.size() / 3)).ok());
    ASSERT_TRUE((*writer)->Commit().ok());
  }

  // The payload, proved; "damaged"; or "absent".
  std::string Read(ObjectKind kind = kKind, int threads = 1) {
    const auto object = Object::Open(files_, kPath, kind);
    if (absl::IsNotFound(object.status())) return "absent";
    if (!object.ok() || !(*object)->VerifyAll(threads).ok()) {
      EXPECT_EQ(object.ok() ? (*object)->VerifyAll(1).code() : object.status().code(), absl::StatusCode::kDataLoss);
      return "damaged";
    }
    std::string read((*object)->payload().size(), '\0');
    const auto to = absl::MakeSpan(reinterpret_cast<std::byte*>(read.data()), read.size());
    EXPECT_TRUE((*object)->ReadAll(to, threads).ok());
    const auto payload = (*object)->payload();
    EXPECT_TRUE(read == absl::string_view(reinterpret_cast<const char*>(payload.data()), payload.size()));
    return std::string(reinterpret_cast<const char*>(payload.data()), payload.size());
  }

  SimulatedFileSystem files_;
};

TEST_F(ObjectTest, GivesBackWhatWasCommitted) {
  EXPECT_EQ(Read(), "absent");
  for (const size_t size : {size_t{0}, size_t{1}, size_t{kObjectChunkBytes} - 1, size_t{kObjectChunkBytes},
                            size_t{kObjectChunkBytes} + 1, size_t{80 * kObjectChunkBytes + 77}}) {
    const std::string payload = RandomBytes(size, 1);
    Write(payload);
    EXPECT_TRUE(Read(kKind, 3) == payload) << size;
  }
}

TEST_F(ObjectTest, AnotherKindOrVersionIsNotTaken) {
  Write("payload");
  EXPECT_EQ(Read({"test", 2}), "damaged");
  EXPECT_EQ(Read({"tes", 1}), "damaged");
  EXPECT_EQ(Read({"test", 1}), "payload");
}

TEST_F(ObjectTest, AnyFlippedBitOfASmallObjectIsFound) {
  Write(RandomBytes(300, 2));
  std::string& file = files_.Contents(kPath);
  ASSERT_EQ(file.size(), kObjectHeaderBytes + 300 + 8);
  for (size_t at = 0; at < file.size(); ++at) {
    const bool is_zero = at >= 64 && at < kObjectHeaderBytes - 8;  // one bit of each tells as much
    for (int bit = 0; bit < (is_zero ? 1 : 8); ++bit) {
      file[at] ^= 1 << bit;
      ASSERT_EQ(Read(), "damaged") << "bit " << bit << " of byte " << at;
      file[at] ^= 1 << bit;
    }
  }
}

TEST_F(ObjectTest, AFlippedBitIsFoundByWhoReadsThatChunkAndByNobodyElse) {
  const std::string payload = RandomBytes(3 * kObjectChunkBytes + 100, 3);
  Write(payload);
  std::string& file = files_.Contents(kPath);
  std::mt19937 random(4);
  for (int i = 0; i < 300; ++i) {
    const size_t at = random() % payload.size(), chunk = at / kObjectChunkBytes;
    file[kObjectHeaderBytes + at] ^= 1 << random() % 8;
    const auto object = Object::Open(files_, kPath, kKind);
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_EQ((*object)->Verify(at, 1).code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ((*object)->Verify(at, 1).code(), absl::StatusCode::kDataLoss) << "also when it is asked again";
    EXPECT_EQ((*object)->VerifyAll(2).code(), absl::StatusCode::kDataLoss);
    std::vector<std::byte> read(payload.size());
    EXPECT_EQ((*object)->ReadAll(absl::MakeSpan(read), 2).code(), absl::StatusCode::kDataLoss);
    for (size_t other = 0; other < 4; ++other) {
      EXPECT_EQ((*object)->Verify(other * kObjectChunkBytes, 100).ok(), other != chunk);
    }
    file.replace(kObjectHeaderBytes + at, 1, payload, at, 1);
  }
  EXPECT_TRUE(Read() == payload);
}

TEST_F(ObjectTest, AnyOtherLengthIsFound) {
  Write(RandomBytes(300, 5));
  const std::string whole = files_.Contents(kPath);
  for (size_t size = 0; size < whole.size(); ++size) {
    files_.Contents(kPath) = whole.substr(0, size);
    ASSERT_EQ(Read(), "damaged") << size;
  }
  for (const size_t more : {1, 8, 4096}) {
    files_.Contents(kPath) = whole + std::string(more, '\0');
    ASSERT_EQ(Read(), "damaged") << more;
  }
}

TEST_F(ObjectTest, PartsOutsideAreRefused) {
  Write("payload");
  const auto object = *Object::Open(files_, kPath, kKind);
  EXPECT_TRUE(object->Verify(7, 0).ok());
  EXPECT_EQ(object->Verify(7, 1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(object->Verify(8, 0).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(object->Verify(1, ~uint64_t{0}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ObjectTest, WhatIsNotCommittedLeavesNothing) {
  {
    const auto writer = *ObjectWriter::Create(files_, kPath, kKind);
    ASSERT_TRUE(writer->Append(Bytes("payload")).ok());
  }
  EXPECT_TRUE(files_.Paths().empty());
}

}  // namespace
}  // namespace spotinference
