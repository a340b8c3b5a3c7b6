#include "engine/text/jinja_loop.h"

#include <string>
#include <vector>

#include "engine/base/status.h"

namespace spotinference::jinja {

absl::StatusOr<bool> Loop::Advance() {
  ASSIGN_OR_RETURN(const bool found, Peek());
  if (!found) return false;
  previous_ = std::move(current_);
  current_ = std::move(ahead_.front());
  ahead_.pop_front();
  ++index_;
  return true;
}

void Loop::End() {
  next_ = nullptr;
  recurse_ = nullptr;
  ahead_.clear();
  previous_.reset();
  current_.reset();
  changed_.reset();
}

absl::StatusOr<bool> Loop::Peek() {
  if (ahead_.empty() && next_) {
    ASSIGN_OR_RETURN(std::optional<Value> next, next_());
    if (next) ahead_.push_back(*std::move(next));
  }
  return !ahead_.empty();
}

absl::StatusOr<int64_t> Loop::Length() {
  if (length_) return *length_;
  while (next_) {
    ASSIGN_OR_RETURN(std::optional<Value> next, next_());
    if (!next) break;
    ahead_.push_back(*std::move(next));
  }
  length_ = index_ + 1 + static_cast<int64_t>(ahead_.size());
  return *length_;
}

absl::StatusOr<Value> Loop::Cycle(const Arguments& arguments) const {
  if (arguments.positional.empty()) return Invalid("cycle needs values");
  return arguments.positional[index_ % arguments.positional.size()];
}

absl::StatusOr<Value> Loop::Changed(const Arguments& arguments) {
  Value now = Value::MakeList(arguments.positional, Value::ListKind::kTuple);
  if (changed_) {
    ASSIGN_OR_RETURN(const bool same, Equal(budget_, *changed_, now));
    if (same) return false;
  }
  if (next_) changed_ = std::move(now);  // else the loop could hold itself
  return true;
}

// A weak pointer, for the same reason.
Value Loop::Method(std::string_view name,
                   absl::StatusOr<Value> (*call)(Loop&, const Arguments&)) {
  return Value::MakeFunction(
      {.name = std::string(name),
       .call = [loop = weak_from_this(), call](const Arguments& arguments) -> absl::StatusOr<Value> {
         const std::shared_ptr<Loop> held = loop.lock();
         if (!held) return Invalid("the loop has ended");
         return call(*held, arguments);
       }});
}

absl::StatusOr<Value> Loop::Get(std::string_view name) {
  if (name == "index") return index_ + 1;
  if (name == "index0") return index_;
  if (name == "first") return index_ == 0;
  if (name == "depth") return int64_t{depth_} + 1;
  if (name == "depth0") return int64_t{depth_};
  if (name == "last") {
    ASSIGN_OR_RETURN(const bool more, Peek());
    return !more;
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    ASSIGN_OR_RETURN(const int64_t length, Length());
    return name == "length" ? length : length - index_ - (name == "revindex0");
  }
  if (name == "previtem" && previous_) return *previous_;
  if (name == "nextitem") {
    ASSIGN_OR_RETURN(const bool more, Peek());
    if (more) return ahead_.front();
  }
  if (name == "cycle") {
    return Method(name, [](Loop& loop, const Arguments& a) { return loop.Cycle(a); });
  }
  if (name == "changed") {
    return Method(name, [](Loop& loop, const Arguments& a) { return loop.Changed(a); });
  }
  return Value::MakeUndefined(std::string(name));
}

absl::StatusOr<Value> Loop::Call(const Arguments& arguments) const {
  if (!recurse_) return Invalid("only a loop that is marked recursive can be called");
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    return Invalid("loop takes one argument");
  }
  return recurse_(arguments.positional[0], depth_ + 1);
}

}  // namespace spotinference::jinja
