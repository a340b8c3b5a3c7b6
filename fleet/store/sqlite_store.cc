#include "fleet/store/sqlite_store.h"

#include <sqlite3.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "fleet/store/sqlite_schema.h"
#include "fleet/store/sqlite_statement.h"

namespace spotinference::fleet {
namespace {

constexpr int kBusyTimeoutMs = 2000;  // a former owner may be about to close

int64_t MicrosOf(absl::Time time) { return time == absl::InfinitePast() ? 0 : absl::ToUnixMicros(time); }
absl::Time TimeOf(int64_t micros) { return micros == 0 ? absl::InfinitePast() : absl::FromUnixMicros(micros); }

constexpr int64_t kNever = std::numeric_limits<int64_t>::min();
int64_t MicrosOf(absl::Duration time) {
  return time == -absl::InfiniteDuration() ? kNever : absl::ToInt64Microseconds(time);
}
absl::Duration DurationOf(int64_t micros) {
  return micros == kNever ? -absl::InfiniteDuration() : absl::Microseconds(micros);
}

std::string TextOf(const std::vector<PriceChange>& prices) {
  return absl::StrJoin(prices, " ", [](std::string* out, const PriceChange& price) {
    absl::StrAppendFormat(out, "%d:%.17g", absl::ToUnixMicros(price.since), price.per_hour);
  });
}

class SqliteStore : public Store {
 public:
  SqliteStore(std::string path, sqlite3* database) : path_(std::move(path)), database_(database) {}
  ~SqliteStore() override {
    statements_.clear();
    sqlite3_close(database_);
  }

  absl::Status Open() {
    sqlite3_busy_timeout(database_, kBusyTimeoutMs);
    // Exclusive: no second gateway, and no shared-memory file. The first read takes the lock.
    RETURN_IF_ERROR(Execute("PRAGMA locking_mode = EXCLUSIVE"));
    ASSIGN_OR_RETURN(const int64_t application, ReadNumber("PRAGMA application_id"));
    ASSIGN_OR_RETURN(const int64_t version, ReadNumber("PRAGMA user_version"));
    ASSIGN_OR_RETURN(const int64_t tables, ReadNumber("SELECT count(*) FROM sqlite_schema"));
    const bool fresh = tables == 0 && application == 0 && version == 0;
    if (!fresh && application != kApplicationId) {
      return absl::FailedPreconditionError(absl::StrCat(
          path_, " is another program's SQLite file; move it away or choose another data_dir"));
    }
    if (!fresh && (version < 1 || version > kSchemaVersion)) {
      return absl::FailedPreconditionError(
          absl::StrCat(path_, " has schema version ", version, "; this build reads versions up to ",
                       kSchemaVersion, ": use the build that wrote it"));
    }
    ASSIGN_OR_RETURN(const std::string check, ReadText("PRAGMA quick_check(1)"));
    if (check != "ok") return Damaged(check);
    RETURN_IF_ERROR(Execute("PRAGMA journal_mode = WAL"));
    RETURN_IF_ERROR(Execute("PRAGMA synchronous = FULL"));
    for (int64_t made = version; made < kSchemaVersion; ++made) RETURN_IF_ERROR(Execute(kSchemas[made]));
    return Prepare();
  }

  absl::StatusOr<Contents> Load() override {
    Contents contents;
    ASSIGN_OR_RETURN(SqliteStatement machines, Compile("SELECT * FROM machines ORDER BY serial"));
    int code;
    while ((code = machines.Step()) == SQLITE_ROW) {
      MachineRecord record = {.serial = machines.Number(0),
                              .id = machines.Text(1),
                              .model = machines.Text(2),
                              .provider = machines.Text(3),
                              .volume = machines.Text(4),
                              .handle = machines.Text(6),
                              .address = machines.Text(7),
                              .numerics_id = machines.Text(8),
                              .reason = machines.Text(9),
                              .since = absl::FromUnixMicros(machines.Number(10))};
      const std::optional<MachineState> state = ParseMachineState(machines.Text(5));
      if (!state.has_value())
        return Damaged(absl::StrCat("machine ", record.id, " has state '", machines.Text(5), "'"));
      record.state = *state;
      if (!machines.Text(11).empty()) {
        ASSIGN_OR_RETURN(record.offer, OfferOf(machines, 11, record.provider, record.id));
        record.offer->volume_per_hour = machines.Real(19);
      }
      record.billed_until = TimeOf(machines.Number(18));
      ASSIGN_OR_RETURN(record.prices, PricesOf(machines.Text(20), record.id));
      record.public_address = machines.Number(21) != 0;
      record.bought = TimeOf(machines.Number(22));
      record.boot_gigabytes = machines.Real(23);
      contents.machines.push_back(std::move(record));
    }
    if (code != SQLITE_DONE) return Error(code);
    RETURN_IF_ERROR(LoadMeasured("SELECT model, measured_us FROM wakes", contents.wakes));
    RETURN_IF_ERROR(LoadMeasured("SELECT model, measured_us FROM fills", contents.fills));
    RETURN_IF_ERROR(LoadGaps(contents));
    RETURN_IF_ERROR(LoadWakeRecords(contents));
    RETURN_IF_ERROR(LoadBook(contents.book));
    RETURN_IF_ERROR(LoadMarket(contents.market));
    RETURN_IF_ERROR(LoadVolumes(contents.volumes));
    RETURN_IF_ERROR(LoadDecisions(contents.decisions));
    ASSIGN_OR_RETURN(SqliteStatement by_model, Compile("SELECT model, dollars FROM model_spending"));
    while ((code = by_model.Step()) == SQLITE_ROW) contents.spending.models[by_model.Text(0)] = by_model.Real(1);
    if (code != SQLITE_DONE) return Error(code);
    RETURN_IF_ERROR(LoadEndedVolumes(contents.ended_volumes));
    ASSIGN_OR_RETURN(SqliteStatement spending, Compile("SELECT day, dollars FROM spending"));
    if ((code = spending.Step()) == SQLITE_ROW) {
      contents.spending.day = spending.Number(0);
      contents.spending.dollars = spending.Real(1);
    } else if (code != SQLITE_DONE) {
      return Error(code);
    }
    ASSIGN_OR_RETURN(
        const int64_t last,
        ReadNumber("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'machines'"));
    contents.next_serial = last + 1;
    return contents;
  }

  absl::Status Write(const Changes& changes, Sync sync) override {
    RETURN_IF_ERROR(SetSync(sync));
    RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
    absl::Status written = WriteAll(changes);
    if (written.ok()) written = Execute("COMMIT");
    if (!written.ok() && sqlite3_get_autocommit(database_) == 0)
      sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    return written;
  }

 private:
  enum Id { kPut, kRemove, kPutWake, kPutGaps, kPutWakeRecord, kPutSpending, kClearBook, kPutEntry, kPutUntil,
            kClearMarket, kClearBudgets, kPutPlace, kPutBudget, kPutCommon, kPutVolume, kRemoveVolume, kPutFill,
            kPutDecision, kRemoveDecision, kClearModelSpending, kPutModelSpending, kPutEndedVolume,
            kPutStorage };

  absl::Status WriteAll(const Changes& changes) {
    for (const auto& [serial, machine] : changes.machines)
      RETURN_IF_ERROR(machine.has_value() ? PutMachine(*machine) : Do(kRemove, {serial}));
    for (const auto& [name, volume] : changes.volumes)
      RETURN_IF_ERROR(volume.has_value() ? PutVolume(*volume) : Do(kRemoveVolume, {name}));
    for (const auto& [key, volume] : changes.ended_volumes) {
      RETURN_IF_ERROR(Do(kPutEndedVolume, {volume.name, MicrosOf(volume.made), MicrosOf(volume.ended), volume.model,
                                           volume.gigabytes, volume.dollars}));
    }
    for (const auto& [model, measured] : changes.wakes)
      RETURN_IF_ERROR(Do(kPutWake, {model, absl::ToInt64Microseconds(measured)}));
    for (const auto& [model, measured] : changes.fills)
      RETURN_IF_ERROR(Do(kPutFill, {model, absl::ToInt64Microseconds(measured)}));
    for (const auto& [model, gaps] : changes.gaps) RETURN_IF_ERROR(PutGaps(model, gaps));
    for (const auto& [model, record] : changes.wake_records) RETURN_IF_ERROR(PutWakeRecord(model, record));
    if (changes.spending.has_value()) RETURN_IF_ERROR(PutSpending(*changes.spending));
    if (changes.book.has_value()) RETURN_IF_ERROR(PutBook(*changes.book));
    for (const auto& [number, decision] : changes.decisions)
      RETURN_IF_ERROR(decision.has_value() ? PutDecision(number, *decision) : Do(kRemoveDecision, {number}));
    return changes.market.has_value() ? PutMarket(*changes.market) : absl::OkStatus();
  }

  absl::Status PutMachine(const MachineRecord& machine) {
    const Offer offer = machine.offer.value_or(Offer{});
    const std::string prices = TextOf(machine.prices);
    return Do(kPut, {machine.serial, machine.id, machine.model, machine.provider, machine.volume,
                     MachineStateName(machine.state), machine.handle, machine.address, machine.numerics_id,
                     machine.reason, absl::ToUnixMicros(machine.since),
                     machine.offer.has_value() ? MarketName(offer.market) : "", offer.region, offer.zone,
                     offer.machine_type, offer.accelerator, int64_t{offer.accelerators}, offer.price_per_hour,
                     MicrosOf(machine.billed_until), offer.volume_per_hour, prices, int64_t{machine.public_address},
                     MicrosOf(machine.bought), machine.boot_gigabytes});
  }

  absl::Status PutVolume(const VolumeRecord& volume) {
    const Offer& offer = volume.offer;
    return Do(kPutVolume, {volume.name, volume.model, volume.machine, int64_t{volume.filled}, int64_t{volume.ending},
                           MicrosOf(volume.unused_since), offer.provider, MarketName(offer.market), offer.region,
                           offer.zone, offer.machine_type, offer.accelerator, int64_t{offer.accelerators},
                           offer.price_per_hour, offer.volume_per_hour, MicrosOf(volume.ending_since),
                           MicrosOf(volume.made), volume.gigabytes, volume.per_hour});
  }

  absl::Status PutDecision(int64_t number, const DecisionView& decision) {
    return Do(kPutDecision, {number, MicrosOf(decision.at), decision.model, decision.machine, decision.action, decision.why,
                             decision.provider, decision.market, decision.zone, decision.price_per_hour,
                             int64_t{decision.waiting}, int64_t{decision.active}});
  }

  absl::Status PutGaps(const std::string& model, const std::vector<absl::Duration>& gaps) {
    const std::string text = absl::StrJoin(gaps, " ", [](std::string* out, absl::Duration gap) {
      absl::StrAppend(out, absl::ToInt64Microseconds(gap));
    });
    return Do(kPutGaps, {model, text});
  }

  absl::Status PutWakeRecord(const std::string& model, const WakeRecord& wake) {
    return Do(kPutWakeRecord, {model, MicrosOf(wake.ordered_until), int64_t{wake.strikes}, MicrosOf(wake.blocked_until),
                               static_cast<int64_t>(wake.blocked_by), wake.cause, MicrosOf(wake.began),
                               int64_t{wake.failures_beside}, MicrosOf(wake.none_beside_until)});
  }

  absl::Status PutSpending(const Spending& spending) {
    RETURN_IF_ERROR(Do(kPutSpending, {spending.day, spending.dollars}));
    RETURN_IF_ERROR(Do(kClearModelSpending, {}));
    for (const auto& [model, dollars] : spending.models) RETURN_IF_ERROR(Do(kPutModelSpending, {model, dollars}));
    return absl::OkStatus();
  }

  absl::Status PutBook(const Book& book) {
    RETURN_IF_ERROR(Do(kClearBook, {}));
    for (const Ledger::Entry& entry : book.entries) {
      RETURN_IF_ERROR(Do(kPutEntry, {entry.model, entry.market, UseName(entry.use), entry.key,
                                     absl::ToInt64Nanoseconds(entry.time), entry.dollars, entry.on_demand_dollars,
                                     entry.tokens, entry.machine, entry.address_dollars,
                                     entry.replacing_dollars}));
    }
    for (const auto& [of, sum] : book.storage)
      RETURN_IF_ERROR(Do(kPutStorage, {of.first, of.second, sum.gigabyte_hours, sum.dollars}));
    return Do(kPutUntil, {MicrosOf(book.until)});
  }

  absl::Status PutMarket(const Buyer::Memory& market) {
    for (const Id clear : {kClearMarket, kClearBudgets}) RETURN_IF_ERROR(Do(clear, {}));
    for (const Buyer::Memory::Place& place : market.places) {
      const MarketMemory::Domain& seen = place.seen;
      RETURN_IF_ERROR(Do(kPutPlace, {place.provider, place.zone, MarketName(place.market), place.machine_type,
                                     MicrosOf(seen.opened), MicrosOf(seen.left), int64_t{seen.open}, seen.losses,
                                     seen.exposure, MicrosOf(seen.counted), MicrosOf(seen.last_loss),
                                     MicrosOf(seen.closed_until), int64_t{seen.stock_outs}, int64_t{seen.came},
                                     seen.others, seen.went, int64_t{seen.beside}}));
    }
    for (const auto& [model, budget] : market.budgets) {
      RETURN_IF_ERROR(Do(kPutBudget, {model, budget.total, budget.missed, MicrosOf(budget.hour),
                                      MicrosOf(budget.first), MicrosOf(budget.last)}));
    }
    const MarketMemory::Common& common = market.common;
    return Do(kPutCommon, {common.joint, common.trials, MicrosOf(common.paired), MicrosOf(common.warning)});
  }

  absl::StatusOr<std::vector<PriceChange>> PricesOf(absl::string_view text, const std::string& machine) {
    std::vector<PriceChange> prices;
    for (const absl::string_view change : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
      const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(change, absl::MaxSplits(':', 1));
      int64_t since;
      PriceChange& price = prices.emplace_back();
      if (!absl::SimpleAtoi(parts.first, &since) || !absl::SimpleAtod(parts.second, &price.per_hour) ||
          !std::isfinite(price.per_hour)) {
        return Damaged(absl::StrCat("machine ", machine, " has the price '", change, "'"));
      }
      price.since = absl::FromUnixMicros(since);
    }
    return prices;
  }

  // Its columns from `first` on, which is the market.
  absl::StatusOr<Offer> OfferOf(const SqliteStatement& rows, int first, const std::string& provider,
                                const std::string& whose) {
    const std::string market = rows.Text(first);
    Offer offer = {.provider = provider,
                   .region = rows.Text(first + 1),
                   .zone = rows.Text(first + 2),
                   .machine_type = rows.Text(first + 3),
                   .accelerator = rows.Text(first + 4),
                   .accelerators = static_cast<int>(std::clamp<int64_t>(rows.Number(first + 5), 0, 1 << 20)),
                   .price_per_hour = rows.Real(first + 6)};
    if (market == MarketName(Market::kSpot)) offer.market = Market::kSpot;
    else if (market != MarketName(Market::kOnDemand))
      return Damaged(absl::StrCat(whose, " is of market '", market, "'"));
    return offer;
  }

  absl::Status LoadVolumes(std::vector<VolumeRecord>& volumes) {
    ASSIGN_OR_RETURN(SqliteStatement rows, Compile("SELECT * FROM volumes ORDER BY name"));
    int code;
    while ((code = rows.Step()) == SQLITE_ROW) {
      VolumeRecord& volume = volumes.emplace_back();
      volume = {.name = rows.Text(0),
                .model = rows.Text(1),
                .machine = rows.Text(2),
                .offer = {},
                .filled = rows.Number(3) != 0,
                .ending = rows.Number(4) != 0,
                .unused_since = absl::FromUnixMicros(rows.Number(5)),
                .ending_since = TimeOf(rows.Number(15)),
                .made = TimeOf(rows.Number(16)),
                .gigabytes = rows.Real(17),
                .per_hour = rows.Real(18)};
      ASSIGN_OR_RETURN(volume.offer, OfferOf(rows, 7, rows.Text(6), volume.name));
      volume.offer.volume_per_hour = rows.Real(14);
    }
    return code == SQLITE_DONE ? absl::OkStatus() : Error(code);
  }

  absl::Status LoadDecisions(std::map<int64_t, DecisionView>& decisions) {
    ASSIGN_OR_RETURN(SqliteStatement rows, Compile("SELECT * FROM decisions"));
    int code;
    while ((code = rows.Step()) == SQLITE_ROW) {
      decisions[rows.Number(0)] = {.at = TimeOf(rows.Number(1)),
                                   .model = rows.Text(2),
                                   .machine = rows.Text(3),
                                   .action = rows.Text(4),
                                   .why = rows.Text(5),
                                   .provider = rows.Text(6),
                                   .market = rows.Text(7),
                                   .zone = rows.Text(8),
                                   .price_per_hour = rows.Real(9),
                                   .waiting = static_cast<int>(std::clamp<int64_t>(rows.Number(10), 0, 1 << 30)),
                                   .active = static_cast<int>(std::clamp<int64_t>(rows.Number(11), 0, 1 << 30))};
    }
    return code == SQLITE_DONE ? absl::OkStatus() : Error(code);
  }

  absl::Status LoadEndedVolumes(std::vector<EndedVolume>& volumes) {
    ASSIGN_OR_RETURN(SqliteStatement rows, Compile("SELECT * FROM ended_volumes ORDER BY name, made_us"));
    int code;
    while ((code = rows.Step()) == SQLITE_ROW) {
      volumes.push_back({.name = rows.Text(0),
                         .model = rows.Text(3),
                         .made = absl::FromUnixMicros(rows.Number(1)),
                         .ended = absl::FromUnixMicros(rows.Number(2)),
                         .gigabytes = rows.Real(4),
                         .dollars = rows.Real(5)});
    }
    return code == SQLITE_DONE ? absl::OkStatus() : Error(code);
  }

  absl::Status LoadWakeRecords(Contents& contents) {
    ASSIGN_OR_RETURN(SqliteStatement wakes, Compile("SELECT * FROM wake_records"));
    int code;
    while ((code = wakes.Step()) == SQLITE_ROW) {
      const int64_t strikes = wakes.Number(2), blocked_by = wakes.Number(4), beside = wakes.Number(7);
      constexpr int64_t kMost = std::numeric_limits<int>::max();
      if (strikes < 0 || strikes > kMost || beside < 0 || beside > kMost || blocked_by < 0 ||
          blocked_by > static_cast<int64_t>(Refusal::kBackOff))
        return Damaged(absl::StrCat("model ", wakes.Text(0), " has ", strikes, " strikes and ", beside,
                                    " failures, blocked by ", blocked_by));
      contents.wake_records[wakes.Text(0)] = {.ordered_until = TimeOf(wakes.Number(1)),
                                              .strikes = static_cast<int>(strikes),
                                              .blocked_until = TimeOf(wakes.Number(3)),
                                              .blocked_by = static_cast<Refusal>(blocked_by),
                                              .cause = wakes.Text(5),
                                              .began = TimeOf(wakes.Number(6)),
                                              .failures_beside = static_cast<int>(beside),
                                              .none_beside_until = TimeOf(wakes.Number(8))};
    }
    return code == SQLITE_DONE ? absl::OkStatus() : Error(code);
  }

  absl::Status LoadBook(Book& book) {
    ASSIGN_OR_RETURN(SqliteStatement rows, Compile("SELECT * FROM book"));
    int code;
    while ((code = rows.Step()) == SQLITE_ROW) {
      const std::optional<Use> use = ParseUse(rows.Text(2));
      if (!use.has_value()) return Damaged(absl::StrCat("the ledger has a use '", rows.Text(2), "'"));
      book.entries.push_back({.model = rows.Text(0),
                              .market = rows.Text(1),
                              .use = *use,
                              .key = rows.Text(3),
                              .time = absl::Nanoseconds(rows.Number(4)),
                              .dollars = rows.Real(5),
                              .on_demand_dollars = rows.Real(6),
                              .tokens = rows.Number(7),
                              .machine = rows.Text(8),
                              .address_dollars = rows.Real(9),
                              .replacing_dollars = rows.Real(10)});
    }
    if (code != SQLITE_DONE) return Error(code);
    ASSIGN_OR_RETURN(SqliteStatement storage, Compile("SELECT * FROM storage"));
    while ((code = storage.Step()) == SQLITE_ROW)
      book.storage[{storage.Text(0), storage.Text(1)}] = {storage.Real(2), storage.Real(3)};
    if (code != SQLITE_DONE) return Error(code);
    ASSIGN_OR_RETURN(SqliteStatement until, Compile("SELECT until_us FROM ledger_until"));
    if ((code = until.Step()) == SQLITE_ROW) book.until = TimeOf(until.Number(0));
    return code == SQLITE_ROW || code == SQLITE_DONE ? absl::OkStatus() : Error(code);
  }

  absl::Status LoadMarket(Buyer::Memory& memory) {
    constexpr int64_t kMost = 1 << 20;
    const auto counts = [](double value) { return value >= 0 && value < std::numeric_limits<double>::infinity(); };
    ASSIGN_OR_RETURN(SqliteStatement places, Compile("SELECT * FROM market"));
    int code;
    while ((code = places.Step()) == SQLITE_ROW) {
      const bool spot = places.Text(2) == MarketName(Market::kSpot);
      const int64_t stock_outs = places.Number(12), came = places.Number(13), beside = places.Number(16);
      if ((!spot && places.Text(2) != MarketName(Market::kOnDemand)) || !counts(places.Real(7)) ||
          !counts(places.Real(8)) || !counts(places.Real(14)) || !counts(places.Real(15)) ||
          places.Real(15) > places.Real(14) || stock_outs < 0 || stock_outs > kMost || came < -1 || came > kMost ||
          beside < 0 || beside > kMost)
        return Damaged(absl::StrCat("what is known of ", places.Text(1), " cannot be"));
      memory.places.push_back({.provider = places.Text(0),
                               .zone = places.Text(1),
                               .market = spot ? Market::kSpot : Market::kOnDemand,
                               .machine_type = places.Text(3),
                               .seen = {.opened = DurationOf(places.Number(4)),
                                        .left = DurationOf(places.Number(5)),
                                        .open = places.Number(6) != 0,
                                        .losses = places.Real(7),
                                        .exposure = places.Real(8),
                                        .counted = DurationOf(places.Number(9)),
                                        .others = places.Real(14),
                                        .went = places.Real(15),
                                        .beside = static_cast<int>(beside),
                                        .last_loss = DurationOf(places.Number(10)),
                                        .closed_until = DurationOf(places.Number(11)),
                                        .stock_outs = static_cast<int>(stock_outs),
                                        .came = static_cast<int>(came)}});
    }
    if (code != SQLITE_DONE) return Error(code);
    ASSIGN_OR_RETURN(SqliteStatement budgets, Compile("SELECT * FROM error_budgets"));
    while ((code = budgets.Step()) == SQLITE_ROW) {
      if (!counts(budgets.Real(1)) || !counts(budgets.Real(2)))
        return Damaged(absl::StrCat("the error budget of ", budgets.Text(0), " cannot be"));
      memory.budgets[budgets.Text(0)] = {.total = budgets.Real(1),
                                         .missed = budgets.Real(2),
                                         .hour = DurationOf(budgets.Number(3)),
                                         .first = DurationOf(budgets.Number(4)),
                                         .last = DurationOf(budgets.Number(5))};
    }
    if (code != SQLITE_DONE) return Error(code);
    ASSIGN_OR_RETURN(SqliteStatement common, Compile("SELECT joint, trials, paired_us, warning_us FROM market_common"));
    if ((code = common.Step()) == SQLITE_ROW) {
      if (!counts(common.Real(0)) || !counts(common.Real(1))) return Damaged("what is known of markets cannot be");
      memory.common = {common.Real(0), common.Real(1), DurationOf(common.Number(2)), DurationOf(common.Number(3))};
    }
    return code == SQLITE_ROW || code == SQLITE_DONE ? absl::OkStatus() : Error(code);
  }

  absl::Status LoadMeasured(const char* sql, std::map<std::string, absl::Duration>& by_model) {
    ASSIGN_OR_RETURN(SqliteStatement rows, Compile(sql));
    int code;
    while ((code = rows.Step()) == SQLITE_ROW) by_model[rows.Text(0)] = absl::Microseconds(rows.Number(1));
    return code == SQLITE_DONE ? absl::OkStatus() : Error(code);
  }

  absl::Status LoadGaps(Contents& contents) {
    ASSIGN_OR_RETURN(SqliteStatement gaps, Compile("SELECT model, gaps_us FROM gaps"));
    int code;
    while ((code = gaps.Step()) == SQLITE_ROW) {
      std::vector<absl::Duration>& of_model = contents.gaps[gaps.Text(0)];
      const std::string text = gaps.Text(1);
      for (const absl::string_view number : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
        int64_t microseconds;
        if (!absl::SimpleAtoi(number, &microseconds) || microseconds < 0)
          return Damaged(absl::StrCat("model ", gaps.Text(0), " was idle for '", number, "' us"));
        of_model.push_back(absl::Microseconds(microseconds));
      }
    }
    return code == SQLITE_DONE ? absl::OkStatus() : Error(code);
  }

  absl::Status Prepare() {
    for (const char* sql :
         {"INSERT INTO machines VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
          "ON CONFLICT (serial) DO UPDATE SET "
          "state = excluded.state, handle = excluded.handle, address = excluded.address, "
          "numerics_id = excluded.numerics_id, reason = excluded.reason, since_us = "
          "excluded.since_us, billed_until_us = excluded.billed_until_us, "
          "price_per_hour = excluded.price_per_hour, prices = excluded.prices, "
          "public_address = excluded.public_address, bought_us = excluded.bought_us, "
          "boot_gigabytes = excluded.boot_gigabytes",
          "DELETE FROM machines WHERE serial = ?",
          "INSERT INTO wakes VALUES (?,?) ON CONFLICT (model) DO UPDATE SET "
          "measured_us = excluded.measured_us",
          "INSERT INTO gaps VALUES (?,?) ON CONFLICT (model) DO UPDATE SET "
          "gaps_us = excluded.gaps_us",
          "INSERT OR REPLACE INTO wake_records VALUES (?,?,?,?,?,?,?,?,?)",
          "INSERT OR REPLACE INTO spending VALUES (0,?,?)", "DELETE FROM book",
          "INSERT INTO book VALUES (?,?,?,?,?,?,?,?,?,?,?)",
          "INSERT OR REPLACE INTO ledger_until VALUES (0,?)", "DELETE FROM market", "DELETE FROM error_budgets",
          "INSERT INTO market VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
          "INSERT INTO error_budgets VALUES (?,?,?,?,?,?)",
          "INSERT OR REPLACE INTO market_common VALUES (0,?,?,?,?)",
          "INSERT OR REPLACE INTO volumes VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
          "DELETE FROM volumes WHERE name = ?", "INSERT OR REPLACE INTO fills VALUES (?,?)",
          "INSERT OR REPLACE INTO decisions VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
          "DELETE FROM decisions WHERE number = ?", "DELETE FROM model_spending",
          "INSERT INTO model_spending VALUES (?,?)", "INSERT OR REPLACE INTO ended_volumes VALUES (?,?,?,?,?,?)",
          "INSERT OR REPLACE INTO storage VALUES (?,?,?,?)"}) {
      ASSIGN_OR_RETURN(SqliteStatement statement, Compile(sql));
      statements_.push_back(std::move(statement));
    }
    return absl::OkStatus();
  }

  // In WAL mode NORMAL appends without a sync, FULL syncs all that was appended.
  absl::Status SetSync(Sync sync) {
    if (sync == sync_) return absl::OkStatus();
    RETURN_IF_ERROR(Execute(sync == Sync::kDurable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"));
    sync_ = sync;
    return absl::OkStatus();
  }

  absl::Status Do(Id id, std::initializer_list<SqliteValue> values) {
    statements_[id].Bind(values);
    const int code = statements_[id].Step();
    return code == SQLITE_DONE ? absl::OkStatus() : Error(code);
  }

  absl::Status Execute(const char* sql) {
    const int code = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return absl::OkStatus();
    const absl::Status error = Error(code);
    if (sqlite3_get_autocommit(database_) == 0)
      sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    return error;
  }

  absl::StatusOr<SqliteStatement> Compile(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v2(database_, sql, -1, &statement, nullptr);
    if (code != SQLITE_OK) return Error(code);
    return SqliteStatement(statement);
  }

  absl::StatusOr<std::string> ReadText(const char* sql) {
    ASSIGN_OR_RETURN(SqliteStatement statement, Compile(sql));
    const int code = statement.Step();
    if (code != SQLITE_ROW) return Error(code);
    return statement.Text(0);
  }

  absl::StatusOr<int64_t> ReadNumber(const char* sql) {
    ASSIGN_OR_RETURN(SqliteStatement statement, Compile(sql));
    const int code = statement.Step();
    if (code != SQLITE_ROW) return Error(code);
    return statement.Number(0);
  }

  absl::Status Damaged(absl::string_view how) const {
    return absl::DataLossError(
        absl::StrCat(path_, " is damaged (", how, "); move it away to start with an empty one"));
  }

  absl::Status Error(int code) const {
    const char* const what = sqlite3_errmsg(database_);
    switch (code & 0xff) {
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return absl::UnavailableError(absl::StrCat(
            path_, " is in use by another process; stop that one or choose another data_dir"));
      case SQLITE_NOTADB:
      case SQLITE_CORRUPT: return Damaged(what);
      case SQLITE_FULL:
        return absl::ResourceExhaustedError(absl::StrCat("no space left to write ", path_));
      default: return absl::InternalError(absl::StrCat(path_, ": ", what));
    }
  }

  const std::string path_;
  sqlite3* const database_;
  std::vector<SqliteStatement> statements_;  // by Id
  Sync sync_ = Sync::kDurable;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path) {
  sqlite3* database = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  if (code != SQLITE_OK) {
    const absl::Status error =
        absl::UnavailableError(absl::StrCat("cannot open ", path, ": ", sqlite3_errstr(code)));
    sqlite3_close(database);
    return error;
  }
  auto store = std::make_unique<SqliteStore>(path, database);
  RETURN_IF_ERROR(store->Open());
  return store;
}

}  // namespace spotinference::fleet
