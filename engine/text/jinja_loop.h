// `loop`: where a {% for %} stands.
//
// Items are fetched only when they are needed, in Jinja's own order: a filter or condition behind
// them may see what the rounds before have changed.
#ifndef ENGINE_TEXT_JINJA_LOOP_H_
#define ENGINE_TEXT_JINJA_LOOP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/text/jinja_operations.h"
#include "engine/text/jinja_value.h"

namespace spotinference::jinja {

class Loop : public std::enable_shared_from_this<Loop> {
 public:
  using Next = std::function<absl::StatusOr<std::optional<Value>>()>;
  using Recurse = std::function<absl::StatusOr<Value>(const Value& items, int depth)>;

  // `length`: how many values `next` gives, where that is known. `recurse`: what loop(items) does,
  // null unless the loop is recursive. `depth`: of recursion, from 0. `budget` outlives the loop.
  Loop(Budget& budget, Next next, std::optional<int64_t> length, Recurse recurse, int depth)
      : budget_(budget),
        next_(std::move(next)),
        length_(length),
        recurse_(std::move(recurse)),
        depth_(depth) {}

  // To the next item; false when there is none.
  absl::StatusOr<bool> Advance();
  const Value& item() const { return *current_; }

  // The rounds are over: what `next` and `recurse` refer to may go, and no value is held any more.
  void End();

  // loop.name; undefined where there is none.
  absl::StatusOr<Value> Get(std::string_view name);
  // loop(items)
  absl::StatusOr<Value> Call(const Arguments& arguments) const;

 private:
  // Whether there is another item, which is in ahead_ then.
  absl::StatusOr<bool> Peek();
  absl::StatusOr<int64_t> Length();
  absl::StatusOr<Value> Cycle(const Arguments& arguments) const;
  absl::StatusOr<Value> Changed(const Arguments& arguments);
  Value Method(std::string_view name, absl::StatusOr<Value> (*call)(Loop&, const Arguments&));

  Budget& budget_;
  Next next_;  // null: ended
  std::optional<int64_t> length_;
  Recurse recurse_;
  const int depth_;
  std::deque<Value> ahead_;
  std::optional<Value> previous_;
  std::optional<Value> current_;
  int64_t index_ = -1;
  std::optional<Value> changed_;  // what loop.changed saw last, as a tuple
};

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_LOOP_H_
