#include "gateway/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

using testing::HasSubstr;

TEST(Metrics, WritesCountersHistogramsAndSources) {
  Metrics metrics;
  metrics.Request("m", 200);
  metrics.Request("m", 200);
  metrics.Tokens("m", "prompt", 7);
  metrics.TimeToFirstToken("m", absl::Milliseconds(30));
  metrics.StreamResume("m", "lost", /*exact=*/true);
  metrics.AddSource([] { return std::vector<Metrics::Sample>{{"parked_requests", {{"model", "m"}}, 3}}; });
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("# TYPE spotinference_requests_total counter"));
  EXPECT_THAT(text, HasSubstr("spotinference_requests_total{code=\"200\",model=\"m\"} 2"));
  EXPECT_THAT(text, HasSubstr("spotinference_tokens_total{kind=\"prompt\",model=\"m\"} 7"));
  EXPECT_THAT(text, HasSubstr("spotinference_time_to_first_token_seconds_bucket{model=\"m\",le=\"0.05\"} 1"));
  EXPECT_THAT(text, HasSubstr("spotinference_time_to_first_token_seconds_bucket{model=\"m\",le=\"0.02\"} 0"));
  EXPECT_THAT(text, HasSubstr("spotinference_stream_resumes_total{exact=\"true\",model=\"m\",reason=\"lost\"} 1"));
  EXPECT_THAT(text, HasSubstr("# TYPE spotinference_parked_requests gauge"));
  EXPECT_THAT(text, HasSubstr("spotinference_parked_requests{model=\"m\"} 3"));
}

// What ran costs less in the end than what was counted meanwhile, and a counter that falls would seem to begin anew.
TEST(Metrics, ACounterThatIsReadNeverFalls) {
  Metrics metrics;
  double value = 3;
  metrics.AddSource([&value] {
    return std::vector<Metrics::Sample>{{"dollars_total", {{"model", "m"}}, value, true},
                                        {"dollars_total", {{"model", "n"}}, 1, true},
                                        {"parked_requests", {{"model", "m"}}, value}};
  });
  for (const auto& [read, told] : {std::pair(3.0, 3), {2.0, 3}, {5.0, 5}}) {
    value = read;
    const std::string text = metrics.Text();
    EXPECT_THAT(text, HasSubstr(absl::StrCat("dollars_total{model=\"m\"} ", told, "\n")));
    EXPECT_THAT(text, HasSubstr("dollars_total{model=\"n\"} 1\n"));
    EXPECT_THAT(text, HasSubstr(absl::StrCat("parked_requests{model=\"m\"} ", read, "\n")));
  }
}

}  // namespace
}  // namespace spotinference
