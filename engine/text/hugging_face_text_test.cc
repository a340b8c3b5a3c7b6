#include "engine/text/hugging_face_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>

namespace spotinference {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kConfig[] = R"({"model_type":"llama","max_position_embeddings":2048,"eos_token_id":2})";

constexpr char kMissing[] = "missing";

// Of a folder of these files, and a tokenizer.json.
absl::StatusOr<HuggingFaceText> Read(std::map<std::string, std::string> files) {
  files.emplace("tokenizer.json", "{}");
  const std::string folder = testing::TempDir() + "/folder";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  for (const auto& [name, text] : files) {
    if (text != kMissing) std::ofstream(folder + "/" + name, std::ios::binary) << text;
  }
  return ReadHuggingFaceText(folder);
}

TEST(HuggingFaceText, NeedsOnlyConfigurationAndTokenizer) {
  const auto text = Read({{"config.json", kConfig}});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(text->context_tokens, 2048);
  EXPECT_THAT(text->stop_ids, ElementsAre(2));
  EXPECT_EQ(text->tokenizer, "{}");
  EXPECT_EQ(text->tokenizer_config, "");
  EXPECT_FALSE(text->chat_template);
}

TEST(HuggingFaceText, GenerationSaysWhatEndsAnAnswer) {
  const auto stop_ids = [](const std::string& generation) {
    return Read({{"config.json", kConfig}, {"generation_config.json", generation}})->stop_ids;
  };
  EXPECT_THAT(stop_ids(R"({"eos_token_id":[128001,128008,128009]})"), ElementsAre(128001, 128008, 128009));
  EXPECT_THAT(stop_ids(R"({"eos_token_id":7})"), ElementsAre(7));
  EXPECT_THAT(stop_ids(R"({"eos_token_id":null,"do_sample":true})"), ElementsAre(2));
  EXPECT_THAT(*ParseEosIds("{}"), IsEmpty());
}

TEST(HuggingFaceText, TheTemplatesOwnFileComesFirst) {
  EXPECT_EQ(*ParseChatTemplate(R"({"chat_template":"{{ bos_token }}"})"), "{{ bos_token }}");
  EXPECT_EQ(*ParseChatTemplate(R"({"chat_template":null})"), std::nullopt);
  const std::string named =
      R"({"chat_template":[{"name":"tool_use","template":"t"},{"name":"default","template":"d"}]})";
  EXPECT_EQ(Read({{"config.json", kConfig}, {"tokenizer_config.json", named}})->chat_template, "d");
  EXPECT_EQ(Read({{"config.json", kConfig}, {"tokenizer_config.json", named}, {"chat_template.jinja", "own"}})
                ->chat_template,
            "own");
}

TEST(HuggingFaceText, ErrorsNameFileAndKey) {
  const auto refused = [](absl::StatusCode code, const std::string& message,
                          const std::map<std::string, std::string>& files) {
    const auto text = Read(files);
    EXPECT_EQ(text.status().code(), code) << text.status();
    EXPECT_THAT(std::string(text.status().message()), HasSubstr(message));
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  refused(absl::StatusCode::kNotFound, "/config.json'", {});
  refused(absl::StatusCode::kNotFound, "/tokenizer.json'", {{"config.json", kConfig}, {"tokenizer.json", kMissing}});
  refused(kInvalid, "config.json: not JSON", {{"config.json", "{"}});
  refused(absl::StatusCode::kNotFound, "config.json: key 'max_position_embeddings' is missing",
          {{"config.json", R"({"model_type":"llama"})"}});
  refused(kInvalid, "config.json: key 'max_position_embeddings' is not a number of tokens",
          {{"config.json", R"({"model_type":"llama","max_position_embeddings":0})"}});
  refused(absl::StatusCode::kUnimplemented, "config.json: key 'model_type': 'mamba'",
          {{"config.json", R"({"model_type":"mamba"})"}});
  const auto tokenizer = [&](const std::string& text, const std::string& message) {
    refused(kInvalid, "tokenizer_config.json: " + message, {{"config.json", kConfig}, {"tokenizer_config.json", text}});
  };
  tokenizer("[]", "not a JSON object");
  tokenizer(R"({"chat_template":1})", "key 'chat_template': 1 is not a string or a list of named ones");
  tokenizer(R"({"chat_template":[{"name":"default"}]})", "key 'chat_template': {\"name\":\"default\"} is not a named");
  for (const std::string ids : {"-1", "1.5", "\"</s>\"", "[1,-1]", "4294967296", "{}"}) {
    refused(kInvalid, "generation_config.json: key 'eos_token_id': ",
            {{"config.json", kConfig}, {"generation_config.json", "{\"eos_token_id\":" + ids + "}"}});
  }
}

}  // namespace
}  // namespace spotinference
