#include "engine/base/weights_source.h"

#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

const std::string kHash(64, 'a');

TEST(WeightsSourceTest, Files) {
  for (const char* text : {"file:///models/a.gguf", "/models/a.gguf"}) {
    const auto source = ParseWeightsSource(text);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ(source->kind, WeightsSource::Kind::kFile);
    EXPECT_EQ(source->path, "/models/a.gguf");
  }
  EXPECT_EQ(ParseWeightsSource("models/a.gguf")->path, "models/a.gguf");
  const auto hashed = ParseWeightsSource("file:///models/#1/a.gguf#sha256=" + std::string(64, 'A'));
  ASSERT_TRUE(hashed.ok()) << hashed.status();
  EXPECT_EQ(hashed->path, "/models/#1/a.gguf");
  EXPECT_EQ(hashed->sha256, kHash);
  EXPECT_EQ(ParseWeightsSource("/a#sha256=1")->path, "/a#sha256=1");
}

TEST(WeightsSourceTest, Web) {
  const auto source = ParseWeightsSource("https://host/dir/a.gguf?download=true#sha256=" + std::string(64, 'A'));
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->kind, WeightsSource::Kind::kWeb);
  EXPECT_EQ(source->url, "https://host/dir/a.gguf?download=true");
  EXPECT_EQ(source->sha256, kHash);
  EXPECT_EQ(source->file_name(), "a.gguf");
  EXPECT_TRUE(ParseWeightsSource("http://127.0.0.1:80/a#sha256=" + kHash).ok());
}

TEST(WeightsSourceTest, Hub) {
  const auto source = ParseWeightsSource("hf://org/repo-GGUF/sub dir/model Q4.gguf@refs/pr/1");
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->kind, WeightsSource::Kind::kHub);
  EXPECT_EQ(source->repository, "org/repo-GGUF");
  EXPECT_EQ(source->file, "sub dir/model Q4.gguf");
  EXPECT_EQ(source->revision, "refs/pr/1");
  EXPECT_EQ(HubUrl("https://huggingface.co", *source),
            "https://huggingface.co/org/repo-GGUF/resolve/refs%2Fpr%2F1/sub%20dir/model%20Q4.gguf");
  EXPECT_EQ(ParseWeightsSource("hf://org/repo/a.gguf")->revision, "main");
  EXPECT_EQ(HubUrl("https://hub", *ParseWeightsSource("hf://org/re po/a.gguf")),
            "https://hub/org/re%20po/resolve/main/a.gguf");
}

TEST(WeightsSourceTest, Repository) {
  const auto source = ParseWeightsSource("hf://org/repo@v1");
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->repository, "org/repo");
  EXPECT_EQ(source->file, "");
  EXPECT_EQ(source->name(), "hf://org/repo@v1");
  EXPECT_EQ(ParseWeightsSource("hf://org/repo")->name(), "hf://org/repo@main");
  EXPECT_EQ(FileOfRepository(*source, "config.json")->name(), "hf://org/repo/config.json@v1");
  for (const char* none : {"", "..", "../a", "a//b", "a\n"}) EXPECT_FALSE(FileOfRepository(*source, none).ok()) << none;
}

TEST(WeightsSourceTest, AQueryIsTakenOutAndPutBack) {
  for (const auto& [text, plain, query] : std::initializer_list<std::tuple<std::string, std::string, std::string>>{
           {"https://h/a.gguf?key=1?2&b#sha256=" + kHash, "https://h/a.gguf#sha256=" + kHash, "key=1?2&b"},
           {"http://127.0.0.1:1/a?k", "http://127.0.0.1:1/a", "k"},
           {"https://h/a.gguf#sha256=" + kHash, "https://h/a.gguf#sha256=" + kHash, ""},
           {"https://h/a#b?c", "https://h/a#b?c", ""},
           {"file:///a?b.gguf", "file:///a?b.gguf", ""},
           {"/a?b.gguf", "/a?b.gguf", ""}}) {
    EXPECT_EQ(SplitQuery(text), std::make_pair(plain, query));
    EXPECT_EQ(WithQuery(plain, query), text);
  }
}

TEST(WeightsSourceTest, SaysWhatIsWrong) {
  for (const auto& [text, why] : std::initializer_list<std::pair<std::string, std::string>>{
           {"", "a path is expected"},
           {"file://#sha256=" + kHash, "a path is expected"},
           {"file:///a#sha256=12", "#sha256= must be followed by"},
           {"ftp://host/a", "file:///…, https://"},
           {"hf://org/repo/folder@v1", "is no .gguf file"},
           {"https://host/a.gguf", "must end in #sha256="},
           {"https://host/a.gguf#sha256=12", "must end in #sha256="},
           {"https://host/a.gguf#sha256=" + std::string(64, 'g'), "must end in #sha256="},
           {"https://user:secret@host/a.gguf#sha256=" + kHash, "must not hold a user"},
           {"https://host/#sha256=" + kHash, "must name a file"},
           {"https://host/..#sha256=" + kHash, "must name a file"},
           {"https://host/a\n#sha256=" + kHash, "a character"},
           {"http://host/a#sha256=" + kHash, "loopback only"},
           {"http://127.0.0.1.example.org/a#sha256=" + kHash, "loopback only"},
           {"https://host/m-00001-of-00002.gguf#sha256=" + kHash, "the first of several files"},
           {"hf://org/a.gguf", "hf://org/repo/file.gguf is expected"},
           {"hf://org/repo/model.safetensors", "by its repository"},
           {"hf://org", "hf://org/repo/file.gguf@revision or hf://org/repo@revision"},
           {"hf://org/repo/../a.gguf", "hf://org/repo/file.gguf@revision"},
           {"hf://org/repo/a.gguf@", "hf://org/repo/file.gguf@revision"},
           {"hf://org/repo@", "hf://org/repo/file.gguf@revision"},
           {"hf://org/repo//a.gguf", "hf://org/repo/file.gguf@revision"}}) {
    const absl::Status status = ParseWeightsSource(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(absl::StrContains(status.message(), why)) << status;
  }
}

}  // namespace
}  // namespace spotinference
