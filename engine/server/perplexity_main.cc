// engine:perplexity — how well one model on one backend predicts a text; with --against, also how far its
// predictions are from another backend's. One JSON object on stdout, progress on stderr.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/clock.h"
#include "engine/base/flags.h"
#include "engine/base/status.h"
#include "engine/model/model.h"
#include "engine/model/open_checkpoint.h"
#include "engine/sample/perplexity.h"
#include "engine/server/backends.h"
#include "engine/server/boot.h"
#include "engine/text/model_text.h"

ABSL_FLAG(std::string, model, "", "GGUF file, the first of several, or a folder with config.json and safetensors");
ABSL_FLAG(std::string, text, "", "UTF-8 file to predict; control tokens in it are taken as plain text");
ABSL_FLAG(std::string, backend, "auto", "auto, or one that //engine:devices lists");
ABSL_FLAG(std::string, against, "", "a second backend, taken for the truth: its perplexity, too, and how far from it");
ABSL_FLAG(int, context, 512, "tokens in a chunk; of each, the second half is scored");
ABSL_FLAG(int, chunks, 0, "at most so many; 0: the whole text");
ABSL_FLAG(int, threads, 0, "0: all that the process may use");

namespace spotinference {
namespace {

// Tokens of a step. Its logits are held at once: 128 rows of a vocabulary of 256 Ki take 128 MiB.
constexpr int kStepTokens = 128;

// A model on a backend, which reads one chunk at a time.
class Reader {
 public:
  static absl::StatusOr<Reader> Create(const Checkpoint& checkpoint, const Backend& backend, int context) {
    Reader reader;
    reader.backend_ = backend.name;
    ASSIGN_OR_RETURN(reader.device_, backend.create(absl::GetFlag(FLAGS_threads)));
    ASSIGN_OR_RETURN(reader.model_, Model::Load(checkpoint, *reader.device_));
    const int blocks = (context + kBlockTokens - 1) / kBlockTokens;
    RETURN_IF_ERROR(reader.model_->AllocateKv(blocks));
    reader.block_table_.resize(blocks);
    std::iota(reader.block_table_.begin(), reader.block_table_.end(), 0);
    const Graph graph = reader.model_->ForwardGraph(kStepTokens, kStepTokens);
    reader.vocabulary_ = graph.tensors[graph.output].width;
    ASSIGN_OR_RETURN(reader.program_, reader.device_->Compile(graph, nullptr));
    return reader;
  }

  const std::string& backend() const { return backend_; }
  int vocabulary() const { return vocabulary_; }

  // The logits of `ids`, which stand at positions from `begin`, after what was read before them. Valid until the next
  // call. [ids.size(), vocabulary]
  absl::StatusOr<absl::Span<const float>> Read(absl::Span<const int32_t> ids, int begin) {
    std::vector<int32_t> positions(ids.size()), rows(ids.size());
    const std::vector<int32_t> sequences(ids.size(), 0);
    std::iota(positions.begin(), positions.end(), begin);
    std::iota(rows.begin(), rows.end(), 0);
    logits_.resize(ids.size() * vocabulary_);
    RETURN_IF_ERROR(program_->Run({.token_ids = ids,
                                   .positions = positions,
                                   .sequences = sequences,
                                   .block_tables = block_table_,
                                   .blocks_per_sequence = static_cast<int>(block_table_.size()),
                                   .output_rows = rows},
                                  absl::MakeSpan(logits_)));
    return absl::MakeConstSpan(logits_);
  }

 private:
  Reader() = default;

  std::string backend_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Program> program_;
  std::vector<int32_t> block_table_;
  int vocabulary_ = 0;
  std::vector<float> logits_;
};

struct Score {
  Perplexity perplexity;
  Perplexity against;
  Divergence divergence;
};

absl::Status ScoreChunk(absl::Span<const int32_t> chunk, Reader& reader, Reader* against, Score& score) {
  const int context = static_cast<int>(chunk.size());
  std::vector<double> actual, expected;
  for (int begin = 0; begin < context; begin += kStepTokens) {
    const absl::Span<const int32_t> ids = chunk.subspan(begin, kStepTokens);
    ASSIGN_OR_RETURN(const absl::Span<const float> logits, reader.Read(ids, begin));
    absl::Span<const float> expected_logits;
    if (against) {
      ASSIGN_OR_RETURN(expected_logits, against->Read(ids, begin));
    }
    const int end = std::min<int>(begin + ids.size(), context - 1);
    for (int i = std::max(begin, FirstScored(context)); i < end; ++i) {
      const size_t row = size_t(i - begin) * reader.vocabulary();
      LogSoftmax(logits.subspan(row, reader.vocabulary()), actual);
      score.perplexity.Add(actual, chunk[i + 1]);
      if (!against) continue;
      LogSoftmax(expected_logits.subspan(row, reader.vocabulary()), expected);
      score.against.Add(expected, chunk[i + 1]);
      score.divergence.Add(expected, actual);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  if (!file) return absl::NotFoundError(absl::StrCat("--text ", path, ": cannot be read"));
  if (text.ends_with('\n')) text.pop_back();  // as llama-perplexity does
  return text;
}

absl::StatusOr<std::vector<std::vector<int32_t>>> ReadChunks(const ModelText& model, int context) {
  const int wanted = absl::GetFlag(FLAGS_chunks);
  if (context < 2 || context > static_cast<int64_t>(model.context_tokens()) || wanted < 0) {
    return absl::InvalidArgumentError(absl::StrCat("--context ", context, " --chunks ", wanted, ": 2 to ",
                                                   model.context_tokens(),
                                                   " tokens, and 0 or more chunks, are expected"));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadText(UserPath(absl::GetFlag(FLAGS_text))));
  std::vector<uint32_t> ids = model.tokenizer().Encode(text, {.parse_special = false});
  if (model.added_bos()) ids.insert(ids.begin(), *model.added_bos());
  auto chunks = PerplexityChunks(ids, context, model.added_bos());
  if (chunks.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--text has ", ids.size(), " tokens, which do not fill one chunk of --context ", context));
  }
  if (wanted > 0 && wanted < static_cast<int>(chunks.size())) chunks.resize(wanted);
  return chunks;
}

void PrintProgress(size_t done, size_t of, double perplexity, absl::Duration spent) {
  const absl::Duration left = spent / static_cast<double>(done) * static_cast<double>(of - done);
  absl::FPrintF(stderr, "chunk %d of %d: perplexity %.4f so far, %.0f s, about %.0f s to go\n", done, of, perplexity,
                absl::ToDoubleSeconds(spent), absl::ToDoubleSeconds(left));
}

void PrintResult(const std::string& model, int context, size_t chunks, const Reader& reader, const Reader* against,
                 const Score& score) {
  absl::PrintF("{\"model\":\"%s\",\"backend\":\"%s\",\"context\":%d,\"chunks\":%d,\"tokens\":%d,\"perplexity\":%.4f,"
               "\"standard_error\":%.4f",
               model.substr(model.rfind('/') + 1), reader.backend(), context, chunks, score.perplexity.tokens(),
               score.perplexity.value(), score.perplexity.standard_error());
  if (against) {
    absl::PrintF(",\"against\":\"%s\",\"against_perplexity\":%.4f,\"kl_divergence\":%.4g,\"same_top\":%.4f",
                 against->backend(), score.against.value(), score.divergence.mean(), score.divergence.same_top());
  }
  absl::PrintF("}\n");
}

absl::Status Run() {
  const std::string path = UserPath(absl::GetFlag(FLAGS_model));
  const int context = absl::GetFlag(FLAGS_context);
  ASSIGN_OR_RETURN(const std::unique_ptr<const ModelText> text, LoadModelText(path));
  ASSIGN_OR_RETURN(const auto chunks, ReadChunks(*text, context));
  ASSIGN_OR_RETURN(const std::unique_ptr<const Checkpoint> checkpoint, OpenCheckpoint(path));
  const std::vector<Backend> backends = AllBackends();
  ASSIGN_OR_RETURN(const Backend* backend, ChooseBackend(backends, absl::GetFlag(FLAGS_backend)));
  ASSIGN_OR_RETURN(Reader reader, Reader::Create(*checkpoint, *backend, context));
  std::optional<Reader> against;
  if (const std::string name = absl::GetFlag(FLAGS_against); !name.empty()) {
    ASSIGN_OR_RETURN(const Backend* other, ChooseBackend(backends, name));
    ASSIGN_OR_RETURN(against, Reader::Create(*checkpoint, *other, context));
  }
  Reader* const truth = against ? &*against : nullptr;
  absl::FPrintF(stderr, "%d chunks of %d tokens on %s%s\n", chunks.size(), context, reader.backend(),
                truth ? " against " + truth->backend() : "");
  Score score;
  const absl::Duration start = RealClock().Elapsed();
  for (size_t i = 0; i < chunks.size(); ++i) {
    RETURN_IF_ERROR(ScoreChunk(chunks[i], reader, truth, score));
    PrintProgress(i + 1, chunks.size(), score.perplexity.value(), RealClock().Elapsed() - start);
  }
  PrintResult(path, context, chunks.size(), reader, truth, score);
  return absl::OkStatus();
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv,
                            "Perplexity of a text under one model, as llama-perplexity defines it.\n"
                            "  engine:perplexity -- --model FILE --text FILE [--backend B] [--against B] …");
  if (absl::GetFlag(FLAGS_model).empty() || absl::GetFlag(FLAGS_text).empty()) {
    std::fprintf(stderr, "perplexity: --model FILE and --text FILE are needed; see --help\n");
    return 2;
  }
  if (const absl::Status status = spotinference::Run(); !status.ok()) {
    std::fprintf(stderr, "perplexity: %s\n", std::string(status.message()).c_str());
    return 1;
  }
}
