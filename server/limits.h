/* limits.h -- every bound of the server, with its reason
 *
 * What a stranger can send, queue or keep is bounded here and nowhere else. GET /v1 shows those
 * that a client meets. */
#ifndef LIMITS_H
#define LIMITS_H

/* Coordinates of one session: 5 GB of state for the default LSTM, a quarter of a small server. */
#define LIMIT_COORDINATES 16777216

/* A gradient of that many float32, exactly. */
#define LIMIT_BODY_BYTES (64u << 20)

/* A vector as JSON text: the same bytes, so about 4 million coordinates; binary is for more. */
#define LIMIT_JSON_BODY_BYTES (64u << 20)

/* A control message: the largest is a session with LIMIT_LAYOUT_ENTRIES entries. */
#define LIMIT_CONTROL_BYTES (1u << 20)

/* What one request may decode into beside its vectors: 16 times its text at the most. */
#define LIMIT_ARENA_BYTES (16u << 20)

/* JSON deeper than this is nobody's request; parsers recurse. */
#define LIMIT_JSON_DEPTH 32

/* Sessions in one database: keys stay small and a listing pages by key, so this is a matter of
 * disk. */
#define LIMIT_SESSIONS 1000000

/* Tensors in a session's layout: the largest published networks have a few thousand. */
#define LIMIT_LAYOUT_ENTRIES 4096

/* Items in one page of a listing. */
#define LIMIT_PAGE 1000

/* Rows that one page of a filtered listing looks at: about 10 ms; then the page ends short. */
#define LIMIT_SCAN 10000

/* label.* filters of one listing: each is a search in an index for every row looked at. */
#define LIMIT_LABEL_FILTERS 8

/* ntm_bfgs keeps n x n numbers: 64 MB at this many coordinates. */
#define LIMIT_DENSE_COORDINATES 4096

/* The header of a safetensors file: 32 tensors and metadata need a few kB; the format allows 100
 * MB. */
#define LIMIT_WEIGHTS_HEADER_BYTES (1u << 20)

/* Text that people write: descriptions, labels. */
#define LIMIT_DESCRIPTION_BYTES 4096
#define LIMIT_LABELS            64
#define LIMIT_LABEL_BYTES       256

/* The longest life that fits RFC 3339 and nobody will see: a hundred years. */
#define LIMIT_TTL_SECONDS 3155760000.0

/* Aliases of one optimizer: a few roles (champion, candidate) for each of its users. */
#define LIMIT_ALIASES 256

/* Moves of one alias that are remembered: one a day for 27 years. */
#define LIMIT_ALIAS_MOVES 10000

/* A session's state as a file, which must come back as a body: 200,000 coordinates of the default
 * LSTM. Larger ones have checkpoints and forks. */
#define LIMIT_STATE_BYTES (LIMIT_BODY_BYTES - LIMIT_WEIGHTS_HEADER_BYTES)

/* Checkpoints of one session: each is the whole state again on the disk. */
#define LIMIT_CHECKPOINTS 100

/* Expired sessions that a deletion clears away in one go; beyond that it is refused. */
#define LIMIT_RETIRED_SESSIONS 1000

/* Steps of one session's history that are kept: the last million, 24 MB. */
#define LIMIT_HISTORY_STEPS 1000000

/* The same of a session that is only in memory: 240 kB. */
#define LIMIT_MEMORY_HISTORY 10000

/* Points of a history in one reply: more than a screen has columns, 1 MB of JSON. */
#define LIMIT_HISTORY_POINTS 10000

/* Requests that wait for one session's turn: more clients than that at one session is a mistake. */
#define LIMIT_TURN_QUEUE 64

/* Requests waiting for a thread: at 20 us each about 0.1 s of work; more is better refused (503).
 */
#define LIMIT_POOL_QUEUE 8192

/* A light session: the network thread itself takes its step, because handing it to another thread
 * takes longer (about 10 us). 64 coordinates of the default LSTM; and a body that is read quickly.
 */
#define LIMIT_LIGHT_WORK        (64 * 5400)
#define LIMIT_LIGHT_COORDINATES 512
#define LIMIT_LIGHT_BYTES       8192

/* Records waiting for the committer. Each pins one gradient, so bytes are bounded as well. */
#define LIMIT_JOURNAL_QUEUE 8192
#define LIMIT_JOURNAL_BYTES ((size_t)2 << 30)

/* One row of a BLOB: SQLite copies a row as a piece, so it should be small beside memory. */
#define LIMIT_ROW_BYTES ((size_t)16 << 20)

/* Idempotency keys: their length, and how long an answer is remembered. */
#define LIMIT_IDEMPOTENCY_BYTES   128
#define LIMIT_IDEMPOTENCY_SECONDS (24 * 3600)

/* How many are remembered: as many as there may be sessions, about a kilobyte each. */
#define LIMIT_IDEMPOTENCY_KEYS 1000000

/* A longer answer, such as a layout of thousands of tensors, is made anew from what was made. */
#define LIMIT_IDEMPOTENCY_ANSWER_BYTES (16u << 10)

/* An expired session can still be seen for a day; then it is removed. Removing is a few commits
 * each, so a pass takes no more than this many, and the next one follows at once if there are more.
 */
#define LIMIT_EXPIRED_SECONDS (24 * 3600)
#define LIMIT_SWEEP_SECONDS   60
#define LIMIT_SWEEP_SESSIONS  32

/* libmicrohttpd's memory for one connection; at 256 kB the request rate falls by half. */
#define LIMIT_CONNECTION_BYTES (16u << 10)

/* An inactive connection is closed; then the absolute deadlines of a drip-fed one. */
#define LIMIT_IDLE_SECONDS          60
#define LIMIT_HEADER_SECONDS        10
#define LIMIT_BODY_SECONDS          10
#define LIMIT_BODY_BYTES_PER_SECOND (1u << 20)

/* Jobs that wait or run: each is minutes to days of work. Those that are over stay until somebody
 * deletes them. */
#define LIMIT_JOBS_UNFINISHED 1000
#define LIMIT_JOBS            1000000

/* Events of one job; a progress is told once a second at most, so these are the last hours. */
#define LIMIT_JOB_EVENTS 20000

/* The JSON of one event, and clients that follow events at a time: each has a connection and a
 * stream. They hear something at least so often. */
#define LIMIT_EVENT_BYTES   (16u << 10)
#define LIMIT_WATCHERS      256
#define LIMIT_WATCH_SECONDS 15

/* A job's checkpoint is written no more often than this, but for validations. */
#define LIMIT_JOB_SAVE_MS 1000

/* Points of all curves of an evaluation: a result of 8 MB. */
#define LIMIT_RESULT_POINTS 100000

/* What waits for one client of server-sent events: a page of them. Longer ones are read again from
 * the database when it has taken these. It has so long to take a piece of them. */
#define LIMIT_STREAM_BYTES   (64u << 10)
#define LIMIT_STREAM_SECONDS 30

/* A file of a dataset: ImageNet's largest part is larger, everything smaller fits. Such a body is
 * taken in pieces, each written to the disk before the next one is read. */
#define LIMIT_UPLOAD_BYTES ((uint64_t)2 << 30)
#define LIMIT_PIECE_BYTES  ((size_t)1 << 20)

/* Uploaded datasets, as in one listing; files of each: CIFAR-10 has six, a table two. */
#define LIMIT_DATASETS      1000
#define LIMIT_DATASET_FILES 64

/* How long a stopping server waits for clients to take their answers; its supervisor gives it more.
 */
#define LIMIT_DRAINING_SECONDS 5

/* A body that comes after an early answer is read and forgotten, so that the client sees the
 * answer: a small one before the connection goes on, a larger one until it ends or these bounds are
 * met. */
#define LIMIT_DRAIN_BYTES    (64u << 10)
#define LIMIT_LINGER_BYTES   (128u << 20)
#define LIMIT_LINGER_SECONDS 10
#define LIMIT_LINGERING      64

/* File descriptors kept back from connections for the databases and logs. */
#define LIMIT_SPARE_DESCRIPTORS 64

/* A request or trace id that a client may choose. */
#define LIMIT_REQUEST_ID_BYTES 128

/* A bound beyond what the server can do is none. */
#define LIMIT_REQUESTS_PER_MINUTE 6000000

/* API keys of one server: people and programs that call it. */
#define LIMIT_KEYS 10000

/* A key that the operator chose: long enough that it cannot be guessed, short enough for a header.
 */
#define LIMIT_KEY_BYTES_MIN 32
#define LIMIT_KEY_BYTES     256

/* How far behind the database may be in when a key was last used: no write for each request. */
#define LIMIT_KEY_TOUCH_SECONDS 60

/* A training: steps of an episode (the longest in the literature have 10,000), steps that one
 * derivative goes back through (each keeps a gradient of every coordinate), functions side by side,
 * and epochs, of which a thousand take minutes. */
#define LIMIT_HORIZON   100000
#define LIMIT_UNROLL    1000
#define LIMIT_FUNCTIONS 100000
#define LIMIT_EPOCHS    1e9

/* Optimizers that one evaluation compares: a table that a person can read. Then the bytes of their
 * curves: four numbers a step and optimizer. */
#define LIMIT_COMPARED     64
#define LIMIT_CURVES_BYTES ((size_t)256 << 20)

/* A file of settings or of a secret: a few dozen lines. */
#define LIMIT_CONFIG_BYTES (64u << 10)

#endif
