#include "engine/text/load_tokenizer.h"

#include <fstream>
#include <iterator>

#include "engine/base/status.h"
#include "engine/model/gguf.h"
#include "engine/text/gguf_tokenizer.h"
#include "engine/text/json_tokenizer.h"

namespace spotinference {

absl::StatusOr<ModelTokenizer> LoadTokenizer(const std::string& path) {
  if (path.ends_with(".json")) {
    std::ifstream file(path, std::ios::binary);
    const std::string json(std::istreambuf_iterator<char>(file), {});
    return TokenizerFromJson(json, /*config=*/"");
  }
  ASSIGN_OR_RETURN(const auto file, GgufFile::Open(path));
  return ReadTokenizer(*file);
}

}  // namespace spotinference
