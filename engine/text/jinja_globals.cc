// The global functions.
#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_builtins.h"

namespace spotinference::jinja {
namespace {

using ValueOr = absl::StatusOr<Value>;
using Values = std::vector<Value>;

constexpr int64_t kMaxRange = 100'000;  // as Jinja's sandbox

ValueOr Range(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"start", "stop", "step"}));
  int64_t part[3] = {0, 0, 1};
  for (int i = 0; i < 3; ++i) {
    if (args[i] && !args[i]->is_whole_number()) return Invalid("range needs integers");
    if (args[i]) part[i] = args[i]->whole_number();
  }
  if (!args[0]) return Invalid("range needs an end");
  if (!args[1]) std::swap(part[0], part[1]);
  const auto [start, stop, step] = part;
  if (step == 0) return Invalid("the step of a range cannot be zero");
  Values items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) == kMaxRange) {
      return Invalid(absl::StrCat("a range has more than ", kMaxRange, " items"));
    }
    RETURN_IF_ERROR(context.budget.Spend(1));
    items.push_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value::MakeList(std::move(items));
}

ValueOr MakeNamespace(Context& context, const Arguments& arguments) {
  context.namespaces.emplace_back();
  Namespace& space = context.namespaces.back();
  for (const Value& from : arguments.positional) {
    if (!from.is_map()) return Invalid("namespace takes dicts and named values");
    for (const auto& [key, value] : from.map().entries) space.Set(key.bytes(), value);
  }
  for (const auto& [name, value] : arguments.named) space.Set(name, value);
  return Value::MakeNamespace(&space);
}

ValueOr MakeDict(Context&, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> entries;
  for (const Value& from : arguments.positional) {
    if (!from.is_map()) return Invalid("dict takes dicts and named values");
    entries.insert(entries.end(), from.map().entries.begin(), from.map().entries.end());
  }
  for (const auto& [name, value] : arguments.named)
    entries.emplace_back(Value::String(name), value);
  return BoundedDepth(Value::MakeMap(std::move(entries)));
}

// A function that gives the separator from its second call on.
ValueOr Joiner(Context&, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"sep"}));
  const Value separator = args[0] ? *args[0] : Value::String(", ");
  return Value::MakeFunction(
      {.name = "joiner",
       .call = [separator, used = std::make_shared<bool>(false)](const Arguments&) -> ValueOr {
         return std::exchange(*used, true) ? separator : Value::String("");
       },
       .depth = separator.depth() + 1});
}

ValueOr RaiseException(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"message"}));
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, args[0] ? *args[0] : Value()));
  return absl::FailedPreconditionError(text.bytes);
}

ValueOr StrftimeNow(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"format"}));
  if (!args[0] || !args[0]->is_string()) return Invalid("strftime_now needs a format");
  const absl::CivilSecond& now = context.now;
  std::tm time = {};
  time.tm_year = static_cast<int>(now.year() - 1900);
  time.tm_mon = now.month() - 1;
  time.tm_mday = now.day();
  time.tm_hour = now.hour();
  time.tm_min = now.minute();
  time.tm_sec = now.second();
  time.tm_wday = (static_cast<int>(absl::GetWeekday(now)) + 1) % 7;  // absl counts from Monday
  time.tm_yday = absl::GetYearDay(now) - 1;
  char text[256];
  const size_t bytes = std::strftime(text, sizeof text, args[0]->bytes().c_str(), &time);
  if (bytes == 0 && !args[0]->bytes().empty())
    return Invalid("strftime_now: the result is empty or too long");
  return Value::FromText(args[0]->text().Remade(std::string(text, bytes)));
}

using Global = ValueOr (*)(Context&, const Arguments&);

struct GlobalRow {
  std::string_view name;
  Global call;
};

constexpr GlobalRow kGlobals[] = {
    {"dict", MakeDict},
    {"joiner", Joiner},
    {"namespace", MakeNamespace},
    {"raise_exception", RaiseException},
    {"range", Range},
    {"strftime_now", StrftimeNow},
};

}  // namespace

Value FindGlobal(Context& context, std::string_view name) {
  for (const GlobalRow& row : kGlobals) {
    if (row.name != name) continue;
    return Value::MakeFunction(
        {.name = std::string(name), .call = [&context, call = row.call](const Arguments& arguments) {
           return call(context, arguments);
         }});
  }
  return Value::MakeUndefined(std::string(name));
}

}  // namespace spotinference::jinja
