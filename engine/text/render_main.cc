// For tests that compare with Python's jinja2: renders templates.
//
// stdin:  a JSON list of {"template": …, "variables": [{…}, …]}
// stdout: a JSON list of lists: for each of a template's variables {"text": …}, {"refused": …} where
//         the template called raise_exception, or {"error": …}
#include <cstdint>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/civil_time.h"
#include "boost/json.hpp"
#include "engine/text/jinja.h"
#include "engine/text/jinja_value.h"

namespace spotinference::jinja {
namespace {

Value FromJson(const boost::json::value& json) {
  if (json.is_null()) return Value();
  if (json.is_bool()) return Value(json.get_bool());
  if (json.is_int64()) return Value(int64_t{json.get_int64()});
  if (json.is_double()) return Value(json.get_double());
  if (json.is_string()) return Value::Input(std::string(json.get_string()));
  if (json.is_array()) {
    std::vector<Value> items;
    for (const auto& item : json.get_array()) items.push_back(FromJson(item));
    return Value::MakeList(std::move(items));
  }
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key, value] : json.get_object()) {
    entries.emplace_back(Value::Input(std::string(key)), FromJson(value));
  }
  return Value::MakeMap(std::move(entries));
}

boost::json::object Result(const absl::StatusOr<Text>& text) {
  if (text.ok()) return {{"text", text->bytes}};
  const bool refused = text.status().code() == absl::StatusCode::kFailedPrecondition;
  return {{refused ? "refused" : "error", std::string(text.status().message())}};
}

boost::json::array Render(const boost::json::object& job) {
  const auto parsed = Template::Parse(std::string(job.at("template").get_string()));
  boost::json::array results;
  for (const auto& each : job.at("variables").get_array()) {
    if (!parsed.ok()) {
      results.push_back(Result(parsed.status()));
      continue;
    }
    Variables variables;
    for (const auto& [name, value] : each.get_object()) {
      variables.emplace_back(std::string(name), FromJson(value));
    }
    results.push_back(Result(parsed->Render(variables, absl::CivilSecond(2026, 11, 25, 3, 4, 5))));
  }
  return results;
}

void Main() {
  const std::string input((std::istreambuf_iterator<char>(std::cin)), {});
  boost::json::array results;
  for (const boost::json::value jobs = boost::json::parse(input);
       const auto& job : jobs.get_array()) {
    results.push_back(Render(job.get_object()));
  }
  std::cout << boost::json::serialize(results);
}

}  // namespace
}  // namespace spotinference::jinja

int main() { spotinference::jinja::Main(); }
