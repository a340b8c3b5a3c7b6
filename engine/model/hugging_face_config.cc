#include "engine/model/hugging_face_config.h"

#include <boost/json.hpp>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/rope.h"

namespace spotinference {
namespace {

namespace json = boost::json;

std::string Shown(const json::value& value) {
  const std::string text = json::serialize(value);  // control characters escaped
  return text.size() > 80 ? absl::StrCat(text.substr(0, 80), "…") : text;
}

absl::Status Unsupported(absl::string_view key, const json::value& value, absl::string_view supported) {
  return absl::UnimplementedError(absl::StrCat("key '", key, "': ", Shown(value), " is not supported; ", supported));
}

absl::Status WrongKind(absl::string_view key, const json::value& value, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat("key '", key, "': ", Shown(value), " is not ", wanted));
}

// The value of `key`, or null where there is none or a JSON null.
const json::value* Find(const json::object& object, absl::string_view key) {
  const json::value* const value = object.if_contains({key.data(), key.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool IsText(const json::value& value, absl::string_view text) {
  const json::string* const string = value.if_string();
  return string != nullptr && absl::string_view(string->data(), string->size()) == text;
}
bool IsBool(const json::value& value, bool wanted) { return value.is_bool() && value.get_bool() == wanted; }

absl::StatusOr<double> Number(absl::string_view key, const json::value& value) {
  if (const int64_t* const integer = value.if_int64()) return static_cast<double>(*integer);
  if (const double* const number = value.if_double()) return *number;
  return WrongKind(key, value, "a number");
}

class ConfigReader {
 public:
  ConfigReader(const json::object& object, HuggingFaceConfig& out) : object_(object), out_(out) {}

  absl::Status Read() {
    RETURN_IF_ERROR(RefuseUnknownVariants());
    Set("general.architecture", "model_type", std::string(out_.type->architecture));
    for (const NamePair& pair : ConfigKeys()) {
      if (pair.hugging_face == "sliding_window" && !UsesWindow()) continue;
      RETURN_IF_ERROR(Copy(object_, pair.hugging_face, pair.hugging_face, pair.gguf));
    }
    for (const DefaultNumber& number : out_.type->defaults) SetDefault(number);
    RETURN_IF_ERROR(ReadAttentionScale());
    RETURN_IF_ERROR(ReadWindowPattern());
    return ReadRope();
  }

 private:
  using Variant = decltype(HuggingFaceConfig::Value::value);

  std::string Key(absl::string_view gguf) const { return absl::StrCat(out_.type->architecture, ".", gguf); }
  void Set(std::string full_key, absl::string_view name, Variant value) {
    out_.values[std::move(full_key)] = {std::string(name), std::move(value)};
  }

  // object[key] as `gguf`, where it is there; `name` for messages.
  absl::Status Copy(const json::object& object, absl::string_view key, absl::string_view name, absl::string_view gguf) {
    const json::value* const value = Find(object, key);
    if (value == nullptr) return absl::OkStatus();
    if (const int64_t* const integer = value->if_int64()) {
      Set(Key(gguf), name, *integer);
    } else {
      ASSIGN_OR_RETURN(const double number, Number(name, *value));
      Set(Key(gguf), name, number);
    }
    return absl::OkStatus();
  }

  void SetDefault(const DefaultNumber& number) {
    for (const NamePair& pair : ConfigKeys()) {
      if (pair.hugging_face != number.key || out_.values.contains(Key(pair.gguf))) continue;
      const bool whole = number.value == std::floor(number.value);
      Set(Key(pair.gguf), number.key, whole ? Variant(static_cast<int64_t>(number.value)) : Variant(number.value));
    }
  }

  // What the model may ask for that we lack. Serving it all the same would give wrong text.
  absl::Status RefuseUnknownVariants() {
    if (const json::value* const value = Find(object_, "quantization_config")) {
      const json::object* const object = value->if_object();
      const json::value* const method = object == nullptr ? nullptr : Find(*object, "quant_method");
      return Unsupported("quantization_config", method == nullptr ? *value : *method,
                         "weights of F32, F16 and BF16 are; or a GGUF file with quantised ones");
    }
    for (const absl::string_view key : {"hidden_act", "hidden_activation"}) {
      const json::value* const value = Find(object_, key);
      if (value != nullptr && !IsText(*value, out_.type->activation)) {
        return Unsupported(key, *value, absl::StrCat("'", out_.type->activation, "' is"));
      }
    }
    for (const absl::string_view key : {"use_sliding_window", "use_bidirectional_attention"}) {
      const json::value* const value = Find(object_, key);
      if (value != nullptr && !IsBool(*value, false)) return Unsupported(key, *value, "false is");
    }
    return absl::OkStatus();
  }

  // Qwen's folders name a window that is not used.
  bool UsesWindow() const { return Find(object_, "use_sliding_window") == nullptr; }

  absl::Status ReadAttentionScale() {
    const json::value* const value = Find(object_, "query_pre_attn_scalar");
    double scalar = 0;
    if (value != nullptr) {
      ASSIGN_OR_RETURN(scalar, Number("query_pre_attn_scalar", *value));
    } else {
      for (const DefaultNumber& number : out_.type->defaults) {
        if (number.key == "query_pre_attn_scalar") scalar = number.value;
      }
      if (scalar == 0) return absl::OkStatus();
    }
    if (!(scalar > 0)) return WrongKind("query_pre_attn_scalar", *value, "above 0");
    Set(Key("attention.scale"), "query_pre_attn_scalar", 1 / std::sqrt(scalar));
    return absl::OkStatus();
  }

  // layer_types names each layer's attention; what we have is all alike, or every n-th one full.
  absl::Status ReadWindowPattern() {
    const json::value* const value = Find(object_, "layer_types");
    if (value == nullptr) return absl::OkStatus();
    const json::array* const types = value->if_array();
    if (types == nullptr) return WrongKind("layer_types", *value, "an array");
    const auto layers = out_.values.find(Key("block_count"));
    if (layers == out_.values.end() || layers->second.value != Variant(static_cast<int64_t>(types->size()))) {
      return absl::InvalidArgumentError(
          absl::StrCat("key 'layer_types' has ", types->size(), " elements, not one a layer"));
    }
    size_t pattern = 0;  // full is each layer whose number, from 1, it divides; 0: none
    bool windows = false;
    for (size_t i = 0; i < types->size(); ++i) {
      const bool full = IsText((*types)[i], "full_attention");
      if (!full && !IsText((*types)[i], "sliding_attention")) {
        return Unsupported("layer_types", (*types)[i], "full_attention and sliding_attention are");
      }
      if (full && pattern == 0) pattern = i + 1;
      windows |= !full;
      if (pattern != 0 && full != ((i + 1) % pattern == 0)) {
        return Unsupported("layer_types", *value, "every n-th layer of full attention is");
      }
    }
    if (!windows) {
      out_.values.erase(Key("attention.sliding_window"));
    } else {
      Set(Key("attention.sliding_window_pattern"), "layer_types", static_cast<int64_t>(pattern));
    }
    return absl::OkStatus();
  }

  absl::Status ReadRope() {
    RETURN_IF_ERROR(ReadRotatedPart(object_, ""));
    const absl::string_view name = Find(object_, "rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
    const json::value* const value = Find(object_, name);
    if (value == nullptr) return absl::OkStatus();
    const json::object* const object = value->if_object();
    if (object == nullptr) return WrongKind(name, *value, "an object");
    const json::value* const full = Find(*object, "full_attention");
    if (full == nullptr || !full->is_object()) return ReadRopeParameters(*object, absl::StrCat(name, "."));
    // One for each kind of layer.
    RETURN_IF_ERROR(ReadRopeParameters(full->get_object(), absl::StrCat(name, ".full_attention.")));
    const json::value* const sliding = Find(*object, "sliding_attention");
    if (sliding == nullptr || !sliding->is_object()) return absl::OkStatus();
    const std::string path = absl::StrCat(name, ".sliding_attention.");
    const json::value* const type = Find(sliding->get_object(), "rope_type");
    if (type != nullptr && !IsText(*type, "default")) {
      return Unsupported(absl::StrCat(path, "rope_type"), *type, "'default' is");
    }
    return Copy(sliding->get_object(), "rope_theta", absl::StrCat(path, "rope_theta"), "rope.freq_base_swa");
  }

  absl::Status ReadRopeParameters(const json::object& object, const std::string& path) {
    RETURN_IF_ERROR(ReadRotatedPart(object, path));
    RETURN_IF_ERROR(Copy(object, "rope_theta", path + "rope_theta", "rope.freq_base"));
    const absl::string_view type_key = Find(object, "rope_type") != nullptr ? "rope_type" : "type";
    const json::value* const type = Find(object, type_key);
    if (type == nullptr || IsText(*type, "default")) return absl::OkStatus();
    const json::string* const type_name = type->if_string();
    if (type_name == nullptr) return WrongKind(path + std::string(type_key), *type, "a string");
    const bool long_rope = IsText(*type, "longrope") || IsText(*type, "su");  // the latter in early files of Phi 3
    Set(Key("rope.scaling.type"), path + std::string(type_key),
        long_rope ? "longrope" : std::string(type_name->data(), type_name->size()));
    constexpr NamePair kScaling[] = {
        {"factor", "rope.scaling.factor"},
        {"original_max_position_embeddings", "rope.scaling.original_context_length"},
        {"beta_fast", "rope.scaling.yarn_beta_fast"},
        {"beta_slow", "rope.scaling.yarn_beta_slow"},
        {"low_freq_factor", "rope.scaling.low_freq_factor"},
        {"high_freq_factor", "rope.scaling.high_freq_factor"},
    };
    for (const NamePair& pair : kScaling) {
      RETURN_IF_ERROR(Copy(object, pair.hugging_face, absl::StrCat(path, pair.hugging_face), pair.gguf));
    }
    for (const absl::string_view key : {"mscale", "mscale_all_dim"}) {
      if (const json::value* const value = Find(object, key)) {
        return Unsupported(absl::StrCat(path, key), *value, "attention_factor is");
      }
    }
    if (const json::value* const value = Find(object, "truncate"); value != nullptr && !IsBool(*value, true)) {
      return Unsupported(absl::StrCat(path, "truncate"), *value, "true is");
    }
    return long_rope ? ReadLongRope(object, path) : ReadAttentionFactor(object, path);
  }

  // Phi's files have the original context beside rope_scaling, others in it.
  absl::Status ReadLongRope(const json::object& object, const std::string& path) {
    RETURN_IF_ERROR(ReadVector(object, "long_factor", path, kLongRopeDivisors));
    RETURN_IF_ERROR(ReadVector(object, "short_factor", path, kShortRopeDivisors));
    constexpr absl::string_view kOriginal = "original_max_position_embeddings";
    const std::string original_key = Key("rope.scaling.original_context_length");
    if (!out_.values.contains(original_key)) {
      RETURN_IF_ERROR(Copy(object_, kOriginal, kOriginal, "rope.scaling.original_context_length"));
    }
    if (Find(object, "attention_factor") != nullptr) {
      return Copy(object, "attention_factor", path + "attention_factor", "rope.scaling.attn_factor");
    }
    const double original = NumberOrZero(original_key), context = NumberOrZero(Key("context_length"));
    const double factor = Find(object, "factor") != nullptr ? NumberOrZero(Key("rope.scaling.factor")) : context / original;
    if (original > 1 && factor > 1) {
      Set(Key("rope.scaling.attn_factor"), path + "factor", std::sqrt(1 + std::log(factor) / std::log(original)));
    }
    return absl::OkStatus();
  }

  // A number that was set, or 0.
  double NumberOrZero(const std::string& full_key) const {
    const auto found = out_.values.find(full_key);
    if (found == out_.values.end()) return 0;
    if (const int64_t* const integer = std::get_if<int64_t>(&found->second.value)) return static_cast<double>(*integer);
    const double* const number = std::get_if<double>(&found->second.value);
    return number == nullptr ? 0 : *number;
  }

  absl::Status ReadVector(const json::object& object, absl::string_view key, const std::string& path,
                          absl::string_view tensor) {
    const std::string name = absl::StrCat(path, key);
    const json::value* const value = Find(object, key);
    if (value == nullptr) return absl::NotFoundError(absl::StrCat("key '", name, "' is missing"));
    const json::array* const numbers = value->if_array();
    if (numbers == nullptr || numbers->empty()) return WrongKind(name, *value, "an array of numbers");
    HuggingFaceConfig::Vector vector{name};
    for (const json::value& element : *numbers) {
      ASSIGN_OR_RETURN(const double number, Number(name, element));
      vector.values.push_back(static_cast<float>(number));
    }
    out_.vectors[std::string(tensor)] = std::move(vector);
    return absl::OkStatus();
  }

  // GGUF's attn_factor stands beside YaRN's own factor, theirs in its place.
  absl::Status ReadAttentionFactor(const json::object& object, const std::string& path) {
    const json::value* const value = Find(object, "attention_factor");
    const json::value* const stretch = Find(object, "factor");
    if (value == nullptr || stretch == nullptr) return absl::OkStatus();
    ASSIGN_OR_RETURN(const double whole, Number(path + "attention_factor", *value));
    ASSIGN_OR_RETURN(const double factor, Number(path + "factor", *stretch));
    const double own = factor > 1 ? 1 + 0.1 * std::log(factor) : 1;
    Set(Key("rope.scaling.attn_factor"), path + "attention_factor", whole / own);
    return absl::OkStatus();
  }

  // Phi rotates a part of each head.
  absl::Status ReadRotatedPart(const json::object& object, const std::string& path) {
    const json::value* const value = Find(object, "partial_rotary_factor");
    if (value == nullptr) return absl::OkStatus();
    const std::string name = path + "partial_rotary_factor";
    ASSIGN_OR_RETURN(const double part, Number(name, *value));
    if (!(part > 0 && part <= 1)) return WrongKind(name, *value, "above 0 and at most 1");
    double head_dim = 0;
    if (const json::value* const given = Find(object_, "head_dim")) {
      ASSIGN_OR_RETURN(head_dim, Number("head_dim", *given));
    } else {
      const json::value* const width = Find(object_, "hidden_size");
      const json::value* const heads = Find(object_, "num_attention_heads");
      if (width == nullptr || heads == nullptr || !width->is_int64() || !heads->is_int64() || heads->get_int64() < 1) {
        return absl::InvalidArgumentError(absl::StrCat("key '", name, "' needs hidden_size and num_attention_heads"));
      }
      head_dim = static_cast<double>(width->get_int64() / heads->get_int64());
    }
    if (!(head_dim >= 0 && head_dim < 1 << 30)) return WrongKind("head_dim", *Find(object_, "head_dim"), "below 2^30");
    Set(Key("rope.dimension_count"), name, static_cast<int64_t>(head_dim * part));
    return absl::OkStatus();
  }

  const json::object& object_;
  HuggingFaceConfig& out_;
};

}  // namespace

absl::StatusOr<HuggingFaceConfig> ParseHuggingFaceConfig(absl::string_view text) {
  json::error_code error;
  const json::value root = json::parse({text.data(), text.size()}, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("not JSON: ", error.message()));
  const json::object* object = root.if_object();
  if (object == nullptr) return absl::InvalidArgumentError("not a JSON object");
  HuggingFaceConfig config;
  const json::value* tied = Find(*object, "tie_word_embeddings");
  if (const json::value* const outer = Find(*object, "model_type"); outer != nullptr && IsText(*outer, "gemma3")) {
    const json::value* const inner = Find(*object, "text_config");
    if (inner == nullptr || !inner->is_object()) return absl::NotFoundError("key 'text_config' is missing");
    object = &inner->get_object();
    if (const json::value* const inner_tied = Find(*object, "tie_word_embeddings")) tied = inner_tied;
    config.has_vision = true;
  }
  const json::value* const model_type = Find(*object, "model_type");
  if (model_type == nullptr) return absl::NotFoundError("key 'model_type' is missing");
  if (!model_type->is_string()) return WrongKind("model_type", *model_type, "a string");
  const json::string& name = model_type->get_string();
  ASSIGN_OR_RETURN(config.type, FindHuggingFaceType({name.data(), name.size()}));
  if (tied != nullptr && !tied->is_bool()) return WrongKind("tie_word_embeddings", *tied, "true or false");
  config.tied_output = tied != nullptr ? tied->get_bool() : config.type->tied_output;
  RETURN_IF_ERROR(ConfigReader(*object, config).Read());
  return config;
}

}  // namespace spotinference
