#include "engine/base/safetensors_index.h"

#include <boost/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

namespace json = boost::json;

absl::string_view View(json::string_view s) { return {s.data(), s.size()}; }

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsIndex(absl::string_view text) {
  json::error_code error;
  const json::value root = json::parse({text.data(), text.size()}, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("not JSON: ", error.message()));
  const json::object* const object = root.if_object();
  const json::value* const map = object == nullptr ? nullptr : object->if_contains("weight_map");
  if (map == nullptr || !map->is_object()) return absl::InvalidArgumentError("key 'weight_map' is not an object");
  std::map<std::string, std::string> index;
  for (const auto& [tensor, file] : map->get_object()) {
    const json::string* const name = file.if_string();
    if (name == nullptr || name->empty() || *name == "." || *name == ".." ||
        name->find_first_of({"/\0", 2}) != json::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          "key 'weight_map': tensor '", absl::CHexEscape(View(tensor)), "' is in ",
          json::serialize(file).substr(0, 80), "; the name of a file of the folder is expected"));
    }
    index.emplace(View(tensor), View(*name));
  }
  if (index.empty()) return absl::InvalidArgumentError("key 'weight_map' names no tensor");
  return index;
}

}  // namespace spotinference
