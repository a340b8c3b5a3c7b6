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
  std::vector<Stop> tables;
  for (std::string& text : stops) {
    if (text.empty()) continue;
    std::vector<size_t> border(text.size(), 0);
    for (size_t i = 1; i < text.size(); ++i) {
      border[i] = Advance(text, border, border[i - 1], text[i]);
    }
    tables.push_back({std::move(text), std::move(border)});
  }
  matched_.assign(tables.size(), 0);
  stops_ = std::make_shared<const std::vector<Stop>>(std::move(tables));
}

std::string StopStrings::Feed(std::string_view text) {
  if (stopped_) return "";
  for (const char byte : text) {
    held_.push_back(byte);
    size_t found_bytes = 0;
    for (size_t i = 0; i < matched_.size(); ++i) {
      const Stop& stop = (*stops_)[i];
      matched_[i] = Advance(stop.text, stop.border, matched_[i], byte);
      if (matched_[i] == stop.text.size()) found_bytes = std::max(found_bytes, matched_[i]);
    }
    if (found_bytes > 0) {
      stopped_ = true;
      held_.resize(held_.size() - found_bytes);
      return std::exchange(held_, "");
    }
  }
  size_t unsure_bytes = 0;
  for (const size_t matched : matched_) unsure_bytes = std::max(unsure_bytes, matched);
  std::string shown = held_.substr(0, held_.size() - unsure_bytes);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopStrings::Flush() { return std::exchange(held_, ""); }

}  // namespace spotinference
