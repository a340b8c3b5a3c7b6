#include "engine/volume/driver_cache.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace spotinference {
namespace {

TEST(DriverCacheTest, WhatWasWrittenFirstGoesPastTheBound) {
  const std::string root = testing::TempDir() + "/driver_cache";
  BoundDriverCache(root);  // there is none
  const auto path = [&](int i) { return root + "/driver/" + std::to_string(i % 2) + "/" + std::to_string(i); };
  const auto now = std::filesystem::file_time_type::clock::now();
  for (int i = 0; i < 6; ++i) {
    std::filesystem::create_directories(std::filesystem::path(path(i)).parent_path());
    std::ofstream(path(i)) << std::string(100, 'x');
    std::filesystem::last_write_time(path(i), now + std::chrono::seconds(i));
  }
  BoundDriverCache(root, 600);
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(std::filesystem::exists(path(i))) << i;
  BoundDriverCache(root, 250);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(std::filesystem::exists(path(i)), i >= 4) << i;
}

}  // namespace
}  // namespace spotinference
