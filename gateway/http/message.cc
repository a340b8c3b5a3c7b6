#include "gateway/http/message.h"

#include <sys/random.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/http/target.h"

namespace spotinference::http {
namespace {

bool Same(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase({a.data(), a.size()}, {b.data(), b.size()});
}

}  // namespace

std::optional<std::string_view> Headers::Get(std::string_view name) const {
  for (const Field& field : fields_) {
    if (Same(field.first, name)) return field.second;
  }
  return std::nullopt;
}

std::vector<std::string_view> Headers::GetAll(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const Field& field : fields_) {
    if (Same(field.first, name)) values.push_back(field.second);
  }
  return values;
}

void Headers::Add(std::string_view name, std::string_view value) {
  fields_.emplace_back(std::string(name), std::string(value));
}

void Headers::Set(std::string_view name, std::string_view value) {
  Remove(name);
  Add(name, value);
}

void Headers::Remove(std::string_view name) {
  std::erase_if(fields_, [name](const Field& field) { return Same(field.first, name); });
}

std::optional<std::string> Request::QueryParameter(std::string_view name) const {
  for (auto& [key, value] : ParseQuery(query)) {
    if (key == name) return std::move(value);
  }
  return std::nullopt;
}

std::string_view Request::Capture(std::string_view name) const {
  for (const auto& [key, value] : captures) {
    if (key == name) return value;
  }
  return {};
}

std::string NewRequestId() {
  char bytes[12] = {};
  // At most 256 bytes are never interrupted, and never short once the source is seeded.
  while (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
  }
  return absl::StrCat("req_", absl::BytesToHexString({bytes, sizeof bytes}));
}

}  // namespace spotinference::http
