#include "fleet/sim/profile.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference::fleet::sim {
namespace {

// Keeps the first error.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  explicit FirstError(absl::string_view name) : name_(name) {}
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat(name_, ":", line + 1, ":", column + 1, ": ", message);
  }
  std::string text() const { return text_.empty() ? absl::StrCat(name_, ":1: no machine profile") : text_; }

 private:
  const absl::string_view name_;
  std::string text_;
};

constexpr double kDay = 24 * 3600;

}  // namespace

absl::Status CheckProfile(const Profile& p) {
  const struct {
    const char* field;
    double value, lowest, highest;
  } ranges[] = {
      {"launch_seconds", p.launch_seconds(), 0, kDay},
      {"answer_seconds", p.answer_seconds(), 0, kDay},
      {"boot_seconds", p.boot_seconds(), 0, kDay},
      {"streams", static_cast<double>(p.streams()), 1, 4096},
      {"decode_tokens_per_s", p.decode_tokens_per_s(), 0.01, 1e6},
      {"prefill_tokens_per_s", p.prefill_tokens_per_s(), 0.01, 1e8},
      {"weights_gb", p.weights_gb(), 0, 1e5},
      {"download_gb_per_s", p.download_gb_per_s(), 1e-4, 1e4},
      {"disk_gb_per_s", p.disk_gb_per_s(), 1e-4, 1e4},
      {"volume_gb", p.volume_gb(), 0, 1e6},
      {"drain_seconds", p.drain_seconds(), 0, kDay},
      {"notice_seconds", p.notice_seconds(), 0, kDay},
      {"park_requests", static_cast<double>(p.park_requests()), 0, 1e9},
      {"max_wait_seconds", p.max_wait_seconds(), 0.001, kDay},
      {"target_wait_seconds", p.target_wait_seconds(), 0.001, kDay},
      {"target_share", p.target_share(), 0.5, 0.999999},
      {"max_machines", static_cast<double>(p.max_machines()), 1, 1e6},
  };
  for (const auto& range : ranges) {
    if (!(range.value >= range.lowest && range.value <= range.highest)) {
      return absl::InvalidArgumentError(
          absl::StrCat(range.field, " is ", range.value, "; ", range.lowest, " to ", range.highest, " is allowed"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Profile> ParseProfile(absl::string_view text, absl::string_view name) {
  Profile profile;
  FirstError errors(name);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  if (!parser.ParseFromString(std::string(text), &profile)) return absl::InvalidArgumentError(errors.text());
  if (const absl::Status status = CheckProfile(profile); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", status.message()));
  }
  return profile;
}

Nanos ToNanos(double seconds) { return std::llround(seconds * kSecond); }

Nanos PrefillTime(const Profile& profile, int64_t prompt_tokens) {
  return ToNanos(prompt_tokens / profile.prefill_tokens_per_s());
}

Nanos DecodeTime(const Profile& profile, int64_t generated_tokens) {
  return ToNanos(generated_tokens / profile.decode_tokens_per_s());
}

double BootSeconds(const Profile& profile) {
  return profile.boot_seconds() + profile.weights_gb() / profile.disk_gb_per_s();
}

absl::Duration StartTime(const Profile& profile) {
  return absl::Seconds(profile.launch_seconds() + BootSeconds(profile));
}

ServiceTarget TargetOf(const Profile& profile) {
  return {.wait = absl::Seconds(profile.target_wait_seconds()), .missed = 1 - profile.target_share()};
}

}  // namespace spotinference::fleet::sim
