#include "engine/base/weights_source.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/model_files.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

absl::Status Wrong(absl::string_view text, absl::string_view why) {
  text = text.substr(0, text.find('?'));  // what follows may be secret
  return absl::InvalidArgumentError(absl::StrCat("weights '", absl::CHexEscape(text.substr(0, 256)), "': ", why));
}

// A part of a path that names something, here or elsewhere.
bool IsName(absl::string_view part) {
  return !part.empty() && part != "." && part != ".." &&
         std::all_of(part.begin(), part.end(),
                     [](char c) { return absl::ascii_isalnum(c) || absl::StrContains("._-+ ", c); });
}

bool AreNames(const std::vector<std::string>& parts) { return std::all_of(parts.begin(), parts.end(), IsName); }

bool IsLoopback(absl::string_view rest) {
  return absl::StartsWith(rest, "127.0.0.1:") || absl::StartsWith(rest, "localhost:");
}

// What follows "#sha256=" in lower case; "" where that is no SHA-256.
std::string HashIn(absl::string_view fragment) {
  if (!absl::ConsumePrefix(&fragment, "#sha256=") || !IsHexHash(fragment, 64)) return "";
  return absl::AsciiStrToLower(fragment);
}

// A plain path may hold any character.
absl::StatusOr<WeightsSource> ParseFile(absl::string_view text, absl::string_view path) {
  const size_t hash = path == text ? path.npos : path.rfind("#sha256=");
  WeightsSource source;
  source.path = std::string(path.substr(0, hash));
  if (source.path.empty()) return Wrong(text, "a path is expected");
  if (hash == path.npos) return source;
  source.sha256 = HashIn(path.substr(hash));
  if (source.sha256.empty()) return Wrong(text, "#sha256= must be followed by the 64 hex digits of a SHA-256");
  return source;
}

absl::StatusOr<WeightsSource> ParseWeb(absl::string_view text) {
  const size_t hash = std::min(text.find('#'), text.size());
  WeightsSource source;
  source.kind = WeightsSource::Kind::kWeb;
  source.url = std::string(text.substr(0, hash));
  source.sha256 = HashIn(text.substr(hash));
  if (source.sha256.empty()) {
    return Wrong(text, "must end in #sha256= and the 64 hex digits of the file's SHA-256");
  }
  for (const char c : source.url) {
    if (!absl::ascii_isgraph(c)) return Wrong(text, "has a character that no address has");
  }
  if (absl::StrContains(source.url, '@')) return Wrong("https://...", "must not hold a user or password");
  if (!IsName(source.file_name())) return Wrong(text, "must name a file at its end");
  if (GgufShardPaths(source.file_name()).size() > 1) {
    return Wrong(text, "is the first of several files; such models are taken from hf:// and file:// alone");
  }
  return source;
}

absl::StatusOr<WeightsSource> ParseHub(absl::string_view text, absl::string_view rest) {
  WeightsSource source;
  source.kind = WeightsSource::Kind::kHub;
  const size_t at = rest.find('@');
  source.revision = at == rest.npos ? "main" : std::string(rest.substr(at + 1));
  const std::vector<std::string> parts = absl::StrSplit(rest.substr(0, at), '/');
  const std::vector<std::string> revision = absl::StrSplit(source.revision, '/');
  if (parts.size() < 2 || !AreNames(parts) || !AreNames(revision)) {
    return Wrong(text, "hf://org/repo/file.gguf@revision or hf://org/repo@revision is expected");
  }
  if (parts.size() == 2 && absl::EndsWith(parts[1], ".gguf")) return Wrong(text, "hf://org/repo/file.gguf is expected");
  if (absl::EndsWith(parts.back(), ".safetensors")) {
    return Wrong(text, "a model of safetensors goes by its repository; hf://org/repo@revision is expected");
  }
  if (parts.size() > 2 && !absl::EndsWith(parts.back(), ".gguf")) {
    return Wrong(text, "is no .gguf file; a model of safetensors lies at the top of its repository, hf://org/repo@revision");
  }
  source.repository = absl::StrCat(parts[0], "/", parts[1]);
  source.file = absl::StrJoin(parts.begin() + 2, parts.end(), "/");
  return source;
}

std::string PercentEncoded(absl::string_view text, bool keep_slashes) {
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || absl::StrContains("._-", c) || (c == '/' && keep_slashes)) {
      encoded += c;
    } else {
      absl::StrAppend(&encoded, "%", absl::AsciiStrToUpper(absl::BytesToHexString(absl::string_view(&c, 1))));
    }
  }
  return encoded;
}

}  // namespace

std::string WeightsSource::file_name() const {
  absl::string_view all = kind == Kind::kFile ? path : kind == Kind::kHub ? file : url;
  if (kind == Kind::kWeb) all = all.substr(0, all.find('?'));
  return std::string(all.substr(all.rfind('/') + 1));
}

std::string WeightsSource::name() const {
  switch (kind) {
    case Kind::kFile: return path;
    case Kind::kHub: return absl::StrCat("hf://", repository, file.empty() ? "" : "/", file, "@", revision);
    case Kind::kWeb: return url.substr(0, url.find('?'));
  }
  return "";
}

absl::StatusOr<WeightsSource> ParseWeightsSource(absl::string_view text) {
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "hf://")) return ParseHub(text, rest);
  if (absl::ConsumePrefix(&rest, "https://")) return ParseWeb(text);
  if (absl::ConsumePrefix(&rest, "http://")) {
    if (!IsLoopback(rest)) return Wrong(text, "plain http is taken from loopback only; https:// is expected");
    return ParseWeb(text);
  }
  absl::ConsumePrefix(&rest, "file://");
  if (absl::StrContains(rest, "://")) {
    return Wrong(text, "file:///…, https://…#sha256=…, hf://org/repo/file.gguf@revision or hf://org/repo@revision is "
                       "expected");
  }
  return ParseFile(text, rest);
}

std::pair<std::string, std::string> SplitQuery(absl::string_view text) {
  const size_t hash = std::min(text.find('#'), text.size()), mark = text.substr(0, hash).find('?');
  const bool is_web = absl::StartsWith(text, "https://") || absl::StartsWith(text, "http://");
  if (!is_web || mark == text.npos) return {std::string(text), ""};
  return {absl::StrCat(text.substr(0, mark), text.substr(hash)), std::string(text.substr(mark + 1, hash - mark - 1))};
}

std::string WithQuery(absl::string_view text, absl::string_view query) {
  const size_t hash = std::min(text.find('#'), text.size());
  return absl::StrCat(text.substr(0, hash), query.empty() ? "" : "?", query, text.substr(hash));
}

absl::StatusOr<WeightsSource> FileOfRepository(WeightsSource source, absl::string_view file) {
  if (!AreNames(absl::StrSplit(file, '/'))) {
    return absl::InvalidArgumentError(absl::StrCat("weights '", source.name(), "': a file is called '",
                                                   absl::CHexEscape(file.substr(0, 256)), "'"));
  }
  source.file = std::string(file);
  return source;
}

std::string HubUrl(absl::string_view hub_url, const WeightsSource& source) {
  return absl::StrCat(hub_url, "/", PercentEncoded(source.repository, true), "/resolve/",
                      PercentEncoded(source.revision, false), "/", PercentEncoded(source.file, true));
}

}  // namespace spotinference
