// Ends a stream of text at the first stop string, wherever token borders cut it.
#ifndef ENGINE_TEXT_STOP_STRINGS_H_
#define ENGINE_TEXT_STOP_STRINGS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spotinference {

// The stop string whose last byte comes first ends the text; of several that end there, the
// longest. How the text is cut into calls changes nothing but which call gives which part. Constant
// time per byte and stop string (Knuth, Morris and Pratt 1977). For one sequence and one thread; a
// copy shares the tables, 9 bytes for each of the stop strings'.
class StopStrings {
 public:
  // Stop strings are UTF-8; empty ones never match.
  explicit StopStrings(std::vector<std::string> stops);

  // `text` is whole characters. Returns what can be shown now, in whole characters: all but an end
  // that may yet become a stop string. The stop string itself and what follows it are never shown.
  std::string Feed(std::string_view text);

  // The text has ended: what was held back.
  std::string Flush();

  bool stopped() const { return stopped_; }

 private:
  struct Stop {
    std::string text;
    std::vector<size_t>
        border;  // [i]: longest proper prefix of text that is a suffix of its first i + 1 bytes
  };

  std::shared_ptr<const std::vector<Stop>> stops_;
  std::vector<size_t> matched_;  // how much of each the text so far ends with
  std::string held_;
  bool stopped_ = false;
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_STOP_STRINGS_H_
