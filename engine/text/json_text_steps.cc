#include "engine/text/json_text_steps.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/vocabulary.h"

namespace spotinference {
namespace {

using Step = Normalizer::Step;
using Kind = Normalizer::Step::Kind;

// A step, or the steps of a Sequence, whose list is in the field `list`.
absl::StatusOr<std::vector<JsonReader>> Flatten(const JsonReader& step, std::string_view list) {
  std::vector<JsonReader> steps;
  if (step.is_null()) return steps;
  ASSIGN_OR_RETURN(const std::string_view type, step.StringOr("type", ""));
  if (type != "Sequence") return std::vector<JsonReader>{step};
  ASSIGN_OR_RETURN(const JsonReader field, step.Field(list));
  ASSIGN_OR_RETURN(const boost::json::array* const array, field.Array());
  for (size_t i = 0; i < array->size(); ++i) steps.push_back(field.At(i));
  return steps;
}

absl::StatusOr<std::string_view> TypeOf(const JsonReader& step) {
  ASSIGN_OR_RETURN(const JsonReader type, step.Field("type"));
  return type.String();
}

absl::Status Refuse(const JsonReader& step, std::string_view expected) {
  ASSIGN_OR_RETURN(const JsonReader type, step.Field("type"));
  return type.Error(expected);
}

std::string Spaced(std::string_view text) {
  std::string out;
  AppendSpelled(text, Spelling::kSentencePiece, out);
  return out;
}

// Reads the normalizer.
class NormalizerReader {
 public:
  explicit NormalizerReader(bool byte_level) : byte_level_(byte_level) {}

  absl::Status Add(const JsonReader& step) {
    ASSIGN_OR_RETURN(const std::string_view type, TypeOf(step));
    if (marks_spaces_ && type != "Prepend") {
      return Refuse(step, "nothing after spaces have become U+2581");
    }
    if (type == "NFC") return Add(Step{.kind = Kind::kNfc});
    if (type == "Strip") return AddStrip(step);
    if (type == "Prepend") return AddPrepend(step);
    if (type == "Replace") return AddReplace(step);
    return Refuse(step, "NFC, Strip, Prepend, Replace or a Sequence of them");
  }

  // Whether spaces are written U+2581 in the vocabulary because of a step here.
  bool marks_spaces() const { return marks_spaces_; }

  std::vector<Step> Take() { return std::move(steps_); }

 private:
  absl::Status Add(Step step) {
    steps_.push_back(std::move(step));
    return absl::OkStatus();
  }

  absl::Status AddStrip(const JsonReader& step) {
    ASSIGN_OR_RETURN(const bool left, step.BoolOr("strip_left", true));
    ASSIGN_OR_RETURN(const bool right, step.BoolOr("strip_right", true));
    if (left) RETURN_IF_ERROR(Add(Step{.kind = Kind::kStripLeft}));
    if (right) RETURN_IF_ERROR(Add(Step{.kind = Kind::kStripRight}));
    return absl::OkStatus();
  }

  absl::Status AddPrepend(const JsonReader& step) {
    ASSIGN_OR_RETURN(const JsonReader field, step.Field("prepend"));
    ASSIGN_OR_RETURN(const std::string_view text, field.String());
    return Add(Step{.kind = Kind::kPrepend, .to = byte_level_ ? std::string(text) : Spaced(text)});
  }

  absl::Status AddReplace(const JsonReader& step) {
    ASSIGN_OR_RETURN(const JsonReader pattern, step.Field("pattern"));
    ASSIGN_OR_RETURN(const JsonReader field, step.Field("content"));
    ASSIGN_OR_RETURN(const std::string_view content, field.String());
    ASSIGN_OR_RETURN(const std::string_view regex, pattern.StringOr("Regex", ""));
    if (regex == " {2,}" && Spaced(content) == " ") {
      return Add(Step{.kind = Kind::kCollapse, .from = " ", .to = " "});
    }
    ASSIGN_OR_RETURN(const JsonReader string, pattern.Field("String"));
    if (string.is_null()) {
      ASSIGN_OR_RETURN(const JsonReader other, pattern.Field("Regex"));
      return other.Error("\" {2,}\", replaced by one space");
    }
    ASSIGN_OR_RETURN(const std::string_view from, string.String());
    if (from.empty()) return string.Error("some text");
    if (!byte_level_ && from == " " && content == kSpaceMark) {
      marks_spaces_ = true;
      return Add(Step{.kind = Kind::kReplace, .from = std::string(kSpaceMark), .to = " "});
    }
    return Add(Step{.kind = Kind::kReplace, .from = std::string(from), .to = std::string(content)});
  }

  const bool byte_level_;
  bool marks_spaces_ = false;
  std::vector<Step> steps_;
};

// A Split step's pattern, if it is a regular expression whose matches stand alone.
absl::StatusOr<std::string_view> IsolatedRegex(const JsonReader& split) {
  ASSIGN_OR_RETURN(const JsonReader pattern, split.Field("pattern"));
  ASSIGN_OR_RETURN(const JsonReader regex, pattern.Field("Regex"));
  ASSIGN_OR_RETURN(const JsonReader behavior, split.Field("behavior"));
  ASSIGN_OR_RETURN(const bool invert, split.BoolOr("invert", false));
  const bool removes = invert && behavior.value() == "Removed";  // what is between matches: nothing
  if (!(behavior.value() == "Isolated" && !invert) && !removes) {
    return behavior.Error("Isolated");
  }
  return regex.String();
}

// The steps up to ByteLevel. What each of them cuts is a line of `cuts`, as FindPreTokenizerByCuts
// takes them.
absl::Status ReadByteLevel(const std::vector<JsonReader>& steps, TextSteps& read,
                           std::vector<Step>& normalizer) {
  std::vector<std::string> cuts;
  for (const JsonReader& step : steps) {
    ASSIGN_OR_RETURN(const std::string_view type, TypeOf(step));
    const bool last = &step == &steps.back();
    if (type == "Split" && !last) {
      ASSIGN_OR_RETURN(const std::string_view regex, IsolatedRegex(step));
      cuts.emplace_back(regex);
    } else if (type == "Digits" && !last) {
      ASSIGN_OR_RETURN(const bool each, step.BoolOr("individual_digits", false));
      if (!each) return Refuse(step, "individual_digits");
      cuts.emplace_back(kDigitsCut);
    } else if (type == "ByteLevel" && last) {
      ASSIGN_OR_RETURN(const bool add_space, step.BoolOr("add_prefix_space", true));
      ASSIGN_OR_RETURN(const bool use_regex, step.BoolOr("use_regex", true));
      if (add_space && steps.size() > 1) {
        ASSIGN_OR_RETURN(const JsonReader field, step.Field("add_prefix_space"));
        return field.Error("false after other steps");
      }
      if (add_space) normalizer.push_back({.kind = Kind::kPrependOnce, .to = " "});
      if (use_regex) cuts.emplace_back(kGpt2Cut);
    } else {
      return Refuse(step, last ? "ByteLevel at the end" : "Split or Digits before ByteLevel");
    }
  }
  ASSIGN_OR_RETURN(read.pre_tokenizer, FindPreTokenizerByCuts(cuts));
  return absl::OkStatus();
}

absl::Status ReadMetaspace(const JsonReader& step, TextSteps& read, std::vector<Step>& normalizer) {
  ASSIGN_OR_RETURN(const JsonReader replacement, step.Field("replacement"));
  ASSIGN_OR_RETURN(const std::string_view mark, replacement.String());
  if (mark != kSpaceMark) return replacement.Error("U+2581");
  ASSIGN_OR_RETURN(const bool add_space, step.BoolOr("add_prefix_space", true));
  ASSIGN_OR_RETURN(const JsonReader scheme, step.Field("prepend_scheme"));
  ASSIGN_OR_RETURN(const std::string_view name,
                   step.StringOr("prepend_scheme", add_space ? "always" : "never"));
  if (name != "always" && name != "first" && name != "never") {
    return scheme.Error("always, first or never");
  }
  ASSIGN_OR_RETURN(const bool split, step.BoolOr("split", true));
  read.metaspace = true;
  normalizer.push_back({.kind = Kind::kReplace, .from = std::string(kSpaceMark), .to = " "});
  if (name != "never") {
    normalizer.push_back({.kind = Kind::kPrependOnce, .to = " ", .at_start = name == "first"});
  }
  read.pre_tokenizer.pattern =
      split ? PreTokenizer::Pattern::kEachSpace : PreTokenizer::Pattern::kWhole;
  return absl::OkStatus();
}

// Gemma's pre-tokenizer cuts at spaces where its normalizer has left none.
absl::StatusOr<bool> CutsAtSpaces(const JsonReader& step) {
  ASSIGN_OR_RETURN(const std::string_view type, TypeOf(step));
  if (type != "Split") return false;
  ASSIGN_OR_RETURN(const JsonReader pattern, step.Field("pattern"));
  ASSIGN_OR_RETURN(const std::string_view text, pattern.StringOr("String", ""));
  return text == " ";
}

absl::Status ReadDecoder(const JsonReader& root, TextSteps& read) {
  ASSIGN_OR_RETURN(const JsonReader decoder, root.Field("decoder"));
  ASSIGN_OR_RETURN(const std::vector<JsonReader> steps, Flatten(decoder, "decoders"));
  for (const JsonReader& step : steps) {
    ASSIGN_OR_RETURN(const std::string_view type, TypeOf(step));
    if (type == "ByteLevel" || type == "Metaspace") {
      if ((type == "ByteLevel") != read.byte_level) {
        return Refuse(step, "one that fits the pre-tokenizer");
      }
      ASSIGN_OR_RETURN(const bool add_space, step.BoolOr("add_prefix_space", true));
      ASSIGN_OR_RETURN(const std::string_view scheme,
                       step.StringOr("prepend_scheme", add_space ? "always" : "never"));
      if (type == "Metaspace") read.adds_space = scheme != "never";
    } else if (type == "Strip" && !read.byte_level) {
      ASSIGN_OR_RETURN(const JsonReader start, step.Field("start"));
      ASSIGN_OR_RETURN(const JsonReader stop, step.Field("stop"));
      ASSIGN_OR_RETURN(const std::string_view content, step.StringOr("content", " "));
      ASSIGN_OR_RETURN(const int64_t left, start.Integer(0, 1));
      ASSIGN_OR_RETURN(const int64_t right, stop.Integer(0, 0));
      if (content != " " || right != 0) return Refuse(step, "one that strips a space");
      read.adds_space = left == 1;
    } else if (type == "Replace" && !read.byte_level) {
      ASSIGN_OR_RETURN(const JsonReader pattern, step.Field("pattern"));
      ASSIGN_OR_RETURN(const std::string_view from, pattern.StringOr("String", ""));
      ASSIGN_OR_RETURN(const std::string_view to, step.StringOr("content", ""));
      if (from != kSpaceMark || to != " ") return Refuse(step, "one of U+2581 by a space");
    } else if (type != "Fuse" && (type != "ByteFallback" || read.byte_level)) {
      return Refuse(step, "ByteLevel, Metaspace, Replace, ByteFallback, Fuse or Strip");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TextSteps> ReadTextSteps(const JsonReader& root) {
  TextSteps read;
  ASSIGN_OR_RETURN(const JsonReader pre, root.Field("pre_tokenizer"));
  ASSIGN_OR_RETURN(const std::vector<JsonReader> steps, Flatten(pre, "pretokenizers"));
  for (const JsonReader& step : steps) {
    ASSIGN_OR_RETURN(const std::string_view type, TypeOf(step));
    read.byte_level |= type == "ByteLevel";
  }
  ASSIGN_OR_RETURN(const JsonReader normalizer, root.Field("normalizer"));
  ASSIGN_OR_RETURN(const std::vector<JsonReader> changes, Flatten(normalizer, "normalizers"));
  NormalizerReader reader(read.byte_level);
  for (const JsonReader& step : changes) RETURN_IF_ERROR(reader.Add(step));
  std::vector<Step> made = reader.Take();

  read.pre_tokenizer.pattern = PreTokenizer::Pattern::kWhole;
  if (read.byte_level) {
    RETURN_IF_ERROR(ReadByteLevel(steps, read, made));
  } else if (steps.empty()) {
    if (!reader.marks_spaces()) {
      return pre.Error("ByteLevel or Metaspace, or a normalizer that makes spaces U+2581");
    }
  } else {
    ASSIGN_OR_RETURN(const std::string_view type, TypeOf(steps[0]));
    ASSIGN_OR_RETURN(const bool no_cuts, CutsAtSpaces(steps[0]));
    const bool fits = reader.marks_spaces() ? no_cuts : type == "Metaspace";
    if (steps.size() > 1 || !fits) return Refuse(steps[0], "ByteLevel, or Metaspace alone");
    if (!no_cuts) RETURN_IF_ERROR(ReadMetaspace(steps[0], read, made));
  }
  read.normalizer = Normalizer(std::move(made));
  RETURN_IF_ERROR(ReadDecoder(root, read));
  return read;
}

}  // namespace spotinference
