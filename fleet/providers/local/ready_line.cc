#include "fleet/providers/local/ready_line.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace spotinference::fleet {

absl::StatusOr<std::variant<ReadyLine, DownloadLine>> ParseReadyLine(absl::string_view line) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ');
  if (DownloadLine download; words.size() == 3 && words[0] == "download" &&
                             absl::SimpleAtoi(words[1], &download.done_bytes) &&
                             absl::SimpleAtoi(words[2], &download.total_bytes) &&
                             download.done_bytes <= download.total_bytes && download.total_bytes > 0) {
    return download;
  }
  bool good = words.size() == 4 && words[0] == "ready";
  for (const std::string& word : words) {
    good &= !word.empty();
    for (const char c : word) good &= c > ' ' && c < 0x7f;
  }
  if (!good) {
    return absl::InvalidArgumentError(
        absl::StrCat("the engine wrote '", absl::CHexEscape(line.substr(0, 200)),
                     "' instead of 'ready ADDRESS NUMERICS_ID MODEL_HASH'"));
  }
  return ReadyLine{words[1], words[2], words[3]};
}

}  // namespace spotinference::fleet
