#include "engine/text/jinja_operations.h"

#include <string.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/python_text.h"
#include "engine/text/utf8.h"

namespace spotinference::jinja {
namespace {

constexpr uint64_t kBytesPerStep =
    256;  // comparing or searching them takes about as long as a step

absl::Status BadOperands(std::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined()) return UndefinedError(a);
  if (b.is_undefined()) return UndefinedError(b);
  return Invalid(absl::StrCat("'", std::string(op), "' does not work on ",
                              std::string(a.TypeName()), " and ", std::string(b.TypeName())));
}

absl::Status Overflow(std::string_view op) {
  return Invalid(absl::StrCat("the result of '", std::string(op), "' does not fit in 64 bits"));
}

int64_t Length(const Value& sequence) {
  return sequence.is_string() ? CountChars(sequence.bytes()) : sequence.items().size();
}

absl::StatusOr<Value> Repeat(Budget& budget, const Value& value, int64_t count) {
  const uint64_t times = std::max<int64_t>(count, 0);
  if (value.is_string()) {
    const Text& text = value.text();
    // A product that overflows is over budget anyway: each factor is checked first.
    RETURN_IF_ERROR(budget.Spend(times));
    RETURN_IF_ERROR(budget.SpendBytes(times * text.bytes.size()));
    Text repeated;
    repeated.is_markup = text.is_markup;
    for (uint64_t i = 0; i < times; ++i) repeated.Append(text);
    return Value::FromText(std::move(repeated));
  }
  const std::vector<Value>& items = value.items();
  RETURN_IF_ERROR(budget.Spend(times));
  RETURN_IF_ERROR(budget.Spend(times * items.size()));
  std::vector<Value> repeated;
  for (uint64_t i = 0; i < times; ++i) repeated.insert(repeated.end(), items.begin(), items.end());
  return Value::MakeList(std::move(repeated), value.list().kind);
}

absl::StatusOr<Value> Add(Budget& budget, const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) {
    RETURN_IF_ERROR(budget.SpendBytes(a.bytes().size() + b.bytes().size()));
    Text sum;
    sum.is_markup = a.text().is_markup || b.text().is_markup;
    sum.bytes.reserve(a.bytes().size() + b.bytes().size());
    for (const Value* side : {&a, &b}) {
      if (sum.is_markup) {
        ASSIGN_OR_RETURN(const Text escaped, Escape(budget, side->text()));
        sum.Append(escaped);
      } else {
        sum.Append(side->text());
      }
    }
    return Value::FromText(std::move(sum));
  }
  if (a.is_sequence() && b.is_sequence() && a.is_tuple() == b.is_tuple()) {
    RETURN_IF_ERROR(budget.Spend(a.items().size() + b.items().size()));
    std::vector<Value> sum = a.items();
    sum.insert(sum.end(), b.items().begin(), b.items().end());
    return Value::MakeList(std::move(sum), a.list().kind);
  }
  return BadOperands("+", a, b);
}

absl::StatusOr<Value> WholePower(int64_t base, int64_t exponent) {
  int64_t power = 1;
  // Ends at the latest when |base| > 1 overflows; 0, 1 and -1 need no more than the exponent's last
  // bit.
  if (base >= -1 && base <= 1) exponent = exponent == 0 ? 0 : 2 - exponent % 2;
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(power, base, &power)) return Overflow("**");
  }
  return power;
}

// / // %
absl::StatusOr<Value> WholeDivision(std::string_view op, int64_t a, int64_t b) {
  if (b == 0) return Invalid("division by zero");
  if (op == "/") return Value(static_cast<double>(a) / b);
  if (b == -1) return op == "%" ? Value(int64_t{0}) : Negate(Value(a));
  const bool inexact = a % b != 0 && (a < 0) != (b < 0);  // Python rounds down
  return op == "//" ? Value(a / b - inexact) : Value(a % b + (inexact ? b : 0));
}

absl::StatusOr<Value> WholeArithmetic(std::string_view op, int64_t a, int64_t b) {
  int64_t result;
  bool fits = true;
  if (op == "+") {
    fits = !__builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    fits = !__builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    fits = !__builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    if (b >= 0) return WholePower(a, b);
    return a == 0 ? absl::StatusOr<Value>(Invalid("division by zero")) : Value(std::pow(a, b));
  } else {
    return WholeDivision(op, a, b);
  }
  if (!fits) return Overflow(op);
  return result;
}

absl::StatusOr<Value> FloatArithmetic(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  if (b == 0) return Invalid("division by zero");
  if (op == "/") return a / b;
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  return op == "%" ? rest : std::floor((a - rest) / b + 0.5);
}

}  // namespace

absl::Status Budget::OutOf(std::string_view what, uint64_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the template needs more than ", limit, " ", std::string(what)));
}

absl::Status Invalid(std::string_view message) {
  return absl::InvalidArgumentError(std::string(message));
}

absl::Status UndefinedError(const Value& value) {
  return Invalid(absl::StrCat("'", value.undefined_name(), "' is undefined"));
}

absl::StatusOr<Value> BoundedDepth(Value value) {
  if (value.depth() <= kMaxValueDepth) return value;
  return Invalid(absl::StrCat("lists and dicts nest deeper than ", kMaxValueDepth, " levels"));
}

absl::StatusOr<Cursor> Cursor::Over(Budget& budget, Value value) {
  if (value.is_list() || value.is_map() || value.is_string() || value.is_generator() ||
      value.is_undefined()) {
    return Cursor(budget, std::move(value));
  }
  return Invalid(absl::StrCat("'", std::string(value.TypeName()), "' object is not iterable"));
}

absl::StatusOr<std::optional<Value>> Cursor::Next() {
  RETURN_IF_ERROR(budget_->Spend(1));
  if (value_.is_list()) {
    if (at_ < value_.items().size()) return value_.items()[at_++];
  } else if (value_.is_map()) {
    if (at_ < value_.map().entries.size()) return value_.map().entries[at_++].first;
  } else if (value_.is_string() && at_ < value_.bytes().size()) {
    const size_t begin = at_;
    at_ += DecodeUtf8(std::string_view(value_.bytes()).substr(at_)).bytes;
    Text character = value_.text().Slice(begin, at_);
    character.is_markup = false;
    return Value::FromText(std::move(character));
  } else if (value_.is_generator()) {
    return value_.generator().next();
  }
  return std::nullopt;
}

std::optional<int64_t> Cursor::Length() const {
  if (value_.is_list()) return value_.items().size();
  if (value_.is_map()) return value_.map().entries.size();
  if (value_.is_string()) return CountChars(value_.bytes());
  if (value_.is_undefined()) return 0;
  return std::nullopt;
}

absl::StatusOr<std::vector<Value>> Items(Budget& budget, const Value& value) {
  if (value.is_list()) {
    RETURN_IF_ERROR(budget.Spend(value.items().size()));
    return value.items();
  }
  ASSIGN_OR_RETURN(Cursor cursor, Cursor::Over(budget, value));
  std::vector<Value> items;
  while (true) {
    ASSIGN_OR_RETURN(std::optional<Value> item, cursor.Next());
    if (!item) return items;
    items.push_back(*std::move(item));
  }
}

absl::StatusOr<bool> Equal(Budget& budget, const Value& a, const Value& b) {
  RETURN_IF_ERROR(budget.Spend(1));
  if (a.is_number() && b.is_number()) {
    if (a.is_whole_number() && b.is_whole_number()) return a.whole_number() == b.whole_number();
    return a.number() == b.number();
  }
  if (a.is_string() && b.is_string()) {
    RETURN_IF_ERROR(budget.Spend(std::min(a.bytes().size(), b.bytes().size()) / kBytesPerStep));
    return a.bytes() == b.bytes();
  }
  if (a.is_list() && b.is_list()) {
    if (a.list().kind != b.list().kind || a.items().size() != b.items().size())
      return false;
    for (size_t i = 0; i < a.items().size(); ++i) {
      ASSIGN_OR_RETURN(const bool equal, Equal(budget, a.items()[i], b.items()[i]));
      if (!equal) return false;
    }
    return true;
  }
  if (a.is_map() && b.is_map()) {
    if (a.map().entries.size() != b.map().entries.size()) return false;
    for (const auto& [key, value] : a.map().entries) {
      const Value* other = b.map().Find(key);
      if (other == nullptr) return false;
      ASSIGN_OR_RETURN(const bool equal, Equal(budget, value, *other));
      if (!equal) return false;
    }
    return true;
  }
  if (a.is_namespace() && b.is_namespace()) return &a.space() == &b.space();
  if (a.is_function() && b.is_function()) return &a.function() == &b.function();
  if (a.is_generator() && b.is_generator()) return &a.generator() == &b.generator();
  if (a.is_loop() && b.is_loop()) return &a.loop() == &b.loop();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

absl::StatusOr<int> Order(Budget& budget, const Value& a, const Value& b) {
  RETURN_IF_ERROR(budget.Spend(1));
  const auto sign = [](const auto& x, const auto& y) { return (x > y) - (x < y); };
  if (a.is_whole_number() && b.is_whole_number()) return sign(a.whole_number(), b.whole_number());
  if (a.is_number() && b.is_number()) return sign(a.number(), b.number());
  if (a.is_string() && b.is_string()) {
    RETURN_IF_ERROR(budget.Spend(std::min(a.bytes().size(), b.bytes().size()) / kBytesPerStep));
    return a.bytes().compare(b.bytes());  // the order of UTF-8 is that of its characters
  }
  if (a.is_sequence() && b.is_sequence() && a.is_tuple() == b.is_tuple()) {
    for (size_t i = 0; i < std::min(a.items().size(), b.items().size()); ++i) {
      ASSIGN_OR_RETURN(const bool equal, Equal(budget, a.items()[i], b.items()[i]));
      if (!equal) return Order(budget, a.items()[i], b.items()[i]);
    }
    return sign(a.items().size(), b.items().size());
  }
  return BadOperands("<", a, b);
}

absl::StatusOr<bool> Contains(Budget& budget, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) return BadOperands("in", item, container);
    RETURN_IF_ERROR(budget.Spend(container.bytes().size() / kBytesPerStep));
    // Two-way search: linear, where std::string::find is not.
    return memmem(container.bytes().data(), container.bytes().size(), item.bytes().data(),
                  item.bytes().size()) != nullptr;
  }
  if (container.is_map()) return container.map().Find(item) != nullptr;
  if (container.is_list()) {
    for (const Value& each : container.items()) {
      ASSIGN_OR_RETURN(const bool equal, Equal(budget, each, item));
      if (equal) return true;
    }
    return false;
  }
  if (container.is_undefined()) return false;
  if (container.is_generator()) {
    ASSIGN_OR_RETURN(Cursor cursor, Cursor::Over(budget, container));
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<Value> each, cursor.Next());
      if (!each) return false;
      ASSIGN_OR_RETURN(const bool equal, Equal(budget, *each, item));
      if (equal) return true;
    }
  }
  return BadOperands("in", item, container);
}

absl::StatusOr<Text> Escape(Budget& budget, const Text& text) {
  if (text.is_markup) return text;
  RETURN_IF_ERROR(budget.SpendBytes(text.bytes.size()));
  constexpr std::string_view kSpecial = "&<>'\"";
  constexpr std::string_view kEscapes[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  Text escaped;
  escaped.is_markup = true;
  for (size_t at = 0; at < text.bytes.size();) {
    const size_t next = std::min(text.bytes.find_first_of(kSpecial, at), text.bytes.size());
    escaped.Append(text.Slice(at, next));
    if (next == text.bytes.size()) break;
    RETURN_IF_ERROR(budget.Spend(1));
    const std::string_view escape = kEscapes[kSpecial.find(text.bytes[next])];
    escaped.Append(text.Slice(next, next + 1).Remade(std::string(escape)));
    at = next + 1;
  }
  return escaped;
}

absl::StatusOr<Value> Arithmetic(Budget& budget, std::string_view op, const Value& a,
                                 const Value& b) {
  if (a.is_whole_number() && b.is_whole_number()) {
    return WholeArithmetic(op, a.whole_number(), b.whole_number());
  }
  if (a.is_number() && b.is_number()) return FloatArithmetic(op, a.number(), b.number());
  if (op == "+") return Add(budget, a, b);
  const auto is_sequence = [](const Value& value) {
    return value.is_string() || value.is_sequence();
  };
  if (op == "*" && is_sequence(a) && b.is_whole_number())
    return Repeat(budget, a, b.whole_number());
  if (op == "*" && is_sequence(b) && a.is_whole_number())
    return Repeat(budget, b, a.whole_number());
  return BadOperands(op, a, b);
}

absl::StatusOr<Value> Negate(const Value& value) {
  if (value.is_float()) return Value(-value.number());
  if (value.is_whole_number()) {
    int64_t negated;
    if (__builtin_sub_overflow(0, value.whole_number(), &negated)) return Overflow("-");
    return negated;
  }
  if (value.is_undefined()) return UndefinedError(value);
  return Invalid(absl::StrCat("'-' does not work on ", std::string(value.TypeName())));
}

absl::StatusOr<Value> Item(const Value& container, const Value& key) {
  if (container.is_undefined()) return UndefinedError(container);
  if (container.is_map()) {
    if (const Value* found = container.map().Find(key)) return *found;
  } else if (container.is_namespace() && key.is_string()) {
    if (const Value* found = container.space().Find(key.bytes())) return *found;
  } else if (key.is_whole_number() && (container.is_sequence() || container.is_string())) {
    const int64_t size = Length(container);
    int64_t index = key.whole_number();
    if (index < 0) index += size;
    if (index >= 0 && index < size) {
      if (container.is_sequence()) return container.items()[index];
      const size_t begin = OffsetOfChar(container.bytes(), index);
      const size_t bytes = OffsetOfChar(std::string_view(container.bytes()).substr(begin), 1);
      return Value::FromText(container.text().Slice(begin, begin + bytes));
    }
  }
  return Value::MakeUndefined(key.is_string()         ? key.bytes()
                              : key.is_whole_number() ? absl::StrCat("[", key.whole_number(), "]")
                                                      : "item");
}

absl::StatusOr<Value> Slice(Budget& budget, const Value& value, const Value& start,
                            const Value& stop, const Value& step) {
  if (value.is_undefined()) return UndefinedError(value);
  if (!value.is_sequence() && !value.is_string()) {
    return Invalid(absl::StrCat("a ", std::string(value.TypeName()), " cannot be sliced"));
  }
  for (const Value* part : {&start, &stop, &step}) {
    if (!part->is_none() && !part->is_whole_number()) {
      return Invalid("slice indices must be integers or none");
    }
  }
  // PySlice_AdjustIndices.
  const int64_t stride = step.is_none() ? 1 : step.whole_number();
  if (stride == 0) return Invalid("slice step cannot be zero");
  const int64_t size = Length(value);
  const int64_t lowest = stride < 0 ? -1 : 0, highest = stride < 0 ? size - 1 : size;
  const auto adjust = [&](const Value& index, int64_t standard) {
    if (index.is_none()) return standard;
    int64_t i = index.whole_number();
    if (i < 0) i += size;
    return std::clamp(i, lowest, highest);
  };
  const int64_t begin = adjust(start, stride < 0 ? highest : lowest);
  const int64_t end = adjust(stop, stride < 0 ? lowest : highest);
  if (value.is_string() && stride == 1) {
    const size_t from = OffsetOfChar(value.bytes(), begin);
    const std::string_view rest = std::string_view(value.bytes()).substr(from);
    const size_t bytes = OffsetOfChar(rest, std::max<int64_t>(end - begin, 0));
    RETURN_IF_ERROR(budget.SpendBytes(bytes));
    return Value::FromText(value.text().Slice(from, from + bytes));
  }
  Text text;
  text.is_markup = value.is_string() && value.text().is_markup;
  std::vector<Value> items;
  // Counted, since i + stride could overflow.
  const int64_t distance = stride < 0 ? begin - end : end - begin;
  const uint64_t length = stride < 0 ? -static_cast<uint64_t>(stride) : stride;
  const uint64_t count = distance <= 0 ? 0 : (distance - 1) / length + 1;
  RETURN_IF_ERROR(budget.Spend(value.is_string() ? size : count));
  const std::vector<size_t> at =
      value.is_string() ? CharBoundaries(value.bytes()) : std::vector<size_t>();
  for (uint64_t k = 0; k < count; ++k) {
    const int64_t i = begin + static_cast<int64_t>(k) * stride;
    if (value.is_string()) {
      text.Append(value.text().Slice(at[i], at[i + 1]));
    } else {
      items.push_back(value.items()[i]);
    }
  }
  if (value.is_string()) return Value::FromText(std::move(text));
  return Value::MakeList(std::move(items), value.list().kind);
}

}  // namespace spotinference::jinja
