#include "gateway/openai/request.h"

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "gateway/openai/api_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference::openai {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using Ids = std::vector<uint32_t>;

constexpr absl::string_view kHello = R"("messages":[{"role":"user","content":"hi"}])";

// The smallest chat body, and one member more.
std::string Chat(absl::string_view member) {
  return absl::StrCat(R"({"model":"m",)", kHello, ",", member, "}");
}

std::string Completion(absl::string_view member) {
  return absl::StrCat(R"({"model":"m","prompt":"p",)", member, "}");
}

std::string Messages(absl::string_view messages) {
  return absl::StrCat(R"({"model":"m","messages":)", messages, "}");
}

ApiError ChatError(absl::string_view body) {
  const auto request = ParseChatRequest(body);
  EXPECT_FALSE(request.ok()) << body;
  return request.ok() ? ApiError{} : ToApiError(request.status());
}

ApiError CompletionError(absl::string_view body) {
  const auto request = ParseCompletionRequest(body);
  EXPECT_FALSE(request.ok()) << body;
  return request.ok() ? ApiError{} : ToApiError(request.status());
}

TEST(ChatRequestTest, Defaults) {
  const auto request = ParseChatRequest(absl::StrCat(R"({"model":"m",)", kHello, "}"));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->model, "m");
  EXPECT_EQ(request->max_tokens, std::nullopt);
  EXPECT_EQ(request->n, 1);
  EXPECT_EQ(request->seed, std::nullopt);
  EXPECT_EQ(request->temperature, 1);
  EXPECT_EQ(request->top_p, 1);
  EXPECT_EQ(request->repetition_penalty, 1);
  EXPECT_FALSE(request->stream || request->logprobs || request->include_usage);
  ASSERT_EQ(request->messages.size(), 1);
  EXPECT_EQ(request->messages[0].role, "user");
  EXPECT_EQ(request->messages[0].content, "hi");
}

TEST(ChatRequestTest, EverySupportedField) {
  const auto request = ParseChatRequest(Chat(
      R"("max_tokens":32,"temperature":0.5,"top_p":0.25,"n":2,"stop":["\n","END"],"stream":true,)"
      R"("stream_options":{"include_usage":true,"include_obfuscation":false},"seed":-7,)"
      R"("presence_penalty":-2,"frequency_penalty":2,"logit_bias":{"12":-100,"34":1.5},)"
      R"("logprobs":true,"top_logprobs":5,"user":"u",)"
      R"("top_k":40,"min_p":0.125,"repetition_penalty":1.5,"metadata":{"a":"b"})"));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->max_tokens, 32);
  EXPECT_EQ(request->temperature, 0.5);
  EXPECT_EQ(request->top_p, 0.25);
  EXPECT_EQ(request->n, 2);
  EXPECT_THAT(request->stop, ElementsAre("\n", "END"));
  EXPECT_TRUE(request->stream && request->include_usage && request->logprobs);
  EXPECT_EQ(request->seed, -7);
  EXPECT_EQ(request->presence_penalty, -2);
  EXPECT_EQ(request->frequency_penalty, 2);
  EXPECT_THAT(request->logit_bias, UnorderedElementsAre(Pair(12, -100.0f), Pair(34, 1.5f)));
  EXPECT_EQ(request->top_logprobs, 5);
  EXPECT_EQ(request->top_k, 40);
  EXPECT_EQ(request->min_p, 0.125);
  EXPECT_EQ(request->repetition_penalty, 1.5);
}

TEST(ChatRequestTest, MessageForms) {
  const auto request = ParseChatRequest(
      Messages(R"([{"role":"developer","content":"d"},{"role":"user",)"
               R"("content":[{"type":"text","text":"a\u20ac"},)"
               R"({"type":"text","text":"b"}]},)"
               R"({"role":"assistant","content":null,"refusal":null,"annotations":[],)"
               R"("audio":null,"function_call":null,"tool_calls":null},{"role":"assistant"},)"
               R"({"content":"s","role":"system"}])"));
  ASSERT_TRUE(request.ok()) << request.status();
  std::string seen;
  for (const Message& message : request->messages)
    absl::StrAppend(&seen, message.role, "=", message.content, ";");
  EXPECT_EQ(seen, "system=d;user=a€b;assistant=;assistant=;system=s;");
}

TEST(ChatRequestTest, NullCountsAsAbsent) {
  std::string body = absl::StrCat(R"({"model":"m",)", kHello);
  for (const absl::string_view name : {"max_tokens",
                                       "temperature",
                                       "top_p",
                                       "n",
                                       "stop",
                                       "stream",
                                       "stream_options",
                                       "seed",
                                       "presence_penalty",
                                       "frequency_penalty",
                                       "logit_bias",
                                       "logprobs",
                                       "top_logprobs",
                                       "user",
                                       "top_k",
                                       "min_p",
                                       "repetition_penalty",
                                       "metadata",
                                       "tools",
                                       "store",
                                       "audio",
                                       "prediction"}) {
    absl::StrAppend(&body, ",\"", name, "\":null");
  }
  EXPECT_TRUE(ParseChatRequest(absl::StrCat(body, "}")).ok());
  EXPECT_EQ(ChatError(R"({"model":null,"messages":[{"role":"user","content":"x"}]})").param,
            "model");
}

// Every field that OpenAI knows and we do not support: what asks for nothing passes, the rest is
// named.
TEST(ChatRequestTest, UnsupportedFields) {
  struct Row {
    absl::string_view name;
    std::array<absl::string_view, 2> neutral;  // "": none
    absl::string_view asking;
  };
  static constexpr Row rows[] = {
      {"audio", {}, R"({"voice":"a","format":"mp3"})"},
      {"function_call", {R"("none")", R"("auto")"}, R"({"name":"f"})"},
      {"functions", {"[]"}, R"([{"name":"f"}])"},
      {"modalities", {R"(["text"])"}, R"(["text","audio"])"},
      {"moderation", {}, R"({"model":"x"})"},
      {"parallel_tool_calls", {"true", "false"}, "1"},
      {"prediction", {}, R"({"type":"content","content":"x"})"},
      {"prompt_cache_options", {"{}", R"({"mode":"implicit"})"}, R"({"mode":"explicit"})"},
      {"prompt_cache_retention", {R"("in_memory")"}, R"("24h")"},
      {"reasoning_effort", {R"("none")"}, R"("high")"},
      {"service_tier", {R"("auto")", R"("default")"}, R"("flex")"},
      {"store", {"false"}, "true"},
      {"tool_choice", {R"("none")", R"("auto")"}, R"("required")"},
      {"tools", {"[]"}, R"([{"type":"function","function":{"name":"f"}}])"},
      {"verbosity", {R"("medium")"}, R"("low")"},
      {"web_search_options", {}, "{}"},
  };
  for (const Row& row : rows) {
    for (const absl::string_view neutral : row.neutral) {
      if (neutral.empty()) continue;
      const auto request = ParseChatRequest(Chat(absl::StrCat("\"", row.name, "\":", neutral)));
      EXPECT_TRUE(request.ok()) << request.status();
    }
    const ApiError error = ChatError(Chat(absl::StrCat("\"", row.name, "\":", row.asking)));
    EXPECT_EQ(error.http_status, 400);
    EXPECT_EQ(error.param, row.name);
    EXPECT_EQ(error.code, "unsupported_parameter");
  }
  for (const absl::string_view hint : {"safety_identifier", "prompt_cache_key", "user"}) {
    EXPECT_TRUE(ParseChatRequest(Chat(absl::StrCat("\"", hint, R"(":"x")"))).ok());
    EXPECT_EQ(ChatError(Chat(absl::StrCat("\"", hint, "\":1"))).param, hint);
  }
}

TEST(ChatRequestTest, WhatNobodyKnows) {
  const ApiError error = ChatError(Chat(R"("foo":1)"));
  EXPECT_EQ(error.param, "foo");
  EXPECT_EQ(error.message, "Unrecognized request argument supplied: foo");
  EXPECT_EQ(ChatError(Chat(R"("prompt":"p")")).param, "prompt");
  EXPECT_EQ(ChatError(Chat(R"("":1)")).message, "Unrecognized request argument supplied: ");
  EXPECT_EQ(ChatError(Chat(R"("stream":true,"stream_options":{"usage":true})")).param,
            "stream_options.usage");
  EXPECT_EQ(ChatError(Messages(R"([{"role":"user","content":"x","foo":1}])")).param,
            "messages[0].foo");
  EXPECT_EQ(
      ChatError(Messages(R"([{"role":"user","content":[{"type":"text","text":"x","foo":1}]}])"))
          .param,
      "messages[0].content[0].foo");
  EXPECT_LT(ChatError(Chat(absl::StrCat("\"", std::string(1000, 'k'), "\":1"))).message.size(),
            200);
}

TEST(ChatRequestTest, MessagesThatAreRefused) {
  static constexpr std::pair<absl::string_view, absl::string_view> rows[] = {
      {"[]", "messages"},
      {"{}", "messages"},
      {R"(["x"])", "messages[0]"},
      {R"([{"content":"x"}])", "messages[0].role"},
      {R"([{"role":"tool","content":"x","tool_call_id":"t"}])", "messages[0].role"},
      {R"([{"role":7,"content":"x"}])", "messages[0].role"},
      {R"([{"role":"user"}])", "messages[0].content"},
      {R"([{"role":"user","content":null}])", "messages[0].content"},
      {R"([{"role":"user","content":7}])", "messages[0].content"},
      {R"([{"role":"user","content":[]}])", "messages[0].content"},
      {R"([{"role":"user","content":["x"]}])", "messages[0].content[0]"},
      {R"([{"role":"user","content":[{"text":"x"}]}])", "messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"},
      {R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])",
       "messages[0].content[0].type"},
      {R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"t"}]}])",
       "messages[1].tool_calls"},
      {R"([{"role":"user","content":"x","name":"n"}])", "messages[0].name"},
  };
  for (const auto& [messages, param] : rows) {
    const ApiError error = ChatError(Messages(messages));
    EXPECT_EQ(error.http_status, 400) << messages;
    EXPECT_EQ(error.param, param) << messages;
  }
}

TEST(RequestTest, RangesAndTypes) {
  struct Row {
    absl::string_view member, param, code, message;
  };
  static constexpr Row rows[] = {
      {R"("temperature":2.5)", "temperature", "decimal_above_max_value",
       "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 "
       "instead."},
      {R"("temperature":"hot")", "temperature", "invalid_type",
       "Invalid type for 'temperature': expected a number, but got a string instead."},
      {R"("temperature":-0.1)", "temperature", "decimal_below_min_value", ""},
      {R"("temperature":1e999)", "temperature", "decimal_above_max_value", ""},
      {R"("temperature":-1e999)", "temperature", "decimal_below_min_value", ""},
      {R"("top_p":1.01)", "top_p", "decimal_above_max_value", ""},
      {R"("n":17)", "n", "integer_above_max_value",
       "Invalid 'n': integer above maximum value. Expected a value <= 16, but got 17 instead."},
      {R"("n":0)", "n", "integer_below_min_value", ""},
      {R"("n":1.5)", "n", "invalid_type",
       "Invalid type for 'n': expected an integer, but got a decimal instead."},
      {R"("n":true)", "n", "invalid_type", ""},
      {R"("max_tokens":0)", "max_tokens", "integer_below_min_value", ""},
      {R"("max_tokens":1e999)", "max_tokens", "integer_above_max_value", ""},
      {R"("max_tokens":99999999999999999999)", "max_tokens", "integer_above_max_value", ""},
      {R"("seed":18446744073709551615)", "seed", "integer_above_max_value", ""},
      {R"("seed":9223372036854775808)", "seed", "integer_above_max_value", ""},
      {R"("seed":1e300)", "seed", "integer_above_max_value", ""},
      {R"("stop":["a","b","c","d","e"])", "stop", "array_above_max_length", ""},
      {R"("stop":"")", "stop", "invalid_value", ""},
      {R"("stop":["a",""])", "stop", "invalid_value", ""},
      {R"("stop":["a",1])", "stop[1]", "invalid_type", ""},
      {R"("stop":1)", "stop", "invalid_type", ""},
      {R"("stream":1)", "stream", "invalid_type", ""},
      {R"("stream_options":{"include_usage":true})", "stream_options", "invalid_value", ""},
      {R"("stream":true,"stream_options":[])", "stream_options", "invalid_type", ""},
      {R"("stream":true,"stream_options":{"include_obfuscation":true})",
       "stream_options.include_obfuscation", "unsupported_parameter", ""},
      {R"("presence_penalty":2.01)", "presence_penalty", "decimal_above_max_value", ""},
      {R"("frequency_penalty":-2.01)", "frequency_penalty", "decimal_below_min_value", ""},
      {R"("logit_bias":{"x":1})", "logit_bias.x", "invalid_value", ""},
      {R"("logit_bias":{"-1":1})", "logit_bias.-1", "invalid_value", ""},
      {R"("logit_bias":{"01":1})", "logit_bias.01", "invalid_value", ""},
      {R"("logit_bias":{"4294967296":1})", "logit_bias.4294967296", "invalid_value", ""},
      {R"("logit_bias":{"1":101})", "logit_bias.1", "decimal_above_max_value", ""},
      {R"("logit_bias":{"1":"x"})", "logit_bias.1", "invalid_type", ""},
      {R"("top_k":-2)", "top_k", "integer_below_min_value", ""},
      {R"("min_p":1.5)", "min_p", "decimal_above_max_value", ""},
      {R"("repetition_penalty":0)", "repetition_penalty", "decimal_below_min_value", ""},
      {R"("metadata":{"k":1})", "metadata.k", "invalid_type", ""},
      {R"("model":"")", "model", "invalid_value", ""},
      {R"("model":7)", "model", "invalid_type", ""},
  };
  for (const Row& row : rows) {
    for (const ApiError& error :
         {ChatError(Chat(row.member)), CompletionError(Completion(row.member))}) {
      EXPECT_EQ(error.http_status, 400) << row.member;
      EXPECT_EQ(error.param, row.param) << row.member;
      EXPECT_EQ(error.code, row.code) << row.member;
      EXPECT_THAT(error.message, HasSubstr(std::string(row.message)));
    }
  }
  EXPECT_EQ(ChatError(Chat(R"("max_tokens":1,"max_completion_tokens":2)")).param, "max_tokens");
  const auto stop = [](size_t bytes) { return absl::StrCat(R"("stop":["a",")", std::string(bytes, 'x'), R"("])"); };
  EXPECT_EQ(ChatError(Chat(stop(kMaxStopBytes + 1))).param, "stop[1]");
  EXPECT_EQ(ChatError(Chat(stop(kMaxStopBytes + 1))).code, "string_above_max_length");
  EXPECT_TRUE(ParseChatRequest(Chat(stop(kMaxStopBytes))).ok());
  EXPECT_EQ(ChatError(Chat(R"("top_logprobs":2)")).param, "top_logprobs");
  EXPECT_EQ(ChatError(Chat(R"("logprobs":true,"top_logprobs":21)")).param, "top_logprobs");
  EXPECT_EQ(ChatError(Chat(R"("logprobs":5)")).param, "logprobs");
}

TEST(RequestTest, EdgesOfTheRangesPass) {
  for (const absl::string_view member :
       {R"("temperature":0)", R"("temperature":2.0)", R"("n":16)", R"("n":5.0)",
        R"("max_tokens":1e3)", R"("seed":9223372036854775807)", R"("seed":-9223372036854775808)",
        R"("stop":[])", R"("stop":["a","b","c","d"])", R"("logit_bias":{})",
        R"("logit_bias":{"4294967295":100})", R"("top_p":1)", R"("top_k":-1)",
        R"("presence_penalty":-2)", R"("stream":true,"stream_options":{})"}) {
    EXPECT_TRUE(ParseChatRequest(Chat(member)).ok()) << member;
    EXPECT_TRUE(ParseCompletionRequest(Completion(member)).ok()) << member;
  }
  EXPECT_EQ(ParseChatRequest(Chat(R"("max_completion_tokens":1e3)"))->max_tokens, 1000);
  EXPECT_EQ(ParseChatRequest(Chat(R"("top_k":-1)"))->top_k, 0);
  EXPECT_GT(ParseChatRequest(Chat(R"("top_p":0)"))->top_p, 0);
}

TEST(ChatRequestTest, ResponseFormats) {
  using Type = ResponseFormat::Type;
  const auto read = [](absl::string_view format) {
    const auto request = ParseChatRequest(Chat(absl::StrCat(R"("response_format":)", format)));
    EXPECT_TRUE(request.ok()) << request.status();
    return request.ok() ? request->response_format : ResponseFormat{};
  };
  EXPECT_EQ(read("null").type, Type::kText);
  EXPECT_EQ(read(R"({"type":"text"})").type, Type::kText);
  EXPECT_EQ(read(R"({"type":"json_object"})").type, Type::kJsonObject);
  const ResponseFormat format = read(
      R"({"type":"json_schema","json_schema":{"name":"a-B_9","description":"d","strict":true,)"
      R"("schema":{"type":"object","properties":{"z":{"type":"string"},"a":{}}}}})");
  EXPECT_EQ(format.type, Type::kJsonSchema);
  EXPECT_EQ(format.schema, R"({"type":"object","properties":{"z":{"type":"string"},"a":{}}})");
  EXPECT_EQ(read(R"({"type":"json_schema","json_schema":{"name":"x","strict":null}})").schema,
            R"({"type":"object"})");
}

TEST(ChatRequestTest, ResponseFormatsThatAreRefused) {
  struct Row {
    absl::string_view format, param, message;
  };
  static constexpr Row rows[] = {
      {R"("json_object")", "response_format", "expected an object"},
      {R"({})", "response_format.type", "Missing"},
      {R"({"type":"xml"})", "response_format.type", "'json_object'"},
      {R"({"type":"json_object","schema":{}})", "response_format.schema", "Unrecognized"},
      {R"({"type":"json_object","json_schema":{}})", "response_format.json_schema", "Unrecognized"},
      {R"({"type":"json_schema"})", "response_format.json_schema", "Missing"},
      {R"({"type":"json_schema","json_schema":{"schema":{}}})", "response_format.json_schema.name",
       "Missing"},
      {R"({"type":"json_schema","json_schema":{"name":"a b"}})", "response_format.json_schema.name",
       "'a b'"},
      {R"({"type":"json_schema","json_schema":{"name":"x","strikt":true}})",
       "response_format.json_schema.strikt", "Unrecognized"},
      {R"({"type":"json_schema","json_schema":{"name":"x","schema":true}})",
       "response_format.json_schema.schema", "expected an object"},
      {R"({"type":"json_schema","json_schema":{"name":"x","schema":{"properties":{"a":{"oneOf":[]}}}}})",
       "response_format.json_schema.schema",
       "Invalid schema for response_format 'x': #/properties/a: the keyword 'oneOf' is not supported"},
  };
  for (const Row& row : rows) {
    const ApiError error = ChatError(Chat(absl::StrCat(R"("response_format":)", row.format)));
    EXPECT_EQ(error.http_status, 400) << row.format;
    EXPECT_EQ(error.param, row.param) << row.format;
    EXPECT_THAT(error.message, HasSubstr(std::string(row.message))) << row.format;
  }
  EXPECT_EQ(CompletionError(Completion(R"("response_format":{"type":"text"})")).code,
            "unknown_parameter");
}

TEST(RequestTest, MetadataLimits) {
  const auto metadata = [](size_t pairs, size_t key, size_t value) {
    std::string text;
    for (size_t i = 0; i < pairs; ++i) {
      std::string name = absl::StrCat(i, std::string(key, 'k')).substr(0, key);
      std::string content;
      for (size_t c = 0; c < value; ++c) content += "é";  // characters are counted, not bytes
      absl::StrAppend(&text, text.empty() ? "" : ",", "\"", name, "\":\"", content, "\"");
    }
    return Chat(absl::StrCat("\"metadata\":{", text, "}"));
  };
  EXPECT_TRUE(ParseChatRequest(metadata(16, 64, 512)).ok());
  EXPECT_EQ(ChatError(metadata(17, 64, 1)).code, "object_above_max_properties");
  EXPECT_EQ(ChatError(metadata(1, 65, 1)).code, "string_above_max_length");
  EXPECT_EQ(ChatError(metadata(1, 64, 513)).code, "string_above_max_length");
}

TEST(RequestTest, WhatIsNotTheJsonItShouldBe) {
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string("{\"model\":NaN}"), std::string("{\"model\":\"\xff\"}"), Chat("\"n\":1") + "x",
        std::string("{\"n\":01}"), std::string("{'n':1}"), std::string("{\"n\":1,}"),
        std::string("\xef\xbb\xbf{}"),
        Chat(absl::StrCat("\"tools\":", std::string(100, '['), std::string(100, ']')))}) {
    const ApiError error = ChatError(body);
    EXPECT_EQ(error.http_status, 400) << body;
    EXPECT_EQ(error.param, "") << body;
    EXPECT_THAT(error.message, HasSubstr("could not parse the JSON body")) << body;
  }
}

TEST(RequestTest, TheLastOfEqualKeysCounts) {
  EXPECT_EQ(ParseChatRequest(Chat(R"("n":2,"n":3)"))->n, 3);
}

// 32 MiB is what HTTP lets through: as text it is read, as tiny values it is refused before it
// takes a gigabyte.
TEST(RequestTest, MemoryIsBounded) {
  const std::string text(32 << 20, 'a');
  EXPECT_TRUE(
      ParseChatRequest(Messages(absl::StrCat(R"([{"role":"user","content":")", text, "\"}]")))
          .ok());
  std::string zeros = "[0";
  while (zeros.size() < 32 << 20) zeros += ",0";
  EXPECT_EQ(CompletionError(absl::StrCat(R"({"model":"m","prompt":)", zeros, "]}")).http_status,
            413);
}

TEST(CompletionRequestTest, PromptForms) {
  const auto prompts = [](absl::string_view prompt) {
    const auto request =
        ParseCompletionRequest(absl::StrCat(R"({"model":"m","prompt":)", prompt, "}"));
    EXPECT_TRUE(request.ok()) << request.status();
    return request.ok() ? request->prompts : std::vector<Prompt>();
  };
  EXPECT_THAT(prompts(R"("a")"), ElementsAre(Prompt("a")));
  EXPECT_THAT(prompts(R"(["a","b"])"), ElementsAre(Prompt("a"), Prompt("b")));
  EXPECT_THAT(prompts("[1,2.0,4294967295]"), ElementsAre(Prompt(Ids{1, 2, 4294967295})));
  EXPECT_THAT(prompts("[[1],[2,3]]"), ElementsAre(Prompt(Ids{1}), Prompt(Ids{2, 3})));
}

TEST(CompletionRequestTest, PromptsThatAreRefused) {
  static constexpr std::pair<absl::string_view, absl::string_view> rows[] = {
      {"7", "prompt"},
      {"[]", "prompt"},
      {"{}", "prompt"},
      {"[[]]", "prompt[0]"},
      {"[[1],[]]", "prompt[1]"},
      {R"(["a",1])", "prompt[1]"},
      {R"([1,"a"])", "prompt[1]"},
      {"[[1],2]", "prompt[1]"},
      {"[-1]", "prompt[0]"},
      {"[1,4294967296]", "prompt[1]"},
      {"[[1.5]]", "prompt[0][0]"},
      {"[true]", "prompt[0]"},
  };
  for (const auto& [prompt, param] : rows) {
    const ApiError error = CompletionError(absl::StrCat(R"({"model":"m","prompt":)", prompt, "}"));
    EXPECT_EQ(error.http_status, 400) << prompt;
    EXPECT_EQ(error.param, param) << prompt;
  }
  EXPECT_EQ(CompletionError(R"({"model":"m"})").message, "Missing required parameter: 'prompt'.");
  std::string many = R"("x")";
  for (int i = 1; i < 9; ++i) many += R"(,"x")";
  EXPECT_EQ(CompletionError(absl::StrCat(R"({"model":"m","n":16,"prompt":[)", many, "]}")).param,
            "prompt");
}

TEST(CompletionRequestTest, FieldsOfItsOwn) {
  const auto request =
      ParseCompletionRequest(Completion(R"("logprobs":0,"echo":false,"suffix":"","best_of":1)"));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->max_tokens, 16);
  EXPECT_TRUE(request->logprobs);
  EXPECT_EQ(request->top_logprobs, 0);
  EXPECT_TRUE(ParseCompletionRequest(Completion(R"("n":3,"best_of":3)")).ok());
  EXPECT_EQ(CompletionError(Completion(R"("best_of":2)")).param, "best_of");
  EXPECT_EQ(CompletionError(Completion(R"("logprobs":6)")).param, "logprobs");
  EXPECT_EQ(CompletionError(Completion(R"("logprobs":true)")).param, "logprobs");
  EXPECT_EQ(CompletionError(Completion(R"("echo":true)")).code, "unsupported_parameter");
  EXPECT_EQ(CompletionError(Completion(R"("suffix":"x")")).code, "unsupported_parameter");
  EXPECT_EQ(CompletionError(Completion(R"("messages":[])")).code, "unknown_parameter");
}

}  // namespace
}  // namespace spotinference::openai
