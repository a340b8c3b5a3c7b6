// What the market has shown: how often each failure domain loses machines, and where there is none to be had just now.
//
// A domain is a zone's spot market of one provider and machine type; the caller numbers them from 0.
//
// Each time that a zone opens (a launch succeeds where there was trouble) it stays open for a time of its own: the rate
// at which this opening ends is Gamma-distributed over openings, with shape α and scale 1/a, so that after `age` hours
// without trouble its posterior mean is α / (a + age). A zone that has just opened is closed soon, one that has been
// open for days stays open (spot lifetimes are heavy-tailed, as many have measured). a is half an hour; α is learned by
// domain from its own openings, whose evidence halves every four days, and begins at 1. Machines that go within three
// minutes, before what was lost can be replaced, are one loss.
//
// How many of a domain's machines a loss takes is learned, too: `whole`, the share of the others that went with the first
// one, begins at 1, as if four had been seen to go. Rather than so many of them each time, all are taken to go in that
// share of the losses and one in the others, which with the same mean is the harder to stand in for.
//
// Not thread-safe; no clock. Times are Clock::Elapsed() and never step back.
#ifndef FLEET_PLAN_MARKET_MEMORY_H_
#define FLEET_PLAN_MARKET_MEMORY_H_

#include <limits>
#include <vector>

#include "absl/time/time.h"

namespace spotinference::fleet {

struct Outlook {
  double losses_per_hour = 0;  // of the domain, while machines of ours are in it
  double whole = 1;            // the share of them that takes all of its machines; the others take one
  absl::Duration warning;      // a machine serves for at least that long after the first word, nine times of ten
  // Machines more that can be counted on. None after a stock-out or a loss; what came up since, twice.
  int room = std::numeric_limits<int>::max();
  absl::Duration closed_until = -absl::InfiniteDuration();  // not to be asked for more than `room` before that
};

class MarketMemory {
 public:
  struct Domain {
    int machines = 0;
    absl::Duration opened;                            // while there are machines
    absl::Duration left = -absl::InfiniteDuration();  // when we ended the last one
    bool open = false;                                // as last seen
    double losses = 0, exposure = 0;                  // decayed: openings that ended, and their ∫ dt / (a + age)
    absl::Duration counted;                           // up to when exposure is
    double others = 0, went = 0;  // decayed: machines beside one that was lost, and those of them that went with it
    int beside = 0;               // of the last loss's others, those that have not gone
    absl::Duration last_loss = -absl::InfiniteDuration();  // its first machine's
    absl::Duration closed_until = -absl::InfiniteDuration();
    int stock_outs = 0;  // in a row
    int came = -1;       // machines since the last stock-out or loss; -1: there was none
  };
  // Of all domains.
  struct Common {
    double joint = 0, trials = 0;  // pairs of domains at a loss of one, and those of them that both went; decayed
    absl::Duration paired;         // up to when
    // Warnings are a provider's habit, not a zone's. Moves up by a tenth of a step where a loss gave more, down by nine
    // tenths where it gave less: the tenth percentile (Robbins and Monro, 1951).
    absl::Duration warning;
  };

  // For another life of the process, which has no machines until they are told of again.
  Domain Kept(int domain, absl::Duration now) const;
  const Common& common() const { return common_; }
  // What a former life has kept, its times moved to this one's clock. What lies after `now` is as if it were now.
  void Recall(int domain, Domain kept, absl::Duration now);
  void Recall(Common kept, absl::Duration now);

  void Began(int domain, absl::Duration now);  // a machine exists there
  void Ended(int domain, absl::Duration now);  // one that began is gone, as we asked
  // One that began goes, or is gone, by its provider's doing; it serves until `serves_until`. Ended does not follow.
  void Lost(int domain, absl::Duration serves_until, absl::Duration now);
  void StockOut(int domain, absl::Duration now);

  Outlook Of(int domain, absl::Duration now) const;
  // The share of a domain's losses with which another one of ours goes, before what was lost can be replaced (3 min).
  // One in ten to begin with, as if of five that were seen; forgotten as α is.
  double Together() const { return (0.5 + common_.joint) / (5 + common_.trials); }

 private:
  Domain& At(int domain);
  static void Count(Domain& domain, absl::Duration now);
  void Close(Domain& domain, absl::Duration now);

  void CountTogether(int domain, absl::Duration now);

  std::vector<Domain> domains_;
  Common common_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_MARKET_MEMORY_H_
