// Python's operators on Jinja values, and the budget that all work of one rendering is charged to.
//
// Errors are INVALID_ARGUMENT without a place; the renderer adds the line. RESOURCE_EXHAUSTED: the
// budget is spent.
#ifndef ENGINE_TEXT_JINJA_OPERATIONS_H_
#define ENGINE_TEXT_JINJA_OPERATIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/jinja_value.h"

namespace spotinference::jinja {

struct Limits {
  uint64_t max_steps = 4'000'000;      // syntax nodes and list items visited: about a second
  size_t max_output_bytes = 64 << 20;  // of the rendered text
  size_t max_made_bytes = 512 << 20;   // of all strings made on the way, also those that are gone
  int max_depth = 400;                 // of syntax nodes within each other, macro calls included
};

class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}

  const Limits& limits() const { return limits_; }

  absl::Status Spend(uint64_t steps) {
    steps_ += steps;
    return steps_ <= limits_.max_steps ? absl::OkStatus() : OutOf("steps", limits_.max_steps);
  }

  // Before a string of that size is made.
  absl::Status SpendBytes(uint64_t bytes) {
    made_bytes_ += bytes;
    return made_bytes_ <= limits_.max_made_bytes
               ? absl::OkStatus()
               : OutOf("bytes of strings made on the way", limits_.max_made_bytes);
  }

  static absl::Status OutOf(std::string_view what, uint64_t limit);

 private:
  const Limits limits_;
  uint64_t steps_ = 0;
  uint64_t made_bytes_ = 0;
};

// How deep lists and maps may nest in each other.
inline constexpr int kMaxValueDepth = 100;

absl::Status Invalid(std::string_view message);
// For an operation that an undefined value does not have.
absl::Status UndefinedError(const Value& value);

// The value, or an error where it nests too deep.
absl::StatusOr<Value> BoundedDepth(Value value);

// Visits what a loop over a value visits: the items of a list, the keys of a dict, the characters of
// a string, what a generator yields, nothing of an undefined value.
class Cursor {
 public:
  // An error where the value has nothing to visit. `budget` outlives the cursor.
  static absl::StatusOr<Cursor> Over(Budget& budget, Value value);

  absl::StatusOr<std::optional<Value>> Next();  // nothing: there are no more
  // Of what is visited in all; nothing where only a visit can tell.
  std::optional<int64_t> Length() const;

 private:
  Cursor(Budget& budget, Value value) : budget_(&budget), value_(std::move(value)) {}

  Budget* budget_;
  Value value_;
  size_t at_ = 0;  // an item, or a byte of a string
};

// All that a loop over it visits.
absl::StatusOr<std::vector<Value>> Items(Budget& budget, const Value& value);

absl::StatusOr<bool> Equal(Budget& budget, const Value& a, const Value& b);
// Negative, zero or positive, as a is less, equal or greater. An error where Python knows no order.
absl::StatusOr<int> Order(Budget& budget, const Value& a, const Value& b);
// item in container
absl::StatusOr<bool> Contains(Budget& budget, const Value& container, const Value& item);

// For HTML, as Markup. What is Markup stays as it is.
absl::StatusOr<Text> Escape(Budget& budget, const Text& text);

// + - * / // % **
absl::StatusOr<Value> Arithmetic(Budget& budget, std::string_view op, const Value& a,
                                 const Value& b);
absl::StatusOr<Value> Negate(const Value& value);

absl::StatusOr<Value> Item(const Value& container,
                           const Value& key);  // undefined where there is none
absl::StatusOr<Value> Slice(Budget& budget, const Value& value, const Value& start,
                            const Value& stop, const Value& step);  // None: left out

// str(value), and repr(value) appended.
absl::StatusOr<Text> ToText(Budget& budget, const Value& value);
absl::Status AppendRepr(Budget& budget, const Value& value, Text& out);

struct JsonStyle {
  bool ascii = false;  // escape everything else
  bool sort_keys = false;
  bool has_indent = false;
  Text indent;  // one level
  Text item_separator;
  Text key_separator;
};

// As json.dumps, appended.
absl::Status AppendJson(Budget& budget, const Value& value, const JsonStyle& style, int level,
                        Text& out);

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_OPERATIONS_H_
