#include "engine/base/safetensors_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace spotinference {
namespace {

using ::testing::HasSubstr;

TEST(SafetensorsIndex, IsChecked) {
  EXPECT_EQ(ParseSafetensorsIndex(R"({"weight_map":{"a":"1.safetensors"}})")->at("a"), "1.safetensors");
  const auto refused = [](const std::string& text, const std::string& message) {
    const auto index = ParseSafetensorsIndex(text);
    EXPECT_EQ(index.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(index.status().message()), HasSubstr(message));
  };
  refused("", "not JSON");
  refused("[]", "key 'weight_map' is not an object");
  refused(R"({"weight_map":[]})", "key 'weight_map' is not an object");
  refused(R"({"weight_map":{}})", "names no tensor");
  for (const std::string file :
       {R"(1)", R"("")", R"("../x")", R"(".")", R"("..")", R"("/etc/passwd")", R"("a\u0000b")"}) {
    refused(R"({"weight_map":{"t":)" + file + "}}", "tensor 't' is in ");
  }
}

}  // namespace
}  // namespace spotinference
