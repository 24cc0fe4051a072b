# One HTTP request, tried again where that is safe.
#
# Every request of this package may be sent twice: an update carries its step number, a POST that creates an
# Idempotency-Key, the rest changes nothing more the second time. So a lost connection, an answer that does not come in
# time and a 429 or 503 lead to another try, after a pause that doubles and is never the same for two clients.

fail <- function(class, message, ...) {
  stop(structure(list(message = message, call = NULL, ...),
                 class = c(class, "descent_error", "error", "condition")))
}

# Bytes from the system: set.seed must not make two creations look like one, nor change with a retry.
random_bytes <- function(count) {
  source <- file("/dev/urandom", "rb", raw = TRUE)
  on.exit(close(source))
  as.integer(readBin(source, "raw", count))
}

fresh_key <- function() paste(sprintf("%02x", random_bytes(16)), collapse = "")

# 0.1 s, 0.2 s, ... up to 5 s, half of it by chance.
pause <- function(attempt, at_least = 0) {
  Sys.sleep(max(at_least, min(5, 0.05 * 2^attempt) * (0.5 + 0.5 * random_bytes(1) / 255)))
}

new_handle <- function(client, method, headers, body, timeout = client$timeout_seconds) {
  handle <- curl::new_handle(connecttimeout_ms = ceiling(1000 * client$timeout_seconds),
                             timeout_ms = ceiling(1000 * timeout), customrequest = method)
  if (!is.null(body)) {
    curl::handle_setopt(handle, post = TRUE, postfieldsize = length(body), postfields = body, customrequest = method)
  }
  if (nzchar(client$key)) headers[["Authorization"]] <- paste("Bearer", client$key)
  curl::handle_setheaders(handle, .list = c(headers, list(Expect = "")))
  handle
}

api_failure <- function(status, content) {
  problem <- tryCatch(jsonlite::fromJSON(rawToChar(content), simplifyVector = FALSE), error = function(e) list())
  code <- if (is.null(problem$code)) "" else problem$code
  fail("descent_api_error", paste0(code, ": ", problem$detail), status = status, code = code, detail = problem$detail,
       request_id = problem$request_id, retryable = isTRUE(problem$retryable), problem = problem)
}

# Send until there is an answer: list(status, headers, content).
send <- function(client, method, path, body = NULL, headers = list()) {
  if (is.null(body) && method %in% c("POST", "PUT", "PATCH")) body <- raw(0)
  for (attempt in seq_len(client$attempts)) {
    last <- attempt == client$attempts
    handle <- new_handle(client, method, headers, body)
    answer <- tryCatch(curl::curl_fetch_memory(paste0(client$url, path), handle), error = identity)
    if (inherits(answer, "error")) {
      if (last) {
        fail("descent_connection_failed", sprintf("no answer to %s %s in %d tries: %s", method, path, attempt,
                                                  conditionMessage(answer)))
      }
      pause(attempt)
      next
    }
    # A 404 to a repeated DELETE: an earlier try has deleted it, and its answer was lost.
    gone <- method == "DELETE" && answer$status_code == 404 && attempt > 1
    head <- curl::parse_headers_list(answer$headers)
    if (answer$status_code < 400 || gone) {
      return(list(status = answer$status_code, headers = head, content = answer$content))
    }
    if (last || !answer$status_code %in% c(429, 503)) api_failure(answer$status_code, answer$content)
    after <- suppressWarnings(as.numeric(head[["retry-after"]]))
    pause(attempt, if (length(after) == 1 && !is.na(after)) after else 0)
  }
}

# A request with JSON both ways. `create`: sent twice, it still makes one.
call_json <- function(client, method, path, body = NULL, create = FALSE) {
  headers <- list()
  if (create) headers[["Idempotency-Key"]] <- fresh_key()
  if (!is.null(body)) {
    headers[["Content-Type"]] <- "application/json"
    if (length(body) == 0) body <- structure(list(), names = character(0))
    body <- charToRaw(jsonlite::toJSON(body, auto_unbox = TRUE, null = "null", digits = NA))
  }
  answer <- send(client, method, path, body, headers)
  if (length(answer$content) == 0) return(NULL)
  jsonlite::fromJSON(rawToChar(answer$content), simplifyVector = FALSE)
}

# The items of a list, all pages.
pages <- function(client, path) {
  items <- list()
  token <- ""
  repeat {
    more <- if (nzchar(token)) paste0("&page_token=", segment(token)) else ""
    page <- call_json(client, "GET", paste0(path, "?page_size=1000", more))
    items <- c(items, page$items)
    token <- page$next_page_token
    if (is.null(token) || !nzchar(token)) return(items)
  }
}

segment <- function(text) utils::URLencode(text, reserved = TRUE)
