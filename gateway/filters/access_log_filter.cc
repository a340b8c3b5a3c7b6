#include "gateway/filters/access_log_filter.h"

#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

constexpr size_t kMaxShownBytes = 128;

// `text` as one word of the line.
std::string Word(std::string_view text) {
  if (text.empty()) return "-";
  std::string word;
  for (const unsigned char c : text.substr(0, kMaxShownBytes)) {
    if (absl::ascii_isgraph(c) && c != '"' && c != '\\') {
      word.push_back(c);
    } else {
      absl::StrAppend(&word, "\\x", absl::Hex(c, absl::kZeroPad2));
    }
  }
  if (text.size() > kMaxShownBytes) word.append("...");
  return word;
}

absl::string_view Name(http::Outcome::End end) {
  switch (end) {
    case http::Outcome::End::kComplete: return "complete";
    case http::Outcome::End::kAborted: return "aborted";
    case http::Outcome::End::kClientGone: return "client_gone";
  }
  return "-";
}

class LogFilter final : public http::Filter {
 public:
  explicit LogFilter(const std::function<void(const std::string&)>& write) : write_(write) {}

  std::optional<http::Response> OnRequest(http::Request&) override { return std::nullopt; }

  void OnEnd(const http::Request& request, const http::Outcome& outcome) override {
    std::string line = absl::StrCat(
        "id=", request.id, " peer=", Word(request.peer), " method=", Word(request.method),
        " path=", Word(request.path), " status=", outcome.status, " bytes=", outcome.body_bytes,
        " ms=", absl::ToInt64Milliseconds(outcome.duration), " end=", Name(outcome.end),
        " key=", Word(request.principal), " model=", Word(request.Capture("model")));
    for (const char* const tokens : {"prompt_tokens", "generated_tokens"}) {
      if (const std::string_view count = request.Capture(tokens); !count.empty()) {
        absl::StrAppend(&line, " ", tokens, "=", Word(count));
      }
    }
    write_(line);
  }

 private:
  const std::function<void(const std::string&)> write_;
};

}  // namespace

http::FilterFactory AccessLogFilter(std::function<void(const std::string& line)> write) {
  return [write = std::move(write)] { return std::make_unique<LogFilter>(write); };
}

}  // namespace spotinference
