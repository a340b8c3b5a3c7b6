#include "gateway/handlers/answer.h"

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "engine/base/fake_clock.h"
#include "gateway/openai/api_error.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using End = http::Exchange::End;

class AnswerTest : public testing::Test {
 protected:
  AnswerTest() {
    http::Request request;
    request.received = clock_.Now();
    sides_ = http::Exchange::Create(std::move(request), {}, [] {});
    model_.name = "m";
  }
  std::unique_ptr<AnswerSink> New(bool stream) {
    AnswerOptions options{.endpoint = openai::Endpoint::kChat, .id = "chatcmpl-1", .model = &model_};
    options.stream = stream;
    options.include_usage = stream;
    return NewAnswer(options, std::move(sides_.handler), clock_, metrics_);
  }
  http::Exchange::Output Take() {
    http::Exchange::Output output = sides_.connection->Take();
    sides_.connection->Written();
    return output;
  }
  static absl::Status NoCapacity() { return openai::ReasonError(openai::Reason::kNoCapacity, "none"); }

  FakeClock clock_;
  Metrics metrics_;
  ServedModel model_;
  http::Exchange::Sides sides_;
};

TEST_F(AnswerTest, AWakeIsToldInOneLine) {
  const auto answer = New(/*stream=*/true);
  answer->OnSilence(fleet::WakeProgress{"booting", absl::Milliseconds(2100)});
  const http::Exchange::Output head = Take();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.bytes, ": waking m stage=booting eta_s=3\n");
  answer->OnSilence(fleet::WakeProgress{"booting", absl::Seconds(2000000)});
  EXPECT_EQ(Take().bytes, ": waking m stage=booting eta_s=2000000\n");
  answer->OnSilence(std::nullopt);
  EXPECT_EQ(Take().bytes, ": working\n");
}

TEST_F(AnswerTest, AnErrorBeforeTheFirstByteKeepsItsStatus) {
  const auto answer = New(/*stream=*/true);
  answer->OnError(NoCapacity());
  const http::Exchange::Output output = Take();
  EXPECT_EQ(output.status, 503);
  EXPECT_TRUE(output.whole);
  EXPECT_EQ(output.end, End::kClean);
}

TEST_F(AnswerTest, AnErrorAfterItIsAnEventAndABreak) {
  const auto answer = New(/*stream=*/true);
  answer->OnStart({});
  answer->OnText(0, "Hi", {});
  answer->OnError(NoCapacity());
  const http::Exchange::Output output = Take();
  EXPECT_EQ(output.status, 200);
  EXPECT_TRUE(absl::EndsWith(output.bytes, openai::ErrorEvent(openai::ToApiError(NoCapacity()))));
  EXPECT_FALSE(absl::StrContains(output.bytes, "[DONE]"));
  EXPECT_EQ(output.end, End::kAborted);
}

TEST_F(AnswerTest, AWholeStream) {
  const auto answer = New(/*stream=*/true);
  answer->OnStart({});
  answer->OnText(0, "Hi", {});
  answer->OnFinish(0, engine::v1::FINISH_REASON_LENGTH);
  answer->OnDone({10, 4, 1});
  const http::Exchange::Output output = Take();
  EXPECT_TRUE(absl::StrContains(output.bytes, R"("finish_reason":"length")"));
  EXPECT_TRUE(absl::EndsWith(output.bytes, "data: [DONE]\n\n"));
  EXPECT_EQ(output.end, End::kClean);
}

TEST_F(AnswerTest, AWholeAnswerWaitsForItsStatus) {
  const auto answer = New(/*stream=*/false);
  answer->OnSilence(fleet::WakeProgress{"booting", absl::Seconds(2)});
  answer->OnStart({});
  answer->OnText(0, "H", {});
  EXPECT_FALSE(Take().starts);
  answer->OnText(0, "i", {});
  answer->OnFinish(0, engine::v1::FINISH_REASON_STOP);
  answer->OnDone({10, 4, 2});
  const http::Exchange::Output output = Take();
  EXPECT_EQ(output.status, 200);
  EXPECT_TRUE(absl::StrContains(output.bytes, R"("content":"Hi")")) << output.bytes;
  EXPECT_EQ(sides_.connection->request().Capture("prompt_tokens"), "10");
  EXPECT_EQ(sides_.connection->request().Capture("generated_tokens"), "2");
}

}  // namespace
}  // namespace spotinference
