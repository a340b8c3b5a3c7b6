#include "engine/volume/volume_cache.h"

#include <string>

#include "engine/base/fake_clock.h"
#include "engine/volume/simulated_file_system.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

CachedBytes Owned(const std::string& text) {
  auto owner = std::make_shared<const std::string>(text);
  return {{reinterpret_cast<const std::byte*>(owner->data()), owner->size()}, owner};
}

std::string Text(const CachedBytes& found) {
  if (found.owner == nullptr) return "a miss";
  return std::string(reinterpret_cast<const char*>(found.bytes.data()), found.bytes.size());
}

class VolumeCacheTest : public testing::Test {
 protected:
  VolumeCacheTest() { Reopen(); }
  void Reopen() {
    volume_.reset();
    volume_ = *Volume::Open(files_, {"/v"}, clock_);
  }
  // What a boot does that needs these two.
  void Boot(const std::string& first, const std::string& second) {
    VolumeCache cache(*volume_, "cpu-x", 2);
    for (const std::string& text : {first, second}) {
      if (cache.Find("weight " + text).owner == nullptr) cache.Keep("weight " + text, Owned(text));
    }
    cache.Write();
  }

  FakeClock clock_;
  SimulatedFileSystem files_;
  std::unique_ptr<Volume> volume_;
};

TEST_F(VolumeCacheTest, ALaterBootFindsAll) {
  Boot("one", "two");
  Reopen();
  VolumeCache cache(*volume_, "cpu-x", 2);
  EXPECT_EQ(Text(cache.Find("weight one")), "one");
  EXPECT_EQ(Text(cache.Find("weight two")), "two");
  EXPECT_EQ(Text(cache.Find("weight three")), "a miss");
  const CachedBytes found = cache.Find("weight one");
  cache.Keep("weight three", Owned("three"));
  cache.Write();
  EXPECT_EQ(Text(found), "one") << "whatever is written meanwhile";
}

TEST_F(VolumeCacheTest, WhatWasFoundStaysBesideWhatIsNew) {
  Boot("one", "two");
  Boot("two", "three");
  VolumeCache cache(*volume_, "cpu-x", 1);
  for (const char* text : {"one", "two", "three"}) EXPECT_EQ(Text(cache.Find(std::string("weight ") + text)), text);
}

TEST_F(VolumeCacheTest, ABootThatNeedsNothingWritesNothing) {
  Boot("one", "two");
  const int64_t operations = files_.operations();
  Boot("one", "two");
  EXPECT_EQ(files_.operations(), operations);
}

TEST_F(VolumeCacheTest, AnotherKeyIsAMiss) {
  Boot("one", "two");
  VolumeCache cache(*volume_, "cpu-y", 1);
  EXPECT_EQ(Text(cache.Find("weight one")), "a miss");
}

TEST_F(VolumeCacheTest, AnyDamageIsAMiss) {
  Boot("one", "two");
  const std::string path = "/v/cache/cpu-x/packed", whole = files_.Contents(path);
  for (size_t at = 0; at < whole.size(); at += at % kObjectHeaderBytes < 128 ? 1 : 97) {
    Boot("one", "two");
    Reopen();
    files_.Contents(path)[at] ^= 0x20;
    VolumeCache cache(*volume_, "cpu-x", 1);
    ASSERT_EQ(Text(cache.Find("weight one")), "a miss") << "byte " << at;
    ASSERT_TRUE(files_.Paths().empty());
  }
}

TEST_F(VolumeCacheTest, AFullDiskIsNoError) {
  files_.set_free_bytes(1000);
  Boot("one", "two");
  EXPECT_TRUE(files_.Paths().empty());
  EXPECT_TRUE(volume_->full());
}

}  // namespace
}  // namespace spotinference
