// Methods of strings.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_methods.h"
#include "engine/text/jinja_text.h"
#include "engine/text/python_text.h"
#include "engine/text/unicode_classes.h"
#include "engine/text/utf8.h"

namespace spotinference::jinja {
namespace {

using ValueOr = absl::StatusOr<Value>;

constexpr size_t kNotFound = std::string_view::npos;

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

template <bool last>
ValueOr IndexOfPart(Context& context, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Value at, FindPart<last>(context, self, args));
  if (at.whole_number() < 0) return Invalid("substring not found");
  return at;
}

// What is before, at and after the first or last place of a separator.
template <bool last>
ValueOr Partition(Context& context, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* part, TextArgument(args[0], "partition"));
  if (part->bytes.empty()) return Invalid("partition needs a separator that is not empty");
  const Text& text = self.text();
  RETURN_IF_ERROR(context.budget.SpendBytes(text.bytes.size()));
  const size_t at = last ? FindLast(text.bytes, part->bytes) : FindIn(text.bytes, part->bytes, 0);
  const size_t size = text.bytes.size(), none = last ? 0 : size;
  const size_t begin = at == kNotFound ? none : at;
  const size_t end = at == kNotFound ? none : at + part->bytes.size();
  return Value::MakeList({Value::FromText(text.Slice(0, begin)),
                          Value::FromText(text.Slice(begin, end)),
                          Value::FromText(text.Slice(end, size))},
                         Value::ListKind::kTuple);
}

enum class Side { kLeft, kRight, kBoth };

// Fills up to a width at a side.
template <Side side>
ValueOr Pad(Context& context, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const int64_t width, WholeArgument(args[0], 0));
  Text fill;
  fill.Append(" ");
  if (args[1]) {
    ASSIGN_OR_RETURN(const Text* given, TextArgument(args[1], "padding"));
    fill = *given;
  }
  if (CountChars(fill.bytes) != 1) return Invalid("padding needs one character");
  const int64_t size = CountChars(self.bytes());
  const uint64_t missing = std::max<int64_t>(width - size, 0);
  RETURN_IF_ERROR(context.budget.Spend(missing));
  RETURN_IF_ERROR(context.budget.SpendBytes(self.bytes().size() + missing * fill.bytes.size()));
  // As CPython centres: the odd one goes left where the width is odd.
  const uint64_t left = side == Side::kLeft    ? missing
                        : side == Side::kRight ? 0
                                               : missing / 2 + (missing & width & 1);
  Text padded;
  for (uint64_t i = 0; i < left; ++i) padded.Append(fill);
  padded.Append(self.text());
  for (uint64_t i = left; i < missing; ++i) padded.Append(fill);
  return Value::FromText(std::move(padded));
}

// Zeros after the sign.
ValueOr ZeroFill(Context& context, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const int64_t width, WholeArgument(args[0], 0));
  const Text& text = self.text();
  const uint64_t missing = std::max<int64_t>(width - CountChars(text.bytes), 0);
  RETURN_IF_ERROR(context.budget.SpendBytes(text.bytes.size() + missing));
  const bool has_sign = text.bytes.starts_with('-') || text.bytes.starts_with('+');
  Text filled = text.Slice(0, has_sign);
  filled.Append(std::string(missing, '0'));
  filled.Append(text.Slice(has_sign, text.bytes.size()));
  return Value::FromText(std::move(filled));
}

ValueOr CountParts(Context&, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* part, TextArgument(args[0], "count"));
  if (part->bytes.empty()) return static_cast<int64_t>(CountChars(self.bytes())) + 1;
  return static_cast<int64_t>(Occurrences(self.bytes(), part->bytes, false).size());
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
template <bool (*IsKind)(char32_t)>
ValueOr All(Context& context, const Value& self, Args) {
  RETURN_IF_ERROR(context.budget.SpendBytes(self.bytes().size()));
  for (std::string_view rest = self.bytes(); !rest.empty();) {
    const Utf8Char next = DecodeUtf8(rest);
    if (!IsKind(next.code_point)) return false;
    rest.remove_prefix(next.bytes);
  }
  return !self.bytes().empty();
}

bool IsAlpha(char32_t c) { return ClassOf(c) == CharClass::kLetter; }
bool IsAlnum(char32_t c) { return IsAlpha(c) || ClassOf(c) == CharClass::kNumber; }
bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }
bool IsAscii(char32_t c) { return c < 0x80; }

template <bool (*IsCase)(std::string_view)>
ValueOr HasCase(Context& context, const Value& self, Args) {
  RETURN_IF_ERROR(context.budget.SpendBytes(self.bytes().size()));
  return IsCase(self.bytes());
}

ValueOr IsSpace(Context&, const Value& self, Args) {
  return !self.bytes().empty() && LeadingSpaceBytes(self.bytes()) == self.bytes().size();
}

template <Text (*Change)(const Text&)>
ValueOr Changed(Context& context, const Value& self, Args) {
  RETURN_IF_ERROR(context.budget.SpendBytes(3 * self.bytes().size()));
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

constexpr MethodRow kStringMethods[] = {
    {"capitalize", Changed<Capitalize>, {}},
    {"center", Pad<Side::kBoth>, {"width", "fillchar"}},
    {"count", CountParts, {"sub"}},
    {"endswith", HasAffix<false>, {"suffix"}},
    {"find", FindPart<false>, {"sub"}},
    {"index", IndexOfPart<false>, {"sub"}},
    {"isalnum", All<IsAlnum>, {}},
    {"isalpha", All<IsAlpha>, {}},
    {"isascii", All<IsAscii>, {}},
    {"isdecimal", All<IsDigit>, {}},
    {"isdigit", All<IsDigit>, {}},
    {"islower", HasCase<IsLower>, {}},
    {"isnumeric", All<IsDigit>, {}},
    {"isspace", IsSpace, {}},
    {"isupper", HasCase<IsUpper>, {}},
    {"join", Join, {"iterable"}},
    {"ljust", Pad<Side::kRight>, {"width", "fillchar"}},
    {"lower", Changed<Lower>, {}},
    {"lstrip", StripMethod<true, false>, {"chars"}},
    {"partition", Partition<false>, {"sep"}},
    {"removeprefix", RemoveAffix<true>, {"prefix"}},
    {"removesuffix", RemoveAffix<false>, {"suffix"}},
    {"replace", ReplaceMethod, {"old", "new", "count"}},
    {"rfind", FindPart<true>, {"sub"}},
    {"rindex", IndexOfPart<true>, {"sub"}},
    {"rjust", Pad<Side::kLeft>, {"width", "fillchar"}},
    {"rpartition", Partition<true>, {"sep"}},
    {"rsplit", Split<true>, {"sep", "maxsplit"}},
    {"rstrip", StripMethod<false, true>, {"chars"}},
    {"split", Split<false>, {"sep", "maxsplit"}},
    {"splitlines", SplitLines, {"keepends"}},
    {"startswith", HasAffix<true>, {"prefix"}},
    {"strip", StripMethod<true, true>, {"chars"}},
    {"title", Changed<Title>, {}},
    {"upper", Changed<Upper>, {}},
    {"zfill", ZeroFill, {"width"}},
};

}  // namespace

absl::Span<const MethodRow> StringMethods() { return kStringMethods; }

}  // namespace spotinference::jinja
