job_path <- function(job) paste0("/v1/jobs/", segment(job))

descent_submit <- function(client, spec) call_json(client, "POST", "/v1/jobs", spec, create = TRUE)$id

# Server-Sent Events (WHATWG HTML, 9.2): feed it bytes, it calls on_event and signals `events_over` at the last one.
event_reader <- function(on_event) {
  reader <- new.env(parent = emptyenv())
  reader$rest <- raw(0)
  reader$id <- ""
  reader$kind <- ""
  reader$data <- character(0)
  reader$news <- FALSE
  reader$line <- function(line) {
    if (!nzchar(line)) {
      if (length(reader$data) == 0) return(invisible())
      data <- jsonlite::fromJSON(paste(reader$data, collapse = "\n"), simplifyVector = FALSE)
      kind <- reader$kind
      reader$data <- character(0)
      reader$kind <- ""
      reader$news <- TRUE
      go_on <- on_event(list(id = reader$id, kind = kind, data = data))
      if (identical(kind, "done") || identical(go_on, FALSE)) signalCondition(events_over)
      return(invisible())
    }
    value <- sub("^[^:]*: ?", "", line)
    switch(sub(":.*$", "", line), id = reader$id <- value, event = reader$kind <- value,
           data = reader$data <- c(reader$data, value))
  }
  reader$bytes <- function(bytes) {
    bytes <- c(reader$rest, bytes)
    ends <- which(bytes == as.raw(10))
    start <- 1
    for (end in ends) {
      reader$line(sub("\r$", "", rawToChar(bytes[seq_len(end - start) + start - 1])))
      start <- end + 1
    }
    reader$rest <- if (start > length(bytes)) raw(0) else bytes[start:length(bytes)]
  }
  reader
}

events_over <- structure(list(message = "the last event", call = NULL), class = c("descent_events_over", "condition"))

descent_events <- function(client, job, on_event, after = "") {
  reader <- event_reader(on_event)
  reader$id <- after
  silent <- 0
  repeat {
    headers <- list(Accept = "text/event-stream")
    if (nzchar(reader$id)) headers[["Last-Event-ID"]] <- reader$id
    reader$news <- FALSE
    reader$rest <- raw(0)
    handle <- new_handle(client, "GET", headers, NULL, timeout = 0)
    over <- tryCatch({
      answer <- curl::curl_fetch_stream(paste0(client$url, job_path(job), "/events"), reader$bytes, handle = handle)
      if (answer$status_code >= 400) send(client, "GET", job_path(job)) # raises what the server says
      FALSE
    }, descent_events_over = function(c) TRUE, descent_error = stop, error = function(e) FALSE)
    if (over) return(invisible())
    silent <- if (reader$news) 0 else silent + 1
    if (silent >= client$attempts) {
      fail("descent_connection_failed", sprintf("the events of job %s broke off %d times", job, silent))
    }
    pause(silent + 1)
  }
}

descent_wait <- function(client, job) {
  descent_events(client, job, function(event) TRUE)
  info <- call_json(client, "GET", job_path(job))
  if (info$state != "succeeded") fail("descent_job_failed", sprintf("job %s %s", job, info$state), info = info)
  info$result
}
