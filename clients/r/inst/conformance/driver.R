# The conformance driver: JSON commands in, JSON answers out (see ../../../conformance/README.md).

library(descent)

client <- descent_client()
session <- NULL

bytes_of <- function(word) rev(as.raw(strtoi(substring(word, c(1, 3, 5, 7), c(2, 4, 6, 8)), 16L)))
floats <- function(words) {
  readBin(unlist(lapply(words, bytes_of)), "numeric", length(words), size = 4, endian = "little")
}
words <- function(update) {
  bytes <- matrix(writeBin(update, raw(), size = 4, endian = "big"), nrow = 4)
  I(apply(bytes, 2, function(word) paste(sprintf("%02x", as.integer(word)), collapse = "")))
}
at <- function() list(session = session$id, step = session$step, coordinates = session$coordinates)

operations <- list(
  create = function(c) {
    session <<- do.call(descent_session, c(list(client), c$settings))
    at()
  },
  resume = function(c) {
    session <<- descent_resume(client, session$id)
    at()
  },
  update = function(c) {
    if (!is.null(c$step)) session$step <- c$step
    update <- descent_update(session, floats(c$gradient), loss = c$loss)
    list(update = words(update), step = session$step, replayed = session$replayed)
  },
  reset = function(c) {
    descent_reset(session)
    at()
  },
  checkpoint = function(c) {
    descent_checkpoint(session, c$name)
    list(done = TRUE)
  },
  restore = function(c) {
    descent_restore(session, c$checkpoint)
    at()
  },
  fork = function(c) {
    session <<- descent_fork(session, c$checkpoint)
    at()
  },
  delete = function(c) {
    descent_delete(session)
    list(done = TRUE)
  },
  create_optimizer = function(c) descent_create_optimizer(client, c$name, c$family, c$config),
  optimizers = function(c) {
    list(names = I(sort(vapply(descent_optimizers(client), function(o) o$name, ""), method = "radix")))
  },
  upload = function(c) {
    list(version = descent_upload(client, c$name, jsonlite::base64_dec(c$file))$version)
  },
  download = function(c) {
    path <- tempfile()
    writeBin(descent_download(client, c$name, c$version), path)
    list(sha256 = sub(" .*", "", system2("sha256sum", path, stdout = TRUE)))
  },
  run_job = function(c) {
    job <- descent_submit(client, c$spec)
    kinds <- character(0)
    descent_events(client, job, function(event) kinds <<- c(kinds, event$kind))
    list(state = "succeeded", first = kinds[1], last = kinds[length(kinds)], result = descent_wait(client, job))
  }
)

input <- file("stdin", "r")
while (length(line <- readLines(input, n = 1)) > 0) {
  command <- jsonlite::fromJSON(line, simplifyVector = FALSE)
  answer <- tryCatch(operations[[command$op]](command),
    descent_api_error = function(e) list(error = e$code, status = e$status),
    descent_connection_failed = function(e) list(error = "connection_failed"))
  cat(jsonlite::toJSON(answer, auto_unbox = TRUE, null = "null", digits = NA), "\n", sep = "")
  flush(stdout())
}
