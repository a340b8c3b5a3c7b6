// The latest decisions, as /admin/v1/decisions shows them and the store keeps them. A plain value.
#ifndef FLEET_DECISION_LOG_H_
#define FLEET_DECISION_LOG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "fleet/api/fleet.h"

namespace spotinference::fleet {

class DecisionLog {
 public:
  using Changes = std::map<int64_t, std::optional<DecisionView>>;  // by number, which ascends; nullopt: it is forgotten

  static constexpr size_t kMost = 256;

  // What a store had, of which those beyond kMost are forgotten. Before the first Note.
  void Recall(const std::map<int64_t, DecisionView>& decisions);

  // Refusals of a model that say the same are one, the latest: clients that try again and again would fill the list.
  void Note(DecisionView decision);

  std::vector<DecisionView> Latest() const;  // newest first

  // Since the last call.
  Changes TakeChanges();
  bool changed() const { return !changes_.empty(); }

 private:
  void Forget(std::map<int64_t, DecisionView>::iterator decision);

  std::map<int64_t, DecisionView> decisions_;
  Changes changes_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_DECISION_LOG_H_
