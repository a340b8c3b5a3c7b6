#include "engine/volume/file_proof.h"

#include <atomic>
#include <random>
#include <string>

#include "engine/base/sha256.h"
#include "engine/volume/simulated_file_system.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

constexpr char kPath[] = "/v/weights.gguf";
constexpr uint64_t kSize = 3 * kObjectChunkBytes + 1000;

class FileProofTest : public testing::Test {
 protected:
  FileProofTest() {
    EXPECT_TRUE(files_.CreateFolder("/v").ok());
    std::mt19937 random(1);
    std::string bytes(kSize, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    EXPECT_TRUE((*files_.Create(kPath))->Write(0, {reinterpret_cast<const std::byte*>(bytes.data()), kSize}).ok());
    EXPECT_TRUE(WriteFileProof(files_, kPath, *HashFile(files_, kPath)).ok());
    EXPECT_EQ(HashFile(files_, kPath)->sha256, Sha256Hex(bytes));
  }

  absl::Status Verify(uint64_t offset, uint64_t size) {
    const absl::StatusOr<FileProof> proof = FileProof::Open(files_, kPath);
    if (!proof.ok()) return proof.status();
    const FileProof::Part part{offset, size};
    return proof->Verify({&part, 1}, 2);
  }

  SimulatedFileSystem files_;
};

TEST_F(FileProofTest, WhoStopsDoesNotReadOn) {
  const std::atomic<bool> stop = true;
  EXPECT_EQ(HashFile(files_, kPath, &stop).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(FileProofTest, AWholeFileIsProved) {
  EXPECT_TRUE(Verify(0, kSize).ok());
  EXPECT_TRUE(Verify(kSize, 0).ok());
  EXPECT_EQ(Verify(kSize, 1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Verify(1, ~uint64_t{0}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileProofTest, DamageIsFoundInWhatIsReadAlone) {
  for (const uint64_t at : {uint64_t{0}, kObjectChunkBytes - 1, 2 * kObjectChunkBytes, kSize - 1}) {
    files_.Contents(kPath)[at] ^= 8;
    EXPECT_EQ(Verify(at, 1).code(), absl::StatusCode::kDataLoss) << at;
    EXPECT_EQ(Verify(0, kSize).code(), absl::StatusCode::kDataLoss) << at;
    EXPECT_TRUE(Verify(kObjectChunkBytes, kObjectChunkBytes).ok()) << at;
    files_.Contents(kPath)[at] ^= 8;
  }
}

TEST_F(FileProofTest, AnotherLengthIsDamage) {
  files_.Contents(kPath).pop_back();
  EXPECT_EQ(Verify(0, 1).code(), absl::StatusCode::kDataLoss);
}

TEST_F(FileProofTest, DamagedHashesProveNothing) {
  files_.Contents("/v/weights.gguf.hashes")[kObjectHeaderBytes + 9] ^= 1;
  EXPECT_EQ(Verify(0, 1).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace spotinference
