// Argument: a file of config_corpus.
#include "engine/model/hugging_face.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/open_checkpoint.h"

namespace spotinference {
namespace {

using ::testing::HasSubstr;

std::string g_corpus;

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

using Values = std::map<std::string, std::string>;

// What a configuration of the corpus says, as text.
Values Parsed(const std::string& name) {
  const absl::StatusOr<HuggingFaceConfig> config = ParseHuggingFaceConfig(ReadText(g_corpus + "/" + name));
  EXPECT_TRUE(config.ok()) << name << ": " << config.status();
  Values values;
  if (!config.ok()) return values;
  for (const auto& [key, value] : config->values) {
    std::string& text = values[key];
    if (const auto* integer = std::get_if<int64_t>(&value.value)) text = std::to_string(*integer);
    if (const auto* number = std::get_if<double>(&value.value)) text = absl::StrCat(*number);
    if (const auto* string = std::get_if<std::string>(&value.value)) text = *string;
  }
  values["tied"] = config->tied_output ? "yes" : "no";
  return values;
}

TEST(HuggingFaceConfig, Llama) {
  EXPECT_EQ(Parsed("llama.json"), (Values{{"general.architecture", "llama"},
                                          {"llama.attention.head_count", "4"},
                                          {"llama.attention.head_count_kv", "2"},
                                          {"llama.attention.key_length", "16"},
                                          {"llama.attention.value_length", "16"},
                                          {"llama.attention.layer_norm_rms_epsilon", "1e-05"},
                                          {"llama.block_count", "2"},
                                          {"llama.context_length", "131072"},
                                          {"llama.embedding_length", "64"},
                                          {"llama.feed_forward_length", "96"},
                                          {"llama.rope.freq_base", "500000"},
                                          {"llama.rope.scaling.factor", "8"},
                                          {"llama.rope.scaling.high_freq_factor", "4"},
                                          {"llama.rope.scaling.low_freq_factor", "1"},
                                          {"llama.rope.scaling.original_context_length", "8192"},
                                          {"llama.rope.scaling.type", "llama3"},
                                          {"llama.vocab_size", "101"},
                                          {"tied", "yes"}}));
}

TEST(HuggingFaceConfig, UnusedWindowAndYarn) {
  const Values values = Parsed("qwen2_yarn.json");
  EXPECT_EQ(values.count("qwen2.attention.sliding_window"), 0);
  EXPECT_EQ(values.at("qwen2.rope.scaling.type"), "yarn");
  EXPECT_EQ(values.at("qwen2.rope.scaling.attn_factor"), "1.31737");  // 1.5 / (1 + ln 4 / 10)
  EXPECT_EQ(values.at("tied"), "no");
}

TEST(HuggingFaceConfig, EachErrorNamesItsKey) {
  const auto refused = [](absl::StatusCode code, const std::string& text, const std::string& message) {
    const auto config = ParseHuggingFaceConfig(text);
    EXPECT_EQ(config.status().code(), code) << text << config.status();
    EXPECT_EQ(config.status().message(), message);
  };
  const auto llama = [](const std::string& rest) { return R"({"model_type":"llama",)" + rest + "}"; };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument, kUnimplemented = absl::StatusCode::kUnimplemented;
  refused(kInvalid, "[]", "not a JSON object");
  refused(absl::StatusCode::kNotFound, "{}", "key 'model_type' is missing");
  refused(kInvalid, R"({"model_type":1})", "key 'model_type': 1 is not a string");
  refused(kInvalid, llama(R"("hidden_size":"64")"), "key 'hidden_size': \"64\" is not a number");
  refused(kInvalid, llama(R"("tie_word_embeddings":1)"), "key 'tie_word_embeddings': 1 is not true or false");
  refused(kInvalid, llama(R"("rope_scaling":[])"), "key 'rope_scaling': [] is not an object");
  refused(kInvalid, llama(R"("rope_scaling":{"rope_type":"linear","factor":"8"})"),
          "key 'rope_scaling.factor': \"8\" is not a number");
  refused(kInvalid, llama(R"("partial_rotary_factor":2)"),
          "key 'partial_rotary_factor': 2 is not above 0 and at most 1");
  refused(kInvalid, llama(R"("layer_types":["full_attention"],"num_hidden_layers":2)"),
          "key 'layer_types' has 1 elements, not one a layer");
  refused(kUnimplemented, llama(R"("layer_types":["linear_attention"],"num_hidden_layers":1)"),
          "key 'layer_types': \"linear_attention\" is not supported; full_attention and sliding_attention are");
  refused(kUnimplemented, llama(R"("hidden_act":"relu")"), "key 'hidden_act': \"relu\" is not supported; 'silu' is");
  refused(kUnimplemented, llama(R"("use_sliding_window":true)"),
          "key 'use_sliding_window': true is not supported; false is");
  refused(kUnimplemented, llama(R"("quantization_config":{"quant_method":"gptq","bits":4})"),
          "key 'quantization_config': \"gptq\" is not supported; weights of F32, F16 and BF16 are; or a GGUF file with "
          "quantised ones");
  refused(kUnimplemented, llama(R"("rope_scaling":{"type":"yarn","factor":4,"mscale":2})"),
          "key 'rope_scaling.mscale': 2 is not supported; attention_factor is");
  refused(absl::StatusCode::kNotFound, llama(R"("rope_scaling":{"type":"longrope","long_factor":[1]})"),
          "key 'rope_scaling.short_factor' is missing");
  refused(kInvalid, llama(R"("rope_scaling":{"type":"longrope","long_factor":[1,"2"]})"),
          "key 'rope_scaling.long_factor': \"2\" is not a number");
  EXPECT_THAT(std::string(ParseHuggingFaceConfig(R"({"model_type":"mamba"})").status().message()),
              HasSubstr("key 'model_type': 'mamba'; supported: llama, mistral, qwen2"));
}

TEST(HuggingFaceConfig, LongRope) {
  const Values values = Parsed("phi3_longrope.json");
  EXPECT_EQ(values.at("phi3.rope.scaling.type"), "longrope");
  EXPECT_EQ(values.at("phi3.rope.scaling.original_context_length"), "4096");
  EXPECT_EQ(values.at("phi3.rope.scaling.attn_factor"), "1.19024");  // √(1 + ln 32 / ln 4096)
  const auto config = ParseHuggingFaceConfig(ReadText(g_corpus + "/phi3_longrope.json"));
  EXPECT_THAT(config->vectors.at("rope_factors_long.weight").values, testing::ElementsAre(1, 1.5f, 8.25f, 60));
  EXPECT_THAT(config->vectors.at("rope_factors_short.weight").values, testing::ElementsAre(1, 1, 1.25f, 2));
}

TEST(HuggingFaceTypes, NamesGoBothWays) {
  const HuggingFaceType& llama = **FindHuggingFaceType("llama");
  for (const auto& [theirs, ours] : std::vector<std::pair<std::string, std::string>>{
           {"model.embed_tokens.weight", "token_embd.weight"},
           {"model.norm.weight", "output_norm.weight"},
           {"lm_head.weight", "output.weight"},
           {"model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight"},
           {"model.layers.31.self_attn.v_proj.bias", "blk.31.attn_v.bias"},
           {"model.layers.1.post_attention_layernorm.weight", "blk.1.ffn_norm.weight"}}) {
    EXPECT_EQ(GgufTensorName(llama, theirs), ours);
    EXPECT_EQ(HuggingFaceTensorName(llama, ours), theirs);
  }
  for (const std::string unknown :
       {"", ".", "model.layers.", "model.layers.0", "model.layers.0.", "model.layers..q.weight", "model.embed_tokens",
        "model.layers.x.input_layernorm.weight", "model.layers.0.mlp.weight"}) {
    EXPECT_EQ(GgufTensorName(llama, unknown), "") << unknown;
  }
}

// A folder, of which a test changes what it wants wrong: a model of no layers' weights.
struct Folder {
  std::map<std::string, std::string> files;

  static std::string Weights(const std::vector<std::string>& names) {
    std::string header;
    for (size_t i = 0; i < names.size(); ++i) {
      header += (i == 0 ? "{\"" : ",\"") + names[i] + R"(":{"dtype":"F32","shape":[2,2],"data_offsets":[)" +
                std::to_string(16 * i) + "," + std::to_string(16 * i + 16) + "]}";
    }
    header += "}";
    const uint64_t size = header.size();
    return std::string(reinterpret_cast<const char*>(&size), 8) + header + std::string(16 * names.size(), '\0');
  }
  static Folder Sharded() {
    Folder folder;
    folder.files = {{"config.json", R"({"model_type":"llama","num_hidden_layers":1})"},
                    {"one.safetensors", Weights({"model.embed_tokens.weight", "model.norm.weight"})},
                    {"two.safetensors", Weights({"lm_head.weight"})},
                    {"model.safetensors.index.json",
                     R"({"weight_map":{"model.embed_tokens.weight":"one.safetensors",)"
                     R"("model.norm.weight":"one.safetensors","lm_head.weight":"two.safetensors"}})"}};
    return folder;
  }

  absl::StatusOr<std::unique_ptr<Checkpoint>> Open() const {
    const std::string path = testing::TempDir() + "/folder";
    std::filesystem::remove_all(path);
    std::filesystem::create_directory(path);
    for (const auto& [name, bytes] : files) std::ofstream(path + "/" + name, std::ios::binary) << bytes;
    return OpenCheckpoint(path);
  }
};

TEST(HuggingFace, OpensShards) {
  const auto model = Folder::Sharded().Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->tensors().size(), 3);
  ASSERT_NE((*model)->FindTensor("output.weight"), nullptr);
  EXPECT_EQ((*model)->FindTensor("output.weight")->name, "lm_head.weight");
  EXPECT_EQ((*model)->TensorName("blk.0.attn_q.weight"), "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ((*model)->KeyName("llama.embedding_length"), "hidden_size");
  EXPECT_EQ((*model)->Integer("llama.embedding_length", 0, 1).status().message(), "key 'hidden_size' is missing");
  EXPECT_EQ((*model)->Integer("llama.block_count", 2, 3).status().message(),
            "key 'num_hidden_layers': 1 is outside of [2, 3]");
}

TEST(HuggingFace, LeavesOutWhatIsTied) {
  Folder folder = Folder::Sharded();
  folder.files["config.json"] = R"({"model_type":"llama","tie_word_embeddings":true})";
  const auto model = folder.Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->FindTensor("output.weight"), nullptr);
  EXPECT_EQ((*model)->tensors().size(), 2);
}

TEST(HuggingFace, ReadsTheLanguagePartOfAModelThatSees) {
  Folder folder;
  folder.files["config.json"] = ReadText(g_corpus + "/gemma3_vision.json");
  folder.files["model.safetensors"] =
      Folder::Weights({"language_model.model.embed_tokens.weight", "vision_tower.x.weight", "multi_modal_projector.y"});
  const auto model = folder.Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_NE((*model)->FindTensor("token_embd.weight"), nullptr);
  EXPECT_EQ((*model)->tensors().size(), 1);
  EXPECT_EQ(*(*model)->Integer("gemma3.attention.head_count", 0, 99), 8);  // by default
  EXPECT_EQ(*(*model)->Float("gemma3.attention.scale"), 1.0 / 16);
  EXPECT_EQ(*(*model)->String("gemma3.rope.scaling.type"), "linear");
}

TEST(HuggingFace, CompletesNorms) {
  Folder folder;
  folder.files["config.json"] = ReadText(g_corpus + "/gemma3_parameters.json");
  const std::string header = R"({"model.norm.weight":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})";
  const uint64_t size = header.size();
  folder.files["model.safetensors"] =
      std::string(reinterpret_cast<const char*>(&size), 8) + header + std::string("\x80\x3f\x00\xbf", 4);  // 1, −0.5
  const auto model = folder.Open();
  ASSERT_TRUE(model.ok()) << model.status();
  const TensorView& norm = *(*model)->FindTensor("output_norm.weight");
  float weights[2];
  DequantizeRow(norm, 0, absl::MakeSpan(weights));
  EXPECT_THAT(weights, testing::ElementsAre(2.0f, 0.5f));
  (*model)->ReleasePages(norm.data);  // which are none of the file's
  DequantizeRow(norm, 0, absl::MakeSpan(weights));
  EXPECT_THAT(weights, testing::ElementsAre(2.0f, 0.5f));
  EXPECT_EQ(*(*model)->Integer("gemma3.attention.sliding_window_pattern", 0, 9), 2);
  EXPECT_EQ(*(*model)->Float("gemma3.rope.freq_base_swa"), 5000);
}

TEST(HuggingFace, EveryLieIsRefused) {
  const auto refused = [](absl::StatusCode code, const std::string& message,
                          const std::function<void(Folder&)>& change) {
    Folder folder = Folder::Sharded();
    change(folder);
    const auto model = folder.Open();
    EXPECT_EQ(model.status().code(), code) << message << model.status();
    EXPECT_THAT(std::string(model.status().message()), HasSubstr(message));
    EXPECT_THAT(std::string(model.status().message()), HasSubstr("model folder '"));
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument, kNotFound = absl::StatusCode::kNotFound;
  const std::string index = "model.safetensors.index.json";
  refused(kNotFound, "it has no config.json", [](Folder& f) { f.files.erase("config.json"); });
  refused(kInvalid, "config.json: not JSON", [](Folder& f) { f.files["config.json"] = "{"; });
  refused(kNotFound, "it has neither model.safetensors nor model.safetensors.index.json",
          [&](Folder& f) { f.files.erase(index); });
  refused(kNotFound, "two.safetensors'", [](Folder& f) { f.files.erase("two.safetensors"); });
  refused(kInvalid, index + ": not JSON", [&](Folder& f) { f.files[index] = "{"; });
  refused(kInvalid, "two.safetensors': a header of", [](Folder& f) { f.files["two.safetensors"].resize(20); });
  refused(kInvalid, "two.safetensors: tensor 'more' is, by model.safetensors.index.json, nowhere",
          [](Folder& f) { f.files["two.safetensors"] = Folder::Weights({"lm_head.weight", "more"}); });
  refused(kInvalid, "two.safetensors: tensor 'model.norm.weight' is, by " + index + ", in one.safetensors",
          [](Folder& f) { f.files["two.safetensors"] = Folder::Weights({"lm_head.weight", "model.norm.weight"}); });
  refused(kNotFound, "one.safetensors: tensor 'model.norm.weight' is missing, which model.safetensors.index.json lists",
          [](Folder& f) { f.files["one.safetensors"] = Folder::Weights({"model.embed_tokens.weight"}); });
  refused(kNotFound, "tensor 'lm_head.weight' is missing, and tie_word_embeddings is false",
          [](Folder& f) { f.files["model.safetensors"] = Folder::Weights({"model.embed_tokens.weight"}); });
  refused(kInvalid, "tensors 'model.layers.0.mlp.up_proj.weight' and 'model.layers.0.mlp.gate_up_proj.weight' are",
          [](Folder& f) {
            f.files["model.safetensors"] = Folder::Weights(
                {"model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_up_proj.weight", "lm_head.weight"});
          });
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) return 2;
  const std::string file = argv[1];
  spotinference::g_corpus = file.substr(0, file.rfind('/'));
  return RUN_ALL_TESTS();
}
