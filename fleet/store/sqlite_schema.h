// What the tables of sqlite_store.h are, and how those of older versions become them. Private to sqlite_store.cc.
#ifndef FLEET_STORE_SQLITE_SCHEMA_H_
#define FLEET_STORE_SQLITE_SCHEMA_H_

#include <iterator>

namespace spotinference::fleet {

inline constexpr int kApplicationId = 0x53504f54;  // "SPOT"

// The i-th makes version i + 1 of version i; nothing is version 0.
inline constexpr const char* kSchemas[] = {
    // AUTOINCREMENT keeps the largest serial ever given, so that no machine's name comes again.
    R"(
  BEGIN IMMEDIATE;
  CREATE TABLE machines (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    volume TEXT NOT NULL,
    state TEXT NOT NULL,
    handle TEXT NOT NULL,
    address TEXT NOT NULL,
    numerics_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    since_us INTEGER NOT NULL) STRICT;
  CREATE TABLE wakes (model TEXT PRIMARY KEY, measured_us INTEGER NOT NULL) STRICT;
  PRAGMA application_id = 1397772116;
  PRAGMA user_version = 1;
  COMMIT;)",
    // The microseconds of each gap, with spaces between them.
    R"(
  BEGIN IMMEDIATE;
  CREATE TABLE gaps (model TEXT PRIMARY KEY, gaps_us TEXT NOT NULL) STRICT;
  PRAGMA user_version = 2;
  COMMIT;)",
    // Microseconds since 1970; 0: no such time. `blocked_by`: a Refusal's number.
    R"(
  BEGIN IMMEDIATE;
  CREATE TABLE wake_records (
    model TEXT PRIMARY KEY,
    ordered_until_us INTEGER NOT NULL,
    strikes INTEGER NOT NULL,
    blocked_until_us INTEGER NOT NULL,
    blocked_by INTEGER NOT NULL,
    cause TEXT NOT NULL) STRICT;
  PRAGMA user_version = 3;
  COMMIT;)",
    // What was bought; `market` is empty where there was no choice.
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE machines ADD COLUMN market TEXT NOT NULL DEFAULT '';
  ALTER TABLE machines ADD COLUMN region TEXT NOT NULL DEFAULT '';
  ALTER TABLE machines ADD COLUMN zone TEXT NOT NULL DEFAULT '';
  ALTER TABLE machines ADD COLUMN machine_type TEXT NOT NULL DEFAULT '';
  ALTER TABLE machines ADD COLUMN accelerator TEXT NOT NULL DEFAULT '';
  ALTER TABLE machines ADD COLUMN accelerators INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE machines ADD COLUMN price_per_hour REAL NOT NULL DEFAULT 0;
  CREATE TABLE spending (only INTEGER PRIMARY KEY CHECK (only = 0), day INTEGER NOT NULL, dollars REAL NOT NULL) STRICT;
  PRAGMA user_version = 4;
  COMMIT;)",
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE wake_records ADD COLUMN began_us INTEGER NOT NULL DEFAULT 0;
  PRAGMA user_version = 5;
  COMMIT;)",
    // What machines have cost, up to `until_us`; `use` as in UseName.
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE wake_records ADD COLUMN failures_beside INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE wake_records ADD COLUMN none_beside_until_us INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE ledger (
    model TEXT NOT NULL,
    market TEXT NOT NULL,
    use TEXT NOT NULL,
    key TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    dollars REAL NOT NULL,
    on_demand_dollars REAL NOT NULL,
    tokens INTEGER NOT NULL,
    PRIMARY KEY (model, market, use, key)) STRICT;
  CREATE TABLE ledger_until (only INTEGER PRIMARY KEY CHECK (only = 0), until_us INTEGER NOT NULL) STRICT;
  PRAGMA user_version = 6;
  COMMIT;)",
    // `machine`: whose run is not over; else ''.
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE machines ADD COLUMN billed_until_us INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE book (
    model TEXT NOT NULL,
    market TEXT NOT NULL,
    use TEXT NOT NULL,
    key TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    dollars REAL NOT NULL,
    on_demand_dollars REAL NOT NULL,
    tokens INTEGER NOT NULL,
    machine TEXT NOT NULL,
    PRIMARY KEY (machine, model, market, use, key)) STRICT;
  INSERT INTO book SELECT *, '' FROM ledger;
  DROP TABLE ledger;
  PRAGMA user_version = 7;
  COMMIT;)",
    // Buyer::Memory: microseconds since 1970, or kNever.
    R"(
  BEGIN IMMEDIATE;
  CREATE TABLE market (
    provider TEXT NOT NULL,
    zone TEXT NOT NULL,
    market TEXT NOT NULL,
    machine_type TEXT NOT NULL,
    opened_us INTEGER NOT NULL,
    left_us INTEGER NOT NULL,
    open INTEGER NOT NULL,
    losses REAL NOT NULL,
    exposure REAL NOT NULL,
    counted_us INTEGER NOT NULL,
    last_loss_us INTEGER NOT NULL,
    closed_until_us INTEGER NOT NULL,
    stock_outs INTEGER NOT NULL,
    came INTEGER NOT NULL,
    PRIMARY KEY (provider, zone, market, machine_type)) STRICT;
  CREATE TABLE market_common (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    joint REAL NOT NULL,
    trials REAL NOT NULL,
    paired_us INTEGER NOT NULL,
    warning_us INTEGER NOT NULL) STRICT;
  CREATE TABLE error_budgets (
    model TEXT PRIMARY KEY,
    total REAL NOT NULL,
    missed REAL NOT NULL,
    hour_us INTEGER NOT NULL,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL) STRICT;
  PRAGMA user_version = 8;
  COMMIT;)",
    // What its last machine was bought as is a volume's, too.
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE machines ADD COLUMN volume_per_hour REAL NOT NULL DEFAULT 0;
  CREATE TABLE volumes (
    name TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    machine TEXT NOT NULL,
    filled INTEGER NOT NULL,
    ending INTEGER NOT NULL,
    unused_since_us INTEGER NOT NULL,
    provider TEXT NOT NULL,
    market TEXT NOT NULL,
    region TEXT NOT NULL,
    zone TEXT NOT NULL,
    machine_type TEXT NOT NULL,
    accelerator TEXT NOT NULL,
    accelerators INTEGER NOT NULL,
    price_per_hour REAL NOT NULL,
    volume_per_hour REAL NOT NULL) STRICT;
  PRAGMA user_version = 9;
  COMMIT;)",
    // "MICROSECONDS:DOLLARS ", each change of its run's price.
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE machines ADD COLUMN prices TEXT NOT NULL DEFAULT '';
  PRAGMA user_version = 10;
  COMMIT;)",
    R"(
  BEGIN IMMEDIATE;
  CREATE TABLE fills (model TEXT PRIMARY KEY, measured_us INTEGER NOT NULL) STRICT;
  PRAGMA user_version = 11;
  COMMIT;)",
    // DecisionView.
    R"(
  BEGIN IMMEDIATE;
  CREATE TABLE decisions (
    number INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    model TEXT NOT NULL,
    machine TEXT NOT NULL,
    action TEXT NOT NULL,
    why TEXT NOT NULL,
    provider TEXT NOT NULL,
    market TEXT NOT NULL,
    zone TEXT NOT NULL,
    price_per_hour REAL NOT NULL,
    waiting INTEGER NOT NULL,
    active INTEGER NOT NULL) STRICT;
  PRAGMA user_version = 12;
  COMMIT;)",
    R"(
  BEGIN IMMEDIATE;
  CREATE TABLE model_spending (model TEXT PRIMARY KEY, dollars REAL NOT NULL) STRICT;
  PRAGMA user_version = 13;
  COMMIT;)",
    // Microseconds since 1970; 0: no such time.
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE machines ADD COLUMN public_address INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE book ADD COLUMN address_dollars REAL NOT NULL DEFAULT 0;
  ALTER TABLE volumes ADD COLUMN ending_since_us INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE volumes ADD COLUMN made_us INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE volumes ADD COLUMN gigabytes REAL NOT NULL DEFAULT 0;
  ALTER TABLE volumes ADD COLUMN per_hour REAL NOT NULL DEFAULT 0;
  CREATE TABLE ended_volumes (
    name TEXT NOT NULL,
    made_us INTEGER NOT NULL,
    ended_us INTEGER NOT NULL,
    model TEXT NOT NULL,
    gigabytes REAL NOT NULL,
    dollars REAL NOT NULL,
    PRIMARY KEY (name, made_us)) STRICT;
  PRAGMA user_version = 14;
  COMMIT;)",
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE book ADD COLUMN replacing_dollars REAL NOT NULL DEFAULT 0;
  PRAGMA user_version = 15;
  COMMIT;)",
    // Ledger::StorageSums. Microseconds since 1970; 0: no such time.
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE machines ADD COLUMN bought_us INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE machines ADD COLUMN boot_gigabytes REAL NOT NULL DEFAULT 0;
  CREATE TABLE storage (
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    gigabyte_hours REAL NOT NULL,
    dollars REAL NOT NULL,
    PRIMARY KEY (model, kind)) STRICT;
  PRAGMA user_version = 16;
  COMMIT;)",
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE market ADD COLUMN others REAL NOT NULL DEFAULT 0;
  ALTER TABLE market ADD COLUMN went REAL NOT NULL DEFAULT 0;
  PRAGMA user_version = 17;
  COMMIT;)",
    R"(
  BEGIN IMMEDIATE;
  ALTER TABLE market ADD COLUMN beside INTEGER NOT NULL DEFAULT 0;
  PRAGMA user_version = 18;
  COMMIT;)",
};
inline constexpr int kSchemaVersion = std::size(kSchemas);
static_assert(kApplicationId == 1397772116 && kSchemaVersion == 18, "the schemas spell both out");

}  // namespace spotinference::fleet

#endif  // FLEET_STORE_SQLITE_SCHEMA_H_
