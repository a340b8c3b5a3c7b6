// SQLite's prepared statements, owned. Private to sqlite_store.cc.
#ifndef FLEET_STORE_SQLITE_STATEMENT_H_
#define FLEET_STORE_SQLITE_STATEMENT_H_

#include <sqlite3.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/string_view.h"

namespace spotinference::fleet {

using SqliteValue = std::variant<int64_t, double, absl::string_view>;

// One prepared statement, ready to run again and again.
class SqliteStatement {
 public:
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}
  SqliteStatement(SqliteStatement&& other) : statement_(std::exchange(other.statement_, nullptr)) {}
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement() { sqlite3_finalize(statement_); }

  void Bind(std::initializer_list<SqliteValue> values) {
    sqlite3_reset(statement_);
    int column = 0;
    for (const SqliteValue& value : values) {
      ++column;
      if (const auto* number = std::get_if<int64_t>(&value)) {
        sqlite3_bind_int64(statement_, column, *number);
      } else if (const auto* real = std::get_if<double>(&value)) {
        sqlite3_bind_double(statement_, column, *real);
      } else {
        const auto text = std::get<absl::string_view>(value);
        sqlite3_bind_text(statement_, column, text.empty() ? "" : text.data(), text.size(),
                          SQLITE_TRANSIENT);
      }
    }
  }

  // SQLITE_ROW, SQLITE_DONE or an error. After a row only Step or Bind may follow.
  int Step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW) sqlite3_reset(statement_);
    return code;
  }

  int64_t Number(int column) const { return sqlite3_column_int64(statement_, column); }
  double Real(int column) const { return sqlite3_column_double(statement_, column); }
  std::string Text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return text == nullptr ? "" : std::string(text, sqlite3_column_bytes(statement_, column));
  }

 private:
  sqlite3_stmt* statement_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_STORE_SQLITE_STATEMENT_H_
