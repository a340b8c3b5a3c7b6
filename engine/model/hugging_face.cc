#include "engine/model/hugging_face.h"

#include <sys/stat.h>

#include <map>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/safetensors_index.h"
#include "engine/base/status.h"
#include "engine/model/mapped_file.h"

namespace spotinference {
namespace {

constexpr absl::string_view kConfig = "config.json", kWeights = "model.safetensors",
                            kIndex = "model.safetensors.index.json";

constexpr size_t kMaxJsonBytes = kMaxSafetensorsIndexBytes;

bool Exists(const std::string& path) {
  struct stat unused;
  return stat(path.c_str(), &unused) == 0;
}

absl::Status Prefixed(absl::string_view prefix, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(prefix, ": ", status.message()));
}

// What `parse` makes of the text of `folder`/`name`.
template <typename Parse>
auto ParseFile(const std::string& folder, absl::string_view name, const Parse& parse) -> decltype(parse("")) {
  ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(absl::StrCat(folder, "/", name)));
  const absl::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  if (text.size() > kMaxJsonBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has ", text.size(), " bytes; at most ", kMaxJsonBytes, " are allowed"));
  }
  auto parsed = parse(text);
  if (!parsed.ok()) return Prefixed(name, parsed.status());
  return parsed;
}

using Files = std::vector<std::unique_ptr<SafetensorsFile>>;

absl::StatusOr<Files> OpenIndexed(const std::string& folder) {
  using Index = std::map<std::string, std::string>;
  ASSIGN_OR_RETURN(const Index index, ParseFile(folder, kIndex, ParseSafetensorsIndex));
  std::set<std::string> names;
  for (const auto& [tensor, file] : index) names.insert(file);
  Files files;
  for (const std::string& name : names) {
    absl::StatusOr<std::unique_ptr<SafetensorsFile>> file = SafetensorsFile::Open(absl::StrCat(folder, "/", name));
    if (!file.ok()) return Prefixed(absl::StrCat("listed in ", kIndex), file.status());
    std::set<absl::string_view> has;
    for (const TensorView& tensor : (*file)->tensors()) {
      has.insert(tensor.name);
      const auto listed = index.find(tensor.name);
      if (listed != index.end() && listed->second == name) continue;
      return absl::InvalidArgumentError(absl::StrCat(name, ": tensor '", absl::CHexEscape(tensor.name), "' is, by ",
                                                     kIndex, ", ",
                                                     listed == index.end() ? "nowhere" : "in " + listed->second));
    }
    for (const auto& [tensor, in] : index) {
      if (in == name && !has.contains(tensor)) {
        return absl::NotFoundError(
            absl::StrCat(name, ": tensor '", absl::CHexEscape(tensor), "' is missing, which ", kIndex, " lists"));
      }
    }
    files.push_back(*std::move(file));
  }
  return files;
}

absl::StatusOr<Files> OpenWeights(const std::string& folder) {
  if (Exists(absl::StrCat(folder, "/", kWeights))) {
    ASSIGN_OR_RETURN(std::unique_ptr<SafetensorsFile> file, SafetensorsFile::Open(absl::StrCat(folder, "/", kWeights)));
    Files files;
    files.push_back(std::move(file));
    return files;
  }
  if (Exists(absl::StrCat(folder, "/", kIndex))) return OpenIndexed(folder);
  return absl::NotFoundError(absl::StrCat("it has neither ", kWeights, " nor ", kIndex));
}

// Its name without what a model that also sees puts before the names of its language part; "" for a tensor to be left
// out.
std::string LanguageName(const HuggingFaceConfig& config, absl::string_view name) {
  if (absl::EndsWith(name, "rotary_emb.inv_freq")) return "";  // follows from config.json
  if (config.tied_output && absl::EndsWith(name, "lm_head.weight")) return "";
  if (!config.has_vision) return std::string(name);
  absl::string_view rest = name;
  if (absl::ConsumePrefix(&rest, "language_model.")) return std::string(rest);
  if (absl::ConsumePrefix(&rest, "model.language_model.")) return absl::StrCat("model.", rest);
  return absl::StrContains(name, "vision_tower.") || absl::StrContains(name, "multi_modal_projector.")
             ? ""
             : std::string(name);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HuggingFaceCheckpoint>> HuggingFaceCheckpoint::Open(const std::string& folder) {
  const auto open = [&folder]() -> absl::StatusOr<std::unique_ptr<HuggingFaceCheckpoint>> {
    if (!Exists(absl::StrCat(folder, "/", kConfig))) {
      return absl::NotFoundError(absl::StrCat("it has no ", kConfig, "; a GGUF model is given by its file"));
    }
    ASSIGN_OR_RETURN(HuggingFaceConfig config, ParseFile(folder, kConfig, ParseHuggingFaceConfig));
    ASSIGN_OR_RETURN(Files files, OpenWeights(folder));
    return Create(std::move(config), std::move(files));
  };
  auto opened = open();
  if (!opened.ok()) return Prefixed(absl::StrCat("model folder '", folder, "'"), opened.status());
  return opened;
}

absl::StatusOr<std::unique_ptr<HuggingFaceCheckpoint>> HuggingFaceCheckpoint::Create(HuggingFaceConfig config,
                                                                                     Files files) {
  std::unique_ptr<HuggingFaceCheckpoint> model(new HuggingFaceCheckpoint(std::move(config), std::move(files)));
  for (const auto& file : model->files_) {
    for (const TensorView& tensor : file->tensors()) RETURN_IF_ERROR(model->TakeTensor(tensor));
  }
  for (const auto& [name, vector] : model->config_.vectors) {
    const auto* const data = reinterpret_cast<const std::byte*>(vector.values.data());
    model->tensor_index_.emplace(name, model->tensors_.size());
    model->tensors_.push_back({vector.name, DType::kF32, 1, static_cast<int64_t>(vector.values.size()),
                               {data, vector.values.size() * sizeof(float)}});
  }
  if (!model->config_.tied_output && model->FindTensor("output.weight") == nullptr) {
    return absl::NotFoundError("tensor 'lm_head.weight' is missing, and tie_word_embeddings is false");
  }
  return model;
}

absl::Status HuggingFaceCheckpoint::TakeTensor(const TensorView& tensor) {
  const std::string name = LanguageName(config_, tensor.name);
  if (name.empty()) return absl::OkStatus();
  tensors_.push_back(tensor);
  const std::string gguf_name = GgufTensorName(*config_.type, name);
  if (gguf_name.empty()) return absl::OkStatus();  // left over, which Model::Load tells
  const auto [at, is_new] = tensor_index_.emplace(gguf_name, tensors_.size() - 1);
  if (!is_new) {
    return absl::InvalidArgumentError(absl::StrCat("tensors '", absl::CHexEscape(tensors_[at->second].name), "' and '",
                                                   absl::CHexEscape(tensor.name), "' are the same one"));
  }
  if (config_.type->norms_less_one && absl::EndsWith(gguf_name, "norm.weight") && tensor.rows == 1) {
    std::vector<float>& norm = norms_.emplace_back(tensor.columns);
    DequantizeRow(tensor, 0, absl::MakeSpan(norm));
    for (float& weight : norm) weight += 1;
    tensors_.back().type = DType::kF32;
    tensors_.back().data = {reinterpret_cast<const std::byte*>(norm.data()), norm.size() * sizeof(float)};
  }
  return absl::OkStatus();
}

absl::StatusOr<const HuggingFaceConfig::Value*> HuggingFaceCheckpoint::Find(absl::string_view key) const {
  const auto found = config_.values.find(key);
  if (found != config_.values.end()) return &found->second;
  return absl::NotFoundError(absl::StrCat("key '", KeyName(key), "' is missing"));
}

namespace {

absl::Status NotA(const HuggingFaceConfig::Value& value, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat("key '", value.name, "': its type is not ", wanted));
}

}  // namespace

absl::StatusOr<absl::string_view> HuggingFaceCheckpoint::String(absl::string_view key) const {
  ASSIGN_OR_RETURN(const HuggingFaceConfig::Value* const value, Find(key));
  if (const std::string* const text = std::get_if<std::string>(&value->value)) return absl::string_view(*text);
  return NotA(*value, "string");
}

absl::StatusOr<int64_t> HuggingFaceCheckpoint::Integer(absl::string_view key, int64_t minimum, int64_t maximum) const {
  ASSIGN_OR_RETURN(const HuggingFaceConfig::Value* const value, Find(key));
  const int64_t* const integer = std::get_if<int64_t>(&value->value);
  if (integer == nullptr) return NotA(*value, "integer");
  if (*integer >= minimum && *integer <= maximum) return *integer;
  return absl::InvalidArgumentError(absl::StrCat("key '", value->name, "': ", *integer, " is outside of [", minimum,
                                                 ", ", maximum, "]"));
}

absl::StatusOr<double> HuggingFaceCheckpoint::Float(absl::string_view key) const {
  ASSIGN_OR_RETURN(const HuggingFaceConfig::Value* const value, Find(key));
  if (const double* const number = std::get_if<double>(&value->value)) return *number;
  if (const int64_t* const integer = std::get_if<int64_t>(&value->value)) return static_cast<double>(*integer);
  return NotA(*value, "float");
}

std::string HuggingFaceCheckpoint::KeyName(absl::string_view key) const {
  const auto found = config_.values.find(key);
  if (found != config_.values.end()) return found->second.name;
  absl::string_view suffix = key;
  if (absl::ConsumePrefix(&suffix, absl::StrCat(config_.type->architecture, "."))) {
    for (const NamePair& pair : ConfigKeys()) {
      if (pair.gguf == suffix) return std::string(pair.hugging_face);
    }
  }
  return std::string(key);
}

const TensorView* HuggingFaceCheckpoint::FindTensor(absl::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

std::vector<Checkpoint::File> HuggingFaceCheckpoint::files() const {
  std::vector<File> files;
  for (const auto& file : files_) files.push_back({file->path(), file->bytes(), file->head_bytes()});
  return files;
}

void HuggingFaceCheckpoint::ReleasePages(absl::Span<const std::byte> data) const {
  for (const auto& file : files_) file->ReleasePages(data);
}

}  // namespace spotinference
