#include "engine/server/constraints.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using ::testing::HasSubstr;
using Form = ConstraintSpec::Form;

// Every byte is a token; the last one is no text.
Constraints::Tokens Bytes() {
  Constraints::Tokens tokens(257);
  for (int byte = 0; byte < 256; ++byte) tokens[byte] = std::string(1, static_cast<char>(byte));
  return tokens;
}

std::vector<uint32_t> Ids(absl::string_view text) {
  std::vector<uint32_t> ids;
  for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

TEST(ConstraintsTest, AResumedMatcherStandsWhereTheOtherStood) {
  int reads = 0;
  Constraints constraints([&] {
    ++reads;
    return Bytes();
  });
  EXPECT_EQ(reads, 0);
  const ConstraintSpec spec{Form::kJsonSchema, R"({"type":"object","properties":{"a":{"type":"integer"}},
      "required":["a"],"additionalProperties":false})"};
  const auto text = Ids(R"({"a":12})");
  absl::StatusOr<Matcher> whole = constraints.NewMatcher(spec, {});
  ASSERT_TRUE(whole.ok()) << whole.status();
  std::vector<uint32_t> mask(9), resumed_mask(9);
  for (size_t i = 0; i <= text.size(); ++i) {
    absl::StatusOr<Matcher> resumed = constraints.NewMatcher(spec, absl::MakeSpan(text).subspan(0, i));
    ASSERT_TRUE(resumed.ok()) << resumed.status();
    ASSERT_TRUE(whole->FillMask(absl::MakeSpan(mask)).ok());
    ASSERT_TRUE(resumed->FillMask(absl::MakeSpan(resumed_mask)).ok());
    EXPECT_EQ(mask, resumed_mask) << i;
    EXPECT_EQ(whole->CanEnd(), resumed->CanEnd());
    EXPECT_EQ(whole->CanEnd(), i == text.size());
    if (i < text.size()) {
      ASSERT_TRUE(whole->Accept(text[i]));
    }
  }
  EXPECT_EQ(reads, 1);
}

TEST(ConstraintsTest, ErrorsSayWhatIsWrong) {
  Constraints constraints([] { return Bytes(); });
  EXPECT_THAT(std::string(constraints.NewMatcher({Form::kJsonSchema, "{\"not\":{}}"}, {}).status().message()),
              HasSubstr("the keyword 'not'"));
  const absl::Status status = constraints.NewMatcher({Form::kJsonObject, ""}, Ids("{x")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("generated_ids[1] is 120"));

  Constraints unreadable([] { return absl::NotFoundError("no such file"); });
  EXPECT_EQ(unreadable.NewMatcher({Form::kJsonObject, ""}, {}).status().code(), absl::StatusCode::kNotFound);
}

TEST(ConstraintsTest, OldFormsAreForgottenAndCompiledAgain) {
  Constraints constraints([] { return Bytes(); });
  const auto schema = [](size_t i) { return ConstraintSpec{Form::kJsonSchema, absl::StrCat("{\"const\":", i, "}")}; };
  std::vector<Matcher> matchers;
  for (size_t i = 0; i < 3 * Constraints::kKept; ++i) {
    absl::StatusOr<Matcher> matcher = constraints.NewMatcher(schema(i), {});
    ASSERT_TRUE(matcher.ok());
    matchers.push_back(*std::move(matcher));
  }
  for (size_t i = 0; i < matchers.size(); ++i) {
    ASSERT_TRUE(constraints.NewMatcher(schema(i), {}).ok());
    for (const uint32_t id : Ids(absl::StrCat(i))) EXPECT_TRUE(matchers[i].Accept(id));  // also where it was forgotten
    EXPECT_TRUE(matchers[i].CanEnd());
  }
}

}  // namespace
}  // namespace spotinference
