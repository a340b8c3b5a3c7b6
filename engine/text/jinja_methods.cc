// Methods of strings, lists and dicts.
#include <string.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_builtins.h"
#include "engine/text/jinja_loop.h"
#include "engine/text/python_text.h"
#include "engine/text/utf8.h"

namespace spotinference::jinja {
namespace {

using Args = const std::vector<const Value*>&;
using ValueOr = absl::StatusOr<Value>;

constexpr size_t kNotFound = std::string_view::npos;

// Two-way search: linear, where std::string::find is not.
size_t FindIn(std::string_view text, std::string_view part, size_t from) {
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found ? static_cast<const char*>(found) - text.data() : kNotFound;
}

size_t FindLast(std::string_view text, std::string_view part) {
  size_t last = kNotFound;
  for (size_t at = FindIn(text, part, 0); at != kNotFound;) {
    last = at;
    at = at == text.size() ? kNotFound : FindIn(text, part, at + 1);
  }
  return last;
}

absl::StatusOr<const Text*> TextArgument(const Value* argument, std::string_view what) {
  if (argument != nullptr && argument->is_string()) return &argument->text();
  return Invalid(
      absl::StrCat(std::string(what), " needs a string",
                   argument ? absl::StrCat(", got ", std::string(argument->TypeName())) : ""));
}

absl::StatusOr<int64_t> WholeArgument(const Value* argument, int64_t standard) {
  if (argument == nullptr) return standard;
  if (argument->is_whole_number()) return argument->whole_number();
  return Invalid(absl::StrCat("expected an integer, got ", std::string(argument->TypeName())));
}

template <bool left, bool right>
ValueOr StripMethod(Context&, const Value& self, Args args) {
  const Text* chars = nullptr;
  if (args[0] && !args[0]->is_none()) {
    ASSIGN_OR_RETURN(chars, TextArgument(args[0], "strip"));
  }
  return Value::FromText(Strip(self.text(), chars, left, right));
}

// Any of a tuple, or one.
template <bool at_start>
ValueOr HasAffix(Context&, const Value& self, Args args) {
  const auto matches = [&](const Value& affix) {
    return at_start ? self.bytes().starts_with(affix.bytes())
                    : self.bytes().ends_with(affix.bytes());
  };
  if (args[0] && args[0]->is_tuple()) {
    for (const Value& affix : args[0]->items()) {
      RETURN_IF_ERROR(TextArgument(&affix, "startswith or endswith").status());
      if (matches(affix)) return true;
    }
    return false;
  }
  RETURN_IF_ERROR(TextArgument(args[0], "startswith or endswith").status());
  return matches(*args[0]);
}

template <bool at_start>
ValueOr RemoveAffix(Context& context, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Value matches, HasAffix<at_start>(context, self, args));
  if (!matches.IsTrue()) return self;
  ASSIGN_OR_RETURN(const Text* text, TextArgument(args[0], "removeprefix or removesuffix"));
  const size_t size = self.bytes().size(), affix = text->bytes.size();
  return Value::FromText(self.text().Slice(at_start ? affix : 0, at_start ? size : size - affix));
}

// The parts between the separators at `cuts`, [begin, end) each.
Value Parts(const Text& text, const std::vector<ByteRange>& cuts) {
  std::vector<Value> parts;
  size_t begin = 0;
  for (const ByteRange& cut : cuts) {
    parts.push_back(Value::FromText(text.Slice(begin, cut.begin)));
    begin = cut.end;
  }
  parts.push_back(Value::FromText(text.Slice(begin, text.bytes.size())));
  return Value::MakeList(std::move(parts));
}

ValueOr SplitAtSpaces(Budget& budget, const Text& text, int64_t most, bool from_right) {
  std::vector<ByteRange> words;
  std::string_view rest = text.bytes;
  while (true) {
    rest.remove_prefix(LeadingSpaceBytes(rest));
    if (rest.empty()) break;
    const size_t begin = text.bytes.size() - rest.size();
    size_t end = begin;
    while (end < text.bytes.size()) {
      const Utf8Char next = DecodeUtf8(std::string_view(text.bytes).substr(end));
      if (IsPythonSpace(next.code_point)) break;
      end += next.bytes;
    }
    words.push_back({begin, end});
    rest = std::string_view(text.bytes).substr(end);
  }
  RETURN_IF_ERROR(budget.Spend(words.size()));
  RETURN_IF_ERROR(budget.SpendBytes(text.bytes.size()));
  if (most >= 0 && words.size() > static_cast<uint64_t>(most) + 1) {
    if (from_right) {
      const size_t joined = words.size() - most;
      words[joined - 1].begin = 0;
      words.erase(words.begin(), words.begin() + joined - 1);
    } else {
      words[most].end = text.bytes.size();
      words.resize(most + 1);
    }
  }
  std::vector<Value> parts;
  for (const ByteRange& word : words) {
    parts.push_back(Value::FromText(text.Slice(word.begin, word.end)));
  }
  return Value::MakeList(std::move(parts));
}

// Where `part` stands, from the left or from the right: they differ where it overlaps itself ("aaa"
// at "aa").
std::vector<ByteRange> Occurrences(std::string_view text, std::string_view part, bool from_right) {
  std::vector<ByteRange> found;
  if (from_right) {
    for (size_t end = text.size(); end >= part.size();) {
      const bool is_here = text.substr(end - part.size(), part.size()) == part;
      if (is_here) found.push_back({end - part.size(), end});
      end -= is_here ? part.size() : 1;
    }
    return found;
  }
  for (size_t at = FindIn(text, part, 0); at != kNotFound;
       at = FindIn(text, part, found.back().end)) {
    found.push_back({at, at + part.size()});
  }
  return found;
}

template <bool from_right>
ValueOr Split(Context& context, const Value& self, Args args) {
  Budget& budget = context.budget;
  const Text& text = self.text();
  ASSIGN_OR_RETURN(const int64_t most, WholeArgument(args[1], -1));
  if (!args[0] || args[0]->is_none()) return SplitAtSpaces(budget, text, most, from_right);
  ASSIGN_OR_RETURN(const Text* separator, TextArgument(args[0], "split"));
  const std::string& part = separator->bytes;
  if (part.empty()) return Invalid("split needs a separator that is not empty");
  std::vector<ByteRange> cuts = Occurrences(text.bytes, part, from_right);
  if (most >= 0 && cuts.size() > static_cast<uint64_t>(most)) cuts.resize(most);
  if (from_right) std::reverse(cuts.begin(), cuts.end());
  RETURN_IF_ERROR(budget.Spend(cuts.size() + text.bytes.size() / 256));
  RETURN_IF_ERROR(budget.SpendBytes(text.bytes.size()));
  return Parts(text, cuts);
}

// "\n", "\r\n" and "\r"; Python knows some rarer line ends too.
ValueOr SplitLines(Context& context, const Value& self, Args args) {
  Budget& budget = context.budget;
  const Text& text = self.text();
  const bool keep_ends = args[0] && args[0]->IsTrue();
  std::vector<Value> lines;
  for (size_t begin = 0; begin < text.bytes.size();) {
    RETURN_IF_ERROR(budget.Spend(1));
    const size_t end = std::min(text.bytes.find_first_of("\r\n", begin), text.bytes.size());
    const size_t next =
        std::min(end + (text.bytes.compare(end, 2, "\r\n") == 0 ? 2 : 1), text.bytes.size());
    lines.push_back(Value::FromText(text.Slice(begin, keep_ends ? next : end)));
    begin = next;
  }
  RETURN_IF_ERROR(budget.SpendBytes(text.bytes.size()));
  return Value::MakeList(std::move(lines));
}

template <bool last>
ValueOr FindPart(Context&, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* part, TextArgument(args[0], "find"));
  const size_t at =
      last ? FindLast(self.bytes(), part->bytes) : FindIn(self.bytes(), part->bytes, 0);
  if (at == kNotFound) return int64_t{-1};
  return static_cast<int64_t>(CountChars(std::string_view(self.bytes()).substr(0, at)));
}

ValueOr CountParts(Context&, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* part, TextArgument(args[0], "count"));
  if (part->bytes.empty()) return static_cast<int64_t>(CountChars(self.bytes())) + 1;
  return static_cast<int64_t>(Occurrences(self.bytes(), part->bytes, false).size());
}

ValueOr CountInList(Context& context, const Value& self, Args args) {
  int64_t count = 0;
  for (const Value& item : self.items()) {
    ASSIGN_OR_RETURN(const bool equal, Equal(context.budget, item, args[0] ? *args[0] : Value()));
    count += equal;
  }
  return count;
}

ValueOr IndexInList(Context& context, const Value& self, Args args) {
  for (size_t i = 0; i < self.items().size(); ++i) {
    ASSIGN_OR_RETURN(const bool equal,
                     Equal(context.budget, self.items()[i], args[0] ? *args[0] : Value()));
    if (equal) return static_cast<int64_t>(i);
  }
  return Invalid("index: the value is not in the list");
}

ValueOr Join(Context& context, const Value& self, Args args) {
  Budget& budget = context.budget;
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(budget, args[0] ? *args[0] : Value()));
  Text joined;
  joined.is_markup = self.text().is_markup;
  bool first = true;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Text* text, TextArgument(&item, "join"));
    RETURN_IF_ERROR(budget.SpendBytes(text->bytes.size() + self.bytes().size()));
    if (!first) joined.Append(self.text());
    first = false;
    if (joined.is_markup) {
      ASSIGN_OR_RETURN(const Text escaped, Escape(budget, *text));
      joined.Append(escaped);
    } else {
      joined.Append(*text);
    }
  }
  return Value::FromText(std::move(joined));
}

// True if there is a character and all are of the kind.
template <bool (*IsKind)(unsigned char)>
ValueOr All(Context&, const Value& self, Args) {
  const std::string& text = self.bytes();
  return !text.empty() && std::all_of(text.begin(), text.end(), IsKind);
}

ValueOr IsSpace(Context&, const Value& self, Args) {
  return !self.bytes().empty() && LeadingSpaceBytes(self.bytes()) == self.bytes().size();
}

template <Text (*Change)(const Text&)>
ValueOr Changed(Context& context, const Value& self, Args) {
  RETURN_IF_ERROR(context.budget.SpendBytes(self.bytes().size()));
  return Value::FromText(Change(self.text()));
}

ValueOr ReplaceMethod(Context& context, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* from, TextArgument(args[0], "replace"));
  ASSIGN_OR_RETURN(const Text* to, TextArgument(args[1], "replace"));
  ASSIGN_OR_RETURN(const int64_t count, WholeArgument(args[2], -1));
  Text escaped;
  if (self.text().is_markup) {
    ASSIGN_OR_RETURN(escaped, Escape(context.budget, *to));
    to = &escaped;
  }
  ASSIGN_OR_RETURN(Text text, Replace(context.budget, self.text(), *from, *to, count));
  return Value::FromText(std::move(text));
}

ValueOr Keys(Context& context, const Value& self, Args) {
  ASSIGN_OR_RETURN(std::vector<Value> keys, Items(context.budget, self));
  return Value::MakeList(std::move(keys), Value::ListKind::kKeys);
}

ValueOr MapValues(Context& context, const Value& self, Args) {
  RETURN_IF_ERROR(context.budget.Spend(self.map().entries.size()));
  std::vector<Value> values;
  for (const auto& [key, value] : self.map().entries) values.push_back(value);
  return Value::MakeList(std::move(values), Value::ListKind::kValues);
}

ValueOr MapItems(Context& context, const Value& self, Args) {
  RETURN_IF_ERROR(context.budget.Spend(self.map().entries.size()));
  std::vector<Value> pairs;
  for (const auto& [key, value] : self.map().entries) {
    pairs.push_back(Value::MakeList({key, value}, Value::ListKind::kTuple));
  }
  return Value::MakeList(std::move(pairs), Value::ListKind::kItems);
}

ValueOr Get(Context&, const Value& self, Args args) {
  if (!args[0]) return Invalid("needs a key");
  const Value* found = self.map().Find(*args[0]);
  return found ? *found : args[1] ? *args[1] : Value();
}

using Method = ValueOr (*)(Context&, const Value& self, Args args);

constexpr size_t kMaxParameters = 3;

struct MethodRow {
  std::string_view name;
  Method call;
  std::array<std::string_view, kMaxParameters> parameters;  // empty: none
};

constexpr MethodRow kStringMethods[] = {
    {"capitalize", Changed<Capitalize>, {}},
    {"count", CountParts, {"sub"}},
    {"endswith", HasAffix<false>, {"suffix"}},
    {"find", FindPart<false>, {"sub"}},
    {"isalnum", All<absl::ascii_isalnum>, {}},
    {"isalpha", All<absl::ascii_isalpha>, {}},
    {"isdigit", All<absl::ascii_isdigit>, {}},
    {"isspace", IsSpace, {}},
    {"join", Join, {"iterable"}},
    {"lower", Changed<Lower>, {}},
    {"lstrip", StripMethod<true, false>, {"chars"}},
    {"removeprefix", RemoveAffix<true>, {"prefix"}},
    {"removesuffix", RemoveAffix<false>, {"suffix"}},
    {"replace", ReplaceMethod, {"old", "new", "count"}},
    {"rfind", FindPart<true>, {"sub"}},
    {"rsplit", Split<true>, {"sep", "maxsplit"}},
    {"rstrip", StripMethod<false, true>, {"chars"}},
    {"split", Split<false>, {"sep", "maxsplit"}},
    {"splitlines", SplitLines, {"keepends"}},
    {"startswith", HasAffix<true>, {"prefix"}},
    {"strip", StripMethod<true, true>, {"chars"}},
    {"title", Changed<Title>, {}},
    {"upper", Changed<Upper>, {}},
};

constexpr MethodRow kMapMethods[] = {
    {"get", Get, {"key", "default"}},
    {"items", MapItems, {}},
    {"keys", Keys, {}},
    {"values", MapValues, {}},
};

constexpr MethodRow kListMethods[] = {
    {"count", CountInList, {"value"}},
    {"index", IndexInList, {"value"}},
};

const MethodRow* FindRow(absl::Span<const MethodRow> rows, std::string_view name) {
  for (const MethodRow& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

bool StripsChar(std::string_view next, const Text* chars) {
  if (chars == nullptr) return LeadingSpaceBytes(next) == next.size();
  return chars->bytes.find(next) != kNotFound;
}

template <typename Change>
Text WithLetters(Text text, Change change) {
  bool after_letter = false;
  for (char& c : text.bytes) {
    const bool is_letter = absl::ascii_isalpha(static_cast<unsigned char>(c)) || (c & 0x80) != 0;
    c = change(static_cast<unsigned char>(c), after_letter);
    after_letter = is_letter;
  }
  return text;
}

}  // namespace

absl::StatusOr<std::vector<const Value*>> Bind(const Arguments& arguments,
                                               absl::Span<const std::string_view> names) {
  std::vector<const Value*> bound(names.size(), nullptr);
  if (arguments.positional.size() > names.size()) {
    return Invalid(absl::StrCat("takes at most ", names.size(), " arguments, got ",
                                arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) return Invalid(absl::StrCat("has no argument '", name, "'"));
    if (bound[at - names.begin()])
      return Invalid(absl::StrCat("argument '", name, "' is given twice"));
    bound[at - names.begin()] = &value;
  }
  return bound;
}

Value FindMethod(Context& context, const Value& value, std::string_view name) {
  const MethodRow* row = value.is_string() ? FindRow(kStringMethods, name)
                         : value.is_map()  ? FindRow(kMapMethods, name)
                         : value.is_sequence() ? FindRow(kListMethods, name)
                                               : nullptr;
  if (value.is_string() && name == "format") {
    return Value::MakeFunction(
        {.name = "format", .call = [&context, text = value](const Arguments& arguments) {
           return FormatBraces(context, text.text(), arguments);
         }});
  }
  if (row == nullptr) return Value::MakeUndefined(std::string(name));
  return Value::MakeFunction(
      {.name = std::string(name),
       .call = [&context, self = value, row](const Arguments& arguments) -> ValueOr {
         const auto& names = row->parameters;
         const size_t count = std::find(names.begin(), names.end(), "") - names.begin();
         ASSIGN_OR_RETURN(std::vector<const Value*> args, Bind(arguments, {names.data(), count}));
         return row->call(context, self, args);
       },
       .depth = value.depth() + 1});
}

absl::StatusOr<Value> Attribute(Context& context, const Value& value, std::string_view name) {
  if (value.is_undefined()) return UndefinedError(value);
  if (value.is_loop()) return value.loop().Get(name);
  if (Value method = FindMethod(context, value, name); !method.is_undefined()) {
    return BoundedDepth(std::move(method));
  }
  return Item(value, Value::String(std::string(name)));
}

Text Strip(const Text& text, const Text* chars, bool left, bool right) {
  size_t begin = 0, end = text.bytes.size();
  const std::string_view bytes = text.bytes;
  if (chars == nullptr) {
    if (left) begin = LeadingSpaceBytes(bytes);
    if (right && begin < end) end -= TrailingSpaceBytes(bytes);
    return text.Slice(begin, end);
  }
  while (left && begin < end) {
    const size_t next = DecodeUtf8(bytes.substr(begin)).bytes;
    if (!StripsChar(bytes.substr(begin, next), chars)) break;
    begin += next;
  }
  while (right && end > begin) {
    size_t last = end - 1;
    while (last > begin && end - last < 4 && (bytes[last] & 0xc0) == 0x80) --last;
    if (!StripsChar(bytes.substr(last, end - last), chars)) break;
    end = last;
  }
  return text.Slice(begin, end);
}

absl::StatusOr<Text> Replace(Budget& budget, const Text& text, const Text& from, const Text& to,
                             int64_t count) {
  Text replaced;
  replaced.is_markup = text.is_markup;
  size_t begin = 0;  // of what is not copied yet
  size_t at = 0;
  RETURN_IF_ERROR(budget.SpendBytes(text.bytes.size()));
  for (uint64_t done = 0; count < 0 || done < static_cast<uint64_t>(count); ++done) {
    at = at > text.bytes.size() ? kNotFound : FindIn(text.bytes, from.bytes, at);
    if (at == kNotFound) break;
    RETURN_IF_ERROR(budget.Spend(1));
    RETURN_IF_ERROR(budget.SpendBytes(to.bytes.size()));
    replaced.Append(text.Slice(begin, at));
    // What stands in for input counts as input.
    const Text match = text.Slice(at, at + from.bytes.size());
    replaced.Append(match.from_input.empty() ? to : match.Remade(to.bytes));
    begin = at + from.bytes.size();
    at = begin;
    if (from.bytes.empty()) {  // between all characters
      at += at < text.bytes.size() ? DecodeUtf8(std::string_view(text.bytes).substr(at)).bytes : 1;
    }
  }
  replaced.Append(text.Slice(std::min(begin, text.bytes.size()), text.bytes.size()));
  return replaced;
}

Text Upper(const Text& text) {
  return WithLetters(text, [](unsigned char c, bool) { return absl::ascii_toupper(c); });
}

Text Lower(const Text& text) {
  return WithLetters(text, [](unsigned char c, bool) { return absl::ascii_tolower(c); });
}

Text Title(const Text& text) {
  return WithLetters(text, [](unsigned char c, bool after_letter) {
    return after_letter ? absl::ascii_tolower(c) : absl::ascii_toupper(c);
  });
}

Text Capitalize(const Text& text) {
  Text capitalized = Lower(text);
  if (!capitalized.bytes.empty()) {
    char& first = capitalized.bytes[0];
    first = absl::ascii_toupper(static_cast<unsigned char>(first));
  }
  return capitalized;
}

}  // namespace spotinference::jinja
