#include "engine/text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace spotinference {
namespace {

// How much of `stop` is matched after `byte`, given how much was before; `matched` is less than its
// length.
size_t Advance(const std::string& stop, const std::vector<size_t>& border, size_t matched,
               char byte) {
  while (matched > 0 && stop[matched] != byte) matched = border[matched - 1];
  return stop[matched] == byte ? matched + 1 : 0;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> stops) {
  for (std::string& text : stops) {
    if (text.empty()) continue;
    std::vector<size_t> border(text.size(), 0);
    for (size_t i = 1; i < text.size(); ++i) {
      border[i] = Advance(text, border, border[i - 1], text[i]);
    }
    stops_.push_back({std::move(text), std::move(border)});
  }
}

std::string StopStrings::Feed(std::string_view text) {
  if (stopped_) return "";
  for (const char byte : text) {
    held_.push_back(byte);
    size_t found_bytes = 0;
    for (Stop& stop : stops_) {
      stop.matched = Advance(stop.text, stop.border, stop.matched, byte);
      if (stop.matched == stop.text.size()) found_bytes = std::max(found_bytes, stop.matched);
    }
    if (found_bytes > 0) {
      stopped_ = true;
      held_.resize(held_.size() - found_bytes);
      return std::exchange(held_, "");
    }
  }
  size_t unsure_bytes = 0;
  for (const Stop& stop : stops_) unsure_bytes = std::max(unsure_bytes, stop.matched);
  std::string shown = held_.substr(0, held_.size() - unsure_bytes);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopStrings::Flush() { return std::exchange(held_, ""); }

}  // namespace spotinference
