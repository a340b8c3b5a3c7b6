#include "fleet/faults/storage_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/ledger/billing.h"

namespace spotinference::fleet {
namespace {

constexpr double kCent = 0.01;

double Cost(double per_hour, absl::Duration time) {
  return per_hour * absl::FDivDuration(std::max(absl::ZeroDuration(), time), absl::Hours(1));
}

}  // namespace

double StorageWatch::Dollars() const {
  double dollars = cloud_.model().deleted_volumes_dollars();
  for (const auto& [number, volume] : cloud_.model().volumes()) dollars += cloud_.model().Bill(volume);
  return dollars;
}

void StorageWatch::OnEvent(const MachineEvent& event) {
  const auto discard = discards_.find(event.machine_id);
  if (event.kind != MachineEvent::Kind::kGone || !event.status.ok() || discard == discards_.end()) return;
  Row& row = rows_[discard->second];
  row.gone_at = sim_.now();
  row.seen = event.volume_ended.has_value();
  rows_of_ = -1;
  discards_.erase(discard);
}

void StorageWatch::Check() {
  longest_skew_ = std::max(longest_skew_, absl::AbsDuration(sim_.clock.skew));
  const auto& volumes = cloud_.model().volumes();
  for (const auto& [number, volume] : volumes) {
    if (there_.contains(number)) continue;
    const double per_hour = VolumePerHour(BillingRulesOf(volume.cloud), static_cast<double>(volume.gigabytes));
    there_[number] = {volume.name, {.made = volume.made, .deleted = {}, .per_hour = per_hour}};
  }
  for (auto volume = there_.begin(); volume != there_.end();) {
    if (volumes.contains(volume->first)) {
      ++volume;
      continue;
    }
    auto& [name, piece] = volume->second;
    piece.deleted = sim_.now();
    deleted_[name].push_back(piece);
    volume = there_.erase(volume);
  }
  if (std::exchange(rows_of_, store_.writes()) != store_.writes()) CheckRows();
}

void StorageWatch::CheckRows() {
  for (auto row = rows_.begin(); row != rows_.end();) {
    const auto known = store_.volumes().find(row->first);
    const absl::Time made = row->second.record.made;
    const bool ended = known == store_.volumes().end() || (made > absl::InfinitePast() && known->second.made != made);
    if (ended) Settle(row->second);
    row = ended ? rows_.erase(row) : std::next(row);
  }
  for (const auto& [name, record] : store_.volumes()) rows_[name].record = record;
}

// The controller has its row from `made` on, which is one of the pieces' begin, to its end, as if there had been no
// others before and no time in between.
void StorageWatch::Settle(const Row& row) {
  const std::vector<Piece> pieces = std::exchange(deleted_[names_.Volume(row.record.name)], {});
  if (pieces.empty()) return;
  const auto first = std::find_if(pieces.begin(), pieces.end(),
                                  [&](const Piece& piece) { return SimCloud::TimeOf(piece.made) == row.record.made; });
  const bool never_told = row.record.made == absl::InfinitePast();
  for (auto piece = pieces.begin(); piece != pieces.end(); ++piece) {
    if (never_told || (first != pieces.end() && piece < first)) {
      under_ += Cost(piece->per_hour, piece->deleted - piece->made);
    } else if (std::next(piece) != pieces.end()) {
      over_ += Cost(piece->per_hour, std::next(piece)->made - piece->deleted);
    }
  }
  const Piece& last = pieces.back();
  const absl::Duration word = row.gone_at < absl::InfiniteDuration() ? row.gone_at : sim_.now();
  over_ += Cost(last.per_hour, word - last.deleted + longest_skew_);
  under_ += Cost(last.per_hour, longest_skew_);
  if (!row.seen) under_ += Cost(last.per_hour, SimCloud::TimeOf(last.deleted) - row.record.ending_since);
}

void StorageWatch::CheckLedger(double dollars) {
  Check();
  double doubt = 0;  // of those that are there
  for (const auto& [number, volume] : there_) doubt += Cost(volume.second.per_hour, longest_skew_);
  const double bill = Dollars();
  if (dollars <= bill + over_ + doubt + kCent && dollars >= bill - under_ - doubt - kCent) return;
  sim_.Break(absl::StrCat("the ledger has ", dollars, " dollars of volumes and the cloud's bill ", bill,
                          "; for what it does not tell ", over_ + doubt, " more and ", under_ + doubt,
                          " less are right"));
}

}  // namespace spotinference::fleet
