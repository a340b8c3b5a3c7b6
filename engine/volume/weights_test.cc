#include "engine/volume/weights.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/fake_http_server.h"
#include "engine/base/model_files.h"
#include "engine/volume/fake_hub.h"
#include "engine/volume/simulated_file_system.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

constexpr uint64_t kPieceBytes = 10000;
const std::string kToken = FakeHub::kToken;

class WeightsTest : public testing::Test {
 protected:
  WeightsTest() {
    EXPECT_TRUE(files_.CreateFolder("/v").ok());
    files_.Restart(SimulatedFileSystem::Cut::kKill, 0);
  }

  absl::StatusOr<FetchedWeights> Fetch(const std::string& text = "hf://org/repo/model.gguf@main", int connections = 3) {
    const absl::StatusOr<WeightsSource> source = ParseWeightsSource(text);
    if (!source.ok()) return source.status();
    FetchOptions options{.remote = {.hub_url = hub_.url(), .hub_token = kToken},
                         .connections = connections,
                         .piece_bytes = kPieceBytes};
    options.remote.wait = [this](absl::Duration d) {
      absl::MutexLock lock(&mutex_);
      waits_.push_back(d);
    };
    options.on_progress = [this](uint64_t done, uint64_t total) {
      EXPECT_LE(done, total);
      progress_ = done;
      if (done == total) ++completions_;
    };
    return FetchWeights(files_, "/v", *source, options);
  }

  void ExpectWhole(const absl::StatusOr<FetchedWeights>& fetched) {
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    EXPECT_EQ(fetched->path, absl::StrCat("/v/weights/", hub_.tag, "/model.gguf"));
    EXPECT_EQ(fetched->sha256, hub_.tag);
    EXPECT_TRUE(files_.Contents(fetched->path) == hub_.content);
  }

  // 120,000 bytes of two other models, and what a download left.
  void WriteOthers() {
    for (const auto& [path, size] : std::map<std::string, size_t>{
             {"/v/weights/old/a.gguf", 60000}, {"/v/weights/new/a.gguf", 60000}, {"/v/weights/new/b.gguf.part", 10}}) {
      for (const std::string& folder : {std::string("/v/weights"), path.substr(0, path.rfind('/'))}) {
        ASSERT_TRUE(files_.CreateFolder(folder).ok());
      }
      const std::string bytes(size, 'x');
      ASSERT_TRUE((*files_.Create(path))->Write(0, {reinterpret_cast<const std::byte*>(bytes.data()), size}).ok());
      ASSERT_TRUE(files_.SetModified(path, absl::FromUnixSeconds(absl::StrContains(path, "old") ? 1 : 2)).ok());
    }
  }

  void ExpectStatus(absl::StatusCode code, absl::string_view message,
                    const std::string& text = "hf://org/repo/model.gguf") {
    const absl::Status status = Fetch(text).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), message)) << status;
    EXPECT_FALSE(absl::StrContains(status.message(), kToken)) << status;
  }

  // A repository of safetensors in two files; of its text, only the tokenizer is in LFS.
  void ServeRepository() {
    hub_.AddInGit("config.json", "{}");
    hub_.AddInLfs("tokenizer.json", "the tokenizer");
    hub_.AddInGit("chat_template.jinja", "hello\n");
    hub_.AddInGit("README.md", "not for us");
    hub_.AddInGit("model.safetensors.index.json",
                  R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"}})");
    hub_.AddInLfs("model-1.safetensors", FakeHub::RandomBytes(30000, "1"));
    hub_.AddInLfs("model-2.safetensors", FakeHub::RandomBytes(25000, "2"));
  }
  const std::vector<std::string> kRepository = {"chat_template.jinja", "config.json",
                                                "model-1.safetensors", "model-2.safetensors",
                                                "model.safetensors.index.json", "tokenizer.json"};

  // All of them lie in the folder that their sums name, and nothing else.
  void ExpectAll(const absl::StatusOr<FetchedWeights>& fetched, const std::vector<std::string>& names,
                 const std::string& opened, const std::string& hub_folder = "") {
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    std::vector<FileSum> sums;
    for (const std::string& name : names) {
      sums.push_back({name, FakeHub::Sha256(hub_.files[hub_folder + name].content)});
    }
    EXPECT_EQ(fetched->sha256, ModelHashOf(sums));
    const std::string folder = absl::StrCat("/v/weights/", fetched->sha256);
    EXPECT_EQ(fetched->path, folder + opened);
    ASSERT_EQ(fetched->files.size(), names.size());
    for (size_t i = 0; i < names.size(); ++i) {
      EXPECT_EQ(fetched->files[i].path, absl::StrCat(folder, "/", names[i]));
      EXPECT_EQ(fetched->files[i].sha256, sums[i].sha256);
      EXPECT_TRUE(files_.Contents(fetched->files[i].path) == hub_.files[hub_folder + names[i]].content) << names[i];
    }
    EXPECT_EQ(files_.Paths().size(), 2 * names.size() + 1) << "files, their hashes, and which source they are of";
  }

  FakeHub hub_;
  SimulatedFileSystem files_;
  absl::Mutex mutex_;
  std::vector<absl::Duration> waits_;
  uint64_t progress_ = 0;
  int completions_ = 0;
};

TEST_F(WeightsTest, AreDownloadedOnce) {
  ExpectWhole(Fetch());
  EXPECT_EQ(hub_.cdn_ranges().size(), 10);
  EXPECT_EQ(progress_, hub_.content.size());
  const int requests = hub_.hub_requests();
  files_.Restart(SimulatedFileSystem::Cut::kPower, 1);
  ExpectWhole(Fetch());
  EXPECT_EQ(hub_.hub_requests(), requests) << "a second boot asks nobody";
  EXPECT_EQ(files_.Paths().size(), 3) << "the weights, their hashes, and which source they are of";
}

TEST_F(WeightsTest, ARenamedRepositoryIsFollowed) { ExpectWhole(Fetch("hf://old/repo/model.gguf")); }

TEST_F(WeightsTest, SaysWhatTheHubSays) {
  ExpectStatus(absl::StatusCode::kNotFound, "HTTP 404: says EntryNotFound", "hf://org/repo/other.gguf");
  for (const auto& [status, code] : std::map<int, absl::StatusCode>{{401, absl::StatusCode::kUnauthenticated},
                                                                    {403, absl::StatusCode::kPermissionDenied},
                                                                    {404, absl::StatusCode::kNotFound}}) {
    hub_.hub_fault = [status = status](int) {
      return FakeHttpReply{.status = status, .headers = {{"x-error-message", "Access to it is restricted"}}};
    };
    ExpectStatus(code, absl::StrCat("HTTP ", status, ": Access to it is restricted"));
  }
  EXPECT_TRUE(waits_.empty()) << "what does not pass is not tried again";
}

TEST_F(WeightsTest, WaitsAsLongAsTheServerSays) {
  hub_.hub_fault = [](int number) -> std::optional<FakeHttpReply> {
    if (number >= 2) return std::nullopt;
    return FakeHttpReply{.status = 429, .headers = {{"retry-after", "17"}}};
  };
  hub_.cdn_fault = [](int number) -> std::optional<FakeHttpReply> {
    if (number % 3 != 0) return std::nullopt;
    return FakeHttpReply{.status = 503, .body = "busy"};
  };
  ExpectWhole(Fetch());
  EXPECT_EQ(std::count(waits_.begin(), waits_.end(), absl::Seconds(17)), 2);
  EXPECT_GT(waits_.size(), 4);
}

TEST_F(WeightsTest, GivesUpOnAServerThatNeverAnswers) {
  hub_.cdn_fault = [](int) { return FakeHttpReply{.status = 500}; };
  ExpectStatus(absl::StatusCode::kUnavailable, "HTTP 500");
  hub_.cdn_fault = nullptr;
  ExpectWhole(Fetch());
}

TEST_F(WeightsTest, ASignatureThatRanOutIsRenewed) {
  hub_.cdn_fault = [](int number) -> std::optional<FakeHttpReply> {
    if (number % 4 != 1) return std::nullopt;
    return FakeHttpReply{.status = 403, .body = "expired"};
  };
  ExpectWhole(Fetch());
}

TEST_F(WeightsTest, GoesOnWithinAPieceThatWasCut) {
  hub_.cdn_fault = [](int) { return FakeHttpReply{.status = 206, .cut_after = 4000}; };
  ExpectWhole(Fetch());
  // Each piece in three: 4000, 4000, and the rest.
  const std::vector<std::string> ranges = hub_.cdn_ranges();
  EXPECT_EQ(std::count(ranges.begin(), ranges.end(), "bytes=14000-19999"), 1);
  EXPECT_EQ(std::count(ranges.begin(), ranges.end(), "bytes=18000-19999"), 1);
  EXPECT_LE(ranges.size(), 30);
}

TEST_F(WeightsTest, AfterACutOnlyWhatIsMissingIsAskedFor) {
  ExpectWhole(Fetch("hf://org/repo/model.gguf", 2));
  const int64_t changes = files_.operations();  // some more or fewer, as the bytes come
  for (const std::string& path : files_.Paths()) ASSERT_TRUE(files_.Remove(path).ok());
  files_.Restart(SimulatedFileSystem::Cut::kKill, 0);
  int resumed = 0, wholes = 0;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    files_.CutAfter(1 + seed * 2 * changes / 200, seed);
    const bool whole = Fetch("hf://org/repo/model.gguf", 2).ok();
    files_.Restart(seed % 2 == 0 ? SimulatedFileSystem::Cut::kKill : SimulatedFileSystem::Cut::kPower, seed);
    const size_t before = hub_.cdn_ranges().size();
    ExpectWhole(Fetch());
    const size_t asked = hub_.cdn_ranges().size() - before;
    EXPECT_LE(asked, 10);
    EXPECT_TRUE(!whole || asked == 0);
    resumed += asked > 0 && asked < 10;
    wholes += whole;
    for (const std::string& path : files_.Paths()) {
      EXPECT_FALSE(absl::EndsWith(path, ".part") || absl::EndsWith(path, ".pieces")) << path;
      ASSERT_TRUE(files_.Remove(path).ok());
    }
    files_.Restart(SimulatedFileSystem::Cut::kKill, 0);
  }
  EXPECT_GT(resumed, 30);
  EXPECT_GT(wholes, 3);
}

TEST_F(WeightsTest, WrongBytesAreNotKept) {
  hub_.content[50000] ^= 1;
  ExpectStatus(absl::StatusCode::kFailedPrecondition, absl::StrCat(", not ", hub_.tag));
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(WeightsTest, AFileWithoutAHashIsRefused) {
  hub_.tag.clear();
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "names no hash");
}

TEST_F(WeightsTest, AFullVolumeIsSaidBeforehand) {
  files_.set_free_bytes(50000);
  ExpectStatus(absl::StatusCode::kResourceExhausted, "95000 bytes, and 50000 are free");
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(WeightsTest, WeightsOfOthersMakeRoom) {
  WriteOthers();
  files_.set_free_bytes(50000);
  ExpectWhole(Fetch());
  const std::vector<std::string> paths = files_.Paths();
  EXPECT_EQ(std::count(paths.begin(), paths.end(), "/v/weights/old/a.gguf"), 0);
  EXPECT_EQ(std::count(paths.begin(), paths.end(), "/v/weights/new/a.gguf"), 1) << "there was room enough";
  EXPECT_EQ(std::count(paths.begin(), paths.end(), "/v/weights/new/b.gguf.part"), 0);
}

TEST_F(WeightsTest, OfWeightsThatMadeRoomNothingIsLeft) {
  ExpectWhole(Fetch());
  files_.set_free_bytes(50000);
  ServeRepository();
  ExpectAll(Fetch("hf://org/repo"), kRepository, "");
}

// What is too large for the volume must not cost another model its weights.
TEST_F(WeightsTest, NothingOfOthersGoesInVain) {
  WriteOthers();
  files_.set_free_bytes(1000);
  hub_.content = FakeHub::RandomBytes(130000);
  hub_.tag = FakeHub::Sha256(hub_.content);
  ExpectStatus(absl::StatusCode::kResourceExhausted, "130000 bytes, and 1010 are free");
  const std::vector<std::string> paths = files_.Paths();
  EXPECT_EQ(std::count(paths.begin(), paths.end(), "/v/weights/old/a.gguf"), 1);
  EXPECT_EQ(std::count(paths.begin(), paths.end(), "/v/weights/new/a.gguf"), 1);
  EXPECT_EQ(std::count(paths.begin(), paths.end(), "/v/weights/new/b.gguf.part"), 0) << "that is of no use to anybody";
}

TEST_F(WeightsTest, NothingIsLeftOfAnotherModelForEver) {
  ExpectWhole(Fetch());  // "the model that was served before"
  WriteOthers();
  for (const char* path : {"/v/weights/local/a.gguf.hashes", "/v/weights/empty/gone"}) {
    ASSERT_TRUE(files_.CreateFolder(std::string(path).substr(0, std::string(path).rfind('/'))).ok());
    ASSERT_TRUE(files_.Create(path).ok());
  }
  ASSERT_TRUE(files_.Remove("/v/weights/empty/gone").ok());
  const absl::Time now = absl::FromUnixSeconds(10);
  SweepWeights(files_, "/v", hub_.tag, 60000, now);
  std::vector<std::string> left = files_.Paths();
  EXPECT_EQ(left, std::vector<std::string>({absl::StrCat("/v/weights/", hub_.tag, "/model.gguf"),
                                            absl::StrCat("/v/weights/", hub_.tag, "/model.gguf.hashes"),
                                            "/v/weights/new/a.gguf", left.back()}));
  EXPECT_TRUE(absl::StartsWith(left.back(), "/v/weights/sources/"));
  EXPECT_EQ(files_.List("/v/weights")->size(), 3) << "no empty folder";

  // Another model is served now: what was used last stays longest, and what is in use, always.
  SweepWeights(files_, "/v", "new", hub_.content.size() + 5000, now + absl::Seconds(1));
  EXPECT_EQ(files_.Paths(), left);
  SweepWeights(files_, "/v", "other", hub_.content.size() + 5000 + 50000, now + absl::Seconds(2));
  EXPECT_EQ(files_.Paths(), std::vector<std::string>{"/v/weights/new/a.gguf"});
  SweepWeights(files_, "/v", "new", 0, now + absl::Seconds(3));
  EXPECT_EQ(files_.Paths(), std::vector<std::string>{"/v/weights/new/a.gguf"});
}

TEST_F(WeightsTest, AGgufModelInSeveralFiles) {
  std::vector<std::string> names;
  for (const char number : {'1', '2', '3'}) {
    names.push_back(absl::StrCat("m-0000", std::string(1, number), "-of-00003.gguf"));
    hub_.AddInLfs(absl::StrCat("Q4/", names.back()), FakeHub::RandomBytes(9000 + 1000 * (number - '0'), names.back()));
  }
  const std::string source = "hf://org/repo/Q4/m-00001-of-00003.gguf";
  ExpectAll(Fetch(source), names, "/m-00001-of-00003.gguf", "Q4/");
  EXPECT_EQ(progress_, 33000);
  EXPECT_EQ(completions_, 1) << "progress is of all files";
  const int requests = hub_.hub_requests();
  files_.Restart(SimulatedFileSystem::Cut::kPower, 1);
  ExpectAll(Fetch(source), names, "/m-00001-of-00003.gguf", "Q4/");
  EXPECT_EQ(hub_.hub_requests(), requests) << "a second boot asks nobody";
}

TEST_F(WeightsTest, ARepositoryOfSafetensors) {
  ServeRepository();
  ExpectAll(Fetch("hf://org/repo@main"), kRepository, "");
  const int requests = hub_.hub_requests();
  files_.Restart(SimulatedFileSystem::Cut::kPower, 1);
  ExpectAll(Fetch("hf://org/repo"), kRepository, "");
  EXPECT_EQ(hub_.hub_requests(), requests);

  // One that is gone comes back alone.
  ASSERT_TRUE(files_.Remove(Fetch("hf://org/repo")->files[3].path).ok());
  const size_t before = hub_.cdn_files().size();
  ExpectAll(Fetch("hf://org/repo"), kRepository, "");
  const std::vector<std::string> asked = hub_.cdn_files();
  EXPECT_EQ(std::count(asked.begin() + before, asked.end(), "model-2.safetensors"), 3);
  EXPECT_EQ(asked.size(), before + 3);
}

TEST_F(WeightsTest, ARepositoryWithOneFileOfWeights) {
  ServeRepository();
  hub_.AddInLfs("model.safetensors", FakeHub::RandomBytes(12000));
  ExpectAll(Fetch("hf://org/repo"), {"chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"}, "");
}

TEST_F(WeightsTest, FilesInGitAreHeldAgainstGitsHash) {
  EXPECT_EQ(FakeHub::BlobId("hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a") << "as git hash-object says";
  ServeRepository();
  hub_.files["config.json"].content = "[]";
  ExpectStatus(absl::StatusCode::kFailedPrecondition, absl::StrCat(", not ", FakeHub::BlobId("{}")), "hf://org/repo");
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(WeightsTest, SaysWhatARepositoryLacks) {
  ExpectStatus(absl::StatusCode::kNotFound, "a GGUF model is given by its file", "hf://org/repo");
  hub_.hub_fault = [](int) { return FakeHttpReply{.status = 403}; };
  EXPECT_FALSE(absl::StrContains(Fetch("hf://org/repo").status().message(), "GGUF"));
  hub_.hub_fault = nullptr;
  ServeRepository();
  hub_.files.erase("tokenizer.json");
  ExpectStatus(absl::StatusCode::kNotFound, "a tokenizer.model is not read", "hf://org/repo");
  ServeRepository();
  hub_.files.erase("model-2.safetensors");
  ExpectStatus(absl::StatusCode::kNotFound, "model-2.safetensors", "hf://org/repo");
  for (const char* index : {"{", R"({"weight_map":{"a":"config.json"}})", R"({"weight_map":{"a":"../a.safetensors"}})",
                            R"({"weight_map":{"a":"a\n.safetensors"}})"}) {
    hub_.AddInGit("model.safetensors.index.json", index);
    const absl::Status status = Fetch("hf://org/repo").status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status)) << index << status;
  }
  hub_.files.erase("model.safetensors.index.json");
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "neither model.safetensors nor", "hf://org/repo");
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(WeightsTest, AllFilesAreOfTheFirstOnesCommit) {
  ServeRepository();
  for (const auto& [name, file] : hub_.files) {
    hub_.next_files[name] = {file.content + "\n", file.tag.size() == 40 ? FakeHub::BlobId(file.content + "\n")
                                                                        : FakeHub::Sha256(file.content + "\n")};
  }
  int requests = 1;
  for (int moves_at = 0; moves_at <= requests; ++moves_at) {
    SCOPED_TRACE(moves_at);
    const int before = hub_.hub_requests();
    hub_.main_moves_at = before + moves_at;
    const absl::StatusOr<FetchedWeights> fetched = Fetch("hf://org/repo");
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    requests = hub_.hub_requests() - before;
    for (const FetchedWeights::File& file : fetched->files) {
      const std::string name = file.path.substr(file.path.rfind('/') + 1);
      EXPECT_TRUE(files_.Contents(file.path) == (moves_at == 0 ? hub_.next_files : hub_.files)[name].content) << name;
    }
    for (const std::string& path : files_.Paths()) ASSERT_TRUE(files_.Remove(path).ok());
  }
  EXPECT_GT(requests, 10);
}

TEST_F(WeightsTest, OneFileIsOfItsCommitToo) {
  hub_.main_moves_at = 1;
  ExpectWhole(Fetch());
}

TEST_F(WeightsTest, ADamagedFileComesBackFromTheSameCommit) {
  ServeRepository();
  const absl::StatusOr<FetchedWeights> fetched = Fetch("hf://org/repo");
  ExpectAll(fetched, kRepository, "");
  hub_.main_moves_at = 0;
  ASSERT_TRUE(files_.Remove(fetched->files[2].path).ok());
  ExpectAll(Fetch("hf://org/repo"), kRepository, "");
}

TEST_F(WeightsTest, SeveralFilesNeedACommit) {
  ServeRepository();
  hub_.hub_change = [](int, FakeHttpReply& reply) {
    std::erase_if(reply.headers, [](const auto& header) { return header.first == "x-repo-commit"; });
  };
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "names no commit", "hf://org/repo");
  EXPECT_TRUE(files_.Paths().empty());
  ExpectAll(Fetch(absl::StrCat("hf://org/repo@", FakeHub::kCommit)), kRepository, "");
  ExpectWhole(Fetch());
  const int before = hub_.hub_requests();
  hub_.hub_change = [before](int number, FakeHttpReply& reply) {
    for (auto& [name, value] : reply.headers) {
      if (name == "x-repo-commit" && number > before + 3) value = FakeHub::kNextCommit;
    }
  };
  ExpectStatus(absl::StatusCode::kFailedPrecondition,
               absl::StrCat("commit ", FakeHub::kNextCommit, ", not ", FakeHub::kCommit), "hf://org/repo@main");
}

TEST_F(WeightsTest, WhatIsNotFoundIsNotThereOnlyIfTheHubSaysSo) {
  ServeRepository();
  hub_.hub_change = [](int, FakeHttpReply& reply) {
    std::erase_if(reply.headers, [](const auto& header) { return header.first == "x-error-code"; });
  };
  ExpectStatus(absl::StatusCode::kNotFound, "tokenizer_config.json@", "hf://org/repo");
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(WeightsTest, AnEmptyOptionalFileCountsAsNone) {
  ServeRepository();
  hub_.AddInGit("tokenizer_config.json", "");
  hub_.AddInLfs("generation_config.json", "");
  ExpectAll(Fetch("hf://org/repo"), kRepository, "");
  hub_.AddInGit("tokenizer.json", "");
  const std::string again = absl::StrCat("hf://org/repo@", FakeHub::kCommit);  // of which nothing is known
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "tokenizer.json", again);
}

TEST_F(WeightsTest, OnlyTextIsKeptInMemory) {
  ServeRepository();
  hub_.AddInGit("model-2.safetensors", FakeHub::RandomBytes(100));
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "model-2.safetensors is not in LFS", "hf://org/repo");
  ServeRepository();
  hub_.AddInGit("tokenizer.json", std::string(33 << 20, ' '));
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "more than 33554432 bytes", "hf://org/repo");
  ServeRepository();
  hub_.AddInLfs("model.safetensors.index.json", "{}");
  hub_.hub_change = [](int, FakeHttpReply& reply) {
    for (auto& [name, value] : reply.headers) {
      if (name == "x-linked-size" && value == "2") value = absl::StrCat((32 << 20) + 1);
    }
  };
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "index.json has 33554433 bytes", "hf://org/repo");
  const int asked = hub_.hub_requests();
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "99999 files", "hf://org/repo/m-00001-of-99999.gguf");
  EXPECT_EQ(hub_.hub_requests(), asked);
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(WeightsTest, ARepositoryIsWholeAfterAnyCut) {
  ServeRepository();
  bool whole = false;
  int resumed = 0;
  for (uint32_t changes = 1; !whole; ++changes) {
    SCOPED_TRACE(changes);
    files_.CutAfter(changes, changes);
    whole = Fetch("hf://org/repo", 2).ok();
    files_.Restart(changes % 2 == 0 ? SimulatedFileSystem::Cut::kKill : SimulatedFileSystem::Cut::kPower, changes);
    const size_t before = hub_.cdn_files().size();
    const absl::StatusOr<FetchedWeights> fetched = Fetch("hf://org/repo");
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    for (const FetchedWeights::File& file : fetched->files) {
      EXPECT_EQ(FakeHub::Sha256(files_.Contents(file.path)), file.sha256);
    }
    resumed += hub_.cdn_files().size() - before < 7;  // 1, 3 and 3 pieces
    for (const std::string& path : files_.Paths()) {
      EXPECT_FALSE(absl::EndsWith(path, ".part") || absl::EndsWith(path, ".pieces")) << path;
      ASSERT_TRUE(files_.Remove(path).ok());
    }
    files_.Restart(SimulatedFileSystem::Cut::kKill, 0);
    ASSERT_LT(changes, 300);
  }
  EXPECT_GT(resumed, 3);
}

TEST_F(WeightsTest, AnyWebServer) {
  for (const bool knows_ranges : {true, false}) {
    const FakeHttpServer server([&](const FakeHttpRequest& request) -> FakeHttpReply {
      EXPECT_FALSE(FindHeader(request.headers, "authorization").has_value());
      if (request.target == "/moved/model.gguf?key=secret") {
        return {.status = 302, .headers = {{"location", "/model.gguf"}}};
      }
      return knows_ranges ? FakeHub::Ranged(request, hub_.content) : FakeHttpReply{.body = hub_.content};
    });
    ExpectWhole(Fetch(absl::StrCat(server.url(), "/moved/model.gguf?key=secret#sha256=", hub_.tag)));
    ASSERT_TRUE(files_.Remove(absl::StrCat("/v/weights/", hub_.tag, "/model.gguf")).ok());

    const std::string other(64, 'a');
    ExpectStatus(absl::StatusCode::kFailedPrecondition, absl::StrCat("SHA-256 ", hub_.tag, ", not ", other),
                 absl::StrCat(server.url(), "/model.gguf#sha256=", other));
  }
}

// Without ranges all of it comes again.
TEST_F(WeightsTest, ProgressGoesBackWithACutThatCannotBeResumed) {
  int requests = 0;
  const FakeHttpServer server([&](const FakeHttpRequest& request) {
    FakeHttpReply reply{.body = hub_.content};
    if (request.method == "GET" && requests++ < 2) reply.cut_after = hub_.content.size() - 100;
    return reply;
  });
  ExpectWhole(Fetch(absl::StrCat(server.url(), "/model.gguf#sha256=", hub_.tag)));
  EXPECT_EQ(completions_, 1);
}

// A server that is not sure how long its file is.
TEST_F(WeightsTest, MoreBytesThanWereSaidAreRefused) {
  int requests = 0;
  const FakeHttpServer server([&](const FakeHttpRequest&) -> FakeHttpReply {
    FakeHttpReply reply{.body = hub_.content};
    if (requests++ % 2 == 0) reply.body.resize(30000);
    return reply;
  });
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "/model.gguf': too many bytes",
               absl::StrCat(server.url(), "/model.gguf#sha256=", hub_.tag));
  const FakeHttpServer unsure([&](const FakeHttpRequest&) -> FakeHttpReply {
    return {.headers = {{"transfer-encoding", "chunked"}, {"content-length", ""}}, .body = "0\r\n\r\n"};
  });
  ExpectStatus(absl::StatusCode::kFailedPrecondition, "/model.gguf': of no known size",
               absl::StrCat(unsure.url(), "/model.gguf#sha256=", hub_.tag));
}

TEST_F(WeightsTest, AFileOfThisMachineStaysWhereItIs) {
  EXPECT_EQ(Fetch("file:///models/a.gguf")->path, "/models/a.gguf");
  EXPECT_TRUE(files_.Paths().empty());
}

}  // namespace
}  // namespace spotinference
