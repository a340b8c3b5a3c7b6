// A dry run: what would be done is said, once, and things stay as they are.
#include <glog/logging.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/controller.h"

namespace spotinference::fleet {

// Not said again until an answer has used the machine, which makes the next time another matter.
bool Controller::Withholds(const Machine& machine, absl::string_view what, absl::string_view why) {
  if (!options_.dry_run) return false;
  if (std::exchange(said_[machine.record.id], std::string(what)) == what) return true;
  const Offer sold = SoldAs(machine);
  LOG(INFO) << "--dry_run: would " << what << " " << machine.record.id << ", which costs " << sold.price_per_hour
            << " dollars an hour: " << why;
  NoteDecision(machine.record.model, &machine, absl::StrCat("would ", what), why);
  return true;
}

bool Controller::Withholds(const Volume& volume, absl::string_view why) {
  if (!options_.dry_run) return false;
  const std::string& name = volume.record.name;
  if (!said_.try_emplace(absl::StrCat("volume ", name)).second) return true;
  const Machine* const holder = HolderOf(name);
  Offer place = volume.record.offer;
  place.price_per_hour = place.volume_per_hour;
  const std::string what =
      absl::StrCat("the volume ", name, holder == nullptr ? "" : absl::StrCat(" and ", holder->record.id));
  LOG(INFO) << "--dry_run: would delete " << what << ", in " << place.zone << ": " << why;
  NoteDecision(volume.record.model, holder, "would delete", absl::StrCat(what, ": ", why), &place);
  return true;
}

// In words that also do for whoever waits for it. Another price is another thing to be bought.
std::string Controller::WithholdPurchase(const Model& model, const Machine* hibernated,
                                         const std::optional<Offer>& offer, absl::string_view why) {
  const Provider::Caps& caps = provider_.caps();
  const Market market = caps.market == MarketName(Market::kSpot) ? Market::kSpot : Market::kOnDemand;
  const Offer place = offer.value_or(Offer{
      .provider = caps.name, .zone = caps.zone, .market = market, .price_per_hour = caps.price_per_hour});
  std::string would = hibernated != nullptr ? absl::StrCat("start ", hibernated->record.id, " again")
                      : offer.has_value()   ? "buy a machine"
                                            : "start a machine";
  if (offer.has_value()) absl::StrAppend(&would, ", ", offer->machine_type, ",");
  absl::StrAppend(&would, " of ", place.provider, place.zone.empty() ? "" : " in ", place.zone, " at ",
                  place.price_per_hour, " dollars an hour");
  if (offer.has_value()) absl::StrAppend(&would, offer->market == Market::kSpot ? ", spot" : ", on demand");
  if (options_.max_dollars_per_day == 0.0 && place.price_per_hour > 0) {
    absl::StrAppend(&would, ", if spend.max_dollars_per_day were not 0");
  }
  const std::string cause = absl::StrCat("--dry_run: would ", would);
  // Each of several in one place is said.
  const auto more = std::count_if(model.to_buy.begin(), model.to_buy.end(),
                                  [&](const auto& other) { return SamePlace(other.first, place); });
  std::string& said = said_[absl::StrCat(model.spec.name, "/", place.provider, "/", place.zone, "/",
                                         MarketName(place.market), "/", place.machine_type, "/", more)];
  if (std::exchange(said, would) == would) return cause;
  LOG(INFO) << cause << ", for " << model.spec.name << ": " << why;
  NoteDecision(model.spec.name, hibernated, hibernated == nullptr ? "would buy" : "would start",
               absl::StrCat(would, ": ", why), &place);
  return cause;
}

}  // namespace spotinference::fleet
