// What is refused is refused before anything wakes; what is not reaches the fleet with its tokens.
#include "gateway/handlers/generate_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/base/fake_clock.h"
#include "gateway/session/fake_fleet.h"

namespace spotinference {
namespace {

using testing::HasSubstr;

std::string model_path;

class GenerateHandlerTest : public testing::Test {
 protected:
  static std::vector<ServedModel> Served() {
    static const std::shared_ptr<const ModelText> text = *LoadModelText(model_path);
    ServedModel model;
    model.name = "m";
    model.text = text;
    model.context_tokens = 64;
    return {model};
  }

  // The answer to `body`, or status 0 where the request waits for an engine.
  http::Exchange::Output Post(http::Handler& handler, std::string body) {
    http::Request request;
    request.method = "POST";
    request.id = "req_1";
    request.body = std::move(body);
    request.received = clock_.Now();
    sides_ = http::Exchange::Create(std::move(request), {}, [] {});
    handler.Handle(std::move(sides_.handler));
    return sides_.connection->Take();
  }
  http::Exchange::Output Chat(const std::string& fields) {
    return Post(*chat_, R"({"model":"m","messages":[{"role":"user","content":"hi"}])" + fields + "}");
  }
  void ExpectRefused(const http::Exchange::Output& output, int status, const std::string& text) {
    EXPECT_EQ(output.status, status);
    EXPECT_THAT(output.bytes, HasSubstr(text));
    EXPECT_EQ(fleet_.acquired(), 0) << "a refused request woke the model";
  }

  FakeClock clock_;
  fleet::FakeFleet fleet_;
  Metrics metrics_;
  EngineClient engines_;
  Timers timers_;
  const ServedModels models_{Served()};
  const GenerateContext context_{{fleet_, engines_, timers_, clock_}, models_, metrics_};
  const std::unique_ptr<http::Handler> chat_ = ChatHandler(context_);
  const std::unique_ptr<http::Handler> completion_ = CompletionHandler(context_);
  http::Exchange::Sides sides_;
};

TEST_F(GenerateHandlerTest, APromptLongerThanTheContextNamesBothNumbers) {
  std::string words;
  for (int i = 0; i < 70; ++i) words += " sky";
  ExpectRefused(Post(*completion_, R"({"model":"m","prompt":")" + words + "\"}"), 400,
                "maximum context length is 64 tokens; your prompt has 70 tokens");
}

TEST_F(GenerateHandlerTest, AnAnswerLongerThanTheRestOfTheContextIsRefused) {
  const http::Exchange::Output output = Post(*completion_, R"({"model":"m","prompt":" sky sky","max_tokens":63})");
  ExpectRefused(output, 400, "63 tokens of answer after 2 of prompt; at most 62 are left");
  EXPECT_THAT(output.bytes, HasSubstr(R"("param":"max_tokens")"));
  EXPECT_THAT(output.bytes, HasSubstr("context_length_exceeded"));
  EXPECT_THAT(Chat(R"(,"max_completion_tokens":64)").bytes, HasSubstr(R"("param":"max_completion_tokens")"));
}

TEST_F(GenerateHandlerTest, AnUnknownModelIs404) {
  ExpectRefused(Post(*chat_, R"({"model":"x","messages":[{"role":"user","content":"hi"}]})"), 404, "model_not_found");
}

TEST_F(GenerateHandlerTest, IdsOutsideTheVocabularyAreRefused) {
  ExpectRefused(Chat(R"(,"logit_bias":{"49152":1})"), 400, "49152");
  ExpectRefused(Post(*completion_, R"({"model":"m","prompt":[49152]})"), 400, "49152");
}

TEST_F(GenerateHandlerTest, AnEmptyPromptIsRefused) {
  ExpectRefused(Post(*completion_, R"({"model":"m","prompt":""})"), 400, "prompt");
}

TEST_F(GenerateHandlerTest, WhatFitsWaitsForAnEngine) {
  EXPECT_EQ(Chat("").status, 0);
  EXPECT_EQ(fleet_.acquired(), 1);
  EXPECT_EQ(sides_.connection->request().Capture("model"), "m");  // for the log
  sides_.connection->Close(/*client_gone=*/true);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) spotinference::model_path = argv[1];
  return RUN_ALL_TESTS();
}
