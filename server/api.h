/* api.h -- the handlers and the shapes of their bodies, for the routes table */
#ifndef API_H
#define API_H

#include "fault.h" /* for the rows: CAN(FAULT_...) */
#include "routes.h"

extern const struct shape health_shape, info_shape, optimizer_new_shape, optimizer_shape,
    optimizer_page_shape, version_new_shape, version_shape, version_page_shape, session_new_shape,
    optimizer_patch_shape, alias_new_shape, alias_shape, alias_page_shape, alias_move_shape,
    alias_move_page_shape, session_patch_shape, session_shape, session_page_shape,
    checkpoint_new_shape, checkpoint_shape, checkpoint_page_shape, restore_shape, fork_shape,
    history_shape, key_new_shape, key_patch_shape, key_shape, key_page_shape;

handler livez_get, readyz_get, info_get, openapi_get;
handler optimizer_post, optimizer_list, optimizer_get, optimizer_patch, optimizer_delete;
handler alias_put, alias_get, alias_delete, alias_list, alias_history;
handler version_post, version_list, version_get, version_delete, weights_get;
handler session_post, session_list, session_get, session_patch, session_remove, session_restart,
    session_update;
handler checkpoint_post, checkpoint_list, checkpoint_get, checkpoint_delete, session_restore_post,
    session_fork_post, history_get, state_get, state_put;

/* A session with its layout, as everything but a listing has it. */
struct session_body;
bool session_show(struct call *call, const struct session_row *row, struct session_body *out,
                  dsc_err *err) DSC_MUST_CHECK;

/* labels after a patch (RFC 7396; NULL: a null), from the call's arena. FAULT_INVALID_VALUE when
 * there would be too many. */
bool labels_patch(struct call *call, const char *labels, const char *patch, const char **out,
                  dsc_err *err) DSC_MUST_CHECK;

/* api_layout.c: a session's coordinates and tensors, from a request that was decoded into the
 * call's arena, and to a reply. FAULT_INVALID_VALUE with where = "layout[1].optimizer",
 * FAULT_NOT_FOUND and FAULT_NO_VERSION likewise. */
struct session_new;
struct session_body;
bool layout_read(struct call *call, const struct session_new *in, struct session_row *row,
                 dsc_err *err) DSC_MUST_CHECK;
bool layout_show(struct call *call, const struct session_row *row, struct session_body *out,
                 dsc_err *err) DSC_MUST_CHECK;
handler metrics_get;
handler key_post, key_list, key_get, key_patch, key_remove, key_rotate;

/* Long work, and what it is done on. */
extern const struct shape job_new_shape, job_shape, job_page_shape, event_page_shape,
    parameter_shape, problem_page_shape, dataset_shape, dataset_file_shape, dataset_page_shape,
    dataset_commit_shape;
handler job_post, job_list, job_get, job_remove, job_hold, job_release, job_abort, job_events;
handler problem_list, dataset_file_put, dataset_close, dataset_page, dataset_get, dataset_remove;
piece_handler dataset_file_piece;

#endif
