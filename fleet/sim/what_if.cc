#include "fleet/sim/what_if.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "gateway/config/load_config.h"

namespace spotinference::fleet::sim {
namespace {

constexpr absl::string_view kWithoutLimit = "with which nothing is bought: what follows is without that limit";

const config::Model* Find(const config::Config& config, absl::string_view name) {
  const auto model = std::find_if(config.models().begin(), config.models().end(),
                                  [&](const config::Model& model) { return model.name() == name; });
  return model == config.models().end() ? nullptr : &*model;
}

std::string NamesOf(const config::Config& config) {
  std::string names;
  for (const config::Model& model : config.models()) absl::StrAppend(&names, names.empty() ? "" : ", ", model.name());
  return names;
}

// A limit of 0 is none, as with the gateway's --dry_run.
double DayLimit(const config::Machines& machines, const config::Spend& spend) {
  double limit = std::numeric_limits<double>::infinity();
  for (const double each : {machines.max_dollars_per_day(), spend.max_dollars_per_day()}) {
    if (each > 0) limit = std::min(limit, each);
  }
  return limit;
}

absl::Status Apply(const config::Model& model, const config::Spend& spend, Case& to) {
  const config::Machines& machines = model.machines();
  to.profile.set_max_machines(static_cast<int>(machines.max()));
  to.profile.set_park_requests(static_cast<int>(model.park().requests()));
  to.profile.set_max_wait_seconds(absl::ToDoubleSeconds(config::ToDuration(model.park().max_wait())));
  to.profile.set_target_wait_seconds(absl::ToDoubleSeconds(config::ToDuration(model.service().first_token())));
  to.profile.set_target_share(model.service().share());
  RETURN_IF_ERROR(CheckProfile(to.profile));
  to.ours = OurDefaults(to.profile);
  to.ours.wish.min_machines = static_cast<int>(machines.min());
  if (machines.has_max_price()) to.ours.wish.max_price = machines.max_price();
  to.ours.wish.accelerators.assign(machines.accelerators().begin(), machines.accelerators().end());
  to.ours.wish.regions.assign(machines.regions().begin(), machines.regions().end());
  for (const std::string& market : machines.markets()) {
    to.ours.wish.markets.push_back(market == "spot" ? Market::kSpot : Market::kOnDemand);
  }
  if (model.has_idle_timeout()) to.ours.idle_timeout = config::ToDuration(model.idle_timeout());
  to.ours.wake_cap = config::ToDuration(model.wake_cap());
  to.ours.max_dollars_per_day = DayLimit(machines, spend);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Case>> CasesOf(AccessLog log, absl::string_view model, const Profile& profile) {
  std::vector<Case> cases;
  std::string names;
  for (auto& [name, requests] : log.models) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", name);
    if (!model.empty() && name != model) continue;
    cases.push_back({.model = name,
                     .requests = std::move(requests),
                     .span = log.span,
                     .profile = profile,
                     .ours = OurDefaults(profile)});
  }
  if (cases.empty()) return absl::NotFoundError(absl::StrCat("the log has no model '", model, "'; it has ", names));
  return cases;
}

absl::StatusOr<std::vector<std::string>> Configure(absl::string_view yaml, const std::string& file,
                                                   absl::string_view model, std::vector<Case>& cases) {
  ASSIGN_OR_RETURN(const config::Config config, config::ParseConfig(yaml, file));
  std::vector<Case> known;
  std::vector<std::string> notes;
  for (Case& each : cases) {
    absl::string_view name = each.model.empty() ? model : absl::string_view(each.model);
    if (name.empty() && config.models_size() == 1) name = config.models(0).name();
    if (name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, " has several models, ", NamesOf(config), ": --model says of which one these requests are"));
    }
    const config::Model* const found = Find(config, name);
    if (found == nullptr) {
      notes.push_back(absl::StrCat(name, " is not in ", file, ": left out"));
      continue;
    }
    if (const absl::Status status = Apply(*found, config.spend(), each); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": ", name, ": ", status.message()));
    }
    if (found->machines().has_max_dollars_per_day() && found->machines().max_dollars_per_day() == 0) {
      notes.push_back(absl::StrCat(name, ": machines.max_dollars_per_day is 0, ", kWithoutLimit));
    }
    each.model = std::string(name);
    known.push_back(std::move(each));
  }
  if (known.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, " has none of the requests' models; it has ", NamesOf(config)));
  }
  if (config.spend().max_dollars_per_day() == 0) {
    notes.push_back(absl::StrCat("spend.max_dollars_per_day is 0, ", kWithoutLimit));
  }
  cases = std::move(known);
  return notes;
}

}  // namespace spotinference::fleet::sim
