#include "engine/text/jinja_value.h"

#include <algorithm>

namespace spotinference::jinja {
namespace {

void AppendRange(ByteRange range, std::vector<ByteRange>& ranges) {
  if (range.begin == range.end) return;
  if (!ranges.empty() && ranges.back().end == range.begin) {
    ranges.back().end = range.end;
  } else {
    ranges.push_back(range);
  }
}

size_t Hash(std::string_view key) { return std::hash<std::string_view>()(key); }

// 1, 1.0 and True are one key.
size_t Hash(const Value& key) {
  if (key.is_string()) return Hash(key.bytes());
  return key.is_none() ? 0 : std::hash<double>()(key.number());
}

bool IsKey(const Value& key, std::string_view wanted) {
  return key.is_string() && key.bytes() == wanted;
}

bool IsKey(const Value& key, const Value& wanted) {
  if (wanted.is_string()) return IsKey(key, wanted.bytes());
  if (wanted.is_none()) return key.is_none();
  if (key.is_whole_number() && wanted.is_whole_number()) {
    return key.whole_number() == wanted.whole_number();
  }
  return key.is_number() && key.number() == wanted.number();
}

}  // namespace

void Text::Append(const Text& text) {
  const size_t shift = bytes.size();
  bytes.append(text.bytes);
  for (const ByteRange range : text.from_input) {
    AppendRange({range.begin + shift, range.end + shift}, from_input);
  }
}

Text Text::Slice(size_t begin, size_t end) const {
  Text slice = {bytes.substr(begin, end - begin), {}, is_markup};
  auto range = std::partition_point(from_input.begin(), from_input.end(),
                                    [&](const ByteRange& r) { return r.end <= begin; });
  for (; range != from_input.end() && range->begin < end; ++range) {
    AppendRange({std::max(range->begin, begin) - begin, std::min(range->end, end) - begin},
                slice.from_input);
  }
  return slice;
}

Text Text::Remade(std::string new_bytes) const {
  Text text = {std::move(new_bytes), {}, is_markup};
  if (!from_input.empty()) AppendRange({0, text.bytes.size()}, text.from_input);
  return text;
}

template <typename Key>
const Value* Value::Map::FindAs(const Key& key, size_t hash) const {
  if (index.empty()) {
    for (const auto& [name, value] : entries) {
      if (IsKey(name, key)) return &value;
    }
    return nullptr;
  }
  for (auto [at, end] = index.equal_range(hash); at != end; ++at) {
    const auto& [name, value] = entries[at->second];
    if (IsKey(name, key)) return &value;
  }
  return nullptr;
}

const Value* Value::Map::Find(std::string_view key) const { return FindAs(key, Hash(key)); }

const Value* Value::Map::Find(const Value& key) const {
  return key.CanBeKey() ? FindAs(key, Hash(key)) : nullptr;
}

void Value::Map::Set(Value key, Value value) {
  constexpr size_t kFew = 8;
  depth = std::max(depth, value.depth() + 1);
  if (const Value* earlier = Find(key)) {
    *const_cast<Value*>(earlier) = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
  if (entries.size() <= kFew) return;
  for (size_t i = index.size(); i < entries.size(); ++i) index.emplace(Hash(entries[i].first), i);
}

Value Value::String(std::string bytes) { return FromText({std::move(bytes), {}}); }

Value Value::Input(std::string bytes) {
  Text text = {std::move(bytes), {}};
  AppendRange({0, text.bytes.size()}, text.from_input);
  return FromText(std::move(text));
}

Value Value::FromText(Text text) {
  Value value;
  value.data_ = std::make_shared<const Text>(std::move(text));
  return value;
}

Value Value::MakeList(std::vector<Value> items, ListKind kind) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  Value value;
  value.data_ = std::make_shared<const List>(List{std::move(items), kind, depth + 1});
  return value;
}

Value Value::MakeMap(std::vector<std::pair<Value, Value>> entries) {
  Map map = {.entries = {}, .index = {}, .depth = 1};
  for (auto& [key, value] : entries) map.Set(std::move(key), std::move(value));
  Value value;
  value.data_ = std::make_shared<const Map>(std::move(map));
  return value;
}

Value Value::MakeUndefined(std::string name) {
  Value value;
  value.data_ = std::make_shared<const Undefined>(Undefined{std::move(name)});
  return value;
}

Value Value::MakeFunction(Function function) {
  Value value;
  value.data_ = std::make_shared<const Function>(std::move(function));
  return value;
}

Value Value::MakeGenerator(Generator generator) {
  Value value;
  value.data_ = std::make_shared<Generator>(std::move(generator));
  return value;
}

Value Value::MakeLoop(std::shared_ptr<Loop> loop) {
  Value value;
  value.data_ = std::move(loop);
  return value;
}

Value Value::MakeNamespace(Namespace* space) {
  Value value;
  value.data_ = space;
  return value;
}

bool Value::IsTrue() const {
  if (is_number()) return number() != 0;
  if (is_string()) return !bytes().empty();
  if (is_list()) return !items().empty();
  if (is_map()) return !map().entries.empty();
  return !is_none() && !is_undefined();
}

int Value::depth() const {
  if (is_list()) return list().depth;
  if (is_map()) return map().depth;
  if (is_generator()) return generator().depth;
  return is_function() ? function().depth : 0;
}

std::string_view Value::TypeName() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "NoneType";
  if (is_bool()) return "bool";
  if (is_integer()) return "int";
  if (is_float()) return "float";
  if (is_string()) return "str";
  if (is_list()) {
    constexpr std::string_view kNames[] = {"list", "tuple", "dict_keys", "dict_values",
                                           "dict_items"};
    return kNames[static_cast<size_t>(list().kind)];
  }
  if (is_map()) return "dict";
  if (is_generator()) return "generator";
  if (is_loop()) return "LoopContext";
  return is_namespace() ? "Namespace" : "function";
}

Value* Namespace::Find(std::string_view name) {
  for (auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Namespace::Set(std::string_view name, Value value) {
  if (Value* existing = Find(name)) {
    *existing = std::move(value);
  } else {
    attributes.emplace_back(std::string(name), std::move(value));
  }
}

}  // namespace spotinference::jinja
