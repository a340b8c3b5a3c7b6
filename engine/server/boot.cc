#include "engine/server/boot.h"

#include <glog/logging.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/build_id.h"
#include "engine/base/clock.h"
#include "engine/base/processors.h"
#include "engine/base/sha256.h"
#include "engine/base/model_files.h"
#include "engine/base/pages.h"
#include "engine/base/status.h"
#include "engine/model/open_checkpoint.h"
#include "engine/text/model_text.h"
#include "engine/volume/driver_cache.h"
#include "engine/volume/file_proof.h"
#include "engine/volume/file_system.h"
#include "engine/volume/weights.h"
#include "engine/base/weights_source.h"

namespace spotinference {
namespace {

// Blocks of KV: as many as fit in the memory meant for them.
absl::StatusOr<int> KvBlocks(const BootOptions& options, const Model& model, int context_tokens) {
  ASSIGN_OR_RETURN(const size_t block_bytes, model.KvBlockBytes());
  const int64_t memory = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  const int64_t one_context = (context_tokens + kBlockTokens - 1) / kBlockTokens;
  int64_t bytes = options.kv_memory_bytes;
  if (bytes == 0) {
    bytes = std::max<int64_t>(std::min(memory / 4, kKvMemoryBytes), one_context * static_cast<int64_t>(block_bytes));
  }
  const int64_t blocks = bytes / static_cast<int64_t>(block_bytes);
  if (blocks < one_context) {
    return absl::InvalidArgumentError(
        absl::StrCat(bytes, " bytes of KV cache hold ", blocks * kBlockTokens, " tokens, fewer than the context of ",
                     context_tokens, "; give it ", one_context * static_cast<int64_t>(block_bytes), " or more"));
  }
  return static_cast<int>(std::min<int64_t>(blocks, 1 << 24));
}

// The bytes of the tokens that stand for text. A model may have more logits than its tokenizer has tokens.
absl::StatusOr<Constraints::Tokens> ReadTokens(const std::string& model_path, uint32_t vocabulary_size) {
  ASSIGN_OR_RETURN(const std::unique_ptr<const ModelText> text, LoadModelText(model_path));
  const Tokenizer& tokenizer = text->tokenizer();
  Constraints::Tokens tokens(vocabulary_size);
  for (uint32_t id = 0; id < std::min(vocabulary_size, tokenizer.vocabulary_size()); ++id) {
    if (!tokenizer.IsSpecial(id)) tokens[id] = std::string(tokenizer.Piece(id));
  }
  return tokens;
}

// One word, also in a header and as the name of a folder.
std::string Word(std::string text) {
  for (char& c : text) {
    if (!absl::ascii_isalnum(c) && c != '.') c = '-';
  }
  return text;
}

void OpenCache(const Backend& backend, absl::string_view model_hash, int threads, BootedEngine& booted) {
  const DeviceInfo& device = booted.device->info();
  std::string key = absl::StrCat(backend.name, "-", device.driver, "-", BuildId());
  if (device.keeps_weights) absl::StrAppend(&key, "-", model_hash);
  booted.cache = std::make_unique<VolumeCache>(*booted.volume, Word(key), threads);
}

// Null without one, and on a full disk, which a model served from elsewhere does not need.
absl::StatusOr<std::unique_ptr<Volume>> OpenVolume(const BootOptions& options) {
  if (options.volume.empty()) return nullptr;
  absl::StatusOr<std::unique_ptr<Volume>> volume =
      Volume::Open(RealFileSystem(), {options.volume, options.volume_bytes}, RealClock());
  if (absl::IsResourceExhausted(volume.status())) {
    LOG(WARNING) << volume.status().message() << "; nothing is kept";
    return nullptr;
  }
  if (volume.ok()) BoundDriverCache(options.volume);
  return volume;
}

// The path of the model's file, on the volume where it came from elsewhere, and its hash where that is known.
absl::StatusOr<FetchedWeights> FindWeights(const BootOptions& options, const WeightsSource& source, Volume* volume) {
  if (source.kind != WeightsSource::Kind::kFile && volume == nullptr) {
    // What follows a question mark may be secret.
    const absl::string_view plain = absl::string_view(options.model).substr(0, options.model.find('?'));
    if (!options.volume.empty()) {
      return absl::ResourceExhaustedError(absl::StrCat("weights '", plain, "': the volume is full"));
    }
    return absl::InvalidArgumentError(absl::StrCat("weights '", plain, "': a volume is needed to keep them on"));
  }
  FetchOptions fetch{.remote = {.hub_url = options.hub_url, .hub_token = options.hub_token}};
  fetch.on_progress = [logged = RealClock().Elapsed(), told = -absl::InfiniteDuration(), &options](
                          uint64_t done, uint64_t total) mutable {
    const absl::Duration now = RealClock().Elapsed();
    if (now - logged >= absl::Seconds(5)) {
      logged = now;
      LOG(INFO) << "weights: " << done / 1000000 << " of " << total / 1000000 << " MB, " << done * 100 / total << " %";
    }
    if (options.on_download && (now - told >= absl::Seconds(1) || done == total)) {
      told = now;
      options.on_download(done, total);
    }
  };
  if (volume != nullptr) {
    fetch.make_room = [volume](uint64_t bytes) { volume->MakeRoomOnDisk(bytes); };
    fetch.evictable_bytes = volume->used_bytes();
  }
  return FetchWeights(RealFileSystem(), options.volume, source, fetch);
}

// What this boot is going to read of a model's file: all but the tensors that lie packed in the cache.
std::vector<FileProof::Part> PartsToRead(const Checkpoint& checkpoint, const FileProof& proof,
                                         const VolumeCache& cache) {
  std::vector<FileProof::Part> parts, unread;
  for (const Checkpoint::File& file : checkpoint.files()) {
    if (file.path != proof.path()) continue;
    for (const TensorView& tensor : checkpoint.tensors()) {
      const uint64_t offset =
          reinterpret_cast<uintptr_t>(tensor.data.data()) - reinterpret_cast<uintptr_t>(file.bytes.data());
      const bool is_here = offset < file.bytes.size() && !tensor.data.empty();
      if (is_here && cache.HasTensor(tensor.name)) unread.push_back({offset, tensor.data.size()});
    }
  }
  std::sort(unread.begin(), unread.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  uint64_t at = 0;
  for (const FileProof::Part& part : unread) {
    parts.push_back({at, part.offset - at});
    at = part.offset + part.size;
  }
  parts.push_back({at, proof.size_bytes() - at});
  return parts;
}

absl::Status Prove(const FileProof& proof, const BootedEngine& booted, int threads) {
  return proof.Verify(PartsToRead(*booted.checkpoint, proof, *booted.cache), threads);
}

// The gateway has read vocabulary and chat template of the same file, of several the first.
absl::Status CheckHead(const Checkpoint& checkpoint, const std::string& wanted) {
  if (wanted.empty()) return absl::OkStatus();
  const Checkpoint::File first = checkpoint.files()[0];
  const std::string hash = Sha256Hex({reinterpret_cast<const char*>(first.bytes.data()), first.head_bytes});
  if (hash == wanted) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("the head of the weights has SHA-256 ", hash, ", not ", wanted));
}

// The hashes beside a file that was fetched. Where there are none, it is proved by its SHA-256, whole, and nullopt.
absl::StatusOr<std::optional<FileProof>> ProofOf(const FetchedWeights::File& file) {
  absl::StatusOr<FileProof> proof = FileProof::Open(RealFileSystem(), file.path);
  if (proof.ok()) return *std::move(proof);
  if (!absl::IsNotFound(proof.status())) return proof.status();
  ASSIGN_OR_RETURN(const FileHashes hashes, HashFile(RealFileSystem(), file.path));
  if (hashes.sha256 != file.sha256) {
    return absl::DataLossError(absl::StrCat("'", file.path, "': its SHA-256 is ", hashes.sha256));
  }
  // It was cut off, or had no room, when the file came.
  const absl::Status hashed = WriteFileProof(RealFileSystem(), file.path, hashes);
  LOG_IF(WARNING, !hashed.ok()) << "the next boot computes the SHA-256 too: " << hashed.message();
  return std::nullopt;
}

// Opens what was fetched to the volume. What of it is used is proved; a damaged file goes, so that the next boot fetches
// it again.
absl::Status OpenFetched(const FetchedWeights& weights, const std::string& head_hash, const Backend& backend,
                         int threads, BootedEngine& booted) {
  std::vector<FileProof> proofs;
  const auto removing_damaged = [](const std::string& path, absl::Status proved) {
    if (absl::IsDataLoss(proved)) RealFileSystem().Remove(path).IgnoreError();
    return proved;
  };
  for (const FetchedWeights::File& file : weights.files) {
    absl::StatusOr<std::optional<FileProof>> proof = ProofOf(file);
    RETURN_IF_ERROR(removing_damaged(file.path, proof.status()));
    if (proof->has_value()) proofs.push_back(**std::move(proof));
  }
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(weights.path);
  if (!checkpoint.ok()) {  // the model's own fault, or damage
    for (const FileProof& proof : proofs) {
      RETURN_IF_ERROR(removing_damaged(proof.path(), proof.Verify({{0, proof.size_bytes()}}, threads)));
    }
    return checkpoint.status();
  }
  booted.checkpoint = *std::move(checkpoint);
  OpenCache(backend, weights.sha256, threads, booted);
  for (const FileProof& proof : proofs) {
    RETURN_IF_ERROR(removing_damaged(proof.path(), Prove(proof, booted, threads)));
  }
  return CheckHead(*booted.checkpoint, head_hash);
}

// The files of a model of this machine, read once and whole while the model is loaded, since no hashes of theirs lie on
// the volume yet.
class FirstReading {
 public:
  // `folder`, of the volume, is where their hashes go.
  FirstReading(std::string model, std::vector<std::string> files, std::string folder)
      : model_(std::move(model)), files_(std::move(files)), folder_(std::move(folder)) {
    for (const std::string& file : files_) {
      hashes_.push_back(std::async(std::launch::async, [this, file] { return HashFile(RealFileSystem(), file, &stop_); }));
    }
  }
  ~FirstReading() { stop_ = true; }

  // Waits for it. FAILED_PRECONDITION: the model is another one than `sha256`.
  absl::Status Prove(const std::string& sha256) {
    std::vector<FileSum> sums;
    for (size_t i = 0; i < files_.size(); ++i) {
      ASSIGN_OR_RETURN(read_.emplace_back(), hashes_[i].get());
      sums.push_back({Name(files_[i]), read_[i].sha256});
    }
    return CheckModelHash(model_, ModelHashOf(model_, sums), sha256);
  }

  // After it: the hashes, for the boots that follow.
  void Write() const {
    absl::Status written = RealFileSystem().CreateFolder(folder_.substr(0, folder_.rfind('/')));
    written.Update(RealFileSystem().CreateFolder(folder_));
    for (size_t i = 0; written.ok() && i < files_.size(); ++i) {
      written = WriteFileProof(RealFileSystem(), files_[i], read_[i], HashesPath(folder_, files_[i]));
    }
    LOG_IF(WARNING, !written.ok()) << "the next boot reads all of the weights again: " << written.message();
  }

  static std::string HashesPath(const std::string& folder, const std::string& file) {
    return absl::StrCat(folder, "/", Name(file), kProofEnding);
  }

 private:
  static std::string Name(const std::string& file) { return file.substr(file.rfind('/') + 1); }

  const std::string model_;
  const std::vector<std::string> files_;
  const std::string folder_;
  std::atomic<bool> stop_{false};
  std::vector<std::future<absl::StatusOr<FileHashes>>> hashes_;
  std::vector<FileHashes> read_;
};

// A model of this machine whose hash was told: what this boot reads of its files is proved by the hashes that the first
// boot left on the volume. Where one of them has none, a reading of all of them, begun; else null.
absl::StatusOr<std::shared_ptr<FirstReading>> ProveLocal(const BootOptions& options, const std::string& path,
                                                         int threads, const BootedEngine& booted) {
  if (options.model_hash.empty()) return nullptr;  // just hashed
  const std::string folder = absl::StrCat(options.volume, "/weights/", options.model_hash);
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, ModelFiles(path));
  for (const std::string& file : paths) {
    const absl::StatusOr<FileProof> proof =
        FileProof::Open(RealFileSystem(), file, FirstReading::HashesPath(folder, file));
    if (absl::IsNotFound(proof.status())) return std::make_shared<FirstReading>(path, paths, folder);
    RETURN_IF_ERROR(proof.status());
    RETURN_IF_ERROR(Prove(*proof, booted, threads));
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<const Backend*> ChooseBackend(absl::Span<const Backend> backends, const std::string& name) {
  std::vector<std::string> reasons;
  for (const Backend& backend : backends) {
    if (name != "auto" && name != backend.name) continue;
    absl::Status usable = name == "auto" && backend.passed_over != nullptr ? backend.passed_over() : absl::OkStatus();
    if (usable.ok()) usable = backend.probe();
    if (usable.ok()) {
      LOG(INFO) << "backend " << backend.name << ", as --backend=" << name << " has it"
                << (reasons.empty() ? "" : "; not ") << absl::StrJoin(reasons, "; not ");
      return &backend;
    }
    reasons.push_back(absl::StrCat(backend.name, ": ", usable.message()));
  }
  if (!reasons.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("no usable backend: ", absl::StrJoin(reasons, "; ")));
  }
  std::vector<std::string> names;
  for (const Backend& backend : backends) names.push_back(backend.name);
  return absl::InvalidArgumentError(
      absl::StrCat("backend '", name, "' is not in this build; it has: auto, ", absl::StrJoin(names, ", ")));
}

namespace {

absl::StatusOr<BootedEngine> BootOn(const Backend* backend, const BootOptions& options) {
  const absl::Duration start = RealClock().Elapsed();
  BootedEngine booted;
  ASSIGN_OR_RETURN(booted.volume, OpenVolume(options));
  ASSIGN_OR_RETURN(const WeightsSource source, ParseWeightsSource(options.model));
  ASSIGN_OR_RETURN(const FetchedWeights weights, FindWeights(options, source, booted.volume.get()));
  ASSIGN_OR_RETURN(booted.device, backend->create(options.threads));
  const int threads = options.threads > 0 ? options.threads : UsableThreads();
  std::string model_hash = weights.sha256;
  std::shared_ptr<FirstReading> first_reading;
  if (!model_hash.empty()) {
    RETURN_IF_ERROR(OpenFetched(weights, options.head_hash, *backend, threads, booted));
  } else {
    ASSIGN_OR_RETURN(booted.checkpoint, OpenCheckpoint(weights.path));
    model_hash = options.model_hash;
    if (model_hash.empty()) {
      ASSIGN_OR_RETURN(model_hash, ModelHash(weights.path));
    }
    RETURN_IF_ERROR(CheckModelHash(weights.path, model_hash, source.sha256));
    if (booted.volume != nullptr) {
      OpenCache(*backend, model_hash, threads, booted);
      ASSIGN_OR_RETURN(first_reading, ProveLocal(options, weights.path, threads, booted));
    }
  }
  if (booted.volume != nullptr) {
    SweepWeights(RealFileSystem(), options.volume, model_hash, booted.volume->max_bytes(), RealClock().Now());
  }
  ASSIGN_OR_RETURN(booted.model, Model::Load(*booted.checkpoint, *booted.device, options.context_tokens,
                                             booted.cache.get()));
  const ModelConfig& config = booted.model->config();
  if (options.context_tokens > config.context_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("a context of ", options.context_tokens,
                                                   " tokens: the model was made for at most ", config.context_tokens));
  }

  ModelEngine::Options engine;
  Scheduler::Options& scheduler = engine.scheduler;
  scheduler.context_tokens = options.context_tokens > 0 ? options.context_tokens : config.context_tokens;
  scheduler.max_sequences = options.max_sequences > 0 ? options.max_sequences : kMaxSequences;
  scheduler.step_tokens = options.step_tokens > 0 ? options.step_tokens : kStepTokens;
  scheduler.max_live = 16 * scheduler.max_sequences;
  scheduler.draft_tokens = options.draft_tokens;
  if (scheduler.step_tokens <= scheduler.max_sequences) {
    return absl::InvalidArgumentError(absl::StrCat("a step of ", scheduler.step_tokens, " tokens: more than the ",
                                                   scheduler.max_sequences, " sequences of a step are needed"));
  }
  ASSIGN_OR_RETURN(const int blocks, KvBlocks(options, *booted.model, scheduler.context_tokens));
  RETURN_IF_ERROR(booted.model->AllocateKv(blocks));
  ASSIGN_OR_RETURN(booted.program,
                   booted.device->Compile(booted.model->ForwardGraph(scheduler.step_tokens, scheduler.max_sequences),
                                          booted.cache.get()));
  if (first_reading != nullptr) RETURN_IF_ERROR(first_reading->Prove(model_hash));
  if (booted.cache != nullptr) {
    booted.cache->Write(first_reading == nullptr ? std::function<void()>() : [first_reading] { first_reading->Write(); });
  }

  EngineInfo& info = engine.info;
  info.model_hash = model_hash;
  info.numerics_id = Word(absl::StrCat(backend->name, "-", booted.device->info().arithmetic, "-", BuildId()));
  engine.kv = {blocks, kBlockTokens, info.model_hash, info.numerics_id};
  // An answer that goes on elsewhere is not exact, be it on a device of the same make.
  if (!booted.device->info().batch_invariant) {
    absl::StrAppend(&info.numerics_id, "-", absl::Hex(absl::Uniform<uint64_t>(absl::BitGen()), absl::kZeroPad16));
  }
  info.backend = backend->name;
  info.device = booted.device->info().name;
  info.context_tokens = static_cast<uint32_t>(scheduler.context_tokens);
  info.vocabulary_size = static_cast<uint32_t>(config.vocabulary);
  if (booted.volume != nullptr) {
    ASSIGN_OR_RETURN(engine.kv_block_bytes, booted.model->KvBlockBytes());
    booted.kv_store = std::make_unique<KvStore>(
        *booted.volume,
        KvStore::Options{.model_hash = info.model_hash,
                         .numerics_id = engine.kv.numerics_id,
                         .block_bytes = engine.kv_block_bytes,
                         .time_to_live = options.kv_time_to_live},
        RealClock());
    engine.kv_store = booted.kv_store.get();
    engine.read_kv = [model = booted.model.get()](int32_t block, absl::Span<std::byte> to) {
      return model->ReadKvBlock(block, to);
    };
    engine.write_kv = [model = booted.model.get()](int32_t block, absl::Span<const std::byte> from) {
      return model->WriteKvBlock(block, from);
    };
  }
  engine.weight_bytes = booted.model->weight_bytes();
  engine.programs_compiled = [device = booted.device.get()] { return device->compiled(); };
  engine.volume_full = [volume = booted.volume.get(), wanted = !options.volume.empty()] {
    return wanted && (volume == nullptr || volume->full());
  };
  engine.sampling_threads = threads;
  engine.on_fatal = options.on_fatal;
  LOG(INFO) << weights.path << " on " << info.device << ": " << booted.model->weight_bytes() / 1000000
            << " MB of weights, " << blocks << " KV blocks, context " << info.context_tokens << ", numerics "
            << info.numerics_id << ", booted in " << RealClock().Elapsed() - start;
  booted.constraints = std::make_unique<Constraints>(
      [path = weights.path, size = info.vocabulary_size] { return ReadTokens(path, size); });
  booted.engine = std::make_unique<ModelEngine>(std::move(engine), *booted.program, *booted.constraints, RealClock());
  ReleaseBootMemory();
  return booted;
}

}  // namespace

absl::StatusOr<BootedEngine> Boot(const BootOptions& options, absl::Span<const Backend> backends) {
  for (;;) {
    ASSIGN_OR_RETURN(const Backend* backend, ChooseBackend(backends, options.backend));
    absl::StatusOr<BootedEngine> booted = BootOn(backend, options);
    const bool unfit = absl::IsResourceExhausted(booted.status()) || absl::IsUnimplemented(booted.status());
    const bool last = backend == &backends.back();
    if (!unfit || !backend->own_memory || options.backend != "auto" || last) return booted;
    LOG(WARNING) << "backend " << backend->name << " cannot serve this model (" << booted.status().message()
                 << "); --backend=auto goes on";
    backends.remove_prefix(backend - backends.data() + 1);
  }
}

}  // namespace spotinference
