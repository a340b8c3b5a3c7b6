#include "fleet/providers/aws/aws_profile.h"

#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/command.h"

namespace spotinference::fleet {
namespace {

constexpr char kOfAll[] = "DEFAULT";  // a section whose settings every other has, too; not the profile "default"

// Reads lines. A line that is indented deeper than the one of its setting goes on with the setting's value.
class Reader {
 public:
  absl::Status Take(absl::string_view line) {
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty()) {
      if (value_ != nullptr) *value_ += '\n';
      return absl::OkStatus();
    }
    if (text[0] == '#' || text[0] == ';') return absl::OkStatus();
    const size_t indent = text.data() - line.data();
    if (value_ != nullptr && indent > indent_) {
      absl::StrAppend(value_, "\n", text);
      return absl::OkStatus();
    }
    indent_ = indent;
    const size_t end = text.rfind(']');
    if (text[0] == '[' && end != absl::string_view::npos && end > 1) return Open(text.substr(1, end - 1));
    return Set(text);
  }

  // In the file's order.
  absl::StatusOr<std::vector<std::pair<std::string, AwsSettings>>> Sections() && {
    AwsSettings of_all;
    std::vector<std::pair<std::string, AwsSettings>> sections;
    for (auto& [name, settings] : sections_) {
      for (auto& [key, value] : settings) {
        absl::StripTrailingAsciiWhitespace(&value);
        RETURN_IF_ERROR(CheckNested(value));
      }
      if (name == kOfAll) of_all = settings;
    }
    for (auto& [name, settings] : sections_) {
      if (name == kOfAll) continue;
      settings.insert(of_all.begin(), of_all.end());
      sections.emplace_back(name, std::move(settings));
    }
    return sections;
  }

 private:
  absl::Status Open(absl::string_view name) {
    if (!names_.insert(std::string(name)).second) {
      return absl::InvalidArgumentError("a second section of the same name");
    }
    sections_.emplace_back(std::string(name), AwsSettings());
    value_ = nullptr;
    return absl::OkStatus();
  }

  absl::Status Set(absl::string_view text) {
    const size_t sign = text.find_first_of("=:");
    if (sections_.empty()) return absl::InvalidArgumentError("no section begins before it");
    if (sign == absl::string_view::npos || sign == 0) return absl::InvalidArgumentError("neither section nor setting");
    const auto [place, is_new] =
        sections_.back().second.emplace(absl::AsciiStrToLower(absl::StripAsciiWhitespace(text.substr(0, sign))),
                                        std::string(absl::StripAsciiWhitespace(text.substr(sign + 1))));
    if (!is_new) return absl::InvalidArgumentError("the setting is there twice");
    value_ = &place->second;
    return absl::OkStatus();
  }

  // A value that begins on the next line holds settings of its own.
  static absl::Status CheckNested(absl::string_view value) {
    if (!absl::StartsWith(value, "\n")) return absl::OkStatus();
    for (const absl::string_view line : absl::StrSplit(value, '\n', absl::SkipEmpty())) {
      if (!absl::StrContains(line, '=')) return absl::InvalidArgumentError("a nested setting without a value");
    }
    return absl::OkStatus();
  }

  std::vector<std::pair<std::string, AwsSettings>> sections_;
  std::set<std::string> names_;   // of the sections
  std::string* value_ = nullptr;  // of the last setting
  size_t indent_ = std::numeric_limits<size_t>::max();
};

absl::StatusOr<std::vector<std::pair<std::string, AwsSettings>>> ParseSections(absl::string_view text) {
  Reader reader;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::Status status = reader.Take(line);
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", status.message()));
  }
  return std::move(reader).Sections();
}

}  // namespace

absl::StatusOr<AwsProfiles> ParseAwsProfiles(absl::string_view config, absl::string_view credentials) {
  AwsProfiles profiles;
  auto sections = ParseSections(config);
  if (!sections.ok()) return absl::InvalidArgumentError(absl::StrCat("the config file, ", sections.status().message()));
  for (auto& [title, settings] : *sections) {
    const auto words = ShellWords(title);
    const bool is_named = words.ok() && words->size() == 2;
    if (title == "default") profiles.config[title] = settings;
    if (is_named && absl::StartsWith(title, "profile")) profiles.config[(*words)[1]] = settings;
    if (is_named && absl::StartsWith(title, "sso-session")) profiles.sso_sessions[(*words)[1]] = settings;
    if (is_named && absl::StartsWith(title, "services")) profiles.services[(*words)[1]] = settings;
  }
  sections = ParseSections(credentials);
  if (!sections.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("the credentials file, ", sections.status().message()));
  }
  profiles.merged = profiles.config;
  for (auto& [title, settings] : *sections) {
    for (const auto& [name, value] : settings) profiles.merged[title][name] = value;
    profiles.merged[title];  // also without a setting it is a profile
    profiles.credentials[title] = std::move(settings);
  }
  return profiles;
}

std::string SettingOf(const AwsSettings& settings, const std::string& name) {
  const auto setting = settings.find(name);
  return setting == settings.end() ? "" : setting->second;
}

absl::StatusOr<std::string> EndpointOf(const AwsProfiles& profiles, const AwsSettings& profile,
                                       const std::string& service) {
  if (const std::string name = SettingOf(profile, "services"); !name.empty()) {
    const auto services = profiles.services.find(name);
    if (services == profiles.services.end()) {
      return absl::InvalidArgumentError(absl::StrCat("no [services ", name, "]"));
    }
    for (const absl::string_view line : absl::StrSplit(SettingOf(services->second, service), '\n')) {
      const std::pair<absl::string_view, absl::string_view> setting = absl::StrSplit(line, absl::MaxSplits('=', 1));
      const absl::string_view value = absl::StripAsciiWhitespace(setting.second);
      if (absl::StripAsciiWhitespace(setting.first) == "endpoint_url" && !value.empty()) return std::string(value);
    }
  }
  return SettingOf(profile, "endpoint_url");
}

}  // namespace spotinference::fleet
