// The values of a Jinja template: Python's, as far as chat templates use them.
//
// All are immutable but namespaces and generators, as in Jinja's ImmutableSandboxedEnvironment, and cheap to copy.
// Strings know which of their bytes came from outside, so that a tokenizer can tell a control token
// that the template wrote from one that a message smuggles in.
#ifndef ENGINE_TEXT_JINJA_VALUE_H_
#define ENGINE_TEXT_JINJA_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/byte_range.h"

namespace spotinference::jinja {

struct Text {
  std::string bytes;
  std::vector<ByteRange> from_input;  // ascending, disjoint, not adjacent, none empty
  // What `safe` and `escape` give: "+" escapes the other side for HTML. Kept by what cuts the text.
  bool is_markup = false;

  void Append(std::string_view trusted) { bytes.append(trusted); }
  void Append(const Text& text);
  Text Slice(size_t begin, size_t end) const;
  // `new_bytes` were made of this text in a way that blurs which byte came from where: all or
  // nothing is from input.
  Text Remade(std::string new_bytes) const;
};

class Loop;
class Value;
struct Namespace;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Function {
  std::string name;
  std::function<absl::StatusOr<Value>(const Arguments&)> call;
  int depth = 1;
};

// What map, select and other lazy filters give. It yields each value once, so that whoever loops
// over it uses it up.
struct Generator {
  std::function<absl::StatusOr<std::optional<Value>>()> next;  // nothing: it has ended
  int depth;
};

class Value {
 public:
  enum class ListKind { kList, kTuple, kKeys, kValues, kItems };  // the last three: views of a dict

  struct Undefined {
    std::string name;  // for the error that a use of it gives
  };
  struct None {};
  struct List {
    std::vector<Value> items;
    ListKind kind;
    int depth;
  };
  struct Map {
    std::vector<std::pair<Value, Value>> entries;   // keys are CanBeKey, each once
    std::unordered_multimap<size_t, size_t> index;  // hash of a key to its place, once they are many
    int depth;

    const Value* Find(std::string_view key) const;
    const Value* Find(const Value& key) const;
    void Set(Value key, Value value);

   private:
    template <typename Key>
    const Value* FindAs(const Key& key, size_t hash) const;
  };

  Value() : data_(None{}) {}
  Value(bool value) : data_(value) {}     // NOLINT: a bool is a value
  Value(int64_t value) : data_(value) {}  // NOLINT
  Value(double value) : data_(value) {}   // NOLINT
  Value(int) = delete;
  Value(const char*) = delete;

  // A string that the template or its maker vouches for, and one that came from outside.
  static Value String(std::string bytes);
  static Value Input(std::string bytes);
  static Value FromText(Text text);
  static Value MakeList(std::vector<Value> items, ListKind kind = ListKind::kList);
  // Of two entries with one key, the later value in the earlier place.
  static Value MakeMap(std::vector<std::pair<Value, Value>> entries);
  static Value MakeUndefined(std::string name);
  static Value MakeFunction(Function function);
  static Value MakeGenerator(Generator generator);
  static Value MakeLoop(std::shared_ptr<Loop> loop);
  // `space` outlives all values of one rendering.
  static Value MakeNamespace(Namespace* space);

  bool is_undefined() const { return Holds<std::shared_ptr<const Undefined>>(); }
  bool is_none() const { return Holds<None>(); }
  bool is_bool() const { return Holds<bool>(); }
  bool is_integer() const { return Holds<int64_t>(); }
  bool is_float() const { return Holds<double>(); }
  // Python counts True as 1.
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_whole_number() const { return is_bool() || is_integer(); }
  bool is_string() const { return Holds<std::shared_ptr<const Text>>(); }
  bool is_list() const { return Holds<std::shared_ptr<const List>>(); }  // of any kind
  bool is_tuple() const { return is_list() && list().kind == ListKind::kTuple; }
  bool is_sequence() const { return is_list() && list().kind <= ListKind::kTuple; }
  bool is_map() const { return Holds<std::shared_ptr<const Map>>(); }
  bool is_function() const { return Holds<std::shared_ptr<const Function>>(); }
  bool is_generator() const { return Holds<std::shared_ptr<Generator>>(); }
  bool is_loop() const { return Holds<std::shared_ptr<Loop>>(); }
  bool is_namespace() const { return Holds<Namespace*>(); }
  // A string, a number or None: what a dict can be asked for. (Python's tuples can, too.)
  bool CanBeKey() const { return is_string() || is_number() || is_none(); }

  // Each only where is_…() says so.
  bool boolean() const { return std::get<bool>(data_); }
  int64_t whole_number() const { return is_bool() ? boolean() : std::get<int64_t>(data_); }
  double number() const { return is_float() ? std::get<double>(data_) : whole_number(); }
  const Text& text() const { return *std::get<std::shared_ptr<const Text>>(data_); }
  const std::string& bytes() const { return text().bytes; }
  const List& list() const { return *std::get<std::shared_ptr<const List>>(data_); }
  const std::vector<Value>& items() const { return list().items; }
  const Map& map() const { return *std::get<std::shared_ptr<const Map>>(data_); }
  const Function& function() const { return *std::get<std::shared_ptr<const Function>>(data_); }
  Generator& generator() const { return *std::get<std::shared_ptr<Generator>>(data_); }
  Loop& loop() const { return *std::get<std::shared_ptr<Loop>>(data_); }
  Namespace& space() const { return *std::get<Namespace*>(data_); }
  const std::string& undefined_name() const {
    return std::get<std::shared_ptr<const Undefined>>(data_)->name;
  }

  bool IsTrue() const;
  // How deep lists and maps nest in it. What makes values must bound it, since they are destroyed
  // recursively.
  int depth() const;
  // As Python's type(value).__name__.
  std::string_view TypeName() const;

 private:
  template <typename T>
  bool Holds() const {
    return std::holds_alternative<T>(data_);
  }

  std::variant<None, bool, int64_t, double, std::shared_ptr<const Undefined>,
               std::shared_ptr<const Text>, std::shared_ptr<const List>, std::shared_ptr<const Map>,
               std::shared_ptr<const Function>, std::shared_ptr<Generator>, std::shared_ptr<Loop>,
               Namespace*>
      data_;
};

// {{ namespace(…) }}: the one thing that a template can assign to.
struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;

  Value* Find(std::string_view name);
  void Set(std::string_view name, Value value);
};

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_VALUE_H_
