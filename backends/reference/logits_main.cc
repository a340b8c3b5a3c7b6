// Prints nothing, writes logits: logits_main MODEL BACKEND IDS_FILE OUT_FILE
//
// IDS_FILE holds one prompt a line, token ids with blanks between. OUT_FILE gets the logits after
// every token of every prompt, float32 [tokens of all prompts, vocabulary]. BACKEND: reference or
// reference-int8. For tests.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/reference/reference_device.h"
#include "engine/base/status.h"
#include "engine/model/model.h"
#include "engine/model/open_checkpoint.h"

namespace spotinference {
namespace {

absl::Status WriteLogits(const std::string& model_path, const std::string& backend_name,
                         std::istream& prompts, std::ostream& out) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Checkpoint> checkpoint, OpenCheckpoint(model_path));
  const Backend backend =
      backend_name == "reference-int8" ? ReferenceInt8Backend() : ReferenceBackend();
  ASSIGN_OR_RETURN(const std::unique_ptr<Device> device, backend.create(/*threads=*/0));
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, Model::Load(*checkpoint, *device));
  const int context = std::min(model->config().context_tokens, 1024);
  const int blocks = (context + kBlockTokens - 1) / kBlockTokens;
  RETURN_IF_ERROR(model->AllocateKv(blocks));
  ASSIGN_OR_RETURN(const std::unique_ptr<Program> program,
                   device->Compile(model->ForwardGraph(context, context), nullptr));
  std::vector<int32_t> table(blocks);
  std::iota(table.begin(), table.end(), 0);

  for (std::string line; std::getline(prompts, line);) {
    std::istringstream words(line);
    const std::vector<int32_t> ids((std::istream_iterator<int32_t>(words)), {});
    std::vector<int32_t> positions(ids.size());
    std::iota(positions.begin(), positions.end(), 0);
    const std::vector<int32_t> sequences(ids.size(), 0);
    std::vector<float> logits(ids.size() * model->config().vocabulary);
    RETURN_IF_ERROR(program->Run({.token_ids = ids,
                                  .positions = positions,
                                  .sequences = sequences,
                                  .block_tables = table,
                                  .blocks_per_sequence = blocks,
                                  .output_rows = positions},
                                 absl::MakeSpan(logits)));
    out.write(reinterpret_cast<const char*>(logits.data()), logits.size() * sizeof(float));
  }
  return out ? absl::OkStatus() : absl::DataLossError("cannot write the logits");
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: logits_main MODEL reference|reference-int8 IDS_FILE OUT_FILE\n";
    return 2;
  }
  std::ifstream prompts(argv[3]);
  std::ofstream out(argv[4], std::ios::binary);
  const absl::Status status = spotinference::WriteLogits(argv[1], argv[2], prompts, out);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
