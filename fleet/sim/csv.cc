#include "fleet/sim/csv.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace spotinference::fleet::sim {
namespace {

void Split(absl::string_view line, CsvRow& fields) {
  fields.clear();
  for (size_t begin = 0;;) {
    const size_t end = line.find(',', begin);
    fields.push_back(line.substr(begin, end - begin));
    if (end == absl::string_view::npos) return;
    begin = end + 1;
  }
}

std::string Shown(absl::string_view line) { return absl::CHexEscape(line.substr(0, 80)); }

}  // namespace

absl::Status ForEachRow(absl::string_view text, absl::string_view name, absl::string_view head,
                        absl::FunctionRef<absl::Status(const CsvRow&)> row) {
  const size_t columns = 1 + std::count(head.begin(), head.end(), ',');
  CsvRow fields;
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    absl::string_view line = absl::StripSuffix(text.substr(0, end), "\r");
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    absl::Status status;
    if (number == 1) {
      if (line != head)
        status = absl::InvalidArgumentError(absl::StrCat("'", Shown(line), "' is not the head '", head, "'"));
    } else if (!line.empty()) {
      Split(line, fields);
      status = fields.size() == columns ? row(fields)
                                        : absl::InvalidArgumentError(absl::StrCat(fields.size(), " fields, not ",
                                                                                  columns, ": '", Shown(line), "'"));
    }
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(name, ":", number, ": ", status.message()));
  }
  if (number == 0) return absl::InvalidArgumentError(absl::StrCat(name, ":1: empty; the head '", head, "' is wanted"));
  return absl::OkStatus();
}

}  // namespace spotinference::fleet::sim
