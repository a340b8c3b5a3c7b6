#include "engine/sample/sampling.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spotinference {
namespace {

// NaN is in no range.
absl::Status InRange(absl::string_view field, float value, float low, float high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", value, "; it must be from ", low, " to ", high));
}

}  // namespace

absl::Status Validate(const SamplingParams& params, uint32_t vocabulary_size) {
  absl::Status status = InRange("temperature", params.temperature, 0, 100);
  status.Update(InRange("top_p", params.top_p, 0, 1));
  status.Update(InRange("min_p", params.min_p, 0, 1));
  status.Update(InRange("presence_penalty", params.presence_penalty, -2, 2));
  status.Update(InRange("frequency_penalty", params.frequency_penalty, -2, 2));
  if (params.repetition_penalty != 0) {
    status.Update(InRange("repetition_penalty", params.repetition_penalty, 0.01f, 100));
  }
  for (const auto& [id, bias] : params.logit_bias) {
    if (!status.ok()) return status;
    if (id >= vocabulary_size) {
      status = absl::InvalidArgumentError(absl::StrCat(
          "logit_bias names id ", id, "; the vocabulary has ", vocabulary_size, " ids"));
    } else {
      status = InRange(absl::StrCat("logit_bias of id ", id), bias, -100, 100);
    }
  }
  if (params.top_logprobs > kMaxTopLogprobs) {
    status.Update(absl::InvalidArgumentError(absl::StrCat(
        "top_logprobs is ", params.top_logprobs, "; it must be from 0 to ", kMaxTopLogprobs)));
  }
  if (params.top_logprobs > 0 && !params.logprobs) {
    status.Update(absl::InvalidArgumentError(absl::StrCat(
        "top_logprobs is ", params.top_logprobs, " without logprobs; set logprobs or leave it 0")));
  }
  return status;
}

}  // namespace spotinference
