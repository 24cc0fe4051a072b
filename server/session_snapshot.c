/* session_snapshot.c -- a session's state taken, kept, and put back
 *
 * A state enters the journal whole: one record erases what is there under a number and writes every
 * chunk as it is before one step. That is how a session gets another state (restore, PUT state),
 * how a new one begins with the state of another (fork), and what a checkpoint is: a session that
 * never takes a step.
 *
 *     restore     checkpoint's chunks -> new groups -> the journal, under the session's number
 *                                                   -> then memory: the new groups are the
 * session's
 *
 * Whoever does any of this has the session's turn; the disk comes first, so that what a client was
 * told survives what the session survives. A number that the small database does not know yet is
 * reserved there first: a crash in between leaves garbage that the next start erases.
 *
 * Checkpoints are always synced, also those of sessions that are not: they are few, and somebody
 * who goes back to one wants to find it. A `memory` session's are on the disk too, until the
 * process ends.
 *
 * Held to account by tests/unit/test_session_snapshot.c and tests/http/test_checkpoints.c. */
#include "session_impl.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include <stdlib.h>
#include <string.h>

/* --- into the journal --- */

static struct buf *save_chunk(struct groups *groups, size_t i)
{
    const size_t bytes = groups_chunk_bytes(groups, i);
    struct buf *const chunk = buf_new(bytes);

    if (!chunk)
        return NULL;
    groups_chunk_save(groups, i, chunk->data);
    chunk->len = bytes;
    return chunk;
}

static struct buf *chunk_of(struct record *record, size_t i)
{
    return save_chunk(record->arg, i);
}

/* Write a state under a number and wait; and the history of steps that are in no row yet, if it is
 * that of a session that had some. */
static bool keep(struct journal *journal, int64_t number, const struct session_state *state,
                 const struct history_trail *trail, enum durability durability, int64_t used_at,
                 dsc_err *err)
{
    const struct record record = {.kind = RECORD_STATE,
                                  .durability = durability,
                                  .session = number,
                                  .step = state->step,
                                  .chunk = -1,
                                  .chunks = groups_chunks(state->groups),
                                  .chunk_of = chunk_of,
                                  .arg = state->groups,
                                  .imported = state->imported,
                                  .block = trail ? trail->entry : NULL,
                                  .block_bytes = trail ? trail->count * sizeof *trail->entry : 0,
                                  .block_first = trail ? trail->first : 0,
                                  .used_at = used_at};

    return session_commit(journal, &record, err);
}

/* --- another state for a session --- */

/* Has the turn. The groups are taken. */
static void take_over(struct session *session, const struct session_state *state, int64_t used_at)
{
    groups_free(session->groups);
    session->groups = state->groups;
    session->imported = state->imported;
    groups_set_imported(state->groups, state->imported);
    groups_set_steps(state->groups, state->step);
    for (size_t j = 0; j < GROUPS_CHUNKS_MAX; j++)
        session->chunk_step[j] = state->step;
    if (session->durability == DURABILITY_MEMORY && session->trail.count > 0)
        (void)!session_history_flush(session);
    session_history_cut(session, state->step);
    session_started(session, state->step, used_at);
}

static bool replace(struct sessions *sessions, struct session *session, session_fill_state *fill,
                    void *arg, dsc_err *err)
{
    const int64_t used_at = session_use(sessions, session);
    struct session_state state = {.step = 0};
    struct session_row row;
    dsc_arena arena;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    const bool ok = store_session_find(sessions->means.store, session->id, &row, &arena, err) &&
                    session_groups_new(sessions, &row, &state.groups, err) &&
                    fill(arg, &state, err) &&
                    (session->durability == DURABILITY_MEMORY ||
                     keep(sessions->means.journal, session->seq, &state, &session->trail,
                          session->durability, used_at, err));
    dsc_arena_release(&arena);
    if (ok)
        take_over(session, &state, used_at);
    else
        groups_free(state.groups);
    return ok;
}

bool session_replace(struct sessions *sessions, struct session *session, session_fill_state *fill,
                     void *arg, dsc_err *err)
{
    if (!session_enter(sessions, session, err))
        return false;
    const bool ok = replace(sessions, session, fill, arg, err);
    session_leave(sessions, session);
    return ok;
}

bool session_look(struct sessions *sessions, struct session *session, session_read_state *read,
                  void *arg, dsc_err *err)
{
    if (!session_enter(sessions, session, err))
        return false;
    const struct session_state state = {session->groups, session->steps, session->imported};
    const bool ok = read(arg, &state, err);
    session_leave(sessions, session);
    return ok;
}

/* --- checkpoints --- */

struct checkpoint {
    struct sessions *sessions;
    struct session *session;
    struct checkpoint_row *row;
};

static bool write_checkpoint(void *arg, const struct session_state *state, dsc_err *err)
{
    const struct checkpoint *const checkpoint = arg;
    const struct session_means *const means = &checkpoint->sessions->means;
    struct checkpoint_row *const row = checkpoint->row;

    row->session = checkpoint->session->seq;
    row->step = (int64_t)state->step;
    return store_checkpoint_reserve(means->store, &row->number, err) &&
           keep(means->journal, -row->number, state, NULL, DURABILITY_STRICT, 0, err) &&
           store_checkpoint_insert(means->store, row, err);
}

bool session_checkpoint(struct sessions *sessions, struct session *session,
                        struct checkpoint_row *row, dsc_err *err)
{
    struct checkpoint checkpoint = {sessions, session, row};
    struct checkpoint_row there;
    dsc_arena arena;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES); /* asked beforehand, to write nothing in vain */
    const bool taken =
        store_checkpoint_find(sessions->means.store, session->seq, row->name, &there, &arena, NULL);
    dsc_arena_release(&arena);
    row->number = 0;
    if (taken)
        return dsc_fail(err, FAULT_ALREADY_EXISTS, "name", "\"%.63s\" is taken", row->name);
    if (session_look(sessions, session, write_checkpoint, &checkpoint, err))
        return true;
    if (row->number && !session_erase(&sessions->means, -row->number, NULL))
        log_line(LOG_WARN, "checkpoint_erase",
                 "a checkpoint that failed stays until the next start");
    return false;
}

static bool read_checkpoint(const struct checkpoint *checkpoint, struct session_state *state,
                            dsc_err *err)
{
    struct journal *const journal = checkpoint->sessions->means.journal;
    const int64_t number = -checkpoint->row->number;
    const char *const id = checkpoint->session->id;
    uint64_t chunk_step[GROUPS_CHUNKS_MAX] = {0};
    struct journal_base base;

    if (!journal_base(journal, number, &base, err) ||
        !session_chunks_load(journal, id, number, state->groups, chunk_step, err))
        return false;
    state->step = base.step;
    state->imported = base.imported;
    for (size_t j = 0; j < groups_chunks(state->groups); j++)
        if (chunk_step[j] != base.step)
            return session_damaged(id, err);
    return base.step == (uint64_t)checkpoint->row->step || session_damaged(id, err);
}

static bool fill_from_checkpoint(void *arg, struct session_state *state, dsc_err *err)
{
    const struct checkpoint *const checkpoint = arg;
    const char *const name = checkpoint->row->name;
    dsc_arena arena;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES); /* found in the turn: it cannot leave meanwhile */
    const bool ok =
        store_checkpoint_find(checkpoint->sessions->means.store, checkpoint->session->seq, name,
                              checkpoint->row, &arena, err) &&
        read_checkpoint(checkpoint, state, err);
    dsc_arena_release(&arena);
    return ok;
}

bool session_restore(struct sessions *sessions, struct session *session, const char *name,
                     dsc_err *err)
{
    struct checkpoint_row row = {.name = name};
    struct checkpoint checkpoint = {sessions, session, &row};

    return session_replace(sessions, session, fill_from_checkpoint, &checkpoint, err);
}

bool session_checkpoint_delete(struct sessions *sessions, struct session *session, const char *name,
                               dsc_err *err)
{
    const struct session_means *const means = &sessions->means;
    struct checkpoint_row row;
    dsc_arena arena;

    if (!session_enter(sessions, session, err))
        return false;
    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    const bool ok = store_checkpoint_find(means->store, session->seq, name, &row, &arena, err) &&
                    store_checkpoint_delete(means->store, row.number, err);
    if (ok && !session_erase(means, -row.number, NULL))
        log_line(LOG_WARN, "checkpoint_erase", "a checkpoint of %s stays until the next start",
                 session->id);
    dsc_arena_release(&arena);
    session_leave(sessions, session);
    return ok;
}

/* --- fork --- */

static bool copy_state(struct session_state *to, const struct session *from, dsc_err *err)
{
    to->step = from->steps;
    to->imported = from->imported;
    for (size_t i = 0; i < groups_chunks(from->groups); i++) {
        struct buf *const chunk = save_chunk(from->groups, i);

        if (!chunk)
            return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the fork");
        groups_chunk_load(to->groups, i, chunk->data);
        buf_drop(chunk);
    }
    return true;
}

/* Make the new session with its state, in the turn of the one it comes from. */
static bool fork_state(struct sessions *sessions, struct session *from, const char *checkpoint_name,
                       const struct session_row *row, struct session **out, dsc_err *err)
{
    struct checkpoint_row kept = {.name = checkpoint_name};
    struct checkpoint checkpoint = {sessions, from, &kept};
    struct session_state state = {.step = 0};
    struct session *session = NULL;

    if (!session_make(sessions, row, &session, err))
        return false;
    if (!session_groups_new(sessions, row, &state.groups, err) ||
        !(checkpoint_name ? fill_from_checkpoint(&checkpoint, &state, err)
                          : copy_state(&state, from, err))) {
        groups_free(state.groups);
        session_free(session);
        return false;
    }
    take_over(session, &state, row->used_at);
    session->loaded = true; /* nobody else has it yet */
    *out = session;
    return true;
}

/* A row like that of the session it comes from, under another id. */
static bool fork_row(struct sessions *sessions, const struct session *from, struct session_row *row,
                     dsc_arena *arena, dsc_err *err)
{
    struct store *const store = sessions->means.store;
    const int64_t claim = row->claim;

    if (!store_session_find(store, from->id, row, arena, err) ||
        !(row->id = session_make_id(arena)))
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the session");
    row->created_at = row->used_at = session_now(sessions);
    row->seq = 0;
    row->claim = claim;
    return row->durability == DURABILITY_MEMORY || store_session_reserve(store, &row->seq, err);
}

static bool fork_in_turn(struct sessions *sessions, struct session *from,
                         const char *checkpoint_name, struct session_row *row, struct session **out,
                         dsc_arena *arena, dsc_err *err)
{
    if (!session_enter(sessions, from, err))
        return false;
    const bool ok = fork_row(sessions, from, row, arena, err) &&
                    fork_state(sessions, from, checkpoint_name, row, out, err);
    session_leave(sessions, from);
    return ok;
}

/* The state, then the row: then it is there. */
static bool fork_keep(struct sessions *sessions, struct session *session, struct session_row *row,
                      dsc_err *err)
{
    const struct session_means *const means = &sessions->means;
    const struct session_state state = {session->groups, session->steps, session->imported};

    return (session->durability == DURABILITY_MEMORY ||
            keep(means->journal, row->seq, &state, NULL, DURABILITY_STRICT,
                 session_use(sessions, session), err)) &&
           store_session_insert(means->store, row, err);
}

bool session_fork(struct sessions *sessions, struct session *from, const char *checkpoint_name,
                  struct session_row *row, dsc_arena *arena, dsc_err *err)
{
    struct session *session = NULL, *held = NULL;

    if (!fork_in_turn(sessions, from, checkpoint_name, row, &session, arena, err))
        return false;
    if (!session_table_add(sessions, session, &held, err)) {
        session_free(session);
        return false;
    }
    const bool ok = fork_keep(sessions, session, row, err);
    session->seq = row->seq;
    if (!ok)
        session_forget(sessions, session);
    session_turn_release(session, sessions->means.compute);
    session_drop(sessions, session);
    return ok;
}
