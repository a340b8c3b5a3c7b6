#include "engine/text/normalizer.h"

#include <cstddef>

#include "engine/text/unicode_classes.h"
#include "engine/text/unicode_normalization.h"
#include "engine/text/utf8.h"

namespace spotinference {
namespace {

using Step = Normalizer::Step;
using Kind = Normalizer::Step::Kind;

// The bytes at the beginning of `text` that a strip step takes away at once; 0: none.
size_t Strippable(std::string_view text, const std::string& from) {
  if (text.empty()) return 0;
  if (!from.empty()) return text.starts_with(from) ? from.size() : 0;
  const Utf8Char first = DecodeUtf8(text);
  return ClassOf(first.code_point) == CharClass::kSpace ? first.bytes : 0;
}

std::string_view StripLeft(std::string_view text, const std::string& from) {
  while (const size_t bytes = Strippable(text, from)) text.remove_prefix(bytes);
  return text;
}

std::string_view StripRight(std::string_view text, const std::string& from) {
  while (!text.empty()) {
    size_t last = text.size() - 1;
    if (!from.empty()) {
      if (!text.ends_with(from)) return text;
      last = text.size() - from.size();
    } else {
      while (last > 0 && (text[last] & 0xc0) == 0x80) --last;
      if (Strippable(text.substr(last), from) == 0) return text;
    }
    text = text.substr(0, last);
  }
  return text;
}

std::string Replaced(std::string_view text, const std::string& from, const std::string& to) {
  std::string out;
  out.reserve(text.size());
  for (size_t at; (at = text.find(from)) != text.npos;) {
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return out.append(text);
}

std::string Collapsed(std::string_view text, const std::string& from, const std::string& to) {
  std::string out;
  out.reserve(text.size());
  for (size_t at; (at = text.find(from)) != text.npos;) {
    out.append(text.substr(0, at));
    text.remove_prefix(at);
    const std::string_view rest = StripLeft(text, from);
    out.append(text.size() - rest.size() > from.size() ? to : from);
    text = rest;
  }
  return out.append(text);
}

size_t ValidPrefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Char next = DecodeUtf8(text.substr(at));
    if (next.code_point == Utf8Char::kInvalid) break;
    at += next.bytes;
  }
  return at;
}

std::string WithoutInvalid(std::string_view text, const std::string& to) {
  std::string out;
  for (size_t valid; (valid = ValidPrefix(text)) < text.size();) {
    out.append(text.substr(0, valid)).append(to);
    text.remove_prefix(valid + 1);
  }
  return out.append(text);
}

bool Changes(const Step& step, std::string_view text, bool at_start) {
  switch (step.kind) {
    case Kind::kNfc:
      return !IsSurelyNfc(text);
    case Kind::kReplaceInvalid:
      return ValidPrefix(text) < text.size();
    case Kind::kReplace:
      return text.find(step.from) != text.npos;
    case Kind::kCollapse:
      return text.find(step.from + step.from) != text.npos;
    case Kind::kPrepend:
      return !text.empty();
    case Kind::kPrependOnce:
      return !text.empty() && !text.starts_with(step.to) && (at_start || !step.at_start);
    default:
      return false;
  }
}

std::string Changed(const Step& step, std::string_view text) {
  switch (step.kind) {
    case Kind::kNfc:
      return Nfc(text);
    case Kind::kReplaceInvalid:
      return WithoutInvalid(text, step.to);
    case Kind::kReplace:
      return Replaced(text, step.from, step.to);
    case Kind::kCollapse:
      return Collapsed(text, step.from, step.to);
    default:
      return step.to + std::string(text);
  }
}

}  // namespace

std::string_view Normalizer::Run(std::string_view text, bool at_start, std::string& buffer) const {
  for (const Step& step : steps_) {
    if (step.kind == Kind::kStripLeft) {
      const size_t before = text.size();
      text = StripLeft(text, step.from);
      at_start &= text.size() == before;  // as `tokenizers` sees it
    } else if (step.kind == Kind::kStripRight) {
      text = StripRight(text, step.from);
    } else if (Changes(step, text, at_start)) {
      buffer = Changed(step, text);  // made before the old buffer, which `text` may be, goes
      text = buffer;
    }
  }
  return text;
}

}  // namespace spotinference
