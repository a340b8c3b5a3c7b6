// What an admin sees of the fleet and orders it to do. The filters let nobody else through.
//
// An order is answered 202 with {} once the fleet has written it down; GET /admin/v1/machines shows what becomes of it.
// 404 machine_not_found, model_not_found: there is none; 409 wrong_state: its state does not allow the order.
#ifndef GATEWAY_HANDLERS_ADMIN_HANDLERS_H_
#define GATEWAY_HANDLERS_ADMIN_HANDLERS_H_

#include <memory>

#include "engine/base/clock.h"
#include "fleet/api/fleet.h"
#include "gateway/http/handler.h"

namespace spotinference {

// What they are given outlives them.
std::unique_ptr<http::Handler> MachinesHandler(const fleet::Fleet& fleet, const Clock& clock);  // GET …/machines
std::unique_ptr<http::Handler> LedgerHandler(const fleet::Fleet& fleet, const Clock& clock);    // GET …/ledger
std::unique_ptr<http::Handler> DecisionsHandler(const fleet::Fleet& fleet, const Clock& clock);  // GET …/decisions
// POST …/machines/{id}:interrupt, with an InterruptRequest.
std::unique_ptr<http::Handler> InterruptHandler(fleet::Fleet& fleet, const Clock& clock);
std::unique_ptr<http::Handler> KillHandler(fleet::Fleet& fleet, const Clock& clock);       // …/machines/{id}:kill
std::unique_ptr<http::Handler> HibernateHandler(fleet::Fleet& fleet, const Clock& clock);  // …/machines/{id}:hibernate
std::unique_ptr<http::Handler> WakeHandler(fleet::Fleet& fleet, const Clock& clock);       // …/models/{name}:wake

}  // namespace spotinference

#endif  // GATEWAY_HANDLERS_ADMIN_HANDLERS_H_
