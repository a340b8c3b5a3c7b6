#include "engine/sample/sampling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace spotinference {
namespace {

using ::testing::HasSubstr;

std::string Message(const SamplingParams& params) {
  return std::string(Validate(params, 100).message());
}

TEST(ValidateTest, TakesTheBordersOfEachRange) {
  EXPECT_TRUE(Validate({}, 100).ok());
  EXPECT_TRUE(Validate({.temperature = 100,
                        .top_k = 0xffffffff,
                        .top_p = 1,
                        .min_p = 1,
                        .presence_penalty = 2,
                        .frequency_penalty = -2,
                        .repetition_penalty = 100,
                        .logit_bias = {{0, -100}, {99, 100}},
                        .logprobs = true,
                        .top_logprobs = 20},
                       100)
                  .ok());
}

TEST(ValidateTest, NamesFieldValueAndRange) {
  EXPECT_EQ(Message({.temperature = -1}), "temperature is -1; it must be from 0 to 100");
  EXPECT_THAT(Message({.temperature = std::nanf("")}), HasSubstr("temperature is nan"));
  EXPECT_THAT(Message({.temperature = std::numeric_limits<float>::infinity()}),
              HasSubstr("temperature is inf"));
  EXPECT_EQ(Message({.top_p = 1.5}), "top_p is 1.5; it must be from 0 to 1");
  EXPECT_EQ(Message({.min_p = -0.5}), "min_p is -0.5; it must be from 0 to 1");
  EXPECT_EQ(Message({.presence_penalty = 2.5}), "presence_penalty is 2.5; it must be from -2 to 2");
  EXPECT_EQ(Message({.frequency_penalty = -3}), "frequency_penalty is -3; it must be from -2 to 2");
  EXPECT_EQ(Message({.repetition_penalty = -1}),
            "repetition_penalty is -1; it must be from 0.01 to 100");
  EXPECT_EQ(Message({.logit_bias = {{7, 101}}}),
            "logit_bias of id 7 is 101; it must be from -100 to 100");
  EXPECT_EQ(Message({.logit_bias = {{100, 1}}}),
            "logit_bias names id 100; the vocabulary has 100 ids");
  EXPECT_EQ(Message({.logprobs = true, .top_logprobs = 21}),
            "top_logprobs is 21; it must be from 0 to 20");
  EXPECT_THAT(Message({.top_logprobs = 2}), HasSubstr("top_logprobs is 2 without logprobs"));
}

}  // namespace
}  // namespace spotinference
