#include "engine/sample/grammar/formats.h"

#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

// RFC 3339, full-date: only days that exist, from year 1 on.
std::string Date() {
  const std::string leap_year = "(\\d\\d(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)";
  const std::string year = "(\\d{3}[1-9]|\\d\\d[1-9]0|\\d[1-9]00|[1-9]000)";
  const std::string other_days =
      "((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))";
  return absl::StrCat("(", leap_year, "-02-29|", year, "-", other_days, ")");
}

// RFC 3339, full-time, without leap seconds; at most nanoseconds.
std::string Time() {
  return "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
}

// RFC 3339, appendix A; at most nine digits a number.
std::string Duration() {
  const std::string n = "\\d{1,9}";
  const std::string minutes = absl::StrCat(n, "M(", n, "S)?");
  const std::string time = absl::StrCat("T(", n, "H(", minutes, ")?|", minutes, "|", n, "S)");
  const std::string months = absl::StrCat(n, "M(", n, "D)?");
  const std::string date = absl::StrCat("(", n, "Y(", months, ")?|", months, "|", n, "D)(", time, ")?");
  return absl::StrCat("P(", n, "W|", date, "|", time, ")");
}

// RFC 1123: up to four labels, whose hyphens stand alone; each of at most 61 characters, so that all stay within 253.
std::string Hostname() {
  const std::string label = "[A-Za-z0-9](-?[A-Za-z0-9]){0,30}";
  return absl::StrCat("(", label, "\\.){0,3}[A-Za-z](-?[A-Za-z0-9]){0,30}");
}

// RFC 5321's Mailbox, without quoted local parts and address literals.
std::string Email() {
  const std::string atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]";
  return absl::StrCat(atom, "{1,20}(\\.", atom, "{1,20}){0,2}@", Hostname());
}

std::string Ipv4() {
  const std::string octet = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  return absl::StrCat(octet, "(\\.", octet, "){3}");
}

// RFC 3986's IPv6address: all groups, or "::" in place of one or more.
std::string Ipv6() {
  const std::string h16 = "[0-9A-Fa-f]{1,4}";
  const std::string last = absl::StrCat("(", h16, ":", h16, "|", Ipv4(), ")");
  const auto times = [&](int count) { return absl::StrCat("(", h16, ":){", count, "}"); };
  const auto up_to = [&](int count) { return absl::StrCat("((", h16, ":){0,", count, "}", h16, ")?"); };
  std::string all = absl::StrCat("(", times(6), last, "|::", times(5), last);
  for (int before = 0; before <= 4; ++before) {
    absl::StrAppend(&all, "|", up_to(before), "::", times(4 - before), last);
  }
  return absl::StrCat(all, "|", up_to(5), "::", h16, "|", up_to(6), "::)");
}

}  // namespace

std::optional<std::string> FormatPattern(absl::string_view format) {
  const auto whole = [](absl::string_view pattern) { return absl::StrCat("^(", pattern, ")$"); };
  if (format == "date-time") return whole(absl::StrCat(Date(), "T", Time()));
  if (format == "time") return whole(Time());
  if (format == "date") return whole(Date());
  if (format == "duration") return whole(Duration());
  if (format == "email") return whole(Email());
  if (format == "hostname") return whole(Hostname());
  if (format == "ipv4") return whole(Ipv4());
  if (format == "ipv6") return whole(Ipv6());
  if (format == "uuid") return whole("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}");
  return std::nullopt;
}

}  // namespace spotinference
