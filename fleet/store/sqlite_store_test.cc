#include "fleet/store/sqlite_store.h"

#include <sqlite3.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

constexpr Store::Sync kOrdered = Store::Sync::kOrdered;

absl::Status Put(Store& store, const MachineRecord& machine, Store::Sync sync = Store::Sync::kDurable) {
  return store.Write({.machines = {{machine.serial, machine}}}, sync);
}

class SqliteStoreTest : public testing::Test {
 protected:
  SqliteStoreTest() {
    path_ = testing::TempDir() + "/" +
            testing::UnitTest::GetInstance()->current_test_info()->name() + ".sqlite";
    for (const char* end : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(path_ + end);
  }

  std::unique_ptr<Store> Open() {
    auto store = OpenSqliteStore(path_);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  std::string Bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  void WriteBytes(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  // As another program does.
  void Execute(const std::string& sql) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
  }

  std::string path_;
};

MachineRecord Record(int64_t serial) {
  return {.serial = serial,
          .id = "m-" + std::to_string(serial),
          .model = "m",
          .provider = "local",
          .volume = "m",
          .state = MachineState::kServing,
          .handle = "pid=1",
          .address = "127.0.0.1:1",
          .numerics_id = "n",
          .reason = "it's \"wanted\"; --",
          .since = absl::FromUnixMicros(1767225600123456)};
}

TEST_F(SqliteStoreTest, KeepsMachinesAndWakesAndNeverGivesASerialTwice) {
  {
    auto store = Open();
    EXPECT_EQ(store->Load()->next_serial, 1);
    ASSERT_TRUE(Put(*store, Record(1)).ok());
    ASSERT_TRUE(Put(*store, Record(2)).ok());
    MachineRecord changed = Record(1);
    changed.state = MachineState::kHibernated;
    changed.handle = "";
    ASSERT_TRUE(Put(*store, changed, Store::Sync::kOrdered).ok());
    ASSERT_TRUE(store->Write({.machines = {{2, std::nullopt}}}, kOrdered).ok());
    ASSERT_TRUE(store->Write({.wakes = {{"m", absl::Milliseconds(250)}}}, kOrdered).ok());
    ASSERT_TRUE(store->Write({.wakes = {{"m", absl::Milliseconds(300)}}}, kOrdered).ok());
    ASSERT_TRUE(store->Write({.fills = {{"m", absl::Minutes(4)}}}, kOrdered).ok());
    ASSERT_TRUE(store->Write({.fills = {{"m", absl::Minutes(5)}}}, kOrdered).ok());
    const std::vector<absl::Duration> gaps = {absl::Seconds(2), absl::Microseconds(7), absl::Hours(90)};
    ASSERT_TRUE(store->Write({.gaps = {{"m", {absl::Seconds(1)}}}}, kOrdered).ok());
    ASSERT_TRUE(store->Write({.gaps = {{"m", gaps}}}, kOrdered).ok());
  }
  auto store = Open();
  const auto contents = store->Load();
  ASSERT_TRUE(contents.ok()) << contents.status();
  ASSERT_EQ(contents->machines.size(), 1);
  const MachineRecord& machine = contents->machines[0];
  EXPECT_EQ(machine.serial, 1);
  EXPECT_EQ(machine.id, "m-1");
  EXPECT_EQ(machine.volume, "m");
  EXPECT_EQ(machine.state, MachineState::kHibernated);
  EXPECT_EQ(machine.handle, "");
  EXPECT_EQ(machine.address, "127.0.0.1:1");
  EXPECT_EQ(machine.numerics_id, "n");
  EXPECT_EQ(machine.reason, Record(1).reason);
  EXPECT_EQ(machine.since, Record(1).since);
  EXPECT_EQ(contents->next_serial, 3);
  EXPECT_EQ(contents->wakes.at("m"), absl::Milliseconds(300));
  EXPECT_EQ(contents->fills.at("m"), absl::Minutes(5));
  EXPECT_EQ(contents->gaps.at("m"),
            std::vector<absl::Duration>({absl::Seconds(2), absl::Microseconds(7), absl::Hours(90)}));
}

TEST_F(SqliteStoreTest, ASecondOwnerIsTold) {
  auto store = Open();
  const auto second = OpenSqliteStore(path_);
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
  EXPECT_TRUE(absl::StrContains(second.status().message(), path_ + " is in use"));
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsTold) {
  const std::string bytes(5000, 'x');
  WriteBytes(bytes);
  const auto store = OpenSqliteStore(path_);
  EXPECT_TRUE(absl::IsDataLoss(store.status())) << store.status();
  EXPECT_EQ(Bytes(), bytes);
}

TEST_F(SqliteStoreTest, ADamagedFileIsTold) {
  {
    auto store = Open();
    for (int serial = 1; serial <= 200; ++serial) {
      ASSERT_TRUE(Put(*store, Record(serial), Store::Sync::kOrdered).ok());
    }
  }
  std::string bytes = Bytes();
  ASSERT_GT(bytes.size(), 4 * 4096);
  // Page 1 has the schema and stays; the others lose their headers.
  for (size_t page = 4096; page < bytes.size(); page += 4096) bytes.replace(page, 64, 64, '\xff');
  WriteBytes(bytes);
  const auto store = OpenSqliteStore(path_);
  EXPECT_TRUE(absl::IsDataLoss(store.status())) << store.status();
}

TEST_F(SqliteStoreTest, AnotherProgramsFileAndANewerVersionAreTold) {
  Execute("CREATE TABLE notes (text)");
  const std::string bytes = Bytes();
  const auto foreign = OpenSqliteStore(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(foreign.status())) << foreign.status();
  EXPECT_EQ(Bytes(), bytes);

  std::filesystem::remove(path_);
  Open().reset();
  Execute("PRAGMA user_version = 19");
  const auto newer = OpenSqliteStore(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(newer.status())) << newer.status();
  EXPECT_TRUE(absl::StrContains(newer.status().message(), "schema version 19"));
}

constexpr char kNoMarket[] =
    "DROP TABLE storage; ALTER TABLE machines DROP COLUMN bought_us; ALTER TABLE machines DROP COLUMN boot_gigabytes; "
    "DROP TABLE model_spending; DROP TABLE decisions; DROP TABLE fills; DROP TABLE ended_volumes; DROP TABLE volumes; "
    "ALTER TABLE machines DROP COLUMN public_address; "
    "ALTER TABLE machines DROP COLUMN volume_per_hour; ALTER TABLE machines DROP COLUMN prices; "
    "DROP TABLE market; DROP TABLE market_common; DROP TABLE error_budgets; ";

constexpr char kAsVersion11[] =
    "ALTER TABLE market DROP COLUMN others; ALTER TABLE market DROP COLUMN went; "
    "ALTER TABLE market DROP COLUMN beside; "
    "DROP TABLE storage; ALTER TABLE machines DROP COLUMN bought_us; ALTER TABLE machines DROP COLUMN boot_gigabytes; "
    "DROP TABLE model_spending; DROP TABLE decisions; DROP TABLE ended_volumes; "
    "ALTER TABLE machines DROP COLUMN public_address; ALTER TABLE book DROP COLUMN address_dollars; "
    "ALTER TABLE book DROP COLUMN replacing_dollars; "
    "ALTER TABLE volumes DROP COLUMN ending_since_us; ALTER TABLE volumes DROP COLUMN made_us; "
    "ALTER TABLE volumes DROP COLUMN gigabytes; ALTER TABLE volumes DROP COLUMN per_hour; PRAGMA user_version = 11";

// As builds before this one wrote it.
TEST_F(SqliteStoreTest, OlderVersionsAreReadAndMadeNew) {
  std::string no_offers;
  for (const char* column : {"market", "region", "zone", "machine_type", "accelerator", "accelerators", "price_per_hour"}) {
    absl::StrAppend(&no_offers, "ALTER TABLE machines DROP COLUMN ", column, "; ");
  }
  for (const char* older : {"DROP TABLE wake_records; DROP TABLE gaps; PRAGMA user_version = 1",
                            "DROP TABLE wake_records; DELETE FROM gaps; PRAGMA user_version = 2",
                            "DELETE FROM wake_records; DELETE FROM gaps; ALTER TABLE wake_records DROP COLUMN began_us; "
                            "ALTER TABLE wake_records DROP COLUMN failures_beside; "
                            "ALTER TABLE wake_records DROP COLUMN none_beside_until_us; PRAGMA user_version = 3"}) {
    const std::string back =
        absl::StrCat(no_offers, "ALTER TABLE machines DROP COLUMN billed_until_us; ",
                     kNoMarket, "DROP TABLE spending; DROP TABLE book; DROP TABLE ledger_until; ", older);
    { ASSERT_TRUE(Put(*Open(), Record(1)).ok()); }
    Execute(back.c_str());
    for (int life = 0; life < 2; ++life) {
      auto store = Open();
      EXPECT_EQ(store->Load()->machines.size(), 1);
      EXPECT_EQ(store->Load()->gaps.size(), life);
      EXPECT_EQ(store->Load()->wake_records.size(), life);
      EXPECT_TRUE(store->Write({.gaps = {{"m", {absl::Seconds(1)}}}}, kOrdered).ok());
      EXPECT_TRUE(store->Write({.wake_records = {{"m", {}}}}, kOrdered).ok());
      EXPECT_EQ(store->Load()->book.entries.size(), life);
      const Store::Book book = {{{.model = "m"}}, absl::UnixEpoch() + absl::Hours(1)};
      EXPECT_TRUE(store->Write({.book = book}, kOrdered).ok());
    }
  }
}

// Which had no runs that were not over.
TEST_F(SqliteStoreTest, TheLedgerOfVersion6IsRead) {
  Open().reset();
  Execute(kNoMarket);
  Execute("ALTER TABLE machines DROP COLUMN billed_until_us; DROP TABLE book; "
          "CREATE TABLE ledger (model TEXT NOT NULL, market TEXT NOT NULL, use TEXT NOT NULL, "
          "key TEXT NOT NULL, time_ns INTEGER NOT NULL, dollars REAL NOT NULL, "
          "on_demand_dollars REAL NOT NULL, tokens INTEGER NOT NULL, "
          "PRIMARY KEY (model, market, use, key)) STRICT; "
          "INSERT INTO ledger VALUES ('m', 'spot', 'busy', 'k', 7, 0.5, 1.5, 9); "
          "PRAGMA user_version = 6");
  const Store::Book book = Open()->Load()->book;
  ASSERT_EQ(book.entries.size(), 1);
  EXPECT_EQ(book.entries[0].key + book.entries[0].machine, "k");
  EXPECT_EQ(book.entries[0].time, absl::Nanoseconds(7));
  EXPECT_EQ(book.entries[0].dollars, 0.5);
  EXPECT_EQ(book.entries[0].tokens, 9);
}

TEST_F(SqliteStoreTest, AStoreOfVersion11HasNoDecisionsYet) {
  { ASSERT_TRUE(Put(*Open(), Record(1)).ok()); }
  Execute(kAsVersion11);
  auto store = Open();
  EXPECT_EQ(store->Load()->machines.size(), 1);
  EXPECT_TRUE(store->Load()->decisions.empty());
  EXPECT_TRUE(store->Write({.decisions = {{1, DecisionView{}}}}, kOrdered).ok());
}

TEST_F(SqliteStoreTest, Decisions) {
  const DecisionView launching = {.at = absl::FromUnixMicros(1767225600123456), .model = "m", .machine = "m-7",
                                  .action = "launching", .why = "1 for the load; it's $0.2/h", .provider = "aws",
                                  .market = "spot", .zone = "a", .price_per_hour = 0.2, .waiting = 3, .active = 4};
  {
    auto store = Open();
    ASSERT_TRUE(store->Write({.decisions = {{1, DecisionView{}}, {2, DecisionView{}}}}, kOrdered).ok());
    ASSERT_TRUE(store->Write({.decisions = {{1, std::nullopt}, {2, launching}, {3, DecisionView{}}}}, kOrdered).ok());
  }
  const std::map<int64_t, DecisionView> decisions = Open()->Load()->decisions;
  ASSERT_EQ(decisions.size(), 2);
  const auto& [at, model, machine, action, why, provider, market, zone, price, waiting, active] = decisions.at(2);
  EXPECT_EQ(at, launching.at);
  EXPECT_EQ(model + " " + machine + " " + action, "m m-7 launching");
  EXPECT_EQ(why, launching.why);
  EXPECT_EQ(provider + market + zone, "awsspota");
  EXPECT_EQ(price, 0.2);
  EXPECT_EQ(waiting, 3);
  EXPECT_EQ(active, 4);
  EXPECT_EQ(decisions.count(3), 1);
}

TEST_F(SqliteStoreTest, AMachineAndTheLedgerAreWrittenTogether) {
  const Store::Book open = {{{.model = "m", .dollars = 1, .machine = "m-1"}}, absl::FromUnixSeconds(1)};
  const Store::Book closed = {{{.model = "m", .dollars = 2}}, absl::FromUnixSeconds(2)};
  MachineRecord record = Record(1);
  record.billed_until = absl::FromUnixMicros(1767225600123456);
  {
    auto store = Open();
    ASSERT_TRUE(store->Write({.machines = {{1, record}}, .book = open}, Store::Sync::kDurable).ok());
  }
  {
    auto store = Open();
    EXPECT_EQ(store->Load()->machines[0].billed_until, record.billed_until);
    ASSERT_EQ(store->Load()->book.entries.size(), 1);
    EXPECT_EQ(store->Load()->book.entries[0].machine, "m-1");
    ASSERT_TRUE(store->Write({.machines = {{1, std::nullopt}}, .book = closed}, kOrdered).ok());
  }
  const Store::Contents contents = *Open()->Load();
  EXPECT_TRUE(contents.machines.empty());
  ASSERT_EQ(contents.book.entries.size(), 1);
  EXPECT_EQ(contents.book.entries[0].dollars, 2);
  EXPECT_EQ(contents.book.entries[0].machine, "");
  EXPECT_EQ(contents.book.until, closed.until);
}

TEST_F(SqliteStoreTest, WhatTheMarketHasShown) {
  const absl::Duration now = absl::Seconds(1'767'225'600) + absl::Microseconds(7);
  Buyer::Memory memory;
  memory.places.push_back({.provider = "aws",
                           .zone = "us-east-1a",
                           .market = Market::kSpot,
                           .machine_type = "g6",
                           .seen = {.opened = now - absl::Hours(5),
                                    .left = now,
                                    .open = true,
                                    .losses = 1.5,
                                    .exposure = 2.25,
                                    .counted = now,
                                    .others = 45.5,
                                    .went = 1.25,
                                    .beside = 5,
                                    .last_loss = now - absl::Hours(9),
                                    .closed_until = now + absl::Minutes(1),
                                    .stock_outs = 2,
                                    .came = 3}});
  memory.places.push_back({.provider = "gcp", .zone = "a", .machine_type = "g2", .seen = {.counted = now, .came = 0}});
  memory.common = {.joint = 0.5, .trials = 4, .paired = now, .warning = absl::Seconds(29)};
  memory.budgets["m"] = {.total = 1000, .missed = 3, .hour = now, .first = now - absl::Hours(1), .last = now};
  {
    auto store = Open();
    EXPECT_TRUE(store->Load()->market.places.empty());
    ASSERT_TRUE(store->Write({.market = Buyer::Memory{.budgets = {{"gone", {}}}}}, kOrdered).ok());
    ASSERT_TRUE(store->Write({.market = memory}, kOrdered).ok());
  }
  const Buyer::Memory read = Open()->Load()->market;
  ASSERT_EQ(read.places.size(), 2);
  const auto& [provider, zone, market, machine_type, seen] = read.places[0];
  EXPECT_EQ(provider + zone + machine_type, "awsus-east-1ag6");
  EXPECT_EQ(market, Market::kSpot);
  EXPECT_EQ(seen.opened, now - absl::Hours(5));
  EXPECT_EQ(seen.left, now);
  EXPECT_TRUE(seen.open);
  EXPECT_EQ(seen.losses, 1.5);
  EXPECT_EQ(seen.exposure, 2.25);
  EXPECT_EQ(seen.counted, now);
  EXPECT_EQ(seen.others, 45.5);
  EXPECT_EQ(seen.went, 1.25);
  EXPECT_EQ(seen.beside, 5);
  EXPECT_EQ(seen.last_loss, now - absl::Hours(9));
  EXPECT_EQ(seen.closed_until, now + absl::Minutes(1));
  EXPECT_EQ(seen.stock_outs, 2);
  EXPECT_EQ(seen.came, 3);
  EXPECT_EQ(read.places[1].market, Market::kOnDemand);
  EXPECT_EQ(read.places[1].seen.left, -absl::InfiniteDuration());
  EXPECT_EQ(read.common.joint, 0.5);
  EXPECT_EQ(read.common.trials, 4);
  EXPECT_EQ(read.common.paired, now);
  EXPECT_EQ(read.common.warning, absl::Seconds(29));
  ASSERT_EQ(read.budgets.size(), 1);
  EXPECT_EQ(read.budgets.at("m").missed, 3);
  EXPECT_EQ(read.budgets.at("m").first, now - absl::Hours(1));
}

TEST_F(SqliteStoreTest, WhatADayCost) {
  {
    auto store = Open();
    EXPECT_EQ(store->Load()->spending.day, 0);
    ASSERT_TRUE(store->Write({.spending = Store::Spending{20000, 1.25, {{"gone", 1}}}}, kOrdered).ok());
    ASSERT_TRUE(store->Write({.spending = Store::Spending{20001, 0.5, {{"m", 0.25}, {"n", 0.125}}}}, kOrdered).ok());
  }
  const auto contents = *Open()->Load();
  EXPECT_EQ(contents.spending.day, 20001);
  EXPECT_EQ(contents.spending.dollars, 0.5);
  EXPECT_EQ(contents.spending.models, (std::map<std::string, double>{{"m", 0.25}, {"n", 0.125}}));
}

TEST_F(SqliteStoreTest, TheLedger) {
  const auto entry = [](Use use, const std::string& key, absl::Duration time) {
    return Ledger::Entry{.model = "m", .market = "spot", .use = use, .key = key, .time = time, .dollars = 0.1,
                         .on_demand_dollars = 0.7, .tokens = 12};
  };
  const absl::Time until = absl::FromUnixMicros(1767225600123456);
  {
    auto store = Open();
    EXPECT_EQ(store->Load()->book.until, absl::InfinitePast());
    const Store::Book before = {{entry(Use::kBusy, "k", absl::Seconds(1)), entry(Use::kLost, "", absl::Seconds(2))},
                                until - absl::Seconds(15)};
    const Store::Book after = {{entry(Use::kBusy, "k", absl::Hours(9) + absl::Nanoseconds(1)),
                                entry(Use::kLost, "", absl::Seconds(2)), entry(Use::kIdle, "", absl::Seconds(3))},
                               until};
    for (const Store::Book& book : {before, after}) ASSERT_TRUE(store->Write({.book = book}, kOrdered).ok());
    ASSERT_TRUE(Put(*store, Record(1)).ok());
  }
  const Store::Book book = Open()->Load()->book;
  EXPECT_EQ(book.until, until);
  ASSERT_EQ(book.entries.size(), 3);
  const Ledger::Entry& busy = book.entries[0];
  EXPECT_EQ(busy.use, Use::kBusy);
  EXPECT_EQ(busy.model + busy.market + busy.key, "mspotk");
  EXPECT_EQ(busy.time, absl::Hours(9) + absl::Nanoseconds(1));
  EXPECT_EQ(busy.dollars, 0.1);
  EXPECT_EQ(busy.on_demand_dollars, 0.7);
  EXPECT_EQ(busy.tokens, 12);
}

TEST_F(SqliteStoreTest, WhatWasBought) {
  MachineRecord bought = Record(1);
  bought.offer = Offer{.provider = "local", .region = "eu", .zone = "eu-1", .market = Market::kSpot, .machine_type = "g6",
                       .accelerator = "L4", .accelerators = 2, .price_per_hour = 0.345, .volume_per_hour = 0.011};
  {
    auto store = Open();
    ASSERT_TRUE(Put(*store, bought).ok());
    ASSERT_TRUE(Put(*store, Record(2)).ok());
    bought.offer->price_per_hour = 0.346;  // when it was restored
    bought.public_address = true;
    bought.bought = absl::FromUnixMicros(1767225600123456);
    bought.boot_gigabytes = 30;
    bought.prices = {{absl::FromUnixMicros(7), 0.1}, {absl::FromUnixMicros(1767225600123456), 1.0 / 3}};
    ASSERT_TRUE(Put(*store, bought).ok());
  }
  const auto contents = *Open()->Load();
  ASSERT_EQ(contents.machines.size(), 2);
  EXPECT_TRUE(contents.machines[0].public_address);
  EXPECT_FALSE(contents.machines[1].public_address);
  EXPECT_EQ(contents.machines[0].bought, absl::FromUnixMicros(1767225600123456));
  EXPECT_EQ(contents.machines[0].boot_gigabytes, 30);
  EXPECT_EQ(contents.machines[1].bought, absl::InfinitePast());
  ASSERT_EQ(contents.machines[0].prices.size(), 2);
  EXPECT_EQ(contents.machines[0].prices[0].since, absl::FromUnixMicros(7));
  EXPECT_EQ(contents.machines[0].prices[1].since, absl::FromUnixMicros(1767225600123456));
  EXPECT_EQ(contents.machines[0].prices[1].per_hour, 1.0 / 3) << "to the bit";
  ASSERT_TRUE(contents.machines[0].offer.has_value());
  const Offer& offer = *contents.machines[0].offer;
  EXPECT_TRUE(SamePlace(offer, *bought.offer));
  EXPECT_EQ(offer.region, "eu");
  EXPECT_EQ(offer.accelerator, "L4");
  EXPECT_EQ(offer.accelerators, 2);
  EXPECT_EQ(offer.price_per_hour, 0.346);
  EXPECT_EQ(offer.volume_per_hour, 0.011);
  EXPECT_FALSE(contents.machines[1].offer.has_value());
}

TEST_F(SqliteStoreTest, Volumes) {
  const VolumeRecord filled = {.name = "m@a",
                               .model = "m",
                               .machine = "m-7",
                               .offer = {.provider = "aws", .region = "r", .zone = "a", .market = Market::kSpot,
                                         .machine_type = "g6", .accelerator = "L4", .accelerators = 2,
                                         .price_per_hour = 0.345, .volume_per_hour = 0.011},
                               .filled = true,
                               .unused_since = absl::FromUnixMicros(1767225600123456),
                               .ending_since = absl::FromUnixMicros(1767225600123457),
                               .made = absl::FromUnixMicros(1767225600123458),
                               .gigabytes = 100.5,
                               .per_hour = 1.0 / 3};
  VolumeRecord ending = filled;
  ending.name = "m@b";
  ending.filled = false;
  ending.ending = true;
  {
    auto store = Open();
    EXPECT_TRUE(store->Load()->volumes.empty());
    const VolumeRecord empty = {.name = "m@a", .unused_since = absl::UnixEpoch()};
    for (const VolumeRecord& volume : {empty, filled, ending})
      ASSERT_TRUE(store->Write({.volumes = {{volume.name, volume}}}, kOrdered).ok());
  }
  auto store = Open();
  const std::vector<VolumeRecord> volumes = store->Load()->volumes;
  ASSERT_EQ(volumes.size(), 2);
  const auto& [name, model, machine, offer, is_filled, is_ending, unused_since, ending_since, made, gigabytes,
               per_hour] = volumes[0];
  EXPECT_EQ(name + model + machine, "m@amm-7");
  EXPECT_TRUE(SamePlace(offer, filled.offer));
  EXPECT_EQ(offer.region + offer.accelerator, "rL4");
  EXPECT_EQ(offer.accelerators, 2);
  EXPECT_EQ(offer.price_per_hour, 0.345);
  EXPECT_EQ(offer.volume_per_hour, 0.011);
  EXPECT_TRUE(is_filled);
  EXPECT_FALSE(is_ending);
  EXPECT_EQ(unused_since, filled.unused_since);
  EXPECT_EQ(ending_since, filled.ending_since);
  EXPECT_EQ(made, filled.made);
  EXPECT_EQ(gigabytes, 100.5);
  EXPECT_EQ(per_hour, 1.0 / 3) << "to the bit";
  EXPECT_FALSE(volumes[1].filled);
  EXPECT_TRUE(volumes[1].ending);
  ASSERT_TRUE(store->Write({.volumes = {{"m@a", std::nullopt}}}, kOrdered).ok());
  ASSERT_EQ(store->Load()->volumes.size(), 1);
  EXPECT_EQ(store->Load()->volumes[0].name, "m@b");
}

TEST_F(SqliteStoreTest, VolumesThatAreGone) {
  EndedVolume first = {.name = "m@a", .model = "m", .made = absl::FromUnixMicros(7), .ended = absl::FromUnixMicros(9),
                       .gigabytes = 100, .dollars = 1.0 / 3};
  EndedVolume second = first;
  second.made = absl::FromUnixMicros(8);
  const auto end = [](Store& store, const EndedVolume& ended) {
    return store.Write({.volumes = {{"m@a", std::nullopt}}, .ended_volumes = {{{"m@a", ended.made}, ended}}}, kOrdered);
  };
  {
    auto store = Open();
    const VolumeRecord volume = {.name = "m@a", .unused_since = absl::UnixEpoch()};
    ASSERT_TRUE(store->Write({.volumes = {{"m@a", volume}}}, kOrdered).ok());
    ASSERT_TRUE(end(*store, first).ok());
    ASSERT_TRUE(end(*store, second).ok());
    first.dollars = 0.5;
    ASSERT_TRUE(end(*store, first).ok()) << "the same again";
  }
  const auto contents = *Open()->Load();
  EXPECT_TRUE(contents.volumes.empty());
  ASSERT_EQ(contents.ended_volumes.size(), 2);
  const auto& [name, model, made, ended, gigabytes, dollars] = contents.ended_volumes[0];
  EXPECT_EQ(name + model, "m@am");
  EXPECT_EQ(made, first.made);
  EXPECT_EQ(ended, first.ended);
  EXPECT_EQ(gigabytes, 100);
  EXPECT_EQ(dollars, 0.5);
  EXPECT_EQ(contents.ended_volumes[1].made, second.made);
  EXPECT_EQ(contents.ended_volumes[1].dollars, 1.0 / 3);
}

// Its age is told when its provider next speaks of it.
TEST_F(SqliteStoreTest, AVolumeOfVersion11HasNoAge) {
  {
    const VolumeRecord volume = {.name = "m@a", .filled = true, .unused_since = absl::UnixEpoch()};
    ASSERT_TRUE(Open()->Write({.volumes = {{"m@a", volume}}, .book = Store::Book{{{.model = "m", .dollars = 2}}}},
                              kOrdered).ok());
  }
  Execute(kAsVersion11);
  const auto contents = *Open()->Load();
  ASSERT_EQ(contents.volumes.size(), 1);
  EXPECT_TRUE(contents.volumes[0].filled);
  EXPECT_EQ(contents.volumes[0].made, absl::InfinitePast());
  EXPECT_EQ(contents.volumes[0].ending_since, absl::InfinitePast());
  EXPECT_EQ(contents.volumes[0].gigabytes, 0);
  EXPECT_TRUE(contents.ended_volumes.empty());
  ASSERT_EQ(contents.book.entries.size(), 1);
  EXPECT_EQ(contents.book.entries[0].dollars, 2);
  EXPECT_EQ(contents.book.entries[0].address_dollars, 0);
}

TEST_F(SqliteStoreTest, WhatStorageThatIsOverHasCost) {
  {
    auto store = Open();
    ASSERT_TRUE(store->Write({.book = Store::Book{.storage = {{{"m", "address"}, {0, 1}}}}}, kOrdered).ok());
    const Ledger::StorageSums sums = {{{"m", "address"}, {0, 1.0 / 3}}, {{"m", "boot_disk"}, {30, 0.1}}};
    ASSERT_TRUE(store->Write({.book = Store::Book{.storage = sums}}, kOrdered).ok());
  }
  const auto contents = *Open()->Load();
  ASSERT_EQ(contents.book.storage.size(), 2);
  EXPECT_EQ(contents.book.storage.at({"m", "address"}).dollars, 1.0 / 3);
  EXPECT_EQ(contents.book.storage.at({"m", "boot_disk"}).gigabyte_hours, 30);
}

TEST_F(SqliteStoreTest, WhatIsRememberedOfWakes) {
  const absl::Time order = absl::FromUnixMicros(1'700'000'000'000'001);
  const absl::Time block = order + absl::Seconds(9), began = block + absl::Seconds(1);
  {
    auto store = Open();
    ASSERT_TRUE(store->Write({.wake_records = {{"m", {.strikes = 1}}}}, kOrdered).ok());
    const WakeRecord record = {order, 7, block, Refusal::kNoCapacity, "it's full", began, 3, block};
    ASSERT_TRUE(store->Write({.wake_records = {{"m", record}}}, kOrdered).ok());
    ASSERT_TRUE(store->Write({.wake_records = {{"other", {}}}}, kOrdered).ok());
  }
  auto contents = *Open()->Load();
  ASSERT_EQ(contents.wake_records.size(), 2);
  const WakeRecord& m = contents.wake_records["m"];
  EXPECT_EQ(m.ordered_until, order);
  EXPECT_EQ(m.strikes, 7);
  EXPECT_EQ(m.blocked_until, block);
  EXPECT_EQ(m.blocked_by, Refusal::kNoCapacity);
  EXPECT_EQ(m.cause, "it's full");
  EXPECT_EQ(m.began, began);
  EXPECT_EQ(m.failures_beside, 3);
  EXPECT_EQ(m.none_beside_until, block);
  EXPECT_EQ(contents.wake_records["other"].ordered_until, absl::InfinitePast());
  EXPECT_EQ(contents.wake_records["other"].blocked_until, absl::InfinitePast());
}

TEST_F(SqliteStoreTest, AFolderThatDoesNotExistIsTold) {
  const auto store = OpenSqliteStore(testing::TempDir() + "/none/fleet.sqlite");
  EXPECT_TRUE(absl::StrContains(store.status().message(), "/none/fleet.sqlite")) << store.status();
}

TEST_F(SqliteStoreTest, AWriteThatFailsIsAnErrorAndLeavesNothingHalfDone) {
  auto store = Open();
  ASSERT_TRUE(Put(*store, Record(1)).ok());
  // A limit on the size of files stands in for a full disk.
  signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit limit = {std::filesystem::file_size(path_ + "-wal"), old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const absl::Status failed = Put(*store, Record(2), Store::Sync::kDurable);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  EXPECT_FALSE(failed.ok());
  EXPECT_TRUE(absl::StrContains(failed.message(), path_)) << failed;
  EXPECT_EQ(store->Load()->machines.size(), 1);
  EXPECT_TRUE(Put(*store, Record(2)).ok());
  EXPECT_EQ(store->Load()->machines.size(), 2);
}

TEST_F(SqliteStoreTest, ChangesOfWhichOneFailsAreNotMade) {
  auto store = Open();
  ASSERT_TRUE(Put(*store, Record(1)).ok());
  MachineRecord namesake = Record(3);
  namesake.id = "m-2";
  EXPECT_FALSE(store->Write({.machines = {{1, std::nullopt}, {2, Record(2)}, {3, namesake}}, .wakes = {{"m", {}}}},
                            kOrdered).ok());
  EXPECT_EQ(store->Load()->machines[0].id, "m-1");
  EXPECT_EQ(store->Load()->machines.size(), 1);
  EXPECT_TRUE(store->Load()->wakes.empty());
  EXPECT_TRUE(Put(*store, Record(2)).ok()) << "and it goes on";
}

}  // namespace
}  // namespace spotinference::fleet
