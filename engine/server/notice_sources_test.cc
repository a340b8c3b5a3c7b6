#include "engine/server/notice_sources.h"

#include <string>
#include <vector>

#include "engine/base/fake_clock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

TEST(NoticeSourcesTest, NamesAreSources) {
  FakeClock clock;
  const auto options = ParseNoticeOptions("gcp,local,aws,azure", "http://127.0.0.1:1", "", clock);
  ASSERT_TRUE(options.ok()) << options.status();
  std::vector<std::string> names;
  for (const auto& source : options->metadata) names.push_back(source->name());
  EXPECT_EQ(names, (std::vector<std::string>{"gcp", "aws", "azure"}));
  EXPECT_TRUE(options->local);
  EXPECT_FALSE(options->sigterm);
  EXPECT_TRUE(ParseNoticeOptions("sigterm", "", "", clock)->sigterm);
}

TEST(NoticeSourcesTest, NoneIsNone) {
  FakeClock clock;
  const auto options = ParseNoticeOptions("none", "", "", clock);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_TRUE(options->metadata.empty() && !options->local && !options->sigterm);
}

TEST(NoticeSourcesTest, RefusesWhatIsNoName) {
  FakeClock clock;
  for (const char* wrong : {"", "AWS", "aws,", "none,aws", "local sigterm"}) {
    EXPECT_EQ(ParseNoticeOptions(wrong, "", "", clock).status().code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
}

}  // namespace
}  // namespace spotinference
