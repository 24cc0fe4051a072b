/* routes_service.c -- the service itself, and its keys */
#include "api.h"

const struct route service_routes[] = {
    {"GET", "/livez", SCOPE_NONE, "Is the process alive?", .out = &health_shape, .status = 200,
     .serve = livez_get, .at_once = true, .routine = true},
    {"GET", "/readyz", SCOPE_NONE, "Can it answer updates?", .out = &health_shape, .status = 200,
     .may_fail = CAN(FAULT_DRAINING) | CAN(FAULT_STORAGE_FULL), .serve = readyz_get,
     .routine = true},
    {"GET", "/v1", SCOPE_ANY, "Name, version, limits, families", .out = &info_shape, .status = 200,
     .serve = info_get},
    {"GET", "/metrics", SCOPE_METRICS_READ, "Counters for Prometheus", .give = MEDIA(MEDIA_METRICS),
     .status = 200, .serve = metrics_get, .routine = true},
    {"GET", "/openapi.json", SCOPE_NONE, "This description", .give = MEDIA(MEDIA_JSON),
     .status = 200, .serve = openapi_get},
    {0},
};
