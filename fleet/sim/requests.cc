#include "fleet/sim/requests.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"
#include "engine/base/status.h"
#include "fleet/sim/csv.h"

namespace spotinference::fleet::sim {
namespace {

constexpr int32_t kMostTokens = 10'000'000;
constexpr Nanos kLongestRecord = 10 * 366 * 24 * kHour;
constexpr Nanos kDisplacement = 60 * kSecond;
constexpr double kReadyAtATime = 1 << 16;

// Digits at `at`, `count` of them; -1 where they are none.
int Digits(absl::string_view text, size_t at, size_t count) {
  int value = 0;
  if (at + count > text.size()) return -1;
  for (size_t i = at; i < at + count; ++i) {
    if (!absl::ascii_isdigit(text[i])) return -1;
    value = 10 * value + (text[i] - '0');
  }
  return value;
}

// "18:15:46.68…": nanoseconds of the day, and the rest.
std::optional<Nanos> TimeOfDay(absl::string_view text, absl::string_view& rest) {
  const int h = Digits(text, 0, 2), m = Digits(text, 3, 2), s = Digits(text, 6, 2);
  if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60 || text[2] != ':' || text[5] != ':') return std::nullopt;
  Nanos nanos = ((h * 60 + m) * 60 + s) * kSecond;
  size_t at = 8;
  if (at < text.size() && text[at] == '.') {
    Nanos unit = kSecond / 10;
    for (++at; at < text.size() && absl::ascii_isdigit(text[at]); ++at, unit /= 10) nanos += (text[at] - '0') * unit;
  }
  rest = text.substr(at);
  return nanos;
}

// Nanoseconds since 1970. Rows of one day share its date.
class TimeReader {
 public:
  std::optional<Nanos> Read(absl::string_view text) {
    if (text.size() < 19 || (text[10] != ' ' && text[10] != 'T')) return std::nullopt;
    if (text.substr(0, 10) != date_) {
      const int y = Digits(text, 0, 4), m = Digits(text, 5, 2), d = Digits(text, 8, 2);
      if (y < 1970 || y > 2200 || m < 1 || m > 12 || d < 1 || d > 31 || text[4] != '-' || text[7] != '-')
        return std::nullopt;
      day_ = (absl::CivilDay(y, m, d) - absl::CivilDay(1970, 1, 1)) * 24 * kHour;
      date_ = std::string(text.substr(0, 10));
    }
    absl::string_view zone;
    const std::optional<Nanos> time = TimeOfDay(text.substr(11), zone);
    if (!time.has_value()) return std::nullopt;
    Nanos shift = 0;
    if (!zone.empty() && zone != "Z") {
      const int h = Digits(zone, 1, 2), m = zone.size() == 6 && zone[3] == ':' ? Digits(zone, 4, 2) : -1;
      if ((zone[0] != '+' && zone[0] != '-') || h < 0 || m < 0) return std::nullopt;
      shift = (h * 60 + m) * 60 * kSecond * (zone[0] == '+' ? -1 : 1);
    }
    return day_ + *time + shift;
  }

 private:
  std::string date_;
  Nanos day_ = 0;
};

absl::StatusOr<int32_t> Tokens(absl::string_view field) {
  int32_t tokens;
  if (!absl::SimpleAtoi(field, &tokens) || tokens < 0 || tokens > kMostTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", absl::CHexEscape(field.substr(0, 40)), "' is no number of tokens from 0 to ", kMostTokens));
  }
  return tokens;
}

// In the order of their times, the first at 0.
absl::Status FromZero(std::vector<Request>& requests, absl::string_view name) {
  if (requests.empty()) return absl::InvalidArgumentError(absl::StrCat(name, ": no requests"));
  std::stable_sort(requests.begin(), requests.end(), [](const Request& a, const Request& b) { return a.at < b.at; });
  const Nanos first = requests.front().at;
  for (Request& request : requests) request.at -= first;
  if (requests.back().at > kLongestRecord) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": its requests lie more than ten years apart"));
  }
  return absl::OkStatus();
}

// The value of `key=` in a line of words; nullopt where it is not there.
std::optional<absl::string_view> Word(absl::string_view line, absl::string_view key) {
  const size_t at = line.find(key);
  if (at == absl::string_view::npos) return std::nullopt;
  const absl::string_view value = line.substr(at + key.size());
  return value.substr(0, value.find(' '));
}

}  // namespace

absl::StatusOr<std::vector<Request>> ParseRequests(absl::string_view text, absl::string_view name) {
  std::vector<Request> requests;
  TimeReader times;
  const absl::Status status =
      ForEachRow(text, name, "TIMESTAMP,ContextTokens,GeneratedTokens", [&](const CsvRow& fields) -> absl::Status {
        const std::optional<Nanos> at = times.Read(fields[0]);
        if (!at.has_value()) {
          return absl::InvalidArgumentError(absl::StrCat("'", absl::CHexEscape(fields[0].substr(0, 40)),
                                                         "' is no time such as 2023-11-16 18:15:46.68"));
        }
        ASSIGN_OR_RETURN(const int32_t prompt, Tokens(fields[1]));
        ASSIGN_OR_RETURN(const int32_t generated, Tokens(fields[2]));
        requests.push_back({*at, prompt, generated});
        return absl::OkStatus();
      });
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(FromZero(requests, name));
  return requests;
}

namespace {

// Nanoseconds of a leap year, when the line "I20261128 14:47:58.973767 …" or "I1128 …" was written.
std::optional<Nanos> TimeOfLine(absl::string_view line) {
  const size_t space = line.find(' ');
  const int month = space >= 4 ? Digits(line, space - 4, 2) : -1, day = space >= 2 ? Digits(line, space - 2, 2) : -1;
  absl::string_view rest;
  std::optional<Nanos> time;
  if (line.size() >= space + 9) time = TimeOfDay(line.substr(space + 1), rest);
  if (month < 1 || month > 12 || day < 1 || day > 31 || !time.has_value()) return std::nullopt;
  return (absl::CivilDay(2024, month, day) - absl::CivilDay(2024, 1, 1)) * 24 * kHour + *time;
}

}  // namespace

absl::StatusOr<AccessLog> ParseAccessLog(absl::string_view text, absl::string_view name) {
  AccessLog log;
  std::map<std::string, int32_t, std::less<>> keys;
  int64_t number = 0;
  std::optional<Nanos> last;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const auto model = Word(line, " model="), prompt = Word(line, " prompt_tokens="),
               generated = Word(line, " generated_tokens="), ms = Word(line, " ms="), end = Word(line, " end=");
    if (!model.has_value() || !prompt.has_value() || !generated.has_value() || end != "complete") continue;
    const std::optional<Nanos> at = TimeOfLine(line);
    int64_t took;
    if (!at.has_value() || !ms.has_value() || !absl::SimpleAtoi(*ms, &took) || took < 0 || took > 24 * 3600 * 1000) {
      return absl::InvalidArgumentError(absl::StrCat(name, ":", number, ": no line of the gateway's log"));
    }
    if (last.has_value() && *at < *last - 180 * 24 * kHour) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ":", number, ": the log passes New Year's Eve, and has no year"));
    }
    last = at;
    const absl::StatusOr<int32_t> prompt_tokens = Tokens(*prompt), generated_tokens = Tokens(*generated);
    for (const auto& tokens : {prompt_tokens, generated_tokens}) {
      if (!tokens.ok()) {
        return absl::InvalidArgumentError(absl::StrCat(name, ":", number, ": ", tokens.status().message()));
      }
    }
    const int32_t key = keys.try_emplace(std::string(Word(line, " key=").value_or("")), keys.size()).first->second;
    log.models[std::string(*model)].push_back({*at - took * (kSecond / 1000), *prompt_tokens, *generated_tokens, key});
  }
  if (log.models.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": no answers with their tokens, as the gateway has logged them since 2026-11-29"));
  }
  Nanos first = INT64_MAX, latest = INT64_MIN;
  for (auto& [model, requests] : log.models) {
    std::stable_sort(requests.begin(), requests.end(), [](const Request& a, const Request& b) { return a.at < b.at; });
    first = std::min(first, requests.front().at);
    latest = std::max(latest, requests.back().at);
  }
  for (auto& [model, requests] : log.models) {
    for (Request& request : requests) request.at -= first;
  }
  log.span = latest - first;
  return log;
}

Arrivals::Arrivals(const std::vector<Request>& recorded, double copies, uint64_t seed, Nanos span)
    : recorded_(recorded),
      copies_(copies),
      // One mean gap longer than the record, so that telling it again keeps its rate. One request alone comes hourly.
      period_(span > 0 ? std::max(span, recorded.back().at)
                       : std::max<Nanos>(recorded.size() == 1 ? kHour : kSecond,
                                         recorded.back().at +
                                             recorded.back().at / std::max<size_t>(1, recorded.size() - 1))),
      random_(seed) {
  Fill();
}

void Arrivals::Pop() {
  if (++at_ == ready_.size()) Fill();
}

void Arrivals::Fill() {
  ready_.swap(later_);
  later_.clear();
  at_ = 0;
  Nanos sure = 0;  // nothing that is still to be told comes before
  do {
    const size_t rows = static_cast<size_t>(std::max(1.0, kReadyAtATime / std::max(1.0, copies_)));
    const size_t end = std::min(recorded_.size(), row_ + rows);
    for (; row_ < end; ++row_) {
      Request request = recorded_[row_];
      const Nanos told = offset_ + request.at;
      for (double left = copies_; left > 0; left -= 1) {
        if (left < 1 && static_cast<double>(random_() >> 11) * 0x1p-53 >= left) break;
        request.at = told + (copies_ == 1 ? 0 : static_cast<Nanos>(random_() % kDisplacement));
        ready_.push_back(request);
      }
    }
    if (row_ == recorded_.size()) {
      row_ = 0;
      offset_ += period_;
    }
    sure = offset_ + recorded_[row_].at;
    std::sort(ready_.begin(), ready_.end(), [](const Request& a, const Request& b) { return a.at < b.at; });
  } while (ready_.empty() || ready_.front().at >= sure);
  const auto first_later =
      std::lower_bound(ready_.begin(), ready_.end(), sure, [](const Request& r, Nanos at) { return r.at < at; });
  later_.assign(first_later, ready_.end());
  ready_.erase(first_later, ready_.end());
}

}  // namespace spotinference::fleet::sim
